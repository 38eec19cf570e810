//! A lab in a temporary directory, with addresses that no other test uses.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use assert_cmd::Command;
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::processes;

/// No labctl command takes longer than this in a test.
const PATIENCE: Duration = Duration::from_secs(150);

/// A lab for one test. Dropping it kills whatever is left of it.
#[derive(Debug)]
pub struct Lab {
    directory: TempDir,
    network: String,
}

/// Returns the directory of the lab's programs.
pub fn programs() -> PathBuf {
    let own = std::env::current_exe().expect("this program has a path");
    let profile = own.parent().and_then(Path::parent).expect("tests are built into target/PROFILE/deps");
    assert!(
        profile.join("labctl").is_file(),
        "there is no labctl in {}: build the lab's programs in this profile first (cargo build --release --bins)",
        profile.display()
    );
    profile.to_owned()
}

impl Lab {
    /// Creates an empty one.
    #[expect(clippy::new_without_default, reason = "a lab is something to make on purpose")]
    pub fn new() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        // Tests may run as threads or as processes; either way their numbers differ.
        let number = u32::from(NEXT.fetch_add(1, Ordering::Relaxed)) + std::process::id();
        let network = format!("127.{}", 100 + number % 150);
        Self { directory: TempDir::new().expect("a temporary directory can be made"), network }
    }

    /// Returns its directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the first two bytes of its addresses.
    pub fn network(&self) -> &str {
        &self.network
    }

    /// Returns a `labctl` command for this lab, without arguments.
    pub fn labctl(&self) -> Command {
        let mut command = Command::from_std(self.plain_labctl());
        command.timeout(PATIENCE);
        command
    }

    /// Returns the same as a command of the standard library.
    pub fn plain_labctl(&self) -> std::process::Command {
        let mut command = std::process::Command::new(programs().join("labctl"));
        command.current_dir(self.path()).env("LABCTL_NETWORK", &self.network).env("NO_COLOR", "1");
        command
    }

    /// Runs `labctl` with arguments.
    pub fn run(&self, words: &[&str]) -> Output {
        self.labctl().args(words).output().expect("labctl can be started")
    }

    /// Runs `labctl`, which must succeed, and returns its output.
    pub fn succeed(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "labctl {words:?}: {}", shown(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs `labctl`, and parses its JSON output.
    pub fn json(&self, words: &[&str]) -> Value {
        let text = self.succeed(&[words, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("labctl {words:?}: {error}: {text}"))
    }

    /// Returns a machine's entry in `labctl status`.
    pub fn machine(&self, name: &str) -> Value {
        let status = self.json(&["status"]);
        let machines = status["machines"].as_array().expect("machines are a list");
        machines
            .iter()
            .find(|machine| machine["name"] == name)
            .unwrap_or_else(|| panic!("no {name}: {status}"))
            .clone()
    }

    /// Returns the processes that are left of this lab: any that listens on, or mentions, one of its addresses or
    /// directories.
    pub fn running(&self) -> Vec<(u32, String)> {
        let mut running = processes::with(&format!("{}.", self.network));
        running.extend(processes::with(&self.path().display().to_string()));
        running
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for (pid, _) in self.running() {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
        }
    }
}

/// Formats a command's result for a message.
pub fn shown(output: &Output) -> String {
    format!(
        "{}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
