//! `labctl list`

use super::common::Common;
use super::{Performed, say, say_document};
use chapter::{Source, library};

/// Lists the chapters.
pub fn list(common: &Common) -> Performed {
    let chapters = library::names().map(|name| Source::open(name, &[]));
    let chapters = chapters.collect::<Result<Vec<_>, _>>()?;
    if common.json {
        let chapters = chapters.iter().map(|source| {
            let chapter = &source.chapter;
            serde_json::json!({ "name": source.name, "number": chapter.number, "title": chapter.title, "question": chapter.question })
        });
        say_document("chapters", serde_json::json!({ "chapters": chapters.collect::<Vec<_>>() }))?;
        return Ok(0);
    }
    for Source { name, chapter, .. } in &chapters {
        say(format!("{:>2}  {name:<16} {}", chapter.number, chapter.title));
        say(format!("    {:<16} {}", "", chapter.question));
    }
    Ok(0)
}
