//! A chapter's machines as containers: one container is one machine.
//!
//! The plan is the same as for processes: the same flags, with addresses on the lab's own network. What
//! machines share with labctl (sockets, logs, data) is mounted under the same paths. `docker compose` creates
//! the containers and plain `docker` acts on them. All state comes from the engine's events, so it makes no
//! difference who acted.

mod cable;
mod container;
mod engine;
mod follow;
mod inspect;
mod project;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use futures_util::future::join_all;
use nix::sys::signal::Signal;
use nix::unistd::{getegid, geteuid};
use parking_lot::Mutex;
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;

pub use cable::Cable;

use self::container::{Container, did_not};
use self::engine::{RedisImage, Refused, WHOLE_LAB, docker, docker_within};
use self::follow::Fleet;
use self::inspect::Inspected;
use self::project::{Ground, LABEL};
use super::directories;
use super::events::Events;
use super::life::Life;
use super::machine::RunningMachine;
use super::plan::{MachinePlan, Plan, secret_file};
use super::site::Site;
use crate::error::LabError;

/// The user `nobody`, as whom containers run if labctl is run by root.
const NOBODY: (u32, u32) = (65534, 65534);
/// How long the engine may take to report that a container was started.
const START_MAX: Duration = Duration::from_secs(10);
/// Grace period of `docker compose down`, in seconds.
const END_SECONDS: &str = "3";

/// The containers of one lab.
#[derive(Debug)]
pub(super) struct Project {
    ground: Ground,
    events: Events,
    /// The Compose project as last written.
    written: Mutex<Value>,
    fleet: Fleet,
    _following: AbortOnDropHandle<()>,
}

/// Checks that the engine, Compose and the images are there. Returns the engine's cores.
pub(super) async fn check(plan: &Plan, site: &Site) -> Result<u32, LabError> {
    for machine in plan.to_start() {
        let redis = machine.programs.iter().filter(|program| program.program.is_redis()).count();
        if redis > 1 || (redis == 1 && machine.programs.len() > 1) {
            return Err(LabError::Usage(format!(
                "{}: Redis has an image of its own, and in a container no other program beside it: give it a machine of its own",
                machine.name
            )));
        }
    }
    let needs_redis =
        plan.to_start().any(|machine| machine.programs.iter().any(|plan| plan.program.is_redis()));
    let redis = if needs_redis { RedisImage::Fetched } else { RedisImage::NotNeeded };
    let engine = engine::check(&site.programs, redis).await?;
    let project = project::name(plan.deployment().network);
    let others = docker(&[
        "ps",
        "--all",
        "--filter",
        &format!("label=com.docker.compose.project={project}"),
        "--format",
        &format!("{{{{.Label {LABEL:?}}}}}"),
    ])
    .await
    .map_err(did_not)?;
    match others.lines().next() {
        Some(other) if Path::new(other) == site.lab_directory => remove(plan).await?,
        Some(other) => {
            return Err(LabError::NotReady(format!(
                "a lab in containers is there already, that of {other}: end it with `labctl down --lab-dir {other}`"
            )));
        }
        None => {}
    }
    Ok(engine.cores)
}

/// What this computer lacks for a lab in containers, if anything.
pub async fn missing() -> Option<String> {
    let programs = match directories::find_programs() {
        Ok(programs) => programs,
        Err(error) => return Some(error.to_string()),
    };
    engine::check(&programs, RedisImage::LookedFor).await.err().map(|error| error.to_string())
}

impl Project {
    /// Creates the network and every container. None of them is started.
    pub(super) async fn create(
        plan: &Plan,
        site: &Site,
        logs: &Path,
        events: &Events,
        cores: u32,
    ) -> Result<Self, LabError> {
        let (user, group) = (geteuid().as_raw(), getegid().as_raw());
        let ground = Ground {
            lab_directory: site.lab_directory.clone(),
            sockets: site.sockets.clone(),
            logs: logs.to_owned(),
            user: if user == 0 { NOBODY } else { (user, group) },
            cores,
        };
        let fleet = Fleet::default();
        let following =
            follow::follow(project::name(plan.deployment().network), Arc::clone(&fleet), events.clock())?;
        let project = Self {
            ground,
            events: events.clone(),
            written: Mutex::default(),
            fleet,
            _following: AbortOnDropHandle::new(tokio::spawn(following)),
        };
        project.write_secrets(plan)?;
        for machine in plan.to_start() {
            project.prepare(machine, plan).with_context(|| format!("make room for {}", machine.name))?;
        }
        project.make(plan, &[]).await?;
        Ok(project)
    }

    /// Starts a machine's container, which is created again if its plan has changed or it has disappeared.
    pub(super) async fn start(&self, machine: MachinePlan, plan: &Plan) -> Result<RunningMachine, LabError> {
        let name = machine.name.clone();
        self.prepare(&machine, plan).with_context(|| format!("make room for {name}"))?;
        let service = project::service(&machine, plan, &self.ground);
        let has_changed = self.written.lock()["services"][&name] != service;
        let container = self.fleet.lock().get(&name).cloned().context("it was prepared")?;
        let found = match Inspected::of(container.name()).await {
            Ok(found) if !has_changed => found,
            _ => {
                let mut plan = plan.clone();
                plan.machines.insert(name.clone(), machine.clone());
                self.make(&plan, &[&name]).await?;
                Inspected::of(container.name()).await.map_err(did_not)?
            }
        };
        plug_in(&container, &found).await?;
        let times = container.life().times_on() + 1;
        docker(&["start", container.name()]).await.map_err(|refused| not_made(&refused))?;
        if !container.life().wait_until_on(times, START_MAX).await {
            return Err(LabError::not_ready(format!(
                "the docker engine did not say within {START_MAX:?} that it has started {name}"
            )));
        }
        let socket = self.ground.socket(&name);
        let life = Arc::clone(container.life());
        Ok(RunningMachine::new(machine, container, socket, life))
    }

    /// Reconnects every machine that was disconnected, or that has another address. Returns the equivalent
    /// shell commands.
    pub(super) async fn plug_all_in(&self) -> Result<Vec<String>, LabError> {
        let mut typed = Vec::new();
        let containers: Vec<_> = self.fleet.lock().values().cloned().collect();
        let pulled = |life: &Life| life.is_on() && !life.is_connected();
        for container in containers.iter().filter(|container| pulled(container.life())) {
            let found = Inspected::of(container.name()).await.map_err(did_not)?;
            typed.extend(plug_in(container, &found).await?);
        }
        Ok(typed)
    }

    /// Removes a machine's container for good.
    pub(super) async fn forget(&self, name: &str) {
        let container = self.fleet.lock().remove(name);
        if let Some(container) = container {
            // It may have been removed already.
            let _ = docker(&["rm", "--force", "--volumes", container.name()]).await;
        }
    }

    /// Ends everything, and removes the containers and the network.
    pub(super) async fn down(&self, plan: &Plan) -> Result<(), LabError> {
        let containers: Vec<_> = self.fleet.lock().values().cloned().collect();
        for container in &containers {
            container.life().intend(Signal::SIGTERM);
        }
        let frozen =
            containers.iter().filter(|container| container.life().is_frozen() && container.life().is_on());
        join_all(frozen.map(|container| container.send(Signal::SIGCONT))).await;
        remove(plan).await?;
        join_all(containers.iter().map(|container| container.life().wait_until_off(Duration::from_secs(2))))
            .await;
        Ok(())
    }

    /// Creates the directories that a machine expects at its start, with the right owner.
    fn prepare(&self, machine: &MachinePlan, plan: &Plan) -> std::io::Result<()> {
        let (name, network) = (&machine.name, plan.deployment().network);
        let shared = [self.ground.socket_directory(name), self.ground.logs.join(name)];
        let data = machine.programs.iter().filter_map(|program| program.data.clone());
        for directory in shared.into_iter().chain(data) {
            fs::create_dir_all(&directory)?;
            if project::moves_an_address(machine) {
                // Root without capabilities can write only to its own files and to world-writable ones.
                fs::set_permissions(&directory, Permissions::from_mode(0o777))?;
            } else {
                self.give(&directory)?;
            }
        }
        // A machine that was killed left its socket behind.
        let _ = fs::remove_file(self.ground.socket(name));
        let alone = machine.programs.first().filter(|program| program.program.is_redis());
        let alone = alone.map(|program| program.program.name());
        let address = plan.ip_of(name).expect("a machine that is started is one of the plan");
        self.fleet.lock().entry(name.clone()).or_insert_with(|| {
            let life = Life::new(name, &self.events);
            let cable = Cable::of(network, name, address);
            Arc::new(Container::new(cable, life, self.ground.reports(name), alone))
        });
        Ok(())
    }

    /// Gives a directory and its contents to the user that containers run as.
    fn give(&self, path: &Path) -> std::io::Result<()> {
        if !geteuid().is_root() {
            return Ok(());
        }
        let (user, group) = self.ground.user;
        chown(path, Some(user), Some(group))?;
        if path.is_dir() {
            for entry in fs::read_dir(path)? {
                self.give(&entry?.path())?;
            }
        }
        Ok(())
    }

    /// Every container can reach the balancers, so these require a token.
    fn write_secrets(&self, plan: &Plan) -> anyhow::Result<()> {
        let Some(path) = plan.deployment().admin_token_file() else { return Ok(()) };
        let token = plan.client().token().unwrap_or_default();
        fs::write(&path, token).with_context(|| format!("write {}", path.display()))?;
        for path in [path, secret_file(&plan.deployment().data)] {
            // Root without capabilities can read only world-readable files; no other user can enter the
            // directory.
            fs::set_permissions(&path, Permissions::from_mode(0o444))?;
        }
        fs::set_permissions(&plan.deployment().data, Permissions::from_mode(0o700))?;
        Ok(())
    }

    /// Has Compose create what the plan says: everything, or these machines.
    async fn make(&self, plan: &Plan, machines: &[&str]) -> Result<(), LabError> {
        let project = project::project(plan, &self.ground);
        let file = self.file();
        fs::write(&file, serde_json::to_vec_pretty(&project).context("write the compose file")?)
            .with_context(|| format!("write {}", file.display()))?;
        let file = file.display().to_string();
        let name = project::name(plan.deployment().network);
        let create = ["compose", "--project-name", &name, "--file", &file, "create", "--pull", "never"];
        let made = docker_within(WHOLE_LAB, &[&create, machines].concat()).await;
        made.map_err(|refused| not_made(&refused))?;
        let mut written = self.written.lock();
        if machines.is_empty() {
            *written = project;
        } else {
            machines.iter().for_each(|name| written["services"][*name] = project["services"][*name].clone());
        }
        Ok(())
    }

    /// The project file, for anyone who wants to read it.
    fn file(&self) -> PathBuf {
        self.ground.lab_directory.join("compose.json")
    }
}

/// Reconnects a container that is disconnected or has another address. Returns the equivalent shell commands.
async fn plug_in(container: &Container, found: &Inspected) -> Result<Vec<String>, LabError> {
    let cable = container.cable();
    if found.is_plugged(cable) {
        return Ok(vec![]);
    }
    let pull = found.is_on(cable).then(|| cable.pull());
    let typed: Vec<_> = pull.into_iter().chain([cable.plug()]).collect();
    for command in &typed {
        let words: Vec<_> = command.split(' ').skip(1).collect();
        docker(&words).await.map_err(did_not)?;
    }
    Ok(typed)
}

/// Removes every container of the lab, and its network.
pub(super) async fn remove(plan: &Plan) -> Result<(), LabError> {
    let project = project::name(plan.deployment().network);
    let down = [
        "compose",
        "--project-name",
        &project,
        "down",
        "--timeout",
        END_SECONDS,
        "--volumes",
        "--remove-orphans",
    ];
    match docker_within(WHOLE_LAB, &down).await {
        Err(refused) if !is_miscounted(&project, &refused).await => Err(left(&refused)),
        _ => Ok(()),
    }
}

/// The engine's error for removing a network that has containers on it.
const IN_USE: &str = "has active endpoints";

/// True when the engine keeps a network though nothing is on it. It loses count when many containers are started,
/// killed and disconnected at the same time on a busy computer (moby/moby#17217).
async fn is_miscounted(network: &str, refused: &Refused) -> bool {
    if !refused.said.contains(IN_USE) {
        return false;
    }
    let count = docker(&["network", "inspect", "--format", "{{len .Containers}}", network]).await;
    let is_empty = count.is_ok_and(|count| count.trim() == "0");
    if is_empty {
        tracing::warn!(
            "the docker engine keeps the empty network '{network}': it counts a container there that is gone; the next lab uses it, and a restart of the engine removes it"
        );
    }
    is_empty
}

fn left(refused: &Refused) -> LabError {
    LabError::NotReady(format!(
        "containers of the lab may be left ({refused}): see that the docker engine is well, and then `labctl down` removes them"
    ))
}

/// Selects the leftovers to sweep.
#[derive(Debug, Clone, Copy)]
pub(super) enum Whose<'a> {
    /// Those of the lab in this directory, on this network.
    Lab(&'a Path, [u8; 2]),
    /// Those of all labs that were in this directory, including labs beside one another in it, even if
    /// nothing else is known about them.
    Any(&'a Path),
}

/// Removes what killed labs left behind, and returns the names of what was removed.
pub(super) fn sweep(whose: Whose<'_>) -> Result<Vec<String>, LabError> {
    // The caller blocks until this is done, inside or outside of a task.
    let sweeping = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.context("sweep up containers")?.block_on(sweep_up(whose))
    };
    thread::scope(|scope| scope.spawn(sweeping).join().expect("sweeping does not panic"))
}

async fn sweep_up(whose: Whose<'_>) -> Result<Vec<String>, LabError> {
    let found = match (containers_of(whose).await, whose) {
        (Ok(found), _) => found,
        // Nothing says that there were any containers, or that there ever was an engine.
        (Err(_), Whose::Any(_)) => return Ok(vec![]),
        (Err(refused), Whose::Lab(..)) => return Err(left(&refused)),
    };
    let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    if !names.is_empty() {
        let removed = docker_within(WHOLE_LAB, &[&["rm", "--force", "--volumes"], &*names].concat()).await;
        // A container that was already being removed is refused, but is gone afterwards.
        if let Err(refused) = removed
            && !containers_of(whose).await.is_ok_and(|still| still.is_empty())
        {
            return Err(left(&refused));
        }
    }
    let mut networks: BTreeSet<_> = found.iter().map(|(_, project)| project.clone()).collect();
    if let Whose::Lab(_, network) = whose {
        networks.insert(project::name(network));
    }
    for network in networks {
        if let Err(refused) = docker(&["network", "rm", &network]).await
            && !refused.said.to_lowercase().contains("not found")
            && !refused.said.to_lowercase().contains("no such network")
            && !is_miscounted(&network, &refused).await
        {
            return Err(LabError::NotReady(format!(
                "the network of the lab is left ({refused}): remove what else is on it (`docker network inspect {network}` shows that), and then `labctl down`"
            )));
        }
    }
    Ok(found.into_iter().map(|(name, _)| name).collect())
}

/// The containers, each with its Compose project.
async fn containers_of(whose: Whose<'_>) -> Result<Vec<(String, String)>, Refused> {
    let (Whose::Lab(directory, _) | Whose::Any(directory)) = whose;
    let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let label = match whose {
        Whose::Lab(..) => format!("label={LABEL}={}", directory.display()),
        Whose::Any(_) => format!("label={LABEL}"),
    };
    let format =
        format!("{{{{.Names}}}}\t{{{{.Label \"com.docker.compose.project\"}}}}\t{{{{.Label {LABEL:?}}}}}");
    let said = docker(&["ps", "--all", "--filter", &label, "--format", &format]).await?;
    Ok(said.lines().filter_map(|line| container_in(line, &directory)).collect())
}

/// Parses a line about a container, if its lab was in this directory or beside others in it.
fn container_in(line: &str, directory: &Path) -> Option<(String, String)> {
    let mut parts = line.splitn(3, '\t');
    let (name, project, lab) = (parts.next()?, parts.next()?, Path::new(parts.next()?));
    let is_in = lab == directory || (directories::is_beside(lab) && lab.parent() == Some(directory));
    is_in.then(|| (name.to_owned(), project.to_owned()))
}

/// What keeps the engine from creating a container is mostly something that already exists.
fn not_made(refused: &Refused) -> LabError {
    let said = &refused.said;
    let advice = if said.contains("Pool overlaps") || said.contains("invalid pool request") {
        "another network of this engine has these addresses: `docker network ls` shows them, or give --network 172.29"
    } else if said.contains("is already in use by container") {
        "another container has this name: remove it (`docker rm --force NAME`), or end what it belongs to"
    } else if said.contains("port is already allocated") || said.contains("address already in use") {
        "another program has this port: `ss -ltnp` shows which"
    } else {
        return LabError::NotReady(format!("the docker engine did not make the lab: {said}"));
    };
    LabError::NotReady(format!("the docker engine did not make the lab ({said}); {advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labs_beside_one_another_are_found_with_their_directory() {
        let of = |line: &str| container_in(line, Path::new("/home/ada/.lab"));
        let own = Some(("web-1".to_owned(), "labctl".to_owned()));
        assert_eq!(of("web-1\tlabctl\t/home/ada/.lab"), own);
        assert_eq!(of("web-1\tlabctl\t/home/ada/.lab/beside-2"), own);
        assert_eq!(of("web-1\tlabctl\t/home/ada/.lab/other"), None);
        assert_eq!(of("web-1\tlabctl\t/home/ada/.lab-2"), None);
        assert_eq!(of("web-1\tlabctl\t/home/bob/.lab"), None);
    }
}
