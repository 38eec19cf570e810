//! `labctl list`: lists the chapters.

use super::common::Common;
use super::{Performed, say, say_document};
use crate::report::columns;
use crate::report::terminal::wrap;
use chapter::library::Group;
use chapter::{ChapterError, Source};

/// The number of the chapter without a file: it has its own command.
const TABLE: u32 = 9;

fn entry(number: u32, name: &str, title: &str, question: &str) {
    say(format!("{number:>2}  {name:<16} {title}"));
    for line in wrap(question, columns::prose().saturating_sub(21)) {
        say(format!("    {:<16} {line}", ""));
    }
}

/// Lists the chapters.
pub fn list(common: &Common) -> Performed {
    let open = |group: Group| group.names().map(move |name| Ok((group, Source::open(name, &[])?)));
    let chapters = Group::ALL.into_iter().flat_map(open).collect::<Result<Vec<_>, ChapterError>>()?;
    if common.json {
        let chapters = chapters.iter().map(|(group, source)| {
            let chapter = &source.chapter;
            serde_json::json!({ "name": source.name, "group": group.name(), "number": chapter.number, "title": chapter.title, "question": chapter.question })
        });
        say_document("chapters", serde_json::json!({ "chapters": chapters.collect::<Vec<_>>() }))?;
        return Ok(0);
    }
    let mut is_table_told = false;
    let mut last = None;
    for (group, Source { name, chapter, .. }) in &chapters {
        if last.replace(group) != Some(group) {
            say(format!("{}{}", if *group == Group::Article { "" } else { "\n" }, group.heading()));
        }
        if chapter.number > TABLE && !is_table_told {
            is_table_told = true;
            entry(
                TABLE,
                "labctl table",
                "What you built",
                "Each architecture beside the article's table, measured.",
            );
        }
        entry(chapter.number, name, &chapter.title, &chapter.question);
    }
    let more = "`labctl show CHAPTER` tells what one does and claims, and what its words mean.";
    wrap(more, columns::prose()).iter().for_each(say);
    Ok(0)
}
