//! Where a lab stands on this computer: its directories, its lock, its programs. Claiming a site
//! answers every "is the environment ready?" question before anything is started.

use std::ffi::OsString;
use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::backend::Backend;
use super::http::Client;
use parts::Cast;
use parts::cast::Program as Other;

use super::plan::{Place, Plan, Program, ProgramPlan};
use super::redis;
use super::sockets;
use super::state::State;
use crate::error::{LabError, advice};

const MARKER: &str = ".labctl";
/// The program that speaks for known parts.
pub(super) const ADAPTER: &str = "part";
/// What directories of labs beside a lab are called, in its own.
const BESIDE_PREFIX: &str = "beside-";

/// What a site is made from: flags of labctl.
#[derive(Debug, Clone, clap::Args)]
pub struct SiteArgs {
    /// Directory of the running lab: its state, data and logs.
    #[arg(long, global = true, env = "LABCTL_LAB_DIR", default_value = ".lab", help_heading = "The lab")]
    pub lab_dir: PathBuf,

    /// Directory that results are written to.
    #[arg(long, global = true, env = "LABCTL_RUNS_DIR", default_value = "runs", help_heading = "The lab")]
    pub runs_dir: PathBuf,

    /// What machines are made of: processes of this computer, or containers.
    #[arg(
        long,
        global = true,
        env = "LABCTL_BACKEND",
        value_enum,
        default_value_t,
        help_heading = "The lab"
    )]
    pub backend: Backend,

    /// First two bytes of the addresses that machines get: loopback for processes, private for
    /// containers [default: 127.77, or 172.28].
    #[arg(long, global = true, env = "LABCTL_NETWORK", value_parser = parse_network, help_heading = "The lab")]
    pub network: Option<Network>,

    /// Added to every port, for when something else on this computer uses one.
    #[arg(long, global = true, env = "LABCTL_PORT_SHIFT", default_value_t = 0, help_heading = "The lab")]
    pub port_shift: u16,

    /// A Redis server that is already there, to be used instead of starting one:
    /// redis://127.0.0.1:6379.
    #[arg(
        long,
        global = true,
        env = "LABCTL_REDIS_URL",
        value_name = "URL",
        hide_env_values = true,
        help_heading = "The lab"
    )]
    pub redis_url: Option<String>,

    /// Record what each request costs at each hop; `labctl trace` shows it.
    #[arg(long, global = true, env = "LABCTL_TRACE", help_heading = "The lab")]
    pub trace: bool,
}

/// The first two bytes of a network.
#[derive(Debug, Clone, Copy)]
pub struct Network(pub [u8; 2]);

fn parse_network(text: &str) -> Result<Network, String> {
    let bytes =
        text.split_once('.').and_then(|(first, second)| Some([first.parse().ok()?, second.parse().ok()?]));
    match bytes {
        Some(network @ ([127 | 10, _] | [172, 16..=31] | [192, 168])) => Ok(Network(network)),
        _ => Err(format!(
            "'{text}' is not of the form 127.N, nor the begin of a private network such as 172.28"
        )),
    }
}

/// The `number`-th network after this one, of its kind.
fn network_beside([first, second]: [u8; 2], number: u8) -> [u8; 2] {
    // Of the private ones some are somebody's: the engine's own, and that of docker-compose.yml.
    const PRIVATE: [u8; 14] = [16, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 31];
    match first {
        127 | 10 => [first, second.wrapping_add(number)],
        _ => {
            // There is only one that begins with 192.168.
            let from = if first == 172 { second } else { Backend::Compose.network()[1] };
            let at = PRIVATE.iter().position(|private| *private >= from).unwrap_or(0);
            [172, PRIVATE[(at + usize::from(number)) % PRIVATE.len()]]
        }
    }
}

/// A site that is ours until this is dropped.
#[derive(Debug)]
pub struct Site {
    /// `.lab`.
    pub lab_directory: PathBuf,
    /// Where the lab's programs are.
    pub programs: PathBuf,
    /// A short-lived directory with a short path, for sockets.
    pub sockets: PathBuf,
    /// What was left behind by a lab that was killed, and is gone now.
    pub swept: Vec<String>,
    /// Whether its programs record traces.
    pub traced: bool,
    /// The programs that stand in for the lab's own.
    pub cast: Cast,
    _lock: File,
}

impl SiteArgs {
    /// First two bytes of the addresses that machines get.
    pub fn network(&self) -> [u8; 2] {
        self.network.map_or(self.backend.network(), |network| network.0)
    }

    /// A place for another lab beside this one: a directory within its own, and another network.
    pub fn beside(&self, number: u8) -> Self {
        Self {
            lab_dir: self.lab_dir.join(format!("{BESIDE_PREFIX}{number}")),
            network: Some(Network(network_beside(self.network(), number))),
            ..self.clone()
        }
    }

    /// Addresses, ports and data.
    pub fn place(&self) -> Place {
        Place {
            backend: self.backend,
            network: self.network(),
            port_shift: self.port_shift,
            data: absolute(&self.lab_dir).join("data"),
            redis_url: self.redis_url.clone(),
            client: match self.backend.is_containers() {
                false => Client::without_token(),
                true => Client::with_new_token(),
            },
        }
    }
}

impl Site {
    /// Takes a site for a new lab. Nothing has been started when this fails.
    pub fn claim(args: &SiteArgs) -> Result<Self, LabError> {
        let is_loopback = args.network()[0] == 127;
        if is_loopback == args.backend.is_containers() {
            return Err(LabError::Usage(match is_loopback {
                true => "--network: containers cannot have loopback addresses; give a private network such as 172.28".into(),
                false => "--network: processes have loopback addresses, such as 127.77".into(),
            }));
        }
        if args.trace && args.backend == Backend::Compose {
            return Err(LabError::Usage("--trace: only processes record traces, not containers".into()));
        }
        redis::check_url(args.backend, args.redis_url.as_deref())?;
        let lab_directory = absolute(&args.lab_dir);
        check_is_text(&lab_directory)?;
        let lock = lock(&lab_directory)?;
        let programs = find_programs()?;
        let swept = State::sweep(&lab_directory)?;
        let data = lab_directory.join("data");
        empty_directory(&data)?;
        can_hold_data(&data)?;
        let sockets = sockets::make()?;
        Ok(Self {
            lab_directory,
            programs,
            sockets,
            swept,
            traced: args.trace,
            cast: Cast::default(),
            _lock: lock,
        })
    }

    /// What the command line of a machine says for a program: its path, after its name where the two
    /// differ. Another program in its place keeps its name, and an adapter's first flags come before the others.
    pub fn program(&self, plan: &ProgramPlan) -> Vec<OsString> {
        let named = |path: &Path| OsString::from(format!("{}={}", plan.program.name(), path.display()));
        match plan.played_by.as_deref().and_then(|played_by| self.cast.program(played_by)) {
            Some(Other::Own(path)) => vec![named(path)],
            Some(Other::Adapted { name, path }) => {
                vec![named(&self.programs.join(ADAPTER)), name.into(), "--program".into(), path.into()]
            }
            None => vec![self.own_program(plan.program)],
        }
    }

    fn own_program(&self, program: Program) -> OsString {
        match program {
            // That there is one was checked before.
            Program::Redis | Program::Sentinel => {
                let server = redis::find().unwrap_or("redis-server".into());
                format!("{}={}", program.name(), server.display()).into()
            }
            own => self.programs.join(own.name()).into(),
        }
    }

    /// What the lab's keys begin with in a Redis that it shares with others: no other lab's do, nor those of
    /// this one when it is started again.
    pub fn key_prefix(&self) -> String {
        let name = self.sockets.file_name().unwrap_or_default();
        format!("{}:", name.to_string_lossy())
    }

    /// Where the lab listens to other labctls.
    pub fn control_path(&self) -> PathBuf {
        self.sockets.join("control.sock")
    }

    /// Whether the path of every machine's socket is short enough.
    pub fn check_sockets(&self, plan: &Plan) -> Result<(), LabError> {
        plan.to_start().try_for_each(|machine| sockets::check(&self.sockets, &machine.name))
    }

    /// Whether every address of a plan is free.
    pub fn check_ports(plan: &Plan) -> Result<(), LabError> {
        let programs = plan.to_start().flat_map(|machine| &machine.programs);
        let addresses = programs.flat_map(|program| [program.address, program.health]);
        for address in addresses.chain(plan.links.iter().map(|link| link.listen)) {
            if let Err(error) = TcpListener::bind(address) {
                return Err(LabError::NotReady(match error.kind() {
                    ErrorKind::AddrInUse => format!(
                        "{address} is in use by another program: stop it (`ss -ltnp 'sport = :{}'` shows which), or give --port-shift 1000",
                        address.port()
                    ),
                    ErrorKind::AddrNotAvailable => format!(
                        "this computer has no address {}: on macOS add it with `sudo ifconfig lo0 alias {}`",
                        address.ip(),
                        address.ip()
                    ),
                    _ => format!("cannot listen on {address}: {error}"),
                }));
            }
        }
        Ok(())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // What is left there is a socket of a machine that was killed.
        let _ = fs::remove_dir_all(&self.sockets);
    }
}

/// Locks a lab's directory for as long as the file is held: nobody else starts a lab there, or
/// sweeps one up.
pub fn lock(lab_directory: &Path) -> Result<File, LabError> {
    own_directory(lab_directory)?;
    // Secrets of the lab are in it. It may be somebody else's, who lets this user write in it.
    let _ = fs::set_permissions(lab_directory, Permissions::from_mode(0o700));
    let path = lab_directory.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| cannot_write(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(already_running(lab_directory)),
        Err(TryLockError::Error(error)) => Err(cannot_write(&path, &error)),
    }
}

fn already_running(lab_directory: &Path) -> LabError {
    let what = match State::read(lab_directory) {
        Ok(Some(state)) => format!("'{}' (pid {})", state.chapter, state.keeper.pid),
        _ => "another lab".into(),
    };
    LabError::NotReady(format!(
        "{what} is running in {}: end it with `labctl down`, or use another --lab-dir and --network",
        lab_directory.display()
    ))
}

fn cannot_write(path: &Path, error: &io::Error) -> LabError {
    let advice = advice(error).unwrap_or("choose another with --lab-dir or --runs-dir");
    LabError::NotReady(format!("cannot write to {} ({error}); {advice}", path.display()))
}

/// Makes a directory, or says why it cannot be had.
pub fn make_directory(path: &Path) -> Result<(), LabError> {
    fs::create_dir_all(path).map_err(|error| cannot_write(path, &error))
}

/// Makes an empty directory, in place of what is there.
pub fn empty_directory(path: &Path) -> Result<(), LabError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(cannot_write(path, &error)),
        _ => make_directory(path),
    }
}

/// Makes a directory that is labctl's own, and marks it so: what is in it may be removed. One that
/// holds somebody's files is refused.
pub fn own_directory(path: &Path) -> Result<(), LabError> {
    make_directory(path)?;
    if is_own_directory(path) {
        return Ok(());
    }
    let mut entries = fs::read_dir(path).map_err(|error| cannot_write(path, &error))?;
    if entries.next().is_some() {
        return Err(LabError::NotReady(format!(
            "{} has files in it that are not labctl's: choose a new or empty directory with --lab-dir or --runs-dir",
            path.display()
        )));
    }
    let marker = path.join(MARKER);
    fs::write(&marker, "This directory is labctl's; `labctl clean` removes it.\n")
        .map_err(|error| cannot_write(&marker, &error))
}

/// Whether a directory is labctl's own.
pub fn is_own_directory(path: &Path) -> bool {
    path.join(MARKER).is_file()
}

/// The directories of labs that were beside one another in a lab's own.
pub(super) fn beside(lab_directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(lab_directory).into_iter().flatten().flatten();
    let is_one = |path: &PathBuf| is_beside(path) && is_own_directory(path);
    entries.map(|entry| entry.path()).filter(is_one).collect()
}

/// Whether a directory is called as those are.
pub(super) fn is_beside(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(BESIDE_PREFIX))
}

/// A full disk is found now rather than in the middle of a chapter.
pub fn can_hold_data(directory: &Path) -> Result<(), LabError> {
    const PROBE: usize = 1 << 20;
    let path = directory.join("room");
    let written = fs::write(&path, vec![0; PROBE]);
    let _ = fs::remove_file(&path);
    written.map_err(|error| cannot_write(directory, &error))
}

/// The lab's programs are built into one directory, labctl's own.
pub fn find_programs() -> Result<PathBuf, LabError> {
    let own = std::env::current_exe().map_err(|error| LabError::Broken(error.into()))?;
    let beside = own.parent().unwrap_or(Path::new(".")).to_owned();
    for program in ["machine", "lb", "webserver", "dbnode"] {
        if !beside.join(program).is_file() {
            return Err(LabError::NotReady(format!(
                "'{program}' is not in {}: build all of the lab with `cargo build --release`",
                beside.display()
            )));
        }
    }
    Ok(beside)
}

/// Paths are handed to programs as flags, and stand in JSON documents: both are text.
fn check_is_text(path: &Path) -> Result<(), LabError> {
    match path.to_str() {
        Some(_) => Ok(()),
        None => Err(LabError::NotReady(format!(
            "the path {} is not UTF-8, and the lab's programs cannot be told it: choose another with --lab-dir",
            path.display()
        ))),
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_beside_one_are_private_and_nobody_elses() {
        for number in 1..14 {
            let [first, second] = network_beside([172, 28], number);
            assert!(first == 172 && (16..=31).contains(&second), "{number}: {first}.{second}");
            assert!(![17, 28, 30].contains(&second), "{number}: {first}.{second}");
        }
        assert_eq!(network_beside([172, 28], 1), [172, 29]);
        assert_eq!(network_beside([172, 28], 2), [172, 31]);
        assert_eq!(network_beside([172, 30], 1), [172, 16]);
        assert_eq!(network_beside([192, 168], 1), [172, 29]);
        assert_eq!(network_beside([127, 77], 3), [127, 80]);
    }
}
