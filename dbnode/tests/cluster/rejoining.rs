//! Members that were away for long, or lost their data.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use dbclient::{Condition, Read};

use crate::cluster::{Cluster, LIMIT, wait_for};
use crate::strangers::says;

async fn write_many(cluster: &Cluster, name: &str, count: usize) {
    let client = cluster.client();
    for number in 0..count {
        let key = format!("{name}-{}", number % 300);
        let limit = Instant::now() + LIMIT;
        // On a busy computer, an election may happen at any time.
        while let Err(error) = client.put(&key, number.to_string().into(), Condition::Always).await {
            assert!(Instant::now() < limit, "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_was_away_for_long_gets_the_snapshot() {
    let mut cluster = Cluster::with_log(11, "quorum", "100");
    let away = (cluster.wait_for_primary() + 1) % 3;
    write_many(&cluster, "before", 20).await;
    cluster.kill(away);
    write_many(&cluster, "meanwhile", 1_000).await;
    cluster.run(away);
    cluster.wait_until_equal();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_lost_its_data_joins_again_and_is_counted() {
    let mut cluster = Cluster::start(12, "quorum");
    write_many(&cluster, "key", 200).await;
    let primary = cluster.wait_for_primary();
    let (emptied, other) = ((primary + 1) % 3, (primary + 2) % 3);
    cluster.kill(emptied);
    std::fs::remove_dir_all(cluster.data(emptied)).unwrap();
    cluster.run(emptied);
    cluster.wait_until_joined();
    // It can form a majority with one of the others again, but not before the cluster has agreed to
    // it.
    cluster.kill(other);
    write_many(&cluster, "after", 20).await;
    cluster.run(other);
    cluster.wait_until_equal();
    assert!(cluster.client_of(emptied).get("after-19", Read::Local).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn all_at_once_without_warning_and_everything_is_there() {
    let mut cluster = Cluster::start(13, "quorum");
    write_many(&cluster, "key", 100).await;
    (0..3).for_each(|node| cluster.kill(node));
    (0..3).for_each(|node| cluster.run(node));
    cluster.wait_for_primary();
    let client = cluster.client();
    for number in 0..100 {
        let record = client.get(&format!("key-{number}"), Read::Latest).await.unwrap();
        assert_eq!(record.unwrap().value, number.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_old_primary_had_is_cut_off_and_listed() {
    let mut cluster = Cluster::start(14, "async");
    write_many(&cluster, "key", 10).await;
    cluster.wait_until_equal();
    let primary = cluster.wait_for_primary();
    let others: Vec<_> = (0..3).filter(|node| *node != primary).collect();
    others.iter().for_each(|node| cluster.signal(*node, "STOP"));
    let client = cluster.client_of(primary);
    client.put("doomed", "value".into(), Condition::Always).await.unwrap();
    cluster.kill(primary);
    others.iter().for_each(|node| cluster.signal(*node, "CONT"));
    cluster.wait_for_primary();
    // A frozen replica may already have received the entry; then it is not lost.
    write_many(&cluster, "after", 10).await;
    cluster.run(primary);
    cluster.wait_until_equal();
    let kept = cluster.client().get("doomed", Read::Latest).await.unwrap().is_some();
    let discarded = wait_for("its status", || cluster.status(primary))["discarded"].as_u64().unwrap();
    assert_eq!(discarded, u64::from(!kept));
    if !kept {
        let list = std::fs::read_to_string(cluster.data(primary).join("discarded.jsonl")).unwrap();
        assert!(list.contains("\"key\":\"doomed\""), "{list}");
    }
}

/// Copies a directory with its content.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_of_a_directory_makes_no_majority_and_joins_again() {
    let mut cluster = Cluster::start(15, "quorum");
    write_many(&cluster, "old", 20).await;
    cluster.make_primary(0);
    cluster.kill(2);
    let kept = cluster.directory().join("copy");
    copy(&cluster.data(2), &kept);
    cluster.run(2);
    cluster.wait_until_joined();
    // What follows is on the disks of db-1 and db-3.
    cluster.kill(1);
    write_many(&cluster, "new", 50).await;
    cluster.kill(0);
    cluster.kill(2);
    fs::remove_dir_all(cluster.data(2)).unwrap();
    fs::rename(kept, cluster.data(2)).unwrap();
    cluster.run(1);
    // Twice, because starting a directory does not make it newer.
    says(cluster.command(2), "was started from old data");
    says(cluster.command(2), "was started from old data");
    cluster.run(2);
    wait_for("both to know of each other", || {
        let knows = |node| cluster.status(node).is_some_and(|status| status["role"] != "primary");
        (knows(1) && knows(2)).then_some(())
    });
    let client = cluster.client_with(Duration::from_secs(3));
    assert!(client.get("new-0", Read::Latest).await.is_err(), "who knows what was acknowledged is away");
    cluster.run(0);
    cluster.wait_until_joined();
    for number in 0..50 {
        let record = cluster.client().get(&format!("new-{number}"), Read::Latest).await.unwrap();
        assert_eq!(record.unwrap().value, number.to_string());
    }
    // It has joined again: with db-1 away, it is part of the majority.
    cluster.kill(0);
    write_many(&cluster, "after", 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_first_member_imports_and_all_have_its_records() {
    let mut cluster = Cluster::new(16, "quorum");
    for (node, lines) in [(0, 1), (1, 5), (2, 0)] {
        let file = cluster.directory().join(format!("import-{node}"));
        let line = |number| format!("{{\"key\":\"price-{number}\",\"value\":\"{node}\"}}\n");
        fs::write(&file, (0..lines).map(line).collect::<String>()).unwrap();
        cluster.give(node, &["--import", file.to_str().unwrap()]);
    }
    cluster.form();
    write_many(&cluster, "key", 10).await;
    cluster.wait_until_equal();
    for node in 0..3 {
        let price = cluster.client_of(node).get("price-0", Read::Local).await.unwrap().unwrap();
        assert_eq!(price.value, "0");
    }
    // It loses its disk, and its import file was edited meanwhile.
    cluster.kill(0);
    fs::remove_dir_all(cluster.data(0)).unwrap();
    let edited: String =
        (0..40).map(|number| format!("{{\"key\":\"price-{number}\",\"value\":\"edited\"}}\n")).collect();
    fs::write(cluster.directory().join("import-0"), edited).unwrap();
    cluster.run(0);
    cluster.wait_until_equal();
    assert_eq!(cluster.client_of(0).get("price-0", Read::Local).await.unwrap().unwrap().value, "0");
    assert!(cluster.client_of(0).get("price-9", Read::Local).await.unwrap().is_none());
}
