//! A run as text: the story line by line and, on a terminal, a live line below it.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use history::lost::Lost;
use indicatif::{ProgressBar, ProgressStyle};
use owo_colors::{OwoColorize, Stream, Style};
use parking_lot::Mutex;

use super::{columns, tally};
pub use crate::numbers::short;
use crate::output;
use crate::results::Summary;
use crate::runner::{ClaimResult, EventKind, FilledTable, Observer, RunDocument, RunEvent, Verdict};
use chapter::expression::Expression;
use chapter::measures::{Measure, MeasureCall, Unit};
use chapter::{Bound, Expected, Source, library};
use load::{LiveFigures, Tried};

/// Number of records listed; the summary has all of them.
const RECORDS_MAX: usize = 10;

/// Reports a run on a terminal, or into a file.
#[derive(Debug)]
pub struct Terminal {
    /// The story goes to standard error if standard output is for data.
    to_stderr: bool,
    live: Option<ProgressBar>,
    /// Whether each trial of a capacity search is a line.
    verbose: bool,
    /// The trials of the capacity searches in progress.
    tried: Mutex<Vec<Trial>>,
}

/// One trial of a capacity search.
#[derive(Debug)]
struct Trial {
    traffic: String,
    rate: f64,
    tried: Tried,
}

impl Terminal {
    /// Creates a reporter. `data_on_stdout` is set by `--json`.
    pub fn new(data_on_stdout: bool) -> Self {
        let live = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is valid");
            ProgressBar::new_spinner().with_style(style)
        });
        Self { to_stderr: data_on_stdout, live, verbose: false, tried: Mutex::default() }
    }

    /// Prints each trial of a capacity search, too.
    pub fn verbose(self, verbose: bool) -> Self {
        Self { verbose, ..self }
    }

    /// Prints the heading of a chapter.
    fn begins(&self, number: u32, title: &str, question: &str) {
        self.line("");
        self.line(&self.paint(&format!("{number}. {title}"), Style::new().bold()));
        for line in wrap(question, columns::prose()) {
            self.line(&self.paint(&line, Style::new().italic()));
        }
    }

    /// Prints that the machines are up.
    fn up(&self, machines: usize, took: Duration) {
        let are = if machines == 1 { "machine is" } else { "machines are" };
        self.line(&format!("{machines} {are} up after {:.1} s.", took.as_secs_f64()));
    }

    /// Prints the verdict of a chapter, every deviation from the expectation, and what to do next.
    fn ended(&self, run: &RunDocument) {
        self.quiet();
        self.line("");
        let verdict = self.verdict(run.verdict);
        let counts = tally::in_a_line(&run.findings.claims);
        self.line(&format!("{verdict}  {}: {counts}; {:.0} s", run.chapter, run.seconds));
        self.what_went_wrong(run);
        if let Some((question, answer)) = surprise(run) {
            self.line("");
            self.prose(&format!("{question} {answer}"), 0);
        }
        let lag = run.findings.generator_lag_p99_ms;
        let directory = run.directory.display();
        self.note(&format!("The load generator was {lag:.1} ms late at p99."));
        self.note(&format!("Results: {directory}"));
        self.line(&format!("Next: {}", next(run)));
    }

    /// Prints the end of several runs: a line per chapter, and every deviation from the expectation once
    /// more.
    pub fn all_ended(&self, summary: &Summary) {
        if summary.runs.len() < 2 {
            return;
        }
        self.line("");
        for run in &summary.runs {
            let verdict = self.verdict(run.verdict);
            let counts = tally::in_a_line(&run.findings.claims);
            self.line(&format!("{verdict}  {:<16} {counts}; {:.0} s", run.chapter, run.seconds));
        }
        for run in &summary.runs {
            self.what_went_wrong(run);
        }
    }

    /// Prints every claim that failed or could not be judged.
    fn what_went_wrong(&self, run: &RunDocument) {
        for claim in run.findings.claims.iter().filter(|claim| is_amiss(claim.verdict)) {
            let (mark, style) = mark(claim);
            let words = if claim.verdict == Verdict::Fails { "failed" } else { "not judged" };
            let place = format!("{words}, {} step {}:", run.chapter, claim.step);
            self.marked(&self.paint(mark, style), &format!("{place} {}", claim.claim));
            self.prose(&figures(claim), 6);
            claim.because.iter().for_each(|because| self.prose(because, 6));
            for line in
                claim.source.iter().flat_map(|source| wrap(&format!("After {source}."), columns::prose() - 6))
            {
                self.line(&self.paint(&format!("      {line}"), Style::new().dimmed()));
            }
        }
    }

    /// Prints a remark.
    pub fn note(&self, text: &str) {
        self.line(&self.paint(text, Style::new().dimmed()));
    }

    /// Removes the live line.
    pub fn quiet(&self) {
        if let Some(live) = &self.live {
            live.finish_and_clear();
        }
    }

    fn claim(&self, claim: &ClaimResult) {
        let (mark, style) = mark(claim);
        let sentence = match claim.is_refuted_as_expected() {
            true => format!("Refuted, as expected: “{}”", claim.claim),
            false => claim.claim.clone(),
        };
        self.marked(&self.paint(mark, style), &sentence);
        if claim.verdict != Verdict::Skipped {
            self.prose(&figures(claim), 6);
            ingredients(claim).iter().for_each(|parts| self.prose(parts, 6));
        }
        if let Some(article) = claim.article.as_ref().filter(|article| **article != claim.claim) {
            for line in wrap(&format!("The article: “{article}”"), columns::prose() - 6) {
                self.line(&self.paint(&format!("      {line}"), Style::new().dimmed()));
            }
        }
        claim.because.iter().for_each(|because| self.prose(because, 6));
    }

    /// Prints a wrapped text, indented by `indent` spaces.
    fn prose(&self, text: &str, indent: usize) {
        let lines = wrap(text, columns::prose().saturating_sub(indent));
        lines.iter().for_each(|line| self.line(&format!("{}{line}", " ".repeat(indent))));
    }

    /// Prints a wrapped text after a mark.
    fn marked(&self, mark: &str, text: &str) {
        for (number, line) in wrap(text, columns::prose() - 4).iter().enumerate() {
            let before = if number == 0 { format!("  {mark} ") } else { " ".repeat(4) };
            self.line(&format!("{before}{line}"));
        }
    }

    fn table(&self, filled: &FilledTable) {
        let header = std::iter::once("").chain(filled.columns.iter().map(String::as_str));
        let mut table = columns::table(header.collect::<Vec<_>>());
        for (name, figures) in &filled.rows {
            let figures = figures.iter().map(|figure| figure.map_or("–".into(), short));
            table.add_row(std::iter::once(name.clone()).chain(figures));
        }
        self.line("");
        self.prose(&self.paint(&filled.title, Style::new().bold()), 0);
        columns::lines(table, columns::width()).iter().for_each(|line| self.line(line));
    }

    /// Keeps a trial of a capacity search for the summary.
    fn tried(&self, traffic: &str, rate: f64, tried: &Tried) {
        if self.verbose {
            self.note(&format!("  {traffic}: {rate:.0} req/s is {tried}"));
        }
        let trial = Trial { traffic: traffic.to_owned(), rate, tried: tried.clone() };
        self.tried.lock().push(trial);
    }

    /// Sums up the capacity searches that have ended, a line for each.
    fn searches_ended(&self) {
        let trials = std::mem::take(&mut *self.tried.lock());
        if !trials.is_empty() {
            self.line("");
            columns::lines(searches(&trials), columns::width()).iter().for_each(|line| self.line(line));
        }
    }

    fn lost(&self, history: &str, records: &[Lost]) {
        let count: usize = records.iter().map(|record| record.at_least).sum();
        let title = format!("Acknowledged writes of the history '{history}' that are lost: {count} at least");
        self.line("");
        self.line(&self.paint(&title, Style::new().bold()));
        let mut records: Vec<_> = records.iter().collect();
        records.sort_by_key(|record| in_order(&record.key));
        for record in records.iter().take(RECORDS_MAX) {
            let found = record.found.as_deref().unwrap_or("nothing");
            let missing = record.missing.map_or(String::new(), |missing| format!(", {missing} too little"));
            self.line(&format!("  {}: {} lost; {found} is there{missing}", record.key, record.at_least));
        }
        if records.len() > RECORDS_MAX {
            self.line(&format!("  … and {} records more; summary.json has all", records.len() - RECORDS_MAX));
        }
    }

    fn verdict(&self, verdict: Verdict) -> String {
        match verdict {
            Verdict::Holds => self.paint("HOLDS", Style::new().green().bold()),
            Verdict::Fails => self.paint("FAILS", Style::new().red().bold()),
            Verdict::Inconclusive => self.paint("INCONCLUSIVE", Style::new().yellow().bold()),
            Verdict::Skipped => self.paint("SKIPPED", Style::new().bold()),
        }
    }

    fn paint(&self, text: &str, style: Style) -> String {
        let stream = if self.to_stderr { Stream::Stderr } else { Stream::Stdout };
        text.if_supports_color(stream, |text| text.style(style)).to_string()
    }

    fn line(&self, text: &str) {
        // A reader that went away (`| head`) does not end the lab half-way.
        let print = || match self.to_stderr {
            true => drop(writeln!(std::io::stderr(), "{text}")),
            false => output::line(text),
        };
        match &self.live {
            Some(live) => live.suspend(print),
            None => print(),
        }
    }
}

impl Observer for Terminal {
    fn on(&self, event: &RunEvent<'_>) {
        if !matches!(event.kind, EventKind::Tried { .. } | EventKind::Live { .. } | EventKind::Happened(_)) {
            self.searches_ended();
        }
        match event.kind {
            EventKind::Begins { number, title, question, .. } => self.begins(number, title, question),
            EventKind::Up { machines } => self.up(machines, event.at),
            EventKind::Step { number, of, name, say } => {
                self.line("");
                self.line(&self.paint(&format!("[{number}/{of}] {name}"), Style::new().cyan()));
                self.prose(say, 0);
            }
            EventKind::Did { command } => {
                self.line(&format!("  $ {}", self.paint(command, Style::new().bold())))
            }
            EventKind::Happened(event) => self.note(&format!("  {event}")),
            EventKind::Live { doing, left, traffics } => {
                if let Some(live) = &self.live {
                    let trials = self.tried.lock().len();
                    let doing = match trials {
                        0 => doing.to_owned(),
                        1 => format!("{doing}, 1 rate tried"),
                        many => format!("{doing}, {many} rates tried"),
                    };
                    live.set_message(live_line(&doing, left, traffics, columns::live()));
                    live.tick();
                }
            }
            EventKind::Tried { traffic, rate, tried } => self.tried(traffic, rate, tried),
            EventKind::Note { text } => self.note(&format!("  {text}")),
            EventKind::Claim(claim) => self.claim(claim),
            EventKind::Table(table) => self.table(table),
            EventKind::Lost { history, records } => self.lost(history, records),
            EventKind::Offence { history, picture } => {
                self.line("");
                self.line(&self.paint(
                    &format!("The smallest part of the history '{history}' that no order explains"),
                    Style::new().bold(),
                ));
                picture.lines().for_each(|line| self.line(line));
            }
            EventKind::Ended(run) => self.ended(run),
            EventKind::OnceMore { reason } => self.note(reason),
            // Audits and the table are reported by a progress bar.
            EventKind::AuditBegins { .. }
            | EventKind::Fault { .. }
            | EventKind::FaultEnded { .. }
            | EventKind::Expected { .. }
            | EventKind::Doing { .. }
            | EventKind::Done { .. } => {}
        }
    }
}

/// Formats the line of live figures, so that no figure is cut: where traffics do not fit with all of their
/// figures, they have fewer of them, and at last they are added up.
fn live_line(doing: &str, left: Duration, traffics: &[(&str, LiveFigures)], width: usize) -> String {
    let begin = format!("{doing}, {:.0} s", left.as_secs_f64().ceil());
    let of_each = |figures: fn(&str, &LiveFigures) -> String| {
        let each = traffics.iter().map(|(name, live)| format!(" | {}", figures(name, live)));
        format!("{begin}{}", each.collect::<String>())
    };
    let sum = |figure: fn(&LiveFigures) -> f64| traffics.iter().map(|(_, live)| figure(live)).sum::<f64>();
    let all = format!(
        "{begin} | {:.0}/s: {} ok, {} failed",
        sum(|live| live.offered),
        sum(|live| live.ok as f64),
        sum(|live| live.failed as f64)
    );
    let lines = [of_each(in_full), of_each(in_short), of_each(in_brief), all];
    let fits = |line: &String| line.chars().count() <= width;
    lines.into_iter().find(fits).unwrap_or(begin)
}

/// Formats all live figures of a traffic.
fn in_full(name: &str, live: &LiveFigures) -> String {
    let p99 = live.p99.map_or("–".into(), |p99| format!("{:.0} ms", p99.as_secs_f64() * 1e3));
    let waiting = format!("p99 {p99}, {} waiting", live.in_flight);
    match live.attempts > (live.ok + live.failed) as u64 {
        true => format!("{}, {waiting}, {} attempts", in_short(name, live), live.attempts),
        false => format!("{}, {waiting}", in_short(name, live)),
    }
}

/// Formats what matters most.
fn in_short(name: &str, live: &LiveFigures) -> String {
    format!("{name} {:.0}/s: {} ok, {} failed", live.offered, live.ok, live.failed)
}

/// Formats a traffic's rate, and its failures if there are any.
fn in_brief(name: &str, live: &LiveFigures) -> String {
    match live.failed {
        0 => format!("{name} {:.0}/s", live.offered),
        failed => format!("{name} {:.0}/s ({failed} failed)", live.offered),
    }
}

/// A row per capacity search: the highest rate that was good, the lowest one above it that was not, and the
/// number of rates tried.
fn searches(trials: &[Trial]) -> comfy_table::Table {
    let mut table = columns::table(["capacity of", "good up to", "p99", "too much at", "rates tried"]);
    let mut traffics: Vec<_> = trials.iter().map(|trial| trial.traffic.as_str()).collect();
    traffics.sort_by_key(|name| in_order(name));
    traffics.dedup();
    for traffic in traffics {
        let of_it = || trials.iter().filter(|trial| trial.traffic == traffic);
        let good = of_it().filter(|trial| trial.tried.met).max_by(|one, two| one.rate.total_cmp(&two.rate));
        let missed = of_it().filter(|trial| !trial.tried.met).map(|trial| trial.rate);
        // One miss is tolerated, so a rate below may have been missed as well.
        let above = missed.filter(|rate| good.is_none_or(|good| *rate > good.rate));
        let too_much = above.min_by(f64::total_cmp);
        let rate = |rate: f64| format!("{rate:.0} req/s");
        table.add_row([
            traffic.to_owned(),
            good.map_or("–".into(), |good| rate(good.rate)),
            good.map_or("–".into(), |good| format!("{:.0} ms", good.tried.p99.as_secs_f64() * 1e3)),
            too_much.map_or("–".into(), rate),
            of_it().count().to_string(),
        ]);
    }
    table
}

/// Returns whether a claim needs attention.
fn is_amiss(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Fails | Verdict::Inconclusive)
}

/// Returns a claim's mark and colour. A refuted sentence has its own mark, even if that was expected.
fn mark(claim: &ClaimResult) -> (&'static str, Style) {
    match claim.verdict {
        Verdict::Holds if claim.is_refuted_as_expected() => ("≠", Style::new().cyan()),
        Verdict::Holds => ("✓", Style::new().green()),
        Verdict::Fails => ("✗", Style::new().red().bold()),
        Verdict::Inconclusive => ("?", Style::new().yellow()),
        Verdict::Skipped => ("–", Style::new().dimmed()),
    }
}

/// Returns the last question that the chapter asked in advance, which has the most surprising answer.
fn surprise(run: &RunDocument) -> Option<(&str, String)> {
    let mut asked = run.findings.claims.iter().filter_map(|claim| Some((claim, claim.ask.as_deref()?)));
    let judged = |(claim, _): &(&ClaimResult, &str)| claim.verdict != Verdict::Inconclusive;
    let (claim, question) = asked.rfind(judged)?;
    Some((question, format!("{}.", figure(claim, claim.measured?))))
}

/// Suggests the next command.
fn next(run: &RunDocument) -> String {
    let chapters: Vec<_> = library::names().collect();
    let at = chapters.iter().position(|name| *name == run.chapter);
    let told = at.and_then(|_| Source::open(&run.chapter, &[]).ok()?.chapter.next);
    let following = at.and_then(|at| Some(format!("labctl run {}", chapters.get(at + 1)?)));
    let following = told.or(following);
    let report = format!("labctl report {}", run.directory.display());
    match (run.verdict, following) {
        (Verdict::Holds, Some(following)) => format!("{following}, or: {report}"),
        _ => report,
    }
}

/// Sort key in natural order: 2 before 10.
fn in_order(key: &str) -> (String, u64) {
    let digits = key.len() - key.trim_end_matches(|letter: char| letter.is_ascii_digit()).len();
    let (name, number) = key.split_at(key.len() - digits);
    (name.to_owned(), number.parse().unwrap_or_default())
}

/// Formats the measured and the wanted figure.
pub fn figures(claim: &ClaimResult) -> String {
    let tested = match claim.expected {
        Expected::Confirm => "wanted",
        Expected::Refute => "the sentence would need",
    };
    let verdict = match (claim.expected, claim.verdict) {
        (_, Verdict::Inconclusive | Verdict::Skipped) => "; not judged",
        (Expected::Refute, Verdict::Fails) => "; not refuted, against expectation",
        _ => "",
    };
    let wanted = wanted(claim);
    match claim.measured {
        None => format!("nothing could be measured; {tested} {wanted}{verdict}"),
        Some(measured) => {
            let is_exact = claim.bound.low == claim.bound.high && claim.bound.holds(measured);
            let figure = figure(claim, measured);
            match (claim.expected, claim.verdict) {
                (Expected::Confirm, Verdict::Holds) if is_exact => format!("{figure}, as it should be"),
                _ => format!("measured {figure}; {tested} {wanted}{verdict}"),
            }
        }
    }
}

/// Formats the figures that a claim's figure is composed of, if they are few. `happened` is not a figure.
pub fn ingredients(claim: &ClaimResult) -> Option<String> {
    let parts = claim.parts.iter().filter(|(name, _)| !name.starts_with("happened("));
    let parts: Vec<_> = parts.map(|(name, figure)| format!("{name} = {}", short(*figure))).collect();
    let is_told = (2..=4).contains(&parts.len());
    is_told.then(|| format!("{}: {}", claim.measure, parts.join(", ")))
}

/// Formats a claim's figure with its unit, or as yes or no.
pub fn figure(claim: &ClaimResult, figure: f64) -> String {
    let lone = lone_measure(claim);
    if let Some(Unit::YesNo) = lone.map(|measure| measure.description().unit) {
        return if figure > 0.5 { "yes".into() } else { "no".into() };
    }
    format!("{}{}", alike(claim, figure), unit(claim, figure))
}

/// Formats the bounds of a claim.
pub fn wanted(claim: &ClaimResult) -> String {
    let Bound { low, high } = claim.bound;
    let bare = |end: f64| alike(claim, end);
    let shown = |end: f64| figure(claim, end);
    if low == high {
        shown(low)
    } else if high.is_infinite() {
        format!("at least {}", shown(low))
    } else if low.is_infinite() {
        format!("at most {}", shown(high))
    } else {
        format!("{} to {}", bare(low), shown(high))
    }
}

/// Returns the measure of a claim whose expression is a single measure.
fn lone_measure(claim: &ClaimResult) -> Option<Measure> {
    match Expression::<MeasureCall>::parse(&claim.measure) {
        Ok(Expression::Measure(call)) => Some(call.measure),
        _ => None,
    }
}

/// Returns the claim's unit, or that of its measure.
fn unit(claim: &ClaimResult, figure: f64) -> String {
    if !claim.unit.is_empty() {
        return if figure == 1.0 { singular(&claim.unit) } else { claim.unit.clone() };
    }
    let Some(measure) = lone_measure(claim) else { return String::new() };
    match measure.description().unit {
        Unit::Millis => " ms".into(),
        Unit::Seconds => " s".into(),
        Unit::PerSecond => " req/s".into(),
        Unit::Count => {
            let words = format!(" {}", measure.name().replace('_', " "));
            if figure == 1.0 { singular(&words) } else { words }
        }
        _ => String::new(),
    }
}

/// Returns the singular of a unit: ` query` for ` queries`. Units that are not words stay.
fn singular(unit: &str) -> String {
    let word = unit.trim();
    match word {
        _ if word.contains([' ', '/', '%']) || word.len() < 3 => unit.to_owned(),
        _ if word.ends_with("ies") => unit.replace("ies", "y"),
        _ if word.ends_with('s') && !word.ends_with("ss") => unit.trim_end_matches('s').to_owned(),
        _ => unit.to_owned(),
    }
}

/// Formats a figure with as many digits as the bounds.
fn alike(claim: &ClaimResult, figure: f64) -> String {
    let ends = [claim.bound.low, claim.bound.high].into_iter().filter(|end| end.is_finite());
    let is_whole = |figure: &f64| figure.fract() == 0.0;
    let has_parts = ends.chain(claim.measured).any(|figure| !is_whole(&figure));
    match figure.abs() {
        size if has_parts && is_whole(&figure) && size > 0.0 && size < 10.0 => format!("{figure:.2}"),
        _ => short(figure),
    }
}

/// Wraps a text at word boundaries into lines of at most `width` characters.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always one");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_summed_up_in_a_line() {
        let trial = |traffic: &str, rate, met| {
            let tried = Tried { met, p99: Duration::from_millis(42), failed: 0, distrust: None };
            Trial { traffic: traffic.into(), rate, tried }
        };
        let trials = [
            trial("x2", 60.0, true),
            trial("x1", 60.0, true),
            trial("x2", 120.0, true),
            trial("x1", 120.0, false),
            trial("x1", 85.0, false),
            trial("x1", 90.0, true),
            trial("x16", 9.0, false),
        ];
        let lines = columns::lines(searches(&trials), 80);
        let words: Vec<_> = lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
        assert_eq!(words[1], ["x1", "90", "req/s", "42", "ms", "120", "req/s", "4"], "{lines:#?}");
        assert_eq!(words[2], ["x2", "120", "req/s", "42", "ms", "–", "2"]);
        assert_eq!(words[3], ["x16", "–", "–", "9", "req/s", "1"]);
    }

    #[test]
    fn the_live_line_has_whole_figures_at_every_width() {
        let live = LiveFigures { offered: 120.0, ok: 118, failed: 2, in_flight: 7, ..LiveFigures::default() };
        let traffics = [("x1", live), ("x2", live), ("x4", live)];
        let at = |width| live_line("measuring", Duration::from_secs(9), &traffics, width);
        assert!(at(200).contains("x4 120/s: 118 ok, 2 failed, p99 –, 7 waiting"));
        let short = "measuring, 9 s | x1 120/s: 118 ok, 2 failed | x2 120/s: 118 ok, 2 failed | x4 120/s: 118 ok, 2 failed";
        assert_eq!(at(120), short);
        assert_eq!(
            at(80),
            "measuring, 9 s | x1 120/s (2 failed) | x2 120/s (2 failed) | x4 120/s (2 failed)"
        );
        assert_eq!(at(57), "measuring, 9 s | 360/s: 354 ok, 6 failed");
        assert_eq!(at(20), "measuring, 9 s");
    }

    #[test]
    fn figures_show_three_digits_that_matter() {
        let shown: Vec<_> = [0.0, 100.0, 1.4567, 33.333, 417.3, 0.001].into_iter().map(short).collect();
        assert_eq!(shown, ["0", "100", "1.46", "33.3", "417", "0.001"]);
    }

    fn claim(measure: &str, unit: &str, bound: (f64, f64), measured: f64) -> ClaimResult {
        ClaimResult {
            step: "s".into(),
            claim: "It is so.".into(),
            id: None,
            article: None,
            source: None,
            measure: measure.into(),
            measured: Some(measured),
            parts: vec![],
            bound: Bound { low: bound.0, high: bound.1 },
            unit: unit.into(),
            expected: Expected::Confirm,
            verdict: Verdict::Holds,
            because: None,
            ask: None,
        }
    }

    #[test]
    fn a_figure_is_told_in_the_words_of_what_it_measures() {
        let open = f64::INFINITY;
        let told =
            |measure: &str, unit: &str, bound, measured| figures(&claim(measure, unit, bound, measured));
        assert_eq!(told("happened(s)", "", (1.0, 1.0), 1.0), "yes, as it should be");
        assert_eq!(told("linearizable(h)", "", (0.0, 0.0), 0.0), "no, as it should be");
        assert_eq!(told("lost_writes(h)", "", (0.0, 0.0), 0.0), "0 lost writes, as it should be");
        assert_eq!(told("served(s, web-1)", " queries", (1.0, 1.0), 1.0), "1 query, as it should be");
        assert_eq!(told("p99(s)", "", (-open, 50.0), 12.3), "measured 12.3 ms; wanted at most 50 ms");
        let twice = told("rate(s) / rate(t)", "×", (1.8, 2.2), 2.0);
        assert_eq!(twice, "measured 2.00×; wanted 1.80 to 2.20×");
        let apart = told("seconds_between_ends(a/lb, a/lb)", " s apart", (-open, 1.0), 0.0001);
        assert!(apart.starts_with("measured less than 0.001 s apart"), "{apart}");
    }

    #[test]
    fn a_sentence_that_was_found_wrong_never_has_the_mark_of_one_that_is_right() {
        let mut claim = claim("failed(s)", "", (0.0, 0.0), 3.0);
        assert_eq!(mark(&claim).0, "✓");
        claim.expected = Expected::Refute;
        assert_eq!(mark(&claim).0, "≠");
        assert_eq!(figures(&claim), "measured 3 failed; the sentence would need 0 failed");
        claim.verdict = Verdict::Fails;
        assert_eq!(mark(&claim).0, "✗");
    }

    #[test]
    fn a_figure_that_is_made_of_several_shows_them() {
        let mut claim = claim("failed(s) / (50 * seconds(s))", "× that", (0.75, 1.25), 0.99);
        claim.parts = vec![("failed(s)".into(), 148.0), ("seconds(s)".into(), 2.99)];
        let told = "failed(s) / (50 * seconds(s)): failed(s) = 148, seconds(s) = 2.99";
        assert_eq!(ingredients(&claim).as_deref(), Some(told));
        claim.parts[1].0 = "happened(s)".into();
        assert_eq!(ingredients(&claim), None, "what is left says no more than the figure");
    }

    #[test]
    fn records_are_listed_as_people_count() {
        let mut keys = ["account:10", "account:2", "account:1"];
        keys.sort_by_key(|key| in_order(key));
        assert_eq!(keys, ["account:1", "account:2", "account:10"]);
    }

    #[test]
    fn long_text_is_broken_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
    }
}
