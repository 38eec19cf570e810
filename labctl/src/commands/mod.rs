//! The commands, one per file: each takes its flags, and returns an exit code.

pub mod act;
pub mod advise;
pub mod audit;
pub mod capacity;
pub mod challenge;
pub mod claims;
pub mod clean;
pub mod common;
pub mod completions;
pub mod doctor;
pub mod down;
pub mod events;
pub mod grade;
pub mod list;
pub mod load;
pub mod logs;
pub mod man;
pub mod new;
pub mod open;
pub mod page;
pub mod parts;
pub mod replay;
pub mod report;
pub mod run;
pub mod schema;
pub mod show;
pub mod status;
pub mod step;
pub mod table;
pub mod targets;
pub mod trace;
pub mod up;
pub mod validate;
pub mod watch;

mod by_hand;
mod by_url;
mod keys;
pub(crate) mod pace;
mod predict;
mod run_page;
mod running;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use owo_colors::{OwoColorize, Stream};
use serde::Serialize;

use self::common::Common;
use crate::output;
use lab::error::LabError;

/// What a command ends with.
pub type Performed = Result<u8, LabError>;

/// Says on standard error why labctl ends, and with which exit code; where standard output is for data, and nothing
/// has come there, there as well.
pub fn explain(error: &LabError, json: bool) -> ExitCode {
    if json && !output::has_begun() {
        let document = serde_json::json!({ "error": error.to_string(), "exit_code": error.code() });
        // What is wrong with standard output is said at the end.
        let _ = say_document("error", document);
    }
    if std::io::stderr().is_terminal() {
        // The cursor may stand behind a ^C.
        let _ = write!(std::io::stderr(), "\r");
    }
    complain(error);
    end(error.code())
}

/// Ends with this code, and says what became of standard output where that matters.
pub fn end(code: u8) -> ExitCode {
    let (code, problem) = output::exit_code(code);
    problem.iter().for_each(complain);
    ExitCode::from(code)
}

/// Prints what the command line's reader has to say: its help, or a mistake.
pub fn show(usage: &clap::Error) -> ExitCode {
    // It is not known yet what was meant by what was typed.
    let json = std::env::args().any(|word| word == "--json") || std::env::var_os("LABCTL_JSON").is_some();
    if json && usage.use_stderr() {
        let told = usage.render().to_string();
        let document = serde_json::json!({ "error": told.trim(), "exit_code": usage.exit_code() });
        // What is wrong with standard output is said at the end.
        let _ = say_document("error", document);
    }
    let printed = usage.print();
    if !usage.use_stderr() {
        output::note(printed);
    }
    end(u8::try_from(usage.exit_code()).unwrap_or(2))
}

fn complain(what: impl std::fmt::Display) {
    let name = "labctl:".if_supports_color(Stream::Stderr, |text| text.red());
    // There is nobody left to tell that this cannot be told.
    let _ = writeln!(std::io::stderr(), "{name} {what}");
}

/// What a command ends with that also writes files of what it found: a failure is not hidden by one that cannot
/// be written.
fn with_files(code: u8, written: Result<(), LabError>) -> Performed {
    match written {
        Ok(()) => Ok(code),
        Err(error) if code == 0 => Err(error),
        Err(error) => {
            complain(error);
            Ok(code)
        }
    }
}

/// A line on standard output.
fn say(line: impl std::fmt::Display) {
    output::line(line);
}

/// A remark: on standard output, unless that is for data.
fn say_note(common: &Common, line: impl std::fmt::Display) {
    match common.json {
        true => drop(writeln!(std::io::stderr(), "{line}")),
        false => say(line),
    }
}

/// A document on standard output.
fn say_json(document: &impl Serialize) -> Result<(), LabError> {
    let text = serde_json::to_string_pretty(document).map_err(anyhow::Error::from)?;
    say(text);
    Ok(())
}

/// A document of a kind, with the version of its schema.
fn say_document(kind: &str, mut document: serde_json::Value) -> Result<(), LabError> {
    document["schema"] = format!("scaling-lab/{kind}/1").into();
    say_json(&document)
}
