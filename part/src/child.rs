//! The adapted program as a child process: tied to our life, asked to end, and killed if it does not.

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use machine::protocol::PARENT_VARIABLE;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid, User, setgid, setgroups, setuid};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The first argument with which this program gives up root's rights before it becomes another program.
const AS_USER: &str = "--as-user";

/// A running program.
pub(crate) struct Program {
    /// Its name in messages.
    pub(crate) title: &'static str,
    /// Its process.
    pub(crate) child: Child,
    /// The signal for an orderly shutdown.
    pub(crate) ends_on: Signal,
}

/// Starts a program through this one, so that it dies with it, even by SIGKILL. It inherits standard output and error.
pub(crate) fn start(program: &Path, flags: &[String]) -> anyhow::Result<Child> {
    start_with(program, flags, &[])
}

/// The same, with these variables in its environment.
pub(crate) fn start_with(
    program: &Path,
    flags: &[String],
    variables: &[(&str, String)],
) -> anyhow::Result<Child> {
    let mut command = bound(None)?;
    command.arg("--become").arg(program).args(flags);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    command.spawn().with_context(|| format!("start {}", program.display()))
}

/// Does the same with these environment variables; its standard output is piped to us.
pub(crate) fn start_piped(
    program: &Path,
    flags: &[String],
    variables: &[(&str, String)],
) -> anyhow::Result<Child> {
    let mut command = bound(None)?;
    command.arg("--become").arg(program).args(flags).stdout(Stdio::piped());
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    command.spawn().with_context(|| format!("start {}", program.display()))
}

fn bound(user: Option<&User>) -> anyhow::Result<Command> {
    let own = std::env::current_exe().context("find this program")?;
    let mut command = Command::new(own);
    if let Some(user) = user {
        command.arg(AS_USER).arg(format!("{}:{}", user.uid, user.gid));
    }
    command.env(PARENT_VARIABLE, std::process::id().to_string());
    command.stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

/// The file descriptor of the directory in which a program of another user was started. It works even if that user may
/// not traverse the directories above.
const HOME: RawFd = 9;

/// Gives up root's rights if the arguments ask for it, and consumes those arguments. The current directory stays open
/// as [`HOME`].
pub(crate) fn give_up_root(words: &mut Vec<OsString>) -> Result<(), String> {
    if words.first().is_none_or(|first| first != AS_USER) {
        return Ok(());
    }
    let ids = words.get(1).and_then(|ids| ids.to_str()?.split_once(':'));
    let ids = ids.and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
    let (uid, gid) = ids.ok_or(format!("{AS_USER} takes UID:GID"))?;
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    let here =
        std::fs::File::open(".").map_err(|error| format!("cannot open the directory of --data: {error}"))?;
    // Unlike other descriptors, it must survive exec.
    let home =
        fcntl(&here, FcntlArg::F_DUPFD(HOME)).map_err(|error| format!("keep a directory open: {error}"))?;
    if home != HOME {
        return Err(format!("the file descriptor {HOME} is taken"));
    }
    std::env::set_current_dir("/").map_err(|error| error.to_string())?;
    setgroups(&[])
        .and_then(|()| setgid(gid))
        .and_then(|()| setuid(uid))
        .map_err(|error| format!("cannot become the user {uid}: {error}"))?;
    words.drain(..2);
    Ok(())
}

/// A program's data directory, and the user that owns it: programs that refuse to run as root run as their own user,
/// wherever the directory is.
pub(crate) struct Home {
    directory: PathBuf,
    user: Option<User>,
}

impl Home {
    /// Creates the directory: for the first of these users that exists if we are root, otherwise for us.
    pub(crate) fn make(directory: &Path, users: &[&str]) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
        let directory = std::path::absolute(directory).context("find the directory of --data")?;
        let user = match Uid::effective().is_root() {
            true => users.iter().find_map(|name| User::from_name(name).ok().flatten()),
            false => None,
        };
        let home = Self { directory, user };
        home.give(&home.directory, 0o700)?;
        Ok(home)
    }

    /// Returns its path, for this process.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns its path for the programs. Another user may not be allowed to traverse the directories above.
    pub(crate) fn as_programs_see_it(&self) -> String {
        match self.user {
            Some(_) => format!("/proc/self/fd/{HOME}"),
            None => self.directory.to_string_lossy().into_owned(),
        }
    }

    /// Writes a file there that belongs to its user.
    pub(crate) fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.directory.join(name);
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        self.give(&path, 0o600)
    }

    /// Makes a file accessible to its user alone.
    pub(crate) fn give(&self, path: &Path, mode: u32) -> anyhow::Result<()> {
        use std::os::unix::fs::{PermissionsExt, chown};
        let shown = || format!("make {} the program's own", path.display());
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).with_context(shown)?;
        let Some(user) = &self.user else { return Ok(()) };
        chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).with_context(shown)
    }

    /// Starts a program in it.
    pub(crate) fn start(&self, program: &Path, flags: &[String]) -> anyhow::Result<Child> {
        self.start_with(program, flags, &[])
    }

    /// Does the same with these environment variables.
    pub(crate) fn start_with(
        &self,
        program: &Path,
        flags: &[String],
        variables: &[(&str, String)],
    ) -> anyhow::Result<Child> {
        let mut command = self.command(program, flags)?;
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.spawn().with_context(|| format!("start {}", program.display()))
    }

    /// Runs a program in it until it exits. The error quotes its last line.
    pub(crate) async fn run(
        &self,
        program: &Path,
        flags: &[String],
        variables: &[(&str, &str)],
        limit: Duration,
    ) -> anyhow::Result<()> {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let mut command = self.command(program, flags)?;
        command.envs(variables.iter().copied()).stdout(Stdio::null()).stderr(Stdio::piped());
        let output = timeout(limit, command.output()).await;
        let output = output.with_context(|| format!("{name} did not end within {limit:?}"))?;
        let output = output.with_context(|| format!("start {}", program.display()))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it said nothing");
        bail!("{name} ended with {}: {last}", output.status);
    }

    fn command(&self, program: &Path, flags: &[String]) -> anyhow::Result<Command> {
        let mut command = bound(self.user.as_ref())?;
        command.arg("--become").arg(program).args(flags).current_dir(&self.directory);
        Ok(command)
    }
}

/// Waits until the adapter is told to stop, and observes the program with `watch` meanwhile. The error says how the
/// program ended, if it did so by itself.
pub(crate) async fn until_stopped(
    title: &str,
    child: &mut Child,
    stop: &CancellationToken,
    watch: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    tokio::select! {
        ended = child.wait() => Err(how(title, ended)),
        () = stop.cancelled() => Ok(()),
        () = watch => Ok(()),
    }
}

/// Asks a process to end with this signal, and kills it at the limit.
pub(crate) async fn end(mut child: Child, signal: Signal, limit: Duration) {
    if let Some(pid) = child.id() {
        // It may have ended this instant, which is fine.
        let _ = kill(Pid::from_raw(pid.cast_signed()), signal);
    }
    if timeout(limit, child.wait()).await.is_err() {
        tracing::warn!("it did not end within {limit:?}, and is killed");
        let _ = child.kill().await;
    }
}

/// Describes an unexpected exit, as a sentence.
pub(crate) fn how(title: &str, status: std::io::Result<ExitStatus>) -> anyhow::Error {
    match status {
        Ok(status) => anyhow::anyhow!("{title} ended by itself: {status}; what it said is above"),
        Err(error) => anyhow::anyhow!("{title} cannot be waited for: {error}"),
    }
}
