//! Long lists, and the requests that wait for them.

use std::time::{Duration, Instant};

use dbclient::Condition;
use tokio::task::JoinSet;

use crate::cluster::{Cluster, get};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn long_lists_of_bytes_depose_no_primary() {
    let cluster = Cluster::start(28, "quorum");
    let client = cluster.client();
    for number in 0..5_u8 {
        let value: Vec<_> = (0..1 << 20).map(|at| (at as u8) ^ number | 0x80).collect();
        client.put(&format!("bin{number}"), value.into(), Condition::Always).await.unwrap();
    }
    let primary = cluster.wait_for_primary();
    let term = cluster.status(primary).unwrap()["term"].clone();
    let mut lists = JoinSet::new();
    let address = cluster.address(primary);
    for _ in 0..8 {
        lists.spawn_blocking(move || {
            (0..3).for_each(|_| drop(get(address, "/kv?limit=1000&prefix=bin&read=local")));
        });
    }
    let (mut slowest, mut confirmed) = (Duration::ZERO, 0);
    while !lists.is_empty() {
        let began = Instant::now();
        match client.put("small", "value".into(), Condition::Always).await {
            Ok(_) => confirmed += 1,
            // On a busy computer, a disk may take longer than a client waits.
            Err(error) => assert!(error.may_have_happened(), "{error}"),
        }
        slowest = slowest.max(began.elapsed());
        while lists.try_join_next().is_some() {}
    }
    println!("{confirmed} writes, the slowest took {slowest:?}");
    assert!(confirmed > 0);
    let status = cluster.status(primary).unwrap();
    assert_eq!((&status["term"], &status["role"]), (&term, &"primary".into()));
}
