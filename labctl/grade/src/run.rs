//! The order of things: stage after stage, each on programs of its own; what failed on a busy computer is done
//! again.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::act::{self, Background, Stop};
use crate::field::{Field, Place};
use crate::report::{Grade, Outcome, StageResult};
use crate::stage::{Act, Kind, Stage, Stages};
use crate::watch::Watch;

/// How often a stage is done that failed on a busy computer.
const ATTEMPTS: u32 = 3;

/// What to grade, and how.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What it stands in for.
    pub kind: Kind,
    /// Only these stages, counted from 1; none for all.
    pub only: Vec<usize>,
    /// Whether to go on after a stage that failed.
    pub all: bool,
    /// How many stages at a time.
    pub at_once: usize,
}

/// Grades a program. `hear` is told of each stage as it ends, in order.
pub async fn grade(
    program: &Path,
    wanted: &Wanted,
    place: &Place,
    mut hear: impl FnMut(&StageResult),
) -> anyhow::Result<Grade> {
    let stages = Stages::of(wanted.kind);
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
        let playing = together.iter().map(|(number, stage)| play(place, *number, stage, program, &watch));
        for result in join_all(playing).await {
            let result = result?;
            hear(&result);
            stopped |= !wanted.all && !matches!(result.outcome, Outcome::Passed | Outcome::Skipped);
            grade.stages.push(result);
        }
    }
    Ok(grade)
}

/// Does a stage, and does it again when it failed on a computer that was too busy.
async fn play(
    place: &Place,
    number: usize,
    stage: &Stage,
    program: &Path,
    watch: &Watch,
) -> anyhow::Result<StageResult> {
    let mut attempt = 1;
    loop {
        let since = Instant::now();
        let Played { mut result, is_certain, waited } = play_once(place, number, stage, program).await?;
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

/// A stage that was done once.
struct Played {
    result: StageResult,
    /// Whether it is so however busy the computer was.
    is_certain: bool,
    /// How long the part waited for a core meanwhile.
    waited: Duration,
}

async fn play_once(place: &Place, number: usize, stage: &Stage, program: &Path) -> anyhow::Result<Played> {
    let (mut field, stopped) = match Field::start(place, number, stage, program).await? {
        Ok(mut field) => {
            let stopped = carry_out(&mut field, number, stage).await;
            (field, stopped)
        }
        Err((sentence, field)) => (field, Some(Stop::Failed(sentence))),
    };
    let (result, is_certain) = match stopped {
        None => (StageResult::passed(number, stage, &field), true),
        Some(Stop::Skipped(reason)) => (StageResult::skipped(number, stage, reason, &field), true),
        Some(Stop::Broken(error)) => return Err(error),
        Some(Stop::Failed(sentence)) => (StageResult::failed(number, stage, sentence, &field), false),
        Some(Stop::Wrong(sentence)) => (StageResult::failed(number, stage, sentence, &field), true),
    };
    let waited = field.part.waited();
    field.end().await;
    Ok(Played { result, is_certain, waited })
}

/// Does what a stage does, until something is not as wanted.
async fn carry_out(field: &mut Field, number: usize, stage: &Stage) -> Option<Stop> {
    let mut background = Background::default();
    let log = field.place().logs.join(format!("stage-{number}.log"));
    for act in &stage.steps {
        let done = act::carry_out(act, field, &mut background, &log).await;
        // Whoever is asked to end may.
        let own = if matches!(act, Act::Drain { .. }) {
            None
        } else {
            field.part.misbehaviour(done.is_err()).await
        };
        match (done, own) {
            (Ok(()), None) => {}
            (Ok(()), Some(own)) => return Some(Stop::Wrong(own)),
            // What it did by itself explains what was missed because of it.
            (Err(Stop::Failed(sentence) | Stop::Wrong(sentence)), Some(own)) => {
                return Some(Stop::Wrong(format!("{own}; what was seen: {sentence}")));
            }
            (Err(stop), _) => return Some(stop),
        }
    }
    None
}
