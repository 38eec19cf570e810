//! The page of one run.

use std::collections::BTreeMap;

use askama::Template;

use super::heroes::{Hero, heroes};
use super::topology::Topology;
use super::{rendered, rich};
use crate::report::charts::{NARROW, Timeline, WIDE};
use crate::report::requests::{self, Course};
use crate::report::tally::tally;
use crate::report::terminal::{figure, ingredients, short, wanted};
use crate::report::traces::{self, Placed, Trace};
use crate::report::windows::{FaultWindow, fault_windows};
use crate::results::stored::{self, StoredEvent, StoredGuess};
use crate::runner::{ClaimResult, RunDocument, Verdict};
use chapter::{Chapter, Source, kind, role};
use lab::Plan;
use lab::error::LabError;
use lab::plan::Deployment;

/// Number of slowest requests shown as traces, where traces were recorded.
const TRACES: usize = 3;

/// Minimum number of bins with requests for a chart over time.
const SPANS_MIN: usize = 4;

#[derive(Template)]
#[template(path = "run.html")]
struct Page<'a> {
    run: &'a RunDocument,
    question: String,
    guesses: Vec<StoredGuess>,
    topology: Topology,
    heroes: Vec<Hero>,
    charts: Vec<Chart>,
    faults: Vec<FaultWindow>,
    steps: Vec<Told>,
    traces: Vec<Trace>,
}

/// One traffic's charts, for desktop and phone.
struct Chart {
    traffic: String,
    rates: String,
    narrow_rates: String,
    latencies: String,
    narrow_latencies: String,
}

/// A step with the time at which it began.
struct Told {
    at: String,
    name: String,
    say: String,
}

/// Renders the page of a stored run.
pub fn run_page(run: &RunDocument) -> Result<String, LabError> {
    let events = stored::events(&run.directory)?;
    let records = requests::read(&run.directory, run.findings.ended)?;
    let series = requests::series(&records, run.findings.ended);
    let source = Source::open(&run.directory.join("chapter.toml").to_string_lossy(), &[])?;
    let chapter = &source.chapter;
    let plan = Plan::of(chapter, Deployment::on_paper()).map_err(LabError::Usage)?;
    let machines: Vec<_> = plan
        .machines
        .values()
        .map(|one| {
            (one.name.clone(), one.programs.iter().map(|plan| plan.program.name()).collect::<Vec<_>>())
        })
        .collect();
    let links = crate::audit::paths::links(chapter);
    let faults = fault_windows(&events, run.findings.ended);
    let is_worth_a_chart =
        |course: &Course| course.bins.iter().filter(|bin| bin.offered > 0.0).count() >= SPANS_MIN;
    let charts = series.traffics.iter().filter(|(_, course)| is_worth_a_chart(course));
    let charts = charts.map(|(traffic, course)| {
        let faults: Vec<_> = faults
            .iter()
            .filter(|fault| concerns(chapter, &links, traffic, &fault.machine))
            .cloned()
            .collect();
        let timeline = Timeline { course, width: series.width, faults: &faults, steps: &run.findings.steps };
        Chart {
            traffic: traffic.clone(),
            rates: timeline.rates(WIDE),
            narrow_rates: timeline.rates(NARROW),
            latencies: timeline.latencies(WIDE),
            narrow_latencies: timeline.latencies(NARROW),
        }
    });
    let charts = charts.collect();
    let say = |wanted: &str| {
        let step = chapter.step.iter().find(|step| step.name == wanted);
        step.map_or(String::new(), |step| step.say.clone())
    };
    let steps = run.findings.steps.iter().map(|(name, at)| Told {
        at: format!("{at:.1} s"),
        name: name.clone(),
        say: say(name),
    });
    let question = chapter.question.clone();
    let topology = Topology::of(&machines, &links, &Default::default(), &roles(&events));
    let guesses = stored::guesses(&run.directory);
    let heroes = heroes(chapter, run, &records, &faults);
    let mut traces = traces::assemble(traces::read(&run.directory.join("logs"))?);
    traces.truncate(TRACES);
    let steps = steps.collect();
    Ok(rendered(&Page { run, question, guesses, topology, heroes, charts, steps, faults, traces })?)
}

/// Returns the initial roles: for each kind, the first machine that took one.
fn roles(events: &[StoredEvent]) -> BTreeMap<String, &'static str> {
    let mut roles: BTreeMap<String, &'static str> = BTreeMap::new();
    for event in events {
        let (key, role) = match event.event.as_str() {
            "became_primary" => ("machine", "primary"),
            "took_over" => ("balancer", "active"),
            _ => continue,
        };
        let Some(name) = event.about.get(key).and_then(|name| name.as_str()) else { continue };
        if !roles.keys().any(|known| kind::of(known) == kind::of(name)) {
            roles.insert(name.to_owned(), role);
        }
    }
    roles
}

/// Returns whether a machine's faults can affect a traffic: the machine is on the route of its requests.
fn concerns(chapter: &Chapter, links: &[(String, String)], traffic: &str, machine: &str) -> bool {
    let kind_of = |name: &str| {
        let name = role::parse(name).map_or(name, |(kind, _)| kind);
        let kind = Some(kind::of(name)).filter(|kind| chapter.machine.contains_key(*kind));
        kind.unwrap_or(name).to_owned()
    };
    let Some(traffic) = chapter.traffic.get(traffic) else { return true };
    let entry = traffic.to.as_ref().split('/').next().unwrap_or_default();
    let mut reached = vec![kind_of(entry)];
    let mut next = 0;
    while let Some(from) = reached.get(next).cloned() {
        for (_, to) in links.iter().filter(|(one, _)| kind_of(one) == from) {
            let to = kind_of(to);
            if !reached.contains(&to) {
                reached.push(to);
            }
        }
        next += 1;
    }
    reached.contains(&kind_of(machine))
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

    /// Returns the number of claims per outcome.
    fn counts(&self) -> Vec<(usize, &'static str)> {
        tally(&self.run.findings.claims)
    }

    fn class(&self, claim: &ClaimResult) -> &'static str {
        if claim.is_refuted_as_expected() { "refuted_as_expected" } else { self.verdict(&claim.verdict) }
    }

    fn word(&self, claim: &ClaimResult) -> &'static str {
        if claim.is_refuted_as_expected() { "refuted, as expected" } else { self.verdict(&claim.verdict) }
    }

    fn is_failure(&self, claim: &ClaimResult) -> bool {
        matches!(claim.verdict, Verdict::Fails | Verdict::Inconclusive)
    }

    /// Returns when the step of a claim began.
    fn moment(&self, claim: &ClaimResult) -> String {
        let step = self.run.findings.steps.iter().find(|(name, _)| *name == claim.step);
        step.map_or(String::new(), |(_, at)| format!(", from {at:.1} s on"))
    }

    fn ingredients(&self, claim: &ClaimResult) -> Option<String> {
        ingredients(claim)
    }

    /// Converts a sentence to HTML, with text between backticks as code.
    fn rich(&self, text: &str) -> String {
        rich(text)
    }

    fn measured(&self, claim: &ClaimResult) -> String {
        claim.measured.map_or("–".into(), |measured| figure(claim, measured))
    }

    fn wanted(&self, claim: &ClaimResult) -> String {
        wanted(claim)
    }

    /// Formats a time in milliseconds.
    fn ms(&self, us: &u64) -> String {
        format!("{:.2}", *us as f64 / 1_000.0)
    }

    /// Formats the duration of a trace in milliseconds.
    fn whole(&self, trace: &Trace) -> String {
        self.ms(&trace.us())
    }

    /// Returns the left margin and the width of a span's bar, in percent of its trace.
    fn bar(&self, trace: &Trace, placed: &Placed) -> String {
        let whole = trace.us().max(1) as f64;
        let start = trace.spans.first().map_or(0, |root| root.span.start_us);
        let percent = |us: u64| (us as f64 / whole * 100.0).min(100.0);
        let left = percent(placed.span.start_us.saturating_sub(start));
        format!("margin-left:{left:.1}%;width:{:.1}%", percent(placed.span.us).clamp(0.3, 100.3 - left))
    }

    fn figure(&self, figure: &Option<f64>) -> String {
        figure.map_or("–".into(), short)
    }

    fn right(&self, right: &Option<bool>) -> &'static str {
        match right {
            Some(true) => "yes",
            Some(false) => "no",
            None => "–",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_on_a_traffics_way_concerns_it() {
        let source = Source::open("server-failure", &[]).unwrap();
        let chapter = &source.chapter;
        let links = crate::audit::paths::links(chapter);
        let concerns = |traffic: &str, machine: &str| concerns(chapter, &links, traffic, machine);
        assert!(concerns("shoppers", "web-2") && concerns("shoppers", "lb") && concerns("shoppers", "db"));
        assert!(!concerns("shoppers", "shop-3") && !concerns("shoppers", "unchecked"));
        assert!(concerns("via-asks", "shop-3") && !concerns("via-asks", "unchecked"));
    }

    #[test]
    fn whoever_was_the_first_is_what_the_picture_shows() {
        let events = "{\"at\":1,\"event\":\"became_primary\",\"machine\":\"db-1\",\"term\":1}\n\
                      {\"at\":2,\"event\":\"took_over\",\"balancer\":\"pair-2\"}\n\
                      {\"at\":9,\"event\":\"became_primary\",\"machine\":\"db-3\",\"term\":2}";
        let events: Vec<StoredEvent> =
            events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let expected = [("db-1".to_owned(), "primary"), ("pair-2".to_owned(), "active")];
        assert_eq!(roles(&events), BTreeMap::from(expected));
    }
}
