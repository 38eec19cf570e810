//! Slow start: an upstream that has just come into rotation gets few requests at first, and its
//! full share at the end of the slow start. So a server with cold caches and no connections is not
//! hit by the full load at once.
//!
//! The share grows in ten steps, so the order of turns is recomputed ten times and not for each
//! request.
#![deny(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

/// A full share is this many times the weight.
pub const STEPS: u32 = 10;

/// Returns the share at time `now` of an upstream that came into rotation at `since`; `None` if it
/// has been there from the start.
pub fn share(weight: u32, since: Option<Instant>, over: Duration, now: Instant) -> u32 {
    weight * step(since, over, now)
}

/// Returns when the share grows next; `None` if it is full.
pub fn due(since: Option<Instant>, over: Duration, now: Instant) -> Option<Instant> {
    match step(since, over, now) {
        STEPS => None,
        step => since.map(|since| since + over.mul_f64(f64::from(step) / f64::from(STEPS))),
    }
}

/// The current step, from 1 to [`STEPS`].
fn step(since: Option<Instant>, over: Duration, now: Instant) -> u32 {
    let Some(since) = since else { return STEPS };
    (1..STEPS).find(|step| now < since + over.mul_f64(f64::from(*step) / f64::from(STEPS))).unwrap_or(STEPS)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test needs some moment to begin with")]

    use super::*;

    #[test]
    fn the_share_grows_to_the_full_one() {
        let (start, over) = (Instant::now(), Duration::from_secs(10));
        let at = |millis| share(2, Some(start), over, start + Duration::from_millis(millis));
        assert_eq!([at(0), at(999), at(1000), at(5500), at(9000), at(60_000)], [2, 2, 4, 12, 20, 20]);
    }

    #[test]
    fn each_step_is_due_when_it_is_taken() {
        let (start, over) = (Instant::now(), Duration::from_secs(10));
        let (mut now, mut shares) = (start, Vec::new());
        while let Some(due) = due(Some(start), over, now) {
            assert!(due > now);
            now = due;
            shares.push(share(1, Some(start), over, now));
        }
        assert_eq!(shares, [2, 3, 4, 5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn who_has_been_there_all_the_time_has_all_of_it() {
        let now = Instant::now();
        assert_eq!(share(3, None, Duration::from_secs(10), now), 30);
        assert_eq!(share(3, Some(now), Duration::ZERO, now), 30, "switched off");
        assert_eq!(due(Some(now), Duration::ZERO, now), None);
    }
}
