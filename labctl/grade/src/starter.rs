//! Where to begin: a part that passes the first stages (`labctl new lb --language python`, `labctl new db …`).

use crate::stage::Kind;

/// A language there is a beginning in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Python, its standard library alone.
    Python,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Python];

    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
        }
    }
}

/// The text of a part that passes the first stages.
pub fn text(kind: Kind, language: Language) -> &'static str {
    match (kind, language) {
        (Kind::Lb, Language::Python) => include_str!("../starters/lb.py"),
        (Kind::Db, Language::Python) => include_str!("../starters/db.py"),
    }
}
