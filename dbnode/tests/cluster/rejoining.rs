//! Members that were away for long, or lost their data.

use std::time::Instant;

use dbclient::{Condition, Read};

use crate::cluster::{Cluster, LIMIT, wait_for};

async fn write_many(cluster: &Cluster, name: &str, count: usize) {
    let client = cluster.client();
    for number in 0..count {
        let key = format!("{name}-{}", number % 300);
        let limit = Instant::now() + LIMIT;
        // On a busy computer there may be an election at any time.
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
    cluster.wait_until_equal();
    // It makes a majority with one of the others again, but not before the cluster has agreed to it.
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
    // A frozen replica may have had it in its ears; then it is not lost.
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
