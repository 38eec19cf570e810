//! `labctl down`: ends the running lab.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::common::Common;
use super::{Performed, running, say_note};
use lab::Backend;
use lab::control::{self, ControlRequest};
use lab::error::LabError;
use lab::process::signal;
use lab::site;
use lab::state::State;

/// Ends the running lab, or cleans up after one that was killed.
pub async fn down(common: &Common) -> Performed {
    let directory = &common.site.lab_dir;
    let Ok(state) = control::running(directory) else {
        if !site::is_own_directory(directory) {
            say_note(common, "no lab is running");
            return Ok(0);
        }
        let _lock = site::lock(directory)?;
        let swept = State::sweep_all(directory)?;
        if swept.is_empty() {
            say_note(common, "no lab is running");
        } else {
            say_note(
                common,
                format!("no lab is running; removed what one left behind: {}", swept.join(", ")),
            );
        }
        return Ok(0);
    };
    if state.can_be_asked() {
        running::ask(common, &ControlRequest::Down).await?;
    } else {
        signal(state.keeper.pid, Signal::SIGTERM);
    }
    let limit = state.backend.end_max();
    let deadline = tokio::time::Instant::now() + limit;
    while state.keeper.is_alive() {
        if tokio::time::Instant::now() > deadline {
            return Err(LabError::NotReady(not_ended(&state, limit)));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // A keeper that could not stop everything leaves its state behind.
    if let Ok(_lock) = site::lock(directory) {
        State::sweep(directory)?;
    }
    say_note(common, format!("'{}' has ended; nothing of it is running any more", state.chapter));
    Ok(0)
}

fn not_ended(state: &State, limit: Duration) -> String {
    let pid = state.keeper.pid;
    match state.backend {
        Backend::Process => format!(
            "the lab (pid {pid}) has not ended within {limit:?}: `kill -9 {pid}` and `labctl down` again"
        ),
        // If killed, it would leave its containers running.
        Backend::Compose => format!(
            "the lab (pid {pid}) has not ended within {limit:?}: see that the docker engine answers (`docker ps`), and `labctl down` again"
        ),
    }
}
