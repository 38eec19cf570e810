//! The primary dies, freezes, or stops.

use std::time::{Duration, Instant};

use dbclient::{ClientError, Condition, Read};

use crate::cluster::Cluster;

/// Retries a write until it is acknowledged, and returns how long that took.
async fn write_until_acknowledged(cluster: &Cluster, key: &str) -> Duration {
    let (client, began) = (cluster.client_with(Duration::from_millis(300)), Instant::now());
    while let Err(error) = client.put(key, "value".into(), Condition::Always).await {
        assert!(began.elapsed() < Duration::from_secs(20), "{error}");
    }
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_resume_soon_after_the_primary_is_killed_and_nothing_acknowledged_is_lost() {
    let mut cluster = Cluster::start(1, "quorum");
    let mut gaps = Vec::new();
    for round in 0..10 {
        write_until_acknowledged(&cluster, &format!("before-{round}")).await;
        let primary = cluster.wait_for_primary();
        cluster.kill(primary);
        gaps.push(write_until_acknowledged(&cluster, &format!("after-{round}")).await);
        cluster.run(primary);
        cluster.wait_until_equal();
    }
    gaps.sort();
    println!("writes resumed after {gaps:?}");
    assert!(gaps[gaps.len() / 2] < Duration::from_millis(1_500), "{gaps:?}");
    let client = cluster.client();
    for round in 0..10 {
        for key in [format!("before-{round}"), format!("after-{round}")] {
            assert!(client.get(&key, Read::Latest).await.unwrap().is_some(), "{key} is lost");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_primary_is_replaced_and_acknowledges_nothing_when_it_wakes() {
    let cluster = Cluster::start(2, "quorum");
    let frozen = cluster.wait_for_primary();
    cluster.signal(frozen, "STOP");
    let gap = write_until_acknowledged(&cluster, "meanwhile").await;
    println!("writes resumed after {gap:?}");
    assert!(gap < Duration::from_secs(3), "{gap:?}");
    // The frozen node accepts the connection, and reads the request once it continues.
    let asked = cluster.client_of(frozen);
    let asking = tokio::spawn(async move { asked.put("key", "stale".into(), Condition::Always).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    cluster.signal(frozen, "CONT");
    match asking.await.unwrap() {
        Err(_) => {}
        // It heard from its successor first, and redirected the client.
        Ok(version) => assert!(version.term() > 1, "a deposed primary acknowledged {version}"),
    }
    cluster.wait_until_equal();
    assert!(cluster.client_of(frozen).get("meanwhile", Read::Local).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_stops_hands_over_first() {
    let mut cluster = Cluster::start(3, "quorum");
    let mut gaps = Vec::new();
    for round in 0..3 {
        write_until_acknowledged(&cluster, &format!("before-{round}")).await;
        let primary = cluster.wait_for_primary();
        cluster.signal(primary, "TERM");
        cluster.wait_for_primary_other_than(Some(primary));
        gaps.push(write_until_acknowledged(&cluster, &format!("after-{round}")).await);
        cluster.wait_for_end(primary);
        cluster.run(primary);
        cluster.wait_until_equal();
    }
    println!("writes resumed after {gaps:?}");
    gaps.sort();
    assert!(gaps[1] < Duration::from_millis(500), "{gaps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_that_is_repeated_across_a_failover_counts_once() {
    let mut cluster = Cluster::start(4, "quorum");
    let client = cluster.client();
    for round in 0..5 {
        let name = format!("deposit-{round}");
        let depositing = tokio::spawn({
            let (client, name) = (client.clone(), name.clone());
            async move { client.add("account", 50, Some(&name)).await }
        });
        let primary = cluster.wait_for_primary();
        cluster.kill(primary);
        let first = depositing.await.unwrap();
        // Whatever the answer, the client retries with the same idempotency key.
        let sum = loop {
            match client.add("account", 50, Some(&name)).await {
                Ok(sum) => break sum,
                Err(ClientError::BadRequest { detail, .. }) => panic!("{detail}"),
                Err(_) => {}
            }
        };
        assert_eq!(sum.value, 50 * (round + 1), "after {first:?}");
        cluster.run(primary);
        cluster.wait_until_equal();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_nothing_is_written_and_what_is_here_can_be_read() {
    let mut cluster = Cluster::start(5, "quorum");
    write_until_acknowledged(&cluster, "key").await;
    cluster.wait_until_equal();
    let left = cluster.wait_for_primary();
    for node in (0..3).filter(|node| *node != left) {
        cluster.kill(node);
    }
    let client = cluster.client_of(left);
    let refusal = client.put("other", "value".into(), Condition::Always).await.unwrap_err();
    assert!(
        matches!(refusal, ClientError::OutcomeUnknown { .. } | ClientError::NotWritten { .. }),
        "{refusal}"
    );
    assert!(client.get("key", Read::Latest).await.is_err(), "nobody can say that this is the latest");
    assert!(client.get("key", Read::Local).await.unwrap().is_some());
}
