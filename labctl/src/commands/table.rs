//! `labctl table`: measures the article's table.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::common::Common;
use super::{Performed, say, say_json, say_note};
use crate::audit::{self, library};
use crate::report::{Progress, html, junit, table_text};
use crate::results::RunDirectory;
use crate::table::{self, Prices, TableRun};
use lab::error::{EXIT_INCONCLUSIVE, LabError};
use lab::interrupt::Interrupt;
use load::{Objective, Search};

/// Precision of a quick search, as a share of the capacity: the article's capacities differ by factors.
const QUICK_PRECISION: f64 = 0.03;

/// What to measure, and how.
#[derive(Debug, Args)]
pub struct TableArgs {
    /// Shorter probes, and audits of one of each set of identical machines: about six minutes on two cores.
    #[arg(long, env = "LABCTL_QUICK")]
    quick: bool,

    /// Only these architectures, separated by commas: names, or paths to .toml files.
    #[arg(long, value_delimiter = ',', value_name = "ARCHITECTURE")]
    only: Vec<String>,

    /// Price sheet: a file like the lab's own labctl/prices.toml.
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,

    /// The response time that 99 % of the answers must meet for a rate to count as capacity.
    #[arg(long, default_value = "100ms")]
    p99: humantime::Duration,

    /// Also write the page to this file. It is always in the table's directory.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Seed of the random keys: the same seed sends the same requests.
    #[arg(long, env = "LABCTL_SEED", default_value_t = 42)]
    seed: u64,
}

/// Measures the article's table.
pub async fn table(args: &TableArgs, common: &Common, interrupt: &Interrupt) -> Performed {
    let names: Vec<String> = match args.only.is_empty() {
        true => library::names().map(str::to_owned).collect(),
        false => args.only.clone(),
    };
    let sources = names.iter().map(|name| library::open(name)).collect::<Result<Vec<_>, _>>()?;
    if let Some(path) = &args.html {
        junit::can_be_written(path)?;
    }
    let probe = if args.quick { Duration::from_millis(2000) } else { Duration::from_secs(4) };
    // The article's claims about the variants are only tested with the whole table.
    let variants = library::variants().filter(|_| args.only.is_empty()).map(library::open);
    let run = TableRun {
        sources,
        variants: variants.collect::<Result<Vec<_>, _>>()?,
        place: common.site.clone(),
        prices: prices(args.prices.as_deref())?,
        objective: Objective {
            misses: 2,
            precision: if args.quick { QUICK_PRECISION } else { Search::PRECISION },
            ..Objective::new(args.p99.into(), probe)
        },
        within: if args.quick { audit::QUICK_WITHIN } else { audit::WITHIN },
        quick: args.quick,
        whole: args.only.is_empty() && args.prices.is_none(),
        seed: args.seed,
    };
    let ([first, second], [last, of_last]) = run.networks()?;
    say_note(
        common,
        format!("Its labs run side by side in the networks {first}.{second} to {last}.{of_last}."),
    );
    let directory = RunDirectory::begin(&common.site.runs_dir, "table", jiff::Timestamp::now())?;
    let progress = Progress::begin();
    let measured = table::measure_table(&run, &progress, interrupt).await;
    progress.end();
    let (table, audits) = measured?;
    let path = directory.path().to_owned();
    let mut files = vec![("table.json".to_owned(), to_json(&table)?)];
    for audit in &audits {
        files.push((format!("audit-{}.json", audit.architecture), to_json(audit)?));
    }
    let page = html::table_page(&table, &audits)?;
    if let Some(path) = &args.html {
        html::write(path, &page)?;
    }
    files.push(("report.html".to_owned(), page));
    directory.finish_with(&files)?;
    if common.json {
        say_json(&table)?;
    } else {
        table_text::lines(&table).into_iter().for_each(say);
    }
    say_note(common, format!("{:.0} s. Details: {}", table.seconds, path.display()));
    Ok(if table.distrust().is_some() { EXIT_INCONCLUSIVE } else { 0 })
}

fn to_json(document: &impl serde::Serialize) -> anyhow::Result<String> {
    serde_json::to_string_pretty(document).context("write a document")
}

/// Returns the student's price sheet, or the built-in one.
pub(super) fn prices(file: Option<&Path>) -> Result<Prices, LabError> {
    let Some(file) = file else { return Ok(Prices::built_in()) };
    let text = std::fs::read_to_string(file)
        .map_err(|error| LabError::Usage(format!("cannot read {}: {error}", file.display())))?;
    Prices::parse(&text, file).map_err(LabError::Usage)
}
