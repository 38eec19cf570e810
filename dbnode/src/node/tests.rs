//! Tests of a node on a disk in memory.

use std::collections::BTreeSet;

use machine::vitals::Vitals;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::early_ack::EarlyAck;
use super::*;
use crate::peers::Peers;
use crate::replication::durability::Mode;
use crate::replication::entry::Entry;
use crate::replication::input::Action;
use crate::replication::key::Key;
use crate::replication::life::Starts;
use crate::replication::member::Incarnation;
use crate::replication::{Limits, Timing};
use crate::storage::disk;
use crate::storage::disk::trial::Trial;
use crate::storage::memory::{Fault, Memory};
use dbclient::Condition;

/// Long enough for a disk in memory, and short enough for a test to wait for.
const PATIENCE: Duration = Duration::from_millis(400);

/// Starts a node on a disk. Also returns a handle to the driver's result.
async fn start(
    storage: impl Storage,
    recovered: Recovered,
) -> (Node, tokio::task::JoinHandle<Result<(), Halted>>) {
    start_counted(storage, recovered, Metrics::new(&Vitals::new("dbnode"))).await
}

async fn start_counted(
    storage: impl Storage,
    recovered: Recovered,
    metrics: Metrics,
) -> (Node, tokio::task::JoinHandle<Result<(), Halted>>) {
    let (node, driver) = node(setup(), recovered, storage, Machine::unlimited(), metrics);
    let driver = tokio::spawn(driver.run(Peers::none(), CancellationToken::new()));
    node.wait_for(Core::is_settled).await;
    (node, driver)
}

fn setup() -> Setup {
    Setup {
        name: "db-1".into(),
        incarnation: Incarnation(Uuid::from_u128(1)),
        starts: Starts::default(),
        members: vec!["db-1".into()],
        mode: Mode::Quorum,
        limits: Limits { patience: PATIENCE, ..Limits::default() },
        timing: Timing::default(),
        seed: 1,
    }
}

fn put(key: &str) -> Write {
    let key = Key::new(key).unwrap();
    Write { key, action: Action::Put("value".into()), condition: Condition::Always, request: None }
}

/// Writes `count` records, and returns the keys that were acknowledged.
async fn write_many(node: &Node, count: usize) -> BTreeSet<String> {
    let mut acknowledged = BTreeSet::new();
    for number in 0..count {
        let key = format!("key-{number}");
        if node.write(put(&key)).await.is_ok() {
            acknowledged.insert(key);
        }
    }
    acknowledged
}

/// The checker: the acknowledged keys that a node started from this disk now would not find.
fn lost(acknowledged: &BTreeSet<String>, disk: &Memory) -> Vec<String> {
    let Recovered { snapshot: mut state, entries, .. } = disk.recover();
    entries.iter().for_each(|entry| state.apply(entry));
    let lost = |key: &&String| state.get(key).is_none();
    acknowledged.iter().filter(lost).cloned().collect()
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_crash_in_the_middle_of_a_batch() {
    let disk = Memory::default();
    let (node, _driver) = start(disk.clone(), disk.recover()).await;
    let mut acknowledged = write_many(&node, 10).await;
    disk.set_fault(Some(Fault::Stuck));
    acknowledged.extend(write_many(&node, 12).await);
    assert_eq!(acknowledged.len(), 10);
    assert_eq!(lost(&acknowledged, &disk), [""; 0]);
}

#[tokio::test]
async fn the_checker_finds_a_node_that_acknowledges_before_it_syncs() {
    let disk = Memory::default();
    let (node, _driver) = start(EarlyAck::new(disk.clone()), disk.recover()).await;
    write_many(&node, 10).await;
    disk.set_fault(Some(Fault::Stuck));
    let acknowledged = BTreeSet::from(["key-10".to_owned()]);
    assert!(node.write(put("key-10")).await.is_ok(), "it says so");
    assert_eq!(lost(&acknowledged, &disk), ["key-10"]);
}

/// Uses real files, and cuts the power at the moment of the answer.
#[tokio::test]
async fn what_is_acknowledged_is_synced_before_the_answer() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let trial = Trial::of(&data);
    let (storage, recovered) = disk::open(&data, "db-1", None).await.unwrap();
    let (node, _driver) = start(storage, recovered).await;
    for number in 0..5 {
        let key = format!("key-{number}");
        node.write(put(&key)).await.unwrap();
        let crashed = directory.path().join(&key);
        trial.after_power_failure(&crashed);
        let (storage, recovered) = disk::open(&crashed, "db-1", None).await.unwrap();
        storage.close().await;
        let writes = recovered.entries.iter().filter_map(Entry::write);
        assert_eq!(writes.last().map(|write| write.key.as_str()), Some(&*key));
    }
}

#[tokio::test]
async fn a_disk_that_says_nothing_leads_to_an_unknown_outcome_in_time() {
    let disk = Memory::default();
    let (node, _driver) = start(disk.clone(), disk.recover()).await;
    disk.set_fault(Some(Fault::Stuck));
    assert_eq!(node.write(put("a")).await, Err(RejectReason::OutcomeUnknown));
}

/// Each of four writers is woken over a socket by the one before. All have sent their request by
/// the third poll of the sockets.
#[tokio::test]
async fn who_asks_while_a_batch_is_gathered_shares_its_sync() {
    let (disk, metrics) = (Memory::default(), Metrics::new(&Vitals::new("dbnode")));
    let (node, _driver) = start_counted(disk.clone(), disk.recover(), metrics.clone()).await;
    let before = metrics.syncs.get();
    let (first, mut heard) = UnixStream::pair().unwrap();
    let mut writers = Vec::new();
    for number in 0..4 {
        let ((mut tell, next), node) = (UnixStream::pair().unwrap(), node.clone());
        let mut hear = std::mem::replace(&mut heard, next);
        writers.push(tokio::spawn(async move {
            hear.read_u8().await.unwrap();
            tell.write_u8(0).await.unwrap();
            node.write(put(&format!("key-{number}"))).await
        }));
    }
    { first }.write_u8(0).await.unwrap();
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    assert_eq!(metrics.syncs.get() - before, 1);
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_takes_them_again_when_there_is_room() {
    refuses_and_takes_again(Fault::Full).await;
}

#[tokio::test]
async fn a_lack_of_something_else_refuses_writes_as_a_full_disk_does() {
    refuses_and_takes_again(Fault::Short).await;
}

async fn refuses_and_takes_again(fault: Fault) {
    let disk = Memory::default();
    let (node, _driver) = start(disk.clone(), disk.recover()).await;
    node.write(put("a")).await.unwrap();
    disk.set_fault(Some(fault));
    assert_eq!(node.write(put("b")).await, Err(RejectReason::DiskFull));
    assert!(node.read_local(|view| view.get("a").is_some() && view.get("b").is_none()));
    disk.set_fault(None);
    let written = async {
        loop {
            match node.write(put("b")).await {
                Err(RejectReason::DiskFull) => sleep(POLL).await,
                outcome => return outcome,
            }
        }
    };
    assert_eq!(timeout(Duration::from_secs(5), written).await.unwrap().unwrap().version.index(), 3);
}

#[tokio::test]
async fn a_broken_disk_stops_the_node_and_nothing_is_acknowledged_any_more() {
    let disk = Memory::default();
    let (node, driver) = start(disk.clone(), disk.recover()).await;
    disk.set_fault(Some(Fault::Broken));
    assert_eq!(node.write(put("a")).await, Err(RejectReason::OutcomeUnknown));
    assert!(driver.await.unwrap().is_err());
    assert_eq!(node.write(put("b")).await, Err(RejectReason::Stopped));
}

#[tokio::test]
async fn a_stop_answers_what_was_taken() {
    let disk = Memory::default();
    let metrics = Metrics::new(&Vitals::new("dbnode"));
    let (node, driver) = node(setup(), disk.recover(), disk.clone(), Machine::unlimited(), metrics);
    let stop = CancellationToken::new();
    let driving = tokio::spawn(driver.run(Peers::none(), stop.clone()));
    node.wait_for(Core::is_settled).await;
    let writing = tokio::spawn({
        let node = node.clone();
        async move { node.write(put("a")).await }
    });
    // It runs up to the point where it waits for its answer.
    tokio::task::yield_now().await;
    stop.cancel();
    driving.await.unwrap().unwrap();
    assert!(writing.await.unwrap().is_ok());
    assert_eq!(disk.recover().entries.len(), 2, "the cluster's, and the write");
}
