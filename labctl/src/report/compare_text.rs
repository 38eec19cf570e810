//! Two runs side by side, as columns of text.

use super::columns;
use super::comparison::{Comparison, Line};
use super::terminal::wrap;

/// Renders the comparison line by line, for a terminal of this width.
pub fn lines(comparison: &Comparison, width: usize) -> Vec<String> {
    let mut lines = vec![comparison.title.clone()];
    lines.push(format!("A: {}", comparison.first));
    lines.push(format!("B: {}", comparison.second));
    lines.push(String::new());
    if comparison.differences.is_empty() {
        lines.push("Both were of the same chapter file.".into());
    } else {
        lines.push("Differences between the chapter files:".into());
        let mut table = columns::table(["", "A", "B"]);
        for one in &comparison.differences {
            let (first, second) = one.sides();
            table.add_row([one.key.clone(), first.to_owned(), second.to_owned()]);
        }
        lines.extend(columns::lines(table, width));
    }
    lines.push(String::new());
    let mut table = columns::table(["claim", "A", "B", "change"]);
    for line in &comparison.lines {
        table.add_row([line.claim.clone(), line.first_text(), line.second_text(), line.change_text()]);
    }
    lines.extend(columns::lines(table, width));
    lines.push(String::new());
    let is_refuted = |line: &Line| [line.first, line.second].into_iter().flatten().any(|side| side.refuted);
    if comparison.lines.iter().any(is_refuted) {
        lines.push("≠: the sentence was refuted, as expected.".into());
    }
    lines.extend(wrap(&comparison.summary(), width));
    lines
}
