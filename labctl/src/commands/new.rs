//! `labctl new chapter`: something to begin with.

use clap::{Args, Subcommand};

use super::{Performed, say};

/// What to begin.
#[derive(Debug, Args)]
pub struct NewArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print a small chapter with comments: `labctl new chapter > mine.toml`.
    Chapter,
}

/// A chapter that can be run as it is.
const CHAPTER: &str = include_str!("../../templates/new/chapter.toml");

/// Prints a template.
pub fn new(args: &NewArgs) -> Performed {
    match args.what {
        What::Chapter => say(CHAPTER.trim_end()),
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use chapter::Source;

    #[test]
    fn the_template_is_a_chapter_without_a_mistake() {
        let source = Source::parse(Path::new("mine.toml"), super::CHAPTER, &[]).unwrap();
        assert_eq!(source.chapter.step.len(), 3);
    }
}
