//! The other program as a process: bound to our life, asked to end, and then made to.

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

/// The first word that makes this program give up root's rights, before it becomes another one.
const AS_USER: &str = "--as-user";

/// A program that runs.
pub(crate) struct Program {
    /// What it is called in sentences.
    pub(crate) title: &'static str,
    /// Its process.
    pub(crate) child: Child,
    /// What it ends on, with everything in order.
    pub(crate) ends_on: Signal,
}

/// Starts a program by way of this one, so that it dies with it, also by SIGKILL. What it prints goes where ours
/// does.
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

/// The same, with these variables in its environment; its standard output is ours to read.
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

/// Where a program that is another user's finds the directory that it was started in: open, whoever may go through
/// the directories above.
const HOME: RawFd = 9;

/// When these words ask for it, gives up root's rights; the words after that are left. The directory that we stand
/// in stays open as [`HOME`]. `Err`: what went wrong.
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
    // Not closed when this becomes another program, as everything else is.
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

/// A directory with a program's data, and the user who may read it: programs that refuse to be root's run as
/// their own user, wherever the directory is.
pub(crate) struct Home {
    directory: PathBuf,
    user: Option<User>,
}

impl Home {
    /// Makes the directory, for the first of these users that there is when we are root, else for us.
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

    /// Where it is, for us.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where it is, for its programs. Another user may not be allowed to go through the directories above.
    pub(crate) fn as_programs_see_it(&self) -> String {
        match self.user {
            Some(_) => format!("/proc/self/fd/{HOME}"),
            None => self.directory.to_string_lossy().into_owned(),
        }
    }

    /// Writes a file there that is its user's.
    pub(crate) fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.directory.join(name);
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        self.give(&path, 0o600)
    }

    /// Makes a file its user's, and nobody else's.
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

    /// The same, with these variables in its environment.
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

    /// Runs a program in it to its end. An error is what it said last.
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
