//! Measures how long a shared thread is blocked by a single step of a task: the time from one wait to
//! the next. On such a thread, a long step delays all other tasks.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::vitals::Vitals;

/// A step of at least this duration is counted.
const LONG: Duration = Duration::from_millis(5);

/// A step of at least this duration is logged as a warning.
const TOO_LONG: Duration = Duration::from_millis(50);

/// The shortest time between two warnings.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// Measures the steps of tasks. Cheap to clone; clones share their counters.
#[derive(Debug, Clone)]
pub struct Steps(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    long: Family<Step, Counter>,
    longest: Family<Step, Gauge<f64, AtomicU64>>,
    warned: Mutex<Option<Instant>>,
}

/// The name of a step.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Step {
    step: &'static str,
}

impl Steps {
    /// Creates a monitor whose counters are shown on `/metrics`.
    pub fn new(vitals: &Vitals) -> Self {
        let long =
            vitals.register("long_steps", "Steps of one task that took 5 ms or more.", Family::default());
        let longest =
            vitals.register("longest_step_seconds", "The longest of these steps.", Family::default());
        Self(Arc::new(Counted { long, longest, warned: Mutex::default() }))
    }

    /// Measures a task: each step is the time from one wait to the next.
    pub async fn watch<F: Future>(&self, step: &'static str, task: F) -> F::Output {
        let mut task = pin!(task);
        poll_fn(|context| self.time(step, || task.as_mut().poll(context))).await
    }

    /// Measures a single step.
    pub fn time<T>(&self, step: &'static str, act: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let outcome = act();
        let took = began.elapsed();
        if took >= LONG {
            self.took_long(step, took);
        }
        outcome
    }

    #[cold]
    fn took_long(&self, step: &'static str, took: Duration) {
        let Counted { long, longest, warned } = &*self.0;
        long.get_or_create(&Step { step }).inc();
        let longest = longest.get_or_create(&Step { step });
        if took.as_secs_f64() > longest.get() {
            longest.set(took.as_secs_f64());
        }
        let mut warned = warned.lock();
        if took >= TOO_LONG && warned.is_none_or(|before| before.elapsed() >= WARNING_INTERVAL) {
            *warned = Some(Instant::now());
            let ms = took.as_millis();
            tracing::warn!(
                "a step took {ms} ms: {step}; everything else waited (or the process was stopped, or had no processor)"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_long_step_is_counted_and_by_its_name() {
        let vitals = Vitals::new("test");
        let steps = Steps::new(&vitals);
        assert_eq!(steps.time("short", || 1), 1);
        let began = Instant::now();
        steps.time("long", || while began.elapsed() < LONG {});
        let text = vitals.render();
        assert!(text.contains("test_long_steps_total{step=\"long\"} 1"), "{text}");
        assert!(text.contains("test_longest_step_seconds{step=\"long\"} 0.0"), "{text}");
    }

    #[tokio::test]
    async fn a_task_that_waits_is_not_long() {
        let vitals = Vitals::new("test");
        Steps::new(&vitals).watch("waiting", tokio::time::sleep(2 * LONG)).await;
        assert!(!vitals.render().contains("waiting"));
    }
}
