//! Helpers for the Docker engine.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use tests::Lab;
use tests::lab::shown;

/// A lab in containers for one test. Dropping it removes the containers.
pub(crate) struct InContainers(Lab);

impl InContainers {
    /// Creates an empty one.
    pub(crate) fn new() -> Self {
        Self(Lab::new())
    }
}

impl Deref for InContainers {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.0
    }
}

impl Drop for InContainers {
    fn drop(&mut self) {
        labctl(self, &["down"]);
    }
}

/// Runs `labctl` on a lab in containers.
pub(crate) fn labctl(lab: &Lab, words: &[&str]) -> Output {
    let mut command = lab.labctl();
    command
        .env("LABCTL_BACKEND", "compose")
        .env("LABCTL_NETWORK", "172.28")
        .timeout(Duration::from_secs(280));
    command.args(words).output().expect("labctl can be started")
}

/// Runs `labctl`, which must succeed, and returns its output.
pub(crate) fn succeed(lab: &Lab, words: &[&str]) -> String {
    let output = labctl(lab, words);
    assert!(output.status.success(), "labctl {words:?}: {}", shown(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs `docker`, which must succeed, and returns its output.
pub(crate) fn docker(words: &[&str]) -> String {
    let output = Command::new("docker").args(words).current_dir(workspace()).output();
    let output = output.expect("docker can be started");
    assert!(output.status.success(), "docker {words:?}: {}", shown(&output));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Runs `docker`, and returns whether it succeeded.
pub(crate) fn try_docker(words: &[&str]) -> bool {
    Command::new("docker").args(words).output().is_ok_and(|output| output.status.success())
}

/// Returns the workspace's directory, where the compose file is.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it is in the workspace").to_owned()
}

/// Returns what is left of a project: its containers, networks and volumes.
pub(crate) fn left_of(project: &str) -> String {
    let label = format!("label=com.docker.compose.project={project}");
    let networks = docker(&["network", "ls", "--quiet", "--filter", &label]);
    let networks = networks.lines().filter(|network| !is_miscounted(network));
    [docker(&["ps", "--all", "--quiet", "--filter", &label])]
        .into_iter()
        .chain(networks.map(str::to_owned))
        .chain([docker(&["volume", "ls", "--quiet", "--filter", &label])])
        .collect()
}

/// Returns whether a network has no containers and yet the engine refuses to remove it: on a busy computer, it
/// sometimes loses count. labctl warns of that.
fn is_miscounted(network: &str) -> bool {
    let nothing_is_there = docker(&["network", "inspect", "--format", "{{len .Containers}}", network]) == "0";
    let output = Command::new("docker").args(["network", "rm", network]).output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).unwrap_or_default();
    nothing_is_there && said.contains("has active endpoints")
}
