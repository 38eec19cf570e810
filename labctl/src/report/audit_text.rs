//! An audit as people read it on a terminal: the matrix, and what it comes to.

use std::collections::BTreeSet;

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Cell, Color, ContentArrangement, Table};

use super::terminal::wrap;
use crate::audit::{Audit, Class, Impact, Row};

/// The whole of it, line by line.
pub fn lines(audit: &Audit) -> Vec<String> {
    let mut lines = vec![format!("Audit of '{}': {}", audit.architecture, audit.title), String::new()];
    lines.extend(matrix(audit).to_string().lines().map(str::to_owned));
    for row in &audit.rows {
        lines.extend(row.note.iter().flat_map(|note| wrap(&format!("* {}: {note}", row.title()), 100)));
    }
    lines.push(String::new());
    lines.extend(conclusions(audit).iter().flat_map(|sentence| wrap(sentence, 100)));
    lines
}

/// What the matrix comes to, in sentences.
pub fn conclusions(audit: &Audit) -> Vec<String> {
    let mut sentences = Vec::new();
    for (path, meaning) in &audit.paths {
        sentences.push(match listed(&audit.single_points(path)) {
            (0, _) => format!("{meaning}: no single point of failure."),
            (1, name) => format!("{meaning}: 1 single point of failure: {name}."),
            (count, names) => format!("{meaning}: {count} single points of failure: {names}."),
        });
        match audit.lost(path) {
            0 => {}
            lost => sentences.push(format!("{meaning}: {lost} lost that had been acknowledged.")),
        }
    }
    if let Some(seconds) = audit.recovery_seconds() {
        sentences.push(format!("What came back by itself was away for {seconds:.1} s at most."));
    }
    for row in audit.fatal_pairs() {
        sentences.push(format!("Neither alone, but both together take it down: {}.", row.title()));
    }
    if audit.one_of_each {
        sentences.push(
            "Of what is alike, one was looked at and stands for all; `--all` looks at each.".to_owned(),
        );
    }
    if let Some(reason) = &audit.distrust {
        sentences.push(format!("Do not conclude anything from this: {reason}."));
    }
    sentences
}

fn listed(names: &BTreeSet<String>) -> (usize, String) {
    (names.len(), names.iter().cloned().collect::<Vec<_>>().join(", "))
}

fn matrix(audit: &Audit) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Disabled);
    let paths = audit.paths.iter().map(|(_, meaning)| meaning.clone());
    table.set_header(["what goes wrong".to_owned()].into_iter().chain(paths).chain(["noticed".to_owned()]));
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
    match &row.note {
        Some(_) => title + " *",
        None => title,
    }
}

/// A cell in a few words.
pub fn in_short(impact: &Impact) -> String {
    let mut text = impact.class.to_string();
    match impact.class {
        Class::Ok => {}
        Class::DataLoss => text += &format!(": {}", impact.lost),
        Class::Outage => text += &format!(" > {:.0} s", impact.outage_seconds),
        Class::Blip => text += &format!(" {:.1} s, {} dropped", impact.outage_seconds, impact.dropped),
        Class::Degraded if impact.dropped > 0 => {
            text += &format!(", {:.0} % fail", 100.0 * impact.dropped as f64 / impact.requests.max(1) as f64);
        }
        Class::Degraded => {}
    }
    if impact.class == Class::DataLoss && impact.down {
        text += ", down";
    }
    text
}

/// What stands below the word in a cell.
pub fn detail(impact: &Impact) -> String {
    let mut parts = Vec::new();
    if impact.lost > 0 {
        parts.push(format!("{} gone", impact.lost));
    }
    if impact.dropped > 0 {
        parts.push(format!("{} of {} failed", impact.dropped, impact.requests));
        let at_least = if impact.down { "at least " } else { "" };
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
        Class::Outage | Class::DataLoss => Color::Red,
    }
}
