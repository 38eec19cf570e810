//! The other program as a process: bound to our life, asked to end, and then made to.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context;
use machine::protocol::PARENT_VARIABLE;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Starts a program by way of this one, so that it dies with it, also by SIGKILL. What it prints goes where ours
/// does.
pub(crate) fn start(program: &Path, flags: &[String]) -> anyhow::Result<Child> {
    let own = std::env::current_exe().context("find this program")?;
    let mut command = Command::new(own);
    command.arg("--become").arg(program).args(flags).env(PARENT_VARIABLE, std::process::id().to_string());
    command.stdin(Stdio::null()).kill_on_drop(true);
    command.spawn().with_context(|| format!("start {}", program.display()))
}

/// Asks it to end with this signal, and kills it when it has not by the limit.
pub(crate) async fn end(mut child: Child, signal: Signal, limit: Duration) {
    if let Some(pid) = child.id() {
        // It may have ended this instant, which is what is wanted.
        let _ = kill(Pid::from_raw(pid.cast_signed()), signal);
    }
    if timeout(limit, child.wait()).await.is_err() {
        tracing::warn!("it did not end within {limit:?}, and is killed");
        let _ = child.kill().await;
    }
}

/// How it ended, as a sentence.
pub(crate) fn how(title: &str, status: std::io::Result<ExitStatus>) -> anyhow::Error {
    match status {
        Ok(status) => anyhow::anyhow!("{title} ended by itself: {status}; what it said is above"),
        Err(error) => anyhow::anyhow!("{title} cannot be waited for: {error}"),
    }
}
