//! One member's disk is full.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use dbnode::client::{ClientError, Condition};

use crate::cluster::{Cluster, wait_for};

/// A small disk in the place of a node's data directory, which takes root to make.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(directory: &'a Path) -> Option<Self> {
        fs::create_dir_all(directory).unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=26m", "tmpfs", directory.to_str().unwrap()];
        let mounted = Command::new("mount").args(mount).status().is_ok_and(|status| status.success());
        mounted.then_some(Self(directory))
    }

    /// Takes all the room there is.
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

/// Puts large values until one is refused: why, and after it until one is taken: after how long.
async fn put_until_refused(cluster: &Cluster) -> String {
    let (client, began) = (cluster.client_with(Duration::from_millis(500)), Instant::now());
    for number in 0.. {
        match client.put(&format!("large-{}", number % 3), vec![7; 100_000].into(), Condition::Always).await {
            Ok(_) => assert!(began.elapsed() < Duration::from_secs(20), "nothing is refused"),
            Err(ClientError::NotWritten { detail, .. }) => return detail,
            Err(_) => {}
        }
    }
    unreachable!()
}

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
    let Some(disk) = SmallDisk::mount(&data) else {
        assert!(std::env::var_os("CI").is_none(), "CI can mount a small disk");
        return println!("SKIPPED: a small disk cannot be mounted; run this as root");
    };
    cluster.form();
    cluster.make_primary(0);
    disk.fill();
    let client = cluster.client_with(Duration::from_millis(300));
    let mut longest = Duration::ZERO;
    let mut last = Instant::now();
    for number in 0..400 {
        if client.put(&format!("k-{}", number % 7), vec![7; 50_000].into(), Condition::Always).await.is_ok() {
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
    }
    println!("the longest time without a write was {longest:?}");
    assert_ne!(cluster.wait_for_primary(), 0);
    assert!(longest < Duration::from_secs(3), "{longest:?}");
    let full = |wanted: bool| {
        let status = cluster.status(cluster.wait_for_primary())?;
        let replicas = status["replicas"].as_array()?.clone();
        replicas.iter().any(|it| it["id"] == "db-1" && it["no_room"] == wanted).then_some(())
    };
    wait_for("it to be named", || full(true));
    disk.make_room();
    wait_for("it to have room", || full(false));
    cluster.wait_until_equal();
}

#[tokio::test(flavor = "multi_thread")]
async fn in_sync_a_member_whose_disk_is_full_is_named_in_the_refusal() {
    let mut cluster = Cluster::new(42, "sync");
    let data = cluster.data(2);
    let Some(disk) = SmallDisk::mount(&data) else {
        assert!(std::env::var_os("CI").is_none(), "CI can mount a small disk");
        return println!("SKIPPED: a small disk cannot be mounted; run this as root");
    };
    cluster.form();
    cluster.make_primary(0);
    disk.fill();
    let refusal = put_until_refused(&cluster).await;
    assert!(refusal.contains("'db-3' has no room on its disk"), "{refusal}");
    disk.make_room();
    put_until_taken(&cluster).await;
    cluster.wait_until_equal();
}
