//! What can be done to a lab: by a chapter's step, or by hand from another terminal.

use serde::{Deserialize, Serialize};

/// Something that can be done to a lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "act")]
pub enum Act {
    /// SIGKILL for a machine and everything on it, or for one program: `app`, `app/dbnode`.
    Kill {
        /// Which.
        name: String,
    },
    /// SIGSTOP for a machine and everything on it, or for one program.
    Freeze {
        /// Which.
        name: String,
    },
    /// SIGCONT.
    Thaw {
        /// Which.
        name: String,
    },
    /// Starts a machine again, with its data; one that is still there is killed first.
    Restart {
        /// Which machine.
        name: String,
    },
    /// Takes all room on a machine's disk: its database cannot write any more.
    Fill {
        /// Which machine.
        name: String,
    },
    /// Gives the room on a machine's disk back.
    Empty {
        /// Which machine.
        name: String,
    },
    /// Adds a machine of a kind, behind its balancer.
    Add {
        /// Which kind.
        kind: String,
    },
    /// Drains a machine, and stops it for good.
    Remove {
        /// Which machine.
        name: String,
    },
    /// Makes a link slow.
    Slow {
        /// From which machine.
        from: String,
        /// To which.
        to: String,
        /// By how many milliseconds for each round trip.
        by_ms: u64,
    },
    /// Lets nothing through a link.
    Cut {
        /// From which machine.
        from: String,
        /// To which.
        to: String,
    },
    /// Answers 500 in place of a link's far end.
    Fail {
        /// From which machine.
        from: String,
        /// To which.
        to: String,
    },
    /// Breaks a link and makes it whole, over and over.
    Flap {
        /// From which machine.
        from: String,
        /// To which.
        to: String,
        /// For how many milliseconds each.
        every_ms: u64,
    },
    /// Cuts every link between machines of different groups.
    Partition {
        /// The groups, of machines.
        groups: Vec<Vec<String>>,
    },
    /// Makes every link whole and fast, and puts every container's cable back.
    HealAll,
    /// Makes a link whole and fast.
    Heal {
        /// From which machine.
        from: String,
        /// To which.
        to: String,
    },
}
