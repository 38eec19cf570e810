//! An audit as text for a terminal: the matrix and the conclusions.

use std::collections::BTreeSet;

use comfy_table::{Cell, Color, Table};
use indexmap::IndexMap;

use super::columns;
use super::terminal::wrap;
use crate::audit::{Audit, Class, Impact, Row};

/// Latency in seconds from which a slow success is reported.
const WAIT: f64 = 0.5;

/// Renders the whole audit, line by line.
pub fn lines(audit: &Audit) -> Vec<String> {
    let mut lines = vec![format!("Audit of '{}': {}", audit.architecture, audit.title), String::new()];
    lines.extend(columns::lines(matrix(audit), columns::width()));
    lines.push(String::new());
    lines.extend(remarks(audit).iter().flat_map(|remark| wrap(&format!("* {remark}"), columns::prose())));
    lines.push(String::new());
    lines.extend(conclusions(audit).iter().flat_map(|sentence| wrap(sentence, columns::prose())));
    lines
}

/// Returns the remarks on the rows, each once with all rows that it applies to.
pub fn remarks(audit: &Audit) -> Vec<String> {
    let mut said: IndexMap<&String, Vec<String>> = IndexMap::new();
    for row in &audit.rows {
        for remark in row.remarks.iter().chain(&row.note) {
            said.entry(remark).or_default().push(row.title());
        }
    }
    said.into_iter().map(|(remark, titles)| format!("{}: {remark}.", titles.join(", "))).collect()
}

/// Returns the conclusions as sentences.
pub fn conclusions(audit: &Audit) -> Vec<String> {
    let mut sentences = vec![match listed(&audit.single_points_of_any()) {
        (0, _) => "No single point of failure.".to_owned(),
        (1, name) => format!("1 single point of failure: {name}."),
        (count, names) => format!("{count} single points of failure: {names}."),
    }];
    sentences.extend(what_each_takes_down(audit));
    let shares: Vec<_> = audit.partly_by_links().map(|row| shares(audit, row)).collect();
    if !shares.is_empty() {
        sentences.push(format!(
            "Not counted, because both ends of the link are well: until it is repaired a share fails with {}.",
            shares.join("; ")
        ));
    }
    for (path, meaning) in &audit.paths {
        match audit.lost(path) {
            0 => {}
            lost => sentences.push(format!("{meaning}: {lost} lost that had been acknowledged.")),
        }
    }
    if let Some(seconds) = audit.recovery_seconds() {
        sentences.push(format!("Whatever recovered by itself did so within {seconds:.1} s."));
    }
    for row in audit.fatal_pairs() {
        sentences.push(format!("Neither alone, but both together take it down: {}.", row.title()));
    }
    if audit.one_of_each {
        sentences.push(
            "Of each set of identical machines, one was examined and stands for all; `--all` examines each."
                .to_owned(),
        );
    }
    if let Some(reason) = &audit.distrust {
        sentences.push(format!("Do not conclude anything from this: {reason}."));
    }
    sentences
}

/// Returns which paths the single points take down, grouped by path.
fn what_each_takes_down(audit: &Audit) -> Vec<String> {
    let mut by_paths: IndexMap<Vec<&str>, Vec<String>> = IndexMap::new();
    for point in audit.single_points_of_any() {
        let paths = audit.paths.iter().filter(|(path, _)| audit.single_points(path).contains(&point));
        let paths = paths.map(|(_, meaning)| meaning.as_str()).collect();
        by_paths.entry(paths).or_default().push(point);
    }
    let sentence = |(paths, points): (Vec<&str>, Vec<String>)| {
        let verb = if points.len() == 1 { "takes" } else { "each take" };
        let all = paths.len() == audit.paths.len();
        let paths = if all { "every path".to_owned() } else { paths.join(", ") };
        format!("{} {verb} down: {paths}.", points.join(", "))
    };
    by_paths.into_iter().map(sentence).collect()
}

/// Describes the share of each path that a row takes down.
fn shares(audit: &Audit, row: &Row) -> String {
    let parts = audit.paths.iter().filter_map(|(path, meaning)| {
        let impact = row.cells.get(path).filter(|impact| impact.partly_down)?;
        Some(format!("{meaning} {:.0} %", 100.0 * impact.failing))
    });
    format!("{} ({})", row.title(), parts.collect::<Vec<_>>().join(", "))
}

fn listed(names: &BTreeSet<String>) -> (usize, String) {
    (names.len(), names.iter().cloned().collect::<Vec<_>>().join(", "))
}

fn matrix(audit: &Audit) -> Table {
    let paths = audit.paths.iter().map(|(_, meaning)| meaning.clone());
    let header = ["what goes wrong".to_owned()].into_iter().chain(paths).chain(["noticed".to_owned()]);
    let mut table = columns::table(header.collect::<Vec<_>>());
    for row in &audit.rows {
        table.add_row(cells(audit, row));
    }
    table
}

fn cells(audit: &Audit, row: &Row) -> Vec<Cell> {
    let mut cells = vec![Cell::new(title(row))];
    cells.extend(audit.paths.iter().map(|(path, _)| match row.cells.get(path) {
        Some(impact) => Cell::new(in_short(impact)).fg(color(impact.class)),
        None => Cell::new("–"),
    }));
    cells.push(Cell::new(row.detection_seconds.map_or("–".into(), |seconds| format!("{seconds:.1} s"))));
    cells
}

fn title(row: &Row) -> String {
    let alike = |count: usize| if count > 1 { format!(" (1 of {count})") } else { String::new() };
    let title = row.title() + &alike(row.faults.first().map_or(0, |fault| fault.stands_for.len()));
    if row.remarks.is_empty() && row.note.is_none() { title } else { title + " *" }
}

/// Summarises a cell in a few words.
pub fn in_short(impact: &Impact) -> String {
    let mut text = impact.class.to_string();
    match impact.class {
        Class::Ok if impact.dropped > 0 => text += &format!(", {} dropped", impact.dropped),
        Class::Ok if impact.slowest_seconds >= WAIT => {
            text += &format!(", waits {:.1} s", impact.slowest_seconds);
        }
        Class::Ok => {}
        Class::Partial => text += &format!(", {:.0} % fail", 100.0 * impact.failing),
        Class::Outage if impact.overload.is_some() => text += ", too much load",
        Class::DataLoss => text += &format!(": {}", impact.lost),
        Class::Outage => text += &format!(" > {:.0} s", impact.outage_seconds),
        Class::Blip => text += &format!(" {:.1} s, {} dropped", impact.outage_seconds, impact.dropped),
        Class::Degraded if impact.failing > 0.0 => {
            text += &format!(", {:.0} % fail", 100.0 * impact.failing);
        }
        Class::Degraded => {}
    }
    if impact.class == Class::DataLoss && (impact.down || impact.partly_down) {
        text += ", down";
    }
    text
}

/// Returns the details below the summary in a cell.
pub fn detail(impact: &Impact) -> String {
    let mut parts = Vec::new();
    if impact.partly_down {
        parts.push(format!("{:.0} % in the end", 100.0 * impact.failing));
    }
    if let Some(overload) = &impact.overload {
        parts.push(format!("demand is {:.1} times what is left", overload.times));
    }
    if impact.dropped == 0 && impact.slowest_seconds >= WAIT {
        parts.push(format!("{:.1} s at most", impact.slowest_seconds));
    }
    if impact.lost > 0 {
        parts.push(format!("{} gone", impact.lost));
    }
    if impact.dropped > 0 {
        parts.push(format!("{} of {} failed", impact.dropped, impact.requests));
        let at_least = if impact.down || impact.partly_down { "at least " } else { "" };
        parts.push(format!("{at_least}{:.1} s", impact.outage_seconds));
    }
    if let Some(slower) = impact.slower.filter(|slower| impact.class == Class::Degraded && *slower > 2.0) {
        parts.push(format!("{slower:.0} times as slow"));
    }
    parts.join(", ")
}

fn color(class: Class) -> Color {
    match class {
        Class::Ok => Color::Green,
        Class::Blip => Color::Cyan,
        Class::Degraded => Color::Yellow,
        Class::Partial | Class::Outage | Class::DataLoss => Color::Red,
    }
}
