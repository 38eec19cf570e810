//! Scripted fault sequences that chance hardly ever produces. Each brings a cluster of three right
//! to the point where a single rule keeps it from losing something.

use std::time::Duration;

use dbnode::replication::durability::Mode;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::network::Order;
use crate::plan::{Fault, Plan, Target};

/// A scripted fault sequence.
#[derive(Debug, Clone, Copy)]
pub enum Play {
    /// A member's directory is replaced; another member has the entry that says so, but never
    /// learns that it is committed. The primary and the new directory carry on. Then the old
    /// directory comes back, and the primary crashes.
    ReplacedComesBack,
    /// A primary that was cut off does not know of its successor yet. A node that elected the
    /// successor loses its directory, and meets the old primary first.
    NewJoinsThePast,
    /// Messages overtake each other, and the log is short: a primary mistakes an up-to-date replica
    /// for one that needs a snapshot, and the snapshot arrives late.
    LateSnapshots,
    /// One primary after another crashes a moment after its election, and comes back. Unfinished
    /// entries of several terms are on different nodes (the Raft paper's figure 8), and nothing
    /// else is wrong.
    UnfinishedTerms,
}

impl Plan {
    /// Turns this into the plan of a play. The first node by name forms the cluster, and so is the
    /// first primary.
    pub fn play(&mut self, play: Play, dice: &mut ChaCha8Rng) {
        (self.nodes, self.mode, self.order) = (3, Mode::Quorum, Order::Kept);
        (self.log_entries, self.batch_entries) = (10_000, 1_024);
        self.imports = false;
        self.faults.clear();
        match play {
            Play::ReplacedComesBack => self.replaced_comes_back(dice),
            Play::NewJoinsThePast => self.new_joins_the_past(dice),
            Play::LateSnapshots => self.late_snapshots(dice),
            Play::UnfinishedTerms => self.unfinished_terms(dice),
        }
    }

    fn at(&mut self, ms: u64, fault: Fault) {
        self.faults.push((Duration::from_millis(ms), fault));
    }

    fn replaced_comes_back(&mut self, dice: &mut ChaCha8Rng) {
        let (replaced, behind) = if dice.random() { (1, 2) } else { (2, 1) };
        let moved = dice.random_range(1_200..2_500);
        // Its confirmations are slow, so it is cut off before it can hear what follows from them.
        self.at(moved - 100, Fault::Delay(Target::Node(behind), 400));
        self.at(moved, Fault::MoveAway(replaced));
        self.at(moved + dice.random_range(40..200), Fault::Isolate(Target::Node(behind)));
        let back = moved + dice.random_range(1_200..2_000);
        self.at(back - 20, Fault::Crash(Target::Node(0)));
        self.at(back, Fault::PutBack(replaced));
        self.at(back + 10, Fault::MendAll);
        self.at(back + 3_000, Fault::StartAll);
    }

    fn new_joins_the_past(&mut self, dice: &mut ChaCha8Rng) {
        let cut_off = dice.random_range(800..2_500);
        // The clock rates give the successor more time than it would have otherwise.
        for (node, percent) in [(0, 50), (1, 200), (2, 200)] {
            self.at(cut_off - 500, Fault::Clock(node, percent));
        }
        self.at(cut_off, Fault::Isolate(Target::Node(0)));
        let lost = cut_off + dice.random_range(800..1_000);
        self.at(lost, Fault::Pause(Target::Primary, 2_000));
        self.at(lost + 1, Fault::Wipe(Target::Replica));
        self.at(lost + 2, Fault::MendAll);
    }

    fn unfinished_terms(&mut self, dice: &mut ChaCha8Rng) {
        // One entry at a time, so that those of earlier terms and the new primary's own arrive
        // separately.
        self.batch_entries = 1;
        self.at(dice.random_range(300..1_500), Fault::Ambush(6_000));
    }

    fn late_snapshots(&mut self, dice: &mut ChaCha8Rng) {
        (self.order, self.clients) = (Order::Any, 5);
        (self.log_entries, self.batch_entries) = (dice.random_range(2..6), dice.random_range(1..3));
        let mut at = 600;
        while at < 7_500 {
            self.at(at, Fault::Delay(Target::Primary, dice.random_range(40..250)));
            if at < 4_000 {
                self.at(at + dice.random_range(100..1_000), Fault::Crash(Target::Replica));
            }
            at += dice.random_range(500..1_500);
            self.at(at, Fault::StartAll);
        }
    }
}
