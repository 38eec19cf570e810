//! One machine as a running process: started, watched, signalled.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use machine::capacity::Usage;
use machine::protocol::MachineEvent;
use nix::sys::signal::Signal;
use parking_lot::Mutex;
use std::os::unix::process::ExitStatusExt;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use super::events::{Events, Hand, Happening};
use super::plan::MachinePlan;
use super::process::{self, Identity};
use super::site::Site;

/// A machine that was switched on. It may be gone by now; then it says so.
#[derive(Debug)]
pub struct RunningMachine {
    /// How it was started.
    pub plan: MachinePlan,
    /// Its process.
    pub process: Identity,
    socket: PathBuf,
    life: Arc<Life>,
    ended: watch::Receiver<bool>,
    usage: tokio::sync::Mutex<Option<machine::Machine>>,
    /// Closing it, by whatever death of labctl, switches the machine off.
    _lifeline: ChildStdin,
}

/// What is known of its processes.
#[derive(Debug, Default)]
struct Life {
    programs: Mutex<BTreeMap<String, ProgramLife>>,
    /// What labctl did to it on purpose, so that its end is not taken for somebody else's doing.
    intent: Mutex<Intent>,
    out_of_memory: AtomicBool,
    frozen: AtomicBool,
}

/// What labctl did to a machine on purpose.
#[derive(Debug, Default)]
struct Intent {
    /// It was told to end.
    end: bool,
    /// The last of SIGSTOP and SIGCONT that it was sent.
    last_pause: Option<Signal>,
    /// Programs on it that were killed.
    killed: Vec<u32>,
}

/// What is known of one program.
#[derive(Debug, Clone, Copy)]
pub struct ProgramLife {
    /// Its process id.
    pub pid: u32,
    /// Whether it is there.
    pub alive: bool,
    /// Whether it is stopped.
    pub frozen: bool,
}

impl RunningMachine {
    /// Switches a machine on. Its programs are not ready yet.
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
        let life = Arc::new(Life::default());
        let (end, ended) = watch::channel(false);
        events.record(Happening::MachineStarted { machine: plan.name.clone(), pid });
        tokio::spawn(watch_over(plan.name.clone(), child, Arc::clone(&life), events.clone(), end));
        let usage = tokio::sync::Mutex::new(None);
        Ok(Self { plan, process, socket, life, ended, usage, _lifeline: lifeline })
    }

    /// Whether the machine itself is still there.
    pub fn is_on(&self) -> bool {
        !*self.ended.borrow()
    }

    /// Its programs, by name.
    pub fn programs(&self) -> BTreeMap<String, ProgramLife> {
        self.life.programs.lock().clone()
    }

    /// Sends a signal to the machine and everything on it, as labctl's own doing.
    pub fn signal(&self, signal: Signal) {
        {
            let mut intent = self.life.intent.lock();
            intent.end |= matches!(signal, Signal::SIGKILL | Signal::SIGTERM);
            if matches!(signal, Signal::SIGSTOP | Signal::SIGCONT) {
                intent.last_pause = Some(signal);
            }
        }
        self.process.signal_group(signal);
    }

    /// Asks everything on the machine to end by itself.
    pub fn ask_to_end(&self) {
        self.signal(Signal::SIGCONT);
        self.signal(Signal::SIGTERM);
    }

    /// Signals one program, and returns its process id. `None` when it is not there.
    pub fn signal_program(&self, program: &str, signal: Signal) -> Option<u32> {
        let pid = self.programs().get(program).filter(|life| life.alive)?.pid;
        {
            let mut intent = self.life.intent.lock();
            match signal {
                Signal::SIGSTOP | Signal::SIGCONT => intent.last_pause = Some(signal),
                _ => intent.killed.push(pid),
            }
        }
        process::signal(pid, signal).then_some(pid)
    }

    /// Waits until it is gone. False when it is still there at the limit.
    pub async fn wait_until_off(&self, limit: Duration) -> bool {
        let mut ended = self.ended.clone();
        // An error means that the watcher is gone, which it only is after the machine.
        timeout(limit, ended.wait_for(|ended| *ended)).await.is_ok()
    }

    /// The machine's figures, and how late it has been in granting since it was last asked.
    pub async fn usage(&self) -> Option<(Usage, Duration)> {
        const LIMIT: Duration = Duration::from_millis(500);
        let mut handle = self.usage.lock().await;
        if handle.is_none() {
            let stream = UnixStream::connect(&self.socket).await.ok()?;
            *handle = Some(machine::Machine::over(stream, |_| {}));
        }
        timeout(LIMIT, handle.as_ref()?.usage()).await.ok().flatten()
    }

    /// Sees whether a process was frozen or thawed, and writes it down.
    pub fn look_for_frozen(&self, events: &Events) {
        if !self.is_on() {
            return;
        }
        let tell = |name: String, frozen: bool| match frozen {
            true => events.record(Happening::Frozen { name, by: self.life.who_sent(Signal::SIGSTOP) }),
            false => events.record(Happening::Thawed { name, by: self.life.who_sent(Signal::SIGCONT) }),
        };
        let frozen = process::is_stopped(self.process.pid);
        if self.life.frozen.swap(frozen, Ordering::AcqRel) != frozen {
            tell(self.plan.name.clone(), frozen);
        }
        for (program, life) in self.life.programs.lock().iter_mut().filter(|(_, life)| life.alive) {
            let frozen = process::is_stopped(life.pid);
            if std::mem::replace(&mut life.frozen, frozen) != frozen {
                tell(format!("{}/{program}", self.plan.name), frozen);
            }
        }
    }
}

impl Life {
    /// Who ended the machine, or a program on it.
    fn who_ended(&self, pid: u32) -> Hand {
        let intent = self.intent.lock();
        if self.out_of_memory.load(Ordering::Acquire) {
            Hand::Machine
        } else if intent.end || intent.killed.contains(&pid) {
            Hand::Labctl
        } else {
            Hand::SomebodyElse
        }
    }

    /// Who ended the machine itself, which also ends when the last program on it does.
    fn who_ended_the_machine(&self, pid: u32) -> Hand {
        let programs: Vec<_> = self.programs.lock().values().map(|life| life.pid).collect();
        let killed_all =
            !programs.is_empty() && programs.iter().all(|pid| self.intent.lock().killed.contains(pid));
        if killed_all { Hand::Labctl } else { self.who_ended(pid) }
    }

    /// Who stopped the machine, or let it go on.
    fn who_sent(&self, pause: Signal) -> Hand {
        if self.intent.lock().last_pause == Some(pause) { Hand::Labctl } else { Hand::SomebodyElse }
    }
}

fn command(plan: &MachinePlan, site: &Site, socket: &Path, logs: &Path) -> Command {
    let mut command = Command::new(site.programs.join("machine"));
    let spec = &plan.spec;
    command
        .args(["--name", &plan.name])
        .args(["--cores", &spec.cores.to_string()])
        .args(["--memory", &format!("{}B", spec.memory.as_u64())])
        .args(["--disk-iops", &spec.disk_iops.to_string()])
        .args(["--exclusive", &spec.exclusive.to_string()])
        .args(["--page-size", &format!("{}B", spec.page_size.as_u64())])
        .arg("--socket")
        .arg(socket)
        .arg("--log-dir")
        .arg(logs)
        .arg("--lifeline");
    for program in &plan.programs {
        command.arg("--").arg(site.program(program.program)).args(&program.flags);
    }
    // A group of its own: Ctrl-C in the terminal is for labctl, and a signal to the group reaches
    // everything on the machine.
    command.process_group(0).kill_on_drop(true).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// Reads what the machine reports until it is gone, and then makes sure that all of it is.
async fn watch_over(
    name: String,
    mut child: Child,
    life: Arc<Life>,
    events: Events,
    end: watch::Sender<bool>,
) {
    let pid = child.id().unwrap_or_default();
    if let Some(reports) = child.stdout.take() {
        let mut lines = BufReader::new(reports).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Ok(report) = serde_json::from_str(&line) {
                hear(&name, report, &life, &events);
            }
        }
    }
    let how = child.wait().await.map_or("its end was not seen".into(), how_it_ended);
    process::signal_group(pid, Signal::SIGKILL);
    let by = life.who_ended_the_machine(pid);
    for (program, life) in life.programs.lock().iter_mut().filter(|(_, life)| life.alive) {
        life.alive = false;
        let program = format!("{name}/{program}");
        let by = if by == Hand::Labctl { by } else { Hand::Machine };
        events.record(Happening::ProgramEnded { program, pid: life.pid, how: "killed".into(), by });
    }
    events.record(Happening::MachineEnded { machine: name, pid, how, by });
    end.send_replace(true);
}

fn hear(machine: &str, report: MachineEvent, life: &Life, events: &Events) {
    let full_name = |process: &str| format!("{machine}/{process}");
    match report {
        MachineEvent::Started { process, pid } => {
            events.record(Happening::ProgramStarted { program: full_name(&process), pid });
            life.programs.lock().insert(process, ProgramLife { pid, alive: true, frozen: false });
        }
        MachineEvent::Exited { process, pid, code, signal } => {
            if let Some(program) = life.programs.lock().get_mut(&process) {
                program.alive = false;
            }
            let how = describe(code, signal);
            events.record(Happening::ProgramEnded {
                program: full_name(&process),
                pid,
                how,
                by: life.who_ended(pid),
            });
        }
        MachineEvent::OutOfMemory { held, limit } => {
            life.out_of_memory.store(true, Ordering::Release);
            events.record(Happening::OutOfMemory { machine: machine.to_owned(), held, limit });
        }
    }
}

fn how_it_ended(status: ExitStatus) -> String {
    describe(status.code(), status.signal())
}

fn describe(code: Option<i32>, signal: Option<i32>) -> String {
    match (code, signal) {
        (_, Some(signal)) => format!("killed by signal {signal}"),
        (Some(code), _) => format!("exit code {code}"),
        (None, None) => "its end was not seen".into(),
    }
}
