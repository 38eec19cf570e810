//! A machine as a process on this computer, which leads the process group of everything on it.

use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use machine::protocol::{PARENT_VARIABLE, SOCKET_VARIABLE};
use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use super::body::Body;
use super::events::Events;
use super::life::{Life, ProgramLife, how_it_ended};
use super::machine::RunningMachine;
use super::plan::{MachinePlan, SharedRedis};
use super::process::{self, Identity};
use super::site::Site;
use crate::error::LabError;

#[derive(Debug)]
struct ProcessBody {
    process: Identity,
    /// It closes when labctl dies, however that happens, which switches the machine off.
    _lifeline: ChildStdin,
}

impl Body for ProcessBody {
    fn pid(&self) -> u32 {
        self.process.pid
    }

    fn pid_of(&self, program: &ProgramLife) -> u32 {
        program.pid
    }

    fn identity(&self) -> Option<Identity> {
        Some(self.process)
    }

    fn signal(&self, signal: Signal) -> BoxFuture<'_, Result<String, LabError>> {
        self.process.signal_group(signal);
        // The minus addresses the process group.
        ready(Ok(format!("kill -{} -- -{}", process::name_of(signal), self.process.pid))).boxed()
    }

    fn may_stand_still_unseen(&self) -> bool {
        true
    }

    fn end_command(&self) -> String {
        format!("kill {}", self.process.pid)
    }

    fn is_one_program(&self) -> bool {
        false
    }

    fn signal_program(&self, pid: u32, signal: Signal) -> BoxFuture<'_, Result<Option<String>, LabError>> {
        let typed = || format!("kill -{} {pid}", process::name_of(signal));
        ready(Ok(process::signal(pid, signal).then(typed))).boxed()
    }

    fn last_said(&self) -> BoxFuture<'_, Option<String>> {
        ready(None).boxed()
    }

    fn look_for_frozen(&self, life: &Life, now: Duration) {
        life.record_frozen(process::is_stopped(self.process.pid), now);
        life.look_for_frozen_programs(|program| process::is_stopped(program.pid));
    }
}

/// Starts a machine. Its programs are not ready yet.
pub(super) fn start(
    plan: MachinePlan,
    site: &Site,
    logs: &Path,
    events: &Events,
) -> anyhow::Result<RunningMachine> {
    let socket = site.sockets.join(format!("{}.sock", plan.name));
    // A machine of this name that was killed has left its socket behind.
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
    tokio::spawn(watch_over(child, socket.clone(), Arc::clone(&life), events.clone()));
    Ok(RunningMachine::new(plan, Arc::new(ProcessBody { process, _lifeline: lifeline }), socket, life))
}

/// The part of labctl's environment that a machine and its programs see. A chapter means what its file says:
/// a variable in the student's shell that sets a flag, such as LB_POLICY, must not change it.
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
    if site.traced {
        command.env("TRACE_DIR", logs);
    }
    for program in &plan.programs {
        command.arg("--").args(site.program(program)).args(&program.flags);
        // Programs inherit their machine's environment.
        if let Some(SharedRedis { url, prefix }) = &program.shared_redis {
            command.env("WEBSERVER_REDIS", url);
            command.env("WEBSERVER_REDIS_PREFIX", [site.key_prefix(), prefix.clone()].concat());
        }
    }
    // A process group of its own: Ctrl-C in the terminal is for labctl, and a signal to the group reaches
    // everything on the machine.
    command.process_group(0).kill_on_drop(true).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// Reads the machine's reports until it has ended, then makes sure that everything on it has.
async fn watch_over(mut child: Child, socket: PathBuf, life: Arc<Life>, events: Events) {
    let pid = child.id().unwrap_or_default();
    if let Some(reports) = child.stdout.take() {
        let mut lines = BufReader::new(reports).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Ok(report) = serde_json::from_str(&line) {
                life.take_report(report);
            }
        }
    }
    let ended = child.wait().await;
    process::signal_group(pid, Signal::SIGKILL);
    // An external program may have started others outside of this process group.
    process::kill_all_with(SOCKET_VARIABLE, socket.as_os_str());
    let how = ended
        .map_or_else(|_| how_it_ended(None, None), |status| how_it_ended(status.code(), status.signal()));
    life.end(pid, how, events.clock().now());
}
