//! Planted bugs: a checker is trusted only after it has caught one. They are not in this tree:
//! `scripts/planted.sh` puts them into a copy of it, and runs the tests that find them there.

/// A planted bug, and the invariant that has to find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planted {
    /// The planted bug.
    pub bug: Bug,
    /// Checks only this invariant; `None` checks all of them.
    pub found_by: Option<&'static str>,
}

impl Planted {
    /// No bug; all invariants are checked.
    pub const NOTHING: Self = Self { bug: Bug::None, found_by: None };
}

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// No bug.
    None,
    /// The simulated disk confirms a batch before it is written.
    HastyDisk,
    /// One of `dbnode/tests/planted/bugs.toml`.
    InCore(&'static str),
}

impl Bug {
    /// True if the bug is in the disk.
    pub fn is_hasty_disk(self) -> bool {
        self == Self::HastyDisk
    }

    /// Activates the bug for simulations on this thread.
    pub fn plant(self) {
        plant(if let Self::InCore(bug) = self { Some(bug) } else { None });
    }
}

fn plant(bug: Option<&'static str>) {
    assert_eq!(bug, None, "this tree has no bugs: see scripts/planted.sh");
}
