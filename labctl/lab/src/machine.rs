//! One machine that was switched on: a process of this computer, or a container. What can be done to it
//! is the same; who does it differs.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use machine::capacity::Usage;
use machine::protocol::PARENT_VARIABLE;
use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use super::compose::Container;
use super::events::Events;
use super::life::{Life, how_it_ended};
use super::plan::{MachinePlan, SharedRedis};
use super::process::{self, Identity};
use super::site::Site;
use crate::error::LabError;

pub use super::life::ProgramLife;

/// A machine that was switched on. It may be gone by now; then it says so.
#[derive(Debug)]
pub struct RunningMachine {
    /// How it was started.
    pub plan: MachinePlan,
    body: Body,
    socket: PathBuf,
    life: Arc<Life>,
    handle: tokio::sync::Mutex<Option<machine::Machine>>,
}

/// What it is made of.
#[derive(Debug)]
enum Body {
    /// A process that leads the group of everything on it.
    Process {
        process: Identity,
        /// Closing it, by whatever death of labctl, switches the machine off.
        _lifeline: ChildStdin,
    },
    Container(Arc<Container>),
}

impl RunningMachine {
    /// Switches a machine on, as a process. Its programs are not ready yet.
    pub fn start(plan: MachinePlan, site: &Site, logs: &Path, events: &Events) -> anyhow::Result<Self> {
        let socket = site.sockets.join(format!("{}.sock", plan.name));
        // A machine of this name that was killed left its socket behind.
        let _ = std::fs::remove_file(&socket);
        let logs = logs.join(&plan.name);
        std::fs::create_dir_all(&logs).with_context(|| format!("make {}", logs.display()))?;
        let own_log = OpenOptions::new().create(true).append(true).open(logs.join("machine.log"))?;
        let mut child = command(&plan, site, &socket, &logs)
            .stderr(own_log)
            .spawn()
            .with_context(|| format!("start the machine {}", plan.name))?;
        let pid = child.id().context("the machine ended at once")?;
        let process = Identity::of(pid).context("the machine ended at once")?;
        let lifeline = child.stdin.take().context("its standard input is piped")?;
        let life = Arc::new(Life::new(&plan.name, events));
        life.begin(pid, events.clock().now());
        tokio::spawn(watch_over(child, Arc::clone(&life), events.clone()));
        Ok(Self::new(plan, Body::Process { process, _lifeline: lifeline }, socket, life))
    }

    /// A machine that is a container, and has been started.
    pub(super) fn in_container(plan: MachinePlan, container: Arc<Container>, socket: PathBuf) -> Self {
        let life = Arc::clone(container.life());
        Self::new(plan, Body::Container(container), socket, life)
    }

    fn new(plan: MachinePlan, body: Body, socket: PathBuf, life: Arc<Life>) -> Self {
        Self { plan, body, socket, life, handle: tokio::sync::Mutex::new(None) }
    }

    /// The process that stands for it: when it is killed, so is everything on the machine.
    pub fn pid(&self) -> u32 {
        match &self.body {
            Body::Process { process, .. } => process.pid,
            Body::Container(container) => container.pid(),
        }
    }

    /// The process to kill for a program's end, as this computer numbers it. In a container, where programs
    /// are numbered anew, that is the machine's.
    pub fn pid_of(&self, program: &ProgramLife) -> u32 {
        match &self.body {
            Body::Process { .. } => program.pid,
            Body::Container(container) => container.pid(),
        }
    }

    /// Its process, when it is one of labctl's own, so that it can be recognised.
    pub fn identity(&self) -> Option<Identity> {
        match &self.body {
            Body::Process { process, .. } => Some(*process),
            Body::Container(_) => None,
        }
    }

    /// Whether the machine itself is still there.
    pub fn is_on(&self) -> bool {
        self.life.is_on()
    }

    /// Whether it is on the lab's network, with its own address.
    pub fn is_connected(&self) -> bool {
        self.life.was_connected()
    }

    /// Its programs, by name.
    pub fn programs(&self) -> BTreeMap<String, ProgramLife> {
        self.life.programs()
    }

    /// Sends a signal to the machine and everything on it, as labctl's own doing. Returns what could
    /// have been typed.
    pub async fn signal(&self, signal: Signal) -> Result<String, LabError> {
        self.life.intend(signal);
        match &self.body {
            // The minus means the group.
            Body::Process { process, .. } => {
                process.signal_group(signal);
                Ok(format!("kill -{} -- -{}", process::name_of(signal), process.pid))
            }
            Body::Container(container) => container.signal(signal).await,
        }
    }

    /// Asks everything on the machine to end by itself. Returns what could have been typed.
    pub async fn ask_to_end(&self) -> Result<String, LabError> {
        if matches!(self.body, Body::Process { .. }) || self.life.was_frozen() {
            self.signal(Signal::SIGCONT).await?;
        }
        self.signal(Signal::SIGTERM).await?;
        Ok(match &self.body {
            Body::Process { process, .. } => format!("kill {}", process.pid),
            Body::Container(container) => format!("docker stop {}", container.name()),
        })
    }

    /// Signals one program. Returns what could have been typed; `None` when it is not there.
    pub async fn signal_program(&self, program: &str, signal: Signal) -> Result<Option<String>, LabError> {
        let Some(pid) = self.life.pid_of(program) else { return Ok(None) };
        if matches!(&self.body, Body::Container(container) if container.is_alone()) {
            return self.signal(signal).await.map(Some);
        }
        self.life.intend_for(pid, signal);
        match &self.body {
            Body::Process { .. } => {
                let typed = || format!("kill -{} {pid}", process::name_of(signal));
                Ok(process::signal(pid, signal).then(typed))
            }
            Body::Container(container) => container.signal_program(pid, signal).await.map(Some),
        }
    }

    /// The last thing that was said on it and that is in no program's log, where somebody keeps that.
    pub async fn last_said(&self) -> Option<String> {
        match &self.body {
            Body::Process { .. } => None,
            Body::Container(container) => container.last_said().await,
        }
    }

    /// Waits until it is gone. False when it is still there at the limit.
    pub async fn wait_until_off(&self, limit: Duration) -> bool {
        self.life.wait_until_off(limit).await
    }

    /// The machine's figures, and how late it has been in granting since it was last asked.
    pub async fn usage(&self) -> Option<(Usage, Duration)> {
        self.ask(async |machine| machine.usage().await).await
    }

    /// Takes all room on its disk, or gives it back. False when it does not answer.
    pub async fn fill_disk(&self, full: bool) -> bool {
        let filled = self.ask(async |machine| machine.fill_disk(full).await.then_some(())).await;
        filled.is_some()
    }

    /// Asks the machine something. `None`: it does not answer.
    async fn ask<T>(&self, question: impl AsyncFnOnce(&machine::Machine) -> Option<T>) -> Option<T> {
        const LIMIT: Duration = Duration::from_millis(500);
        let mut handle = self.handle.lock().await;
        if handle.is_none() {
            let stream = UnixStream::connect(&self.socket).await.ok()?;
            *handle = Some(machine::Machine::over(stream, |_| {}));
        }
        let answer = timeout(LIMIT, question(handle.as_ref()?)).await.ok().flatten();
        if answer.is_none() {
            // A container that is switched on again answers at the same place, over a new connection.
            *handle = None;
        }
        answer
    }

    /// Sees whether a process was frozen or thawed, and writes it down.
    pub fn look_for_frozen(&self, events: &Events) {
        if let Body::Process { process, .. } = &self.body
            && self.is_on()
        {
            self.life.is_frozen(process::is_stopped(process.pid), events.clock().now());
            self.life.look_for_frozen_programs(|program| process::is_stopped(program.pid));
        }
    }
}

/// What a machine and its programs see of labctl's environment. A chapter is what its file says: a variable
/// that sets a flag of a program in the student's shell, such as LB_POLICY, must not change it.
const ENVIRONMENT: [&str; 12] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "RUST_LOG",
    "RUST_BACKTRACE",
    "LLVM_PROFILE_FILE",
    "SSL_CERT_FILE",
];

fn command(plan: &MachinePlan, site: &Site, socket: &Path, logs: &Path) -> Command {
    let mut command = Command::new(site.programs.join("machine"));
    command.env_clear();
    command.envs(ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.env(PARENT_VARIABLE, std::process::id().to_string());
    command.args(plan.flags());
    command.arg("--socket").arg(socket).arg("--log-dir").arg(logs).arg("--lifeline");
    for program in &plan.programs {
        command.arg("--").args(site.program(program)).args(&program.flags);
        // A machine's programs have its environment.
        if let Some(SharedRedis { url, prefix }) = &program.shared_redis {
            command.env("WEBSERVER_REDIS", url);
            command.env("WEBSERVER_REDIS_PREFIX", [site.key_prefix(), prefix.clone()].concat());
        }
    }
    // A group of its own: Ctrl-C in the terminal is for labctl, and a signal to the group reaches
    // everything on the machine.
    command.process_group(0).kill_on_drop(true).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// Reads what the machine reports until it is gone, and then makes sure that all of it is.
async fn watch_over(mut child: Child, life: Arc<Life>, events: Events) {
    let pid = child.id().unwrap_or_default();
    if let Some(reports) = child.stdout.take() {
        let mut lines = BufReader::new(reports).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Ok(report) = serde_json::from_str(&line) {
                life.hear(report);
            }
        }
    }
    let ended = child.wait().await;
    process::signal_group(pid, Signal::SIGKILL);
    let how = ended
        .map_or_else(|_| how_it_ended(None, None), |status| how_it_ended(status.code(), status.signal()));
    life.end(pid, how, events.clock().now());
}
