//! `labctl down`

use std::time::Duration;

use super::{Performed, running, say_note};
use crate::cli::Common;
use crate::error::LabError;
use crate::lab::control::{self, Question};
use crate::lab::site;
use crate::lab::state::State;

const END_MAX: Duration = Duration::from_secs(15);

/// Ends the lab that is running; sweeps up what a killed one left behind.
pub async fn down(common: &Common) -> Performed {
    let directory = &common.site.lab_dir;
    let Ok(state) = control::running(directory) else {
        if !site::is_own_directory(directory) {
            say_note(common, "no lab is running");
            return Ok(0);
        }
        let _lock = site::lock(directory)?;
        let swept = State::sweep(directory);
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
    running::ask(common, &Question::Down).await?;
    let deadline = tokio::time::Instant::now() + END_MAX;
    while state.keeper.is_alive() {
        if tokio::time::Instant::now() > deadline {
            return Err(LabError::NotReady(format!(
                "the lab (pid {}) has not ended within {END_MAX:?}: `kill -9 {}` and `labctl down` again",
                state.keeper.pid, state.keeper.pid
            )));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    say_note(common, format!("'{}' has ended; nothing of it is running any more", state.chapter));
    Ok(0)
}
