//! A student's own part: whether it can be started, and which abilities it claims.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::ability::{Abilities, Ability};

/// How long a program may take to answer `--can`.
const CAN_MAX: Duration = Duration::from_secs(3);
/// Polling interval for its exit.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The longest answer to `--can` that is read, in bytes.
const CAN_BYTES_MAX: u64 = 64 * 1024;

/// The answer to `--can`.
#[derive(Debug, Deserialize)]
struct Can {
    can: Option<Vec<String>>,
    #[serde(default)]
    cannot: BTreeMap<String, String>,
}

/// Returns why a file cannot be started, as a sentence.
pub fn why_not_started(program: &Path) -> Option<String> {
    let shown = program.display();
    let Ok(metadata) = program.metadata() else { return Some(format!("there is no file {shown}")) };
    if !metadata.is_file() {
        return Some(format!("{shown} is not a file"));
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return Some(format!("{shown} may not be executed: `chmod +x {shown}`"));
    }
    None
}

/// Asks a student's part for its abilities. A program that does not understand `--can` is assumed to have all of them.
pub async fn abilities(program: &Path) -> Result<Abilities, String> {
    let title = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    let everything = Abilities { title: title.clone(), ..Abilities::default() };
    let mut command = Command::new(program);
    command.arg("--can").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut group =
        Group::start(command).map_err(|error| format!("{} cannot be started: {error}", program.display()))?;
    let mut said = Vec::new();
    let listening = async {
        let mut stdout = group.child.stdout.take().expect("it is piped").take(CAN_BYTES_MAX);
        let _ = stdout.read_to_end(&mut said).await;
        group.succeeds().await
    };
    let answered = timeout(CAN_MAX, listening).await.unwrap_or(false);
    drop(group);
    if !answered {
        return Ok(everything);
    }
    match serde_json::from_slice::<Can>(&said) {
        Ok(can) => understand(title, can),
        Err(_) => Ok(everything),
    }
}

/// A program in a process group of its own, because it may start other processes: they are killed with it.
struct Group {
    child: Child,
    leader: Pid,
}

impl Group {
    fn start(mut command: Command) -> io::Result<Self> {
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let pid = child.id().ok_or_else(|| io::Error::other("it ended at once"))?;
        Ok(Self { child, leader: Pid::from_raw(pid.cast_signed()) })
    }

    /// Waits until the leader has ended, and returns whether it succeeded. It stays a zombie, so that the group's ID
    /// still belongs to the group when the rest of it is killed.
    async fn succeeds(&self) -> bool {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
        loop {
            match waitid(Id::Pid(self.leader), flags) {
                Ok(WaitStatus::StillAlive) => sleep(LOOK_EVERY).await,
                ended => return matches!(ended, Ok(WaitStatus::Exited(_, 0))),
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = killpg(self.leader, Signal::SIGKILL);
    }
}

fn understand(title: String, Can { can, cannot }: Can) -> Result<Abilities, String> {
    let ability = |name: &str| {
        let known = || Ability::ALL.map(Ability::name).join(", ");
        let found = Ability::ALL.into_iter().find(|ability| ability.name() == name);
        found.ok_or_else(|| format!("{title} --can names '{name}'; known are {}", known()))
    };
    let can = can.map(|can| can.iter().map(|name| ability(name)).collect::<Result<BTreeSet<_>, _>>());
    let cannot = cannot.into_iter().map(|(name, reason)| Ok((ability(&name)?, reason)));
    let (can, cannot) = (can.transpose()?, cannot.collect::<Result<BTreeMap<_, _>, String>>()?);
    Ok(Abilities { title, can, cannot })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> tempfile::TempPath {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, format!("#!/bin/sh\n{text}\n").as_bytes()).unwrap();
        let path = file.into_temp_path();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[tokio::test]
    async fn a_part_says_what_it_can() {
        let path = script(r#"echo '{"can": ["round-robin"], "cannot": {"passive": "not yet"}}'"#);
        let abilities = abilities(&path).await.unwrap();
        assert_eq!(abilities.lacks(Ability::RoundRobin), None);
        assert_eq!(abilities.lacks(Ability::Passive).unwrap(), "not yet");
        assert!(
            abilities.lacks(Ability::Retries).unwrap().ends_with("does not say that it can do 'retries'")
        );
    }

    #[tokio::test]
    async fn a_part_that_does_not_know_the_question_is_tried_with_everything() {
        for text in ["exit 2", "echo nonsense", "exit 0"] {
            assert_eq!(abilities(&script(text)).await.unwrap().lacks(Ability::Pair), None, "{text}");
        }
    }

    #[tokio::test]
    async fn what_a_part_has_started_ends_with_the_question() {
        // A fork that holds none of its files, in a program that answers, and in one that never does.
        for ends in ["echo '{}'", "sleep 100"] {
            let mut told = tempfile::NamedTempFile::new().unwrap();
            let forks = format!("sleep 100 >/dev/null 2>&1 & echo $! >{}", told.path().display());
            let path = script(&format!("{forks}\n{ends}"));
            abilities(&path).await.unwrap();
            let mut pid = String::new();
            std::io::Read::read_to_string(&mut told, &mut pid).unwrap();
            let stat = Path::new("/proc").join(pid.trim()).join("stat");
            let deadline = std::time::Instant::now() + Duration::from_secs(10);
            // It may be a zombie for as long as nobody has reaped it.
            while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
                assert!(std::time::Instant::now() < deadline, "{ends}: the fork {} lives on", pid.trim());
                sleep(LOOK_EVERY).await;
            }
        }
    }

    #[tokio::test]
    async fn an_ability_that_is_none_is_named() {
        let error = abilities(&script(r#"echo '{"can": ["flying"]}'"#)).await.unwrap_err();
        assert!(error.contains("names 'flying'; known are round-robin, least-busy"), "{error}");
    }

    #[test]
    fn a_file_that_may_not_be_executed_is_refused_with_the_command_that_mends_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let reason = why_not_started(file.path()).unwrap();
        assert!(reason.contains("chmod +x"), "{reason}");
        assert!(why_not_started(Path::new("/nowhere/lb")).unwrap().starts_with("there is no file"));
    }
}
