//! Counts promotions of database nodes, and checks whether a term ever had two primaries.
#![deny(clippy::disallowed_methods)]

use std::collections::{HashMap, HashSet};

use chapter::kind;
use lab::{Event, Happening};
use load::Moment;

/// Counts how often a machine of a kind became primary between two moments.
pub(super) fn promotions(events: &[Event], kind: &str, from: Moment, to: Moment) -> usize {
    let during = events.iter().filter(|event| event.at >= from && event.at <= to);
    during.filter_map(|event| became(event, kind)).count()
}

/// Returns the largest number of machines of a kind that were primary in the same term.
pub(super) fn of_one_term(events: &[Event], kind: &str) -> usize {
    let mut terms: HashMap<u64, HashSet<&str>> = HashMap::new();
    for (machine, term) in events.iter().filter_map(|event| became(event, kind)) {
        terms.entry(term).or_default().insert(machine);
    }
    terms.values().map(HashSet::len).max().unwrap_or(0)
}

fn became<'a>(event: &'a Event, kind: &str) -> Option<(&'a str, u64)> {
    match &event.what {
        Happening::BecamePrimary { machine, term } if kind::is_of(machine, kind) => Some((machine, *term)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn became_primary(at: u64, machine: &str, term: u64) -> Event {
        let what = Happening::BecamePrimary { machine: machine.into(), term };
        Event { at: Moment::from_secs(at), what }
    }

    #[test]
    fn primaries_are_counted_by_term() {
        let mut events =
            vec![became_primary(1, "db-1", 1), became_primary(2, "other-2", 1), became_primary(3, "db-2", 2)];
        assert_eq!(of_one_term(&events, "db"), 1);
        assert_eq!(promotions(&events, "db", Moment::from_secs(2), Moment::from_secs(9)), 1);
        events.push(became_primary(4, "db-1", 2));
        assert_eq!(of_one_term(&events, "db"), 2);
        assert_eq!(of_one_term(&events, "nobody"), 0);
    }
}
