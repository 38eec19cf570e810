//! Start, stop, and start again.

use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::TestNode;

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let node = TestNode::start().await;
    for number in 0..50 {
        node.put(&format!("/kv/key-{number}"), b"value").await;
    }
    node.send("DELETE", "/kv/key-7", &[], b"").await;
    let node = node.restart().await;
    assert_eq!(node.get("/kv?limit=1000").await.json()["records"].as_array().unwrap().len(), 49);
    assert_eq!(node.get("/kv/key-3").await.header("etag"), "\"1.5\"");
    assert_eq!(node.put("/kv/new", b"value").await.header("etag"), "\"2.54\"");
}

fn run(flags: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dbnode")).args(flags).output().unwrap()
}

fn assert_fails(flags: &[&str], code: i32, words: &str) {
    let output = run(flags);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(words), "{said}");
}

#[test]
fn a_bad_flag_is_named_and_ends_with_2() {
    assert_fails(&["--id", "db-1"], 2, "--data");
    assert_fails(&["--id", "db 1", "--data", "x"], 2, "--id");
    assert_fails(&["--id", "db-1", "--data", "x", "--query-cost", "5"], 2, "--query-cost");
    assert_fails(&["--id", "db-1", "--data", "x", "--listen", "7001"], 2, "--listen");
    assert_fails(&["--id", "db-1", "--data", "x", "--speed", "7"], 2, "--speed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_cannot_be_says_why_and_ends_with_1() {
    let node = TestNode::start().await;
    let (used, free) = (node.data.path().to_str().unwrap(), TempDir::new().unwrap());
    assert_fails(&["--id", "db-1", "--data", used, "--listen", "127.0.0.1:0"], 1, "another process uses");
    let free = free.path().to_str().unwrap();
    let address = node.address.to_string();
    assert_fails(&["--id", "db-1", "--data", free, "--listen", &address], 1, "cannot listen on");
    let import = ["--id", "db-1", "--data", free, "--import", "/nowhere", "--listen", "127.0.0.1:0"];
    let other = TempDir::new().unwrap();
    let mut elsewhere = import;
    elsewhere[3] = other.path().to_str().unwrap();
    assert_fails(&elsewhere, 1, "cannot import /nowhere");
    let data = node.stop().await;
    let used = data.path().to_str().unwrap();
    assert_fails(&["--id", "db-2", "--data", used, "--listen", "127.0.0.1:0"], 1, "belongs to node 'db-1'");
}
