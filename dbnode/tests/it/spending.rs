//! What a node spends on the machine it stands on.

use std::sync::Arc;
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

/// A machine that grants everything at once and remembers what was asked, as `cpu 3ms`.
async fn generous_machine() -> (Machine, Arc<Mutex<Vec<String>>>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    tokio::spawn(async move {
        let (reader, mut writer) = ours.into_split();
        let mut lines = BufReader::new(reader).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let (id, note) = match serde_json::from_str(&line).unwrap() {
                ToMachine::Cpu { id, nanos } => (Some(id), format!("cpu {:?}", Duration::from_nanos(nanos))),
                ToMachine::Disk { id, operations } => (Some(id), format!("disk {operations}")),
                ToMachine::Page { id, page } => (Some(id), format!("page {page}")),
                ToMachine::Warm { from, to } => (None, format!("warm {from}..{to}")),
                other => panic!("a database does not ask for {other:?}"),
            };
            noted.lock().push(note);
            if let Some(id) = id {
                let granted = serde_json::to_string(&FromMachine::Granted { id }).unwrap();
                writer.write_all(format!("{granted}\n").as_bytes()).await.unwrap();
            }
        }
    });
    (Machine::over(theirs, |_| {}), asked)
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
        ["warm 0..2", "disk 1", "cpu 3ms", "page 1", "cpu 3ms", "disk 1", "cpu 3ms", "page 2", "cpu 3ms"];
    assert_eq!(*asked.lock(), expected);
}
