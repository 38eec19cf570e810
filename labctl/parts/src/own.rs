//! A student's own part: whether it can be started, and which abilities it claims.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::ability::{Abilities, Ability};

/// How long a program may take to answer `--can`.
const CAN_MAX: Duration = Duration::from_secs(3);
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
    // It may have started other processes, so it gets a process group of its own.
    let mut child = command
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("{} cannot be started: {error}", program.display()))?;
    let mut said = Vec::new();
    let listening = async {
        let mut stdout = child.stdout.take().expect("it is piped").take(CAN_BYTES_MAX);
        let _ = stdout.read_to_end(&mut said).await;
        child.wait().await.is_ok_and(|status| status.success())
    };
    let answered = timeout(CAN_MAX, listening).await.unwrap_or(false);
    let _ = child.kill().await;
    if !answered {
        return Ok(everything);
    }
    match serde_json::from_slice::<Can>(&said) {
        Ok(can) => understand(title, can),
        Err(_) => Ok(everything),
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
