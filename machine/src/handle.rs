//! The handle through which a server uses its machine.
//!
//! A server only states what its work costs: `machine.cpu(cost).await`. Without an emulated machine, all work
//! is free.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use crate::capacity::{DiskFull, Usage};
use crate::protocol::{EXIT_KILLED, FromMachine, SOCKET_VARIABLE, ToMachine};
use crate::trace;

/// A process's handle to its machine. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    bond: Option<Arc<Bond>>,
}

#[derive(Debug)]
struct Bond {
    next_id: AtomicU64,
    requests: mpsc::UnboundedSender<ToMachine>,
    answers: Mutex<HashMap<u64, oneshot::Sender<FromMachine>>>,
}

/// Memory held on the machine, released when this is dropped.
#[derive(Debug)]
#[must_use = "memory is given back when this is dropped"]
pub struct Held {
    bond: Option<Arc<Bond>>,
    bytes: u64,
}

/// The process could not connect to its machine.
#[derive(Debug, thiserror::Error)]
#[error("cannot reach the machine at {path}")]
pub struct Unreachable {
    path: String,
    source: std::io::Error,
}

impl Machine {
    /// Creates a machine without limits, which grants everything at once.
    pub fn unlimited() -> Self {
        Self::default()
    }

    /// Connects to the machine that this process was placed on; an unlimited one if there is none. When that
    /// machine dies, the process exits at once, as in a power cut.
    pub async fn from_environment() -> Result<Self, Unreachable> {
        let Ok(path) = std::env::var(SOCKET_VARIABLE) else { return Ok(Self::unlimited()) };
        let machine = Self::attach(&path).await.map_err(|source| Unreachable { path, source })?;
        Ok(machine)
    }

    async fn attach(path: &str) -> std::io::Result<Self> {
        let stream = UnixStream::connect(path).await?;
        Ok(Self::over(stream, |_| std::process::exit(EXIT_KILLED)))
    }

    /// Uses a machine over a connected socket; `gone` is called when the machine closes the connection.
    pub fn over(stream: UnixStream, gone: impl FnOnce(&'static str) + Send + 'static) -> Self {
        let (reader, writer) = stream.into_split();
        let (requests, outbox) = mpsc::unbounded_channel();
        let bond =
            Arc::new(Bond { next_id: AtomicU64::new(1), requests, answers: Mutex::new(HashMap::new()) });
        tokio::spawn(send_requests(writer, outbox));
        let receiving = Arc::clone(&bond);
        tokio::spawn(async move {
            receive_answers(reader, &receiving).await;
            gone("the machine is gone");
        });
        Self { bond: Some(bond) }
    }

    /// True if there is a machine, and so a limit.
    pub fn is_limited(&self) -> bool {
        self.bond.is_some()
    }

    /// Spends core time. Returns once it has been spent.
    pub async fn cpu(&self, cost: Duration) {
        if cost.is_zero() {
            return;
        }
        let nanos = u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX);
        let mut span = trace::Span::within_current(|| "cpu".into());
        if let Some(span) = &mut span {
            // The rest of the span's time was spent waiting for a core.
            span.say("cost_us", cost.as_micros());
        }
        self.ask(|id| ToMachine::Cpu { id, nanos }).await;
    }

    /// Performs disk operations that need free space, one after the other. Returns once they are done. If the
    /// disk is full, this is an error, and nothing was written. With 0 operations, only checks for free
    /// space.
    pub async fn write(&self, operations: u32) -> Result<(), DiskFull> {
        match self.ask(|id| ToMachine::Write { id, operations }).await {
            Some(FromMachine::DiskFull { .. }) => Err(DiskFull),
            _ => Ok(()),
        }
    }

    /// Takes all free space on the machine's disk, or releases it. Returns whether the machine received the
    /// request.
    pub async fn fill_disk(&self, full: bool) -> bool {
        self.ask(|id| ToMachine::Fill { id, full }).await.is_some()
    }

    /// Reads a page of data: free if it is in the page cache, one disk operation if not.
    pub async fn page(&self, page: u64) {
        self.ask(|id| ToMachine::Page { id, page }).await;
    }

    /// Reports that these pages have just been read sequentially, at startup.
    pub fn warm(&self, pages: std::ops::Range<u64>) {
        if let Some(bond) = &self.bond {
            bond.tell(ToMachine::Warm { from: pages.start, to: pages.end });
        }
    }

    /// Holds memory until the returned value is dropped. A machine without enough memory dies, and this
    /// process with it.
    pub fn hold(&self, bytes: u64) -> Held {
        let held = Held { bond: self.bond.clone(), bytes };
        held.change(|bytes| bytes);
        held
    }

    /// Returns the machine's figures, and the longest delay of its kernel since the last call; `None` if
    /// there is no machine.
    pub async fn usage(&self) -> Option<(Usage, Duration)> {
        match self.ask(|id| ToMachine::Usage { id }).await {
            Some(FromMachine::Usage { usage, late_micros_max, .. }) => {
                Some((usage, Duration::from_micros(late_micros_max)))
            }
            _ => None,
        }
    }

    async fn ask(&self, request: impl FnOnce(u64) -> ToMachine) -> Option<FromMachine> {
        let bond = self.bond.as_ref()?;
        let id = bond.next_id.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        bond.answers.lock().insert(id, answer);
        let _forget = ForgetOnDrop { bond, id };
        bond.tell(request(id));
        answered.await.ok()
    }
}

/// Drops the reply slot of a request whose future was dropped; the machine does the work nevertheless.
struct ForgetOnDrop<'a> {
    bond: &'a Bond,
    id: u64,
}

impl Drop for ForgetOnDrop<'_> {
    fn drop(&mut self) {
        self.bond.answers.lock().remove(&self.id);
    }
}

impl Bond {
    fn tell(&self, request: ToMachine) {
        // The other end is gone only if the machine is, and then this process is about to exit too.
        let _ = self.requests.send(request);
    }
}

impl Held {
    fn change(&self, sign: impl Fn(i64) -> i64) {
        if let (Some(bond), Ok(bytes)) = (&self.bond, i64::try_from(self.bytes))
            && bytes > 0
        {
            bond.tell(ToMachine::Hold { bytes: sign(bytes) });
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.change(|bytes| -bytes);
    }
}

/// Writes queued requests in batches.
async fn send_requests(mut writer: OwnedWriteHalf, mut outbox: mpsc::UnboundedReceiver<ToMachine>) {
    let mut batch = Vec::new();
    let mut bytes = Vec::new();
    while outbox.recv_many(&mut batch, 256).await > 0 {
        bytes.clear();
        for request in batch.drain(..) {
            serde_json::to_writer(&mut bytes, &request).expect("numbers always serialize");
            bytes.push(b'\n');
        }
        if writer.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

async fn receive_answers(reader: OwnedReadHalf, bond: &Bond) {
    let mut lines = BufReader::new(reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(answer) = serde_json::from_str::<FromMachine>(&line) else {
            tracing::warn!(
                line,
                "the machine sent an unknown reply; it and this process are of different versions"
            );
            continue;
        };
        let (FromMachine::Granted { id } | FromMachine::DiskFull { id } | FromMachine::Usage { id, .. }) =
            answer;
        if let Some(waiting) = bond.answers.lock().remove(&id) {
            let _ = waiting.send(answer);
        }
    }
}
