//! The balancers' administration: servers join and leave, and what a balancer notices by itself is
//! written down.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use hyper::{Method, StatusCode};
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::events::{Events, Happening};
use super::http;

const POLL: Duration = Duration::from_millis(50);
const CALL: Duration = Duration::from_secs(2);
/// A server that leaves may take this long to finish what it has.
const DRAIN: Duration = Duration::from_secs(15);

/// Puts a server into a balancer's rotation, and waits until the balancer sends it requests.
pub async fn add(admin: SocketAddr, name: &str, address: SocketAddr, limit: Duration) -> anyhow::Result<()> {
    let upstream = serde_json::json!({ "name": name, "address": address.to_string() });
    let http::Answer { status, body, .. } =
        http::ask(admin, Method::POST, "/upstreams", Some(upstream), CALL).await?;
    if status != StatusCode::CREATED {
        bail!("the balancer refused {name}: {}", String::from_utf8_lossy(&body));
    }
    wait_until_up(admin, name, limit).await
}

/// Takes a server out of the rotation, and waits until its last request is answered.
pub async fn remove(admin: SocketAddr, name: &str) -> anyhow::Result<()> {
    let http::Answer { status, body, .. } =
        http::ask(admin, Method::DELETE, &format!("/upstreams/{name}"), None, DRAIN).await?;
    if status != StatusCode::OK {
        bail!("the balancer did not let {name} go: {}", String::from_utf8_lossy(&body));
    }
    Ok(())
}

#[derive(Deserialize)]
struct Upstream {
    name: String,
    state: String,
}

async fn wait_until_up(admin: SocketAddr, name: &str, limit: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        let http::Answer { body, .. } = http::ask(admin, Method::GET, "/upstreams", None, CALL).await?;
        let upstreams: Vec<Upstream> =
            serde_json::from_slice(&body).context("read the balancer's upstreams")?;
        if upstreams.iter().any(|upstream| upstream.name == name && upstream.state == "up") {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("the balancer did not take {name} in within {limit:?}");
        }
        sleep(POLL).await;
    }
}

#[derive(Deserialize)]
struct Noticed {
    seq: u64,
    event: String,
    name: String,
    unix_ms: u64,
}

/// Writes down what a balancer notices, for as long as this is polled.
pub async fn follow(balancer: String, admin: SocketAddr, events: Events) {
    let mut seen: u64 = 0;
    loop {
        if let Ok(noticed) = noticed_since(admin, seen).await {
            for one in noticed {
                seen = seen.max(one.seq);
                write_down(&balancer, &one, &events);
            }
        }
        sleep(POLL).await;
    }
}

async fn noticed_since(admin: SocketAddr, seen: u64) -> anyhow::Result<Vec<Noticed>> {
    let path = format!("/events?after={seen}&format=json");
    let http::Answer { body, .. } = http::ask(admin, Method::GET, &path, None, CALL).await?;
    Ok(serde_json::from_slice(&body)?)
}

fn write_down(balancer: &str, noticed: &Noticed, events: &Events) {
    let (balancer, upstream) = (balancer.to_owned(), noticed.name.clone());
    let what = match noticed.event.as_str() {
        "ejected" => Happening::Ejected { balancer, upstream },
        "admitted" => Happening::Admitted { balancer, upstream },
        "took_over" => Happening::TookOver { balancer },
        "stood_down" => Happening::StoodDown { balancer },
        "takeover_blocked" => Happening::TakeoverBlocked { balancer },
        _ => return,
    };
    events.record_at(events.clock().of_unix_millis(noticed.unix_ms), what);
}

/// Whoever follows a lab's balancers and databases; a restarted balancer is followed anew.
#[derive(Debug, Default)]
pub struct Followers(HashMap<String, tokio::task::JoinHandle<()>>);

impl Followers {
    /// Follows a balancer from its first event on.
    pub fn follow(&mut self, balancer: &str, admin: SocketAddr, events: Events) {
        self.keep(balancer, tokio::spawn(follow(balancer.to_owned(), admin, events)));
    }

    /// Keeps what follows a machine, in place of what did before.
    pub fn keep(&mut self, machine: &str, task: tokio::task::JoinHandle<()>) {
        if let Some(before) = self.0.insert(machine.to_owned(), task) {
            before.abort();
        }
    }
}

impl Drop for Followers {
    fn drop(&mut self) {
        self.0.values().for_each(tokio::task::JoinHandle::abort);
    }
}
