//! The thread that waits for the disk: one piece of work after the other.

use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::LogFiles;

type Work = Box<dyn FnOnce(&mut LogFiles) + Send>;

/// The log, behind its thread.
#[derive(Debug)]
pub(in super::super) struct LogThread {
    work: mpsc::Sender<Work>,
    thread: JoinHandle<()>,
}

impl LogThread {
    /// Starts the thread.
    pub(in super::super) fn start(mut files: LogFiles) -> Self {
        let (work, inbox) = mpsc::channel::<Work>();
        let thread = std::thread::spawn(move || inbox.into_iter().for_each(|work| work(&mut files)));
        Self { work, thread }
    }

    /// Has the thread do something, and waits for what it comes to.
    pub(in super::super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut LogFiles) -> T + Send + 'static,
    ) -> T {
        let (done, outcome) = oneshot::channel();
        let work = move |files: &mut LogFiles| {
            // Whoever asked may have gone.
            let _ = done.send(work(files));
        };
        self.work.send(Box::new(work)).expect("the thread lives as long as its handle");
        outcome.await.expect("the thread does not panic")
    }

    /// Waits until everything is done.
    pub(in super::super) async fn close(self) {
        drop(self.work);
        let thread = self.thread;
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    }
}
