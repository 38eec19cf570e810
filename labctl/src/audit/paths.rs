//! The paths through the shop: the traffic during an audit. Pure.
#![deny(clippy::disallowed_methods)]

use indexmap::IndexMap;
use serde::Deserialize;

use chapter::traffic::Traffic;
use chapter::{Chapter, MachineEntry, Spanned};

const PATHS: &str = include_str!("../../architectures/paths.toml");

/// The traffic by which returning users log in.
pub const MEMBERS_LOG_IN: &str = "members-log-in";
/// The traffic by which each of them checks once whether the session still exists.
pub const MEMBERS_LOOK: &str = "members-look";
/// The traffic that opens the accounts, so that they exist before the first deposit.
pub const ACCOUNTS_OPEN: &str = "accounts-open";
/// The path that no cache serves.
pub const READ: &str = "read";
/// The path that shows a lost session.
pub const SESSION: &str = "session";
/// The history of deposits, in which lost acknowledged writes are found.
pub const DEPOSITS: &str = "deposits";
/// The path that shows a lost write.
pub const WRITE: &str = "write";

#[derive(Deserialize)]
struct Paths {
    traffic: IndexMap<String, Traffic>,
}

/// Adds traffic on every path to an architecture, and a link wherever two machines communicate, including the
/// nodes of a database: only a link can be cut.
pub fn prepared(architecture: &Chapter) -> Result<Chapter, String> {
    let mut chapter = architecture.clone();
    let entry = entry(architecture)?;
    let paths: Paths = toml::from_str(&PATHS.replace("{entry}", &entry))
        .map_err(|error| format!("the shop's paths: {}", error.message()))?;
    for (name, traffic) in paths.traffic {
        chapter.traffic.entry(name).or_insert(traffic);
    }
    let unspanned = |name| Spanned::new(0..0, name);
    let missing = |(from, to): &(String, String)| {
        !architecture.links.iter().any(|(one, other)| one.as_ref() == from && other.as_ref() == to)
    };
    let links = links(architecture).into_iter().filter(missing);
    chapter.links.extend(links.map(|(from, to)| (unspanned(from), unspanned(to))));
    for (kind, entry) in &architecture.machine {
        let is_cluster = entry.dbnode.is_some() && entry.count.is_some_and(|count| count > 1);
        if is_cluster && !architecture.mesh.iter().any(|known| known.as_ref() == kind) {
            chapter.mesh.push(unspanned(kind.clone()));
        }
    }
    Ok(chapter)
}

/// Returns whether a traffic is a path, that is, judged on its own.
pub fn is_path(name: &str) -> bool {
    ![MEMBERS_LOG_IN, MEMBERS_LOOK, ACCOUNTS_OPEN].contains(&name)
}

/// Describes a path.
pub fn meaning(name: &str) -> &str {
    match name {
        READ => "anonymous read",
        "cached" => "cached read",
        WRITE => "write",
        "login" => "login",
        SESSION => "session read",
        other => other,
    }
}

/// Returns where users enter: the first balancer, or else the first web server.
pub fn entry(architecture: &Chapter) -> Result<String, String> {
    let first = |has: fn(&MachineEntry) -> bool| architecture.machine.iter().find(|(_, entry)| has(entry));
    if let Some((name, _)) = first(|entry| entry.lb.is_some()) {
        return Ok(format!("{name}/lb"));
    }
    match first(|entry| entry.webserver.is_some()) {
        Some((name, _)) => Ok(format!("{name}/webserver")),
        None => Err("nothing in this architecture serves users: it has neither an lb nor a webserver".into()),
    }
}

/// Returns which machines communicate, as pairs; diagrams use it too.
pub(crate) fn links(architecture: &Chapter) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (kind, entry) in &architecture.machine {
        let balanced = entry.lb.as_ref().map(|lb| &lb.upstreams);
        let web = entry.webserver.as_ref();
        let asked = [balanced, web.map(|web| &web.db), web.and_then(|web| web.redis.as_ref())];
        for target in asked.into_iter().flatten().filter(|target| target.as_ref() != kind) {
            for from in members(architecture, kind) {
                pairs.extend(members(architecture, target.as_ref()).map(|to| (from.clone(), to)));
            }
        }
    }
    pairs.dedup();
    pairs
}

/// Returns the machines of a kind, or the one machine of that name.
fn members(architecture: &Chapter, kind: &str) -> impl Iterator<Item = String> {
    let count = architecture.machine.get(kind).and_then(|entry| entry.count);
    let kind = kind.to_owned();
    let one = count.is_none().then(|| kind.clone());
    let several = (1..=count.unwrap_or(0)).map(move |number| format!("{kind}-{number}"));
    one.into_iter().chain(several)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::library;

    fn prepared_built_in(name: &str) -> Chapter {
        prepared(&library::open(name).unwrap().chapter).unwrap()
    }

    #[test]
    fn users_come_in_by_the_balancer_where_there_is_one() {
        assert_eq!(entry(&library::open("single").unwrap().chapter).unwrap(), "app/webserver");
        assert_eq!(entry(&library::open("several").unwrap().chapter).unwrap(), "lb/lb");
    }

    #[test]
    fn every_way_between_two_machines_is_a_link() {
        let links = |name: &str| prepared_built_in(name).links.len();
        assert_eq!(links("single"), 0, "both are on one machine");
        assert_eq!(links("separated"), 1);
        assert_eq!(links("several"), 5 + 5);
        assert_eq!(links("redis-cache"), 2 * 5 + 5 + 5);
    }

    #[test]
    fn a_path_of_ones_own_replaces_a_built_in_one_or_comes_beside_it() {
        let mut architecture = library::open("single").unwrap().chapter;
        let own = |path: &str| toml::from_str::<Traffic>(&format!("to = 'app'\npath = '{path}'")).unwrap();
        architecture.traffic.insert("read".into(), own("/render"));
        architecture.traffic.insert("search".into(), own("/products/1"));
        let chapter = prepared(&architecture).unwrap();
        assert_eq!(chapter.traffic["read"].path, "/render");
        let paths: Vec<_> = chapter.traffic.keys().filter(|name| is_path(name)).collect();
        assert_eq!(paths, ["read", "search", "cached", "write", "login", "session"]);
    }
}
