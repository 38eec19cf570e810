//! `labctl parts`, and the `--part` flag of the commands that start a chapter's machines.

use std::process::Command;

use clap::Args;

use super::common::Common;
use super::{Performed, say, say_document};
use crate::report::columns;
use crate::report::terminal::wrap;
use chapter::{Setting, Source};
use lab::error::LabError;
use parts::{Known, Swap, find};

/// Programs that stand in for the lab's own.
#[derive(Debug, Clone, Default, Args)]
pub struct PartArgs {
    /// Put another program in the place of every balancer or database of the chapter: lb=haproxy, lb=./my-lb,
    /// db=./my-db. `labctl parts` shows which are known.
    #[arg(long = "part", value_name = "KIND=PROGRAM")]
    parts: Vec<Swap>,

    /// Leave the part its own settings for health checks, instead of the chapter's.
    #[arg(long, requires = "parts")]
    defaults: bool,
}

impl PartArgs {
    /// Reads a chapter with these parts and these settings.
    pub(super) async fn open(&self, name: &str, settings: &[Setting]) -> Result<Source, LabError> {
        let settings = self.settings(name, settings).await?;
        Ok(Source::open(name, &settings)?)
    }

    /// Describes the parts as a run's results record them.
    pub(super) fn shown(&self) -> impl Iterator<Item = String> {
        let part = |swap: &Swap| format!("part {}={}", swap.kind.name(), swap.program);
        self.parts.iter().map(part).chain(self.defaults.then(|| "defaults of the part".to_owned()))
    }

    /// Returns all changes of a chapter, including those that swap parts. Settings by hand take precedence.
    async fn settings(&self, name: &str, settings: &[Setting]) -> Result<Vec<Setting>, LabError> {
        if self.parts.is_empty() {
            return Ok(settings.to_vec());
        }
        let plain = Source::open(name, settings)?;
        let mut all = Vec::new();
        for swap in &self.parts {
            let swapped = swap.settings(&plain.chapter, &swap.abilities().await, self.defaults);
            if swapped.is_empty() {
                return Err(LabError::Usage(format!(
                    "--part {}={}: no machine of '{name}' can have it; leave it out",
                    swap.kind.name(),
                    swap.program
                )));
            }
            all.extend(swapped);
        }
        all.extend_from_slice(settings);
        Ok(all)
    }
}

/// Actions besides showing the parts.
#[derive(Debug, Args)]
pub struct PartsArgs {
    /// Install a part with this computer's package manager: says the command, and runs it.
    #[arg(long, value_name = "NAME")]
    install: Option<String>,
}

/// Shows the programs that can stand in for the lab's own.
pub async fn parts(args: &PartsArgs, common: &Common) -> Performed {
    if let Some(name) = &args.install {
        return install(name);
    }
    let mut documents = Vec::new();
    for known in Known::all() {
        let path = find::find(&known.find);
        let version = match &path {
            Some(path) => find::version(&known, path).await,
            None => None,
        };
        if !common.json {
            show(&known, path.as_deref(), version.as_deref());
        }
        documents.push(serde_json::json!({
            "name": known.name,
            "kind": known.kind.name(),
            "title": known.title,
            "program": path,
            "version": version,
            "install": known.install,
            "can": known.can,
            "cannot": known.cannot,
            "limits": known.limits,
        }));
    }
    if common.json {
        say_document("parts", serde_json::json!({ "parts": documents }))?;
    } else {
        say("A program of your own is a part as well: `labctl run more-servers --part lb=./my-lb`.");
    }
    Ok(0)
}

fn show(known: &Known, path: Option<&std::path::Path>, version: Option<&str>) {
    let kind = known.kind.name();
    match path {
        Some(path) => say(format!(
            "✓ {kind}={:<9} {} {} ({})",
            known.name,
            known.title,
            version.unwrap_or("of an unknown version"),
            path.display()
        )),
        None => {
            say(format!("✗ {kind}={:<9} {} is not installed: `{}`", known.name, known.title, known.install))
        }
    }
    let can: Vec<_> = known.can.iter().map(|ability| ability.name()).collect();
    indented(&format!("can: {}", can.join(", ")));
    known.cannot.iter().for_each(|(ability, reason)| indented(&format!("cannot {ability}: {reason}")));
    known.limits.iter().for_each(|limit| indented(&format!("to know: {limit}")));
}

/// Prints a remark about a part below its name.
fn indented(text: &str) {
    const INDENT: usize = 4;
    for (number, line) in wrap(text, columns::prose() - INDENT - 2).iter().enumerate() {
        // Further lines stand below the first word, so that remarks can be told apart.
        let before = if number == 0 { INDENT } else { INDENT + 2 };
        say(format!("{:before$}{line}", ""));
    }
}

fn install(name: &str) -> Performed {
    let known = Known::named(name)
        .ok_or_else(|| LabError::Usage(format!("there is no part '{name}'; known are {}", Known::names())))?;
    say(format!("running: {}", known.install));
    let home = std::env::home_dir().unwrap_or_default();
    let mut words = known.install.split(' ').map(|word| match word.strip_prefix("~/") {
        Some(within) => home.join(within).into_os_string(),
        None => word.into(),
    });
    let program = words.next().unwrap_or_default();
    let status = Command::new(&program).args(words).status();
    match status {
        Ok(status) if status.success() => Ok(0),
        Ok(status) => Err(LabError::NotReady(format!(
            "`{}` ended with {status}: what it said is above; it may need to be run as root",
            known.install
        ))),
        Err(error) => Err(LabError::NotReady(format!(
            "{} cannot be started ({error}): {} cannot be installed that way here",
            program.to_string_lossy(),
            known.title
        ))),
    }
}
