//! The final read: asks the database itself which values it holds at the end.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use history::lost::Final;
use hyper::{Method, StatusCode};
use tokio::time::{Instant, sleep, timeout_at};

use lab::http;

/// Timeout for the whole final read.
const LIMIT: Duration = Duration::from_secs(8);
/// Timeout for one node to return one record.
const PATIENCE: Duration = Duration::from_secs(2);
/// Records read concurrently.
const AT_ONCE: usize = 64;
/// Pause before the nodes are asked again when none of them had the value.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Reads the last value of every record from any node of a database that can serve it. A record that no node
/// can serve is left out.
pub async fn last_values(nodes: &[SocketAddr], keys: &[String], prefix: &str) -> Final {
    last_values_within(LIMIT, nodes, keys, prefix).await
}

async fn last_values_within(limit: Duration, nodes: &[SocketAddr], keys: &[String], prefix: &str) -> Final {
    let deadline = Instant::now() + limit;
    let reading = keys.iter().map(|key| async move {
        let path = format!("/kv/{prefix}{key}?read=latest");
        let value = timeout_at(deadline, last_value(nodes, &path)).await.ok()?;
        Some((key.clone(), value))
    });
    stream::iter(reading).buffer_unordered(AT_ONCE).filter_map(|read| async move { read }).collect().await
}

/// Asks one node after another until one answers.
async fn last_value(nodes: &[SocketAddr], path: &str) -> Option<String> {
    loop {
        for node in nodes {
            match http::ask(*node, Method::GET, path, None, PATIENCE).await {
                Ok(answer) if answer.status == StatusCode::NOT_FOUND => return None,
                Ok(answer) if answer.status == StatusCode::OK => {
                    return Some(String::from_utf8_lossy(&answer.body).trim().to_owned());
                }
                // Another node may know, or this one later.
                _ => {}
            }
        }
        sleep(AGAIN_AFTER).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Starts a node that returns 150 for every record.
    async fn node() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut asked = vec![0; 4096];
                    let _ = socket.read(&mut asked).await;
                    let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n150").await;
                });
            }
        });
        address
    }

    async fn unreachable() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
    }

    fn keys() -> Vec<String> {
        (1..=100).map(|key| key.to_string()).collect()
    }

    #[tokio::test]
    async fn whoever_can_say_it_is_asked() {
        let nodes = [unreachable().await, node().await];
        let found = last_values(&nodes, &keys(), "account:").await;
        assert_eq!(found.len(), 100);
        assert!(found.values().all(|value| value.as_deref() == Some("150")));
    }

    #[tokio::test]
    async fn what_nobody_says_is_left_out_and_all_of_it_takes_no_longer_than_it_may() {
        let began = Instant::now();
        let limit = Duration::from_millis(300);
        let found = last_values_within(limit, &[unreachable().await], &keys(), "account:").await;
        assert!(found.is_empty());
        assert!(began.elapsed() < limit * 10, "{:?}", began.elapsed());
    }
}
