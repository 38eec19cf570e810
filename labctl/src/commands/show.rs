//! `labctl show CHAPTER`: shows a chapter without running it.

use clap::Args;

use super::common::Common;
use super::{Performed, say, say_document};
use crate::glossary;
use crate::report::columns;
use crate::report::terminal::wrap;
use chapter::{MachineEntry, Source};

/// Selects the chapter.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// A chapter's name (`labctl list`), or a path to a .toml file.
    chapter: String,
    /// Print the file itself, as a template for your own.
    #[arg(long)]
    toml: bool,
}

/// Shows a chapter.
pub fn show(args: &ShowArgs, common: &Common) -> Performed {
    let source = Source::open(&args.chapter, &[])?;
    if args.toml {
        say(&source.text);
        return Ok(0);
    }
    let chapter = &source.chapter;
    if common.json {
        let steps = chapter.step.iter().map(|step| {
            let claims: Vec<_> = step.expect.iter().map(|expect| &expect.claim).collect();
            serde_json::json!({ "name": step.name, "say": step.say, "claims": claims })
        });
        say_document(
            "chapter",
            serde_json::json!({
                "name": source.name, "number": chapter.number, "title": chapter.title,
                "question": chapter.question, "machines": chapter.machine.keys().collect::<Vec<_>>(),
                "steps": steps.collect::<Vec<_>>(),
            }),
        )?;
        return Ok(0);
    }
    lines(&source).into_iter().for_each(say);
    Ok(0)
}

/// Renders a chapter within the width of the terminal.
fn lines(source: &Source) -> Vec<String> {
    let (chapter, width) = (&source.chapter, columns::prose());
    let mut lines = vec![format!("{}. {}", chapter.number, chapter.title)];
    lines.extend(wrap(&chapter.question, width));
    lines.extend([String::new(), "Machines".into()]);
    let name_width = chapter.machine.keys().map(String::len).max().unwrap_or(0).max(12);
    for (name, entry) in &chapter.machine {
        indented(&mut lines, &format!("  {name:<name_width$} "), &describe(entry), width);
    }
    for step in &chapter.step {
        lines.extend([String::new(), step.name.clone()]);
        indented(&mut lines, "  ", &step.say, width);
        step.expect.iter().for_each(|expect| indented(&mut lines, "  - ", &expect.claim, width));
    }
    let words: Vec<_> = glossary::words_in(&source.text).collect();
    if !words.is_empty() {
        lines.extend([String::new(), "Words".into()]);
    }
    for word in words {
        indented(&mut lines, "  ", &format!("{}: {}", word.name, word.means), width);
    }
    lines
}

/// Writes a text after a label, wrapped and indented under its first letter.
fn indented(lines: &mut Vec<String>, label: &str, text: &str, width: usize) {
    let indent = label.chars().count();
    for (number, line) in wrap(text, width.saturating_sub(indent)).iter().enumerate() {
        let before = if number == 0 { label.to_owned() } else { " ".repeat(indent) };
        lines.push(before + line);
    }
}

fn describe(entry: &MachineEntry) -> String {
    let count = entry.count.map(|count| format!("{count} × ")).unwrap_or_default();
    let programs = [
        entry.lb.as_ref().map(|_| "lb"),
        entry.webserver.as_ref().map(|_| "webserver"),
        entry.dbnode.as_ref().map(|_| "dbnode"),
        entry.redis.as_ref().map(|_| "redis"),
        entry.sentinel.as_ref().map(|_| "sentinel"),
    ];
    let programs = programs.into_iter().flatten().collect::<Vec<_>>().join(" + ");
    let cores = if entry.cores == 1 { "1 core".into() } else { format!("{} cores", entry.cores) };
    format!("{count}{programs}: {cores}, {}, ${} a month", entry.memory, entry.price)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chapter_is_shown_with_its_machines_and_its_words() {
        let shown = lines(&Source::open("sessions", &[]).unwrap()).join("\n");
        for part in ["3 × sentinel: 1 core, 256", "- Everybody can log in.", "Words", "  sticky session: "] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(shown.lines().all(|line| line.chars().count() <= columns::prose()), "{shown}");
    }
}
