//! `docs/contract.md` is accurate: every flag that it names exists in the program.

use std::process::Command;

use tests::lab::programs;

const CONTRACT: &str = include_str!("../../docs/contract.md");

/// Returns the section about a program.
fn section(program: &str) -> &'static str {
    let heading = format!("\n## {program}\n");
    let start = CONTRACT.find(&heading).unwrap_or_else(|| panic!("the contract says nothing of {program}"));
    let rest = &CONTRACT[start + heading.len()..];
    &rest[..rest.find("\n## ").unwrap_or(rest.len())]
}

fn flags(text: &str) -> Vec<&str> {
    let starts = text.match_indices("--").map(|(start, _)| &text[start..]);
    let flags = starts.map(|rest| {
        let end = rest[2..].find(|letter: char| !letter.is_ascii_lowercase() && letter != '-');
        &rest[..end.map_or(rest.len(), |end| end + 2)]
    });
    flags.filter(|flag| flag.len() > 3).collect()
}

fn help(program: &str, words: &[&str]) -> String {
    let output = Command::new(programs().join(program)).args(words).arg("--help").output();
    let output = output.expect("the program can be started");
    String::from_utf8(output.stdout).expect("help is text")
}

#[test]
fn every_flag_in_the_contract_exists() {
    for program in ["machine", "lb", "webserver", "dbnode"] {
        let help = help(program, &[]);
        let named = flags(section(program));
        assert!(named.len() > 3, "the contract names hardly a flag of {program}");
        for flag in named {
            assert!(help.split_whitespace().any(|word| word == flag), "{program} has no {flag}");
        }
    }
    let commands = [
        "run", "resize", "up", "load", "audit", "table", "claims", "advise", "report", "compare", "replay",
        "parts", "grade", "backend", "page", "trace",
    ];
    let help = commands.map(|command| help("labctl", &[command])).concat() + &help("labctl", &["new", "lb"]);
    for flag in flags(section("labctl")) {
        assert!(help.contains(flag), "labctl has no {flag}");
    }
}

#[test]
fn every_flag_has_a_default_and_a_variable_or_a_reason() {
    for program in ["lb", "webserver", "dbnode"] {
        for entry in help(program, &[]).split("\n      --").skip(1) {
            let flag = entry.split_whitespace().next().unwrap_or_default();
            assert!(entry.contains("[env: "), "{program} --{flag} has no environment variable");
        }
    }
}

/// Returns the flags of a program that a chapter cannot set, as listed in `docs/chapters.md`.
fn no_keys(program: &str) -> Vec<&'static str> {
    const CHAPTERS: &str = include_str!("../../docs/chapters.md");
    let table = CHAPTERS.split("<!-- no-keys -->").nth(1).expect("the table is marked");
    let row = table.lines().find(|line| line.starts_with(&format!("| `{program}` |")));
    flags(row.unwrap_or_else(|| panic!("the table says nothing of {program}")))
}

/// Returns the keys of a program in a chapter, taken from the error message for an unknown key.
fn keys(program: &str) -> Vec<String> {
    let lab = tests::Lab::new();
    let chapter =
        format!("number = 1\ntitle = 't'\nquestion = 'q'\n[machine.a]\n{program} = {{ zzz = 1 }}\n");
    std::fs::write(lab.path().join("mine.toml"), chapter).expect("it can be written");
    let said = String::from_utf8(lab.run(&["validate", "mine.toml"]).stderr).expect("it is text");
    let known = said
        .split("no key 'zzz'; known are ")
        .nth(1)
        .and_then(|rest| rest.lines().next())
        .expect("keys are listed");
    known.split(", ").map(str::to_owned).collect()
}

#[test]
fn every_flag_is_a_key_of_chapters_or_the_docs_say_that_it_is_none() {
    for program in ["lb", "webserver", "dbnode"] {
        let (keys, others) = (keys(program), no_keys(program));
        for entry in help(program, &[]).split("\n      --").skip(1) {
            let flag = entry.split_whitespace().next().unwrap_or_default();
            let is_key = keys.iter().any(|key| key == flag);
            let is_listed = others.iter().any(|other| other.trim_start_matches("--") == flag);
            assert!(
                is_key || is_listed,
                "{program} --{flag} is no key, and docs/chapters.md does not say so"
            );
            assert!(!(is_key && is_listed), "{program} --{flag} is a key, and docs/chapters.md denies it");
        }
    }
}
