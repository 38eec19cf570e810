//! A node on a disk in memory.

use std::collections::BTreeSet;

use machine::vitals::Vitals;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::client::Condition;
use crate::replication::input::Action;
use crate::replication::key::Key;
use crate::storage::hasty::Hasty;
use crate::storage::memory::{Fault, Memory};

/// Starts a node on a disk; the last is what the driver ends with.
fn start(storage: impl Storage, recovered: Recovered) -> (Node, tokio::task::JoinHandle<Result<(), Halted>>) {
    let metrics = Metrics::new(&Vitals::new("dbnode"));
    let (node, driver) = node(recovered, Limits::default(), storage, Machine::unlimited(), metrics);
    (node, tokio::spawn(driver.run(CancellationToken::new())))
}

fn put(key: &str) -> Write {
    let key = Key::new(key).unwrap();
    Write { key, action: Action::Put("value".into()), condition: Condition::Always, request: None }
}

/// Writes until one write is not acknowledged, or for so many; what was acknowledged.
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

/// The checker: which acknowledged writes does a node not find that starts from this disk now?
fn lost(acknowledged: &BTreeSet<String>, disk: &Memory) -> Vec<String> {
    let Recovered { snapshot, entries } = disk.recover();
    let restarted = Core::new(snapshot, entries, Limits::default());
    let there = |key: &&String| restarted.state().get(key).is_none();
    acknowledged.iter().filter(there).cloned().collect()
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_survives_a_crash_in_the_middle_of_a_batch() {
    let disk = Memory::default();
    let (node, _driver) = start(disk.clone(), disk.recover());
    let mut acknowledged = write_many(&node, 10).await;
    disk.set_fault(Some(Fault::Stuck));
    acknowledged.extend(write_many(&node, 12).await);
    assert_eq!(acknowledged.len(), 10);
    assert_eq!(lost(&acknowledged, &disk), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_checker_finds_a_node_that_acknowledges_before_it_syncs() {
    let disk = Memory::default();
    let (node, _driver) = start(Hasty::new(disk.clone()), disk.recover());
    write_many(&node, 10).await;
    disk.set_fault(Some(Fault::Stuck));
    let acknowledged = BTreeSet::from(["key-10".to_owned()]);
    assert!(node.write(put("key-10")).await.is_ok(), "it says so");
    assert_eq!(lost(&acknowledged, &disk), ["key-10"]);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_says_nothing_leads_to_an_unknown_outcome_in_time() {
    let disk = Memory::default();
    disk.set_fault(Some(Fault::Stuck));
    let (node, _driver) = start(disk.clone(), disk.recover());
    assert_eq!(node.write(put("a")).await, Err(Refusal::OutcomeUnknown));
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_takes_them_again_when_there_is_room() {
    let disk = Memory::default();
    let (node, _driver) = start(disk.clone(), disk.recover());
    node.write(put("a")).await.unwrap();
    disk.set_fault(Some(Fault::Full));
    assert_eq!(node.write(put("b")).await, Err(Refusal::DiskFull));
    assert!(node.read(|state| state.get("a").is_some() && state.get("b").is_none()));
    disk.set_fault(None);
    assert_eq!(node.write(put("b")).await.unwrap().version.0, 2);
}

#[tokio::test]
async fn a_broken_disk_stops_the_node_and_nothing_is_acknowledged_any_more() {
    let disk = Memory::default();
    let (node, driver) = start(disk.clone(), disk.recover());
    disk.set_fault(Some(Fault::Broken));
    assert_eq!(node.write(put("a")).await, Err(Refusal::OutcomeUnknown));
    assert!(driver.await.unwrap().is_err());
    assert_eq!(node.write(put("b")).await, Err(Refusal::Stopped));
}

#[tokio::test]
async fn a_stop_answers_what_was_taken() {
    let disk = Memory::default();
    let metrics = Metrics::new(&Vitals::new("dbnode"));
    let (node, driver) = node(disk.recover(), Limits::default(), disk.clone(), Machine::unlimited(), metrics);
    let stop = CancellationToken::new();
    let writing = tokio::spawn({
        let node = node.clone();
        async move { node.write(put("a")).await }
    });
    while node.inbox.capacity() == INBOX_MAX {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    driver.run(stop).await.unwrap();
    assert!(writing.await.unwrap().is_ok());
    assert_eq!(disk.recover().entries.len(), 1);
}
