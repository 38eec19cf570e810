//! Single requests to the lab's shop, each shown with what its response says about its path: which server answered,
//! whether it was a cache hit, how long the database took.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chapter::Chapter;
use futures_util::future::join_all;
use hyper::Method;
use indexmap::IndexMap;
use lab::Plan;
use lab::error::LabError;
use lab::http::{self, Answer};
use load::{Cookies, Keys, RequestMix};
use serde::Serialize;
use serde_json::Value;
use tokio::time::sleep;

use crate::running::Running;

/// The timeout of one request.
const PATIENCE: Duration = Duration::from_secs(10);
/// The interval at which all copies are read after a deposit.
const READ_EVERY: Duration = Duration::from_millis(50);
/// For how long copies are read after the deposit is acknowledged.
const READ_FOR: Duration = Duration::from_secs(1);
/// The longest response body that is shown, in bytes.
const SHOWN_MAX: usize = 2_000;

/// Visitors of the shop: each keeps the cookies it was given, per entrance.
#[derive(Debug, Default)]
pub(crate) struct Visitors {
    cookies: Cookies,
}

/// The outcome of one request.
#[derive(Debug, Serialize)]
pub(crate) struct Visit {
    /// The equivalent command.
    pub command: String,
    /// The status; none if there was no response.
    pub status: Option<u16>,
    /// Why there was no response.
    pub problem: Option<String>,
    /// The response time, in milliseconds.
    pub ms: f64,
    /// The server that answered.
    pub server: Option<String>,
    /// The cache status that the response reports.
    pub cache: Option<String>,
    /// The time spent in each part, in milliseconds: `cache`, `db`.
    pub timing: IndexMap<String, f64>,
    /// The database node that was read.
    pub node: Option<String>,
    /// An upper bound on the staleness of the data, in milliseconds.
    pub lag_ms: Option<f64>,
    /// The response body, if it is JSON and short.
    pub body: Value,
}

/// The readings of all copies during the second after a deposit.
#[derive(Debug, Serialize)]
pub(crate) struct Deposit {
    /// The deposit itself.
    pub deposit: Visit,
    /// The readings of each copy.
    pub nodes: IndexMap<String, Vec<Reading>>,
}

/// One reading of one copy.
#[derive(Debug, Serialize)]
pub(crate) struct Reading {
    /// When it was requested, in milliseconds since the deposit was sent.
    pub at_ms: f64,
    /// The balance; none if the response had none.
    pub balance: Option<i64>,
    /// Its version.
    pub version: Option<String>,
    /// An upper bound on its staleness, in milliseconds.
    pub lag_ms: Option<f64>,
    /// What came instead of a balance.
    pub problem: Option<String>,
}

/// A request to the shop.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    /// The entrance: `lb`, `web-1`.
    pub to: &'a str,
    /// The method.
    pub method: Method,
    /// The path.
    pub path: String,
    /// The body.
    pub body: Option<String>,
    /// The visitor whose cookies are sent and updated.
    pub visitor: Option<&'a str>,
}

impl Visitors {
    /// Sends one request.
    pub(crate) async fn visit(&self, lab: &Running, question: &Question<'_>) -> Result<Visit, LabError> {
        let target = entrance(&lab.plan(), question.to)?;
        // Cookies of one entrance must not reach another.
        let visitor = question.visitor.map(|visitor| format!("{visitor}@{}", question.to));
        let mut mix = RequestMix::get(&question.path, Keys::None);
        mix.method = question.method.clone();
        mix.body = question.body.clone();
        mix.cookies = visitor.as_ref().map(|_| self.cookies.clone());
        let key = visitor.unwrap_or_default();
        let request = mix.request(target, &key, 1).map_err(|error| LabError::Usage(error.to_string()))?;
        let begun = Instant::now();
        let answer = http::send(target, request, PATIENCE).await;
        let ms = begun.elapsed().as_secs_f64() * 1e3;
        if let (Ok(answer), true) = (&answer, question.visitor.is_some()) {
            self.cookies.keep(&key, answer.headers());
        }
        Ok(told(command(target, question), ms, answer))
    }

    /// Sends a deposit, and reads every copy until a second after it was acknowledged.
    pub(crate) async fn deposit(
        &self,
        lab: &Running,
        chapter: &Chapter,
        to: &str,
        account: &str,
        amount: i64,
    ) -> Result<Deposit, LabError> {
        let nodes = database_nodes(chapter, &lab.plan(), to);
        let question = Question {
            to,
            method: Method::POST,
            path: format!("/accounts/{account}/deposit"),
            body: Some(format!("{{\"amount\":{amount}}}")),
            visitor: None,
        };
        let begun = Instant::now();
        let sending = async {
            let deposit = self.visit(lab, &question).await;
            sleep(READ_FOR).await;
            deposit
        };
        tokio::pin!(sending);
        let mut told: IndexMap<String, Vec<Reading>> =
            nodes.iter().map(|node| (node.clone(), Vec::new())).collect();
        let deposit = loop {
            let round = self.read(lab, to, account, &nodes, begun);
            let (round, ()) = tokio::select! {
                deposit = &mut sending => break deposit?,
                round = async { tokio::join!(round, sleep(READ_EVERY)) } => round,
            };
            for (node, reading) in nodes.iter().zip(round) {
                told.entry(node.clone()).or_default().push(reading);
            }
        };
        Ok(Deposit { deposit, nodes: told })
    }

    /// Reads every copy of an account concurrently.
    pub(crate) async fn read(
        &self,
        lab: &Running,
        to: &str,
        account: &str,
        nodes: &[String],
        begun: Instant,
    ) -> Vec<Reading> {
        let reads = nodes.iter().map(|node| async move {
            let path = copy_path(account, node, nodes.len());
            let at_ms = begun.elapsed().as_secs_f64() * 1e3;
            let question = Question { to, method: Method::GET, path, body: None, visitor: None };
            match self.visit(lab, &question).await {
                Ok(visit) => reading(at_ms, visit),
                Err(error) => Reading {
                    at_ms,
                    balance: None,
                    version: None,
                    lag_ms: None,
                    problem: Some(error.to_string()),
                },
            }
        });
        join_all(reads).await
    }
}

/// Returns the command that reads every copy of an account.
pub(crate) fn read_command(
    plan: &Plan,
    to: &str,
    account: &str,
    nodes: &[String],
) -> Result<String, LabError> {
    let target = entrance(plan, to)?;
    let url = |node: &String| format!(" 'http://{target}{}'", copy_path(account, node, nodes.len()));
    Ok(format!("curl -s{}", nodes.iter().map(url).collect::<String>()))
}

/// The path of an account's copy on one of so many database nodes.
fn copy_path(account: &str, node: &str, nodes: usize) -> String {
    match nodes {
        1 => format!("/accounts/{account}"),
        _ => format!("/accounts/{account}?replica={node}"),
    }
}

fn reading(at_ms: f64, visit: Visit) -> Reading {
    let balance = visit.body["balance"].as_i64();
    let code = visit.body["error"].as_str().map(str::to_owned);
    let status = visit.status.map(|status| status.to_string());
    Reading {
        at_ms,
        balance,
        version: visit.body["version"].as_str().map(str::to_owned),
        lag_ms: visit.lag_ms,
        problem: balance.is_none().then(|| visit.problem.or(code).or(status)).flatten(),
    }
}

fn entrance(plan: &Plan, to: &str) -> Result<SocketAddr, LabError> {
    let name = to.split(':').next().unwrap_or(to);
    plan.address_of(name).ok_or_else(|| {
        let known = plan.machines.keys().cloned().collect::<Vec<_>>().join(", ");
        LabError::Usage(format!("nothing answers at '{to}'; there are: {known}"))
    })
}

/// Returns the nodes of the database behind an entrance.
pub(crate) fn database_nodes(chapter: &Chapter, plan: &Plan, to: &str) -> Vec<String> {
    let kind_of =
        |name: &str| plan.machines.get(name).map_or(name.to_owned(), |machine| machine.kind.clone());
    let mut kind = kind_of(to);
    if let Some(lb) = chapter.machine.get(&kind).and_then(|entry| entry.lb.as_ref()) {
        kind = kind_of(lb.upstreams.as_ref());
    }
    let db = chapter.machine.get(&kind).and_then(|entry| entry.webserver.as_ref());
    let db = db.map(|webserver| kind_of(webserver.db.as_ref()));
    let of_kind = db.iter().flat_map(|db| plan.of_kind(db)).map(|machine| machine.name.clone());
    of_kind.collect()
}

fn told(command: String, ms: f64, answer: anyhow::Result<Answer>) -> Visit {
    let mut visit = Visit {
        command,
        status: None,
        problem: None,
        ms,
        server: None,
        cache: None,
        timing: IndexMap::new(),
        node: None,
        lag_ms: None,
        body: Value::Null,
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            visit.problem = Some(format!("{:#}", error.root_cause()));
            return visit;
        }
    };
    let header = |name: &str| answer.header(name).map(str::to_owned);
    visit.status = Some(answer.status.as_u16());
    visit.server = header("x-served-by");
    visit.cache = header("x-cache");
    visit.node = header("x-db-node");
    visit.lag_ms = header("x-lag-ms").and_then(|lag| lag.parse().ok());
    visit.timing = header("server-timing").map(|text| timing(&text)).unwrap_or_default();
    if answer.body.len() <= SHOWN_MAX {
        visit.body = serde_json::from_slice(&answer.body).unwrap_or_default();
    }
    visit
}

/// Parses `cache;dur=0.4, db;dur=50.1`.
fn timing(text: &str) -> IndexMap<String, f64> {
    let parts = text.split(',').filter_map(|part| {
        let (name, rest) = part.trim().split_once(';')?;
        Some((name.to_owned(), rest.trim().strip_prefix("dur=")?.parse().ok()?))
    });
    parts.collect()
}

fn command(target: SocketAddr, question: &Question<'_>) -> String {
    let url = format!("http://{target}{}", question.path);
    let cookies = question.visitor.map_or(String::new(), |who| format!(" -b {who}.txt -c {who}.txt"));
    match (&question.method, &question.body) {
        (&Method::GET, _) => format!("curl -i{cookies} '{url}'"),
        (_, Some(body)) => {
            format!("curl -i{cookies} -H 'content-type: application/json' -d '{body}' '{url}'")
        }
        (method, None) => format!("curl -i{cookies} -X {method} '{url}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chapter::Source;
    use lab::plan::Deployment;

    #[test]
    fn the_parts_of_an_answer_are_read() {
        let parts = timing("cache;dur=0.4, db;dur=50.1");
        assert_eq!((parts["cache"], parts["db"]), (0.4, 50.1));
        assert!(timing("nonsense, db").is_empty());
    }

    #[test]
    fn the_database_behind_an_entrance_is_found() {
        let of = |name: &str, to: &str| {
            let chapter = Source::open(name, &[]).unwrap().chapter;
            let plan = Plan::of(&chapter, Deployment::on_paper()).unwrap();
            database_nodes(&chapter, &plan, to)
        };
        assert_eq!(of("replication", "web-strict"), ["strict-1", "strict-2", "strict-3"]);
        assert_eq!(of("server-failure", "lb"), ["db"]);
        assert_eq!(of("server-failure", "web-2"), ["db"]);
        assert_eq!(of("primary-failure", "db"), [""; 0]);
    }
}
