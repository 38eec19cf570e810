//! `labctl clean`

use super::common::Common;
use super::{Performed, say_note};
use lab::control;
use lab::error::LabError;
use lab::site;
use lab::state::State;

/// Removes results and what is left of a lab, unless one is running. Nothing is removed that labctl
/// did not make.
pub async fn clean(common: &Common) -> Performed {
    let args = &common.site;
    if let Some(state) = control::still_running(&args.lab_dir).await {
        let reason = format!("'{}' is running: end it with `labctl down` first", state.chapter);
        return Err(LabError::not_ready(reason));
    }
    let mut removed = Vec::new();
    for directory in [&args.lab_dir, &args.runs_dir] {
        if !site::is_own_directory(directory) {
            continue;
        }
        let lock = (directory == &args.lab_dir).then(|| site::lock(directory)).transpose()?;
        if lock.is_some() {
            State::sweep_all(directory)?;
        }
        std::fs::remove_dir_all(directory).map_err(|error| {
            LabError::not_ready(format!("cannot remove {}: {error}", directory.display()))
        })?;
        removed.push(directory.display().to_string());
    }
    match removed.is_empty() {
        true => say_note(common, "there is nothing to remove"),
        false => say_note(common, format!("removed {}", removed.join(" and "))),
    }
    Ok(0)
}
