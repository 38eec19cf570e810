//! The program for each role of a chapter: located, and asked for its abilities, before anything starts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chapter::Chapter;
use chapter::machines::MachineEntry;

use crate::ability::Abilities;
use crate::known::{Kind, Known};
use crate::needs::{self, Skips};
use crate::{find, own, swap};

/// The programs that stand in for the lab's own in a chapter.
#[derive(Debug, Clone, Default)]
pub struct Cast {
    played: BTreeMap<String, Played>,
}

#[derive(Debug, Clone)]
struct Played {
    by: Program,
    abilities: Abilities,
}

/// The program to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// A known part, through its adapter: `part NAME --program PATH …`.
    Adapted {
        /// The adapter's name.
        name: String,
        /// The path of its program.
        path: PathBuf,
    },
    /// A program that implements the contract itself.
    Own(PathBuf),
}

/// Why a part cannot be used, as one sentence that says what to do.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PartError {
    /// It is not known, or it stands in for something else.
    #[error("{0}")]
    Unknown(String),
    /// It is not installed, or it cannot be started.
    #[error("{0}")]
    Missing(String),
}

impl Cast {
    /// Locates every foreign program of a chapter, and determines its abilities.
    pub async fn assemble(chapter: &Chapter) -> Result<Self, PartError> {
        let mut cast = Self::default();
        for (kind, program) in programs(chapter) {
            if !cast.played.contains_key(program) {
                let played = play(kind, program).await?;
                cast.played.insert(program.to_owned(), played);
            }
        }
        Ok(cast)
    }

    /// Returns whether the lab's own programs play every role.
    pub fn is_own(&self) -> bool {
        self.played.is_empty()
    }

    /// Returns whether one of the programs needs an adapter.
    pub fn wants_adapter(&self) -> bool {
        self.played.values().any(|played| matches!(played.by, Program::Adapted { .. }))
    }

    /// Returns what to start for a chapter's `program = "…"`.
    pub fn program(&self, program: &str) -> Option<&Program> {
        self.played.get(program).map(|played| &played.by)
    }

    /// Returns the claims and steps of a chapter that these programs cannot carry out, with the reasons.
    pub fn skips(&self, chapter: &Chapter) -> Skips {
        needs::skips(chapter, |program| self.played.get(program).map(|played| &played.abilities))
    }
}

/// Returns the foreign programs that a chapter names.
fn programs(chapter: &Chapter) -> impl Iterator<Item = (Kind, &str)> {
    chapter.machine.values().flat_map(|MachineEntry { lb, dbnode, .. }| {
        let lb = lb.as_ref().and_then(|lb| lb.program.as_deref()).map(|program| (Kind::Lb, program));
        let db = dbnode.as_ref().and_then(|db| db.program.as_deref()).map(|program| (Kind::Db, program));
        lb.into_iter().chain(db)
    })
}

async fn play(kind: Kind, program: &str) -> Result<Played, PartError> {
    if swap::is_path(program) {
        let path = PathBuf::from(program);
        if let Some(reason) = own::why_not_started(&path) {
            return Err(PartError::Missing(reason));
        }
        let abilities = own::abilities(&path).await.map_err(PartError::Missing)?;
        let path = std::path::absolute(&path).map_err(|error| PartError::Missing(error.to_string()))?;
        return Ok(Played { by: Program::Own(path), abilities });
    }
    let known = Known::named(program).filter(|known| known.kind == kind);
    let known = known.ok_or_else(|| {
        PartError::Unknown(format!(
            "there is no {} '{program}'; known are {}; a program of your own is given by its path: ./{program}",
            kind.name(),
            Known::names()
        ))
    })?;
    match find::find(&known.find) {
        Some(path) => {
            let by = Program::Adapted { name: known.name.to_owned(), path };
            Ok(Played { by, abilities: known.abilities() })
        }
        None => Err(PartError::Missing(format!(
            "{} is not on this computer: `{}` installs it (`labctl parts` shows what there is)",
            known.title, known.install
        ))),
    }
}
