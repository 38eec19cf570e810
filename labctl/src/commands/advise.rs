//! `labctl advise --rps 800 --p99 100ms --survive 1`: recommends an architecture from the measured table.

use std::path::PathBuf;

use clap::Args;

use super::common::Common;
use super::{Performed, say, say_document};
use crate::results::stored;
use crate::table::advice::{Needs, advise as choose};
use lab::error::{EXIT_FAILED, LabError};

/// The needs.
#[derive(Debug, Args)]
pub struct AdviseArgs {
    /// Requests a second to serve.
    #[arg(long, value_parser = rate)]
    rps: f64,

    /// Time within which 99 % of the answers have to arrive.
    #[arg(long, default_value = "100ms")]
    p99: humantime::Duration,

    /// Number of simultaneous failures to survive without losing anything: 0 or 1.
    #[arg(long, default_value_t = 0)]
    survive: u32,

    /// The measured table [default: the newest of `labctl table`].
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(rate),
        _ => Err("a rate is a number of requests a second, above 0".into()),
    }
}

/// Names the cheapest measured architecture that meets the needs.
pub fn advise(args: &AdviseArgs, common: &Common) -> Performed {
    let needs = Needs {
        rps: args.rps,
        p99_ms: std::time::Duration::from(args.p99).as_secs_f64() * 1e3,
        survive: args.survive,
    };
    needs.check().map_err(LabError::Usage)?;
    let file = args.table.clone().unwrap_or_else(|| common.site.runs_dir.join("table/latest/table.json"));
    if !file.exists() {
        return Err(LabError::NotReady(format!(
            "there is no measured table ({}): make one with `labctl table`, or with `labctl table --quick`",
            file.display()
        )));
    }
    let table = stored::table(&file)?;
    let advice = choose(&table, &needs).map_err(LabError::Usage)?;
    let chosen = advice.chosen.as_deref().and_then(|name| table.row(name));
    if common.json {
        let rejected: serde_json::Map<_, _> =
            advice.rejected.iter().map(|(name, why)| (name.clone(), why.clone().into())).collect();
        say_document("advice", serde_json::json!({ "architecture": advice.chosen, "others": rejected }))?;
    } else {
        match chosen {
            Some(row) => say(format!(
                "{}: {}. It sustains {:.0} requests a second, {:.0} without {}, and costs ${:.0} a month.",
                row.name,
                row.title.trim_end_matches('.'),
                row.capacity.low.unwrap_or_default(),
                row.left.rate,
                row.left.without,
                row.cost
            )),
            None => say("None of the measured architectures meets these needs."),
        }
        say("\nThe others:");
        for (name, why) in &advice.rejected {
            say(format!("  {name:<16} {why}"));
        }
        say(format!("\nFrom {} ({}).", file.display(), table.began.strftime("%Y-%m-%d %H:%M UTC")));
    }
    Ok(if chosen.is_some() { 0 } else { EXIT_FAILED })
}
