//! The processes placed on a machine, from their start to the last one's end.

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

/// The first word that makes this program become another one.
const BECOME: &str = "--become";

/// Every process on one machine. A process leaves the list before its pid can be used again, so a
/// signal never reaches a stranger.
#[derive(Debug, Clone, Default)]
pub struct Processes {
    alive: Arc<Mutex<Alive>>,
}

#[derive(Debug, Default)]
struct Alive {
    pids: Vec<Pid>,
    /// They were told to end: none is started any more.
    ending: bool,
}

/// A program and its flags, as written after `--`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// What the process is called on its machine: `cache` in `cache=/usr/bin/redis-server`, or the
    /// program's file name.
    pub name: String,
    /// The program: a name, looked for beside this one and then on the PATH, or a path.
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

/// How a process ended, and which one it was.
#[derive(Debug)]
pub struct Exit {
    /// What to report.
    pub event: MachineEvent,
    /// Its exit status as a shell would give it.
    pub code: i32,
    /// Whether others are still there.
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
    /// Starts a process, and reports its start and its end. Call from a thread that lives as long
    /// as the machine: to the kernel, it is the parent that the process dies with.
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
            // Standard output is for the machine's own events.
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
            // The receiver is gone when the machine is; then nobody wants to know.
            let _ = exits.send(processes.wait(name, child));
        });
        Ok(started)
    }

    /// Sends a signal to every process that is still there.
    pub fn signal(&self, signal: Signal) {
        let mut alive = self.alive.lock();
        alive.ending |= matches!(signal, Signal::SIGTERM | Signal::SIGKILL);
        for pid in &alive.pids {
            // It may have become a zombie this instant, which is as good as signalled.
            let _ = kill(*pid, signal);
        }
    }

    fn wait(&self, process: String, mut child: Child) -> Exit {
        let pid = pid_of(&child);
        // First see the end, then leave the list, and only then free the pid.
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

/// The lab's own programs bind their life to their machine's by themselves. Others, such as a Redis
/// server, are started by way of this program, which does it for them and becomes them.
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

/// When these words ask for it, becomes another program whose life is bound to that of the machine.
/// Returns only when they do not, or with what went wrong.
pub fn become_another(mut words: impl Iterator<Item = OsString>) -> Option<String> {
    if words.next()? != BECOME {
        return None;
    }
    let program = words.next()?;
    startup::die_with_parent();
    // What that program starts has another parent.
    let error = Command::new(&program).args(words).env_remove(PARENT_VARIABLE).exec();
    Some(format!("cannot start {}: {error}", program.display()))
}

/// Beside this program first: the lab's parts are built into one directory.
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
