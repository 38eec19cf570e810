//! A chapter together with the text it came from, and what can be wrong with that.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::chapter::Chapter;
use crate::settings::{self, Setting};
use crate::{check, library};

/// A chapter together with the text it came from.
#[derive(Debug, Clone)]
pub struct Source {
    /// The chapter's short name: its file's name without the ending.
    pub name: String,
    /// Where it was read from, for messages.
    pub file: PathBuf,
    /// The text, with `--set` already applied.
    pub text: String,
    /// What the text says.
    pub chapter: Chapter,
}

/// What is wrong with a chapter file, and on which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChapterError {
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1, where there is one to point at.
    pub line: Option<usize>,
    /// One sentence, with what would have been known where that helps.
    pub message: String,
}

impl std::error::Error for ChapterError {}

impl fmt::Display for ChapterError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(formatter, ", line {line}")?;
        }
        write!(formatter, ": {}", self.message)
    }
}

impl Source {
    /// Reads a chapter: one of the built-in ones by name, or a file by its path.
    pub fn open(name: &str, settings: &[Setting]) -> Result<Self, ChapterError> {
        if let Some(text) = library::text(name) {
            return Self::parse(Path::new(&format!("{name}.toml")), text, settings);
        }
        let path = Path::new(name);
        let error = |message| ChapterError { file: path.to_owned(), line: None, message };
        if path.extension().is_none() {
            let known = library::names().collect::<Vec<_>>().join(", ");
            return Err(error(format!(
                "there is no such chapter; known are {known}, or give a path to a .toml file"
            )));
        }
        let text =
            std::fs::read_to_string(path).map_err(|cause| error(format!("cannot be read: {cause}")))?;
        Self::parse(path, &text, settings)
    }

    /// Reads a chapter from its text, and checks that everything it names is there.
    pub fn parse(file: &Path, text: &str, settings: &[Setting]) -> Result<Self, ChapterError> {
        let text = settings::apply(text, settings).map_err(|message| ChapterError {
            file: file.to_owned(),
            line: None,
            message,
        })?;
        let at = |span: Option<Range<usize>>, message: String| ChapterError {
            file: file.to_owned(),
            // With settings applied, lines are not those of the file any more.
            line: span
                .filter(|_| settings.is_empty())
                .map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1),
            message,
        };
        let chapter: Chapter =
            toml::from_str(&text).map_err(|error| at(error.span(), error.message().to_owned()))?;
        check::check(&chapter).map_err(|problem| at(problem.span, problem.message))?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, file: file.to_owned(), text, chapter })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
number = 1
title = "Small"
question = "Does it?"

[machine.app]
cores = 1
webserver = { db = "app" }
dbnode = { products = 10 }

[traffic.shoppers]
to = "app"
path = "/products/{key}"

[[step]]
name = "half"
say = "Half."
load = { shoppers = 50 }
measure = "2s"

[[step.expect]]
claim = "Nothing fails."
measure = "failed(half)"
equals = 0
"#;

    fn error_of(text: &str) -> String {
        Source::parse(Path::new("small.toml"), text, &[]).expect_err("should be refused").to_string()
    }

    #[test]
    fn a_small_chapter_is_understood() {
        let source = Source::parse(Path::new("small.toml"), SMALL, &[]).unwrap();
        assert_eq!(source.name, "small");
        assert_eq!(source.chapter.step[0].expect[0].measure.as_ref(), "failed(half)");
    }

    #[test]
    fn every_built_in_chapter_is_valid() {
        for name in library::names() {
            if let Err(error) = Source::open(name, &[]) {
                panic!("{error}");
            }
        }
    }

    #[test]
    fn a_typo_is_named_with_its_line_and_the_known_keys() {
        let error = error_of(&SMALL.replace("cores = 1", "coers = 1"));
        assert!(error.starts_with("small.toml, line 7: unknown field `coers`, expected one of"), "{error}");
        assert!(error.contains("`cores`") && error.contains("`memory`"), "{error}");
    }

    #[test]
    fn a_word_that_is_not_known_is_named_with_its_line_and_the_known_ones() {
        let with = |more: &str| SMALL.replace(r#"{ db = "app" }"#, &format!(r#"{{ db = "app", {more} }}"#));
        let error = error_of(&with("cache = 'loacl'"));
        assert_eq!(error, "small.toml, line 8: there is no cache 'loacl'; known are none, local, redis");
        let error = error_of(&with("sessions = 'rdis'"));
        assert_eq!(error, "small.toml, line 8: there is no sessions 'rdis'; known are memory, redis");
        let error = error_of(&SMALL.replace("products = 10", "replication = 'asynch'"));
        assert_eq!(
            error,
            "small.toml, line 9: there is no replication 'asynch'; known are async, sync, quorum"
        );
        for (key, known) in [("policy", "round-robin, least-busy, two-choices, sticky"), ("health", "on, ")] {
            let lb = format!("[machine.lb]\nlb = {{ upstreams = 'app', {key} = 'roundrobin' }}\n\n[traffic");
            let error = error_of(&SMALL.replacen("[traffic", &lb, 1));
            let wanted = format!("small.toml, line 12: there is no {key} 'roundrobin'; known are {known}");
            assert!(error.starts_with(&wanted), "{error}");
        }
    }

    #[test]
    fn a_health_path_and_a_queue_that_are_none_are_named_with_their_lines() {
        let lb = |more: &str| {
            let lb = format!("[machine.lb]\nlb = {{ upstreams = 'app', {more} }}\n\n[traffic");
            error_of(&SMALL.replacen("[traffic", &lb, 1))
        };
        let error = lb("health-path = 'healthz'");
        assert!(
            error.starts_with("small.toml, line 12: health-path is a path that begins with /"),
            "{error}"
        );
        let error = lb("panic-threshold = 101");
        assert_eq!(error, "small.toml, line 12: panic-threshold is from 0 to 100, not 101");
        let error = error_of(&SMALL.replace("cores = 1", "queue = 'lifo'"));
        assert!(error.starts_with("small.toml, line 7: unknown variant `lifo`"), "{error}");
        assert!(error.contains("`oldest-first` or `newest-first`"), "{error}");
    }

    #[test]
    fn a_number_that_cannot_be_is_named_with_its_line() {
        let error = error_of(&SMALL.replace("cores = 1", "cores = 0"));
        assert_eq!(error, "small.toml, line 7: cores is from 1 to 1024, not 0");
        let error = error_of(&SMALL.replace("cores = 1", "exclusive = 1.0"));
        assert_eq!(error, "small.toml, line 7: exclusive is from 0 to 0.99, not 1");
        let error = error_of(&SMALL.replace("to = \"app\"", "to = \"app\"\nkeys = 0"));
        assert_eq!(error, "small.toml, line 13: keys is from 1 to 1000000000, not 0");
        for rate in ["-50", "nan", "{ from = 0, to = -1, over = '1s' }"] {
            let error = error_of(&SMALL.replace("shoppers = 50", &format!("shoppers = {rate}")));
            assert_eq!(error, "small.toml, line 18: a rate is a number of requests a second, from 0 on");
        }
    }

    #[test]
    fn a_claim_about_a_step_that_is_not_there_is_refused() {
        let error = error_of(&SMALL.replace("failed(half)", "failed(hlaf)"));
        assert_eq!(error, "small.toml, line 23: there is no step 'hlaf'; known are half");
    }

    #[test]
    fn an_unknown_measure_is_refused_with_the_known_ones() {
        let error = error_of(&SMALL.replace("failed(half)", "faild(half)"));
        assert!(error.starts_with("small.toml, line 23: there is no measure 'faild'; known are"), "{error}");
    }

    #[test]
    fn traffic_to_a_machine_that_is_not_there_is_refused() {
        let error = error_of(&SMALL.replace("to = \"app\"", "to = \"ap\""));
        assert_eq!(error, "small.toml, line 12: there is no machine 'ap'; known are app");
    }

    #[test]
    fn only_a_balancer_can_be_waited_for_to_take_a_machine_out() {
        let waiting = |until: &str| SMALL.replace("measure = \"2s\"", &format!("until = {until}"));
        let error = error_of(&waiting(r#"{ ejected = "app", by = "app", within = "9s" }"#));
        assert_eq!(error, "small.toml, line 19: machine 'app' has no lb that could eject or admit another");
        let error = error_of(&waiting(r#"{ gone = "app", by = "app", within = "9s" }"#));
        assert_eq!(
            error,
            "small.toml, line 19: by goes with ejected or admitted: it names the balancer that does it"
        );
    }

    #[test]
    fn only_a_machine_with_a_database_has_a_disk_to_be_filled() {
        let with = |more: &str| {
            let lb = "[machine.lb]\nlb = { upstreams = 'app' }\n\n[traffic";
            let text = SMALL.replacen("[traffic", lb, 1);
            text.replace("measure = \"2s\"", &format!("{more}\nmeasure = \"2s\""))
        };
        let source = Source::parse(Path::new("small.toml"), &with("fill = ['app']\nempty = ['app']"), &[]);
        assert_eq!(source.unwrap().chapter.step[0].fill.len(), 1);
        let error = error_of(&with("fill = ['lb']"));
        assert_eq!(error, "small.toml, line 22: machine 'lb' has no dbnode whose disk could be full");
        let error = error_of(&with("empty = ['ap']"));
        assert_eq!(error, "small.toml, line 22: there is no machine 'ap'; known are app, lb");
    }

    #[test]
    fn a_setting_changes_one_value() {
        let settings =
            ["step.half.load.shoppers=75".parse().unwrap(), "machine.app.cores=2".parse().unwrap()];
        let source = Source::parse(Path::new("small.toml"), SMALL, &settings).unwrap();
        assert_eq!(source.chapter.machine["app"].cores, 2);
    }

    #[test]
    fn a_setting_of_something_that_is_not_there_is_refused() {
        let settings = ["machine.ap.cores=2".parse().unwrap()];
        let error = Source::parse(Path::new("small.toml"), SMALL, &settings).expect_err("should be refused");
        assert_eq!(
            error.to_string(),
            "small.toml: --set machine.ap.cores: there is no 'ap' here; known are app"
        );
    }
}
