//! `labctl logs [NAME…] [-f]`: prints the logs of machines.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::common::Common;
use super::{Performed, running};
use crate::output::{self, Output};
use lab::error::LabError;
use lab::interrupt::Interrupt;

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Selects the logs.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Machines, or programs on them: `web-1`, `app/dbnode` [default: all].
    names: Vec<String>,
    /// Keep printing new lines, until Ctrl-C.
    #[arg(short, long)]
    follow: bool,
}

/// Prints logs.
pub async fn logs(args: &LogsArgs, common: &Common, interrupt: &Interrupt) -> Performed {
    let logs = match running::status(common).await {
        Ok((_, logs, _)) => logs,
        // The logs of the last lab are still there.
        Err(_) => common.site.lab_dir.join("logs"),
    };
    let files = match args.names.is_empty() {
        true => all_files(&logs)?,
        false => args.names.iter().map(|name| files_of(&logs, name)).collect::<Result<Vec<_>, _>>()?.concat(),
    };
    let prefixes = prefixes(&files);
    let mut ends = vec![0; files.len()];
    loop {
        for ((file, prefix), end) in files.iter().zip(&prefixes).zip(&mut ends) {
            *end = print_from(file, *end, prefix, args.follow)
                .map_err(|error| LabError::not_ready(format!("cannot read {}: {error}", file.display())))?;
        }
        if !args.follow || output::is_gone() {
            return Ok(0);
        }
        let pause = async {
            tokio::time::sleep(LOOK_EVERY).await;
            Ok(())
        };
        interrupt.unless(pause).await?;
    }
}

/// Lists the logs of every machine.
fn all_files(logs: &Path) -> Result<Vec<PathBuf>, LabError> {
    let known = known(logs);
    if known.is_empty() {
        let nothing =
            "there are no logs: no lab is running here, and none has run; start one with `labctl up`";
        return Err(LabError::not_ready(nothing));
    }
    // A machine without programs has no logs.
    Ok(known.iter().filter_map(|machine| files_of(logs, machine).ok()).flatten().collect())
}

/// Lists the machines that have logs.
fn known(logs: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(logs).into_iter().flatten().flatten();
    let mut known: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    known.sort();
    known
}

/// Returns the prefix for the lines of each file, which names its program; empty for a single file.
fn prefixes(files: &[PathBuf]) -> Vec<String> {
    let name = |file: &PathBuf| {
        let machine = file.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        format!("{machine}/{}", file.file_stem().unwrap_or_default().to_string_lossy())
    };
    let names: Vec<_> = files.iter().map(name).collect();
    let widest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    match names.len() {
        1 => vec![String::new()],
        _ => names.into_iter().map(|name| format!("{name:<widest$} | ")).collect(),
    }
}

fn files_of(logs: &Path, name: &str) -> Result<Vec<PathBuf>, LabError> {
    let (machine, program) =
        name.split_once('/').map_or((name, None), |(machine, program)| (machine, Some(program)));
    let entries = std::fs::read_dir(logs.join(machine));
    let mut files: Vec<_> = entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.retain(|file| {
        // Spans are in the same directory as the logs.
        if file.extension().is_none_or(|extension| extension != "log") {
            return false;
        }
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        program.map_or(stem != "machine", |program| stem == program)
    });
    files.sort();
    if files.is_empty() {
        let known = known(logs);
        if known.is_empty() {
            return all_files(logs);
        }
        return Err(LabError::Usage(format!(
            "there are no logs of '{name}'; there are logs of: {}",
            known.join(", ")
        )));
    }
    Ok(files)
}

/// Prints a file from an offset on, and returns the offset of its end. With a prefix, only whole lines are
/// printed while more may come.
fn print_from(path: &Path, start: u64, prefix: &str, more_may_come: bool) -> std::io::Result<u64> {
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    if prefix.is_empty() {
        Output.write_all(&text)?;
    } else {
        if more_may_come {
            let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
            text.truncate(end);
        }
        for line in String::from_utf8_lossy(&text).lines() {
            output::line(format!("{prefix}{line}"));
        }
    }
    Output.flush()?;
    Ok(start + text.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_several_files_say_whose_they_are() {
        let files = ["logs/app/webserver.log", "logs/db-1/dbnode.log"].map(PathBuf::from);
        assert_eq!(prefixes(&files), ["app/webserver | ", "db-1/dbnode   | "]);
        assert_eq!(prefixes(&files[..1]), [""]);
    }

    #[test]
    fn half_a_line_waits_for_its_rest() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("app.log");
        std::fs::write(&file, "one\ntw").unwrap();
        assert_eq!(print_from(&file, 0, "app | ", true).unwrap(), 4);
        assert_eq!(print_from(&file, 0, "app | ", false).unwrap(), 6);
    }
}
