//! Runs one seed, from its plan to the verdict.

use std::fmt;
use std::time::Duration;

use dbnode::replication::durability::Mode;

use crate::invariants::linearizable::Judged;
use crate::invariants::{Violation, linearizable, nothing_is_lost, replicas_converge, writes_resume};
use crate::node::ELECTION_TIMEOUT;
use crate::plan::{HEALED_AT, Plan};
use crate::planted::Planted;
use crate::trace::Kept;
use crate::world::World;

/// Number of election timeouts within which writes must resume after the repair, and within which
/// all nodes must be identical after the last write.
const TIMEOUTS: u32 = 10;

/// The outcome of a seed.
#[derive(Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The violated invariant, if any.
    pub violation: Option<Violation>,
    /// Whether the history could be judged.
    pub judged: Judged,
    /// The number of events.
    pub events: u64,
    /// The number of operations in the history.
    pub operations: usize,
    /// The number of acknowledged writes.
    pub acknowledged: usize,
    /// A hash of everything that happened, if the trace was kept.
    pub hash: u64,
    plan: Plan,
    trace: Vec<String>,
}

/// Runs a seed.
pub fn run(seed: u64, planted: Planted, kept: Kept) -> Outcome {
    let plan = Plan::of(seed);
    planted.bug.plant();
    let mut world = World::new(seed, plan.clone(), planted, kept);
    let limit = ELECTION_TIMEOUT * TIMEOUTS;
    world.run_until(HEALED_AT + limit);
    let first = world.first_write_after_healing;
    world.check(|_| writes_resume::check(first, limit));
    world.make_room();
    world.closed_at = world.now;
    let settled_by = world.now + limit;
    while world.now < settled_by && world.violation.is_none() {
        world.run_until(world.now + Duration::from_millis(250));
        if !world.is_busy() && replicas_converge::check(&world.nodes).is_ok() {
            break;
        }
    }
    world.check(|world| replicas_converge::check(&world.nodes));
    let history = world.history();
    let mut judged = Judged::Fully;
    if plan.mode != Mode::Async {
        // The nodes are identical, as was just checked; with a planted bug, one may be down.
        let end = world.nodes.iter().find_map(|node| Some(node.core.as_ref()?.state().clone()));
        world.check(|_| nothing_is_lost::check(&history, &end.unwrap_or_default()));
        world.check(|_| linearizable::check(&history).map(|how| judged = how));
    }
    Outcome {
        seed,
        judged,
        events: world.events,
        operations: history.operations.len(),
        acknowledged: history.operations.iter().filter(|operation| operation.is_acknowledged_write()).count(),
        hash: world.trace.hash(),
        trace: world.trace.lines().map(str::to_owned).collect(),
        violation: world.violation,
        plan,
    }
}

/// For people: the violation, the plan, the last events, and the command that repeats the run.
impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(violation) = &self.violation else {
            return write!(formatter, "seed {}: all holds", self.seed);
        };
        for line in &self.trace {
            writeln!(formatter, "{line}")?;
        }
        writeln!(formatter, "\n{}", self.plan)?;
        writeln!(formatter, "seed {}: {}\n{}\n", self.seed, violation.invariant, violation.seen)?;
        write!(formatter, "to see it again: scripts/simulate.sh {} 1", self.seed)
    }
}
