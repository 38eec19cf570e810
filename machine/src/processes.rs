//! The processes on a machine, from the first start to the last exit.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use parking_lot::Mutex;

use crate::protocol::{MachineEvent, PARENT_VARIABLE, PROCESS_VARIABLE, SOCKET_VARIABLE};
use crate::startup;

/// The first argument that makes this program become another one.
const BECOME: &str = "--become";

/// All processes on one machine. A process leaves the list before its pid can be reused, so a
/// signal never reaches an unrelated process.
#[derive(Debug, Clone, Default)]
pub struct Processes {
    alive: Arc<Mutex<Alive>>,
}

#[derive(Debug, Default)]
struct Alive {
    pids: Vec<Pid>,
    /// True once they were told to exit; no process is started any more.
    ending: bool,
}

/// A program and its flags, as written after `--`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The process's name on its machine: `cache` in `cache=/usr/bin/redis-server`, or the
    /// program's file name.
    pub name: String,
    /// The program: a path, or a name that is searched next to this program and then in PATH.
    pub program: String,
    /// Its flags.
    pub flags: Vec<String>,
}

/// A process could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start {program} on {machine}")]
pub struct StartError {
    program: String,
    machine: String,
    source: io::Error,
}

/// The exit of a process.
#[derive(Debug)]
pub struct Exit {
    /// The event to report.
    pub event: MachineEvent,
    /// The exit status as a shell reports it.
    pub code: i32,
    /// True if other processes are still running.
    pub others_left: bool,
}

impl Placement {
    /// Splits `webserver --a 1 -- dbnode --b 2` into its placements.
    pub fn split(words: &[String]) -> Vec<Self> {
        words
            .split(|word| word == "--")
            .filter_map(|words| words.split_first())
            .map(|(program, flags)| Self::new(program, flags.to_vec()))
            .collect()
    }

    fn new(program: &str, flags: Vec<String>) -> Self {
        let named = program.split_once('=').filter(|(name, _)| !name.contains('/'));
        let (name, program) = named.unwrap_or_else(|| {
            let file = Path::new(program).file_name().and_then(|name| name.to_str());
            (file.unwrap_or(program), program)
        });
        Self { name: name.to_owned(), program: program.to_owned(), flags }
    }
}

impl Processes {
    /// Starts a process, and reports its start and its exit. Call this from a thread that lives as
    /// long as the machine: for the kernel, that thread is the parent with which the process dies.
    pub fn start(
        &self,
        machine: &str,
        placement: &Placement,
        socket: &Path,
        log_directory: Option<&Path>,
        exits: Sender<Exit>,
    ) -> Result<MachineEvent, StartError> {
        let failed =
            |source| StartError { program: placement.program.clone(), machine: machine.to_owned(), source };
        let name = placement.name.clone();
        let mut command = bonded(&find_program(&placement.program));
        command.args(&placement.flags).env(SOCKET_VARIABLE, socket).env(PROCESS_VARIABLE, &name);
        command.env(PARENT_VARIABLE, std::process::id().to_string()).stdin(Stdio::null());
        if let Some(directory) = log_directory {
            let path = directory.join(format!("{name}.log"));
            let log = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
            command.stdout(log.try_clone().map_err(failed)?).stderr(log);
        } else {
            // Standard output is reserved for the machine's own events.
            command.stdout(Stdio::from(io::stderr()));
        }
        let mut alive = self.alive.lock();
        if alive.ending {
            return Err(failed(io::Error::other("the machine is being switched off")));
        }
        let child = command.spawn().map_err(failed)?;
        let started = MachineEvent::Started { process: name.clone(), pid: child.id() };
        alive.pids.push(pid_of(&child));
        drop(alive);
        let processes = self.clone();
        thread::spawn(move || {
            // The receiver is gone only if the machine is, and then the report is not needed.
            let _ = exits.send(processes.wait(name, child));
        });
        Ok(started)
    }

    /// Sends a signal to every running process.
    pub fn signal(&self, signal: Signal) {
        let mut alive = self.alive.lock();
        alive.ending |= matches!(signal, Signal::SIGTERM | Signal::SIGKILL);
        for pid in &alive.pids {
            // It may just have become a zombie, which ignores the signal.
            let _ = kill(*pid, signal);
        }
    }

    fn wait(&self, process: String, mut child: Child) -> Exit {
        let pid = pid_of(&child);
        // First wait for the exit, then leave the list, and only then reap the pid.
        let _ = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        let others_left = {
            let mut alive = self.alive.lock();
            alive.pids.retain(|other| *other != pid);
            !alive.pids.is_empty()
        };
        let status = child.wait().unwrap_or_else(|_| ExitStatus::from_raw(0));
        let event =
            MachineEvent::Exited { process, pid: child.id(), code: status.code(), signal: status.signal() };
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
        Exit { event, code, others_left }
    }
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

/// The lab's own programs tie their life to their machine's themselves. Other programs, such as a
/// Redis server, are started through this program, which sets that up and then becomes them
/// (`exec`).
fn bonded(program: &OsString) -> Command {
    let own = std::env::current_exe().ok();
    match own.filter(|own| own.parent() != Path::new(program).parent()) {
        Some(own) => {
            let mut command = Command::new(own);
            command.arg(BECOME).arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// If these arguments ask for it, becomes another program whose life is tied to the machine's.
/// Returns only if they do not (`None`), or with an error message.
pub fn become_another(mut words: impl Iterator<Item = OsString>) -> Option<String> {
    if words.next()? != BECOME {
        return None;
    }
    let program = words.next()?;
    startup::die_with_parent();
    // The program's own children have a different parent.
    let error = Command::new(&program).args(words).env_remove(PARENT_VARIABLE).exec();
    Some(format!("cannot start {}: {error}", program.display()))
}

/// Looks next to this program first: the lab's programs are built into one directory.
fn find_program(program: &str) -> OsString {
    if program.contains('/') {
        return program.into();
    }
    let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join(program)));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(program)).into_os_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placements_are_separated_by_two_dashes() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            Placement::split(&words("webserver --listen 1 -- /opt/dbnode --id db-1")),
            vec![
                Placement {
                    name: "webserver".into(),
                    program: "webserver".into(),
                    flags: words("--listen 1")
                },
                Placement { name: "dbnode".into(), program: "/opt/dbnode".into(), flags: words("--id db-1") },
            ]
        );
    }

    #[test]
    fn a_process_can_be_given_a_name_of_its_own() {
        let placements = Placement::split(&["cache=/usr/bin/redis-server".into(), "--port=1".into()]);
        assert_eq!((&*placements[0].name, &*placements[0].program), ("cache", "/usr/bin/redis-server"));
        assert_eq!(Placement::split(&["/a=b/dbnode".into()])[0].name, "dbnode");
    }
}
