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

/// The exit code of a command, or its error.
pub type Performed = Result<u8, LabError>;

/// Prints on standard error why labctl ends, and returns its exit code. With `--json` the error also goes to
/// standard output, unless a document has already been started there.
pub fn explain(error: &LabError, json: bool) -> ExitCode {
    if json && !output::has_begun() {
        let document = serde_json::json!({ "error": error.to_string(), "exit_code": error.code() });
        // A problem with standard output is reported at the end.
        let _ = say_document("error", document);
    }
    if std::io::stderr().is_terminal() {
        // The cursor may be behind a `^C`.
        let _ = write!(std::io::stderr(), "\r");
    }
    complain(error);
    end(error.code())
}

/// Ends with this code, and reports a problem with standard output if it matters.
pub fn end(code: u8) -> ExitCode {
    let (code, problem) = output::exit_code(code);
    problem.iter().for_each(complain);
    ExitCode::from(code)
}

/// Prints help, or a mistake on the command line.
pub fn show(usage: &clap::Error) -> ExitCode {
    // The command line is not parsed yet, so the flag is searched for in the words.
    let json = std::env::args().any(|word| word == "--json") || std::env::var_os("LABCTL_JSON").is_some();
    if json && usage.use_stderr() {
        let told = usage.render().to_string();
        let document = serde_json::json!({ "error": told.trim(), "exit_code": usage.exit_code() });
        // A problem with standard output is reported at the end.
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
    // If standard error is broken too, there is nowhere left to report it.
    let _ = writeln!(std::io::stderr(), "{name} {what}");
}

/// Returns the result of a command that also writes its results to files: an unwritable file must not hide a
/// failure.
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

/// Prints a line on standard output.
fn say(line: impl std::fmt::Display) {
    output::line(line);
}

/// Prints a remark: on standard output, unless that is for data.
fn say_note(common: &Common, line: impl std::fmt::Display) {
    match common.json {
        true => drop(writeln!(std::io::stderr(), "{line}")),
        false => say(line),
    }
}

/// Prints a document on standard output.
fn say_json(document: &impl Serialize) -> Result<(), LabError> {
    let text = serde_json::to_string_pretty(document).map_err(anyhow::Error::from)?;
    say(text);
    Ok(())
}

/// Prints a document of this kind, with the version of its schema.
fn say_document(kind: &str, mut document: serde_json::Value) -> Result<(), LabError> {
    document["schema"] = format!("scaling-lab/{kind}/1").into();
    say_json(&document)
}
