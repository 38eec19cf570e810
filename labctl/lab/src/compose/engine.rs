//! The docker command, and the check that everything the lab needs from it is there. Whatever is missing is
//! reported in one sentence that says what to do.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::process::Command;
use tokio::time::timeout;

use super::project::{IMAGE, REDIS_IMAGE};
use crate::error::LabError;

/// The longest one command of the engine may take.
const LIMIT: Duration = Duration::from_secs(60);
/// The longest the engine may take to create or remove a whole lab.
pub(super) const WHOLE_LAB: Duration = Duration::from_secs(180);
/// The longest it may take to pull an image.
const PULL: Duration = Duration::from_secs(600);
/// The label in which `scripts/images.sh` records the programs that an image was built from.
const BUILD_LABEL: &str = "scaling-lab.build";
/// The label's value in an image built from source. It is not compared, since no two builds are alike.
const FROM_SOURCE: &str = "source";
/// The programs that are compared, in the order in which the script hashes them.
const PROGRAMS: [&str; 4] = ["machine", "lb", "webserver", "dbnode"];

/// The reason why the engine did not do something.
#[derive(Debug, thiserror::Error)]
#[error("docker {asked}: {said}")]
pub(super) struct Refused {
    /// The arguments of the command.
    asked: String,
    /// The last line of its output, which names the error.
    pub(super) said: String,
    /// The docker command is not installed.
    missing: bool,
}

impl Refused {
    /// An answer that could not be used.
    pub(super) fn of(asked: &str, said: String) -> Self {
        Self { asked: asked.to_owned(), said, missing: false }
    }
}

/// Runs the docker command and returns its output.
pub(super) async fn docker<Word: AsRef<str>>(words: &[Word]) -> Result<String, Refused> {
    docker_within(LIMIT, words).await
}

/// Like [`docker`], with a limit for commands that take longer.
pub(super) async fn docker_within<Word: AsRef<str>>(
    limit: Duration,
    words: &[Word],
) -> Result<String, Refused> {
    let output = run("docker", words, limit).await?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The last line that a container printed, on either stream.
pub(super) async fn last_said(container: &str) -> Option<String> {
    let Output { stdout, stderr, .. } =
        run("docker", &["logs", "--tail", "1", container], LIMIT).await.ok()?;
    last_line(&stderr).or_else(|| last_line(&stdout))
}

async fn run<Word: AsRef<str>>(program: &str, words: &[Word], limit: Duration) -> Result<Output, Refused> {
    let words: Vec<_> = words.iter().map(AsRef::as_ref).collect();
    let refused = |said: String, missing| Refused { asked: words.join(" "), said, missing };
    let mut command = Command::new(program);
    // Ctrl-C in the terminal is for labctl.
    command.args(&words).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    match timeout(limit, command.output()).await {
        Err(_) => Err(refused(format!("no end within {limit:?}"), false)),
        Ok(Err(error)) => Err(refused(error.to_string(), error.kind() == ErrorKind::NotFound)),
        Ok(Ok(output)) if output.status.success() => Ok(output),
        Ok(Ok(output)) => Err(refused(wrong(&output.stderr).unwrap_or("it failed".into()), false)),
    }
}

/// Errors come last, except for hints that the command adds to the engine's own message.
fn wrong(said: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(said);
    let engines = text.lines().map(str::trim).rfind(|line| line.starts_with("Error response from daemon"));
    engines.map(str::to_owned).or_else(|| last_line(said))
}

fn last_line(said: &[u8]) -> Option<String> {
    let said = String::from_utf8_lossy(said);
    said.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned)
}

/// The engine's properties that matter to the lab.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Engine {
    /// The cores that it can give to containers.
    #[serde(rename = "NCPU")]
    pub(super) cores: u32,
    #[serde(default)]
    operating_system: String,
    #[serde(default)]
    security_options: Option<Vec<String>>,
    #[serde(default)]
    server_errors: Option<Vec<String>>,
}

/// How the Redis image is checked.
#[derive(Debug, Clone, Copy)]
pub(super) enum RedisImage {
    /// Not at all: no machine uses it.
    NotNeeded,
    /// Pulled if it is missing.
    Fetched,
    /// Reported if it is missing.
    LookedFor,
}

/// Checks that everything is there: the engine, Compose v2, and images of these programs.
pub(super) async fn check(programs: &Path, redis: RedisImage) -> Result<Engine, LabError> {
    let (engine, compose, own, redis) =
        tokio::join!(engine(), compose(), own_image(programs.to_owned()), redis_image(redis));
    let engine = engine?;
    compose?;
    own?;
    redis?;
    Ok(engine)
}

async fn engine() -> Result<Engine, LabError> {
    let said = docker(&["info", "--format", "{{json .}}"]).await.map_err(|refused| {
        if refused.missing {
            return LabError::not_ready(
                "--backend compose needs docker, and there is no such command: install Docker (https://docs.docker.com/engine/install; Debian: `apt-get install docker.io`)",
            );
        }
        no_engine(&refused.said)
    })?;
    let engine: Engine = serde_json::from_str(&said).map_err(|error| no_engine(&error.to_string()))?;
    // Some versions print their properties together with an error.
    if let Some(error) = engine.server_errors.iter().flatten().next() {
        return Err(no_engine(error));
    }
    let is_rootless = engine.security_options.iter().flatten().any(|option| option.contains("rootless"));
    if is_rootless || engine.operating_system.contains("Docker Desktop") {
        return Err(LabError::not_ready(
            "this engine's containers have addresses that this computer cannot reach (rootless Docker or Docker Desktop): use an engine of this computer's own, or `docker compose --profile final up` without labctl",
        ));
    }
    Ok(engine)
}

fn no_engine(said: &str) -> LabError {
    let advice = match said.to_lowercase().contains("permission denied") {
        true => "this user may not use it: `sudo usermod -aG docker $USER`, and log in again",
        false => "start it: `sudo systemctl start docker`",
    };
    LabError::NotReady(format!("the docker engine does not answer ({said}); {advice}"))
}

async fn compose() -> Result<(), LabError> {
    const GET_IT: &str =
        "install it (https://docs.docker.com/compose/install, or `scripts/images.sh --base` on Debian)";
    let version = docker(&["compose", "version", "--short"]).await;
    if version.as_ref().is_ok_and(|version| major(version) >= 2) {
        return Ok(());
    }
    let old = match version {
        Ok(version) => Ok(version),
        Err(_) => {
            let output = run("docker-compose", &["version", "--short"], LIMIT).await;
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        }
    };
    Err(LabError::NotReady(match old {
        Ok(old) => format!("this is Compose {}, and the lab needs Compose v2: {GET_IT}", old.trim()),
        Err(_) => format!("docker has no compose plugin, and the lab needs Compose v2: {GET_IT}"),
    }))
}

fn major(version: &str) -> u32 {
    let number = version.trim().trim_start_matches('v').split('.').next();
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

async fn labels(image: &str) -> Result<HashMap<String, String>, Refused> {
    let said = docker(&["image", "inspect", image, "--format", "{{json .Config.Labels}}"]).await?;
    Ok(serde_json::from_str::<Option<_>>(&said).ok().flatten().unwrap_or_default())
}

async fn own_image(programs: PathBuf) -> Result<(), LabError> {
    let labels = labels(IMAGE).await.map_err(|_| {
        LabError::NotReady(format!("there is no image {IMAGE}: build it with `scripts/images.sh`"))
    })?;
    let Some(image) = labels.get(BUILD_LABEL).filter(|build| !build.is_empty()) else {
        return Err(LabError::NotReady(format!(
            "the image {IMAGE} does not say which programs are in it: build it with `scripts/images.sh`, or from source with `docker compose --profile final build`"
        )));
    };
    if image == FROM_SOURCE {
        return Ok(());
    }
    let own = tokio::task::spawn_blocking(move || build_of(&programs).context("read the lab's programs"));
    let own = own.await.map_err(anyhow::Error::from)??;
    match *image == own {
        true => Ok(()),
        false => Err(LabError::NotReady(format!(
            "the image {IMAGE} is from another build ({image}) than this labctl ({own}): build it again with `scripts/images.sh`"
        ))),
    }
}

async fn redis_image(redis: RedisImage) -> Result<(), LabError> {
    if matches!(redis, RedisImage::NotNeeded) || labels(REDIS_IMAGE).await.is_ok() {
        return Ok(());
    }
    if matches!(redis, RedisImage::LookedFor) {
        return Err(LabError::NotReady(format!(
            "there is no image {REDIS_IMAGE} yet: `docker pull {REDIS_IMAGE}`, or `scripts/images.sh --base` where no registry can be reached"
        )));
    }
    let pulled = docker_within(PULL, &["pull", "--quiet", REDIS_IMAGE]).await;
    pulled.map(|_| ()).map_err(|refused| {
        LabError::NotReady(format!(
            "there is no image {REDIS_IMAGE}, and it cannot be pulled ({}): `scripts/images.sh --base` makes one",
            refused.said
        ))
    })
}

/// The hash that identifies a build of the programs.
fn build_of(programs: &Path) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    for program in PROGRAMS {
        hash.update(std::fs::read(programs.join(program))?);
    }
    Ok(hex::encode(hash.finalize())[..16].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart() {
        assert_eq!(major("2.26.1-4\n"), 2);
        assert_eq!(major("v2.5.0"), 2);
        assert_eq!(major("1.29.2"), 1);
        assert_eq!(major("unknown"), 0);
    }

    #[test]
    fn what_the_engine_says_goes_before_what_the_command_adds() {
        let said = |text: &str| wrong(text.as_bytes()).unwrap_or_default();
        let engines = "Error response from daemon: network labctl not found";
        assert_eq!(said(&format!("{engines}\nexit status 1\n")), engines);
        assert_eq!(said("Network labctl  Creating\npool is full\n\n"), "pool is full");
        assert_eq!(said(""), "");
    }

    #[test]
    fn the_engine_that_is_not_there_is_one_sentence() {
        let said =
            no_engine("permission denied while trying to connect to the Docker daemon socket").to_string();
        assert!(said.contains("usermod"), "{said}");
        assert!(no_engine("Cannot connect").to_string().contains("systemctl"));
    }
}
