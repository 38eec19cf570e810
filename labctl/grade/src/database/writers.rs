//! Background writers: each writes to its own records, one write at a time, and records every outcome in the ledger.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::call::{Call, Caller, Ended, WRITE_MAX};
use super::ledger::Ledger;

/// The number of records per client.
const RECORDS: u64 = 10;
/// The pause of a client between two writes.
const REST: Duration = Duration::from_millis(5);
/// The pause of a client after a failed write.
const REST_AFTER_FAILURE: Duration = Duration::from_millis(40);

/// Returns a value that no other write has.
pub(super) fn next_value() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed).to_string()
}

/// Writes in the background.
#[derive(Debug)]
pub(super) struct Writers {
    ends: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Vec<Instant>>>,
    last_failure: Arc<Mutex<Option<String>>>,
    tasks: JoinSet<()>,
    begin: Instant,
}

/// The results of the background writers.
#[derive(Debug)]
pub(super) struct Written {
    /// The number of acknowledged writes.
    pub acknowledged: usize,
    /// The longest time without an acknowledged write.
    pub gap: Duration,
    /// Why the last failed write failed.
    pub last_failure: Option<String>,
}

impl Writers {
    /// Starts the writers.
    pub(super) fn start(count: usize, nodes: &Arc<[SocketAddr]>, ledger: &Arc<Mutex<Ledger>>) -> Self {
        let mut writers = Self {
            ends: Arc::default(),
            acknowledged: Arc::default(),
            last_failure: Arc::default(),
            tasks: JoinSet::new(),
            begin: Instant::now(),
        };
        for number in 0..count {
            let caller = Caller::new(Arc::clone(nodes), number);
            let (ends, ledger) = (Arc::clone(&writers.ends), Arc::clone(ledger));
            let acknowledged = Arc::clone(&writers.acknowledged);
            let last_failure = Arc::clone(&writers.last_failure);
            writers.tasks.spawn(async move {
                let mut caller = caller;
                let mut turn = 0;
                while !ends.load(Ordering::Acquire) {
                    let key = format!("w-{number}-{}", turn % RECORDS);
                    turn += 1;
                    let value = next_value();
                    let ended = caller.call(&Call::put(&key, &value), WRITE_MAX).await;
                    ledger.lock().note(&key, Some(value), ended.became());
                    if matches!(ended, Ended::Done(..)) {
                        acknowledged.lock().push(Instant::now());
                        sleep(REST).await;
                    } else {
                        *last_failure.lock() = Some(ended.why().to_owned());
                        sleep(REST_AFTER_FAILURE).await;
                    }
                }
            });
        }
        writers
    }

    /// Stops the writers, and waits for the last responses.
    pub(super) async fn finish(mut self) -> Written {
        self.ends.store(true, Ordering::Release);
        let end = Instant::now();
        while self.tasks.join_next().await.is_some() {}
        let mut at: Vec<_> = std::mem::take(&mut *self.acknowledged.lock());
        at.retain(|at| *at <= end);
        at.sort();
        let ends = at.iter().copied().chain([end]);
        let begins = [self.begin].into_iter().chain(at.iter().copied());
        let gap = ends.zip(begins).map(|(end, begin)| end - begin).max().unwrap_or_default();
        Written { acknowledged: at.len(), gap, last_failure: self.last_failure.lock().take() }
    }
}

/// Writes each record once, retrying until the write is acknowledged. `Err` names one that was not.
pub(super) async fn write_all(
    keys: Vec<(String, Option<String>)>,
    at_once: usize,
    nodes: &Arc<[SocketAddr]>,
    first: SocketAddr,
    ledger: &Arc<Mutex<Ledger>>,
    within: Duration,
) -> Result<(), String> {
    let begin_at = nodes.iter().position(|node| *node == first).unwrap_or(0);
    let left = Arc::new(Mutex::new(keys));
    let mut tasks: JoinSet<Result<(), String>> = JoinSet::new();
    for _ in 0..at_once {
        let (left, ledger) = (Arc::clone(&left), Arc::clone(ledger));
        let mut caller = Caller::new(Arc::clone(nodes), begin_at);
        tasks.spawn(async move {
            while let Some((key, value)) = { left.lock().pop() } {
                write_one(&key, value, &mut caller, &ledger, within).await?;
            }
            Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(|error| error.to_string())??;
    }
    Ok(())
}

async fn write_one(
    key: &str,
    value: Option<String>,
    caller: &mut Caller,
    ledger: &Mutex<Ledger>,
    within: Duration,
) -> Result<(), String> {
    let call = value.as_ref().map_or_else(|| Call::delete(key), |value| Call::put(key, value));
    let deadline = Instant::now() + within;
    loop {
        let ended = caller.call(&call, WRITE_MAX.min(within)).await;
        ledger.lock().note(key, value.clone(), ended.became());
        if matches!(ended, Ended::Done(..)) {
            return Ok(());
        }
        if Instant::now() > deadline {
            let what = format!("{} {}", call.method, call.path);
            return Err(format!("{what} was not acknowledged within {within:?}: {}", ended.why()));
        }
        sleep(REST_AFTER_FAILURE).await;
    }
}
