//! Errors that end labctl, and their exit codes.

use std::io;

use chapter::ChapterError;
use parts::PartError;

/// Exit code: a claim failed.
pub const EXIT_FAILED: u8 = 1;
/// Exit code: the request makes no sense, or a chapter file is wrong.
pub const EXIT_USAGE: u8 = 2;
/// Exit code: the host or the load generator was the bottleneck, so nothing was judged.
pub const EXIT_INCONCLUSIVE: u8 = 3;

/// A reason to stop, with its exit code.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The chapter file is invalid.
    #[error(transparent)]
    Chapter(#[from] ChapterError),
    /// The request makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The environment is not ready. The text is one sentence that says what to do.
    #[error("{0}")]
    NotReady(String),
    /// What should have been measured never became steady, so there is no result.
    #[error("{0}")]
    Unsteady(String),
    /// Interrupted by Ctrl-C (130), SIGTERM (143) or a closed terminal (129).
    #[error("interrupted; everything that this command started has been stopped")]
    Interrupted(u8),
    /// The lab itself broke.
    #[error("{0:#}")]
    Broken(anyhow::Error),
}

impl LabError {
    /// Builds the error for an environment that is not ready.
    pub fn not_ready(sentence: impl Into<String>) -> Self {
        Self::NotReady(sentence.into())
    }

    /// The exit code, as documented in the contract.
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

/// A full disk or a missing permission is the environment's fault wherever it shows up; everything else is
/// the lab's.
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
