//! Memory use and core queues of machines over time, for charts that show a machine.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lab::Laboratory;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::task::AbortOnDropHandle;

/// Polling interval.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A sample of a machine's memory and core queue.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Filled {
    /// Time in seconds since the lab began.
    pub at: f64,
    /// Bytes of memory in use.
    pub held: u64,
    /// Bytes of memory available.
    pub limit: u64,
    /// Number of jobs that wait for a core.
    pub waiting: usize,
}

/// Polls machines for as long as it is held.
#[derive(Debug)]
pub(super) struct FillWatch {
    seen: Arc<Mutex<Seen>>,
    _looking: Option<AbortOnDropHandle<()>>,
}

#[derive(Debug, Default)]
struct Seen {
    filled: HashMap<String, Vec<Filled>>,
    /// How late each machine granted work at worst, since [`FillWatch::late`] was last called for it.
    late: HashMap<String, Duration>,
}

impl FillWatch {
    /// Starts polling these machines.
    pub(super) fn begin(lab: &Arc<Laboratory>, machines: impl Iterator<Item = String>) -> Self {
        let machines: Vec<_> = machines.collect();
        let seen = Arc::<Mutex<Seen>>::default();
        let looking = (!machines.is_empty()).then(|| {
            let look = look(Arc::clone(lab), machines, Arc::clone(&seen));
            AbortOnDropHandle::new(tokio::spawn(look))
        });
        Self { seen, _looking: looking }
    }

    /// Returns the samples of a machine.
    pub(super) fn of(&self, machine: &str) -> Vec<Filled> {
        self.seen.lock().filled.get(machine).cloned().unwrap_or_default()
    }

    /// Returns how late a machine granted work at worst since the last call. A machine reports its worst
    /// delay to the first client that asks, and that may have been this watch.
    pub(super) fn late(&self, machine: &str) -> Duration {
        self.seen.lock().late.remove(machine).unwrap_or_default()
    }
}

async fn look(lab: Arc<Laboratory>, machines: Vec<String>, seen: Arc<Mutex<Seen>>) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        for name in &machines {
            // A machine that is gone does not answer.
            let Some((usage, late)) = lab.usage(name).await else { continue };
            let at = lab.events.clock().now().as_secs_f64();
            let filled =
                Filled { at, held: usage.memory_held, limit: usage.memory_limit, waiting: usage.cpu_waiting };
            let mut seen = seen.lock();
            seen.filled.entry(name.clone()).or_default().push(filled);
            let worst = seen.late.entry(name.clone()).or_default();
            *worst = late.max(*worst);
        }
    }
}
