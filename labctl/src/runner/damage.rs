//! What a disturbance of the host may have done to a lab permanently, and which failures it excuses. Pure.
#![deny(clippy::disallowed_methods)]

use std::ops::Range;
use std::time::Duration;

use lab::events::Hand;
use lab::{Event, Happening};
use load::Moment;

/// After a pause this long, checks, leases and elections may have timed out that otherwise would not have.
const LONG: Duration = Duration::from_millis(250);
/// After a pause this long the same may have happened without any event: Sentinels may have promoted another
/// Redis.
const VERY_LONG: Duration = Duration::from_millis(500);
/// Consequences of a pause occur within this time after it.
const AFTERMATH: Duration = Duration::from_secs(2);

/// Describes the first irreversible event between two moments.
pub(super) fn irreversible(events: &[Event], from: Moment, to: Moment) -> Option<String> {
    let mut during = events.iter().filter(|event| event.at >= from && event.at <= to);
    during.find(|event| is_irreversible(&event.what)).map(|event| event.what.to_string())
}

/// Returns whether an event is unintended and prevents the chapter from continuing.
fn is_irreversible(what: &Happening) -> bool {
    match what {
        Happening::OutOfMemory { .. }
        | Happening::Ejected { .. }
        | Happening::TookOver { .. }
        | Happening::StoodDown { .. }
        | Happening::BecamePrimary { .. }
        | Happening::SteppedDown { .. } => true,
        Happening::MachineEnded { by, .. } | Happening::ProgramEnded { by, .. } => *by != Hand::Labctl,
        Happening::MachineStarted { .. }
        | Happening::MachineReady { .. }
        | Happening::ProgramStarted { .. }
        | Happening::Frozen { .. }
        | Happening::Thawed { .. }
        | Happening::Did { .. }
        | Happening::Admitted { .. }
        | Happening::TakeoverBlocked { .. }
        | Happening::Disconnected { .. }
        | Happening::Connected { .. }
        | Happening::Elsewhere { .. }
        | Happening::DiskFull { .. }
        | Happening::DiskEmptied { .. }
        | Happening::Resized { .. }
        | Happening::Link { .. } => false,
    }
}

/// Explains why a lab is no longer in the state that its chapter produced: something irreversible happened
/// while the host was paused or soon afterwards. `None` if it is intact.
pub(super) fn of_pauses(pauses: &[Range<Moment>], events: &[Event]) -> Option<String> {
    pauses.iter().filter(|pause| lasted(pause) >= LONG).find_map(|pause| {
        let what = irreversible(events, pause.start, pause.end + AFTERMATH)?;
        Some(format!("{}, and then {what}", told(pause)))
    })
}

/// Explains why the host may have caused a failure between two moments, if it may have.
pub(super) fn excuse(pauses: &[Range<Moment>], from: Moment, to: Moment) -> Option<String> {
    let concerns = |pause: &&Range<Moment>| match lasted(pause) {
        length if length >= VERY_LONG => pause.start <= to,
        length if length >= LONG => pause.start <= to && pause.end + AFTERMATH >= from,
        _ => pause.start <= to && pause.end >= from,
    };
    pauses.iter().find(concerns).map(told)
}

/// Returns how long the host was paused between two moments.
pub(super) fn paused(pauses: &[Range<Moment>], from: Moment, to: Moment) -> Duration {
    pauses.iter().map(|pause| pause.end.min(to).saturating_sub(pause.start.max(from))).sum()
}

/// Describes a pause.
pub(super) fn told(pause: &Range<Moment>) -> String {
    format!("the computer stood still for {:.1?} at {:.1} s", lasted(pause), pause.start.as_secs_f64())
}

fn lasted(pause: &Range<Moment>) -> Duration {
    pause.end.saturating_sub(pause.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Moment {
        Duration::from_millis(ms)
    }

    fn at(at: u64, what: Happening) -> Event {
        Event { at: ms(at), what }
    }

    fn ejected(moment: u64) -> Event {
        at(moment, Happening::Ejected { balancer: "lb".into(), upstream: "web-1".into() })
    }

    fn ended(moment: u64, by: Hand) -> Event {
        at(moment, Happening::MachineEnded { machine: "app".into(), pid: 1, how: "killed".into(), by })
    }

    #[test]
    fn what_happens_for_good_in_or_after_a_pause_damages_a_lab() {
        let pause = [ms(1_000)..ms(3_000)];
        let reason = of_pauses(&pause, &[ejected(4_500)]).unwrap();
        assert_eq!(reason, "the computer stood still for 2.0s at 1.0 s, and then lb took web-1 out");
        assert_eq!(of_pauses(&pause, &[ejected(900), ejected(6_000)]), None);
        assert_eq!(of_pauses(&pause, &[ended(2_000, Hand::Labctl)]), None, "that was meant");
        assert!(of_pauses(&pause, &[ended(2_000, Hand::Machine)]).is_some());
        let short = ms(1_000)..ms(1_200);
        assert_eq!(of_pauses(std::slice::from_ref(&short), &[ejected(1_100)]), None);
    }

    #[test]
    fn a_pause_excuses_failures_for_as_long_as_it_may_have_caused_them() {
        let excused = |pause: Range<Moment>, from, to| excuse(&[pause], ms(from), ms(to)).is_some();
        let (short, long, very_long) = (ms(0)..ms(150), ms(0)..ms(300), ms(0)..ms(900));
        assert!(excused(short.clone(), 100, 200) && !excused(short, 500, 900));
        assert!(excused(long.clone(), 2_000, 3_000) && !excused(long, 2_500, 3_000));
        assert!(excused(very_long, 60_000, 61_000));
        assert!(!excused(ms(5_000)..ms(9_000), 1_000, 2_000), "it came later");
    }
}
