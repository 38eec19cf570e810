//! One member's disk is full.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use dbclient::{ClientError, Condition};

use crate::cluster::{Cluster, wait_for};

/// A small disk mounted on a node's data directory, which requires root.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(directory: &'a Path) -> Option<Self> {
        fs::create_dir_all(directory).unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=240m", "tmpfs", directory.to_str().unwrap()];
        let mounted = Command::new("mount").args(mount).status().is_ok_and(|status| status.success());
        mounted.then_some(Self(directory))
    }

    /// Fills the disk.
    fn fill(&self) {
        let free = nix::sys::statvfs::statvfs(self.0).unwrap();
        let free = free.blocks_available() * free.fragment_size();
        fs::write(self.0.join("filler"), vec![1; usize::try_from(free).unwrap()]).unwrap();
    }

    fn make_room(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

/// Writes large values until one is refused for this reason.
async fn put_until_refused(cluster: &Cluster, reason: &str) {
    let (client, began) = (cluster.client_with(Duration::from_millis(500)), Instant::now());
    for number in 0.. {
        match client.put(&format!("large-{number}"), vec![7; 500_000].into(), Condition::Always).await {
            Err(ClientError::NotWritten { detail, .. }) if detail.contains(reason) => return,
            other => assert!(began.elapsed() < Duration::from_secs(20), "not refused for this: {other:?}"),
        }
    }
}

/// Forms a cluster whose first node is the primary, and in which the disk of this directory is
/// small and full. Returns `None`, and prints so, if no disk can be mounted.
fn form_with_a_full_disk<'a>(cluster: &mut Cluster, data: &'a Path) -> Option<SmallDisk<'a>> {
    let Some(disk) = SmallDisk::mount(data) else {
        assert!(std::env::var_os("CI").is_none(), "CI can mount a small disk");
        println!("SKIPPED: a small disk cannot be mounted; run this as root");
        return None;
    };
    cluster.form();
    cluster.make_primary(0);
    disk.fill();
    Some(disk)
}

/// Retries a small write until it is accepted, and returns how long that took.
async fn put_until_taken(cluster: &Cluster) -> Duration {
    let (client, began) = (cluster.client_with(Duration::from_millis(300)), Instant::now());
    while let Err(error) = client.put("small", "value".into(), Condition::Always).await {
        assert!(began.elapsed() < Duration::from_secs(20), "{error}");
    }
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_whose_disk_is_full_hands_over_and_is_named() {
    let mut cluster = Cluster::new(41, "quorum");
    let data = cluster.data(0);
    let Some(disk) = form_with_a_full_disk(&mut cluster, &data) else { return };
    let full = |wanted: bool| {
        let status = cluster.status(cluster.wait_for_primary())?;
        let replicas = status["replicas"].as_array()?.clone();
        replicas.iter().any(|it| it["id"] == "db-1" && it["no_room"] == wanted).then_some(())
    };
    // More than fits, even after everything that can be compacted has been.
    let (client, began) = (cluster.client_with(Duration::from_secs(2)), Instant::now());
    for number in 0.. {
        let put = client.put(&format!("k-{}", number % 80), vec![7; 500_000].into(), Condition::Always).await;
        if cluster.wait_for_primary() != 0 && full(true).is_some() {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "it leads, or is not named: {put:?}");
    }
    let without_writes = put_until_taken(&cluster).await;
    assert!(without_writes < Duration::from_secs(3), "{without_writes:?}");
    assert_ne!(cluster.wait_for_primary(), 0);
    disk.make_room();
    wait_for("it to have room", || full(false));
    cluster.wait_until_equal();
}

#[tokio::test(flavor = "multi_thread")]
async fn in_sync_a_member_whose_disk_is_full_is_named_in_the_refusal() {
    let mut cluster = Cluster::new(42, "sync");
    let data = cluster.data(2);
    let Some(disk) = form_with_a_full_disk(&mut cluster, &data) else { return };
    put_until_refused(&cluster, "'db-3' has no room on its disk").await;
    disk.make_room();
    put_until_taken(&cluster).await;
    cluster.wait_until_equal();
}
