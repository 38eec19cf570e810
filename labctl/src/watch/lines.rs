//! The content of each screen, as lines that fit the available width.
#![deny(clippy::disallowed_methods)]

use super::paint::{Line, Look};
use super::state::{Health, Machine, State};
use super::view::{Screen, View};
use crate::report::terminal::wrap;

/// Minimum width that leaves room for bytes.
const WITH_BYTES: usize = 90;
/// Maximum length of a machine's name.
const NAME_MAX: usize = 16;

/// The keys with their functions.
pub(super) const KEYS: [(&str, &str); 10] = [
    ("1 2 3 4 5", "lab, traffic, story, log, compare"),
    ("↑ ↓", "choose a machine or a traffic; scroll"),
    ("k f t r", "kill, freeze, thaw, restart the chosen machine"),
    ("a", "add a machine of the chosen kind"),
    ("h", "heal every link"),
    ("← →", "less or more traffic"),
    ("space", "send one request"),
    ("Esc", "choose nothing"),
    ("?", "this list"),
    ("q, Ctrl-C", "end this view; the lab goes on"),
];

/// Breaks a text into lines.
fn wrapped(text: &str, width: usize, look: Look) -> Vec<Line> {
    wrap(text, width).into_iter().map(|line| Line::new(line, look)).collect()
}

/// Truncates a text to the available room.
fn cut(text: &str, room: usize) -> String {
    match text.chars().count() {
        length if length <= room => text.to_owned(),
        _ => text.chars().take(room.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// The chapter's title, and a summary of its traffic.
pub(super) fn header(view: &View, width: usize) -> Vec<Line> {
    let chapter = &view.hello.chapter;
    let totals = &view.state.totals;
    let title = match chapter.number {
        0 => chapter.title.clone(),
        number => format!("{number}. {}", chapter.title),
    };
    let p99 = totals.p99_ms.map_or("–".into(), |ms| format!("{ms:.0} ms"));
    let mut figures =
        format!("{:.0}/s due, {:.0} ok, {:.0} failed, p99 {p99}", totals.offered, totals.good, totals.failed);
    if totals.lag_ms > 5.0 {
        figures += &format!(", sent {:.0} ms late", totals.lag_ms);
    }
    let mut lines = vec![Line::new(cut(&title, width), Look::Bold)];
    let style = if totals.failed > 0.0 { Look::Bad } else { Look::Good };
    lines.extend(wrapped(&figures, width, style));
    if let Some(fault) = &totals.fault {
        let told = format!("since {}: {} of {} failed", fault.what, fault.failed, fault.of);
        lines.push(Line::plain(cut(&told, width)));
    }
    lines
}

/// The names of the screens.
pub(super) fn tabs(view: &View) -> Line {
    let tab = |(index, screen): (usize, &Screen)| {
        let style = if *screen == view.screen { Look::Reversed } else { Look::Dim };
        [(format!(" {} {} ", index + 1, screen.name()), style), (" ".to_owned(), Look::Plain)]
    };
    Line(Screen::ALL.iter().enumerate().flat_map(tab).collect())
}

/// Returns the lines of the current screen, and which of them must be visible.
pub(super) fn body(view: &View, width: usize) -> (Vec<Line>, usize) {
    match view.screen {
        Screen::Lab => lab(view, width),
        Screen::Traffic => (traffics(view, width), 0),
        Screen::Story => (story(view, width), view.scroll),
        Screen::Log => (log(view, width), 0),
        Screen::Compare => {
            (view.comparison.iter().map(|line| Line::plain(cut(line, width))).collect(), view.scroll)
        }
    }
}

fn lab(view: &View, width: usize) -> (Vec<Line>, usize) {
    let state = &view.state;
    let mut lines = wrapped(&topology(state), width, Look::Dim);
    for wire in state.wires.iter().filter(|wire| wire.now.is_some()) {
        let now = wire.now.as_deref().unwrap_or_default();
        lines.push(Line::new(cut(&format!("{} → {}: {now}", wire.from, wire.to), width), Look::Bad));
    }
    let names = state.machines.iter().map(|machine| machine.name.chars().count());
    let name_width = names.max().unwrap_or(0).clamp(7, NAME_MAX);
    let bytes = if width >= WITH_BYTES { 14 } else { 6 };
    let heading =
        format!("   {:<name_width$} {:>10}{:>bytes$}{:>7}  state", "machine", "cpu", "mem", "req/s");
    lines.push(Line::new(cut(&heading, width), Look::Dim));
    let mut seen = 0;
    for machine in &state.machines {
        if Some(&machine.name) == view.chosen.as_ref() {
            seen = lines.len();
        }
        lines.push(machine_line(view, machine, (name_width, bytes), width));
    }
    if !view.events.is_empty() {
        lines.push(Line::plain(""));
        lines.extend(recent(view, width, 6));
    }
    (lines, seen)
}

/// Describes one machine: its name, its utilisation, and its state with the reason.
fn machine_line(view: &View, machine: &Machine, (name_width, bytes): (usize, usize), width: usize) -> Line {
    let is_chosen = Some(&machine.name) == view.chosen.as_ref();
    let (shape, look) = match machine.health {
        Health::Well => ("●", Look::Good),
        Health::Limping => ("▲", Look::Limping),
        Health::Down => ("✕", Look::Bad),
    };
    let cpu = machine.cpu.map_or("–".into(), |cpu| format!("{} {:>3.0} %", bar(cpu), 100.0 * cpu));
    let memory = machine.memory_held.zip(machine.memory_limit).filter(|(_, limit)| *limit > 0);
    let memory = match memory {
        None => "–".into(),
        Some((held, limit)) if bytes > 6 => format!("{}/{} MiB", held >> 20, limit >> 20),
        Some((held, limit)) => format!("{:.0} %", 100.0 * held as f64 / limit as f64),
    };
    let rate = requests(&machine.name, &view.state).map_or("–".into(), |rps| format!("{rps:.0}"));
    let name = cut(&machine.name, name_width);
    let figures = format!(" {name:<name_width$} {cpu:>10}{memory:>bytes$}{rate:>7}  ");
    let room = width.saturating_sub(2 + figures.chars().count());
    let style = if is_chosen { Look::Reversed } else { Look::Plain };
    Line(vec![
        (if is_chosen { "▶" } else { " " }.to_owned(), Look::Plain),
        (shape.to_owned(), look),
        (figures, style),
        (cut(&words(machine, &view.state), room), look),
    ])
}

/// Describes a machine's state: its role, its health, for how long and why, and which balancers have ejected
/// it.
fn words(machine: &Machine, state: &State) -> String {
    let mut words = machine.word.clone();
    if machine.health != Health::Well && machine.since > 0.0 {
        words += &format!(" {:.0} s", (state.at - machine.since).max(0.0));
    }
    if let Some(role) = &machine.role {
        words = format!("{role}; {words}");
    }
    if let Some(reason) = &machine.reason {
        words += &format!(": {reason}");
    }
    let out_of = state.wires.iter().filter(|wire| wire.ejected && wire.to == machine.name);
    let out_of: Vec<_> = out_of.map(|wire| wire.from.as_str()).collect();
    if !out_of.is_empty() && machine.word != "ejected" {
        words += &format!(", out of rotation at {}", out_of.join(", "));
    }
    words
}

fn bar(share: f64) -> String {
    const LENGTH: usize = 4;
    let full = (share.clamp(0.0, 1.0) * LENGTH as f64).round() as usize;
    "█".repeat(full) + &"░".repeat(LENGTH - full)
}

/// Returns the requests per second that reach a machine, where they are counted.
fn requests(machine: &str, state: &State) -> Option<f64> {
    let counted = state.wires.iter().filter(|wire| wire.to == machine).filter_map(|wire| wire.rps);
    counted.reduce(|sum, more| sum + more)
}

/// Draws the connections by kind: `users → lb → web ×5 → db`.
fn topology(state: &State) -> String {
    let kind_of = |name: &str| {
        let machine = state.machines.iter().find(|machine| machine.name == name);
        machine.map_or(name, |machine| machine.kind.as_str()).to_owned()
    };
    let mut tiers = vec![vec!["clients".to_owned()]];
    loop {
        let last = tiers.last().expect("there is always one");
        let seen = |kind: &String| tiers.iter().flatten().any(|known| known == kind);
        let mut next: Vec<String> = Vec::new();
        for wire in state.wires.iter().filter(|wire| last.contains(&kind_of(&wire.from))) {
            let kind = kind_of(&wire.to);
            if !seen(&kind) && !next.contains(&kind) {
                next.push(kind);
            }
        }
        if next.is_empty() {
            break;
        }
        tiers.push(next);
    }
    let several = |kind: &String| match state.machines.iter().filter(|machine| machine.kind == *kind).count()
    {
        0 | 1 => kind.clone(),
        count => format!("{kind} ×{count}"),
    };
    let told = tiers.iter().map(|tier| tier.iter().map(several).collect::<Vec<_>>().join(", "));
    told.collect::<Vec<_>>().join(" → ").replacen("clients", "users", 1)
}

/// Draws the traffics as a table.
fn traffics(view: &View, width: usize) -> Vec<Line> {
    let wide = width >= 76;
    let names = view.state.traffics.iter().map(|traffic| traffic.name.chars().count());
    let name_width = names.max().unwrap_or(0).clamp(8, 24);
    let median = if wide { format!("{:>10}", "p50") } else { String::new() };
    let heading = format!(
        "  {:<name_width$}{:>8}{:>8}{:>8}{median}{:>10}",
        "traffic", "due/s", "ok/s", "fail/s", "p99"
    );
    let mut lines = vec![Line::new(cut(&heading, width), Look::Dim)];
    for (index, traffic) in view.state.traffics.iter().enumerate() {
        let ms = |ms: Option<f64>| ms.map_or("–".into(), |ms| format!("{ms:.0} ms"));
        let marker = if index == view.traffic { "▶ " } else { "  " };
        let median = if wide { format!("{:>10}", ms(traffic.p50_ms)) } else { String::new() };
        let (name, p99) = (cut(&traffic.name, name_width), ms(traffic.p99_ms));
        let line = format!(
            "{marker}{name:<name_width$}{:>8.0}{:>8.0}{:>8.0}{median}{p99:>10}",
            traffic.rate, traffic.ok, traffic.failed
        );
        let style = if traffic.failed > 0.0 { Look::Bad } else { Look::Plain };
        lines.push(Line::new(line, style));
    }
    if let Some(traffic) = view.chosen_traffic().filter(|traffic| !traffic.served.is_empty()) {
        let sum = traffic.served.values().sum::<usize>().max(1);
        let shares = traffic.served.iter().map(|(name, count)| format!("{name} {} %", 100 * count / sum));
        lines.push(Line::plain(""));
        let told = format!("{} was answered by {}", traffic.name, shares.collect::<Vec<_>>().join(", "));
        lines.extend(wrapped(&told, width, Look::Plain));
    }
    lines
}

fn story(view: &View, width: usize) -> Vec<Line> {
    let mut lines = wrapped(&view.hello.chapter.question, width, Look::Bold);
    for step in &view.hello.story {
        lines.push(Line::plain(""));
        lines.push(Line::new(step.name.clone(), Look::Bold));
        lines.extend(wrapped(&step.say, width, Look::Plain));
        lines.extend(
            step.acts
                .iter()
                .map(|act| Line::new(cut(&format!("$ labctl {}", act.command), width), Look::Dim)),
        );
        for claim in &step.claims {
            let indented = wrap(&claim.claim, width.saturating_sub(2));
            lines.extend(indented.iter().enumerate().map(|(number, line)| {
                Line::plain(format!("{} {line}", if number == 0 { "·" } else { " " }))
            }));
        }
    }
    lines
}

/// All events, newest first.
fn log(view: &View, width: usize) -> Vec<Line> {
    let lines = recent(view, width, usize::MAX);
    let scroll = view.scroll.min(lines.len().saturating_sub(1));
    lines.into_iter().skip(scroll).collect()
}

fn recent(view: &View, width: usize, count: usize) -> Vec<Line> {
    let lines = view.events.iter().rev().take(count).flat_map(|event| {
        let style = if event.fault { Look::Bad } else { Look::Plain };
        let text = wrap(&event.text, width.saturating_sub(10));
        let at = event.at;
        text.into_iter().enumerate().map(move |(number, line)| {
            let when = if number == 0 { format!("{at:>7.1} s ") } else { " ".repeat(10) };
            Line(vec![(when, Look::Dim), (line, style)])
        })
    });
    lines.collect()
}

/// The result of the last action, or why it failed.
pub(super) fn footer(view: &View, width: usize) -> Vec<Line> {
    wrapped(&view.said, width, Look::Plain).into_iter().take(2).collect()
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::view;
    use super::*;

    #[test]
    fn a_machine_says_how_it_is_since_when_and_why() {
        let view = view();
        let told = |at: usize| words(&view.state.machines[at], &view.state);
        assert_eq!(told(0), "active; up");
        assert_eq!(told(1), "down 12 s: killed by signal 9, not by labctl, out of rotation at lb");
        assert_eq!(told(3), "primary, term 4; up");
        assert_eq!(topology(&view.state), "users → lb → web ×2 → db");
        assert_eq!((bar(0.0), bar(0.5), bar(7.0)), ("░░░░".into(), "██░░".into(), "████".into()));
    }
}
