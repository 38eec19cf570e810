//! The parts that the lab knows: a file each.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Table;

use crate::ability::{Abilities, Ability};

/// What a part stands in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The load balancer.
    Lb,
    /// The database.
    Db,
}

impl Kind {
    /// As it is typed: `lb`, `db`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lb => "lb",
            Self::Db => "db",
        }
    }

    /// The key of its program in a chapter's machine.
    pub fn key(self) -> &'static str {
        match self {
            Self::Lb => "lb",
            Self::Db => "dbnode",
        }
    }
}

/// A part that the lab knows. `part NAME` is its adapter.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// What it is called on the command line and in chapters.
    #[serde(skip)]
    pub name: &'static str,
    /// What it stands in for.
    pub kind: Kind,
    /// What it is called in sentences.
    pub title: String,
    /// The names of its program; the first that is found is used.
    pub find: Vec<String>,
    /// The flags with which it tells its version.
    pub version: Vec<String>,
    /// The command that installs it. `~/` at the beginning of a word is the user's home.
    pub install: String,
    /// What it can.
    pub can: BTreeSet<Ability>,
    /// What it cannot, and why.
    pub cannot: BTreeMap<Ability, String>,
    /// What to know when its figures are read.
    #[serde(default)]
    pub limits: Vec<String>,
    /// The values of the chapter's keys that it has by itself (`--defaults`).
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub defaults: Table,
}

impl Known {
    /// Their names and files.
    pub const FILES: [(&str, &str); 8] = [
        ("haproxy", include_str!("../known/haproxy.toml")),
        ("nginx", include_str!("../known/nginx.toml")),
        ("caddy", include_str!("../known/caddy.toml")),
        ("envoy", include_str!("../known/envoy.toml")),
        ("traefik", include_str!("../known/traefik.toml")),
        ("postgres", include_str!("../known/postgres.toml")),
        ("redis", include_str!("../known/redis.toml")),
        ("etcd", include_str!("../known/etcd.toml")),
    ];

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::FILES.iter().map(|(name, text)| {
            let known: Self = toml::from_str(text).expect("a test has read every file");
            Self { name, ..known }
        })
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|known| known.name == name)
    }

    /// Their names, in a list for people.
    pub fn names() -> String {
        Self::FILES.map(|(name, _)| name).join(", ")
    }

    /// What it can and cannot do.
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
