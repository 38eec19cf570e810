//! A chapter together with its source text.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::chapter::Chapter;
use crate::mistake::{ChapterError, Mistake};
use crate::parse::{self, Parsed};
use crate::settings::{self, Setting};
use crate::{check, library, suggest};

/// A chapter together with its source text.
#[derive(Debug, Clone)]
pub struct Source {
    /// The chapter's short name: its file's name without the extension.
    pub name: String,
    /// The file it was read from, for messages.
    pub file: PathBuf,
    /// The text, with `--set` already applied.
    pub text: String,
    /// The parsed chapter.
    pub chapter: Chapter,
}

impl Source {
    /// Reads a chapter: a built-in one by name or number, or a file by its path.
    pub fn open(name: &str, settings: &[Setting]) -> Result<Self, ChapterError> {
        if let Some((name, text)) = library::find(name) {
            return Self::parse(Path::new(&format!("{name}.toml")), text, settings);
        }
        let path = Path::new(name);
        let error = |message| ChapterError::of_file(path, message);
        if path.is_dir() {
            return Err(error("is a directory: give a chapter's name, or the path of a .toml file".into()));
        }
        if path.extension().is_none() {
            let known = suggest::unknown("chapter", name, library::names());
            return Err(error(format!("{known}, or give a path to a .toml file")));
        }
        let text =
            std::fs::read_to_string(path).map_err(|cause| error(format!("cannot be read: {cause}")))?;
        Self::parse(path, &text, settings)
    }

    /// Parses a chapter, and checks that everything it names exists.
    pub fn parse(file: &Path, text: &str, settings: &[Setting]) -> Result<Self, ChapterError> {
        let read = match settings {
            [] => read(text).map(|chapter| (chapter, text.to_owned())),
            _ => return Self::with_settings(file, text, settings),
        };
        let (chapter, text) = read.map_err(|mistakes| ChapterError::of_text(file, text, mistakes))?;
        Ok(Self::of(file, text, chapter))
    }

    /// Parses a chapter with settings. Positions no longer match the file; a mistake is attributed to one
    /// setting, or to the file.
    fn with_settings(file: &Path, text: &str, settings: &[Setting]) -> Result<Self, ChapterError> {
        let read_with = |settings: &[Setting]| -> Result<(String, Chapter), Vec<String>> {
            let text = settings::apply(text, settings).map_err(|message| vec![message])?;
            let told =
                |mistakes: Vec<(_, String)>| mistakes.into_iter().map(|(_, message)| message).collect();
            read(&text).map_err(told).map(|chapter| (text, chapter))
        };
        let messages = match read_with(settings) {
            Ok((text, chapter)) => return Ok(Self::of(file, text, chapter)),
            Err(messages) => messages,
        };
        read(text).map_err(|mistakes| ChapterError::of_text(file, text, mistakes))?;
        let culprit = (1..=settings.len()).find(|many| read_with(&settings[..*many]).is_err());
        let culprit = culprit.map_or(String::new(), |many| format!("--set {}: ", settings[many - 1]));
        Err(ChapterError::of_file(file, format!("{culprit}{}", messages.join("; "))))
    }

    fn of(file: &Path, text: String, chapter: Chapter) -> Self {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Self { name, file: file.to_owned(), text, chapter }
    }
}

/// A mistake, with its position in the text if that is known.
type Located = (Option<Range<usize>>, String);

/// Parses a text, or returns all mistakes with their positions.
fn read(text: &str) -> Result<Chapter, Vec<Located>> {
    let Parsed { chapter, mut mistakes, document } = parse::parse(text);
    if let Some(chapter) = &chapter {
        let is_complete = mistakes.is_empty();
        mistakes.extend(check::check(chapter, is_complete));
    }
    let located = |Mistake { place, message }: Mistake| {
        (place.and_then(|place| parse::locate(&document, &place)), message)
    };
    chapter.filter(|_| mistakes.is_empty()).ok_or_else(|| mistakes.into_iter().map(located).collect())
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

    /// The errors reported for a text that is refused: of each mistake the line, and the sentence.
    fn error_of(text: &str) -> String {
        let error = Source::parse(Path::new("small.toml"), text, &[]).expect_err("should be refused");
        let told = error.mistakes().map(|(placed, message)| match placed {
            Some(placed) => format!("{}: {message}", placed.line),
            None => message.to_owned(),
        });
        told.collect::<Vec<_>>().join("\n")
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
        assert!(error.starts_with("7: there is no key 'coers'; did you mean 'cores'? known are"), "{error}");
        assert!(error.contains("memory, "), "{error}");
    }

    #[test]
    fn a_word_that_is_not_known_is_named_with_its_line_and_the_known_ones() {
        let with = |more: &str| SMALL.replace(r#"{ db = "app" }"#, &format!(r#"{{ db = "app", {more} }}"#));
        let error = error_of(&with("cache = 'loacl'"));
        assert_eq!(error, "8: there is no cache 'loacl'; did you mean 'local'? known are none, local, redis");
        let error = error_of(&with("sessions = 'rdis'"));
        assert_eq!(error, "8: there is no sessions 'rdis'; did you mean 'redis'? known are memory, redis");
        let error = error_of(&SMALL.replace("products = 10", "replication = 'asynch'"));
        assert_eq!(
            error,
            "9: there is no replication 'asynch'; did you mean 'async'? known are async, sync, quorum"
        );
        for (key, known) in [("policy", "did you mean 'round-robin'? "), ("health", "known are on, ")] {
            let lb = format!("[machine.lb]\nlb = {{ upstreams = 'app', {key} = 'roundrobin' }}\n\n[traffic");
            let error = error_of(&SMALL.replacen("[traffic", &lb, 1));
            let wanted = format!("12: there is no {key} 'roundrobin'; {known}");
            assert!(error.starts_with(&wanted), "{error}");
        }
    }

    fn is_valid(text: &str) -> bool {
        Source::parse(Path::new("small.toml"), text, &[]).is_ok()
    }

    #[test]
    fn a_roll_is_of_several_machines() {
        let with = |roll: &str, count: &str| {
            let text = SMALL.replace("measure = \"2s\"", &format!("measure = \"2s\"\n{roll}"));
            let web = format!("[machine.web]\nwebserver = {{ db = 'app' }}\n{count}\n\n[traffic");
            text.replacen("[traffic", &web, 1)
        };
        assert!(is_valid(&with("roll = { kind = 'web', how = 'stop' }", "count = 2")));
        for count in ["", "count = 1"] {
            let error = error_of(&with("roll = { kind = 'web', how = 'kill' }", count));
            assert!(error.starts_with("24: 'web' is one machine: a roll replaces"), "{error}");
        }
        let error = error_of(&with("roll = { kind = 'web', how = 'gently' }", "count = 2"));
        assert!(error.starts_with("24: ") && error.contains("gently"), "{error}");
        let error = error_of(&with("roll = { kind = 'web', how = 'stop', install = '2h' }", "count = 2"));
        assert!(error.starts_with("24: installing a new version takes 60s at most"), "{error}");
    }

    #[test]
    fn machines_on_a_map_have_a_place_each() {
        let with = |map: &str, place: &str| {
            let text = SMALL.replace("cores = 1", &format!("cores = 1\n{place}"));
            text.replacen("[traffic", &format!("[map]\n{map}\n\n[traffic"), 1)
        };
        let way = "here = { there = '80ms' }";
        assert!(is_valid(&with(way, "place = 'there'")));
        for (map, place, wrong) in [
            (way, "", "13: there is a map, and machine 'app' has no place on it: say place = 'here'"),
            (way, "place = 'nowhere'", "8: there is no place 'nowhere' on the map; known are here, there"),
            ("", "place = 'here'", "8: 'here' is on no map"),
            (way, "place = ['here', 'there']", "8: 2 places for machine 'app', which has no count"),
            (
                "a = { b = '1ms' }\nc = { d = '1ms' }",
                "place = 'a'",
                "8: the map does not say how far it is from 'a' to 'c'",
            ),
            (
                "here = { there = '1ms' }\nthere = { here = '2ms' }",
                "place = 'here'",
                "13: the round trip between 'here' and 'there' is given twice",
            ),
            (
                "here = { there = '11s' }",
                "place = 'here'",
                "13: the round trip from 'here' to 'there' is at most 10s",
            ),
        ] {
            let error = error_of(&with(map, place));
            assert!(error.starts_with(wrong), "{error}");
        }
    }

    #[test]
    fn a_primary_is_preferred_where_there_is_a_copy() {
        let error = error_of(&SMALL.replace("products = 10", "products = 10, prefer = 'ireland'"));
        assert_eq!(error, "9: no machine of 'app' is at the place 'ireland'");
    }

    #[test]
    fn a_retry_has_a_limit() {
        let with = |retry: &str| {
            SMALL.replace("path = \"/products/{key}\"", &format!("path = \"/products/{{key}}\"\n{retry}"))
        };
        assert!(is_valid(&with("retry = { times = 3, pause = '100ms', budget = 0.1 }")));
        for (retry, wrong) in [
            ("retry = { pause = '100ms' }", "a retry needs a limit: say how often, such as times = 3"),
            ("retry = { times = 0 }", "a request is repeated 1 to 20 times, not 0"),
            ("retry = { times = 3, budget = 0.0 }", "a retry budget is a share of the requests"),
            ("retry = { times = 3, pause = '2h' }", "a pause before a retry is 60s at most"),
            (
                "retry = { times = 3 }\nhistory = { of = 'h', does = 'local' }",
                "a traffic with a history cannot retry",
            ),
        ] {
            let error = error_of(&with(retry));
            assert!(error.starts_with(&format!("14: {wrong}")), "{error}");
        }
    }

    #[test]
    fn a_health_path_and_a_queue_that_are_none_are_named_with_their_lines() {
        let lb = |more: &str| {
            let lb = format!("[machine.lb]\nlb = {{ upstreams = 'app', {more} }}\n\n[traffic");
            error_of(&SMALL.replacen("[traffic", &lb, 1))
        };
        let error = lb("health-path = 'healthz'");
        assert!(error.starts_with("12: health-path is a path that begins with /"), "{error}");
        let error = lb("panic-threshold = 101");
        assert_eq!(error, "12: panic-threshold is from 0 to 100, not 101");
        let error = error_of(&SMALL.replace("cores = 1", "queue = 'lifo'"));
        assert!(
            error.starts_with("7: there is no word 'lifo'; known are oldest-first, newest-first"),
            "{error}"
        );
    }

    #[test]
    fn a_number_that_cannot_be_is_named_with_its_line() {
        let error = error_of(&SMALL.replace("cores = 1", "cores = 0"));
        assert_eq!(error, "7: cores is from 1 to 1024, not 0");
        let error = error_of(&SMALL.replace("cores = 1", "exclusive = 1.0"));
        assert_eq!(error, "7: exclusive is from 0 to 0.99, not 1");
        let error = error_of(&SMALL.replace("to = \"app\"", "to = \"app\"\nkeys = 0"));
        assert_eq!(error, "13: keys is from 1 to 1000000000, not 0");
        for rate in ["-50", "nan", "inf", "1e6", "{ from = 0, to = -1, over = '1s' }"] {
            let error = error_of(&SMALL.replace("shoppers = 50", &format!("shoppers = {rate}")));
            assert_eq!(error, "18: a rate is a number of requests a second, from 0 to 100000");
        }
        let at_once = "shoppers = { from = 0, to = 9, over = '0s' }";
        assert_eq!(error_of(&SMALL.replace("shoppers = 50", at_once)), "18: over must be longer than 0s");
    }

    #[test]
    fn what_a_machine_cannot_have_is_named_with_its_line() {
        for (written, told) in [
            ("price = -5", "price is from 0 to 1000000000, not -5"),
            ("price = nan", "price is from 0 to 1000000000, not NaN"),
            ("price = inf", "price is from 0 to 1000000000, not inf"),
            ("memory = \"1KiB\"", "memory is from 1.0 MiB to 16.0 TiB, not 1.0 KiB"),
            ("memory = \"1EiB\"", "memory is from 1.0 MiB to 16.0 TiB, not 1.0 EiB"),
        ] {
            let error = error_of(&SMALL.replace("cores = 1", written));
            assert_eq!(error, format!("7: {told}"));
        }
        let lb = |flag: &str| {
            let machine = format!("[machine.lb]\nlb = {{ upstreams = 'app', {flag} }}\n\n[traffic.shoppers]");
            error_of(&SMALL.replace("[traffic.shoppers]", &machine))
        };
        assert_eq!(lb("fall = 0"), "12: fall is from 1 to 1000, not 0");
        assert_eq!(lb("retries = 3"), "12: retries is from 0 to 2, not 3");
        assert_eq!(lb("health-interval = '0s'"), "12: health-interval must be longer than 0s");
        assert_eq!(lb("pair-advert = '1ms'"), "12: pair-advert is from 20ms to 40s, not 1ms");
        assert_eq!(lb("health-timeout = '1000years'"), "12: '1000years' is too long: one day at most");
        let database = |with: &str| error_of(&SMALL.replace("products = 10", with));
        assert_eq!(
            database("products = 10, election-timeout = '5ms'"),
            "9: election-timeout is from 100ms to 1m, not 5ms"
        );
        assert_eq!(database("products = 4000000000"), "9: products is from 0 to 10000000, not 4000000000");
    }

    #[test]
    fn a_header_that_cannot_be_sent_is_named_with_its_line() {
        let with = |header: &str| {
            error_of(&SMALL.replace("to = \"app\"", &format!("to = \"app\"\nheaders = {{ {header} }}")))
        };
        for (header, told) in [
            ("'x y' = '1'", "'x y' is not the name of a header: it is made of letters, digits and -"),
            ("'' = '1'", "'' is not the name of a header: it is made of letters, digits and -"),
            ("x = \"a\\nb\"", "the value of the header 'x' has a character that none may have"),
            ("Content-Length = '9'", "the header 'Content-Length' is set by the load generator itself"),
        ] {
            assert_eq!(with(header), format!("13: {told}"));
        }
        let fine = "to = \"app\"\nheaders = { X-Number = 'user {n}', accept = '*/*' }";
        assert!(Source::parse(Path::new("s.toml"), &SMALL.replace("to = \"app\"", fine), &[]).is_ok());
        let path = error_of(&SMALL.replace("/products/{key}", "/a b"));
        assert!(path.starts_with("13: '/a b' is not the path of a request: "), "{path}");
    }

    #[test]
    fn a_bound_and_a_divisor_are_numbers_that_mean_something() {
        for bound in ["nan", "inf", "-inf"] {
            let error = error_of(&SMALL.replace("equals = 0", &format!("at-least = {bound}")));
            let told = bound.replace("nan", "NaN");
            assert_eq!(error, format!("24: at-least is a number, not {told}"));
        }
        for measure in ["100 / 0", "failed(half) / (2 - 2)", "100 / 0 + failed(half)"] {
            let error = error_of(&SMALL.replace("failed(half)", measure));
            assert!(error.starts_with("23: nothing can be divided by 0: '"), "{error}");
        }
        assert!(
            Source::parse(Path::new("s.toml"), &SMALL.replace("equals = 0", "at-least = -1"), &[]).is_ok()
        );
    }

    #[test]
    fn a_claim_about_a_step_that_is_not_there_is_refused() {
        let error = error_of(&SMALL.replace("failed(half)", "failed(hlaf)"));
        assert_eq!(error, "23: there is no step 'hlaf'; did you mean 'half'? known are half");
    }

    #[test]
    fn an_unknown_measure_is_refused_with_the_known_ones() {
        let error = error_of(&SMALL.replace("failed(half)", "faild(half)"));
        assert!(
            error.starts_with("23: there is no measure 'faild'; did you mean 'failed'? known are"),
            "{error}"
        );
    }

    #[test]
    fn traffic_to_a_machine_that_is_not_there_is_refused() {
        let error = error_of(&SMALL.replace("to = \"app\"", "to = \"ap\""));
        assert_eq!(error, "12: there is no machine 'ap'; did you mean 'app'? known are app");
    }

    #[test]
    fn a_machine_beyond_the_count_of_its_kind_is_refused_unless_it_is_added() {
        let with = |more: &str| {
            let kind = "[machine.web]\ncount = 2\nwebserver = { db = 'app' }\n\n[traffic";
            let text = SMALL.replacen("[traffic", kind, 1);
            text.replace("measure = \"2s\"", &format!("{more}\nmeasure = \"2s\""))
        };
        let error = error_of(&with("kill = ['web-3']"));
        assert!(error.ends_with("there is no machine 'web-3': the last of its kind is 'web-2'"), "{error}");
        let added = Source::parse(Path::new("small.toml"), &with("add = 'web'\nkill = ['web-3']"), &[]);
        assert!(added.is_ok(), "{added:?}");
    }

    #[test]
    fn only_a_balancer_can_be_waited_for_to_take_a_machine_out() {
        let waiting = |until: &str| SMALL.replace("measure = \"2s\"", &format!("until = {until}"));
        let error = error_of(&waiting(r#"{ ejected = "app", by = "app", within = "9s" }"#));
        assert_eq!(error, "19: machine 'app' has no lb that could eject or admit another");
        let error = error_of(&waiting(r#"{ gone = "app", by = "app", within = "9s" }"#));
        assert_eq!(error, "19: by goes with ejected or admitted: it names the balancer that does it");
    }

    #[test]
    fn only_a_machine_with_a_database_has_a_disk_to_be_filled() {
        let with = |more: &str| {
            let lb = "[machine.lb]\nlb = { upstreams = 'app' }\n\n[traffic";
            let text = SMALL.replacen("[traffic", lb, 1);
            text.replace("measure = \"2s\"", &format!("{more}\nmeasure = \"2s\""))
        };
        let source = Source::parse(Path::new("small.toml"), &with("fill = ['app']\nempty = ['app']"), &[]);
        assert_eq!(source.unwrap().chapter.step[0].acts.len(), 2);
        let error = error_of(&with("fill = ['lb']"));
        assert_eq!(error, "22: machine 'lb' has no dbnode whose disk could be full");
        let error = error_of(&with("empty = ['ap']"));
        assert_eq!(error, "22: there is no machine 'ap'; did you mean 'app'? known are app, lb");
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
            "small.toml: --set machine.ap.cores=2: there is no key 'ap'; did you mean 'app'? known are app"
        );
    }

    #[test]
    fn a_setting_that_makes_the_chapter_wrong_is_named() {
        let settings = ["step.half.measure=3s".parse().unwrap(), "foo=bar".parse().unwrap()];
        let error = Source::parse(Path::new("small.toml"), SMALL, &settings).expect_err("should be refused");
        let error = error.to_string();
        assert!(
            error.starts_with("small.toml: --set foo=\"bar\": there is no key 'foo'; known are"),
            "{error}"
        );
        // A mistake that exists without the settings is the file's, and has its position there.
        let wrong = SMALL.replace("cores = 1", "cores = 0");
        let error = Source::parse(Path::new("small.toml"), &wrong, &settings[..1]).expect_err("refused");
        assert!(error.to_string().starts_with("small.toml:7:9: cores is from 1"), "{error}");
    }

    #[test]
    fn every_mistake_is_told_at_once_each_with_its_line() {
        let wrong = SMALL
            .replace("to = \"app\"", "to = \"ap\"\nmethod = \"PSOT\"")
            .replace("path = \"/", "path = \"")
            .replace("measure = \"2s\"", "measure = \"0s\"")
            .replace("equals = 0", "equals = 0\n\n[[step]]\nname = \"half\"\nsay = \"\"");
        let wanted = [
            "12: there is no machine 'ap'; did you mean 'app'? known are app",
            "13: there is no method 'PSOT'; did you mean 'POST'? known are GET, POST, PUT, DELETE, HEAD, PATCH, OPTIONS",
            "14: the path 'products/{key}' does not begin with /",
            "20: measure must be longer than 0s",
            "28: there are two steps called 'half'",
        ];
        assert_eq!(error_of(&wrong), wanted.join("\n"));
    }

    #[test]
    fn what_is_not_understood_is_said_in_words() {
        let error = error_of(&SMALL.replace("cores = 1", "cores = \"one\"\nmemory = \"2 gigs\""));
        let wanted = "7: expected a whole number, from 0 on, not the text \"one\"\n\
                      8: '2 gigs' is not a size such as 80MiB or 2GiB";
        assert_eq!(error, wanted);
        let error = error_of(&SMALL.replace("measure = \"2s\"", "measure = 2"));
        assert_eq!(error, "19: expected a length of time such as \"500ms\" or \"3s\", not 2");
        let error = error_of(&SMALL.replace("cores = 1", "memory = \"1KiB\""));
        assert!(error.starts_with("7: memory is from 1.0 MiB"), "{error}");
    }

    #[test]
    fn a_claim_that_could_never_be_measured_is_refused() {
        let claiming = |measure: &str| error_of(&SMALL.replace("failed(half)", measure));
        let idle = SMALL.replacen("[[step]]", "[traffic.idle]\nto = \"app\"\npath = \"/\"\n\n[[step]]", 1);
        let error = error_of(&idle.replace("failed(half)", "p50(half) / p50(half, idle)"));
        assert_eq!(
            error,
            "27: no requests of 'idle' are sent in step 'half': neither load nor send names it"
        );
        let error = error_of(&SMALL.replace("shoppers = 50", "shoppers = 0"));
        assert!(error.contains("no requests of 'shoppers' are sent"), "{error}");
        let error = error_of(&SMALL.replace("measure = \"2s\"", ""));
        assert!(error.contains("step 'half' is not measured"), "{error}");
        assert!(claiming("happened(half)").contains("waits for nothing"));
        assert!(claiming("value(half)").contains("reads no number"));
        assert!(claiming("capacity(half, shoppers)").contains("does not look for the capacity"));
        assert!(claiming("detection(half, app)").contains("'app' has none"));
        assert!(claiming("seconds_between_ends(app/lb, app/dbnode)").contains("machine 'app' has no lb"));
        let later = SMALL.to_owned() + "\n[[step]]\nname = \"late\"\nsay = \"\"\nmeasure = \"1s\"\n";
        assert!(error_of(&later.replace("failed(half)", "failed(late)")).contains("step 'late' comes later"));
    }

    #[test]
    fn a_chapter_is_found_by_its_number_too() {
        assert_eq!(Source::open("10", &[]).unwrap().name, "server-failure");
        assert_eq!(Source::open("1", &[]).unwrap().name, "one-machine");
        let error = Source::open("99", &[]).unwrap_err().to_string();
        assert!(error.contains("there is no chapter '99'"), "{error}");
    }
}
