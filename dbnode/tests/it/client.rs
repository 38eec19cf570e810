//! The client library against a node.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dbclient::Version;
use dbclient::{Client, ClientError, ClientLimits, Condition, Read};
use machine::names::Resolver;
use machine::network::Network;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::TestNode;

fn client_of(addresses: &[std::net::SocketAddr]) -> Client {
    let limits = ClientLimits { request: Duration::from_millis(1_500), ..ClientLimits::default() };
    Client::new(addresses.to_vec(), Network::tcp(), limits)
}

#[tokio::test]
async fn every_call_does_what_it_says() {
    let node = TestNode::start().await;
    let client = client_of(&[node.address]);
    let key = "größe/1 %2F ?#";
    assert_eq!(client.get(key, Read::Latest).await.unwrap(), None);
    let first = client.put(key, "1".into(), Condition::IfAbsent).await.unwrap();
    assert!(matches!(client.put(key, "2".into(), Condition::IfAbsent).await, Err(ClientError::Conflict)));
    let second = client.put(key, "2".into(), Condition::IfVersion(first)).await.unwrap();
    let record = client.get(key, Read::Local).await.unwrap().unwrap();
    assert_eq!((&*record.value, record.version, &*record.node), (&b"2"[..], second, "db-1"));
    let sum = client.add(key, 40, Some("once")).await.unwrap();
    assert_eq!((sum.value, sum.version), (42, Version::of(1, 4)));
    assert_eq!(client.add(key, 40, Some("once")).await.unwrap(), sum);
    client.delete(key, Condition::IfVersion(sum.version)).await.unwrap();
    assert_eq!(client.get(key, Read::Latest).await.unwrap(), None);
}

#[tokio::test]
async fn a_mistake_of_the_caller_is_told_from_a_failure() {
    let node = TestNode::start().await;
    let client = client_of(&[node.address]);
    let error = client.put("", "1".into(), Condition::Always).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::BadRequest { detail, .. } if detail.contains("at least one")),
        "{error}"
    );
    assert!(!error.may_retry() && !error.may_have_happened());
}

#[tokio::test]
async fn a_node_that_is_not_there_is_unreachable_and_another_one_is_asked() {
    let node = TestNode::start().await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = client_of(&[gone]).put("a", "1".into(), Condition::Always).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert!(error.may_retry() && !error.may_have_happened());
    client_of(&[gone, node.address]).put("a", "1".into(), Condition::Always).await.unwrap();
}

#[tokio::test]
async fn without_an_answer_a_read_has_timed_out_and_a_write_may_have_happened() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client_of(&[silent.local_addr().unwrap()]);
    assert!(matches!(client.get("a", Read::Latest).await, Err(ClientError::Timeout)));
    let error = client.put("a", "1".into(), Condition::Always).await.unwrap_err();
    assert!(error.may_have_happened() && !error.may_retry(), "{error}");
}

#[tokio::test]
async fn a_connection_that_the_node_closed_meanwhile_is_replaced() {
    let node = TestNode::start().await;
    let address = node.address;
    let client = client_of(&[address]);
    client.put("a", "1".into(), Condition::Always).await.unwrap();
    let data = node.stop().await;
    let mut config = crate::support::config(data.path());
    config.listen = address;
    let vitals = machine::vitals::Vitals::new("dbnode");
    let server = dbnode::start(config, machine::Machine::unlimited(), Network::tcp(), vitals).await.unwrap();
    tokio::spawn(server.run(tokio_util::sync::CancellationToken::new()));
    assert_eq!(client.get("a", Read::Latest).await.unwrap().unwrap().value, "1");
}

/// A server that answers every request with this, and its address.
async fn always(answer: &'static str) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                while stream.read(&mut request).await.is_ok_and(|bytes| bytes > 0) {
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn what_may_have_happened_at_one_node_is_not_undone_by_the_refusal_of_another() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for refusal in [
        "HTTP/1.1 503 x\r\nContent-Length: 38\r\n\r\n{\"error\":\"no_primary\",\"detail\":\"none\"}",
        "HTTP/1.1 503 x\r\nContent-Length: 37\r\n\r\n{\"error\":\"not_written\",\"detail\":\"no\"}",
    ] {
        let client = client_of(&[silent.local_addr().unwrap(), always(refusal).await]);
        let error = client.add("a", 1, Some("once")).await.unwrap_err();
        assert!(error.may_have_happened(), "{refusal}: {error}");
    }
}

#[tokio::test]
async fn a_redirect_does_not_lead_around_the_ways_that_were_given() {
    let node = TestNode::start().await;
    let elsewhere = "HTTP/1.1 307 x\r\nLocation: http://127.0.0.1:1/kv/a\r\nX-Db-Primary: db-1\r\nContent-Length: 0\r\n\r\n";
    let replica = always(elsewhere).await;
    let client = client_of(&[replica, node.address]);
    client.put("a", "1".into(), Condition::Always).await.unwrap();
    // The same holds if the replica is the only node left to ask.
    let error = client_of(&[replica]).put("a", "1".into(), Condition::Always).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
}

/// A network in which `db.lab:1` resolves to these addresses, which may change.
fn network_with(addresses: &Arc<Mutex<Vec<SocketAddr>>>) -> Network {
    let addresses = Arc::clone(addresses);
    Network::tcp().with_names(Resolver::new(move |name| match name {
        "db.lab:1" => Ok(addresses.lock().unwrap().clone()),
        _ => Err(std::io::Error::other("no such name")),
    }))
}

#[tokio::test]
async fn every_address_of_a_node_is_tried_and_its_name_is_followed() {
    let (first, second) = (TestNode::start().await, TestNode::start().await);
    for (node, value) in [(&first, "first"), (&second, "second")] {
        client_of(&[node.address]).put("a", value.into(), Condition::Always).await.unwrap();
    }
    let six = SocketAddr::from((Ipv6Addr::LOCALHOST, first.address.port()));
    let addresses = Arc::new(Mutex::new(vec![six, first.address]));
    let network = network_with(&addresses);
    let (name, unknown) = (network.name("db.lab:1"), network.name("gone.lab:1"));
    name.known().await.unwrap();
    let client = Client::new(vec![unknown, name], network, ClientLimits::default());
    let value = async || client.get("a", Read::Latest).await.unwrap().unwrap().value;
    assert_eq!(value().await, "first");
    *addresses.lock().unwrap() = vec![second.address];
    // It moves even though the first address still answers, and a connection to it is open.
    let moving = async {
        while value().await != "second" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), moving).await.expect("the client follows the name");
}

#[tokio::test]
async fn without_any_name_that_leads_somewhere_the_error_says_so() {
    let network = network_with(&Arc::default());
    let unknown = network.name("gone.lab:1");
    assert!(unknown.known().await.is_err());
    let client = Client::new(vec![unknown], network, ClientLimits::default());
    let error = client.put("a", "1".into(), Condition::Always).await.unwrap_err();
    assert!(error.may_retry() && !error.may_have_happened());
    assert!(error.to_string().contains("gone.lab:1"), "{error}");
}
