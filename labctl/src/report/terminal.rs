//! A run as people read it: the story line by line, and on a terminal one live line below it.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use history::lost::Lost;
use indicatif::{ProgressBar, ProgressStyle};
use owo_colors::{OwoColorize, Stream, Style};

use crate::output;
use crate::results::Summary;
use crate::runner::{ClaimResult, EventKind, FilledTable, Observer, RunDocument, RunEvent, Verdict};
use chapter::{Bound, Expected};
use load::LiveFigures;

const WIDTH_MAX: usize = 100;
/// So many records are listed; whoever wants more reads the summary.
const RECORDS_MAX: usize = 10;

/// Tells a run on a terminal, or into a file.
#[derive(Debug)]
pub struct Terminal {
    /// The story goes to standard error when standard output is for data.
    to_stderr: bool,
    live: Option<ProgressBar>,
}

impl Terminal {
    /// `data_on_stdout`: `--json` was given.
    pub fn new(data_on_stdout: bool) -> Self {
        let live = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is valid");
            ProgressBar::new_spinner().with_style(style)
        });
        Self { to_stderr: data_on_stdout, live }
    }

    /// A chapter begins.
    fn begins(&self, number: u32, title: &str, question: &str) {
        self.line("");
        self.line(&self.paint(&format!("{number}. {title}"), Style::new().bold()));
        self.line(&self.paint(question, Style::new().italic()));
    }

    /// The machines are up.
    fn up(&self, machines: usize, took: Duration) {
        let are = if machines == 1 { "machine is" } else { "machines are" };
        self.line(&format!("{machines} {are} up after {:.1} s.", took.as_secs_f64()));
    }

    /// A chapter has ended.
    fn ended(&self, run: &RunDocument) {
        self.quiet();
        self.line("");
        self.line(&format!(
            "{}  {} of {} claims hold{}; {:.0} s; the load generator was {:.1} ms late at p99. Details: {}",
            self.verdict(run.verdict),
            run.held(),
            run.findings.claims.len(),
            skipped(&run.findings.claims),
            run.seconds,
            run.findings.generator_lag_p99_ms,
            run.directory.display()
        ));
    }

    /// Everything has ended: a line per chapter, when there were several.
    pub fn all_ended(&self, summary: &Summary) {
        if summary.runs.len() < 2 {
            return;
        }
        self.line("");
        for run in &summary.runs {
            let verdict = self.verdict(run.verdict);
            self.line(&format!(
                "{verdict}  {:<16} {}/{} claims, {:.0} s",
                run.chapter,
                run.held(),
                run.findings.claims.len(),
                run.seconds
            ));
        }
    }

    /// Something to know.
    pub fn note(&self, text: &str) {
        self.line(&self.paint(text, Style::new().dimmed()));
    }

    /// Takes the live line away.
    pub fn quiet(&self) {
        if let Some(live) = &self.live {
            live.finish_and_clear();
        }
    }

    fn claim(&self, claim: &ClaimResult) {
        let (mark, style) = match claim.verdict {
            Verdict::Holds => ("✓", Style::new().green()),
            Verdict::Fails => ("✗", Style::new().red().bold()),
            Verdict::Inconclusive => ("?", Style::new().yellow()),
            Verdict::Skipped => ("–", Style::new().dimmed()),
        };
        self.line(&format!("  {} {}", self.paint(mark, style), claim.claim));
        if claim.verdict != Verdict::Skipped {
            self.line(&format!("      {}", figures(claim)));
        }
        if let Some(article) = &claim.article {
            self.line(&self.paint(&format!("      “{article}”"), Style::new().dimmed()));
        }
        for line in claim.because.iter().flat_map(|because| wrap(because, WIDTH_MAX - 6)) {
            self.line(&format!("      {line}"));
        }
    }

    fn table(&self, filled: &FilledTable) {
        let mut table = Table::new();
        table.load_style(UTF8_HORIZONTAL_ONLY);
        table.set_header(std::iter::once("").chain(filled.columns.iter().map(String::as_str)));
        for (name, figures) in &filled.rows {
            let figures = figures.iter().map(|figure| figure.map_or("–".into(), short));
            table.add_row(std::iter::once(name.clone()).chain(figures));
        }
        self.line("");
        self.line(&self.paint(&filled.title, Style::new().bold()));
        table.to_string().lines().for_each(|line| self.line(line));
    }

    fn lost(&self, history: &str, records: &[Lost]) {
        let count: usize = records.iter().map(|record| record.at_least).sum();
        let title = format!("Acknowledged writes of the history '{history}' that are lost: {count} at least");
        self.line("");
        self.line(&self.paint(&title, Style::new().bold()));
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
        match event.kind {
            EventKind::Begins { number, title, question, .. } => self.begins(number, title, question),
            EventKind::Up { machines } => self.up(machines, event.at),
            EventKind::Step { number, of, name, say } => {
                self.line("");
                self.line(&self.paint(&format!("[{number}/{of}] {name}"), Style::new().cyan()));
                wrap(say, WIDTH_MAX).iter().for_each(|line| self.line(line));
            }
            EventKind::Did { command } => {
                self.line(&format!("  $ {}", self.paint(command, Style::new().bold())))
            }
            EventKind::Happened(event) => self.note(&format!("  {event}")),
            EventKind::Live { doing, left, traffics } => {
                if let Some(live) = &self.live {
                    live.set_message(live_line(doing, left, traffics));
                    live.tick();
                }
            }
            EventKind::Tried { traffic, rate, tried } => {
                self.note(&format!("  {traffic}: {rate:.0} req/s is {tried}"));
            }
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
            // Audits and the table are told by a progress bar.
            EventKind::AuditBegins { .. }
            | EventKind::Fault { .. }
            | EventKind::FaultEnded { .. }
            | EventKind::Expected { .. }
            | EventKind::Doing { .. }
            | EventKind::Done { .. } => {}
        }
    }
}

/// The one line of live figures.
pub fn live_line(doing: &str, left: Duration, traffics: &[(&str, LiveFigures)]) -> String {
    let mut line = format!("{doing}, {:.0} s", left.as_secs_f64().ceil());
    for (name, live) in traffics {
        let p99 = live.p99.map_or("–".into(), |p99| format!("{:.0} ms", p99.as_secs_f64() * 1e3));
        line += &format!(
            " | {name} {:.0}/s: {} ok, {} failed, p99 {p99}, {} waiting",
            live.offered, live.ok, live.failed, live.in_flight
        );
    }
    line
}

/// How many claims another program could not be asked for, where there are some.
fn skipped(claims: &[ClaimResult]) -> String {
    match claims.iter().filter(|claim| claim.verdict == Verdict::Skipped).count() {
        0 => String::new(),
        skipped => format!(", {skipped} skipped"),
    }
}

/// What was measured, and what was wanted.
pub fn figures(claim: &ClaimResult) -> String {
    let unit = &claim.unit;
    let measured = claim
        .measured
        .map_or("nothing could be measured".into(), |figure| format!("measured {}{unit}", short(figure)));
    let tested = match claim.expected {
        Expected::Confirm => "wanted",
        Expected::Refute => "the sentence would need",
    };
    let verdict = match (claim.expected, claim.verdict) {
        (_, Verdict::Inconclusive | Verdict::Skipped) => "; not judged",
        (Expected::Refute, Verdict::Holds) => "; refuted, as expected",
        (Expected::Refute, Verdict::Fails) => "; not refuted, against expectation",
        (Expected::Confirm, _) => "",
    };
    format!("{measured}; {tested} {}{unit}{verdict}", wanted(claim.bound))
}

/// Bounds, in words.
pub fn wanted(Bound { low, high }: Bound) -> String {
    if low == high {
        short(low)
    } else if high.is_infinite() {
        format!("at least {}", short(low))
    } else if low.is_infinite() {
        format!("at most {}", short(high))
    } else {
        format!("{} to {}", short(low), short(high))
    }
}

/// Three digits that matter.
pub fn short(figure: f64) -> String {
    match figure.abs() {
        _ if figure.fract() == 0.0 => format!("{figure:.0}"),
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        size if size >= 0.01 => format!("{figure:.2}"),
        _ => format!("{figure:.4}"),
    }
}

/// Lines of at most `width` letters, broken between words.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
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
    fn figures_show_three_digits_that_matter() {
        let shown: Vec<_> = [0.0, 100.0, 1.4567, 33.333, 417.3, 0.001].into_iter().map(short).collect();
        assert_eq!(shown, ["0", "100", "1.46", "33.3", "417", "0.0010"]);
    }

    #[test]
    fn long_text_is_broken_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
    }
}
