//! `machine`: the parent of the processes placed on one emulated machine.
//!
//! ```text
//! machine --name web-1 --cores 1 --memory 512MiB --disk-iops 400 -- webserver …flags…  [-- dbnode …]
//! ```
//!
//! It reports starts and exits on standard output, one JSON document per line, or in a file (`--reports`),
//! which need not be read by the process that started the machine. It exits with its last process and that
//! process's exit code, or with 137 if it ran out of memory and killed all of them.

use std::fs::{File, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use clap::{CommandFactory, Parser};
use machine::MachineSpec;
use machine::kernel::{self, Ending, Input};
use machine::log_lines::LogLines;
use machine::processes::{self, Exit, Placement, Processes};
use machine::protocol::{EXIT_KILLED, MachineEvent};
use machine::startup;
use nix::sys::signal::Signal;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// One emulated machine, and the processes on it.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Example: machine --name app --cores 1 -- webserver --db 127.0.0.1:7001 -- dbnode --id db-1"
)]
struct Args {
    /// Name of the machine.
    #[arg(long, env = "MACHINE_NAME")]
    name: String,

    #[command(flatten)]
    spec: MachineSpec,

    /// Unix socket at which processes reach their machine [default: a new path in the temporary directory].
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,

    /// Write the output of each process to its own file in this directory, instead of to stderr.
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,

    /// Report starts and exits to this file, instead of to standard output.
    #[arg(long, value_name = "FILE")]
    reports: Option<PathBuf>,

    /// Die when standard input ends, because the process that started this machine is then gone.
    #[arg(long)]
    lifeline: bool,

    /// The processes: programs with their flags, each after its own `--`.
    #[arg(last = true, required = true)]
    processes: Vec<String>,
}

fn main() -> ExitCode {
    if let Some(error) = processes::become_another(std::env::args_os().skip(1)) {
        let _ = writeln!(io::stderr(), "{error}");
        return ExitCode::from(127);
    }
    let args = Args::parse();
    tracing_subscriber::fmt().with_writer(LogLines::to_stderr()).with_ansi(false).init();
    let placements = Placement::split(&args.processes);
    if placements.is_empty() {
        let mut command = Args::command();
        command.error(clap::error::ErrorKind::ValueValidation, "no process is given after '--'").exit();
    }
    let ending = match &args.socket {
        Some(socket) => {
            let ending = live(&args, &placements, socket);
            let _ = std::fs::remove_file(socket);
            ending
        }
        None => in_private_directory(|socket| live(&args, &placements, socket)),
    };
    match ending {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Creates a socket in a new directory that only this user can enter, and finally removes both.
fn in_private_directory(live: impl FnOnce(&Path) -> anyhow::Result<i32>) -> anyhow::Result<i32> {
    let directory =
        tempfile::Builder::new().prefix("machine-").permissions(Permissions::from_mode(0o700)).tempdir();
    let directory = directory.with_context(|| {
        format!("make a directory for the machine's socket in {}", std::env::temp_dir().display())
    })?;
    live(&directory.path().join("machine.sock"))
}

/// Runs the machine from the first process to the last.
fn live(args: &Args, placements: &[Placement], socket: &Path) -> anyhow::Result<i32> {
    let listener = listen(socket).with_context(|| format!("listen on {}", socket.display()))?;
    let reports = Reports::open(args.reports.as_deref())?;
    let (inputs, inbox) = mpsc::channel();
    kernel::listen(listener, inputs.clone());

    let processes = Processes::default();
    pass_on_signals(processes.clone())?;
    if args.lifeline {
        // A frozen machine cannot read its lifeline; the kernel's signal reaches it nevertheless.
        startup::die_with_parent();
        die_with_whoever_started_us(processes.clone());
    }
    let last_code = Arc::new(AtomicI32::new(0));
    let exits = report_exits(inputs, Arc::clone(&last_code), reports.clone());
    for placement in placements {
        let started = processes.start(&args.name, placement, socket, args.log_dir.as_deref(), exits.clone());
        match started {
            Ok(event) => reports.write(&event),
            Err(error) => {
                processes.signal(Signal::SIGKILL);
                return Err(error.into());
            }
        }
    }
    drop(exits);

    match kernel::run(&args.spec, &inbox) {
        Ending::Off => Ok(last_code.load(Ordering::Acquire)),
        Ending::OutOfMemory(died) => {
            reports.write(&MachineEvent::OutOfMemory { held: died.held, limit: died.limit });
            tracing::error!(machine = args.name, "{died}: killing everything on this machine");
            processes.signal(Signal::SIGKILL);
            wait_until_all_are_reported(&inbox);
            Ok(EXIT_KILLED)
        }
    }
}

/// Listens, even if a killed machine of the same name has left its socket behind. Only this user can
/// connect.
fn listen(socket: &Path) -> io::Result<UnixListener> {
    let listener = match UnixListener::bind(socket) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && UnixStream::connect(socket).is_err() => {
            std::fs::remove_file(socket)?;
            UnixListener::bind(socket)
        }
        bound => bound,
    }?;
    std::fs::set_permissions(socket, Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn wait_until_all_are_reported(inbox: &mpsc::Receiver<Input>) {
    while let Ok(input) = inbox.recv_timeout(Duration::from_secs(2)) {
        if matches!(input, Input::Off) {
            return;
        }
    }
}

/// Forwards SIGTERM and SIGINT to the processes; the machine exits after them.
fn pass_on_signals(processes: Processes) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT]).context("listen to signals")?;
    thread::spawn(move || {
        for _ in signals.forever() {
            processes.signal(Signal::SIGTERM);
        }
    });
    Ok(())
}

fn die_with_whoever_started_us(processes: Processes) {
    thread::spawn(move || {
        let mut rest = Vec::new();
        // Nothing is ever written; this returns when the other end closes, be it by SIGKILL.
        let _ = io::stdin().read_to_end(&mut rest);
        processes.signal(Signal::SIGKILL);
        std::process::exit(EXIT_KILLED);
    });
}

fn report_exits(
    inputs: mpsc::Sender<Input>,
    last_code: Arc<AtomicI32>,
    reports: Reports,
) -> mpsc::Sender<Exit> {
    let (exits, exited) = mpsc::channel::<Exit>();
    thread::spawn(move || {
        for exit in exited {
            reports.write(&exit.event);
            last_code.store(exit.code, Ordering::Release);
            if !exit.others_left {
                let _ = inputs.send(Input::Off);
            }
        }
    });
    exits
}

/// The output for reports.
#[derive(Clone)]
struct Reports(Option<Arc<File>>);

impl Reports {
    fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let open = |path: &Path| {
            let file = File::options().create(true).append(true).open(path);
            file.map(Arc::new).with_context(|| format!("write {}", path.display()))
        };
        path.map(open).transpose().map(Self)
    }

    /// Writes each line in one piece. The reader may be gone; the lifeline takes care of that.
    fn write(&self, event: &MachineEvent) {
        let mut line = serde_json::to_string(event).expect("an event always serializes");
        line.push('\n');
        let _ = match &self.0 {
            Some(file) => (&**file).write_all(line.as_bytes()),
            None => {
                let mut out = io::stdout().lock();
                out.write_all(line.as_bytes()).and_then(|()| out.flush())
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_documented() {
        documented::check_table("docs/contract.md", "flags of machine", &documented::flags(&Args::command()));
    }
}
