//! `labctl new chapter`, `labctl new lb` and `labctl new db`: templates to start from.

use clap::{Args, Subcommand};

use super::{Performed, say};
use grade::Kind;
use grade::starter::{self, Language};

/// Selects the template.
#[derive(Debug, Args)]
pub struct NewArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print a small chapter with comments: `labctl new chapter > mine.toml`.
    Chapter,
    /// Print a small architecture with comments, for `audit`, `table` and `challenge`: `labctl new architecture > mine.toml`.
    Architecture,
    /// Print a small balancer that passes the first stage of `labctl grade lb`.
    Lb {
        /// The language it is written in: python.
        #[arg(long, value_parser = language)]
        language: Language,
    },
    /// Print a small database that passes the first two stages of `labctl grade db`.
    Db {
        /// The language it is written in: python.
        #[arg(long, value_parser = language)]
        language: Language,
    },
}

fn language(name: &str) -> Result<Language, String> {
    let known = || Language::ALL.map(Language::name).join(", ");
    let found = Language::ALL.into_iter().find(|language| language.name() == name);
    let refused = || {
        format!(
            "there is no template in '{name}'; known are {}, and docs/your-own.md says what such a program has to do",
            known()
        )
    };
    found.ok_or_else(refused)
}

/// A chapter that runs as it is.
const CHAPTER: &str = include_str!("../../templates/new/chapter.toml");

/// An architecture that can be audited as it is.
const ARCHITECTURE: &str = include_str!("../../templates/new/architecture.toml");

/// Prints a template.
pub fn new(args: &NewArgs) -> Performed {
    match args.what {
        What::Chapter => say(CHAPTER.trim_end()),
        What::Architecture => say(ARCHITECTURE.trim_end()),
        What::Lb { language } => say(starter::text(Kind::Lb, language).trim_end()),
        What::Db { language } => say(starter::text(Kind::Db, language).trim_end()),
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

    #[test]
    fn the_architecture_is_one_without_a_mistake() {
        let source = Source::parse(Path::new("mine.toml"), super::ARCHITECTURE, &[]).unwrap();
        assert_eq!(source.chapter.machine.len(), 1);
    }
}
