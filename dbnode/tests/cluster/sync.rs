//! The guarantees of `sync`, and their cost.

use dbclient::{ClientError, Condition, Read};

use crate::cluster::{Cluster, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_shown_by_every_node() {
    let cluster = Cluster::start(31, "sync");
    let client = cluster.client();
    let nodes: Vec<_> = (0..3).map(|node| cluster.client_of(node)).collect();
    for deposit in 1..=300 {
        let sum = client.add("account", 50, None).await.unwrap();
        assert_eq!(sum.value, 50 * deposit);
        for node in &nodes {
            let record = node.get("account", Read::Local).await.unwrap().unwrap();
            assert_eq!(record.value, sum.value.to_string(), "{} is behind", record.node);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_down_is_named_and_reads_go_on() {
    let mut cluster = Cluster::start(32, "sync");
    let client = cluster.client();
    client.put("key", "value".into(), Condition::Always).await.unwrap();
    let primary = cluster.wait_for_primary();
    let down = (primary + 1) % 3;
    cluster.kill(down);
    wait_for("the primary to know", || {
        let status = cluster.status(primary)?;
        let replicas = status["replicas"].as_array()?.clone();
        replicas.iter().any(|replica| replica["up"] == false).then_some(())
    });
    match client.put("key", "other".into(), Condition::Always).await {
        Err(ClientError::NotWritten { detail, .. }) => {
            assert!(detail.contains(&format!("'db-{}' is down", down + 1)), "{detail}");
        }
        outcome => panic!("{outcome:?}"),
    }
    assert_eq!(client.get("key", Read::Latest).await.unwrap().unwrap().value, "value");
    cluster.run(down);
    wait_for("writes to go on", || {
        let put = client.put("key", "again".into(), Condition::Always);
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(put)).ok()
    });
    cluster.wait_until_equal();
}
