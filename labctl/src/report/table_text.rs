//! The article's table as text: the article's figures, the lab's beside them, and the verdicts.

use comfy_table::{Cell, Color};

use super::columns;
use super::terminal::wrap;
use crate::table::MeasuredTable;
use crate::table::article::COLUMNS;
use crate::table::rows::{CellVerdict, Says, TableRow};

/// Renders the table line by line.
pub fn lines(table: &MeasuredTable) -> Vec<String> {
    let [capacity, points, cost] = COLUMNS;
    let mut drawn = columns::table([
        "architecture",
        "capacity, req/s",
        "× the first",
        points,
        cost,
        "left after one failure",
        "back within",
        "lost",
    ]);
    for row in &table.rows {
        let cell = |column: &str, shown: String| judged(shown, row.cells.get(column));
        drawn.add_row(vec![
            Cell::new(format!("{} {}", row.number, row.title)),
            Cell::new(interval(row)),
            cell(capacity, row.ratio.map_or("–".into(), |ratio| format!("{ratio:.1}"))),
            cell(points, row.single_points.len().to_string()),
            cell(cost, format!("${:.0}", row.cost)),
            Cell::new(left(row)),
            Cell::new(row.recovery_seconds.map_or("–".into(), |seconds| format!("{seconds:.1} s"))),
            Cell::new(lost(row)),
        ]);
    }
    let mut lines = vec![String::new()];
    lines.push(format!(
        "✓ as the article says, ✗ not so, ? not judged; the article's figure is in parentheses. Capacity: the highest rate at which 99 % are answered within {:.0} ms and at most one in a thousand fails, between the last good rate and the first bad one. A single point of failure takes a path down, or a share of it, until somebody repairs it: by being killed, frozen, restarted or cut off, or by a full disk.",
        table.p99_ms
    ));
    lines.push(String::new());
    if table.rows.iter().any(|row| row.cells.values().any(|verdict| verdict.because.is_some())) {
        lines.push("Why, and which parts are single points of failure for which path:".into());
    }
    for row in &table.rows {
        for (column, verdict) in &row.cells {
            let Some(because) = &verdict.because else { continue };
            lines.push(format!("{} {}, {column}: {because}", mark(verdict.says), row.title));
        }
        for (path, points) in &row.single_points_of {
            if points.len() != row.single_points.len() {
                let names = if points.is_empty() { "none".into() } else { points.join(", ") };
                lines.push(format!("  {}, for {}: {names}", row.title, crate::audit::paths::meaning(path)));
            }
        }
    }
    let prose = lines.iter().flat_map(|line| wrap(line, columns::prose()));
    columns::lines(drawn, columns::width()).into_iter().chain(prose).collect()
}

/// Formats the interval from the highest good rate to the lowest bad one.
pub fn interval(row: &TableRow) -> String {
    let known = |rate: Option<f64>| rate.map_or("?".into(), |rate| format!("{rate:.0}"));
    let doubt = if row.capacity.distrust.is_some() { " ?" } else { "" };
    format!("{}–{}{doubt}", known(row.capacity.low), known(row.capacity.high))
}

/// Formats the remaining capacity, and the program that is dead.
pub fn left(row: &TableRow) -> String {
    format!("{:.0} (without {})", row.left.rate, row.left.without)
}

/// Formats the losses.
pub fn lost(row: &TableRow) -> String {
    match (row.lost_writes, row.lost_sessions) {
        (0, 0) => "nothing".into(),
        (0, sessions) => format!("{sessions} sessions"),
        (writes, 0) => format!("{writes} writes"),
        (writes, sessions) => format!("{writes} writes, {sessions} sessions"),
    }
}

/// Returns a mark for a verdict.
pub fn mark(says: Says) -> &'static str {
    match says {
        Says::Confirmed => "✓",
        Says::Refuted => "✗",
        Says::NotJudged => "?",
    }
}

fn judged(shown: String, verdict: Option<&CellVerdict>) -> Cell {
    let Some(verdict) = verdict else { return Cell::new(shown) };
    let article = verdict.article.map_or(String::new(), |article| format!(" ({article:.0})"));
    let color = match verdict.says {
        Says::Confirmed => Color::Green,
        Says::Refuted => Color::Red,
        Says::NotJudged => Color::Yellow,
    };
    Cell::new(format!("{shown}{article} {}", mark(verdict.says))).fg(color)
}
