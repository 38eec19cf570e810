//! When something was broken: from a run's events to spans of time. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use crate::results::stored::StoredEvent;

/// A span of time in which something was broken.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultWindow {
    /// What was, and how: `web-1 is gone`.
    pub what: String,
    /// From when, in seconds.
    pub from: f64,
    /// Until when, in seconds.
    pub to: f64,
}

/// The fault windows of a run that ended at `end`, by when they began.
pub fn fault_windows(events: &[StoredEvent], end: f64) -> Vec<FaultWindow> {
    let mut open: BTreeMap<String, f64> = BTreeMap::new();
    let mut windows = Vec::new();
    for event in events.iter().filter(|event| event.at < end) {
        let name = |key: &str| event.about.get(key).and_then(|name| name.as_str()).unwrap_or("?").to_owned();
        let (begun, over) = match event.event.as_str() {
            "machine_ended" => (Some(format!("{} is gone", name("machine"))), None),
            "machine_ready" => (None, Some(format!("{} is gone", name("machine")))),
            "program_ended" => (Some(format!("{} is gone", name("program"))), None),
            "program_started" => (None, Some(format!("{} is gone", name("program")))),
            "frozen" => (Some(format!("{} is frozen", name("name"))), None),
            "thawed" => (None, Some(format!("{} is frozen", name("name")))),
            "disk_full" => (Some(format!("{}'s disk is full", name("machine"))), None),
            "disk_emptied" => (None, Some(format!("{}'s disk is full", name("machine")))),
            "link" => {
                let what = format!("{} → {} is not whole", name("from"), name("to"));
                if name("now") == "healed" { (None, Some(what)) } else { (Some(what), None) }
            }
            _ => (None, None),
        };
        if let Some(what) = begun {
            open.entry(what).or_insert(event.at);
        }
        if let Some((what, from)) = over.and_then(|what| open.remove_entry(&what)) {
            windows.push(FaultWindow { what, from, to: event.at });
        }
    }
    windows.extend(open.into_iter().map(|(what, from)| FaultWindow { what, from, to: end }));
    let machines: Vec<_> = windows.iter().filter(|window| !window.what.contains('/')).cloned().collect();
    windows.retain(|window| !machines.iter().any(|machine| is_said_of_its_machine(window, machine)));
    windows.sort_by(|one, other| one.from.total_cmp(&other.from));
    windows
}

/// A machine's programs go with it; that they did is said by the machine's own window.
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
        let wanted = FaultWindow { what: "web-1 is gone".into(), from: 5.0, to: 9.0 };
        assert_eq!(fault_windows(&events, 20.0), [wanted]);
    }

    #[test]
    fn a_disk_is_full_until_it_is_emptied() {
        let events = events(
            r#"{"at": 2.0, "event": "disk_full", "machine": "db-1"}
{"at": 7.5, "event": "disk_emptied", "machine": "db-1"}"#,
        );
        let wanted = FaultWindow { what: "db-1's disk is full".into(), from: 2.0, to: 7.5 };
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
        assert_eq!(windows[0], FaultWindow { what: "db is frozen".into(), from: 5.0, to: 12.0 });
        assert_eq!(windows[1].to, 8.0);
    }
}
