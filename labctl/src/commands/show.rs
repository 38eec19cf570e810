//! `labctl show CHAPTER`

use clap::Args;

use super::common::Common;
use super::{Performed, say, say_document};
use chapter::{MachineEntry, Source};

/// Which chapter.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// A chapter's name (`labctl list`), or a path to a .toml file.
    chapter: String,
    /// The file itself, as a start for one of your own.
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
    say(format!("{}. {}\n{}\n\nMachines", chapter.number, chapter.title, chapter.question));
    for (name, entry) in &chapter.machine {
        say(format!("  {name:<12} {}", describe(entry)));
    }
    for step in &chapter.step {
        say(format!("\n{}\n  {}", step.name, step.say));
        for expect in &step.expect {
            say(format!("  - {}", expect.claim));
        }
    }
    Ok(0)
}

fn describe(entry: &MachineEntry) -> String {
    let count = entry.count.map(|count| format!("{count} × ")).unwrap_or_default();
    let programs = [
        entry.lb.as_ref().map(|_| "lb"),
        entry.webserver.as_ref().map(|_| "webserver"),
        entry.dbnode.as_ref().map(|_| "dbnode"),
    ];
    let programs = programs.into_iter().flatten().collect::<Vec<_>>().join(" + ");
    format!("{count}{programs}: {} cores, {}, ${} a month", entry.cores, entry.memory, entry.price)
}
