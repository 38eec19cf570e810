//! The acts that can be done to the machines of a lab.

use std::time::Duration;

use bytesize::ByteSize;
use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use super::{LOOK_EVERY, Laboratory};
use crate::balancers;
use crate::error::LabError;
use crate::events::Happening;
use crate::link::{Link, Rules};
use crate::machine::END_MAX;
use crate::plan::{MachinePlan, Program};
use chapter::{Act, Span};

/// How long the programs of a machine that is being stopped may take to finish their work: longer than their
/// own limits.
const STOP_MAX: Duration = Duration::from_secs(15);
pub(super) const JOIN_MAX: Duration = Duration::from_secs(10);
/// How long to wait for a machine to take a role.
const ROLE_MAX: Duration = Duration::from_secs(10);

impl Laboratory {
    /// Does an act. Returns the equivalent shell commands.
    pub async fn act(&self, act: &Act) -> Result<Vec<String>, LabError> {
        if let Some(mistake) = act.mistake() {
            return Err(LabError::Usage(mistake));
        }
        let done = match act {
            Act::Kill { name } => {
                self.signal(&self.resolve_and_remember(name).await?, Signal::SIGKILL).await?
            }
            Act::Stop { name } => self.stop(&self.resolve_and_remember(name).await?).await?,
            Act::Freeze { name } => {
                self.signal(&self.resolve_and_remember(name).await?, Signal::SIGSTOP).await?
            }
            Act::Thaw { name } => self.thaw(&self.resolve_and_remember(name).await?).await?,
            Act::Restart { name } => {
                let _turn = self.restarts.lock().await;
                self.restart(&self.resolve_and_remember(name).await?).await?
            }
            Act::Resize { name, cores, memory } => return self.resize(name, *cores, *memory).await,
            Act::Fill { name } => self.fill(&self.resolve_and_remember(name).await?, true).await?,
            Act::Empty { name } => self.fill(&self.resolve_and_remember(name).await?, false).await?,
            Act::Add { kind } => self.add(kind).await?,
            Act::Remove { name } => self.remove(name).await?,
            Act::Roll { kind, how, install: Span(install) } => self.roll(kind, *how, *install).await?,
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
                done.extend(self.host.plug_all_in().await?);
                done
            }
            Act::Heal { from, to } => {
                let heal = |link: &Link| link.set(Rules::Whole);
                self.on_link(from, to, heal, "healed", &format!("heal {from} {to}")).await?
            }
        };
        self.record_done(&done);
        Ok(done)
    }

    fn record_done(&self, done: &[String]) {
        for command in done {
            self.events.record(Happening::Did { command: command.clone() });
        }
    }

    /// Signals a machine and everything on it, or one program.
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

    pub(super) async fn signal_machine(&self, name: &str, signal: Signal) -> Result<Vec<String>, LabError> {
        Ok(vec![self.machine_on(name)?.signal(signal).await?])
    }

    async fn thaw(&self, name: &str) -> Result<Vec<String>, LabError> {
        let done = self.signal(name, Signal::SIGCONT).await?;
        // Its lag while frozen says nothing about the host: one read resets it.
        self.usage(name.split('/').next().unwrap_or(name)).await;
        Ok(done)
    }

    /// Stops a machine, and waits until it is off: it is asked first, then killed.
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

    async fn restart(&self, name: &str) -> Result<Vec<String>, LabError> {
        let machine = self.machine(name)?;
        let mut done = vec![];
        if machine.is_on() {
            done.push(machine.signal(Signal::SIGKILL).await?);
            machine.wait_until_off(END_MAX).await;
        }
        let plan = self.plan.lock().current(name).map_err(LabError::Usage)?;
        self.start_machine(plan).await?;
        done.push(format!("labctl restart {name}"));
        Ok(done)
    }

    /// Restarts a machine with another size, keeping its data, and records it.
    async fn resize(
        &self,
        name: &str,
        cores: Option<u32>,
        memory: Option<ByteSize>,
    ) -> Result<Vec<String>, LabError> {
        let _turn = self.restarts.lock().await;
        let name = &self.resolve_and_remember(name).await?;
        self.plan.lock().resize(name, cores, memory).map_err(LabError::Usage)?;
        let mut done = if self.is_on(name) { self.stop(name).await? } else { vec![] };
        let plan = self.plan.lock().current(name).map_err(LabError::Usage)?;
        let (cores, memory) = (plan.spec.cores, plan.spec.memory.as_u64());
        self.start_machine(plan).await?;
        done.push(format!("labctl resize {name} --cores {cores} --memory {}MiB", memory >> 20));
        self.record_done(&done);
        // The last line, so that it sums up those of the restart.
        self.events.record(Happening::Resized { machine: name.clone(), cores, memory });
        Ok(done)
    }

    /// Fills a machine's disk, or frees it again. A full disk stays full across a restart of its machine.
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
                // A half-added machine is worse than none.
                if let Ok(running) = self.machine(&machine.name) {
                    let _ = running.signal(Signal::SIGKILL).await;
                }
                self.forget(&machine.name).await?;
                Err(error)
            }
        }
    }

    /// Starts an added machine, and adds it to its balancers.
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

    /// The running balancers in front of a machine.
    pub(super) fn balancers_of(&self, machine: &MachinePlan) -> Vec<String> {
        let mut balancers = self.plan.lock().in_front_of(machine);
        balancers.retain(|balancer| self.is_on(balancer));
        balancers
    }

    /// Forgets a machine that was removed. Its number and its address are not reused.
    async fn forget(&self, name: &str) -> Result<(), LabError> {
        if let Some(plan) = self.plan.lock().machines.get_mut(name) {
            plan.removed = true;
        }
        self.machines.lock().shift_remove(name);
        self.full_disks.lock().remove(name);
        self.host.forget(name).await;
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

    /// Resolves a name, or a role such as `db:primary`, to a machine, and remembers it as the last one with
    /// that role.
    pub(super) async fn resolve_and_remember(&self, name: &str) -> Result<String, LabError> {
        let meant = self.resolve(name).await?;
        self.roles.remember(name, &meant);
        Ok(meant)
    }

    /// Resolves a name or a role to a machine.
    pub async fn resolve(&self, name: &str) -> Result<String, LabError> {
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
}
