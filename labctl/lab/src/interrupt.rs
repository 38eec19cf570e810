//! Ctrl-C, SIGTERM, a closed terminal, `labctl down`: every wait can be interrupted, and then cleans up.

use std::sync::{Arc, OnceLock};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::LabError;

/// The exit code after SIGTERM or `labctl down`.
pub const TERMINATED: u8 = 143;

/// Tells every waiting task that the command should end. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    token: CancellationToken,
    /// Set before the token is cancelled, so there is never an end without a code.
    code: Arc<OnceLock<u8>>,
}

impl Interrupt {
    /// Listens for SIGINT (exit code 130), SIGTERM (143) and SIGHUP (129). The second one of a kind ends the process
    /// at once.
    pub fn listen() -> std::io::Result<Self> {
        let interrupt = Self::default();
        let signals = [
            (SignalKind::interrupt(), 130),
            (SignalKind::terminate(), TERMINATED),
            (SignalKind::hangup(), 129),
        ];
        for (kind, code) in signals {
            let mut signals = signal(kind)?;
            let interrupt = interrupt.clone();
            tokio::spawn(async move {
                signals.recv().await;
                interrupt.raise(code);
                // Whoever asks twice does not want to wait for an orderly end. Processes end with this one; containers
                // stay until `labctl down`.
                signals.recv().await;
                std::process::exit(i32::from(code));
            });
        }
        Ok(interrupt)
    }

    /// Requests an end with this exit code. The first call counts.
    pub fn raise(&self, code: u8) {
        self.code.get_or_init(|| code);
        self.token.cancel();
    }

    /// Runs work to its end, or until the interrupt.
    pub async fn unless<T>(&self, work: impl Future<Output = Result<T, LabError>>) -> Result<T, LabError> {
        match self.token.run_until_cancelled(work).await {
            Some(done) => done,
            None => self.check().and(Err(LabError::Interrupted(TERMINATED))),
        }
    }

    /// Returns an error if an end was requested.
    pub fn check(&self) -> Result<(), LabError> {
        match self.code.get() {
            Some(code) => Err(LabError::Interrupted(*code)),
            None => Ok(()),
        }
    }

    /// Waits until an end is requested.
    pub async fn raised(&self) {
        self.token.cancelled().await;
    }
}
