//! A stack: machines that labctl did not start, such as plain `docker compose`. They are only watched, over
//! the network and at their sockets. Whatever is done to them by hand is noticed within a second.
//!
//! `probe.rs` observes, `evidence.rs` judges, `typed.rs` holds the commands to type.

mod evidence;
mod probe;
mod typed;

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use machine::capacity::Usage;
use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;

use self::evidence::{Asked, Name, State};
use self::probe::{Probe, Seen};
use super::balancers::Followers;
use super::databases;
use super::events::{Clock, Events, Hand, Happening};
use super::plan::{MachinePlan, Plan, Program};
use super::roles::Roles;
use super::status::{MachineStatus, ProgramStatus};
use crate::error::LabError;
use chapter::Act;

/// Probe interval for each machine.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Consecutive probes that confirm a state which may be a hiccup of this computer.
const TIMES: u32 = 2;

/// The location of a stack.
#[derive(Debug, Clone)]
pub struct Where {
    /// The directory with the machines' sockets: `web-1.sock`.
    pub sockets: Option<PathBuf>,
    /// The address that a pair of balancers shares.
    pub shared: Option<IpAddr>,
    /// The network's name in the engine.
    pub network: String,
    /// The prefix of its Compose commands: `docker compose -f FILE`.
    pub compose: String,
    /// The file with the token that the balancers' admin interfaces require, in the page's container.
    pub admin_token_file: Option<PathBuf>,
}

/// Machines that labctl did not start.
#[derive(Debug)]
pub struct Stack {
    /// Everything that has happened.
    pub events: Events,
    plan: Mutex<Plan>,
    place: Where,
    machines: Mutex<IndexMap<String, Watched>>,
    roles: Roles,
    followers: Mutex<Followers>,
    watching: Mutex<Vec<AbortOnDropHandle<()>>>,
}

/// The known state of one machine.
#[derive(Debug, Clone)]
struct Watched {
    address: Option<IpAddr>,
    state: State,
    /// The state seen last and not confirmed yet, with the number of times it was seen.
    suspected: (State, u32),
    /// True if it was ever up.
    met: bool,
    /// True if it has been up since it was last gone.
    ready: bool,
    programs: Vec<Asked>,
    has_socket: bool,
    usage: Option<Usage>,
}

impl Stack {
    /// Starts to watch the machines of a plan, each by its name on the network.
    pub fn watch(mut plan: Plan, place: Where) -> Arc<Self> {
        let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let names: Vec<_> = plan.machines.keys().cloned().collect();
        for name in &names {
            move_to(&mut plan, name, nowhere, place.shared);
        }
        let unknown = |machine: &MachinePlan| Watched {
            address: None,
            state: State::Gone,
            suspected: (State::Gone, 0),
            met: false,
            ready: false,
            programs: vec![Asked::CannotBe; machine.programs.len()],
            has_socket: false,
            usage: None,
        };
        let machines = plan.machines.values().map(|machine| (machine.name.clone(), unknown(machine)));
        let stack = Arc::new(Self {
            events: Events::new(Clock::start()),
            machines: Mutex::new(machines.collect()),
            plan: Mutex::new(plan),
            place,
            roles: Roles::default(),
            followers: Mutex::default(),
            watching: Mutex::default(),
        });
        let watching = names.into_iter().map(|name| {
            let weak = Arc::downgrade(&stack);
            AbortOnDropHandle::new(tokio::spawn(async move { watch_one(&weak, &name).await }))
        });
        *stack.watching.lock() = watching.collect();
        stack
    }

    /// The plan, with the addresses at which the machines were last seen: 0.0.0.0 for one that never was.
    pub fn plan(&self) -> Plan {
        self.plan.lock().clone()
    }

    /// The state of every machine.
    pub fn status(&self) -> Vec<MachineStatus> {
        let plan = self.plan.lock();
        let machines = self.machines.lock();
        plan.machines
            .values()
            .filter_map(|machine| Some(status(machine, machines.get(&machine.name)?)))
            .collect()
    }

    /// Resolves a name such as `db:primary` to a machine.
    pub async fn resolve(&self, name: &str) -> Result<String, LabError> {
        let plan = self.plan();
        let found = self.roles.resolve(name, &plan).await;
        found.ok_or_else(|| LabError::not_ready(format!("no machine is '{name}' now")))
    }

    /// The command to type for an act that only the engine can do. The error says why there is none.
    pub fn command(&self, act: &Act) -> Result<String, String> {
        let machines = self.machines.lock();
        let those = |is_meant: fn(&Watched) -> bool| {
            let meant = machines.iter().filter(|(_, machine)| is_meant(machine));
            meant.map(|(name, machine)| (name.clone(), machine.address)).collect()
        };
        let lost = typed::Lost {
            cut_off: those(|machine| machine.state == State::CutOff),
            unclear: those(|machine| machine.state == State::Gone && machine.met && !machine.has_socket),
        };
        drop(machines);
        typed::command(act, &self.place, &lost)
    }

    /// The command that prints the token of the balancers' admin interfaces.
    pub fn admin_token_command(&self) -> Option<String> {
        Some(format!("docker exec page cat {}", self.place.admin_token_file.as_ref()?.display()))
    }

    /// The commands to type for each machine, by their effect.
    pub fn by_hand(&self) -> IndexMap<String, IndexMap<&'static str, String>> {
        let machines = self.machines.lock();
        let commands = |(name, machine): (&String, &Watched)| {
            (name.clone(), typed::commands(name, &self.place.network, machine.address))
        };
        machines.iter().map(commands).collect()
    }

    /// Does an act that a machine's socket offers: filling or freeing its disk. `None` for any other act.
    pub async fn act(&self, act: &Act) -> Option<Result<Vec<String>, LabError>> {
        let (name, full) = match act {
            Act::Fill { name } => (name, true),
            Act::Empty { name } => (name, false),
            _ => return None,
        };
        let has_socket = self.machines.lock().get(name).is_some_and(|machine| machine.has_socket);
        let socket = socket_of(self.place.sockets.as_deref().filter(|_| has_socket)?, name);
        if !Probe::fill_disk(&socket, full).await {
            return Some(Err(LabError::not_ready(format!("{name} does not answer"))));
        }
        let machine = name.clone();
        self.events.record(match full {
            true => Happening::DiskFull { machine },
            false => Happening::DiskEmptied { machine },
        });
        Some(Ok(vec![]))
    }

    fn take_in(&self, name: &str, seen: &Seen) {
        let moved = {
            let mut machines = self.machines.lock();
            let Some(machine) = machines.get_mut(name) else { return };
            machine.take_in(name, seen, &self.events, &self.place.network)
        };
        if let Some(address) = moved {
            move_to(&mut self.plan.lock(), name, address, self.place.shared);
            self.follow(name);
        }
    }

    /// Follows the state that a balancer or a database reports about itself, at its current address.
    fn follow(&self, name: &str) {
        let plan = self.plan.lock();
        let Some(machine) = plan.machines.get(name) else { return };
        if let Some(admin) = plan.admin_of(name) {
            self.followers.lock().follow(name, admin, self.events.clone());
        }
        let is_of_a_cluster = plan.of_kind(&machine.kind).count() > 1;
        if let Some(node) = databases::node_on(machine).filter(|_| is_of_a_cluster) {
            let following = databases::follow(name.to_owned(), node, self.events.clone());
            self.followers.lock().keep(name, tokio::spawn(following));
        }
    }
}

impl Watched {
    /// Takes in one probe. Returns the machine's address if that is new.
    fn take_in(&mut self, name: &str, seen: &Seen, events: &Events, network: &str) -> Option<IpAddr> {
        let state = match evidence::judge(seen.best(), seen.name, seen.socket) {
            // A container that was gone is starting: its name already leads there.
            State::Frozen if self.state == State::Gone && self.met => State::Gone,
            state => state,
        };
        self.suspected = match self.suspected {
            (suspected, times) if suspected == state => (state, times + 1),
            _ => (state, 1),
        };
        let is_sure = evidence::is_certain(state, seen.name, seen.socket) || self.suspected.1 >= TIMES;
        if is_sure && state != self.state {
            for what in news(name, self, state, network) {
                events.record(what);
            }
            self.met |= state == State::Up;
            self.ready = state == State::Up || self.ready && state != State::Gone;
            self.state = state;
        }
        self.has_socket |= seen.socket == Asked::Answers;
        self.usage = seen.usage;
        if state == State::Up {
            self.programs.clone_from(&seen.programs);
        }
        let Name::Leads(address) = seen.name else { return None };
        (self.address.replace(address) != Some(address)).then_some(address)
    }
}

/// The events that follow from a change of state.
fn news(name: &str, before: &Watched, now: State, network: &str) -> Vec<Happening> {
    let (machine, by) = (name.to_owned(), Hand::SomebodyElse);
    let ended = |machine| {
        let how = match before.has_socket {
            true => "its container was stopped or killed",
            false => "its name no longer resolves (stopped, killed or taken off the network)",
        };
        Happening::MachineEnded { machine, pid: 0, how: how.into(), by }
    };
    match (before.state, now) {
        (_, State::Frozen) if before.met => vec![Happening::Frozen { name: machine, by }],
        (_, State::Up) if !before.ready => vec![Happening::MachineReady { machine }],
        (State::Frozen, State::Up) => vec![Happening::Thawed { name: machine, by }],
        (_, State::CutOff) if before.met => {
            vec![Happening::Disconnected { back: typed::connect(network, name, before.address), machine }]
        }
        (State::CutOff, State::Up) => vec![Happening::Connected { machine }],
        (_, State::Gone) if before.met => vec![ended(machine)],
        _ => vec![],
    }
}

/// Probes a machine as long as the stack exists.
async fn watch_one(stack: &std::sync::Weak<Stack>, name: &str) {
    let Some(probe) = stack.upgrade().map(|stack| {
        let plan = stack.plan.lock();
        Probe::new(name, stack.place.sockets.as_deref(), plan.client())
    }) else {
        return;
    };
    let mut probe = probe;
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(known) = stack.upgrade() else { return };
        let programs = known.plan.lock().machines.get(name).map(|machine| machine.programs.clone());
        let address = known.machines.lock().get(name).and_then(|machine| machine.address);
        drop(known);
        let seen = probe.look(&programs.unwrap_or_default(), address).await;
        let Some(known) = stack.upgrade() else { return };
        known.take_in(name, &seen);
    }
}

/// The path of a machine's socket.
fn socket_of(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.sock"))
}

/// Moves a machine to this address in the plan. The address that a pair shares stays.
fn move_to(plan: &mut Plan, name: &str, address: IpAddr, shared: Option<IpAddr>) {
    let is_of_a_pair = plan.machines.get(name).is_some_and(|machine| plan.is_pair(&machine.kind));
    let Some(machine) = plan.machines.get_mut(name) else { return };
    for program in &mut machine.programs {
        let is_shared = is_of_a_pair && program.program == Program::Lb;
        program.health.set_ip(address);
        program.address.set_ip(shared.filter(|_| is_shared).unwrap_or(address));
    }
}

fn status(machine: &MachinePlan, watched: &Watched) -> MachineStatus {
    let is_on = watched.state != State::Gone;
    let programs = machine.programs.iter().zip(&watched.programs).map(|(program, said)| ProgramStatus {
        program: program.program,
        address: program.address,
        health: program.health,
        pid: 0,
        alive: is_on && *said != Asked::Refuses,
        frozen: watched.state == State::Frozen,
    });
    MachineStatus {
        name: machine.name.clone(),
        pid: 0,
        on: is_on,
        connected: watched.state != State::CutOff,
        programs: programs.collect(),
        usage: watched.usage.filter(|_| watched.state == State::Up),
        unmeasured: watched.state == State::Up && !watched.has_socket,
        price: machine.price,
        cores: machine.spec.cores,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched() -> Watched {
        Watched {
            address: None,
            state: State::Gone,
            suspected: (State::Gone, 0),
            met: false,
            ready: false,
            programs: vec![Asked::CannotBe],
            has_socket: false,
            usage: None,
        }
    }

    fn seen(program: Asked, name: Name, socket: Asked) -> Seen {
        Seen { programs: vec![program], name, socket, usage: None }
    }

    #[test]
    fn a_machine_is_told_of_when_it_comes_stands_still_and_goes() {
        let events = Events::new(Clock::start());
        let there = Name::Leads("172.30.1.2".parse().unwrap());
        let mut machine = watched();
        let mut look = |program, name, socket| {
            machine.take_in("web-2", &seen(program, name, socket), &events, "scaling-lab")
        };
        assert_eq!(look(Asked::CannotBe, there, Asked::CannotBe), Some("172.30.1.2".parse().unwrap()));
        assert_eq!(look(Asked::Answers, there, Asked::Answers), None, "it has not moved");
        // A single silent probe may be this computer's fault.
        look(Asked::Silent, there, Asked::Silent);
        look(Asked::Answers, there, Asked::Answers);
        look(Asked::Silent, there, Asked::Silent);
        look(Asked::Silent, there, Asked::Silent);
        look(Asked::Answers, there, Asked::Answers);
        look(Asked::Silent, Name::Nowhere, Asked::Refuses);
        // While it starts, its name leads there, and nothing answers yet.
        look(Asked::Silent, there, Asked::CannotBe);
        look(Asked::Silent, there, Asked::CannotBe);
        look(Asked::Refuses, there, Asked::CannotBe);
        look(Asked::Refuses, there, Asked::CannotBe);
        look(Asked::Answers, there, Asked::Answers);
        let told: Vec<_> = events.since(0).iter().map(|event| event.what.to_string()).collect();
        assert_eq!(
            told,
            [
                "web-2 is ready",
                "web-2 is frozen, not by labctl",
                "web-2 goes on, not by labctl",
                "web-2 is gone: its container was stopped or killed, not by labctl",
                "web-2 is ready",
            ]
        );
    }
}
