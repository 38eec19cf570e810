//! The condition that a step waits for: its wording, and a predicate over the lab's events. Events are
//! considered from before the step's act: the condition may be met before the first poll, or may hold
//! already.
#![deny(clippy::disallowed_methods)]

use std::collections::HashSet;
use std::time::Duration;

use chapter::step::Until;
use chapter::{Spanned, kind};
use lab::{Event, Happening};
use load::Moment;

/// Longest delay until every event before a given moment has been reported.
const TOLD_AFTER: Duration = Duration::from_millis(250);

/// An event that machines or balancers have to produce.
#[derive(Debug)]
pub(super) struct Condition {
    awaited: Awaited,
    /// When the step began, before it did anything.
    begun: Moment,
}

#[derive(Debug)]
enum Awaited {
    /// A machine is gone.
    Gone(String),
    /// A server is out of the rotation of one balancer, or of any.
    Ejected { upstream: String, by: Option<String> },
    /// A server is in the rotation.
    Admitted { upstream: String, by: Option<String> },
    /// A database has a new primary.
    Elected { kind: String, before: Primary },
    /// A balancer of a pair holds the shared address.
    TookOver(String),
}

/// The primary of a database before a step did anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Primary {
    /// The term in which it was elected.
    pub(super) term: u64,
    /// Whether it already differs from the primary that an earlier step acted on.
    pub(super) is_another: bool,
}

impl Condition {
    /// Builds the condition of a step that began at `begun`, when the database had the primary `before`.
    /// `None` if the step waits for something that is not an event.
    pub(super) fn of(until: &Until, begun: Moment, before: Primary) -> Option<Self> {
        let by = named(&until.by);
        let awaited = named(&until.gone)
            .map(Awaited::Gone)
            .or_else(|| Some(Awaited::Ejected { upstream: named(&until.ejected)?, by: by.clone() }))
            .or_else(|| Some(Awaited::Admitted { upstream: named(&until.admitted)?, by: by.clone() }))
            .or_else(|| Some(Awaited::Elected { kind: named(&until.elected)?, before }))
            .or_else(|| named(&until.took_over).map(Awaited::TookOver))?;
        Some(Self { awaited, begun })
    }

    /// Describes the wait.
    pub(super) fn words(&self) -> String {
        match &self.awaited {
            Awaited::Gone(machine) => format!("waiting for the end of {machine}"),
            Awaited::Ejected { upstream, .. } => format!("waiting for {upstream} to be taken out"),
            Awaited::Admitted { upstream, .. } => format!("waiting for {upstream} to be taken in"),
            Awaited::Elected { .. } => "waiting for a new primary".into(),
            Awaited::TookOver(balancer) => format!("waiting for {balancer} to take over"),
        }
    }

    /// Returns when the condition was met, as far as is known `now`: the step's beginning if it held already.
    pub(super) fn met(&self, events: &[Event], now: Moment) -> Option<Moment> {
        // A balancer's events arrive slightly late, with its own timestamps.
        let mut events: Vec<_> = events.iter().collect();
        events.sort_by_key(|event| event.at);
        let (before, since) = events.split_at(events.partition_point(|event| event.at < self.begun));
        if now >= self.begun + TOLD_AFTER && self.was_so(before) {
            return Some(self.begun);
        }
        since.iter().find(|event| self.comes_about_with(&event.what)).map(|event| event.at)
    }

    /// Returns whether the condition already held when the step began.
    fn was_so(&self, before: &[&Event]) -> bool {
        let last = |change: &dyn Fn(&Happening) -> Option<bool>| {
            before.iter().rev().find_map(|event| change(&event.what)).unwrap_or(false)
        };
        match &self.awaited {
            Awaited::Gone(wanted) => last(&|what| match what {
                Happening::MachineEnded { machine, .. } => (machine == wanted).then_some(true),
                Happening::MachineStarted { machine, .. } => (machine == wanted).then_some(false),
                _ => None,
            }),
            Awaited::Ejected { upstream, by } => {
                rotation(before, upstream, by.as_deref()) == Some(Rotation::Out)
            }
            Awaited::Admitted { upstream, by } => {
                rotation(before, upstream, by.as_deref()) == Some(Rotation::In)
            }
            Awaited::Elected { before, .. } => before.is_another,
            Awaited::TookOver(wanted) => last(&|what| match what {
                Happening::TookOver { balancer } => (balancer == wanted).then_some(true),
                Happening::StoodDown { balancer: gone } | Happening::MachineEnded { machine: gone, .. } => {
                    (gone == wanted).then_some(false)
                }
                _ => None,
            }),
        }
    }

    fn comes_about_with(&self, what: &Happening) -> bool {
        match (&self.awaited, what) {
            (Awaited::Gone(wanted), Happening::MachineEnded { machine, .. }) => machine == wanted,
            (Awaited::Ejected { upstream: wanted, by }, Happening::Ejected { balancer, upstream })
            | (Awaited::Admitted { upstream: wanted, by }, Happening::Admitted { balancer, upstream }) => {
                upstream == wanted && by.as_ref().is_none_or(|by| by == balancer)
            }
            // The election of an earlier primary may be reported only now.
            (Awaited::Elected { kind, before }, Happening::BecamePrimary { machine, term }) => {
                kind::is_of(machine, kind) && *term > before.term
            }
            (Awaited::TookOver(wanted), Happening::TookOver { balancer }) => balancer == wanted,
            _ => false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rotation {
    In,
    Out,
}

/// Returns whether a server is in the rotation of this balancer; without a name, it is out if any balancer
/// has it out. A balancer starts with all of its servers in rotation; one that is gone has no rotation.
fn rotation(events: &[&Event], wanted: &str, by: Option<&str>) -> Option<Rotation> {
    let mut out: HashSet<&str> = HashSet::new();
    let mut gone: HashSet<&str> = HashSet::new();
    for event in events {
        match &event.what {
            Happening::Ejected { balancer, upstream } if upstream == wanted => {
                out.insert(balancer);
            }
            Happening::Admitted { balancer, upstream } if upstream == wanted => {
                out.remove(balancer.as_str());
            }
            Happening::MachineStarted { machine, .. } => {
                out.remove(machine.as_str());
                gone.remove(machine.as_str());
            }
            Happening::MachineEnded { machine, .. } => {
                out.remove(machine.as_str());
                gone.insert(machine);
            }
            _ => {}
        }
    }
    match by {
        Some(by) if gone.contains(by) => None,
        Some(by) => Some(if out.contains(by) { Rotation::Out } else { Rotation::In }),
        None => Some(if out.is_empty() { Rotation::In } else { Rotation::Out }),
    }
}

fn named(name: &Option<Spanned<String>>) -> Option<String> {
    name.as_ref().map(|name| name.as_ref().clone())
}

#[cfg(test)]
mod tests {
    use lab::events::Hand;

    use super::*;

    const BEGUN: u64 = 1_000;

    fn ms(ms: u64) -> Moment {
        Duration::from_millis(ms)
    }

    /// Returns when the wait of a step that began at [`BEGUN`] is over, given the events reported by its end.
    fn met_with(until: &str, before: Primary, events: &[(u64, Happening)]) -> Option<u128> {
        let until = toml::from_str(&format!("{until}\nwithin = '9s'")).expect("something to wait for");
        let events: Vec<_> =
            events.iter().map(|(at, what)| Event { at: ms(*at), what: what.clone() }).collect();
        let condition = Condition::of(&until, ms(BEGUN), before).expect("a condition");
        condition.met(&events, ms(9_000)).map(|at| at.as_millis())
    }

    fn met(until: &str, events: &[(u64, Happening)]) -> Option<u128> {
        met_with(until, Primary::default(), events)
    }

    fn out(balancer: &str) -> Happening {
        Happening::Ejected { balancer: balancer.into(), upstream: "web-1".into() }
    }

    fn back(balancer: &str) -> Happening {
        Happening::Admitted { balancer: balancer.into(), upstream: "web-1".into() }
    }

    fn gone(machine: &str) -> Happening {
        let (machine, how) = (machine.into(), "killed".into());
        Happening::MachineEnded { machine, pid: 1, how, by: Hand::Labctl }
    }

    fn started(machine: &str) -> Happening {
        Happening::MachineStarted { machine: machine.into(), pid: 2 }
    }

    fn primary(machine: &str, term: u64) -> Happening {
        Happening::BecamePrimary { machine: machine.into(), term }
    }

    #[test]
    fn only_the_balancer_that_is_named_counts() {
        assert_eq!(met("ejected = 'web-1'", &[(2_000, out("careful"))]), Some(2_000));
        let by = "ejected = 'web-1'\nby = 'lb'";
        assert_eq!(met(by, &[(2_000, out("careful"))]), None);
        assert_eq!(met(by, &[(2_000, out("careful")), (2_500, out("lb"))]), Some(2_500));
        assert_eq!(met("ejected = 'web-2'", &[(2_000, out("lb"))]), None);
    }

    #[test]
    fn what_is_so_already_need_not_happen_again() {
        assert_eq!(met("ejected = 'web-1'", &[(500, out("lb"))]), Some(1_000));
        assert_eq!(met("ejected = 'web-1'", &[(500, out("lb")), (700, back("lb"))]), None);
        assert_eq!(met("ejected = 'web-1'", &[(500, out("lb")), (700, started("lb"))]), None);
        assert_eq!(met("gone = 'app'", &[(500, gone("app"))]), Some(1_000));
        assert_eq!(met("gone = 'app'", &[(500, gone("app")), (600, started("app"))]), None);
        let took_over = |name: &str| Happening::TookOver { balancer: name.into() };
        assert_eq!(met("took-over = 'lb-2'", &[(500, took_over("lb-2"))]), Some(1_000));
        assert_eq!(met("took-over = 'lb-2'", &[(500, took_over("lb-2")), (600, gone("lb-2"))]), None);
        assert_eq!(met("took-over = 'lb-2'", &[(1_700, took_over("lb-2"))]), Some(1_700));
    }

    #[test]
    fn a_server_that_was_back_before_anybody_missed_it_is_in() {
        assert_eq!(met("admitted = 'web-1'", &[]), Some(1_000));
        assert_eq!(met("admitted = 'web-1'", &[(500, out("lb"))]), None);
        assert_eq!(met("admitted = 'web-1'", &[(500, out("lb")), (1_600, back("lb"))]), Some(1_600));
        assert_eq!(met("admitted = 'web-1'\nby = 'lb'", &[(500, gone("lb"))]), None, "nobody has it");
    }

    #[test]
    fn what_was_is_judged_when_all_of_it_has_been_told() {
        let until = toml::from_str("admitted = 'web-1'\nwithin = '9s'").unwrap();
        let condition = Condition::of(&until, ms(BEGUN), Primary::default()).unwrap();
        assert_eq!(condition.met(&[], ms(BEGUN + 50)), None);
    }

    #[test]
    fn a_new_primary_is_one_of_a_later_term() {
        let before = Primary { term: 3, is_another: false };
        let elected = |events: &[_]| met_with("elected = 'db'", before, events);
        assert_eq!(elected(&[(1_050, primary("db-1", 3))]), None, "the old one, told of late");
        assert_eq!(elected(&[(1_050, primary("other-1", 4))]), None);
        assert_eq!(elected(&[(1_050, primary("db-1", 3)), (1_900, primary("db-2", 4))]), Some(1_900));
        let already = Primary { term: 4, is_another: true };
        assert_eq!(met_with("elected = 'db'", already, &[]), Some(1_000));
    }
}
