//! The control socket, over which one labctl talks to another that keeps a lab running: one JSON document per
//! line, over a unix socket in a directory that only its owner can enter.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::laboratory::Laboratory;
use super::state::State;
use super::status::MachineStatus;
use crate::error::LabError;
use crate::interrupt::{Interrupt, TERMINATED};
use chapter::Act;

/// The longest that any request may take: a server draining, a machine starting.
const ANSWER_MAX: Duration = Duration::from_secs(45);
/// The longest that a client may take to send its request. One that sends nothing, or too much, is dropped.
const QUESTION_MAX: Duration = Duration::from_secs(5);
const QUESTION_BYTES_MAX: u64 = 64 * 1024;

/// A control request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlRequest {
    /// Asks for the state of all machines.
    Status,
    /// Asks for the events from this number on.
    Events(usize),
    /// Asks for an act.
    Act(Act),
    /// Asks the lab to end.
    Down,
}

/// A control response.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlResponse {
    /// The state of all machines.
    Status {
        /// The chapter.
        chapter: String,
        /// The directory of the logs.
        logs: std::path::PathBuf,
        /// The machines.
        machines: Vec<MachineStatus>,
    },
    /// Events, as text for people.
    Events(Vec<String>),
    /// The act was done; these are the equivalent shell commands.
    Done(Vec<String>),
    /// The act failed, with this reason and exit code.
    Refused(String, u8),
}

/// The server of the control socket, a background task.
#[derive(Debug)]
pub struct Control {
    serving: JoinHandle<()>,
    stop: CancellationToken,
}

impl Control {
    /// Starts serving. When this returns, others can already connect. `Down` raises the interrupt.
    pub fn begin(lab: &Arc<Laboratory>, chapter: &str, interrupt: &Interrupt) -> Result<Self, LabError> {
        let path = lab.control_path();
        let listener = UnixListener::bind(&path).with_context(|| format!("listen on {}", path.display()))?;
        let stop = CancellationToken::new();
        let desk =
            ControlServer { lab: Arc::clone(lab), chapter: chapter.to_owned(), interrupt: interrupt.clone() };
        let serving = tokio::spawn(serve(listener, Arc::new(desk), stop.clone()));
        Ok(Self { serving, stop })
    }

    /// Stops serving, and with it everything that is being done for others.
    pub async fn end(self) {
        self.stop.cancel();
        let _ = self.serving.await;
    }
}

/// The state that answering needs.
struct ControlServer {
    lab: Arc<Laboratory>,
    chapter: String,
    interrupt: Interrupt,
}

async fn serve(listener: UnixListener, desk: Arc<ControlServer>, stop: CancellationToken) {
    let mut answering = JoinSet::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        while answering.try_join_next().is_some() {}
        let Ok((stream, _)) = accepted else { continue };
        let desk = Arc::clone(&desk);
        answering.spawn(async move {
            if let Err(error) = desk.answer(stream).await {
                tracing::debug!(%error, "a request was not answered");
            }
        });
    }
    answering.shutdown().await;
}

impl ControlServer {
    async fn answer(&self, stream: UnixStream) -> anyhow::Result<()> {
        let (reader, mut writer) = stream.into_split();
        let mut line = String::new();
        timeout(QUESTION_MAX, BufReader::new(reader.take(QUESTION_BYTES_MAX)).read_line(&mut line)).await??;
        let question = serde_json::from_str(&line)?;
        let ends = matches!(question, ControlRequest::Down);
        let mut text = serde_json::to_vec(&self.reply(question).await)?;
        text.push(b'\n');
        writer.write_all(&text).await?;
        if ends {
            self.interrupt.raise(TERMINATED);
        }
        Ok(())
    }

    async fn reply(&self, question: ControlRequest) -> ControlResponse {
        match question {
            ControlRequest::Status => ControlResponse::Status {
                chapter: self.chapter.clone(),
                logs: self.lab.logs().to_owned(),
                machines: self.lab.status().await,
            },
            ControlRequest::Events(first) => ControlResponse::Events(
                self.lab.events.since(first).iter().map(ToString::to_string).collect(),
            ),
            ControlRequest::Act(act) => match self.lab.act(&act).await {
                Ok(done) => ControlResponse::Done(done),
                Err(error) => ControlResponse::Refused(error.to_string(), error.code()),
            },
            ControlRequest::Down => ControlResponse::Done(vec![]),
        }
    }
}

/// Sends a request to the lab that runs in a directory.
pub async fn ask(lab_directory: &Path, question: &ControlRequest) -> Result<ControlResponse, LabError> {
    let state = running(lab_directory)?;
    match timeout(ANSWER_MAX, exchange(&state.control, question)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) if !state.keeper.is_alive() => Err(nothing_runs(lab_directory)),
        Ok(Err(_)) if !state.can_be_asked() => Err(LabError::NotReady(format!(
            "'{}' (pid {}) is still starting, or {} was removed: try again in a moment, or end it with `labctl down`",
            state.chapter,
            state.keeper.pid,
            state.control.display()
        ))),
        Ok(Err(error)) => {
            Err(LabError::Broken(error.context(format!("ask the lab (pid {})", state.keeper.pid))))
        }
        Err(_) => Err(LabError::NotReady(format!(
            "the lab (pid {}) did not answer within {ANSWER_MAX:?}: is it frozen?",
            state.keeper.pid
        ))),
    }
}

/// The state of the lab that runs in a directory.
pub fn running(lab_directory: &Path) -> Result<State, LabError> {
    match State::read(lab_directory) {
        Ok(Some(state)) if state.keeper.is_alive() => Ok(state),
        _ => Err(nothing_runs(lab_directory)),
    }
}

/// The state of the lab that runs in a directory, unless its keeper is just exiting: one that was killed is
/// alive for a moment longer, but does not answer any more.
pub async fn still_running(lab_directory: &Path) -> Option<State> {
    const MOMENT: Duration = Duration::from_secs(1);
    const LOOK_EVERY: Duration = Duration::from_millis(20);
    let deadline = Instant::now() + MOMENT;
    loop {
        let state = running(lab_directory).ok()?;
        let answered = timeout(MOMENT, exchange(&state.control, &ControlRequest::Events(usize::MAX))).await;
        if matches!(answered, Ok(Ok(_))) || Instant::now() > deadline {
            return Some(state);
        }
        sleep(LOOK_EVERY).await;
    }
}

fn nothing_runs(lab_directory: &Path) -> LabError {
    LabError::NotReady(format!(
        "no lab is running in {}: start one with `labctl up CHAPTER` (`labctl list` shows the chapters)",
        lab_directory.display()
    ))
}

async fn exchange(path: &Path, question: &ControlRequest) -> anyhow::Result<ControlResponse> {
    let (reader, mut writer) = UnixStream::connect(path).await?.into_split();
    let mut text = serde_json::to_vec(question)?;
    text.push(b'\n');
    writer.write_all(&text).await?;
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).await?;
    serde_json::from_str(&line).context("the answer is from another version of labctl")
}
