//! Taking stock: what the database has in the end, asked of the database itself.

use std::net::SocketAddr;
use std::time::Duration;

use history::lost::Final;
use hyper::{Method, StatusCode};

use crate::lab::http;

/// How long a record's last value may take to be read.
const PATIENCE: Duration = Duration::from_secs(3);

/// Reads the last value of every record, from whichever of a database's nodes can say it. A record that
/// none of them can is left out.
pub async fn last_values(nodes: &[SocketAddr], keys: &[String], prefix: &str) -> Final {
    let mut found = Final::new();
    for key in keys {
        let path = format!("/kv/{prefix}{key}?read=latest");
        for node in nodes {
            let answer = http::ask(*node, Method::GET, &path, None, PATIENCE).await;
            let value = match answer {
                Ok(answer) if answer.status == StatusCode::NOT_FOUND => None,
                Ok(answer) if answer.status == StatusCode::OK => {
                    Some(String::from_utf8_lossy(&answer.body).trim().to_owned())
                }
                // Another node may know.
                _ => continue,
            };
            found.insert(key.clone(), value);
            break;
        }
    }
    found
}
