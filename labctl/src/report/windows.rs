//! Derives from a run's events when something was broken. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use crate::results::stored::StoredEvent;

/// An interval in which something was broken.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultWindow {
    /// The component and its fault: `web-1 is gone`.
    pub what: String,
    /// The machine, or the machine that the broken link starts from.
    pub machine: String,
    /// Beginning in seconds.
    pub from: f64,
    /// End in seconds.
    pub to: f64,
}

/// The effect of an event on faults.
enum Change {
    /// A fault begins, with its key, its machine, and its description.
    Begins { key: String, machine: String, what: String },
    /// A fault ends.
    Ends { key: String },
    /// Every link is healed.
    AllLinksHealed,
}

const LINK: &str = "link ";

fn change(event: &StoredEvent) -> Option<Change> {
    let name = |key: &str| event.about.get(key).and_then(|name| name.as_str()).unwrap_or("?").to_owned();
    let begins = |key: String, how: &str| {
        let machine = key.split('/').next().unwrap_or_default().to_owned();
        let what = format!("{key} {how}");
        Some(Change::Begins { key: format!("{key} {how}"), machine, what })
    };
    let ends = |key: String, how: &str| Some(Change::Ends { key: format!("{key} {how}") });
    match event.event.as_str() {
        "machine_ended" => begins(name("machine"), "is gone"),
        "machine_ready" => ends(name("machine"), "is gone"),
        "program_ended" => begins(name("program"), "is gone"),
        "program_started" => ends(name("program"), "is gone"),
        "frozen" => begins(name("name"), "is frozen"),
        "thawed" => ends(name("name"), "is frozen"),
        "disk_full" => begins(name("machine"), "has a full disk"),
        "disk_emptied" => ends(name("machine"), "has a full disk"),
        "link" => {
            let (from, to, now) = (name("from"), name("to"), name("now"));
            let key = format!("{LINK}{from} {to}");
            match now.as_str() {
                // Without names it applies to every link.
                "healed" if from == "every machine" => Some(Change::AllLinksHealed),
                "healed" => Some(Change::Ends { key }),
                _ => Some(Change::Begins { key, what: format!("{from} → {to}: {now}"), machine: from }),
            }
        }
        _ => None,
    }
}

/// Returns the fault windows of a run that ended at `end`, in order of their beginning.
pub fn fault_windows(events: &[StoredEvent], end: f64) -> Vec<FaultWindow> {
    let mut open: BTreeMap<String, FaultWindow> = BTreeMap::new();
    let mut windows = Vec::new();
    for event in events.iter().filter(|event| event.at < end) {
        let over: Vec<_> = match change(event) {
            Some(Change::Begins { key, machine, what }) => {
                // A different fault on the same link ends the previous window.
                let before =
                    open.get(&key).is_some_and(|window| window.what != what).then(|| open.remove(&key));
                let window = FaultWindow { what, machine, from: event.at, to: end };
                open.entry(key).or_insert(window);
                before.flatten().into_iter().collect()
            }
            Some(Change::Ends { key }) => open.remove(&key).into_iter().collect(),
            Some(Change::AllLinksHealed) => {
                let (links, others) = open.into_iter().partition(|(key, _)| key.starts_with(LINK));
                open = others;
                let links: BTreeMap<String, FaultWindow> = links;
                links.into_values().collect()
            }
            None => vec![],
        };
        windows.extend(over.into_iter().map(|window| FaultWindow { to: event.at, ..window }));
    }
    windows.extend(open.into_values());
    let machines: Vec<_> = windows.iter().filter(|window| !window.what.contains('/')).cloned().collect();
    windows.retain(|window| !machines.iter().any(|machine| is_said_of_its_machine(window, machine)));
    windows.sort_by(|one, other| one.from.total_cmp(&other.from));
    windows
}

/// Merges overlapping windows: beginning, end, and the description of the first.
pub fn merged(windows: &[FaultWindow]) -> Vec<(f64, f64, String)> {
    let mut bands: Vec<(f64, f64, String, usize)> = Vec::new();
    for FaultWindow { what, from, to, .. } in windows {
        match bands.last_mut() {
            Some((_, until, _, more)) if *from <= *until => {
                *until = until.max(*to);
                *more += 1;
            }
            _ => bands.push((*from, *to, what.clone(), 0)),
        }
    }
    let told = |what: String, more: usize| if more == 0 { what } else { format!("{what} (+{more})") };
    bands.into_iter().map(|(from, to, what, more)| (from, to, told(what, more))).collect()
}

/// A machine's programs die with it; the machine's own window covers them.
fn is_said_of_its_machine(program: &FaultWindow, machine: &FaultWindow) -> bool {
    let of_program = program.what.split_once('/').map(|(name, _)| name);
    let of_machine = machine.what.split_once(' ').map(|(name, _)| name);
    of_program.is_some() && of_program == of_machine && (program.from - machine.from).abs() < 0.5
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str) -> Vec<StoredEvent> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn window(what: &str, machine: &str, from: f64, to: f64) -> FaultWindow {
        FaultWindow { what: what.into(), machine: machine.into(), from, to }
    }

    #[test]
    fn healing_every_link_ends_every_window_of_a_link_and_no_other() {
        let events = events(
            r#"{"at": 2.0, "event": "link", "from": "a", "to": "shop-3", "now": "cut"}
{"at": 2.1, "event": "link", "from": "b", "to": "shop-3", "now": "slow by 2s"}
{"at": 3.0, "event": "frozen", "name": "web-2", "by": "labctl"}
{"at": 4.0, "event": "link", "from": "every machine", "to": "every other", "now": "healed"}"#,
        );
        let wanted = [
            window("a → shop-3: cut", "a", 2.0, 4.0),
            window("b → shop-3: slow by 2s", "b", 2.1, 4.0),
            window("web-2 is frozen", "web-2", 3.0, 9.0),
        ];
        let windows = fault_windows(&events, 9.0);
        assert_eq!(windows, wanted);
        assert_eq!(merged(&windows), [(2.0, 9.0, "a → shop-3: cut (+2)".to_owned())]);
        assert_eq!(merged(&windows[..1]), [(2.0, 4.0, "a → shop-3: cut".to_owned())]);
    }

    #[test]
    fn a_link_that_is_broken_in_another_way_has_two_windows() {
        let events = events(
            r#"{"at": 2.0, "event": "link", "from": "a", "to": "b", "now": "slow by 1s"}
{"at": 3.0, "event": "link", "from": "a", "to": "b", "now": "cut"}
{"at": 5.0, "event": "link", "from": "a", "to": "b", "now": "healed"}"#,
        );
        let wanted = [window("a → b: slow by 1s", "a", 2.0, 3.0), window("a → b: cut", "a", 3.0, 5.0)];
        assert_eq!(fault_windows(&events, 9.0), wanted);
    }

    #[test]
    fn a_window_is_from_a_death_to_the_return() {
        let events = events(
            r#"{"at": 1.0, "event": "machine_ready", "machine": "web-1"}
{"at": 5.0, "event": "program_ended", "program": "web-1/webserver", "how": "killed"}
{"at": 5.0, "event": "machine_ended", "machine": "web-1", "how": "killed"}
{"at": 8.9, "event": "program_started", "program": "web-1/webserver"}
{"at": 9.0, "event": "machine_ready", "machine": "web-1"}
{"at": 20.1, "event": "machine_ended", "machine": "web-1", "how": "asked to"}"#,
        );
        let wanted = window("web-1 is gone", "web-1", 5.0, 9.0);
        assert_eq!(fault_windows(&events, 20.0), [wanted]);
    }

    #[test]
    fn a_disk_is_full_until_it_is_emptied() {
        let events = events(
            r#"{"at": 2.0, "event": "disk_full", "machine": "db-1"}
{"at": 7.5, "event": "disk_emptied", "machine": "db-1"}"#,
        );
        let wanted = window("db-1 has a full disk", "db-1", 2.0, 7.5);
        assert_eq!(fault_windows(&events, 20.0), [wanted]);
    }

    #[test]
    fn what_is_never_repaired_lasts_to_the_end() {
        let events = events(
            r#"{"at": 5.0, "event": "frozen", "name": "db", "by": "labctl"}
{"at": 6.0, "event": "link", "from": "web", "to": "db", "now": "slow by 2s"}
{"at": 8.0, "event": "link", "from": "web", "to": "db", "now": "healed"}"#,
        );
        let windows = fault_windows(&events, 12.0);
        assert_eq!(windows[0], window("db is frozen", "db", 5.0, 12.0));
        assert_eq!(windows[1].to, 8.0);
    }
}
