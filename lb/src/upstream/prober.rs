//! The checks: one task for each upstream, independent of all others.
//!
//! Every check opens a connection of its own. A process that has died is then refused at once, and
//! one that is frozen accepts and never answers; a kept connection would tell neither so clearly.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use machine::names::NameUnknown;
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Upstream;
use super::table::{Check, Fault, FaultKind, Table};
use crate::config::Checks;

/// Checks an upstream, after `delay` for the first time, until it is removed or the process ends.
pub fn watch(
    table: Arc<Table>,
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
                // Nobody could be asked, and now somebody can.
                () = upstream.way.found(), if is_unresolved => {}
            }
            let result = check(&upstream, &checks).await;
            if let Err(fault) = &result {
                tracing::debug!(upstream = upstream.name, fault.detail, "a check failed");
            }
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

async fn check(upstream: &Upstream, checks: &Checks) -> Result<(), Fault> {
    let fault = |detail| Err(Fault { detail, kind: FaultKind::Other });
    match timeout(checks.timeout, ask(upstream, checks)).await {
        Ok(Ok(status)) if status.is_none_or(|status| status.is_success()) => Ok(()),
        Ok(Ok(status)) => {
            let status = status.map_or_else(String::new, |status| status.to_string());
            fault(format!("answered {status}"))
        }
        Ok(Err(error)) => {
            let kind = error.downcast_ref::<io::Error>().map_or(FaultKind::Other, kind_of);
            Err(Fault { detail: format!("{error:#}"), kind })
        }
        Err(_) if !upstream.way.is_known() => {
            let detail = format!("the name in '{}' has not been looked up yet", upstream.way);
            Err(Fault { detail, kind: FaultKind::NameUnknown })
        }
        Err(_) => fault(format!("no answer within {}", humantime::Duration::from(checks.timeout))),
    }
}

fn kind_of(error: &io::Error) -> FaultKind {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => FaultKind::Refused,
        _ if NameUnknown::caused(error) => FaultKind::NameUnknown,
        _ => FaultKind::Other,
    }
}

/// The status of its answer; none when a connection is all that is asked for.
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
        // It may end in the moment it brings the answer.
        _ = connection => Ok(Some(answer.await?.status())),
    }
}
