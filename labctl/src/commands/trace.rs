//! `labctl trace [DIR]`

use std::path::PathBuf;

use clap::Args;

use super::common::Common;
use super::{Performed, running, say, say_document};
use crate::report::traces::{self, Trace};
use crate::report::waterfall::waterfall;
use lab::error::LabError;

/// Which requests.
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// A run's directory, such as runs/split/latest [default: the lab that is running].
    directory: Option<PathBuf>,

    /// The trace whose id begins like this, as `traceparent` has it.
    #[arg(long, value_name = "ID", conflicts_with = "slowest")]
    id: Option<String>,

    /// How many of the slowest requests.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    slowest: u32,
}

/// Shows where requests spent their time.
pub async fn trace(args: &TraceArgs, common: &Common) -> Performed {
    let logs = match &args.directory {
        Some(directory) => directory.join("logs"),
        None => running::status(common).await?.1,
    };
    if !logs.is_dir() {
        return Err(LabError::Usage(format!("{} is no run's directory: it has no logs", logs.display())));
    }
    let spans = traces::read(&logs)?;
    if spans.is_empty() {
        let message = format!("there are no traces in {}: start it with --trace", logs.display());
        return Err(LabError::Usage(message));
    }
    let traces = traces::assemble(spans);
    let chosen: Vec<&Trace> = match &args.id {
        Some(id) => traces.iter().filter(|trace| trace.trace.starts_with(id.as_str())).collect(),
        None => traces.iter().take(args.slowest as usize).collect(),
    };
    if chosen.is_empty() {
        return Err(LabError::Usage(format!("no trace's id begins like that; there are {}", traces.len())));
    }
    if common.json {
        say_document("traces", serde_json::json!({ "traces": chosen }))?;
        return Ok(0);
    }
    for trace in chosen {
        say(waterfall(trace));
        say("");
    }
    Ok(0)
}
