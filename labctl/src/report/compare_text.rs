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
    let flipped = comparison.lines.iter().filter(|line| line.has_flipped()).count();
    lines.push(String::new());
    lines.extend(wrap(&summary(flipped, &comparison.lines), width));
    lines
}

fn summary(flipped: usize, lines: &[Line]) -> String {
    match flipped {
        0 => format!("No verdict of {} differs.", lines.len()),
        1 => "One verdict differs.".into(),
        many => format!("{many} verdicts differ."),
    }
}
