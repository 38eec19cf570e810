//! `labctl audit ARCHITECTURE`: injects every fault and looks for single points of failure.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use indexmap::IndexMap;
use serde::Serialize;

use super::common::Common;
use super::{Performed, say, say_json, with_files};
use crate::audit::{self, Audit, AuditPlan, Restarts, Scope, Selection, library};
use crate::report::{Progress, audit_text, html, junit};
use lab::error::{EXIT_FAILED, EXIT_INCONCLUSIVE, LabError};
use lab::interrupt::Interrupt;

/// What to audit, and how.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// An architecture's name (single, separated, several, ha-balancers, redis-cache, replicated,
    /// no-single-point), or a path to a .toml file of machines.
    architecture: String,

    /// Examine every machine, including identical ones: each of five web servers.
    #[arg(long, conflicts_with = "quick")]
    all: bool,

    /// Examine one of each set of identical machines (the default), and wait only 7 s for a recovery.
    #[arg(long, env = "LABCTL_QUICK")]
    quick: bool,

    /// Examine only machines with this name, or whose names begin with it: `db`, `web-1`.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,

    /// Try only kills.
    #[arg(long)]
    kills_only: bool,

    /// How many faults to try at once: 2 also tries every pair.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    depth: u8,

    /// A path that recovers by itself within this time does not count as down; it is also how long, at most, the audit
    /// watches whether the remaining machines can carry the load [default: 10s].
    #[arg(long)]
    within: Option<humantime::Duration>,

    /// Requests a second on each path.
    #[arg(long, default_value_t = 10.0, value_parser = rate)]
    rate: f64,

    /// Seed of the random keys: the same seed sends the same requests.
    #[arg(long, env = "LABCTL_SEED", default_value_t = 42)]
    seed: u64,

    /// How many single points of failure are allowed; with more, labctl exits with 1.
    #[arg(long, value_name = "COUNT")]
    allow: Option<usize>,

    /// Write a page: one self-contained file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Write the matrix as JUnit XML: a case for each fault and path.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (5.0..=1000.0).contains(&rate) => Ok(rate),
        _ => Err("a rate is 5 to 1000 requests a second: with fewer, too few fall into the two seconds that are judged".into()),
    }
}

/// Audits an architecture.
pub async fn audit(args: &AuditArgs, common: &Common, interrupt: &Interrupt) -> Performed {
    let source = library::open(&args.architecture)?;
    if let Some(path) = &args.junit {
        junit::can_be_written(path)?;
    }
    if let Some(path) = &args.html {
        junit::can_be_written(path)?;
    }
    let within = if args.quick { audit::QUICK_WITHIN } else { audit::WITHIN };
    let audit_plan = AuditPlan {
        source,
        place: common.site.clone(),
        wanted: Selection {
            scope: if args.all { Scope::Everything } else { Scope::OneOfEach },
            only: args.only.clone(),
            kills_only: args.kills_only,
            restarts: Restarts::Each,
            fills: true,
        },
        depth: args.depth.into(),
        within: args.within.map_or(within, Into::into),
        rate: args.rate,
        seed: args.seed,
        part: (0, 1),
    };
    let progress = Progress::begin();
    let found = audit::audit(&audit_plan, interrupt, &progress).await;
    progress.end();
    let found = found?;
    let written = write_files(&found, args);
    if common.json {
        say_json(&Document::of(&found))?;
    } else {
        audit_text::lines(&found).into_iter().for_each(say);
    }
    with_files(exit_code(&found, args.allow), written)
}

fn write_files(found: &Audit, args: &AuditArgs) -> Result<(), LabError> {
    if let Some(path) = &args.junit {
        junit::write_audit(found, path)?;
    }
    if let Some(path) = &args.html {
        html::write(path, &html::audit_page(found)?)?;
    }
    Ok(())
}

/// An audit as a document: its results, and the conclusions.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    audit: &'a Audit,
    /// The single points of failure of any path.
    single_points: BTreeSet<String>,
    /// The single points of failure of each path.
    single_points_of: IndexMap<&'a String, BTreeSet<String>>,
}

impl<'a> Document<'a> {
    fn of(audit: &'a Audit) -> Self {
        let of_path = |(path, _): &'a (String, String)| (path, audit.single_points(path));
        let single_points_of = audit.paths.iter().map(of_path).collect();
        Self { audit, single_points: audit.single_points_of_any(), single_points_of }
    }
}

fn exit_code(found: &Audit, allowed: Option<usize>) -> u8 {
    match allowed {
        _ if found.distrust.is_some() => EXIT_INCONCLUSIVE,
        Some(allowed) if found.single_points_of_any().len() > allowed => EXIT_FAILED,
        _ => 0,
    }
}
