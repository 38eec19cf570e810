//! Draws a few operations as text: a row per session, a bar per operation, from left to right in the order of
//! events. Lengths do not stand for durations, so that every bar has room for its label; the times are listed
//! below.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::operation::{At, Operation};

/// Draws operations on one record.
pub fn timeline(key: &str, initial: Option<&str>, operations: &[Operation]) -> String {
    let mut operations: Vec<&Operation> = operations.iter().collect();
    operations.sort_by_key(|operation| (operation.invoked_at, operation.returned_at));
    let columns = columns(&operations);
    let mut picture = String::new();
    let before = initial.map_or("not there".into(), |value| format!("{value:?}"));
    let _ = writeln!(picture, "record {key:?}, at first {before}\n");
    for (session, row) in rows(&operations) {
        let _ = writeln!(picture, "{session:<width$} {}", draw(&row, &columns), width = widest(&operations));
    }
    picture.push('\n');
    for operation in &operations {
        let _ = writeln!(picture, "{}", sentence(operation, operations[0].invoked_at));
    }
    picture
}

/// The column of each event. The ends of a bar are far enough apart for its label.
struct Columns {
    starts: BTreeMap<usize, usize>,
    ends: BTreeMap<usize, usize>,
}

fn columns(operations: &[&Operation]) -> Columns {
    let mut moments = Vec::new();
    for (place, operation) in operations.iter().enumerate() {
        moments.push((operation.invoked_at, false, place));
        moments.push((returned(operation), true, place));
    }
    moments.sort();
    let mut columns = Columns { starts: BTreeMap::new(), ends: BTreeMap::new() };
    let mut column = 0;
    for (_, is_end, place) in moments {
        if is_end {
            let text = operations[place].to_string().chars().count();
            column = (column + 2).max(columns.starts[&place] + text + 3);
            columns.ends.insert(place, column);
        } else {
            column += 2;
            columns.starts.insert(place, column);
        }
    }
    columns
}

/// The end of its bar: never, if it is unknown when it took effect.
fn returned(operation: &Operation) -> At {
    operation.surely_done_at()
}

/// Arranges the bars in rows. A session gets a second row if it went on without an answer.
fn rows<'a>(operations: &[&'a Operation]) -> Vec<(&'a str, Vec<(usize, &'a Operation)>)> {
    let mut rows: Vec<(&str, Vec<(usize, &Operation)>)> = Vec::new();
    for (place, operation) in operations.iter().copied().enumerate() {
        let free = rows.iter_mut().find(|(session, row)| {
            *session == operation.session
                && row.last().is_none_or(|(_, last)| returned(last) < operation.invoked_at)
        });
        match free {
            Some((_, row)) => row.push((place, operation)),
            None => rows.push((&operation.session, vec![(place, operation)])),
        }
    }
    rows.sort_by_key(|(session, _)| *session);
    rows
}

fn draw(row: &[(usize, &Operation)], columns: &Columns) -> String {
    let mut line = String::new();
    let mut drawn = 0;
    for (place, operation) in row {
        let (start, end) = (columns.starts[place], columns.ends[place]);
        let text = operation.to_string();
        let room = (end - start).saturating_sub(text.chars().count() + 1);
        let (fill, last) = if returned(operation) == At::NEVER { ("·", ">") } else { ("-", "|") };
        let _ = write!(
            line,
            "{}|{}{text}{}{last}",
            " ".repeat(start - drawn),
            fill.repeat(room / 2),
            fill.repeat(room - room / 2)
        );
        drawn = end + 1;
    }
    line
}

fn widest(operations: &[&Operation]) -> usize {
    operations.iter().map(|operation| operation.session.chars().count()).max().unwrap_or(0)
}

fn sentence(operation: &Operation, first: At) -> String {
    let invoked = operation.invoked_at.ms_since(first);
    let until = match returned(operation) {
        At::NEVER => "no answer".into(),
        returned => format!("{:.3} ms", returned.ms_since(first)),
    };
    let at = operation.node.as_ref().map_or(String::new(), |node| format!(", answered by {node}"));
    format!("  {invoked:.3} ms to {until}: {} {operation}{at}", operation.session)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{put, seen, unknown};

    #[test]
    fn a_student_sees_what_went_wrong() {
        let operations = [
            put("alice", "k", 0, 2_000_000, "new"),
            unknown(put("bob", "k", 1_000_000, 9_000_000, "lost")),
            seen("carol", "k", 3_000_000, 5_000_000, "old"),
        ];
        let expected = "\
record \"k\", at first \"old\"

alice   |-put new-|
bob       |···put lost (unknown)···>
carol               |-get -> old-|

  0.000 ms to 2.000 ms: alice put new
  1.000 ms to no answer: bob put lost (unknown)
  3.000 ms to 5.000 ms: carol get -> old
";
        assert_eq!(timeline("k", Some("old"), &operations), expected);
    }

    #[test]
    fn a_session_that_went_on_has_a_second_row() {
        let operations = [unknown(put("alice", "k", 0, 1, "a")), seen("alice", "k", 2, 3, "a")];
        let picture = timeline("k", None, &operations);
        assert_eq!(picture.lines().filter(|line| line.starts_with("alice")).count(), 2, "{picture}");
    }
}
