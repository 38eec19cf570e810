//! Runs the stages in order, each with its own programs, and repeats a stage that failed while the computer was busy.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::act::Stop;
use crate::database::Cluster;
use crate::field::{Field, Place};
use crate::ground::Ground;
use crate::report::{Grade, Outcome, StageResult};
use crate::stage::{Kind, Stage, Stages};
use crate::watch::Watch;

/// How often a stage is tried if it fails on a busy computer.
const ATTEMPTS: u32 = 3;

/// What to grade, and how.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The kind of part.
    pub kind: Kind,
    /// The stages to run, counted from 1; empty for all.
    pub only: Vec<usize>,
    /// Whether to go on after a failed stage.
    pub all: bool,
    /// The number of stages to run concurrently.
    pub at_once: usize,
}

/// Grades a program. Calls `hear` with each stage's result, in order.
pub async fn grade(
    program: &Path,
    wanted: &Wanted,
    place: &Place,
    hear: impl FnMut(&StageResult),
) -> anyhow::Result<Grade> {
    match wanted.kind {
        Kind::Lb => grade_on::<Field>(program, wanted, place, Stages::of_balancer(), hear).await,
        Kind::Db => grade_on::<Cluster>(program, wanted, place, Stages::of_database(), hear).await,
    }
}

async fn grade_on<G: Ground>(
    program: &Path,
    wanted: &Wanted,
    place: &Place,
    stages: Stages<G::Act>,
    mut hear: impl FnMut(&StageResult),
) -> anyhow::Result<Grade> {
    let watch = Watch::begin();
    let is_wanted = |number: usize| wanted.only.is_empty() || wanted.only.contains(&number);
    let chosen: Vec<_> = (1..).zip(&stages.stage).filter(|(number, _)| is_wanted(*number)).collect();
    let mut grade = Grade {
        kind: wanted.kind.name(),
        program: program.display().to_string(),
        stages: vec![],
        out_of: chosen.iter().map(|(_, stage)| stage.points).sum(),
    };
    let mut stopped = false;
    for together in chosen.chunks(wanted.at_once.max(1)) {
        if stopped {
            grade
                .stages
                .extend(together.iter().map(|(number, stage)| StageResult::not_reached(*number, stage)));
            continue;
        }
        let playing =
            together.iter().map(|(number, stage)| play::<G>(place, *number, stage, program, &watch));
        for result in join_all(playing).await {
            let result = result?;
            hear(&result);
            stopped |= !wanted.all && !matches!(result.outcome, Outcome::Passed | Outcome::Skipped);
            grade.stages.push(result);
        }
    }
    Ok(grade)
}

/// Runs a stage, and repeats it if it failed while the computer was too busy.
async fn play<G: Ground>(
    place: &Place,
    number: usize,
    stage: &Stage<G::Act>,
    program: &Path,
    watch: &Watch,
) -> anyhow::Result<StageResult> {
    let mut attempt = 1;
    loop {
        let since = Instant::now();
        let Played { mut result, is_certain, waited } = play_once::<G>(place, number, stage, program).await?;
        let busy = watch.too_busy(since, waited).filter(|_| !is_certain);
        match (result.outcome, busy) {
            (Outcome::Failed, Some(_)) if attempt < ATTEMPTS => attempt += 1,
            (Outcome::Failed, Some(busy)) => {
                result.outcome = Outcome::TooBusy;
                result.because =
                    Some(format!("{busy}; what was seen: {}", result.because.unwrap_or_default()));
                return Ok(result);
            }
            _ => return Ok(result),
        }
    }
}

/// One attempt at a stage.
struct Played {
    result: StageResult,
    /// Whether the result stands no matter how busy the computer was.
    is_certain: bool,
    /// How long the part waited for a core during the attempt.
    waited: Duration,
}

async fn play_once<G: Ground>(
    place: &Place,
    number: usize,
    stage: &Stage<G::Act>,
    program: &Path,
) -> anyhow::Result<Played> {
    let (mut ground, stopped) = match G::start(place, number, stage, program).await? {
        Ok(mut ground) => {
            let stopped = ground.carry_out(number, stage).await;
            (ground, stopped)
        }
        Err((sentence, ground)) => (ground, Some(Stop::Failed(sentence))),
    };
    let traces = ground.traces();
    let (result, is_certain) = match stopped {
        None => (StageResult::passed(number, stage, traces), true),
        Some(Stop::Skipped(reason)) => (StageResult::skipped(number, stage, reason, traces), true),
        Some(Stop::Broken(error)) => return Err(error),
        Some(Stop::Failed(sentence)) => (StageResult::failed(number, stage, sentence, traces), false),
        Some(Stop::Wrong(sentence)) => (StageResult::failed(number, stage, sentence, traces), true),
    };
    let waited = ground.waited();
    ground.end().await;
    Ok(Played { result, is_certain, waited })
}
