//! What programs report about themselves: balancers their upstreams, web servers their query counts, databases their
//! roles. They are polled in the background, so that one that does not answer delays nothing.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hyper::Method;
use lab::http::Client;
use lab::{MachinePlan, Plan, Program, counters};
use parking_lot::Mutex;
use serde::Deserialize;

/// Timeout of one poll: a program that misses it is polled again the next time.
const PATIENCE: Duration = Duration::from_millis(400);

/// The latest reports of all programs. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Programs {
    said: Arc<Mutex<HashMap<String, Said>>>,
    asking: Arc<AtomicBool>,
}

/// The latest reports of one machine's programs.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    /// When it was taken.
    pub at: Instant,
    /// A balancer's upstreams.
    pub upstreams: Vec<Upstream>,
    /// How a balancer chooses.
    pub policy: Option<Policy>,
    /// A balancer's role in its pair.
    pub pair: Option<Pair>,
    /// A web server's counters.
    pub shop: Option<Shop>,
    /// A database's status.
    pub node: Option<Node>,
}

/// An upstream, as its balancer sees it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Upstream {
    /// Its name.
    pub name: String,
    /// Whether it is in rotation.
    pub in_rotation: bool,
    /// Whether it gets the next request.
    #[serde(default)]
    pub next: bool,
    /// Requests in flight.
    pub in_flight: u64,
    /// Requests sent to it, in total.
    pub requests: u64,
    /// Requests that failed there, in total.
    pub failed: u64,
}

/// How a balancer chooses.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Policy {
    /// `round-robin`, …
    pub policy: String,
    /// Turns taken since it started.
    pub turns_taken: u64,
    /// The upstreams in order, from the next turn on.
    #[serde(default)]
    pub order: Vec<String>,
}

/// A balancer's role in its pair.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Pair {
    /// `active`, `standby`, …
    pub role: String,
}

/// A web server's counters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shop {
    /// Requests in flight.
    pub in_flight: f64,
    /// Queries sent to the database, in total.
    pub queries: f64,
    /// Queries that failed, in total.
    pub failures: f64,
    /// Reads in total, whether from the cache or the database.
    pub reads: f64,
}

/// A database's status.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Node {
    /// `primary`, `replica`, …
    pub role: String,
    /// The latest term that it knows of.
    pub term: u64,
    /// The replication mode; `single` without peers.
    #[serde(default)]
    pub mode: String,
}

impl Programs {
    /// Returns a machine's latest reports.
    pub(crate) fn of(&self, machine: &str) -> Option<Said> {
        self.said.lock().get(machine).cloned()
    }

    /// Polls the wanted machines among these in the background, unless a poll is already running. Reports of machines
    /// that are not listed are dropped.
    pub(crate) fn ask(&self, plan: &Plan, machines: Vec<String>, wanted: impl Fn(&MachinePlan) -> bool) {
        if self.asking.swap(true, Ordering::AcqRel) {
            return;
        }
        let known =
            machines.iter().filter_map(|name| plan.machines.get(name).filter(|one| wanted(one)).cloned());
        let (known, client, programs) = (known.collect::<Vec<_>>(), plan.client().clone(), self.clone());
        tokio::spawn(async move {
            let said = join_all(known.iter().map(|machine| ask_machine(&client, machine))).await;
            let mut all = programs.said.lock();
            all.retain(|name, _| machines.contains(name));
            all.extend(known.iter().zip(said).map(|(machine, said)| (machine.name.clone(), said)));
            drop(all);
            programs.asking.store(false, Ordering::Release);
        });
    }
}

async fn ask_machine(client: &Client, machine: &MachinePlan) -> Said {
    let (upstreams, policy) = (vec![], None);
    let mut said = Said { at: Instant::now(), upstreams, policy, pair: None, shop: None, node: None };
    for program in &machine.programs {
        match program.program {
            Program::Lb => {
                said.upstreams = json(client, program.health, "/upstreams").await.unwrap_or_default();
                said.policy = json(client, program.health, "/policy").await;
                let is_of_a_pair = program.flags.iter().any(|flag| flag == "--pair-id");
                if is_of_a_pair {
                    said.pair = json(client, program.health, "/pair").await;
                }
            }
            Program::Webserver => said.shop = ask_shop(client, program.health).await,
            Program::Dbnode => said.node = json(client, program.health, "/status").await,
            _ => {}
        }
    }
    said.at = Instant::now();
    said
}

async fn ask_shop(client: &Client, address: SocketAddr) -> Option<Shop> {
    let text = text(client, address, "/metrics").await?;
    let total = |name: &str| counters::total(&text, &format!("webserver_{name}")).unwrap_or_default();
    Some(Shop {
        in_flight: total("in_flight"),
        queries: total("database_reads_total") + total("database_writes_total"),
        failures: total("database_failures_total"),
        reads: total("reads_total"),
    })
}

async fn json<T: serde::de::DeserializeOwned>(client: &Client, address: SocketAddr, path: &str) -> Option<T> {
    serde_json::from_str(&text(client, address, path).await?).ok()
}

async fn text(client: &Client, address: SocketAddr, path: &str) -> Option<String> {
    let answer = client.ask(address, Method::GET, path, None, PATIENCE).await.ok()?;
    answer.status.is_success().then(|| String::from_utf8_lossy(&answer.body).into_owned())
}
