//! The known parts: a file each.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Table;

use crate::ability::{Abilities, Ability};

/// The kind of program that a part replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The load balancer.
    Lb,
    /// The database.
    Db,
}

impl Kind {
    /// Returns its name on the command line: `lb`, `db`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lb => "lb",
            Self::Db => "db",
        }
    }

    /// Returns the key of its program in a chapter's machine.
    pub fn key(self) -> &'static str {
        match self {
            Self::Lb => "lb",
            Self::Db => "dbnode",
        }
    }
}

/// A known part. `part NAME` is its adapter.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Its name on the command line and in chapters.
    #[serde(skip)]
    pub name: &'static str,
    /// The kind of program that it replaces.
    pub kind: Kind,
    /// Its name in messages.
    pub title: String,
    /// The names of its program; the first one found is used.
    pub find: Vec<String>,
    /// The flags that print its version.
    pub version: Vec<String>,
    /// The command that installs it. A leading `~/` in a word is the user's home.
    pub install: String,
    /// The abilities that it has.
    pub can: BTreeSet<Ability>,
    /// The abilities that it lacks, with the reasons.
    pub cannot: BTreeMap<Ability, String>,
    /// Caveats for reading its figures.
    #[serde(default)]
    pub limits: Vec<String>,
    /// The program's own defaults for keys of the chapter (`--defaults`).
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub defaults: Table,
}

impl Known {
    /// The names and files of all known parts.
    pub const FILES: [(&str, &str); 9] = [
        ("haproxy", include_str!("../known/haproxy.toml")),
        ("nginx", include_str!("../known/nginx.toml")),
        ("caddy", include_str!("../known/caddy.toml")),
        ("envoy", include_str!("../known/envoy.toml")),
        ("traefik", include_str!("../known/traefik.toml")),
        ("postgres", include_str!("../known/postgres.toml")),
        ("redis", include_str!("../known/redis.toml")),
        ("redis-sentinel", include_str!("../known/redis-sentinel.toml")),
        ("etcd", include_str!("../known/etcd.toml")),
    ];

    /// Returns all known parts.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::FILES.iter().map(|(name, text)| {
            let known: Self = toml::from_str(text).expect("a test has read every file");
            Self { name, ..known }
        })
    }

    /// Finds a known part by name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|known| known.name == name)
    }

    /// Returns a list of their names for messages.
    pub fn names() -> String {
        Self::FILES.map(|(name, _)| name).join(", ")
    }

    /// Returns what it can and cannot do.
    pub fn abilities(&self) -> Abilities {
        Abilities { title: self.title.clone(), can: Some(self.can.clone()), cannot: self.cannot.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_says_of_every_ability_whether_its_part_has_it() {
        for known in Known::all() {
            for ability in Ability::ALL.into_iter().filter(|ability| ability.kind() == known.kind) {
                let (can, cannot) = (known.can.contains(&ability), known.cannot.contains_key(&ability));
                assert!(can != cannot, "{}: {ability}: can {can}, cannot {cannot}", known.name);
            }
        }
    }
}
