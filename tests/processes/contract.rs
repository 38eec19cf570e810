//! `docs/contract.md` is true: every flag it names is one that the program has.

use std::process::Command;

use tests::lab::programs;

const CONTRACT: &str = include_str!("../../docs/contract.md");

/// The section of the page that is about a program.
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
    let commands = ["run", "load", "audit", "table", "claims", "advise", "report", "compare", "replay"];
    let help = commands.map(|command| help("labctl", &[command])).concat();
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
