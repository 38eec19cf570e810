//! Disk operations in progress: at most one of each kind.

use std::future::{Future, pending};
use std::pin::Pin;

/// An operation in progress, or none.
pub(super) struct Work<T>(Option<Pin<Box<dyn Future<Output = T> + Send>>>);

impl<T> Default for Work<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Work<T> {
    /// Begins an operation.
    pub(super) fn begin(&mut self, work: impl Future<Output = T> + Send + 'static) {
        assert!(self.0.is_none(), "the core asks for one thing of a kind at a time");
        self.0 = Some(Box::pin(work));
    }

    /// True if no operation is in progress.
    pub(super) fn is_idle(&self) -> bool {
        self.0.is_none()
    }

    /// Waits for the operation's result; never completes if none is in progress.
    pub(super) async fn finished(&mut self) -> T {
        let Some(under_way) = &mut self.0 else { return pending().await };
        let outcome = under_way.await;
        self.0 = None;
        outcome
    }
}
