//! Remarks on a fault: why something is lost, where a queue grows, and which paths survive on cached copies.
//! Pure.
#![deny(clippy::disallowed_methods)]

use std::time::Duration;

use indexmap::IndexMap;

use super::faults::{Fault, FaultKind};
use super::impact::Impact;
use super::paths;
use super::strain::Overload;
use chapter::Chapter;
use chapter::machines::WebserverPart;
use lab::{Plan, Program};

/// Default lifetimes of the web server's cached copies: fresh, then served stale.
const FRESH_FOR: Duration = Duration::from_secs(30);
const STALE_FOR: Duration = Duration::from_secs(600);

/// Returns all remarks on these faults, without repetition.
pub(super) fn of(
    chapter: &Chapter,
    plan: &Plan,
    faults: &[Fault],
    cells: &IndexMap<String, Impact>,
) -> Vec<String> {
    let lost = |path: &str| cells.get(path).map_or(0, |impact| impact.lost);
    let mut remarks = Vec::new();
    if lost(paths::SESSION) > 0 {
        remarks.push(format!("sessions are gone: {}", why_sessions(chapter, plan, faults)));
    }
    if lost(paths::WRITE) > 0 {
        remarks.push(format!("acknowledged writes are gone: {}", why_writes(chapter)));
    }
    if let Some(overload) = cells.values().find_map(|impact| impact.overload.as_ref()) {
        remarks.push(overloaded(overload));
    }
    let is_down = |impact: &Impact| impact.down || impact.partly_down;
    let on_copies = cells.iter().filter(|(_, impact)| impact.copies && !is_down(impact));
    let on_copies: Vec<_> = on_copies.map(|(path, _)| paths::meaning(path)).collect();
    // Uncached data cannot be read, so nothing renews the cached copies.
    if !on_copies.is_empty() && cells.get(paths::READ).is_some_and(|impact| impact.down) {
        remarks.push(format!(
            "the path '{}' lives on copies that nobody renews: they are fresh for {}, and served for {} more",
            on_copies.join("', '"),
            humantime::format_duration(fresh_for(chapter)),
            humantime::format_duration(stale_for(chapter)),
        ));
    }
    remarks
}

/// Returns the time after which it becomes visible that copies are not renewed, if the observation lasts that
/// long.
pub(super) fn copies_show(chapter: &Chapter, within: Duration) -> Option<Duration> {
    web_servers(chapter).find(|web| web.cache.as_ref().is_some_and(|cache| cache != "none"))?;
    let (stale, useless) = (fresh_for(chapter), fresh_for(chapter) + stale_for(chapter));
    [useless, stale].into_iter().find(|shows| *shows <= within)
}

fn fresh_for(chapter: &Chapter) -> Duration {
    let said = web_servers(chapter).filter_map(|web| web.cache_ttl).map(|span| span.0);
    said.max().unwrap_or(FRESH_FOR)
}

fn stale_for(chapter: &Chapter) -> Duration {
    let said = web_servers(chapter).filter_map(|web| web.stale_for).map(|span| span.0);
    said.max().unwrap_or(STALE_FOR)
}

fn web_servers(chapter: &Chapter) -> impl Iterator<Item = &WebserverPart> {
    chapter.machine.values().filter_map(|entry| entry.webserver.as_ref())
}

/// Explains lost sessions by where they were kept and what broke.
fn why_sessions(chapter: &Chapter, plan: &Plan, faults: &[Fault]) -> &'static str {
    let broke = |program: Program| {
        let machines = faults.iter().filter_map(|fault| fault.component.machine());
        let machines = machines.filter_map(|name| plan.machines.get(name));
        machines.clone().any(|machine| machine.has(program))
    };
    let in_redis = web_servers(chapter).any(|web| web.sessions.as_deref() == Some("redis"));
    let watched = web_servers(chapter).any(|web| web.sentinels.is_some());
    let restarted = faults.iter().any(|fault| fault.kind == FaultKind::Restart);
    let own_secret = chapter
        .machine
        .values()
        .filter_map(|entry| entry.lb.as_ref())
        .any(|lb| lb.policy.as_deref() == Some("sticky") && lb.sticky_secret.as_deref() == Some("own"));
    match () {
        () if in_redis && broke(Program::Redis) && watched && restarted => {
            "Redis keeps them in memory only; it was back, empty, before a Sentinel missed it, and its copies copied that"
        }
        () if in_redis && broke(Program::Redis) && watched => {
            "they were acknowledged before the copy of Redis had them, or Redis came back without them"
        }
        () if in_redis && broke(Program::Redis) => {
            "Redis keeps them in memory only, and came back without them"
        }
        () if in_redis => "Redis no longer has them",
        () if broke(Program::Webserver) => "they were in the memory of the web server that broke",
        () if broke(Program::Lb) && own_secret => {
            "each balancer signs its cookies with a secret of its own, so the next one does not know which server has whose session"
        }
        () => "each is in the memory of one web server, and its owner is sent to another one",
    }
}

/// Explains lost acknowledged writes.
fn why_writes(chapter: &Chapter) -> &'static str {
    let databases =
        chapter.machine.values().filter_map(|entry| entry.dbnode.as_ref().map(|node| (entry, node)));
    let is_async = databases.into_iter().any(|(entry, node)| {
        entry.count.is_some_and(|count| count > 1) && node.replication.as_deref() == Some("async")
    });
    if is_async {
        "the primary acknowledged them by itself (async), before a replica had them"
    } else {
        "no node of the database has them"
    }
}

fn overloaded(overload: &Overload) -> String {
    let Overload { machine, times, grows_by, .. } = overload;
    match machine {
        Some(machine) => format!(
            "it recovered, but what is left cannot carry the load: {machine} is asked for {times:.1} times what it can do, and its queue grows by {grows_by:.1} requests a second"
        ),
        None => format!(
            "it recovered, but what is left cannot carry the load: answers take longer and longer, and {grows_by:.1} more requests wait with each second"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::faults::Component;
    use super::super::impact::Class;
    use super::super::matrix::tests::impact;
    use super::*;
    use chapter::Source;
    use lab::plan::Deployment;

    const SMALL: &str = r#"
        number = 1
        title = "t"
        question = "q"
        [machine.lb]
        count = 2
        lb = { upstreams = "web", pair = true, policy = "sticky" }
        [machine.web]
        count = 2
        webserver = { db = "db", cache = "local", cache-ttl = "20s" }
        [machine.db]
        count = 3
        dbnode = { replication = "async" }
    "#;

    const SHARED: &str = r#"
        number = 1
        title = "t"
        question = "q"
        [machine.web]
        webserver = { db = "db", sessions = "redis", sentinels = "redis" }
        [machine.db]
        dbnode = {}
        [machine.redis]
        redis = {}
        sentinel = { watches = "redis", quorum = 1, down-after = "1s" }
    "#;

    fn said(text: &str, name: &str, kind: FaultKind, cells: &[(&str, Impact)]) -> Vec<String> {
        let source = Source::parse(Path::new("small.toml"), text, &[]).unwrap();
        let plan = Plan::of(&source.chapter, Deployment::on_paper()).unwrap();
        let component = Component::Program { name: name.into(), program: "" };
        let fault = Fault { component, kind, stands_for: vec![name.into()] };
        let cells = cells.iter().map(|(path, impact)| ((*path).to_owned(), impact.clone())).collect();
        of(&source.chapter, &plan, &[fault], &cells)
    }

    #[test]
    fn lost_sessions_are_explained_by_where_they_were() {
        let lost = [("session", impact(Class::DataLoss, 1.0, 7))];
        let why = |text: &str, name: &str, kind| said(text, name, kind, &lost).concat();
        assert!(why(SMALL, "web-1", FaultKind::Kill).contains("in the memory of the web server that broke"));
        assert!(why(SMALL, "lb-1", FaultKind::Kill).contains("its owner is sent to another one"));
        let own = SMALL.replace(r#""sticky""#, r#""sticky", sticky-secret = "own""#);
        assert!(why(&own, "lb-1", FaultKind::Kill).contains("a secret of its own"));
        assert!(why(SHARED, "redis", FaultKind::Restart).contains("before a Sentinel missed it"));
        assert!(why(SHARED, "redis", FaultKind::Kill).contains("before the copy of Redis had them"));
        let pinned = SHARED.replace(r#"sentinels = "redis""#, r#"redis = "redis""#);
        assert!(why(&pinned, "redis", FaultKind::Kill).contains("came back without them"));
    }

    #[test]
    fn lost_writes_are_explained_by_who_acknowledged_them() {
        let lost = [("write", impact(Class::DataLoss, 1.0, 2))];
        assert!(said(SMALL, "db-1", FaultKind::Kill, &lost)[0].contains("by itself (async)"));
    }

    #[test]
    fn what_is_overloaded_and_what_lives_on_copies_is_said_once() {
        let overload =
            Overload { machine: Some("web-2".into()), times: 1.34, grows_by: 2.31, wait_seconds: 1.0 };
        let hit = Impact { overload: Some(overload), ..impact(Class::Outage, 1.0, 0) };
        let remarks = said(SMALL, "web-1", FaultKind::Kill, &[("read", hit.clone()), ("login", hit)]);
        assert_eq!(remarks.len(), 1);
        let wanted =
            "web-2 is asked for 1.3 times what it can do, and its queue grows by 2.3 requests a second";
        assert!(remarks[0].contains(wanted), "{remarks:?}");
        let copies = Impact { copies: true, ..impact(Class::Ok, 0.0, 0) };
        let down = impact(Class::Outage, 1.0, 0);
        let remarks = said(SMALL, "db-1", FaultKind::Kill, &[("read", down), ("cached", copies)]);
        let wanted = "the path 'cached read' lives on copies that nobody renews: they are fresh for 20s, and served for 10m more";
        assert_eq!(remarks, [wanted]);
    }

    #[test]
    fn copies_are_waited_for_as_far_as_that_is_within_the_time() {
        let show = |text: &str, within| {
            let source = Source::parse(Path::new("small.toml"), text, &[]).unwrap();
            copies_show(&source.chapter, Duration::from_secs(within)).map(|shows| shows.as_secs())
        };
        assert_eq!(show(SMALL, 10), None, "they last longer");
        assert_eq!(show(SMALL, 30), Some(20), "they are stale then");
        let short = SMALL.replace(r#"cache-ttl = "20s""#, r#"stale-for = "2s", cache-ttl = "3s""#);
        assert_eq!(show(&short, 10), Some(5), "they are of no use then");
        assert_eq!(show(SHARED, 100), None, "there are none");
    }
}
