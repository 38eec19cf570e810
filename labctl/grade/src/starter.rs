//! Starting points: parts that pass the first stages (`labctl new lb --language python`, `labctl new db …`).

use crate::stage::Kind;

/// A language with a starter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Python, with its standard library only.
    Python,
}

impl Language {
    /// All languages.
    pub const ALL: [Self; 1] = [Self::Python];

    /// Returns its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
        }
    }
}

/// Returns the text of a part that passes the first stages.
pub fn text(kind: Kind, language: Language) -> &'static str {
    match (kind, language) {
        (Kind::Lb, Language::Python) => include_str!("../starters/lb.py"),
        (Kind::Db, Language::Python) => include_str!("../starters/db.py"),
    }
}
