//! `labctl logs NAME [-f]`

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

/// Whose logs.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// A machine, or one program on it: `web-1`, `app/dbnode`.
    name: String,
    /// Go on printing what is written, until Ctrl-C.
    #[arg(short, long)]
    follow: bool,
}

/// Prints logs.
pub async fn logs(args: &LogsArgs, common: &Common, interrupt: &Interrupt) -> Performed {
    let logs = match running::status(common).await {
        Ok((_, logs, _)) => logs,
        // What the last lab wrote is still there.
        Err(_) => common.site.lab_dir.join("logs"),
    };
    let files = files_of(&logs, &args.name)?;
    let mut ends = vec![0; files.len()];
    loop {
        for (file, end) in files.iter().zip(&mut ends) {
            *end = print_from(file, *end)
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

fn files_of(logs: &Path, name: &str) -> Result<Vec<PathBuf>, LabError> {
    let (machine, program) =
        name.split_once('/').map_or((name, None), |(machine, program)| (machine, Some(program)));
    let entries = std::fs::read_dir(logs.join(machine));
    let mut files: Vec<_> = entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.retain(|file| {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        program.map_or(stem != "machine", |program| stem == program)
    });
    files.sort();
    if files.is_empty() {
        let known = std::fs::read_dir(logs).into_iter().flatten().flatten();
        let mut known: Vec<_> = known.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        known.sort();
        return Err(LabError::Usage(format!(
            "there are no logs of '{name}'; there are logs of: {}",
            known.join(", ")
        )));
    }
    Ok(files)
}

/// Prints a file from a place on, and returns the place where it ends now.
fn print_from(path: &Path, start: u64) -> std::io::Result<u64> {
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Output.write_all(&text)?;
    Output.flush()?;
    Ok(start + text.len() as u64)
}
