//! The Redis server on this computer, the only program that the lab does not bring along.

use std::path::PathBuf;

use super::backend::Backend;
use super::plan::Plan;
use crate::error::LabError;
use chapter::act::Target;
use chapter::{Act, Chapter};

/// The server programs that will do; the first one found is used.
const SERVERS: [&str; 2] = ["redis-server", "valkey-server"];

/// Finds the Redis server, if there is one.
pub fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let directories: Vec<_> = std::env::split_paths(&path).collect();
    let named = |server| directories.iter().map(move |directory| directory.join(server));
    SERVERS.into_iter().flat_map(named).find(|candidate| candidate.is_file())
}

/// Advice for a computer without one.
pub fn how_to_get_it() -> &'static str {
    "install one (Debian, Ubuntu: `apt-get install redis-server`; Fedora: `dnf install valkey`; macOS: `brew install redis`), or say where one is already running: LABCTL_REDIS_URL=redis://127.0.0.1:6379"
}

/// Checks that the backend can use an existing Redis.
pub fn check_url(backend: Backend, url: Option<&str>) -> Result<(), LabError> {
    match (backend.is_containers(), url) {
        // The URL is not repeated: it may have a password in it.
        (true, Some(_)) => Err(LabError::Usage(
            "--redis-url: containers have a Redis of their own, and do not reach this one; leave it out, and unset LABCTL_REDIS_URL"
                .into(),
        )),
        _ => Ok(()),
    }
}

/// Checks that the plan can be carried out with the Redis available. Containers use an image.
pub fn check(plan: &Plan) -> Result<(), LabError> {
    if plan.deployment().backend.is_containers() {
        return Ok(());
    }
    let wanted = plan.to_start().flat_map(|machine| &machine.programs).any(|plan| plan.program.is_redis());
    if wanted && plan.deployment().redis_url.is_some() {
        return Err(LabError::NotReady(
            "this chapter starts Redis replicas and Sentinels of its own: unset LABCTL_REDIS_URL".into(),
        ));
    }
    if wanted && find().is_none() {
        return Err(LabError::NotReady(format!(
            "this chapter needs a Redis server, and there is none: {}",
            how_to_get_it()
        )));
    }
    Ok(())
}

/// Checks that a chapter does nothing to an existing Redis, which labctl must not kill.
pub fn check_story(plan: &Plan, chapter: &Chapter) -> Result<(), LabError> {
    let is_elsewhere = |name: &str| plan.machines.get(name).is_some_and(|machine| machine.elsewhere);
    for step in &chapter.step {
        for target in step.acts().flat_map(Act::targets) {
            let (Target::Machine(name) | Target::Program(name)) = target else { continue };
            let machine = name.split('/').next().unwrap_or_default();
            if is_elsewhere(machine) {
                return Err(LabError::NotReady(format!(
                    "step '{}' does something to {machine}, and the Redis at LABCTL_REDIS_URL is not labctl's: unset it",
                    step.name
                )));
            }
        }
    }
    Ok(())
}
