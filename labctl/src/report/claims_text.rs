//! The article's sentences as text, each with its standing.

use super::columns;
use super::terminal::wrap;
use crate::claims::verdicts::{Judged, Standing};
use chapter::library::Group;

/// Renders all sentences, line by line.
pub fn lines(judged: &[Judged]) -> Vec<String> {
    let mut lines = Vec::new();
    if is_nothing_measured(judged) {
        lines.extend(wrap(NOTHING, columns::prose()));
    }
    let mut chapter = "";
    let mut is_beyond = false;
    for one in judged {
        if one.source.is_some() && !is_beyond {
            is_beyond = true;
            lines.extend([String::new(), Group::Beyond.heading().to_owned()]);
        }
        if one.chapter != chapter {
            chapter = &one.chapter;
            lines.push(String::new());
            lines.push(chapter.to_owned());
        }
        let quoted = format!("“{}”", one.article);
        if one.standing == Standing::NotMeasured {
            // Before a measurement, the expectation would read like a result.
            indented(&mut lines, &format!("  {} not measured yet ", mark(one.standing)), &quoted);
            continue;
        }
        indented(&mut lines, &format!("  {} {:<8} ", mark(one.standing), one.expected.name()), &quoted);
        indented(&mut lines, "             ", &one.because);
        one.source
            .iter()
            .for_each(|source| indented(&mut lines, "             ", &format!("After {source}.")));
        if one.standing != Standing::AsExpected {
            lines.extend(one.evidence.iter().filter(|piece| piece.standing != Standing::AsExpected).map(
                |piece| {
                    let figure = piece.measured.map_or(String::new(), |figure| format!(" = {figure:.3}"));
                    format!("               ! {}{figure}: {}", piece.of, in_words(piece.standing))
                },
            ));
        }
    }
    lines.push(String::new());
    lines.push(summary(judged));
    lines
}

/// Writes a text after a label, wrapped and indented under its first letter.
fn indented(lines: &mut Vec<String>, label: &str, text: &str) {
    let indent = label.chars().count();
    for (number, line) in wrap(text, columns::prose().saturating_sub(indent)).iter().enumerate() {
        let before = if number == 0 { label.to_owned() } else { " ".repeat(indent) };
        lines.push(format!("{before}{line}"));
    }
}

/// The notice before anything is measured.
const NOTHING: &str =
    "Nothing has been measured yet. These are the sentences that can be, and nothing here is a result.";

fn is_nothing_measured(judged: &[Judged]) -> bool {
    judged.iter().all(|one| one.standing == Standing::NotMeasured)
}

/// Summarises the standings in a sentence.
pub fn summary(judged: &[Judged]) -> String {
    if is_nothing_measured(judged) {
        return format!("{} sentences, none measured yet.", judged.len());
    }
    let count = |standing| judged.iter().filter(|one| one.standing == standing).count();
    let expected = |name: &str| judged.iter().filter(|one| one.expected.name() == name).count();
    format!(
        "{} sentences ({} to be confirmed, {} to be refuted, {} that depend): {} as expected, {} not so any more, {} inconclusive, {} not measured yet.",
        judged.len(),
        expected("confirm"),
        expected("refute"),
        expected("depends"),
        count(Standing::AsExpected),
        count(Standing::Flipped),
        count(Standing::Inconclusive),
        count(Standing::NotMeasured)
    )
}

/// Returns a mark for a standing.
pub fn mark(standing: Standing) -> &'static str {
    match standing {
        Standing::AsExpected => "✓",
        Standing::NotMeasured => "·",
        Standing::Inconclusive => "?",
        Standing::Flipped => "✗",
    }
}

fn in_words(standing: Standing) -> &'static str {
    match standing {
        Standing::AsExpected => "as expected",
        Standing::NotMeasured => "not measured yet",
        Standing::Inconclusive => "inconclusive: the host was the bottleneck",
        Standing::Flipped => "not so any more",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::{Evidence, Registry, verdicts};

    #[test]
    fn before_any_run_nothing_looks_like_a_result() {
        let judged = verdicts::judge(&Registry::built_in(), &Evidence::default());
        let lines = lines(&judged);
        assert!(lines[0].starts_with("Nothing has been measured yet"), "{}", lines[0]);
        assert!(lines.last().unwrap().ends_with("sentences, none measured yet."));
        let text = lines.join("\n");
        for word in ["confirm", "refute", "✓", "✗"] {
            let told = lines.iter().find(|line| line.trim_start().starts_with(word));
            assert_eq!(told, None, "{word}: {text}");
        }
    }
}
