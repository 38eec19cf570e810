//! Text tables that fit the terminal's width, without rules between rows.

use comfy_table::presets::NOTHING;
use comfy_table::{Column, ColumnConstraint, ContentArrangement, Row, Table, Width};

/// Maximum width of prose, however wide the terminal is.
pub const PROSE_MAX: usize = 100;
/// Default width without a terminal and without `COLUMNS`.
const WIDTH: usize = 100;
/// Minimum width: on a narrower terminal the output overflows.
const WIDTH_MIN: usize = 40;
/// Minimum width of the column that shrinks.
const YIELDING_MIN: u16 = 18;

/// Returns the terminal's width, which `COLUMNS` overrides.
pub fn width() -> usize {
    let named = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let own = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    named.or_else(own).unwrap_or(WIDTH).max(WIDTH_MIN)
}

/// Returns the width of a line of live figures on standard error, beside its spinner.
pub fn live() -> usize {
    let own = terminal_size::terminal_size_of(std::io::stderr()).map(|(columns, _)| usize::from(columns.0));
    width().min(own.unwrap_or(usize::MAX)).saturating_sub(SPINNER)
}

/// Columns that a spinner takes, with the space after it.
const SPINNER: usize = 3;

/// Returns the width of prose.
pub fn prose() -> usize {
    width().min(PROSE_MAX)
}

/// Creates a table with this header.
pub fn table(header: impl Into<Row>) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(header);
    table
}

/// Hides a column.
pub fn hide(table: &mut Table, index: usize) {
    if let Some(column) = table.column_mut(index) {
        column.set_constraint(ColumnConstraint::Hidden);
    }
}

/// Renders a table within a width, without as many of the columns in `yielding` as it takes, in this order.
pub fn fitting_lines(mut table: Table, width: usize, yielding: &[usize]) -> Vec<String> {
    for index in yielding {
        if natural_width(&table) <= width {
            break;
        }
        hide(&mut table, *index);
    }
    lines(table, width)
}

/// Returns the width of a table in which no cell is broken.
fn natural_width(table: &Table) -> usize {
    let widths = table.column_max_content_widths();
    let shown = widths.iter().zip(table.column_iter()).filter(|(_, column)| !column.is_hidden());
    shown.map(|(width, _)| usize::from(*width) + GAP).sum::<usize>().saturating_sub(GAP)
}

/// Spaces between two columns.
const GAP: usize = 2;

/// Renders a table within a width. If it is too wide, its first column shrinks; if that is not enough, all
/// do.
pub fn lines(mut table: Table, width: usize) -> Vec<String> {
    let mut widths = table.column_max_content_widths();
    let hidden: Vec<bool> = table.column_iter().map(Column::is_hidden).collect();
    widths.iter_mut().zip(&hidden).filter(|(_, hidden)| **hidden).for_each(|(width, _)| *width = 0);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let others: usize = widths.iter().skip(1).map(|width| usize::from(*width) + 2).sum();
    let room = u16::try_from(width.saturating_sub(others + 2)).unwrap_or(u16::MAX);
    let is_enough = room >= YIELDING_MIN || widths.first().is_some_and(|first| room >= *first);
    let constraints = widths.iter().enumerate().map(|(index, own)| match index {
        _ if hidden[index] => ColumnConstraint::Hidden,
        0 if is_enough => ColumnConstraint::UpperBoundary(Width::Fixed(room + 2)),
        0 => ColumnConstraint::LowerBoundary(Width::Fixed((*own).min(YIELDING_MIN) + 2)),
        _ if is_enough => ColumnConstraint::ContentWidth,
        _ => ColumnConstraint::UpperBoundary(Width::Fixed(*own + 2)),
    });
    let constraints: Vec<_> = constraints.collect();
    table.set_constraints(constraints);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    table.to_string().lines().map(|line| line.trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(width: usize) -> Vec<String> {
        let mut table = table(["claim", "A", "B"]);
        table.add_row(["At half load no request fails at all, and none is late.", "✓ 0", "✗ 12 requests"]);
        table.add_row(["Short.", "✓ 1", "✓ 1"]);
        lines(table, width)
    }

    #[test]
    fn a_table_is_no_wider_than_the_terminal() {
        for width in [40, 60, 80, 120] {
            let lines = drawn(width);
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{width}: {lines:#?}");
            let words: Vec<_> = lines.iter().flat_map(|line| line.split_whitespace()).collect();
            assert!(words.contains(&"requests") && words.contains(&"late."), "nothing is cut: {lines:#?}");
        }
    }

    #[test]
    fn columns_yield_in_order_and_only_as_many_as_it_takes() {
        let drawn = |width| {
            let mut table = table(["machine", "cores", "pid", "address"]);
            table.add_row(["web-1", "2", "12345", "127.0.0.1:8080"]);
            fitting_lines(table, width, &[3, 1])
        };
        assert_eq!(drawn(80)[0].split_whitespace().count(), 4);
        assert_eq!(drawn(38)[0], "machine  cores  pid    address", "just enough");
        assert_eq!(drawn(30)[0], "machine  cores  pid");
        assert_eq!(drawn(20), ["machine  pid", "web-1    12345"]);
    }

    #[test]
    fn where_there_is_room_a_row_is_a_line_and_there_are_no_rules() {
        let lines = drawn(120);
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert!(lines[1].starts_with("At half load") && lines[1].ends_with("✗ 12 requests"), "{lines:#?}");
        let narrow = drawn(50);
        assert!(narrow[1].ends_with("✗ 12 requests"), "only the first column is broken: {narrow:#?}");
    }
}
