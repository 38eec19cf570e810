//! How labctl ends when it cannot do what it was asked.

use std::io;

use chapter::ChapterError;
use parts::PartError;

/// A claim failed.
pub const EXIT_FAILED: u8 = 1;
/// What was asked for makes no sense, or a chapter file is wrong.
pub const EXIT_USAGE: u8 = 2;
/// The host or the load generator was the bottleneck, so nothing was judged.
pub const EXIT_INCONCLUSIVE: u8 = 3;

/// A reason to stop, and with it an exit code.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The chapter file is not one.
    #[error(transparent)]
    Chapter(#[from] ChapterError),
    /// What was asked for makes no sense as it stands.
    #[error("{0}")]
    Usage(String),
    /// The environment is not ready. One sentence that says what to do.
    #[error("{0}")]
    NotReady(String),
    /// What was to be measured never became steady, so that nothing can be said.
    #[error("{0}")]
    Unsteady(String),
    /// Somebody wants an end: Ctrl-C (130), SIGTERM (143), a closed terminal (129).
    #[error("interrupted; everything that this command started has been stopped")]
    Interrupted(u8),
    /// The lab itself broke.
    #[error("{0:#}")]
    Broken(anyhow::Error),
}

impl LabError {
    /// The environment is not ready.
    pub fn not_ready(sentence: impl Into<String>) -> Self {
        Self::NotReady(sentence.into())
    }

    /// The exit code that the contract promises.
    pub fn code(&self) -> u8 {
        match self {
            Self::Chapter(_) | Self::Usage(_) => EXIT_USAGE,
            Self::NotReady(_) => 4,
            Self::Unsteady(_) => EXIT_INCONCLUSIVE,
            Self::Broken(_) => 5,
            Self::Interrupted(code) => *code,
        }
    }

    /// An error that another labctl reported.
    pub fn reported(code: u8, reason: String) -> Self {
        match code {
            2 => Self::Usage(reason),
            3 => Self::Unsteady(reason),
            4 => Self::NotReady(reason),
            _ => Self::Broken(anyhow::Error::msg(reason)),
        }
    }
}

impl From<PartError> for LabError {
    fn from(error: PartError) -> Self {
        match error {
            PartError::Unknown(sentence) => Self::Usage(sentence),
            PartError::Missing(sentence) => Self::NotReady(sentence),
        }
    }
}

/// What goes wrong with a full disk or a missing permission is the environment's matter, wherever it
/// goes wrong; the rest is the lab's.
impl From<anyhow::Error> for LabError {
    fn from(error: anyhow::Error) -> Self {
        let cause = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).find_map(advice);
        match cause {
            Some(advice) => Self::NotReady(format!("{error:#}; {advice}")),
            None => Self::Broken(error),
        }
    }
}

/// What to do about an error that the environment caused.
pub fn advice(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("the disk is full: make room there")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Some("it is not writable: choose another with --lab-dir or --runs-dir")
        }
        _ => None,
    }
}
