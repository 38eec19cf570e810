//! `labctl challenge [NAME [ARCHITECTURE]]`

use clap::Args;
use owo_colors::{OwoColorize, Stream, Style};

use super::common::Common;
use super::{Performed, say, say_document};
use crate::challenge::{self, Check, Outcome, Survives, Task};
use crate::report::terminal::wrap;
use crate::report::{Progress, columns};
use lab::error::LabError;
use lab::interrupt::Interrupt;

/// Which challenge, and what is to solve it.
#[derive(Debug, Args)]
pub struct ChallengeArgs {
    /// The challenge's name [default: list all].
    name: Option<String>,

    /// Your architecture, a .toml file of machines [default: show the task]. `labctl new architecture` prints one to
    /// begin with.
    architecture: Option<String>,

    /// Show a hint, or as many as are asked for.
    #[arg(long, value_name = "COUNT", num_args = 0..=1, default_missing_value = "1", default_value_t = 0, hide_default_value = true)]
    hint: usize,
}

/// Lists the challenges, shows one, or judges an architecture.
pub async fn challenge(args: &ChallengeArgs, common: &Common, interrupt: &Interrupt) -> Performed {
    let Some(name) = &args.name else { return list(common) };
    let task = Task::find(name).map_err(LabError::Usage)?;
    match &args.architecture {
        None => show(&task, args.hint, common),
        Some(file) => judge(&task, file, args.hint, common, interrupt).await,
    }
}

fn list(common: &Common) -> Performed {
    if common.json {
        let tasks: Vec<_> = Task::all().map(|task| document(&task)).collect();
        say_document("challenges", serde_json::json!({ "challenges": tasks }))?;
        return Ok(0);
    }
    for task in Task::all() {
        let Task { name, title, rate, budget, .. } = &task;
        let survives = match task.survives {
            Survives::Nothing => "",
            Survives::AnyKill => ", any kill survived",
            Survives::AnyFault => ", any fault survived",
        };
        const INDENT: usize = 17;
        let what = format!("{title}: {rate:.0} requests a second for ${budget:.0} a month{survives}");
        for (number, line) in wrap(&what, columns::prose() - INDENT).iter().enumerate() {
            let before = if number == 0 { name } else { "" };
            say(format!("{before:<INDENT$}{line}"));
        }
    }
    say("");
    let next =
        "`labctl challenge NAME` shows the task, `labctl challenge NAME mine.toml` judges your architecture.";
    wrap(next, columns::prose()).iter().for_each(say);
    Ok(0)
}

fn document(task: &Task) -> serde_json::Value {
    let Task { name, title, task: text, budget, reference, hints, read, .. } = task;
    serde_json::json!({ "name": name, "title": title, "task": text, "budget": budget, "reference": reference, "wanted": task.wanted(), "hints": hints, "read": read })
}

fn show(task: &Task, hints: usize, common: &Common) -> Performed {
    if common.json {
        say_document("challenge", document(task))?;
        return Ok(0);
    }
    say(&task.title);
    wrap(&task.task, columns::prose()).iter().for_each(say);
    say("\nWhat is checked, in this order:");
    task.wanted().iter().for_each(|wanted| say(format!("  - {wanted}")));
    say("");
    let price = "A machine of one core, 256 MiB and 31 disk operations a second costs what labctl/prices.toml says \
        for the most expensive program on it; a larger one costs as many times more.";
    wrap(price, columns::prose()).iter().for_each(say);
    advise(task, hints);
    say(format!("\n`labctl new architecture > mine.toml`, then `labctl challenge {} mine.toml`.", task.name));
    Ok(0)
}

fn advise(task: &Task, hints: usize) {
    for hint in task.hints.iter().take(hints) {
        wrap(&format!("hint: {hint}"), columns::prose()).iter().for_each(say);
    }
    if hints < task.hints.len() {
        say(format!(
            "(--hint{} shows a hint)",
            if hints == 0 { String::new() } else { format!(" {}", hints + 1) }
        ));
    }
    say(format!("read: {}", task.read));
}

async fn judge(task: &Task, file: &str, hints: usize, common: &Common, interrupt: &Interrupt) -> Performed {
    let solution = challenge::open(file, &common.site)?;
    let progress = Progress::begin();
    let told = |check: &Check| {
        if !common.json {
            progress.suspend(|| lines(check).iter().for_each(say));
        }
    };
    let judged = challenge::judge(task, &solution, &common.site, &progress, interrupt, told).await;
    progress.end();
    let judged = judged?;
    let code = judged.exit_code();
    if common.json {
        say_document("judged", serde_json::to_value(&judged).map_err(anyhow::Error::from)?)?;
        return Ok(code);
    }
    match judged.solved {
        true if judged.cost < task.reference => say(format!(
            "\nSolved for ${:.0} a month: the lab's own solution costs ${:.0}.",
            judged.cost, task.reference
        )),
        true => say(format!(
            "\nSolved for ${:.0} a month. The cheapest solution known costs ${:.0}.",
            judged.cost, task.reference
        )),
        false => {
            say("");
            advise(task, hints);
        }
    }
    Ok(code)
}

fn lines(check: &Check) -> Vec<String> {
    let (mark, style) = match check.outcome {
        Outcome::Met => ("✓", Style::new().green()),
        Outcome::Missed => ("✗", Style::new().red().bold()),
        Outcome::Unclear => ("?", Style::new().yellow()),
    };
    let mark = mark.if_supports_color(Stream::Stdout, |mark| mark.style(style));
    let mut lines = vec![format!("{mark} {}", check.wanted)];
    lines.extend(
        wrap(&check.found, columns::prose().saturating_sub(4)).into_iter().map(|line| format!("    {line}")),
    );
    lines
}
