//! The Docker engine as these tests use it.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use tests::Lab;
use tests::lab::shown;

/// A lab of one test's own, in containers: whatever becomes of the test, they are ended with it.
pub(crate) struct InContainers(Lab);

impl InContainers {
    /// An empty one.
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

/// `labctl` for a lab in containers.
pub(crate) fn labctl(lab: &Lab, words: &[&str]) -> Output {
    let mut command = lab.labctl();
    command
        .env("LABCTL_BACKEND", "compose")
        .env("LABCTL_NETWORK", "172.28")
        .timeout(Duration::from_secs(280));
    command.args(words).output().expect("labctl can be started")
}

/// The same, which has to succeed; what it printed.
pub(crate) fn succeed(lab: &Lab, words: &[&str]) -> String {
    let output = labctl(lab, words);
    assert!(output.status.success(), "labctl {words:?}: {}", shown(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `docker`, which has to succeed; what it printed.
pub(crate) fn docker(words: &[&str]) -> String {
    let output = Command::new("docker").args(words).current_dir(workspace()).output();
    let output = output.expect("docker can be started");
    assert!(output.status.success(), "docker {words:?}: {}", shown(&output));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// `docker`, which may fail; whether it did not.
pub(crate) fn try_docker(words: &[&str]) -> bool {
    Command::new("docker").args(words).output().is_ok_and(|output| output.status.success())
}

/// Where the compose file is.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it is in the workspace").to_owned()
}

/// What is left of a project: its containers, networks and volumes.
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

/// True when nothing is on a network, and yet the engine does not remove it: it has lost count, as it does now and
/// then on a busy computer. labctl warns of that.
fn is_miscounted(network: &str) -> bool {
    let nothing_is_there = docker(&["network", "inspect", "--format", "{{len .Containers}}", network]) == "0";
    let output = Command::new("docker").args(["network", "rm", network]).output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).unwrap_or_default();
    nothing_is_there && said.contains("has active endpoints")
}
