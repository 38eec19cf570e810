//! The thread that waits for the disk. It performs one operation at a time.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use super::LogFiles;

type Work = Box<dyn FnOnce(&mut LogFiles) + Send>;

/// After this time without work, deferred work is done.
const IDLE: Duration = Duration::from_millis(200);

/// A handle to the log's thread.
#[derive(Debug)]
pub(in super::super) struct LogThread {
    work: mpsc::Sender<Work>,
    ended: oneshot::Receiver<()>,
}

impl LogThread {
    /// Starts the thread.
    pub(in super::super) fn start(mut files: LogFiles) -> io::Result<Self> {
        let (work, inbox) = mpsc::channel::<Work>();
        let (end, ended) = oneshot::channel();
        thread::Builder::new().name("log".into()).spawn(move || {
            run(&mut files, &inbox);
            files.close();
            drop(files);
            let _ = end.send(());
        })?;
        Ok(Self { work, ended })
    }

    /// Runs an operation on the thread, and waits for its result.
    pub(in super::super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut LogFiles) -> T + Send + 'static,
    ) -> T {
        let (done, outcome) = oneshot::channel();
        let work = move |files: &mut LogFiles| {
            // The caller may have stopped waiting.
            let _ = done.send(work(files));
        };
        self.work.send(Box::new(work)).expect("the thread lives as long as its handle");
        outcome.await.expect("the thread does not panic")
    }

    /// Waits until all work is done.
    pub(in super::super) async fn close(self) {
        drop(self.work);
        let _ = self.ended.await;
    }
}

/// Works until all handles are dropped.
fn run(files: &mut LogFiles, inbox: &mpsc::Receiver<Work>) {
    loop {
        match inbox.recv_timeout(IDLE) {
            Ok(work) => work(files),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                files.sync_acknowledged();
                match inbox.recv() {
                    Ok(work) => work(files),
                    Err(_) => return,
                }
            }
        }
    }
}
