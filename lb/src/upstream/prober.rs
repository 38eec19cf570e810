//! Active health checks: one task per upstream, independent of all others.
//!
//! Every check opens a new connection. A process that has died then refuses at once, and a frozen
//! one accepts but never answers; a kept connection would not tell the two apart so clearly.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Request, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use machine::names::NameUnknown;
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Upstream;
use super::health::Rules;
use super::table::{Check, Fault, FaultKind, Table};
use crate::shortage::{Shortage, Shortages};

/// How upstreams are checked.
#[derive(Debug, Clone)]
pub struct Checks {
    /// The path requested with GET; `None` if opening a connection is the whole check.
    pub path: Option<PathAndQuery>,
    /// Time from the start of one check to the start of the next.
    pub interval: Duration,
    /// Time after which a check has failed.
    pub timeout: Duration,
    /// How many results in a row change an upstream's state.
    pub rules: Rules,
}

/// A timeout that fires this late means that the process was frozen.
const AWAY_MIN: Duration = Duration::from_millis(500);

/// Checks an upstream, the first time after `delay`, until it is removed or the process ends.
pub fn watch(
    table: Arc<Table>,
    shortages: Arc<Shortages>,
    upstream: Arc<Upstream>,
    checks: Checks,
    delay: Duration,
    removed: CancellationToken,
    over: CancellationToken,
) {
    let checking = async move {
        sleep(delay).await;
        let mut ticks = interval(checks.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_unresolved = false;
        loop {
            tokio::select! {
                biased;
                _ = ticks.tick() => {}
                // Its name resolves for the first time, so it can be checked now.
                () = upstream.way.found(), if is_unresolved => {}
            }
            let result = match check(&upstream, &checks).await {
                Ok(()) => Ok(()),
                Err(Failure::Local(shortage)) => {
                    // This says nothing about the upstream.
                    shortages.note(shortage, &format!("check {}", upstream.name));
                    continue;
                }
                Err(Failure::Away) => continue,
                Err(Failure::Upstream(fault)) => {
                    tracing::debug!(upstream = upstream.name, fault.detail, "a check failed");
                    Err(fault)
                }
            };
            is_unresolved = result.as_ref().is_err_and(|fault: &Fault| fault.kind == FaultKind::NameUnknown);
            table.judge(upstream.id, Check { at: SystemTime::now(), result });
        }
    };
    tokio::spawn(async move {
        tokio::select! {
            biased;
            () = removed.cancelled() => {}
            () = over.cancelled() => {}
            () = checking => {}
        }
    });
}

/// Why a check produced no pass.
enum Failure {
    /// The upstream is at fault.
    Upstream(Fault),
    /// No check was made: a local resource is short.
    Local(Shortage),
    /// No check was made: this process was frozen.
    Away,
}

async fn check(upstream: &Upstream, checks: &Checks) -> Result<(), Failure> {
    let fault = |detail, kind| Err(Failure::Upstream(Fault { detail, kind }));
    let begun = Instant::now();
    match timeout(checks.timeout, ask(upstream, checks)).await {
        Ok(Ok(status)) if status.is_none_or(|status| status.is_success()) => Ok(()),
        Ok(Ok(status)) => {
            let status = status.map_or_else(String::new, |status| status.to_string());
            fault(format!("answered {status}"), FaultKind::Other)
        }
        Ok(Err(error)) => {
            let system = error.downcast_ref::<io::Error>();
            if let Some(short) = system.and_then(|error| Shortage::of(error, upstream.way.current())) {
                return Err(Failure::Local(short));
            }
            fault(format!("{error:#}"), system.map_or(FaultKind::Other, kind_of))
        }
        Err(_) if !upstream.way.is_known() => {
            let detail = format!("the name in '{}' has not been looked up yet", upstream.way);
            fault(detail, FaultKind::NameUnknown)
        }
        // The process or the whole machine was frozen, so it is unknown how long the upstream took.
        Err(_) if begun.elapsed() >= checks.timeout + AWAY_MIN => Err(Failure::Away),
        Err(_) => {
            let detail = format!("no answer within {}", humantime::Duration::from(checks.timeout));
            fault(detail, FaultKind::Other)
        }
    }
}

fn kind_of(error: &io::Error) -> FaultKind {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => FaultKind::Refused,
        _ if NameUnknown::caused(error) => FaultKind::NameUnknown,
        _ => FaultKind::Other,
    }
}

/// Returns the response's status; `None` if opening a connection is the whole check.
async fn ask(upstream: &Upstream, checks: &Checks) -> anyhow::Result<Option<http::StatusCode>> {
    let (stream, _) = upstream.way.connect(TcpStream::connect).await?;
    let Some(path) = &checks.path else { return Ok(None) };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path.as_str())
        .header(header::HOST, &upstream.host)
        .header(header::USER_AGENT, "lb-health-check")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let mut answer = pin!(sender.send_request(request));
    tokio::select! {
        biased;
        answer = &mut answer => Ok(Some(answer?.status())),
        // The connection may end at the moment it delivers the response.
        _ = connection => Ok(Some(answer.await?.status())),
    }
}
