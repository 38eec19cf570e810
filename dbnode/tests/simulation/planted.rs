//! Bugs put in on purpose: a checker is trusted after it has caught one.

use dbnode::replication::planted;

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
    /// The disk says "on disk" when it was only asked.
    HastyDisk,
    /// It is in the core.
    #[cfg(feature = "planted-bugs")]
    Core(planted::Bug),
}

impl Bug {
    /// Whether it is in the disk.
    pub fn is_hasty_disk(self) -> bool {
        self == Self::HastyDisk
    }

    /// The one that is in the core.
    pub fn in_core(self) -> planted::Planted {
        match self {
            #[cfg(feature = "planted-bugs")]
            Self::Core(bug) => planted::Planted::bug(bug),
            _ => planted::Planted::default(),
        }
    }
}
