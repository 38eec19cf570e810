//! The disk is full for a while.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::TestNode;

/// A small disk, which requires root; `None` if it cannot be mounted.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounts a disk of this size, in MiB.
    fn mount(size: u32) -> Option<Self> {
        let directory = TempDir::new().unwrap();
        let size = format!("size={size}m");
        let mount = ["-t", "tmpfs", "-o", &size, "tmpfs", directory.path().to_str().unwrap()];
        let mounted = Command::new("mount").args(mount).status().is_ok_and(|status| status.success());
        if !mounted {
            assert!(std::env::var_os("CI").is_none(), "CI can mount a small disk");
            println!("SKIPPED: a small disk cannot be mounted; run this as root");
        }
        mounted.then_some(Self(directory))
    }

    /// Starts a node on the disk.
    async fn start(&self) -> TestNode {
        TestNode::on(tempfile::tempdir_in(self.0.path()).unwrap()).await
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

/// Fills the disk, except for this many bytes.
fn fill(directory: &Path, left: u64) -> std::path::PathBuf {
    let path = directory.join("filler");
    let free = nix::sys::statvfs::statvfs(directory).unwrap();
    let free = free.blocks_available() * free.fragment_size();
    fs::write(&path, vec![1; usize::try_from(free - left).unwrap()]).unwrap();
    path
}

/// Retries a write until it succeeds.
async fn put_in_time(node: &TestNode, path: &str, value: &[u8]) {
    let limit = Instant::now() + Duration::from_secs(10);
    while node.put(path, value).await.status != 204 {
        assert!(Instant::now() < limit, "there is room, and nothing is written");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_refused_while_the_disk_is_full_and_reads_go_on() {
    let Some(disk) = SmallDisk::mount(48) else { return };
    let node = disk.start().await;
    node.put("/kv/before", b"value").await;
    let filler = fill(disk.0.path(), 1 << 20);
    let large = vec![7; 1 << 20];
    let mut written = 0;
    let refusal = loop {
        let answer = node.put(&format!("/kv/large-{written}"), &large).await;
        if answer.status != 204 {
            break answer;
        }
        written += 1;
        assert!(written < 40, "the disk does not get full");
    };
    refusal.assert_problem(503, "not_written", "the disk is full");
    assert_eq!(node.get("/kv/before").await.body, b"value");
    assert_eq!(node.get("/healthz").await.status, 200);
    fs::remove_file(filler).unwrap();
    put_in_time(&node, "/kv/after", b"value").await;
    let node = node.restart().await;
    assert_eq!(node.get("/kv?prefix=large-&limit=1").await.json()["more"], written > 1);
    assert_eq!(node.get("/kv/after").await.body, b"value");
    drop(node.stop().await);
}

/// The log is compacted every thousand writes, which needs space.
#[tokio::test(flavor = "multi_thread")]
async fn a_compaction_that_finds_no_room_ends_nothing_nor_does_a_start_on_a_full_disk() {
    let Some(disk) = SmallDisk::mount(40) else { return };
    let node = disk.start().await;
    let value = |number: u32| vec![number as u8; 5_000];
    // The last writes before the disk is full.
    for number in 0..900 {
        node.put(&format!("/kv/key-{number}"), &value(number)).await;
    }
    let filler = fill(disk.0.path(), 0);
    let (mut acknowledged, mut refused) = (900, 0);
    while refused < 30 {
        match node.put(&format!("/kv/key-{acknowledged}"), &value(acknowledged)).await.status {
            204 => acknowledged += 1,
            status => {
                assert_eq!(status, 503);
                refused += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        assert!(acknowledged < 9_000, "the disk does not get full");
    }
    let node = node.restart().await;
    for number in acknowledged - 300..acknowledged {
        let found = node.get(&format!("/kv/key-{number}")).await;
        assert_eq!(found.body, value(number), "write {number} of {acknowledged}");
    }
    let status = node.get("/status").await.json();
    assert!(status["log_bytes"].as_u64().unwrap() >= 8 << 20, "{status}");
    fs::remove_file(filler).unwrap();
    put_in_time(&node, "/kv/after", b"value").await;
    // The failed compaction is retried on its own.
    let compacted = async {
        while node.get("/status").await.json()["no_room"] != false {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), compacted).await.expect("there is room again");
    drop(node.stop().await);
}

/// Normally the log would be compacted only at a size larger than the disk.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_fills_a_small_disk_is_compacted_and_writes_go_on() {
    let Some(disk) = SmallDisk::mount(24) else { return };
    let mut node = disk.start().await;
    for number in 0..200_u8 {
        put_in_time(&node, "/kv/one", &vec![number; 200_000]).await;
        if number == 100 {
            node = node.restart().await;
        }
    }
    assert_eq!(node.get("/kv/one").await.body, vec![199; 200_000]);
    drop(node.stop().await);
}

/// Other programs fill the disk completely.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_writes_on_where_others_have_filled_the_disk_while_its_records_do_not_grow() {
    let Some(disk) = SmallDisk::mount(64) else { return };
    let node = disk.start().await;
    node.put("/kv/one", &[0; 200_000]).await;
    fill(disk.0.path(), 0);
    for number in 0..200_u8 {
        put_in_time(&node, "/kv/one", &vec![number; 200_000]).await;
    }
    drop(node.stop().await);
}
