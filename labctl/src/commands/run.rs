//! `labctl run CHAPTER…`: runs chapters and judges their claims.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::common::Common;
use super::parts::PartArgs;
use super::report::write_page;
use super::run_page::Shown;
use super::{Performed, predict, say, say_document, say_json, say_note, with_files};
use crate::output::Output;
use crate::report::forge::Forge;
use crate::report::terminal::wrap;
use crate::report::{Terminal, columns, junit};
use crate::results::summary::worst;
use crate::results::{Kept, RunDirectory};
use crate::runner::{
    self, Demand, Emitter, EventKind, Findings, Observer, Pace, RUN_SCHEMA, RunDocument, SetUp, Wanted,
};
use crate::testbed::{ClaimedSite, Opening, Testbed};
use chapter::library::{self, Group};
use chapter::{Chapter, Setting, Source};
use lab::control::Control;
use lab::error::LabError;
use lab::events::Clock;
use lab::interrupt::Interrupt;
use lab::{Plan, redis};

/// Default address of a run's page, the same as for `labctl up`.
const DEFAULT_PAGE: &str = "127.0.0.1:7780";

/// What to run, and how.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Chapters by name (`labctl list`), paths to .toml files, or `all`, `article` or `beyond` of those listed.
    #[arg(required = true)]
    chapters: Vec<String>,

    /// Measure half as long.
    #[arg(long, env = "LABCTL_QUICK", conflicts_with = "full")]
    quick: bool,

    /// Measure three times as long.
    #[arg(long, env = "LABCTL_FULL")]
    full: bool,

    /// Seed of the random arrivals and keys: the same seed sends the same traffic.
    #[arg(long, env = "LABCTL_SEED", default_value_t = 42)]
    seed: u64,

    /// Change one value of the chapter: machine.web.cores=2, step.half.load.shoppers=60.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    settings: Vec<Setting>,

    #[command(flatten)]
    parts: PartArgs,

    /// How many times to try a chapter that the computer disturbed, including one that failed while disturbed.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=10))]
    attempts: u32,

    /// Ask one to three questions first, and show your guesses beside the measured values in the end.
    #[arg(long)]
    predict: bool,

    /// Print every rate that a capacity search tries, not only its result.
    #[arg(long, short)]
    verbose: bool,

    /// Run nothing; show what a run needs from this computer.
    #[arg(long, conflicts_with_all = ["predict", "html", "junit"])]
    dry_run: bool,

    /// Never ask questions.
    #[arg(long, env = "LABCTL_NO_INPUT")]
    no_input: bool,

    /// Write a page of the run (of the last one, when there are several): one self-contained file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Show the run on the live page, with steps and claims as they happen, on this loopback address, or on the
    /// next free port if its port is in use.
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, require_equals = true, default_missing_value = DEFAULT_PAGE)]
    page: Option<SocketAddr>,

    /// Write the verdicts as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

impl RunArgs {
    /// Returns the arguments with which a run was made.
    pub(super) fn again(before: &RunDocument) -> Self {
        Self {
            chapters: vec![before.chapter.clone()],
            quick: before.pace == Pace::Quick,
            full: before.pace == Pace::Full,
            seed: before.seed,
            settings: vec![],
            parts: PartArgs::default(),
            attempts: 1,
            predict: false,
            verbose: false,
            dry_run: false,
            no_input: true,
            html: None,
            page: None,
            junit: None,
        }
    }

    fn pace(&self) -> Pace {
        match (self.quick, self.full) {
            (true, _) => Pace::Quick,
            (_, true) => Pace::Full,
            _ => Pace::Normal,
        }
    }
}

/// Runs chapters, one after another.
pub async fn run(args: &RunArgs, common: &Common, interrupt: &Interrupt) -> Performed {
    // Every file is read before anything starts.
    let names = args.chapters.iter().flat_map(|name| match name.as_str() {
        "all" => library::names().map(str::to_owned).collect(),
        name => match Group::ALL.into_iter().find(|group| group.name() == name) {
            Some(group) => group.names().map(str::to_owned).collect::<Vec<_>>(),
            None => vec![name.to_owned()],
        },
    });
    let mut sources = Vec::new();
    for name in names {
        let source = args.parts.open(&name, &args.settings).await;
        sources.push(source.inspect_err(|error| Forge::from_environment().report_error(error))?);
    }
    if args.dry_run {
        return dry_run(&sources, args, common).await;
    }
    run_sources(&sources, args, common, interrupt).await
}

/// Prints what these chapters need from this computer, and what is missing.
async fn dry_run(sources: &[Source], args: &RunArgs, common: &Common) -> Performed {
    let (mut demands, mut lacking) = (Vec::new(), None);
    for source in sources {
        let plan = Plan::of(&source.chapter, common.site.deployment()).map_err(LabError::Usage)?;
        let demand = Demand::of(&source.name, &source.chapter, &plan, args.pace());
        let lacks = lacks(source, common).await?;
        if !common.json {
            say(format!("{} needs from this computer:", source.name));
            let lines = demand.lines().into_iter();
            let lines = lines.chain(lacks.iter().map(|what| ("lacking", what.to_string())));
            for (what, how) in lines {
                let indented = wrap(&how, columns::prose().saturating_sub(14));
                for (number, line) in indented.iter().enumerate() {
                    say(format!("  {:<11} {line}", if number == 0 { what } else { "" }));
                }
            }
        }
        lacking = lacking.or(lacks);
        demands.push(demand);
    }
    if common.json {
        say_document("dry-run", serde_json::json!({ "chapters": demands }))?;
    }
    lacking.map_or(Ok(0), Err)
}

/// Returns what a chapter needs and this computer lacks.
async fn lacks(source: &Source, common: &Common) -> Result<Option<LabError>, LabError> {
    let plan = Plan::of(&source.chapter, common.site.deployment()).map_err(LabError::Usage)?;
    match lab::cast::of(source, &plan).await {
        Ok(_) => Ok(redis::check(&plan).err()),
        Err(what @ LabError::NotReady(_)) => Ok(Some(what)),
        Err(what) => Err(what),
    }
}

/// Runs chapters that have been read.
pub(super) async fn run_sources(
    sources: &[Source],
    args: &RunArgs,
    common: &Common,
    interrupt: &Interrupt,
) -> Performed {
    let forge = Forge::from_environment();
    let performed = run_each(sources, args, common, interrupt, &forge).await;
    performed.inspect_err(|error| forge.report_error(error))
}

async fn run_each(
    sources: &[Source],
    args: &RunArgs,
    common: &Common,
    interrupt: &Interrupt,
    forge: &Forge,
) -> Performed {
    for path in args.junit.iter().chain(&args.html) {
        junit::can_be_written(path)?;
    }
    if args.predict && args.no_input {
        return Err(LabError::Usage(
            "--predict asks questions, and --no-input (or LABCTL_NO_INPUT) forbids it: leave one of them out"
                .into(),
        ));
    }
    let terminal = Terminal::new(common.json).verbose(args.verbose);
    let kept = Kept::default();
    let shown = args.page.map(Shown::new).transpose()?;
    let mut observers: Vec<&dyn Observer> = vec![&terminal, &kept];
    observers.extend(shown.as_ref().map(|shown| shown as &dyn Observer));
    let shared =
        Runs { args, common, terminal: &terminal, observer: &observers, interrupt, shown: shown.as_ref() };
    let (mut lacking, mut written) = (None, Ok(()));
    for source in sources {
        if let Some(what) = lacks(source, common).await? {
            if sources.len() == 1 {
                return Err(what);
            }
            // With several chapters, this one is left out and the others run.
            terminal.note(&format!("{} is left out: {what}", source.name));
            lacking = Some(what);
            continue;
        }
        // The questions go to the same stream as the story.
        let guesses = match (args.predict, common.json) {
            (false, _) => vec![],
            (true, false) => predict::ask(source, &mut std::io::stdin().lock(), &mut Output)?,
            (true, true) => predict::ask(source, &mut std::io::stdin().lock(), &mut std::io::stderr())?,
        };
        let run = shared.run_chapter(source).await?;
        let guesses = predict::answered(guesses, &run);
        predict::beside(&guesses).iter().for_each(|line| say_note(common, line));
        predict::keep(&guesses, &run)?;
        if let Some(path) = &args.html {
            written = written.and(write_page(&run.directory, path));
        }
    }
    let summary = kept.summary();
    terminal.all_ended(&summary);
    forge.report(&summary);
    if let Some(path) = &args.junit {
        written = written.and(junit::write(&summary, path).map_err(LabError::from));
    }
    if common.json {
        say_json(&summary)?;
    }
    interrupt.check()?;
    match lacking {
        Some(what) if summary.exit_code() == 0 => Err(what),
        _ => with_files(summary.exit_code(), written),
    }
}

/// What all runs of one command share.
struct Runs<'a> {
    args: &'a RunArgs,
    common: &'a Common,
    terminal: &'a Terminal,
    observer: &'a dyn Observer,
    interrupt: &'a Interrupt,
    /// The live page of the runs, if any.
    shown: Option<&'a Shown>,
}

impl Runs<'_> {
    /// Runs one chapter, and repeats it if the host disturbed it and it did not hold.
    async fn run_chapter(&self, source: &Source) -> Result<RunDocument, LabError> {
        let mut attempt = 1;
        loop {
            let clock = Clock::start();
            let emitter = Emitter::new(self.observer, clock.origin);
            let run = self.run_once(source, attempt, clock, emitter).await;
            self.terminal.quiet();
            let run = run?;
            emitter.emit(EventKind::Ended(&run));
            match run.why_once_more() {
                Some(reason) if attempt < self.args.attempts => {
                    emitter.emit(EventKind::OnceMore { reason: &reason });
                }
                _ => return Ok(run),
            }
            attempt += 1;
        }
    }

    async fn run_once(
        &self,
        source: &Source,
        attempt: u32,
        clock: Clock,
        emitter: Emitter<'_>,
    ) -> Result<RunDocument, LabError> {
        let began = jiff::Timestamp::now();
        let place = &self.common.site;
        // An unavailable port is reported before anything is started.
        let listener = match self.shown {
            Some(shown) => Some((shown, shown.listen().await?)),
            None => None,
        };
        let site = ClaimedSite::claim_at(clock, &source.chapter, place)?;
        redis::check_story(&site.plan, &source.chapter)?;
        let directory = RunDirectory::begin(&place.runs_dir, &source.name, began)?;
        let Chapter { number, title, question, .. } = &source.chapter;
        emitter.emit(EventKind::Begins { name: &source.name, number: *number, title, question });
        let (logs, results) = (directory.logs(), Some(directory.partial()));
        let chapter = source.chapter.clone();
        let opening = Opening { source, chapter, logs: &logs, results, seed: self.args.seed };
        let mut bed = Testbed::start(site, opening, self.interrupt).await?;
        emitter.emit(EventKind::Up { machines: bed.lab.machines_on().len() });

        let page = listener.map(|(shown, listener)| {
            let page = shown.serve(listener, source, &bed, self.common, self.args.seed)?;
            self.terminal.note(&format!("The live page: {}", page.found().url));
            Ok::<_, LabError>((shown, page))
        });
        let told = match page.transpose() {
            Ok(page) => {
                let told = self.tell(source, &mut bed, attempt, emitter).await;
                if let Some((shown, page)) = page {
                    shown.ended(told.as_ref(), clock.now().as_secs_f64());
                    page.end().await;
                }
                told
            }
            Err(error) => Err(error),
        };
        let (events, recorder) = (bed.lab.events.clone(), bed.generator.recorder().clone());
        // The lab ends here, whether the run succeeded or not.
        let closed = bed.close().await;
        let findings = match told {
            Ok(findings) => findings,
            // What could not be stopped matters more than the original error.
            Err(error) => return closed.and(Err(error)),
        };
        let set_up = self.set_up(attempt);
        let document = document(source, self.args, set_up, findings, began, clock.now(), &directory);
        directory.finish(&document, &source.text, &events, &recorder)?;
        closed.map(|()| document)
    }

    /// Returns the conditions of a run, which its verdicts depend on.
    fn set_up(&self, attempt: u32) -> SetUp {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let settings = self.args.parts.shown().chain(self.args.settings.iter().map(ToString::to_string));
        SetUp {
            labctl: env!("CARGO_PKG_VERSION").into(),
            backend: self.common.site.backend,
            settings: settings.collect(),
            host_cores: cores,
            attempt,
        }
    }

    /// Runs the steps while other labctl processes may query the lab and act on it.
    async fn tell(
        &self,
        source: &Source,
        bed: &mut Testbed,
        attempt: u32,
        emitter: Emitter<'_>,
    ) -> Result<Findings, LabError> {
        let control = Control::begin(&bed.lab, &source.name, self.interrupt)?;
        let ends_when_damaged = attempt < self.args.attempts;
        let wanted = Wanted { seed: self.args.seed, pace: self.args.pace(), ends_when_damaged };
        let story = runner::run(bed, wanted, emitter);
        let told = self.interrupt.unless(story).await;
        control.end().await;
        told
    }
}

fn document(
    source: &Source,
    args: &RunArgs,
    set_up: SetUp,
    findings: Findings,
    began: jiff::Timestamp,
    took: Duration,
    directory: &RunDirectory,
) -> RunDocument {
    RunDocument {
        schema: RUN_SCHEMA.into(),
        chapter: source.name.clone(),
        title: source.chapter.title.clone(),
        verdict: worst(findings.claims.iter().map(|claim| claim.verdict)),
        began,
        seconds: took.as_secs_f64(),
        seed: args.seed,
        pace: args.pace(),
        hardware: "emulated".into(),
        set_up,
        findings,
        directory: directory.path().to_owned(),
    }
}
