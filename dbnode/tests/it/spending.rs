//! The resources that a node uses on its machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dbnode::config::Reads;
use dbnode::start;
use machine::Machine;
use machine::network::Network;
use machine::protocol::{FromMachine, ToMachine};
use machine::vitals::Vitals;
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use crate::support::{TestNode, config};

/// A machine that grants every request at once and records it, like `cpu 3ms`.
async fn generous_machine() -> (Machine, Arc<Mutex<Vec<String>>>) {
    let (machine, asked, _) = machine_with_a_disk().await;
    (machine, asked)
}

/// The same, with a disk that can be made full.
async fn machine_with_a_disk() -> (Machine, Arc<Mutex<Vec<String>>>, Arc<AtomicBool>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    let full = Arc::new(AtomicBool::new(false));
    let is_full = Arc::clone(&full);
    tokio::spawn(async move {
        let (reader, mut writer) = ours.into_split();
        let mut lines = BufReader::new(reader).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let (id, note) = match serde_json::from_str(&line).unwrap() {
                ToMachine::Cpu { id, nanos } => (Some(id), format!("cpu {:?}", Duration::from_nanos(nanos))),
                ToMachine::Write { id, operations } => (Some(id), format!("write {operations}")),
                ToMachine::Page { id, page } => (Some(id), format!("page {page}")),
                ToMachine::Warm { from, to } => (None, format!("warm {from}..{to}")),
                other => panic!("a database does not ask for {other:?}"),
            };
            let refused = note.starts_with("write") && is_full.load(Ordering::Acquire);
            noted.lock().push(note);
            if let Some(id) = id {
                let answer = if refused { FromMachine::DiskFull { id } } else { FromMachine::Granted { id } };
                let answer = serde_json::to_string(&answer).unwrap();
                writer.write_all(format!("{answer}\n").as_bytes()).await.unwrap();
            }
        }
    });
    (Machine::over(theirs, |_| {}), asked, full)
}

#[tokio::test]
async fn a_machine_whose_disk_is_full_refuses_writes_until_it_is_emptied_and_reads_go_on() {
    let data = TempDir::new().unwrap();
    let (machine, _, full) = machine_with_a_disk().await;
    let config = config(&data.path().join("data"));
    let server = start(config, machine, Network::tcp(), Vitals::new("dbnode")).await.unwrap();
    let node = TestNode::run(server, data, CancellationToken::new()).await;
    assert_eq!(node.put("/kv/before", b"1").await.status, 204);
    full.store(true, Ordering::Release);
    node.put("/kv/meanwhile", b"2").await.assert_problem(503, "not_written", "the disk is full");
    assert_eq!(node.get("/kv/before").await.body, b"1");
    assert_eq!(node.get("/healthz").await.status, 200);
    full.store(false, Ordering::Release);
    let written = async {
        while node.put("/kv/after", b"3").await.status != 204 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), written).await.expect("there is room, so it is written");
    assert_eq!(node.get("/kv/meanwhile").await.status, 404);
    drop(node.stop().await);
}

#[tokio::test]
async fn an_operation_takes_core_time_a_sync_the_disk_and_a_read_its_page() {
    let data = TempDir::new().unwrap();
    let import = data.path().join("import.jsonl");
    std::fs::write(&import, "{\"key\":\"a\",\"value\":\"1\"}\n{\"key\":\"b\",\"value\":\"2\"}\n").unwrap();
    let (machine, asked) = generous_machine().await;
    let mut config = config(&data.path().join("data"));
    config.query_cost = Duration::from_millis(3);
    config.reads = Reads::ThroughPages;
    config.import = Some(import);
    let server = start(config, machine, Network::tcp(), Vitals::new("dbnode")).await.unwrap();
    let node = TestNode::run(server, data, CancellationToken::new()).await;
    node.get("/kv/b").await;
    node.put("/kv/c", b"3").await;
    node.get("/kv/c").await;
    node.get("/kv/nothing").await;
    node.get("/status").await;
    let expected =
        ["warm 0..2", "write 1", "cpu 3ms", "page 1", "cpu 3ms", "write 1", "cpu 3ms", "page 2", "cpu 3ms"];
    assert_eq!(*asked.lock(), expected);
}
