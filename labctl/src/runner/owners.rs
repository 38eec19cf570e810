//! Counts the balancers of a pair that held their shared address at the same time.
#![deny(clippy::disallowed_methods)]

use std::collections::HashSet;

use chapter::kind;
use lab::{Event, Happening};
use load::Moment;

/// Returns the largest number of balancers of a kind that held the shared address at one moment between
/// `from` and `to`. A balancer holds it from the event by which it reports so until it stands down or is
/// gone.
pub(super) fn at_most(events: &[Event], kind: &str, from: Moment, to: Moment) -> usize {
    let is_member = |name: &str| kind::is_member(name, kind);
    // A balancer's events arrive slightly later than those of machines, with their own timestamps.
    let mut events: Vec<_> = events.iter().filter(|event| event.at <= to).collect();
    events.sort_by_key(|event| event.at);
    let mut owners: HashSet<&str> = HashSet::new();
    let mut most = 0;
    let mut begun = false;
    for event in events {
        if !begun && event.at >= from {
            begun = true;
            most = owners.len();
        }
        match &event.what {
            Happening::TookOver { balancer } if is_member(balancer) => {
                owners.insert(balancer);
            }
            Happening::StoodDown { balancer: gone } | Happening::MachineEnded { machine: gone, .. } => {
                owners.remove(gone.as_str());
            }
            _ => {}
        }
        if begun {
            most = most.max(owners.len());
        }
    }
    if begun { most } else { owners.len() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use lab::events::Hand;

    fn at(ms: u64, what: Happening) -> Event {
        Event { at: Duration::from_millis(ms), what }
    }

    fn took_over(ms: u64, name: &str) -> Event {
        at(ms, Happening::TookOver { balancer: name.into() })
    }

    fn ended(ms: u64, name: &str) -> Event {
        let (machine, how) = (name.into(), "killed".into());
        at(ms, Happening::MachineEnded { machine, pid: 1, how, by: Hand::Labctl })
    }

    fn most(events: &[Event]) -> usize {
        at_most(events, "lb", Duration::from_millis(100), Duration::from_millis(900))
    }

    #[test]
    fn one_after_the_other_is_one_at_a_time() {
        assert_eq!(most(&[took_over(10, "lb-1"), ended(200, "lb-1"), took_over(600, "lb-2")]), 1);
        assert_eq!(most(&[took_over(10, "lb-1")]), 1);
        assert_eq!(most(&[took_over(10, "other-1"), took_over(950, "lb-2")]), 0);
    }

    #[test]
    fn two_at_a_time_are_two_also_when_it_is_told_late() {
        let told_late = [took_over(10, "lb-1"), ended(500, "lb-1"), took_over(300, "lb-2")];
        assert_eq!(most(&told_late), 2);
    }
}
