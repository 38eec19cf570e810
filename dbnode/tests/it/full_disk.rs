//! There is no room on the disk, and then there is.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::TestNode;

/// A small disk of its own, which takes root to make; none when that cannot be.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let directory = TempDir::new().unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=48m", "tmpfs", directory.path().to_str().unwrap()];
        let mounted = Command::new("mount").args(mount).status().is_ok_and(|status| status.success());
        mounted.then_some(Self(directory))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

/// Takes all the room there is but for this much.
fn fill(directory: &Path, left: u64) -> std::path::PathBuf {
    let path = directory.join("filler");
    let free = nix::sys::statvfs::statvfs(directory).unwrap();
    let free = free.blocks_available() * free.fragment_size();
    fs::write(&path, vec![1; usize::try_from(free - left).unwrap()]).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_refused_while_the_disk_is_full_and_reads_go_on() {
    let Some(disk) = SmallDisk::mount() else {
        assert!(std::env::var_os("CI").is_none(), "CI can mount a small disk");
        return println!("SKIPPED: a small disk cannot be mounted; run this as root");
    };
    let data = tempfile::tempdir_in(disk.0.path()).unwrap();
    let node = TestNode::on(data).await;
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
    let limit = Instant::now() + Duration::from_secs(10);
    while node.put("/kv/after", b"value").await.status != 204 {
        assert!(Instant::now() < limit, "there is room, and nothing is written");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let node = node.restart().await;
    assert_eq!(node.get("/kv?prefix=large-&limit=1").await.json()["more"], written > 1);
    assert_eq!(node.get("/kv/after").await.body, b"value");
    drop(node.stop().await);
}
