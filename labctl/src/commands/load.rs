//! `labctl load --rps N`: sends requests to the running lab, or to a URL, at a fixed or ramped rate.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use clap::Args;
use hyper::Method;

use super::by_url::{self, Target};
use super::common::Common;
use super::keys::Keys;
use super::{Performed, by_hand, pace, running, say, say_document, say_note};
use crate::output;
use crate::report::columns;
use crate::watch::Key;
use lab::MachineStatus;
use lab::control::{self, ControlRequest, ControlResponse};
use lab::error::{EXIT_INCONCLUSIVE, LabError};
use lab::http::Client;
use lab::interrupt::Interrupt;
use load::{Arrivals, Generator, LiveFigures, Moment, Rate, Recorder, StreamId, Window};

/// How long the lab may take to begin, because users log in first.
const BACKGROUND_MAX: Duration = Duration::from_secs(60);

/// What to send.
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// Requests a second: one rate, or from one to another, `50..130`.
    #[arg(long, value_parser = parse_rates, allow_hyphen_values = true)]
    rps: Rates,

    /// Time over which the rate changes from the first to the second [default: 30s].
    #[arg(long, value_name = "TIME", conflicts_with = "background")]
    over: Option<humantime::Duration>,

    /// Have the lab itself send the requests, as its live page does, and return at once; `--rps 0` stops it.
    #[arg(long, conflicts_with_all = ["length", "path", "constant"])]
    background: bool,

    /// Send to this address instead of the running lab: http://HOST:PORT. Ends after 10 minutes at most.
    #[arg(long, env = "LABCTL_LOAD_URL", conflicts_with_all = ["background", "traffic"])]
    url: Option<Target>,

    /// How long to send; without it, until Ctrl-C.
    #[arg(long = "for", value_name = "TIME")]
    length: Option<humantime::Duration>,

    /// Which of the chapter's traffics to send [default: its first].
    #[arg(long)]
    traffic: Option<String>,

    /// Request this path with GET instead of the traffic's own; {key} stands for a key.
    #[arg(long)]
    path: Option<String>,

    /// Evenly spaced arrivals instead of random (Poisson) ones.
    #[arg(long)]
    constant: bool,

    /// Seed of the random arrivals and keys.
    #[arg(long, env = "LABCTL_SEED", default_value_t = 42)]
    seed: u64,
}

/// Rate in requests per second, at the beginning and at the end.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rates {
    from: f64,
    to: f64,
}

/// Default duration of a ramp.
const OVER: Duration = Duration::from_secs(30);

impl Rates {
    /// Converts it for the load generator. The error explains conflicting flags.
    fn rate(self, over: Option<Duration>) -> Result<Rate, LabError> {
        match (self.from == self.to, over) {
            (true, Some(_)) => {
                Err(LabError::Usage("--over goes with two rates: --rps 50..130 --over 30s".into()))
            }
            (true, None) => Ok(Rate::Steady(self.from)),
            (false, over) => Ok(Rate::Ramp { from: self.from, to: self.to, over: over.unwrap_or(OVER) }),
        }
    }
}

impl std::fmt::Display for Rates {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.from)?;
        if self.from == self.to { Ok(()) } else { write!(formatter, " to {}", self.to) }
    }
}

fn parse_rates(text: &str) -> Result<Rates, String> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    Ok(Rates { from: parse_rate(from)?, to: parse_rate(to)? })
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.0..=page::RATE_MAX).contains(&rate) => Ok(rate),
        _ => Err(format!("'{text}' is not a rate between 0 and 20000 requests a second")),
    }
}

/// Sends requests with live figures, and prints a summary.
pub async fn load(args: &LoadArgs, common: &Common, interrupt: &Interrupt) -> Performed {
    if args.background {
        return interrupt.unless(in_background(args, common)).await;
    }
    if args.rps.from.max(args.rps.to) == 0.0 {
        return Err(LabError::Usage(
            "--rps 0 sends nothing; with --background it stops what the lab sends".into(),
        ));
    }
    let rate = args.rps.rate(args.over.map(Duration::from))?;
    let length = length(args)?;
    let path = args.path.as_ref();
    let traffic = match &args.url {
        Some(target) => interrupt.unless(by_url::traffic(target, path, args.seed)).await?,
        None => {
            let (source, plan) = running::chapter(common)?;
            by_hand::traffic(args.traffic.as_ref(), path, args.seed, &source.chapter, &plan)?
        }
    };
    let mut stream = traffic.stream.clone();
    if args.constant {
        stream.arrivals = Arrivals::Constant;
    }
    let (target, patience) = (stream.target, stream.patience());
    let generator = Generator::start(Instant::now()).map_err(anyhow::Error::from)?;
    interrupt.unless(by_hand::introduce(&generator, &traffic, common)).await?;
    let id = generator.add(stream).map_err(|error| LabError::Usage(error.to_string()))?;
    generator.set_rate(id, rate);
    // Keys are only useful with a terminal to watch.
    let mut keys = std::io::stderr().is_terminal().then(Keys::listen).flatten();
    if !common.json {
        let how = if keys.is_some() { "↑ and ↓ change that, " } else { "" };
        say(format!("{} requests a second to http://{target}; {how}Ctrl-C ends it", args.rps));
    }
    let lab = args.url.is_none().then_some(common);
    let mut sending = Sending { generator: &generator, id, rate, keys: keys.as_mut(), length };
    // Ctrl-C is the regular way to end it.
    let shown = interrupt.unless(show(&mut sending, lab, common)).await;
    drop(keys);
    if let Ok(Ended::WithTheLab) = shown {
        say_note(common, "the lab has ended");
    }
    generator.set_rate(id, Rate::STOPPED);
    let recorder = generator.recorder().clone();
    let end = recorder.now();
    let _ = recorder.settled(end, patience + Duration::from_secs(1)).await;
    generator.stop();
    sum_up(&recorder, id, end, common)
}

/// Returns how long to send requests. Unsupervised traffic is always limited.
fn length(args: &LoadArgs) -> Result<Option<Duration>, LabError> {
    let length = args.length.map(Duration::from);
    match (&args.url, length) {
        (None, length) => Ok(length),
        (Some(_), Some(longer)) if longer > by_url::LENGTH_MAX => Err(LabError::Usage(format!(
            "--for {}: with --url, 10 minutes at most",
            humantime::format_duration(longer)
        ))),
        (Some(_), length) => Ok(Some(length.unwrap_or(by_url::LENGTH_MAX))),
    }
}

/// Sets the rate of a traffic of the lab's own generator, which the live page shows.
async fn in_background(args: &LoadArgs, common: &Common) -> Performed {
    let directory = &common.site.lab_dir;
    control::running(directory)?;
    let found = page::find(directory).ok_or_else(|| {
        LabError::not_ready("this lab sends nothing by itself: it was started with --no-page")
    })?;
    if args.rps.from != args.rps.to {
        return Err(LabError::Usage("with --background there is one rate, such as --rps 50".into()));
    }
    let wanted = serde_json::json!({ "traffic": args.traffic, "rate": args.rps.to });
    let client = Client::with_token(&found.token);
    let answer = client.ask(found.address, Method::POST, "/api/load", Some(wanted), BACKGROUND_MAX).await?;
    let told: serde_json::Value = serde_json::from_slice(&answer.body).map_err(anyhow::Error::from)?;
    if !answer.status.is_success() {
        let detail = told["detail"].as_str().unwrap_or("the lab refused it");
        return Err(LabError::reported(2, detail.to_owned()));
    }
    if common.json {
        say_document("load-background", told)?;
    } else {
        let name = told["traffic"].as_str().unwrap_or_default();
        say(format!("{name}: {} requests a second from now on; see {}", args.rps, found.url));
    }
    Ok(0)
}

/// Why the traffic has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// Its time was over, or its output is no longer read.
    AsMeant,
    /// The lab has ended.
    WithTheLab,
}

/// Outcomes so far, up to the first request that has none yet.
#[derive(Debug, Default)]
struct Counted {
    until: Moment,
    ok: usize,
    failed: usize,
}

impl Counted {
    fn add(&mut self, window: &Window) {
        self.until = window.to;
        self.ok += window.ok();
        self.failed += window.failed();
    }
}

/// Interval between queries for new events.
const LISTEN_EVERY: Duration = Duration::from_millis(500);

/// The running traffic, and its duration.
struct Sending<'a> {
    generator: &'a Generator,
    id: StreamId,
    /// The rate at the beginning.
    rate: Rate,
    keys: Option<&'a mut Keys>,
    length: Option<Duration>,
}

/// Shows live figures: one updating line on a terminal, a line every second elsewhere. Events of the lab, if
/// there is one, are printed above.
async fn show(sending: &mut Sending<'_>, lab: Option<&Common>, common: &Common) -> Result<Ended, LabError> {
    let (generator, id, length) = (sending.generator, sending.id, sending.length);
    let terminal = std::io::stderr().is_terminal();
    let bar = if terminal { indicatif::ProgressBar::new_spinner() } else { indicatif::ProgressBar::hidden() };
    let every = Duration::from_millis(if terminal { 200 } else { 1000 });
    let begun = Instant::now();
    let mut rate = sending.rate;
    // Earlier events are skipped.
    let mut heard = heard_since(lab, 0).await.map_or(0, |events| events.len());
    let (mut listened, mut counted, mut memory) = (Instant::now(), Counted::default(), None);
    // Without a reader and without a duration it would never end.
    let goes_on = |length: Option<Duration>| match length {
        Some(length) => begun.elapsed() < length,
        None => !output::is_gone(),
    };
    while goes_on(length) {
        let left = length.map(|length| length.saturating_sub(begun.elapsed()));
        tokio::time::sleep(left.unwrap_or(every).min(every)).await;
        while let Some(key) = sending.keys.as_mut().and_then(|keys| keys.pressed()) {
            let Some(more) = wants_more(key) else { continue };
            let next = pace::next(rate.at(begun.elapsed()), more);
            if is_climbing(rate, begun.elapsed()) {
                let told = format!("  the ramp ends here: {next} requests a second from now on");
                bar.suspend(|| say_note(common, told));
            }
            rate = Rate::Steady(next);
            generator.set_rate(id, rate);
        }
        if listened.elapsed() >= LISTEN_EVERY {
            listened = Instant::now();
            let Some(events) = heard_since(lab, heard).await else {
                bar.finish_and_clear();
                return Ok(Ended::WithTheLab);
            };
            heard += events.len();
            for event in events {
                bar.suspend(|| say_note(common, format!("  {event}")));
            }
            // Only the new part of the window is evaluated, and not at all with `--json`.
            if !common.json {
                let recorder = generator.recorder();
                let window = recorder.known_window(id, counted.until, recorder.now());
                counted.add(&window);
                memory = match lab {
                    Some(lab) => {
                        running::status(lab).await.ok().and_then(|(_, _, machines)| fullest(&machines))
                    }
                    None => None,
                };
            }
        }
        let parts = live_parts(begun.elapsed(), length, &generator.live(id), &counted, memory.as_deref());
        if terminal {
            bar.set_message(fitting(&parts, columns::live()));
            bar.tick();
        } else if !common.json {
            say(fitting(&parts, usize::MAX));
        }
    }
    bar.finish_and_clear();
    Ok(Ended::AsMeant)
}

/// Returns whether a rate still changes by itself.
fn is_climbing(rate: Rate, elapsed: Duration) -> bool {
    matches!(rate, Rate::Ramp { over, .. } if elapsed < over)
}

/// Returns whether a key asks for more requests, or for fewer.
fn wants_more(key: Key) -> Option<bool> {
    match key {
        Key::Up | Key::Right | Key::Char('+') => Some(true),
        Key::Down | Key::Left | Key::Char('-') => Some(false),
        _ => None,
    }
}

/// A part of the live line.
#[derive(Debug, PartialEq)]
struct Part {
    text: String,
    /// On a narrow terminal, parts of a higher rank are left out first.
    rank: u8,
}

/// Formats the live figures.
fn live_parts(
    elapsed: Duration,
    length: Option<Duration>,
    live: &LiveFigures,
    counted: &Counted,
    memory: Option<&str>,
) -> Vec<Part> {
    let of = length.map_or(String::new(), |length| format!("/{:.0}", length.as_secs_f64()));
    let p99 = live.p99.map_or("–".into(), |p99| format!("{:.0} ms", p99.as_secs_f64() * 1e3));
    let part = |rank, text| Part { text, rank };
    let now = format!("{:.0}/s: {} ok, {} failed", live.offered, live.ok, live.failed);
    let mut parts = vec![
        part(0, format!("{:.0}{of} s | {now}", elapsed.as_secs_f64())),
        part(1, format!("p99 {p99}")),
        part(4, format!("{} waiting", live.in_flight)),
    ];
    if live.attempts > (live.ok + live.failed) as u64 {
        parts.push(part(5, format!("{} attempts", live.attempts)));
    }
    parts.extend(memory.map(|memory| part(3, memory.to_owned())));
    parts.push(part(2, format!("in all {} ok, {} failed", counted.ok, counted.failed)));
    parts
}

/// Joins as many parts as fit, by rank, so that no figure is truncated.
fn fitting(parts: &[Part], width: usize) -> String {
    const SEPARATOR: &str = ", ";
    let mut ranked: Vec<_> = parts.iter().collect();
    ranked.sort_by_key(|part| part.rank);
    let (mut kept, mut taken) = (Vec::new(), 0);
    for part in ranked {
        let wide = part.text.chars().count() + if kept.is_empty() { 0 } else { SEPARATOR.len() };
        if kept.is_empty() || taken + wide <= width {
            taken += wide;
            kept.push(part.rank);
        }
    }
    let shown = parts.iter().filter(|part| kept.contains(&part.rank)).map(|part| part.text.as_str());
    shown.collect::<Vec<_>>().join(SEPARATOR)
}

/// Returns the machine with the highest memory use, if it is at least half full: it may be the next to die.
fn fullest(machines: &[MachineStatus]) -> Option<String> {
    let held = machines.iter().filter_map(|machine| {
        let usage = machine.usage.filter(|usage| usage.memory_limit > 0)?;
        Some((machine, usage.memory_held, usage.memory_limit))
    });
    let share = |held: u64, limit: u64| held as f64 / limit as f64;
    let fullest = held.max_by(|one, other| share(one.1, one.2).total_cmp(&share(other.1, other.2)))?;
    let (machine, held, limit) = fullest;
    (share(held, limit) >= 0.5).then(|| format!("{} {}/{} MiB", machine.name, held >> 20, limit >> 20))
}

/// Returns the lab's events from number `first` on. `None` if the lab has ended.
async fn heard_since(lab: Option<&Common>, first: usize) -> Option<Vec<String>> {
    let Some(common) = lab else { return Some(vec![]) };
    match running::ask(common, &ControlRequest::Events(first)).await {
        Ok(ControlResponse::Events(events)) => Some(events),
        // The lab exists but is too busy to answer.
        Ok(_) => Some(vec![]),
        Err(_) => control::running(&common.site.lab_dir).ok().map(|_| vec![]),
    }
}

/// Prints a summary; the exit code says whether the figures can be trusted.
fn sum_up(recorder: &Recorder, id: StreamId, end: Duration, common: &Common) -> Performed {
    let window = recorder.window(id, Duration::ZERO, end);
    let distrust = window.generator_fell_behind(Duration::ZERO);
    if common.json {
        say_document("load", figures(&window))?;
    } else {
        say_figures(&window);
    }
    match distrust {
        Some(reason) => {
            say_note(common, format!("do not trust these figures: {reason}"));
            Ok(EXIT_INCONCLUSIVE)
        }
        None => Ok(0),
    }
}

fn say_figures(window: &Window) {
    say(format!("{} requests: {} ok, {} failed", window.requests(), window.ok(), window.failed()));
    if let (Some(p50), Some(p99)) = (millis(window, 50.0), millis(window, 99.0)) {
        say(format!("good answers took {p50:.1} ms (p50), {p99:.1} ms (p99)"));
    }
    for (outcome, count) in outcomes(window) {
        say(format!("  {outcome:<16} {count}"));
    }
    for (server, count) in window.served() {
        say(format!("  by {server:<13} {count}  ({:.1} %)", 100.0 * window.share(&server)));
    }
}

fn figures(window: &Window) -> serde_json::Value {
    let served = window.served().into_iter().map(|(name, count)| (name.to_string(), count));
    serde_json::json!({
        "requests": window.requests(),
        "ok": window.ok(),
        "failed": window.failed(),
        "outcomes": outcomes(window),
        "served_by": served.collect::<BTreeMap<_, _>>(),
        "p50_ms": millis(window, 50.0),
        "p99_ms": millis(window, 99.0),
        "generator_lag_p99_ms": window.lag_p99().as_secs_f64() * 1e3,
    })
}

fn millis(window: &Window, percent: f64) -> Option<f64> {
    window.percentile(percent).map(|time| time.as_secs_f64() * 1e3)
}

fn outcomes(window: &Window) -> BTreeMap<&'static str, usize> {
    window.outcomes().into_iter().map(|(outcome, count)| (outcome.name(), count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_live_line_cuts_no_figure() {
        let live = LiveFigures { offered: 250.0, ok: 200, failed: 50, ..LiveFigures::default() };
        let counted = Counted { ok: 12_345, failed: 148, ..Counted::default() };
        let of = Some(Duration::from_secs(25));
        let parts = live_parts(Duration::from_secs(12), of, &live, &counted, Some("app 57/80 MiB"));
        let whole = "12/25 s | 250/s: 200 ok, 50 failed, p99 –, 0 waiting, app 57/80 MiB, in all 12345 ok, 148 failed";
        assert_eq!(fitting(&parts, usize::MAX), whole);
        let at = |width: usize| fitting(&parts, width - 3);
        assert_eq!(at(120), whole);
        assert_eq!(at(80), "12/25 s | 250/s: 200 ok, 50 failed, p99 –, in all 12345 ok, 148 failed");
        assert_eq!(at(60), "12/25 s | 250/s: 200 ok, 50 failed, p99 –, app 57/80 MiB");
        assert_eq!(at(20), "12/25 s | 250/s: 200 ok, 50 failed", "the first part is always there");
    }

    #[test]
    fn a_ramp_climbs_until_its_time_is_over() {
        let ramp = Rate::Ramp { from: 1.0, to: 9.0, over: OVER };
        assert!(is_climbing(ramp, Duration::ZERO) && !is_climbing(ramp, OVER));
        assert!(!is_climbing(Rate::Steady(9.0), Duration::ZERO));
    }

    #[test]
    fn a_rate_is_one_or_climbs_from_one_to_another() {
        let parsed = |text: &str| parse_rates(text).unwrap();
        assert_eq!(parsed("250").rate(None).unwrap(), Rate::Steady(250.0));
        let climbing = Rate::Ramp { from: 50.0, to: 130.0, over: Duration::from_secs(9) };
        assert_eq!(parsed("50..130").rate(Some(Duration::from_secs(9))).unwrap(), climbing);
        assert_eq!(
            (parsed("50..130").to_string(), parsed("50").to_string()),
            ("50 to 130".into(), "50".into())
        );
        assert!(parsed("50").rate(Some(OVER)).is_err(), "one rate takes no time");
        assert!(parse_rates("-5").unwrap_err().contains("'-5' is not a rate between"));
        assert!(parse_rates("5..").is_err());
    }
}
