//! `labctl grade` and `labctl backend`: grading a program of the student's own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::common::Common;
use super::{Performed, say, say_json, with_files};
use crate::report::junit;
use grade::field::Place;
use grade::{Grade, Kind, Wanted, backend};
use lab::error::LabError;
use lab::interrupt::Interrupt;
use lab::site;
use parts::own;

/// The kinds of parts.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum PartKind {
    /// A load balancer: 14 stages.
    Lb,
    /// A database: 12 stages, the first six on one node.
    Db,
}

impl From<PartKind> for Kind {
    fn from(kind: PartKind) -> Self {
        match kind {
            PartKind::Lb => Self::Lb,
            PartKind::Db => Self::Db,
        }
    }
}

/// What to grade, and how.
#[derive(Debug, Args)]
pub struct GradeArgs {
    /// The kind of part that the program is.
    kind: PartKind,

    /// The program.
    program: PathBuf,

    /// Go on after a stage that fails.
    #[arg(long)]
    all: bool,

    /// Grade only these stages, by their numbers.
    #[arg(long = "stage", value_name = "N", value_delimiter = ',')]
    stages: Vec<usize>,

    /// Show a hint for each stage that fails, or this many.
    #[arg(long, value_name = "COUNT", num_args = 0..=1, default_missing_value = "1", default_value_t = 0, hide_default_value = true)]
    hint: usize,

    /// Grade this many stages at a time.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=14))]
    at_once: u8,

    /// Write the stages as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// Write the points as comma-separated values.
    #[arg(long, value_name = "FILE")]
    points: Option<PathBuf>,

    /// Write the result for GitHub Classroom's grading reporter (base64, for a step's output `result`).
    #[arg(long, value_name = "FILE")]
    classroom: Option<PathBuf>,

    /// Write Gradescope's results.json.
    #[arg(long, value_name = "FILE")]
    gradescope: Option<PathBuf>,
}

/// Grades a program.
pub async fn grade(args: &GradeArgs, common: &Common, interrupt: &Interrupt) -> Performed {
    for path in [&args.junit, &args.points, &args.classroom, &args.gradescope].into_iter().flatten() {
        junit::can_be_written(path)?;
    }
    let program = std::path::absolute(&args.program).context("find the program")?;
    if let Some(reason) = own::why_not_started(&program) {
        return Err(LabError::NotReady(reason));
    }
    let kind = Kind::from(args.kind);
    let count = kind.stage_count();
    if let Some(stage) = args.stages.iter().find(|stage| !(1..=count).contains(*stage)) {
        return Err(LabError::Usage(format!(
            "--stage {stage}: the stages of {} are 1 to {count}",
            kind.name()
        )));
    }
    let place = place(common, kind)?;
    let wanted =
        Wanted { kind, only: args.stages.clone(), all: args.all, at_once: usize::from(args.at_once) };
    let told = |result: &grade::StageResult| {
        if !common.json {
            result.lines(args.hint).into_iter().for_each(say);
        }
    };
    let grading = async { grade::grade(&program, &wanted, &place, told).await.map_err(LabError::from) };
    let graded = interrupt.unless(grading).await?;
    let written = write(&graded, args);
    match common.json {
        true => say_json(&graded.json())?,
        false => {
            say(format!("{} · logs: {}", graded.summary(), place.logs.display()));
        }
    }
    with_files(graded.exit_code(), written)
}

fn place(common: &Common, kind: Kind) -> Result<Place, LabError> {
    let network = common.site.network();
    if network[0] != 127 {
        return Err(LabError::Usage("--network: grading uses loopback addresses, such as 127.77".into()));
    }
    let programs = site::find_programs()?;
    site::own_directory(&common.site.lab_dir)?;
    let logs = common.site.lab_dir.join("grade").join(kind.name());
    site::empty_directory(&logs)?;
    let logs = std::path::absolute(logs).context("find the directory for logs")?;
    Ok(Place { labctl: programs.join("labctl"), machine: programs.join("machine"), network, logs })
}

fn write(graded: &Grade, args: &GradeArgs) -> Result<(), LabError> {
    let to = |path: &Path, text: String| {
        std::fs::write(path, text)
            .with_context(|| format!("write {}", path.display()))
            .map_err(LabError::from)
    };
    if let Some(path) = &args.junit {
        to(path, graded.junit()?)?;
    }
    if let Some(path) = &args.points {
        to(path, graded.csv())?;
    }
    if let Some(path) = &args.classroom {
        to(path, graded.classroom())?;
    }
    args.gradescope.as_ref().map_or(Ok(()), |path| to(path, graded.gradescope().to_string()))
}

/// The server's name and address.
#[derive(Debug, Args)]
pub struct BackendArgs {
    /// The server's name in its answers (X-Web).
    #[arg(long)]
    name: String,

    /// Address to listen on.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
}

/// Serves until it is interrupted.
pub async fn serve(args: &BackendArgs, interrupt: &Interrupt) -> Performed {
    if !args.listen.ip().is_loopback() {
        return Err(LabError::Usage(format!(
            "--listen {}: it obeys every client, so it is only for loopback addresses",
            args.listen
        )));
    }
    let serving = async { backend::serve(&args.name, args.listen).await.map_err(LabError::from) };
    interrupt.unless(serving).await?;
    Ok(0)
}
