//! The lab itself: machines that run, links between them, and everything that can be done to them.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use bytesize::ByteSize;
use futures_util::future::{join_all, try_join, try_join_all};
use indexmap::IndexMap;
use machine::capacity::Usage;
use nix::sys::signal::Signal;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::backend::Backend;
use super::balancers::{self, Followers};
use super::cast;
use super::compose::{self, Project};
use super::databases;
use super::events::{Clock, Events, Happening};
use super::http::Admin;
use super::link::{Link, Rules};
use super::machine::RunningMachine;
use super::plan::{MachinePlan, Plan, Program, ProgramPlan, products_file, secret_file};
use super::ready::until_ready;
use super::redis;
use super::roles::Roles;
use super::site::Site;
use super::state::{MachineState, State, chapter_file};
use super::status::MachineStatus;
use crate::error::LabError;
use crate::interrupt::Interrupt;
use chapter::{Act, Source, Span};
use parts::Cast;

const START_MAX: Duration = Duration::from_secs(20);
const END_MAX: Duration = Duration::from_secs(3);
/// How long the programs of a machine that is stopped may take to finish what they have begun: longer than they
/// take by themselves.
const STOP_MAX: Duration = Duration::from_secs(15);
const JOIN_MAX: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often a machine that is being switched on is told that its disk is full.
const FILL_EVERY: Duration = Duration::from_millis(2);
/// How long a role may be nobody's.
const ROLE_MAX: Duration = Duration::from_secs(10);

/// A running lab.
#[derive(Debug)]
pub struct Laboratory {
    /// What happened in it.
    pub events: Events,
    site: Site,
    logs: PathBuf,
    plan: Mutex<Plan>,
    /// Where machines are containers.
    project: Option<Project>,
    machines: Mutex<IndexMap<String, Arc<RunningMachine>>>,
    links: Links,
    roles: Roles,
    followers: Mutex<Followers>,
    /// The machines on whose disks there is no room.
    full_disks: Mutex<HashSet<String>>,
    state: Mutex<State>,
    /// The lab is on its way down: nothing is started any more.
    closing: AtomicBool,
}

impl Laboratory {
    /// Starts every machine of a chapter, and returns when all of them answer. When this fails,
    /// nothing is left running.
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
        let state = State::new(&source.name, control, results, plan.place());
        // Before there is anything, so that it is found when this labctl is killed meanwhile.
        write_state(&state, &site)?;
        let cores = match make_ready(&plan, &site, interrupt).await {
            Ok(cores) => cores,
            Err(error) => {
                State::remove(&site.lab_directory);
                return Err(error);
            }
        };
        let (project, links) = match interrupt.unless(make(&plan, &site, logs, &events, cores)).await {
            Ok(made) => made,
            Err(error) => {
                if plan.place().backend == Backend::Compose {
                    // Its state stays while something of it does.
                    compose::remove(&plan).await?;
                }
                State::remove(&site.lab_directory);
                return Err(error);
            }
        };
        let lab = Arc::new(Self {
            events,
            logs: logs.to_owned(),
            project,
            machines: Mutex::default(),
            links,
            roles: Roles::default(),
            followers: Mutex::default(),
            full_disks: Mutex::default(),
            state: Mutex::new(state),
            site,
            plan: Mutex::new(plan.clone()),
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
        // A Sentinel learns who copies the primary when it first sees it, and then every ten seconds; a
        // balancer takes out whoever is not there yet. So they come last, unless they share a machine with what
        // the others wait for: a Redis.
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
        Ok(())
    }

    /// Where other labctls reach this lab.
    pub fn control_path(&self) -> PathBuf {
        self.site.control_path()
    }

    /// What a lab that was killed left behind, and what is gone now.
    pub fn swept(&self) -> &[String] {
        &self.site.swept
    }

    /// The programs that stand in for the lab's own.
    pub fn cast(&self) -> &Cast {
        &self.site.cast
    }

    /// Where the machines' logs are.
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// Where a run writes down what it finds; none when nobody keeps it.
    pub fn results(&self) -> Option<PathBuf> {
        self.state.lock().results.clone()
    }

    /// The plan as it is now.
    pub fn plan(&self) -> Plan {
        self.plan.lock().clone()
    }

    /// The machine of a kind that something was last done to while it was the primary, or the active one.
    pub fn former(&self, kind: &str) -> Option<String> {
        self.roles.former(kind)
    }

    /// Does something to the lab. Returns the commands that somebody could have typed instead.
    pub async fn act(&self, act: &Act) -> Result<Vec<String>, LabError> {
        if let Some(mistake) = act.mistake() {
            return Err(LabError::Usage(mistake));
        }
        let done = match act {
            Act::Kill { name } => self.signal(&self.meant(name).await?, Signal::SIGKILL).await?,
            Act::Stop { name } => self.stop(&self.meant(name).await?).await?,
            Act::Freeze { name } => self.signal(&self.meant(name).await?, Signal::SIGSTOP).await?,
            Act::Thaw { name } => self.thaw(&self.meant(name).await?).await?,
            Act::Restart { name } => self.restart(&self.meant(name).await?).await?,
            Act::Resize { name, cores, memory } => {
                self.resize(&self.meant(name).await?, *cores, *memory).await?
            }
            Act::Fill { name } => self.fill(&self.meant(name).await?, true).await?,
            Act::Empty { name } => self.fill(&self.meant(name).await?, false).await?,
            Act::Add { kind } => self.add(kind).await?,
            Act::Remove { name } => self.remove(name).await?,
            Act::Slow { from, to, by: Span(delay) } => {
                let delay = *delay;
                let slow = |link: &Link| link.set(Rules::Slow(delay));
                let now = format!("slow by {delay:?}");
                self.on_link(from, to, slow, &now, &format!("slow {from} {to} {delay:?}")).await?
            }
            Act::Cut { from, to } => {
                let cut = |link: &Link| link.set(Rules::Cut);
                self.on_link(from, to, cut, "cut", &format!("cut {from} {to}")).await?
            }
            Act::Fail { from, to } => {
                let fail = |link: &Link| link.set(Rules::Failing);
                self.on_link(from, to, fail, "answering 500", &format!("fail {from} {to}")).await?
            }
            Act::Flap { from, to, every: Span(every) } => {
                let every = *every;
                let flap = |link: &Link| link.flap(every);
                let now = format!("broken and whole, {every:?} each");
                self.on_link(from, to, flap, &now, &format!("flap {from} {to} {every:?}")).await?
            }
            Act::Partition { groups } => self.partition(groups).await?,
            Act::HealAll => {
                self.links.values().for_each(|link| link.set(Rules::Whole));
                self.record_link("every machine", "every other", "healed");
                let mut done = vec!["labctl heal".into()];
                if let Some(project) = &self.project {
                    done.extend(project.plug_all_in().await?);
                }
                done
            }
            Act::Heal { from, to } => {
                let heal = |link: &Link| link.set(Rules::Whole);
                self.on_link(from, to, heal, "healed", &format!("heal {from} {to}")).await?
            }
        };
        for command in &done {
            self.events.record(Happening::Did { command: command.clone() });
        }
        Ok(done)
    }

    /// How every machine is.
    pub async fn status(&self) -> Vec<MachineStatus> {
        let plan = self.plan();
        let mut machines: Vec<_> = self.machines.lock().values().cloned().collect();
        machines.sort_by_key(|machine| plan.machines.get_index_of(&machine.plan.name));
        join_all(machines.iter().map(|machine| MachineStatus::of(machine))).await
    }

    /// One machine's figures, and how late it has been since they were last asked for.
    pub async fn usage(&self, name: &str) -> Option<(Usage, Duration)> {
        let machine = self.machines.lock().get(name).cloned()?;
        machine.usage().await
    }

    /// The figures of all machines that answer, by name.
    pub async fn usages(&self) -> IndexMap<String, Usage> {
        let machines: Vec<_> = self.machines.lock().values().cloned().collect();
        let asking = machines
            .iter()
            .filter(|machine| machine.is_on())
            .map(|machine| async move { Some((machine.plan.name.clone(), machine.usage().await?.0)) });
        join_all(asking).await.into_iter().flatten().collect()
    }

    /// The names of the machines that are on.
    pub fn machines_on(&self) -> Vec<String> {
        let machines = self.machines.lock();
        machines.iter().filter(|(_, machine)| machine.is_on()).map(|(name, _)| name.clone()).collect()
    }

    /// Watches for what processes do not report themselves, for as long as it is held.
    pub fn watch(self: &Arc<Self>) -> AbortOnDropHandle<()> {
        let lab = Arc::clone(self);
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut heard = lab.events.count();
            loop {
                sleep(LOOK_EVERY).await;
                for event in lab.events.since(heard) {
                    heard += 1;
                    if let Happening::TakeoverBlocked { balancer } = event.what {
                        lab.fence(&balancer).await;
                    }
                }
                let machines: Vec<_> = lab.machines.lock().values().cloned().collect();
                machines.iter().for_each(|machine| machine.look_for_frozen(&lab.events));
            }
        }))
    }

    /// Switches off who holds the address that this balancer cannot have, where that is to be done.
    async fn fence(&self, balancer: &str) {
        let others = self.plan.lock().to_fence(balancer);
        for other in others.iter().filter(|other| self.is_on(other)) {
            if let Ok(commands) = self.signal_machine(other, Signal::SIGKILL).await {
                commands.into_iter().for_each(|command| self.events.record(Happening::Did { command }));
            }
        }
    }

    /// Ends everything: first asked, then killed. What stays keeps its state, so that it is found.
    pub async fn close(&self) -> Result<(), LabError> {
        let machines: Vec<_> = {
            let machines = self.machines.lock();
            self.closing.store(true, Ordering::Release);
            machines.values().cloned().collect()
        };
        match &self.project {
            Some(project) => project.down(&self.plan()).await?,
            None => drop(join_all(machines.iter().map(|machine| end(machine))).await),
        }
        // Whoever comes next finds their addresses free.
        join_all(self.links.values().map(Link::close)).await;
        State::remove(&self.site.lab_directory);
        Ok(())
    }

    /// Signals a machine with everything on it, or one program.
    async fn signal(&self, name: &str, signal: Signal) -> Result<Vec<String>, LabError> {
        let Some((machine, program)) = name.split_once('/') else {
            return self.signal_machine(name, signal).await;
        };
        let running = self.machine(machine)?;
        if let Some(typed) = running.signal_program(program, signal).await? {
            return Ok(vec![typed]);
        }
        let programs = running.programs();
        let there = programs.iter().filter(|(_, life)| life.alive).map(|(name, _)| name.as_str());
        let there = there.collect::<Vec<_>>().join(", ");
        Err(LabError::Usage(format!("there is no {program} running on {machine}; there are: {there}")))
    }

    async fn signal_machine(&self, name: &str, signal: Signal) -> Result<Vec<String>, LabError> {
        Ok(vec![self.machine_on(name)?.signal(signal).await?])
    }

    async fn thaw(&self, name: &str) -> Result<Vec<String>, LabError> {
        let done = self.signal(name, Signal::SIGCONT).await?;
        // How late it was while it was frozen says nothing of the host: asked once, it is forgotten.
        self.usage(name.split('/').next().unwrap_or(name)).await;
        Ok(done)
    }

    async fn restart(&self, name: &str) -> Result<Vec<String>, LabError> {
        let machine = self.machine(name)?;
        if machine.is_on() {
            machine.signal(Signal::SIGKILL).await?;
            machine.wait_until_off(END_MAX).await;
        }
        let plan = self.plan.lock().current(name).map_err(LabError::Usage)?;
        self.start_machine(plan).await?;
        Ok(vec![format!("labctl restart {name}")])
    }

    /// Ends a machine, and waits until it is off: first it is asked, then it is killed.
    async fn stop(&self, name: &str) -> Result<Vec<String>, LabError> {
        let machine = self.machine_on(name)?;
        let mut done = vec![machine.ask_to_end().await?];
        if !machine.wait_until_off(STOP_MAX).await {
            done.push(machine.signal(Signal::SIGKILL).await?);
            if !machine.wait_until_off(END_MAX).await {
                return Err(LabError::not_ready(format!(
                    "{name} was asked to end, then killed, and is still there"
                )));
            }
        }
        Ok(done)
    }

    /// Starts a machine again in another size, with its data.
    async fn resize(
        &self,
        name: &str,
        cores: Option<u32>,
        memory: Option<ByteSize>,
    ) -> Result<Vec<String>, LabError> {
        self.plan.lock().resize(name, cores, memory).map_err(LabError::Usage)?;
        let mut done = if self.is_on(name) { self.stop(name).await? } else { vec![] };
        done.extend(self.restart(name).await?);
        Ok(done)
    }

    /// Takes all room on a machine's disk, or gives it back. A disk that is full stays so when its machine is
    /// switched off and on.
    async fn fill(&self, name: &str, full: bool) -> Result<Vec<String>, LabError> {
        let machine = self.machine(name)?;
        let has = |program: Program| machine.plan.has(program);
        if !has(Program::Dbnode) || has(Program::Redis) || has(Program::Sentinel) {
            return Err(LabError::Usage(format!(
                "{name}'s disk cannot be filled or emptied: only a database asks its machine for room, and a Redis beside it would go on writing"
            )));
        }
        if machine.is_on() && !machine.fill_disk(full).await {
            return Err(LabError::Usage(format!("{name} does not answer, so its disk stays as it is")));
        }
        let changed = match full {
            true => self.full_disks.lock().insert(name.to_owned()),
            false => self.full_disks.lock().remove(name),
        };
        let machine = name.to_owned();
        if changed {
            self.events.record(match full {
                true => Happening::DiskFull { machine },
                false => Happening::DiskEmptied { machine },
            });
        }
        Ok(vec![format!("labctl {} {name}", if full { "fill" } else { "empty" })])
    }

    async fn add(&self, kind: &str) -> Result<Vec<String>, LabError> {
        let machine = self.plan.lock().add(kind).map_err(LabError::Usage)?;
        match self.join(&machine).await {
            Ok(typed) => Ok([vec![format!("labctl add {kind}")], typed].concat()),
            Err(error) => {
                // Half added is worse than not added.
                if let Ok(running) = self.machine(&machine.name) {
                    let _ = running.signal(Signal::SIGKILL).await;
                }
                self.forget(&machine.name).await?;
                Err(error)
            }
        }
    }

    /// Starts an added machine, and puts it behind its balancer.
    async fn join(&self, machine: &MachinePlan) -> Result<Vec<String>, LabError> {
        self.start_machine(machine.clone()).await?;
        let Some(program) = machine.programs.first() else { return Ok(vec![]) };
        let (name, address) = (&machine.name, program.address);
        let mut done = Vec::new();
        for balancer in self.balancers_of(machine) {
            let admin = self.admin(&balancer)?;
            balancers::add(&admin, name, address, JOIN_MAX).await?;
            let body = format!("{{\"name\":\"{name}\",\"address\":\"{address}\"}}");
            done.push(format!("curl -X POST http://{}/upstreams -d '{body}'", admin.address));
        }
        Ok(done)
    }

    /// The balancers in front of a machine that are on.
    fn balancers_of(&self, machine: &MachinePlan) -> Vec<String> {
        let mut balancers = self.plan.lock().in_front_of(machine);
        balancers.retain(|balancer| self.is_on(balancer));
        balancers
    }

    /// A machine that was removed: its number and its address are not given again.
    async fn forget(&self, name: &str) -> Result<(), LabError> {
        if let Some(plan) = self.plan.lock().machines.get_mut(name) {
            plan.removed = true;
        }
        self.machines.lock().shift_remove(name);
        self.full_disks.lock().remove(name);
        if let Some(project) = &self.project {
            project.forget(name).await;
        }
        self.write_state()
    }

    async fn remove(&self, name: &str) -> Result<Vec<String>, LabError> {
        let machine = self.machine(name)?;
        let mut done = Vec::new();
        for balancer in self.balancers_of(&machine.plan) {
            let admin = self.admin(&balancer)?;
            balancers::remove(&admin, name).await?;
            done.push(format!("curl -X DELETE http://{}/upstreams/{name}", admin.address));
        }
        done.push(machine.ask_to_end().await?);
        if !machine.wait_until_off(END_MAX).await {
            machine.signal(Signal::SIGKILL).await?;
        }
        self.forget(name).await?;
        Ok(done)
    }

    /// The machine to do something to that a name means, also by its role: `db:primary`.
    async fn meant(&self, name: &str) -> Result<String, LabError> {
        let meant = self.who_is(name).await?;
        self.roles.remember(name, &meant);
        Ok(meant)
    }

    /// The machine that a name means now.
    pub async fn who_is(&self, name: &str) -> Result<String, LabError> {
        let plan = self.plan();
        let deadline = Instant::now() + ROLE_MAX;
        loop {
            if let Some(meant) = self.roles.resolve(name, &plan).await {
                return Ok(meant);
            }
            if Instant::now() > deadline {
                return Err(LabError::Usage(format!(
                    "no machine is {name} now; `labctl status` shows which there are"
                )));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Does something to a link, or to every link between two kinds of machines, and says how it is
    /// now.
    async fn on_link(
        &self,
        from: &str,
        to: &str,
        act: impl Fn(&Link),
        now: &str,
        typed: &str,
    ) -> Result<Vec<String>, LabError> {
        let (from, to) = (&*self.meant(from).await?, &*self.meant(to).await?);
        let plan = self.plan();
        let is = |name: &str, wanted: &str| {
            name == wanted || plan.machines.get(name).is_some_and(|machine| machine.kind == wanted)
        };
        let meant = self.links.iter().filter(|((one, other), _)| is(one, from) && is(other, to));
        if meant.map(|(_, link)| act(link)).count() == 0 {
            let mut known: Vec<_> = self.links.keys().map(|(from, to)| format!("{from} {to}")).collect();
            known.sort_unstable();
            return Err(LabError::Usage(format!(
                "there is no link from {from} to {to}; there are: {}",
                known.join(", ")
            )));
        }
        self.record_link(from, to, now);
        Ok(vec![format!("labctl {typed}")])
    }

    /// Cuts every link between machines of different groups.
    async fn partition(&self, groups: &[Vec<String>]) -> Result<Vec<String>, LabError> {
        let mut meant = Vec::new();
        for group in groups {
            let names = join_all(group.iter().map(|name| self.meant(name))).await;
            meant.push(names.into_iter().collect::<Result<Vec<_>, _>>()?);
        }
        // Whoever is not named is with the last group.
        let last = meant.len().saturating_sub(1);
        let group_of = |name: &String| meant.iter().position(|group| group.contains(name)).unwrap_or(last);
        let mut done = Vec::new();
        for ((from, to), link) in &self.links {
            if group_of(from) != group_of(to) {
                link.set(Rules::Cut);
                self.record_link(from, to, "cut");
                done.push(format!("labctl cut {from} {to}"));
            }
        }
        if done.is_empty() {
            return Err(LabError::Usage("there is no link between these groups".into()));
        }
        done.sort_unstable();
        Ok(done)
    }

    fn record_link(&self, from: &str, to: &str, now: &str) {
        self.events.record(Happening::Link { from: from.into(), to: to.into(), now: now.into() });
    }

    async fn start_machine(&self, plan: MachinePlan) -> Result<(), LabError> {
        let name = plan.name.clone();
        prepare(&plan)?;
        let machine = match &self.project {
            None => {
                let mut machines = self.machines.lock();
                self.check_open(&name)?;
                let machine = RunningMachine::start(plan, &self.site, &self.logs, &self.events)?;
                let machine = Arc::new(machine);
                machines.insert(name.clone(), Arc::clone(&machine));
                machine
            }
            Some(project) => {
                self.check_open(&name)?;
                // One that is started while the lab ends is removed with the rest of the project.
                let machine = Arc::new(project.start(plan, &self.plan()).await?);
                self.machines.lock().insert(name.clone(), Arc::clone(&machine));
                machine
            }
        };
        self.write_state()?;
        if self.full_disks.lock().contains(&name) {
            fill_again(&machine).await;
        }
        until_ready(&machine, self.plan().client(), &self.logs, START_MAX).await?;
        self.events.record(Happening::MachineReady { machine: name });
        Ok(())
    }

    fn check_open(&self, name: &str) -> Result<(), LabError> {
        match self.closing.load(Ordering::Acquire) {
            true => Err(LabError::not_ready(format!("{name} is not started: the lab is ending"))),
            false => Ok(()),
        }
    }

    fn follow(&self, balancer: &str) {
        if let Some(admin) = self.plan.lock().admin_of(balancer) {
            self.followers.lock().follow(balancer, admin, self.events.clone());
        }
    }

    /// Writes down who is the primary of each database, from now to the lab's end.
    fn follow_databases(&self, plan: &Plan) {
        for machine in plan.database_nodes() {
            if let Some(node) = databases::node_on(machine) {
                let following = databases::follow(machine.name.clone(), node, self.events.clone());
                self.followers.lock().keep(&machine.name, tokio::spawn(following));
            }
        }
    }

    fn machine(&self, name: &str) -> Result<Arc<RunningMachine>, LabError> {
        let machines = self.machines.lock();
        machines.get(name).cloned().ok_or_else(|| {
            let known = machines.keys().cloned().collect::<Vec<_>>().join(", ");
            LabError::Usage(format!("there is no machine '{name}'; there are: {known}"))
        })
    }

    /// A machine that something can be done to only while it is on.
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
        admin.ok_or_else(|| LabError::Broken(anyhow!("{balancer} is no balancer")))
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

/// What was full is full again, as soon as the machine that was switched on can be told.
async fn fill_again(machine: &RunningMachine) {
    let filled = async {
        while !machine.fill_disk(true).await && machine.is_on() {
            sleep(FILL_EVERY).await;
        }
    };
    let _ = tokio::time::timeout(START_MAX, filled).await;
}

/// Ends a machine: first it is asked, then it is killed.
async fn end(machine: &RunningMachine) {
    // Whatever cannot be asked is killed all the same.
    let _ = machine.ask_to_end().await;
    if !machine.wait_until_off(END_MAX).await {
        let _ = machine.signal(Signal::SIGKILL).await;
        machine.wait_until_off(END_MAX).await;
    }
}

/// Sees that everything can be had that the plan needs, and says how many cores containers may be given.
async fn make_ready(plan: &Plan, site: &Site, interrupt: &Interrupt) -> Result<u32, LabError> {
    site.check_sockets(plan)?;
    if plan.place().backend == Backend::Compose {
        return interrupt.unless(compose::check(plan, site)).await;
    }
    redis::check(plan)?;
    Site::check_ports(plan)?;
    Ok(0)
}

/// Makes what has to be there before the machines.
async fn make(
    plan: &Plan,
    site: &Site,
    logs: &Path,
    events: &Events,
    cores: u32,
) -> Result<(Option<Project>, Links), LabError> {
    write_secret(&secret_file(&plan.place().data)).context("write what clusters know")?;
    if plan.place().backend == Backend::Process {
        return Ok((None, open_links(plan).await?));
    }
    for machine in plan.to_start() {
        prepare(machine)?;
    }
    let project = Project::create(plan, site, logs, events, cores).await?;
    // Links listen where this computer is on the containers' network, which is there only now.
    Ok((Some(project), open_links(plan).await?))
}

type Links = HashMap<(String, String), Link>;

async fn open_links(plan: &Plan) -> Result<Links, LabError> {
    let mut links = HashMap::new();
    for link in &plan.links {
        let open = Link::open(link.listen, link.target).await;
        let open =
            open.map_err(|error| LabError::NotReady(format!("cannot listen on {}: {error}", link.listen)))?;
        links.insert((link.from.clone(), link.to.clone()), open);
    }
    Ok(links)
}

/// Writes what all members of a cluster know, and nobody else: nodes of a database, balancers of a pair.
fn write_secret(path: &Path) -> std::io::Result<()> {
    let secret: [u8; 32] = rand::random();
    let text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")
}

/// Writes what a machine's programs begin with.
fn prepare(machine: &MachinePlan) -> anyhow::Result<()> {
    let written = machine.programs.iter().try_for_each(prepare_program);
    written.with_context(|| format!("write what {} begins with", machine.name))
}

fn prepare_program(program: &ProgramPlan) -> std::io::Result<()> {
    if program.program.is_redis() {
        program.data.as_ref().map(fs::create_dir_all).transpose()?;
    }
    // A Sentinel writes into its configuration what it has learnt, and has to find it again.
    if let Some((path, text)) = program.configuration.as_ref().filter(|(path, _)| !path.exists()) {
        fs::write(path, text)?;
    }
    write_products(program)
}

/// The products that a database begins with, as it imports them.
fn write_products(program: &ProgramPlan) -> std::io::Result<()> {
    let Some(data) = program.data.as_ref().filter(|_| program.products > 0) else { return Ok(()) };
    let mut file = std::io::BufWriter::new(std::fs::File::create(products_file(data))?);
    for number in 1..=program.products {
        let product = serde_json::json!({ "name": format!("Product {number}"), "price": 100 + number });
        let record = serde_json::json!({ "key": format!("product:{number}"), "value": product.to_string() });
        writeln!(file, "{record}")?;
    }
    file.flush()?;
    // A container's user is another one, whatever the umask is.
    fs::set_permissions(products_file(data), fs::Permissions::from_mode(0o644))
}
