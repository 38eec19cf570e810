//! Bugs put in on purpose: a checker is trusted after it has caught one. They are not in this tree:
//! `scripts/planted.sh` puts them into a copy of it, and runs what finds them there.

/// What is put in, and who is to find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planted {
    /// What is put in.
    pub bug: Bug,
    /// Only this invariant is looked at; all of them, without.
    pub found_by: Option<&'static str>,
}

impl Planted {
    /// Nothing is put in, and everybody looks.
    pub const NOTHING: Self = Self { bug: Bug::None, found_by: None };
}

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// No bug.
    None,
    /// The simulated disk says "on disk" when it was only asked.
    HastyDisk,
    /// One of `dbnode/tests/planted/bugs.toml`.
    InCore(&'static str),
}

impl Bug {
    /// Whether it is in the disk.
    pub fn is_hasty_disk(self) -> bool {
        self == Self::HastyDisk
    }

    /// From now on this thread simulates with it.
    pub fn plant(self) {
        plant(if let Self::InCore(bug) = self { Some(bug) } else { None });
    }
}

fn plant(bug: Option<&'static str>) {
    assert_eq!(bug, None, "this tree has no bugs: see scripts/planted.sh");
}
