//! The outage of a traffic since a fault: the longest time in which requests were due and none was answered well. Pure.
#![deny(clippy::disallowed_methods)]

use std::time::Duration;

use load::{Moment, Sample};

use crate::snapshot::Outage;

/// What is told apart: the answers of one such span count as one.
const TICK: Duration = Duration::from_millis(10);
/// The shortest outage, in ticks: less is the wait for a normal answer.
const SHORTEST: usize = 10;

/// When requests were due, and when they were answered well, from a moment on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers {
    ticks: Vec<Tick>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tick {
    due: bool,
    good: bool,
}

impl Answers {
    /// Adds requests that have an outcome, in any order.
    pub(crate) fn add(&mut self, from: Moment, samples: &[Sample]) {
        for sample in samples {
            self.tick(from, sample.intended).due = true;
            let is_good = sample.outcome.is_success();
            self.tick(from, sample.intended + sample.latency).good |= is_good;
        }
    }

    fn tick(&mut self, from: Moment, at: Moment) -> &mut Tick {
        let index = (at.saturating_sub(from).as_millis() / TICK.as_millis()) as usize;
        if self.ticks.len() <= index {
            self.ticks.resize(index + 1, Tick::default());
        }
        &mut self.ticks[index]
    }

    /// Returns the longest outage, if there was one.
    pub(crate) fn outage(&self) -> Option<Outage> {
        let (mut longest, mut is_over) = (0, true);
        let mut waiting = None;
        for (index, tick) in self.ticks.iter().enumerate() {
            if tick.due {
                waiting.get_or_insert(index);
            }
            if let Some(since) = waiting.filter(|since| index - since >= longest) {
                (longest, is_over) = (index - since, tick.good);
            }
            if tick.good {
                waiting = None;
            }
        }
        // More than a tenth of a second is not shown.
        let seconds = (longest / 10) as f64 / 10.0;
        (longest >= SHORTEST).then_some(Outage { seconds, over: is_over })
    }
}

#[cfg(test)]
mod tests {
    use load::{CacheMark, Outcome, StreamId};

    use super::*;

    /// Requests: when each was due, how long it took, and its outcome.
    fn outage(told: &[(u64, u64, Outcome)]) -> Option<(f64, bool)> {
        let sample = |(at, took, outcome): &(u64, u64, Outcome)| Sample {
            stream: StreamId::default(),
            intended: Duration::from_millis(*at),
            lag: Duration::ZERO,
            latency: Duration::from_millis(*took),
            outcome: *outcome,
            status: 0,
            served_by: None,
            cache: CacheMark::None,
            attempts: 1,
        };
        let samples: Vec<_> = told.iter().map(sample).collect();
        let mut answers = Answers::default();
        answers.add(Duration::from_secs(1), &samples);
        answers.outage().map(|outage| (outage.seconds, outage.over))
    }

    #[test]
    fn an_outage_ends_with_the_first_good_answer() {
        use Outcome::{Ok, Refused};
        assert_eq!(outage(&[(1_000, 5, Ok), (1_020, 60, Ok)]), None);
        let failing = [(1_000, 5, Ok), (1_100, 900, Refused), (2_000, 900, Refused)];
        assert_eq!(outage(&failing), Some((1.8, false)));
        // A request that was held up and answered ends it, and its order does not matter.
        let again = [&failing[..], &[(3_900, 100, Ok), (3_500, 400, Ok)]].concat();
        assert_eq!(outage(&again), Some((2.8, true)));
        // Without requests there is no outage.
        assert_eq!(outage(&[(1_000, 5, Ok), (9_000, 5, Ok)]), None);
    }
}
