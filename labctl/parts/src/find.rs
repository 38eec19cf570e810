//! Locates the programs of known parts on this computer, and reads their versions.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::known::Known;

/// Directories of servers that are usually only on root's PATH.
const BESIDES: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin"];
/// How long a program may take to print its version.
const VERSION_MAX: Duration = Duration::from_secs(5);

/// Where Debian installs the versions of PostgreSQL, each in its own directory.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Where `labctl parts --install` installs programs from Python wheels, each in its own directory, under the user's
/// home.
const WHEELS: &str = ".local/share/labctl/parts";

/// Finds the first of these programs: on the PATH, or where servers are usually installed.
pub fn find(programs: &[String]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let besides = BESIDES.iter().map(PathBuf::from).chain(versions());
    let directories = std::env::split_paths(&path)
        .chain(besides)
        .chain(std::env::home_dir().map(wheels).into_iter().flatten());
    let directories: Vec<_> = directories.collect();
    let named = |program| directories.iter().map(move |directory| directory.join(program));
    programs.iter().flat_map(named).find(|candidate| candidate.is_file())
}

/// Lists the directories of programs from wheels: most install into `bin`; Envoy's has only a script there, and the
/// program elsewhere.
fn wheels(home: PathBuf) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(home.join(WHEELS)).into_iter().flatten().flatten();
    entries.flat_map(|entry| ["envoy/_bin", "bin"].map(|within| entry.path().join(within))).collect()
}

/// Lists the directories of programs that come in several versions, the latest first.
fn versions() -> Vec<PathBuf> {
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let entries = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let mut versions: Vec<_> =
        entries.filter_map(|entry| Some((number(&entry.path())?, entry.path()))).collect();
    versions.sort_by(|one, other| other.cmp(one));
    versions.into_iter().map(|(_, path)| path.join("bin")).collect()
}

/// Reads a known part's version from the first line of its output that contains a digit.
pub async fn version(known: &Known, program: &Path) -> Option<String> {
    let mut command = Command::new(program);
    command.args(&known.version).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(VERSION_MAX, command.output()).await.ok()?.ok()?;
    // nginx prints it to standard error.
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let line = said.lines().find(|line| line.chars().any(|letter| letter.is_ascii_digit()))?;
    version_in(line)
}

/// Returns the first word of a line that looks like a version: `2.6.12-1+deb12u4`.
fn version_in(line: &str) -> Option<String> {
    let is_version = |word: &&str| {
        let digits = word.trim_start_matches('v');
        digits.starts_with(|letter: char| letter.is_ascii_digit()) && digits.contains('.')
    };
    line.split([' ', '/', '(', ')', ':', '=']).find(is_version).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_what_programs_say() {
        let line = "HAProxy version 2.6.12-1+deb12u4 2026/01/01 - https://haproxy.org/";
        assert_eq!(version_in(line).unwrap(), "2.6.12-1+deb12u4");
        assert_eq!(version_in("nginx version: nginx/1.22.1").unwrap(), "1.22.1");
        assert_eq!(version_in("v2.11.0 h1:abc").unwrap(), "v2.11.0");
        assert_eq!(version_in("Redis server v=7.0.15 sha=00000000:0 bits=64").unwrap(), "7.0.15");
        assert_eq!(version_in("no digits here"), None);
    }

    #[test]
    fn a_program_out_of_a_wheel_is_found_where_it_was_installed() {
        let home = tempfile::tempdir().unwrap();
        let bin = home.path().join(WHEELS).join("caddy/bin");
        std::fs::create_dir_all(&bin).unwrap();
        assert!(wheels(home.path().to_owned()).contains(&bin));
        assert!(wheels(PathBuf::from("/no/such/home")).is_empty());
    }

    #[test]
    fn a_program_that_is_nowhere_is_not_found() {
        assert_eq!(find(&["no-such-program-anywhere".into()]), None);
        assert!(find(&["no-such-program-anywhere".into(), "sh".into()]).is_some());
    }
}
