//! `labctl trace [DIR]`: shows where requests spent their time, or exports their traces.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use hyper::{Method, Uri};
use tokio::net::lookup_host;

use super::common::Common;
use super::{Performed, running, say, say_document, say_note};
use crate::report::otlp;
use crate::report::traces::{self, Trace};
use crate::report::waterfall::waterfall;
use lab::error::LabError;
use lab::http;
use lab::interrupt::Interrupt;

/// Timeout for one request to a collector.
const COLLECTOR_LIMIT: Duration = Duration::from_secs(10);
/// Default port of OTLP over HTTP.
const OTLP_PORT: u16 = 4318;

/// Selects the requests to show.
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// A run's directory, such as runs/split/latest [default: the lab that is running].
    directory: Option<PathBuf>,

    /// Show the trace whose id starts with this, as in `traceparent`.
    #[arg(long, value_name = "ID", conflicts_with = "slowest")]
    id: Option<String>,

    /// Show this many of the slowest requests.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    slowest: u32,

    /// Send all traces (with --id: that one) to a collector instead of showing them, as OTLP over HTTP:
    /// http://127.0.0.1:4318 is Jaeger or an OpenTelemetry Collector on this computer.
    #[arg(long, value_name = "URL", conflicts_with = "slowest")]
    otlp: Option<Uri>,
}

/// Shows where requests spent their time.
pub async fn trace(args: &TraceArgs, common: &Common, interrupt: &Interrupt) -> Performed {
    let logs = match &args.directory {
        Some(directory) => directory.join("logs"),
        None => running::status(common).await?.1,
    };
    if !logs.is_dir() {
        return Err(LabError::Usage(format!("{} is not a run's directory: it has no logs", logs.display())));
    }
    let spans = traces::read(&logs)?;
    if spans.is_empty() {
        let message = format!("there are no traces in {}: start it with --trace", logs.display());
        return Err(LabError::Usage(message));
    }
    let traces = traces::assemble(spans);
    let shown = if args.otlp.is_some() { traces.len() } else { args.slowest as usize };
    let chosen: Vec<&Trace> = match &args.id {
        Some(id) => traces.iter().filter(|trace| trace.trace.starts_with(id.as_str())).collect(),
        None => traces.iter().take(shown).collect(),
    };
    if chosen.is_empty() {
        return Err(LabError::Usage(format!("no trace's id begins like that; there are {}", traces.len())));
    }
    if let Some(url) = &args.otlp {
        interrupt.unless(export(url, &chosen, common)).await?;
    } else if common.json {
        say_document("traces", serde_json::json!({ "traces": chosen }))?;
    } else {
        for trace in chosen {
            say(waterfall(trace));
            say("");
        }
    }
    Ok(0)
}

/// Sends traces to a collector.
async fn export(url: &Uri, traces: &[&Trace], common: &Common) -> Result<(), LabError> {
    let address = collector(url).await?;
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let path = if path == "/" { otlp::PATH } else { path };
    for body in otlp::requests(traces) {
        let answer = http::ask(address, Method::POST, path, Some(body), COLLECTOR_LIMIT).await;
        let answer = answer.map_err(|error| LabError::not_ready(format!("--otlp {url}: {error:#}")))?;
        if !answer.status.is_success() {
            let said = String::from_utf8_lossy(&answer.body).chars().take(200).collect::<String>();
            return Err(LabError::not_ready(format!(
                "--otlp {url}: the collector answers {}: {said}",
                answer.status
            )));
        }
    }
    let spans: usize = traces.iter().map(|trace| trace.spans.len()).sum();
    say_note(common, format!("sent {} traces, {spans} spans, to {url}", traces.len()));
    Ok(())
}

/// Resolves the address of a collector.
async fn collector(url: &Uri) -> Result<SocketAddr, LabError> {
    let usage = |what: String| LabError::Usage(format!("--otlp {url}: {what}"));
    if url.scheme_str() != Some("http") {
        return Err(usage(
            "only http, as in http://127.0.0.1:4318; for https put a collector in between".into(),
        ));
    }
    let host = url.host().ok_or_else(|| usage("it names no host".into()))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let found = lookup_host((host, url.port_u16().unwrap_or(OTLP_PORT))).await;
    let found = found.map_err(|error| usage(format!("'{host}' is not known: {error}")))?.next();
    found.ok_or_else(|| usage(format!("'{host}' has no address")))
}
