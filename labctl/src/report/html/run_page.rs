//! A page about one run.

use askama::Template;

use super::rendered;
use super::topology::Topology;
use crate::report::charts::Timeline;
use crate::report::requests;
use crate::report::terminal::{short, wanted};
use crate::report::windows::{FaultWindow, fault_windows};
use crate::results::stored;
use crate::runner::{ClaimResult, RunDocument, Verdict};
use chapter::{Expected, Source};
use lab::Plan;
use lab::error::LabError;
use lab::plan::Place;

/// Traffics with fewer requests than this have nothing to show over time.
const SPANS_MIN: usize = 4;

#[derive(Template)]
#[template(path = "run.html")]
struct Page<'a> {
    run: &'a RunDocument,
    question: String,
    held: usize,
    topology: Topology,
    charts: Vec<Chart>,
    faults: Vec<FaultWindow>,
    steps: Vec<Told>,
}

/// One traffic's charts.
struct Chart {
    traffic: String,
    rates: String,
    latencies: String,
}

/// A step, and when it began.
struct Told {
    at: String,
    name: String,
    say: String,
}

/// The page of a run that was kept.
pub fn run_page(run: &RunDocument) -> Result<String, LabError> {
    let events = stored::events(&run.directory)?;
    let series = requests::read(&run.directory, run.findings.ended)?;
    let source = Source::open(&run.directory.join("chapter.toml").to_string_lossy(), &[])?;
    let plan = Plan::of(&source.chapter, Place::on_paper()).map_err(LabError::Usage)?;
    let machines: Vec<_> = plan
        .machines
        .values()
        .map(|one| {
            (one.name.clone(), one.programs.iter().map(|plan| plan.program.name()).collect::<Vec<_>>())
        })
        .collect();
    let links = crate::audit::paths::links(&source.chapter);
    let faults = fault_windows(&events, run.findings.ended);
    let charts = series
        .traffics
        .iter()
        .filter(|(_, bins)| bins.iter().filter(|bin| bin.ok + bin.failed > 0.0).count() >= SPANS_MIN);
    let charts = charts.map(|(traffic, bins)| {
        let timeline = Timeline {
            bins,
            width: series.width,
            seconds: run.findings.ended,
            faults: &faults,
            steps: &run.findings.steps,
        };
        Chart { traffic: traffic.clone(), rates: timeline.rates(), latencies: timeline.latencies() }
    });
    let charts = charts.collect();
    let say = |wanted: &str| {
        let step = source.chapter.step.iter().find(|step| step.name == wanted);
        step.map_or(String::new(), |step| step.say.clone())
    };
    let steps = run.findings.steps.iter().map(|(name, at)| Told {
        at: format!("{at:.1} s"),
        name: name.clone(),
        say: say(name),
    });
    Ok(rendered(&Page {
        run,
        question: source.chapter.question.clone(),
        held: run.held(),
        topology: Topology::of(&machines, &links, &Default::default()),
        charts,
        steps: steps.collect(),
        faults,
    })?)
}

impl Page<'_> {
    fn verdict(&self, verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::Holds => "holds",
            Verdict::Fails => "fails",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Skipped => "skipped",
        }
    }

    fn is_refuted(&self, claim: &ClaimResult) -> bool {
        claim.expected == Expected::Refute && claim.verdict == Verdict::Holds
    }

    fn measured(&self, claim: &ClaimResult) -> String {
        claim.measured.map_or("–".into(), |figure| format!("{}{}", short(figure), claim.unit))
    }

    fn wanted(&self, claim: &ClaimResult) -> String {
        format!("{}{}", wanted(claim.bound), claim.unit)
    }

    fn figure(&self, figure: &Option<f64>) -> String {
        figure.map_or("–".into(), short)
    }
}
