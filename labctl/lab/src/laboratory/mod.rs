//! A running lab: its machines from start to end. `acts.rs`, `rolling.rs` and `links.rs` hold the acts,
//! `watching.rs` the background tasks, and `prepare.rs` writes the files that a machine starts with.

mod acts;
mod links;
mod prepare;
mod rolling;
mod watching;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use futures_util::future::{join_all, try_join, try_join_all};
use indexmap::IndexMap;
use machine::capacity::Usage;
use parking_lot::Mutex;
use tokio::time::sleep;

use self::links::{Links, open_links};
use self::prepare::{prepare, write_secret};
use super::balancers::Followers;
use super::cast;
use super::events::{Clock, Events, Happening};
use super::host::{Around, Checked, Host};
use super::http::Admin;
use super::link::Link;
use super::machine::RunningMachine;
use super::pairs;
use super::plan::{MachinePlan, Plan, Program, ProgramPlan, secret_file};
use super::ready::until_ready;
use super::roles::Roles;
use super::site::Site;
use super::state::{MachineState, State, chapter_file};
use super::status::MachineStatus;
use crate::error::LabError;
use crate::interrupt::Interrupt;
use chapter::{Source, suggest};
use parts::{Cast, Known};

const START_MAX: Duration = Duration::from_secs(20);
/// How long the start of a database behind an adapter may take: it is created, or copied.
const ADAPTED_START_MAX: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Retry interval for filling the disk of a machine that is being started.
const FILL_EVERY: Duration = Duration::from_millis(2);

/// A running lab.
#[derive(Debug)]
pub struct Laboratory {
    /// Everything that has happened in it.
    pub events: Events,
    site: Site,
    logs: PathBuf,
    plan: Mutex<Plan>,
    host: Host,
    machines: Mutex<IndexMap<String, Arc<RunningMachine>>>,
    links: Links,
    roles: Roles,
    followers: Mutex<Followers>,
    /// The machines whose disks are full.
    full_disks: Mutex<HashSet<String>>,
    state: Mutex<State>,
    /// Held by a restart. Two of one machine at the same time would start its programs twice.
    restarts: tokio::sync::Mutex<()>,
    /// The lab is shutting down: nothing is started any more.
    closing: AtomicBool,
}

impl Laboratory {
    /// Starts every machine of a chapter, and returns when all of them answer and each pair of balancers has
    /// its address. If this fails, nothing is left running.
    pub async fn start(
        source: &Source,
        plan: Plan,
        mut site: Site,
        logs: &Path,
        results: Option<PathBuf>,
        clock: Clock,
        interrupt: &Interrupt,
    ) -> Result<Arc<Self>, LabError> {
        site.cast = cast::of(source, &plan).await?;
        let events = Events::new(clock);
        let control = site.control_path();
        let state = State::new(&source.name, control, results, plan.deployment());
        // Written before anything exists, so that leftovers are found if this labctl is killed meanwhile.
        write_state(&state, &site)?;
        let checked = match Host::check(&plan, &site, interrupt).await {
            Ok(checked) => checked,
            Err(error) => {
                State::remove(&site.lab_directory);
                return Err(error);
            }
        };
        let around = Around { site: &site, logs, events: &events };
        let (host, links) = match interrupt.unless(make(&plan, checked, around)).await {
            Ok(made) => made,
            Err(error) => {
                // The state file stays as long as anything of the lab does.
                Host::abandon(&plan).await?;
                State::remove(&site.lab_directory);
                return Err(error);
            }
        };
        let lab = Arc::new(Self {
            events,
            logs: logs.to_owned(),
            host,
            machines: Mutex::default(),
            links,
            roles: Roles::default(),
            followers: Mutex::default(),
            full_disks: Mutex::default(),
            state: Mutex::new(state),
            site,
            plan: Mutex::new(plan.clone()),
            restarts: tokio::sync::Mutex::default(),
            closing: AtomicBool::new(false),
        });
        fs::write(chapter_file(&lab.site.lab_directory), &source.text).context("write the chapter")?;
        if let Err(error) = interrupt.unless(lab.start_all(&plan)).await {
            lab.close().await?;
            return Err(error);
        }
        for balancer in plan.balancers() {
            lab.follow(balancer);
        }
        lab.follow_databases(&plan);
        Ok(lab)
    }

    async fn start_all(&self, plan: &Plan) -> Result<(), LabError> {
        // A Sentinel learns which replicas the primary has when it first sees it, and then every ten seconds; a
        // balancer ejects servers that do not answer yet. So both come last, unless they share a machine with a Redis,
        // for which the others wait.
        let watches = |machine: &&MachinePlan| machine.has(Program::Sentinel) || machine.has(Program::Lb);
        let (watching, first): (Vec<_>, Vec<_>) = plan.to_start().partition(watches);
        let (shared, last): (Vec<_>, Vec<_>) =
            watching.into_iter().partition(|machine| machine.has(Program::Redis));
        let start = |machines: Vec<&MachinePlan>| {
            try_join_all(machines.into_iter().cloned().map(|machine| self.start_machine(machine)))
        };
        let one_after_the_other = async {
            start(first).await?;
            start(last).await
        };
        try_join(start(shared), one_after_the_other).await?;
        pairs::until_active(plan).await;
        Ok(())
    }

    /// The path of the control socket.
    pub fn control_path(&self) -> PathBuf {
        self.site.control_path()
    }

    /// The leftovers of a killed lab that were removed.
    pub fn swept(&self) -> &[String] {
        &self.site.swept
    }

    /// The external programs in place of the lab's own.
    pub fn cast(&self) -> &Cast {
        &self.site.cast
    }

    /// The directory of the machines' logs.
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// The directory of a run's results, if it keeps any.
    pub fn results(&self) -> Option<PathBuf> {
        self.state.lock().results.clone()
    }

    /// The plan as it is now.
    pub fn plan(&self) -> Plan {
        self.plan.lock().clone()
    }

    /// The machine of a kind that was acted on last while it was the primary, or the active balancer.
    pub fn former(&self, kind: &str) -> Option<String> {
        self.roles.former(kind)
    }

    /// The state of every machine.
    pub async fn status(&self) -> Vec<MachineStatus> {
        let mut machines: Vec<_> = self.machines.lock().values().cloned().collect();
        // The plan is not copied: a watcher polls this several times a second.
        let place = |name: &str| self.plan.lock().machines.get_index_of(name);
        machines.sort_by_cached_key(|machine| place(&machine.plan.name));
        join_all(machines.iter().map(|machine| MachineStatus::of(machine))).await
    }

    /// One machine's usage, and its lag since the last call.
    pub async fn usage(&self, name: &str) -> Option<(Usage, Duration)> {
        let machine = self.machines.lock().get(name).cloned()?;
        machine.usage().await
    }

    /// The usage of every machine that answers, by name.
    pub async fn usages(&self) -> IndexMap<String, Usage> {
        let machines: Vec<_> = self.machines.lock().values().cloned().collect();
        let asking = machines
            .iter()
            .filter(|machine| machine.is_on())
            .map(|machine| async move { Some((machine.plan.name.clone(), machine.usage().await?.0)) });
        join_all(asking).await.into_iter().flatten().collect()
    }

    /// The names of the running machines.
    pub fn machines_on(&self) -> Vec<String> {
        let machines = self.machines.lock();
        machines.iter().filter(|(_, machine)| machine.is_on()).map(|(name, _)| name.clone()).collect()
    }

    /// Ends everything: machines are asked first, then killed. If any are left, the state file stays, so that
    /// they are found.
    pub async fn close(&self) -> Result<(), LabError> {
        let machines: Vec<_> = {
            let machines = self.machines.lock();
            self.closing.store(true, Ordering::Release);
            machines.values().cloned().collect()
        };
        self.host.end(&machines, &self.plan()).await?;
        // So that the next lab finds the addresses free.
        join_all(self.links.values().map(Link::close)).await;
        State::remove(&self.site.lab_directory);
        Ok(())
    }

    async fn start_machine(&self, plan: MachinePlan) -> Result<(), LabError> {
        let name = plan.name.clone();
        prepare(&plan)?;
        self.check_open(&name)?;
        let around = Around { site: &self.site, logs: &self.logs, events: &self.events };
        let machine = Arc::new(self.host.start(plan, &self.plan(), around).await?);
        let is_in_time = {
            let mut machines = self.machines.lock();
            machines.insert(name.clone(), Arc::clone(&machine));
            self.check_open(&name)
        };
        if let Err(late) = is_in_time {
            // The lab was closed meanwhile, without knowing about this machine.
            machine.end().await;
            return Err(late);
        }
        self.write_state()?;
        if self.full_disks.lock().contains(&name) {
            fill_again(&machine).await;
        }
        let is_adapted = |plan: &ProgramPlan| {
            let played_by = plan.played_by.as_deref();
            plan.program == Program::Dbnode && played_by.is_some_and(|by| Known::named(by).is_some())
        };
        let limit = if machine.plan.programs.iter().any(is_adapted) { ADAPTED_START_MAX } else { START_MAX };
        until_ready(&machine, self.plan().client(), &self.logs, limit).await?;
        self.events.record(Happening::MachineReady { machine: name });
        Ok(())
    }

    fn check_open(&self, name: &str) -> Result<(), LabError> {
        match self.closing.load(Ordering::Acquire) {
            true => Err(LabError::not_ready(format!("{name} is not started: the lab is ending"))),
            false => Ok(()),
        }
    }

    fn machine(&self, name: &str) -> Result<Arc<RunningMachine>, LabError> {
        let machines = self.machines.lock();
        machines.get(name).cloned().ok_or_else(|| {
            LabError::Usage(suggest::unknown("machine", name, machines.keys().map(String::as_str)))
        })
    }

    /// The machine of this name; an error if it is not running.
    fn machine_on(&self, name: &str) -> Result<Arc<RunningMachine>, LabError> {
        let machine = self.machine(name)?;
        match machine.is_on() {
            true => Ok(machine),
            false => {
                Err(LabError::Usage(format!("{name} is not running; `labctl restart {name}` starts it")))
            }
        }
    }

    fn is_on(&self, name: &str) -> bool {
        self.machines.lock().get(name).is_some_and(|machine| machine.is_on())
    }

    fn admin(&self, balancer: &str) -> Result<Admin, LabError> {
        let admin = self.plan.lock().admin_of(balancer);
        admin.ok_or_else(|| LabError::Broken(anyhow!("{balancer} is not a balancer")))
    }

    fn write_state(&self) -> Result<(), LabError> {
        let mut state = self.state.lock();
        let machines = self.machines.lock();
        let known = |(name, machine): (&String, &Arc<RunningMachine>)| {
            Some(MachineState { name: name.clone(), process: machine.identity()? })
        };
        state.machines = machines.iter().filter_map(known).collect();
        write_state(&state, &self.site)
    }
}

fn write_state(state: &State, site: &Site) -> Result<(), LabError> {
    state.write(&site.lab_directory).map_err(|error| {
        LabError::NotReady(format!("cannot write to {} ({error})", site.lab_directory.display()))
    })
}

/// Fills the disk of a restarted machine again, as soon as the machine answers.
async fn fill_again(machine: &RunningMachine) {
    let filled = async {
        while !machine.fill_disk(true).await && machine.is_on() {
            sleep(FILL_EVERY).await;
        }
    };
    let _ = tokio::time::timeout(START_MAX, filled).await;
}

/// Creates what has to exist before the machines.
async fn make(plan: &Plan, checked: Checked, around: Around<'_>) -> Result<(Host, Links), LabError> {
    write_secret(&secret_file(&plan.deployment().data)).context("write the cluster secret")?;
    if Host::makes_machines_first(plan) {
        plan.to_start().try_for_each(prepare)?;
    }
    let host = Host::prepare(plan, checked, around).await?;
    // A link may listen on this computer's address on the machines' network, which exists only from here on.
    Ok((host, open_links(plan).await?))
}
