//! The world: the queue of future events, and everything they act on. There is a single source of
//! randomness and no outside influence, so the same plan always leads to the same end.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use dbnode::replication::input::Input;
use dbnode::replication::life::Life;
use dbnode::replication::member::Name;
use dbnode::replication::message::Envelope;
use dbnode::replication::role::Role;
use history::{Action, History, Operation, Outcome};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::clients::{Attempt, Client, Reply};
use crate::invariants::applied_stays::AppliedStays;
use crate::invariants::log_matching::LogMatching;
use crate::invariants::one_primary_per_term::OnePrimaryPerTerm;
use crate::invariants::{PANICS, Violation, violated};
use crate::network::Network;
use crate::node::Node;
use crate::plan::{Fault, HEALED_AT, Plan};
use crate::planted::Planted;
use crate::trace::{Kept, Trace};
use crate::ways::Ways;

/// The interval of the core's timer ticks, by the node's own clock.
const TICK: Duration = Duration::from_millis(20);

/// The simulated world.
pub struct World {
    pub now: Duration,
    pub plan: Plan,
    pub nodes: Vec<Node>,
    pub names: Vec<Name>,
    pub network: Network,
    pub ways: Ways,
    pub clients: Vec<Client>,
    pub history: Vec<Operation>,
    pub dice: ChaCha8Rng,
    pub trace: Trace,
    /// The first violation.
    pub violation: Option<Violation>,
    /// When the first write was acknowledged that was sent after the repair.
    pub first_write_after_healing: Option<Duration>,
    /// Clients begin no new operations from here on.
    pub closed_at: Duration,
    /// Until then, each new primary crashes a moment after its election.
    pub ambush_until: Duration,
    /// The number of primaries that did.
    pub ambushed: u32,
    /// Nodes that ever forgot something.
    pub forgetful: BTreeSet<usize>,
    pub one_primary: OnePrimaryPerTerm,
    pub log_matching: LogMatching,
    pub applied: AppliedStays,
    /// The number of events so far.
    pub events: u64,
    pub planted: Planted,
    queue: BTreeMap<(Duration, u64), Event>,
    sequence: u64,
}

/// A future event.
#[derive(Debug)]
pub enum Event {
    /// A node receives an input, if it still lives that life.
    Hear { node: usize, life: u64, input: Input },
    /// A message arrives.
    Arrive { from: usize, sent_in: u64, sender: Arc<Life>, to: usize, life: u64, envelope: Envelope },
    /// A disk has completed a job.
    DiskDone { node: usize, life: u64, number: u64 },
    /// A timer tick of a node.
    Tick { node: usize, life: u64 },
    /// A node tries to connect to another.
    Dial { from: usize, life: u64, to: usize },
    /// A node notices that its connection to another is lost.
    WayLost { from: usize, to: usize, number: u64 },
    /// A client begins its next operation.
    Begin { client: usize },
    /// A client's request arrives at a node.
    Ask { attempt: Attempt, node: usize, operation: Box<Operation> },
    /// A node's answer arrives at a client.
    Answer { attempt: Attempt, node: usize, reply: Reply },
    /// An attempt of a client has timed out.
    GiveUp { attempt: Attempt },
    /// A fault begins or ends.
    Fault(Fault),
    /// Everything is repaired.
    Heal,
}

impl World {
    /// A new world.
    pub fn new(seed: u64, plan: Plan, planted: Planted, kept: Kept) -> Self {
        let mut nodes: Vec<Node> = (0..plan.nodes).map(Node::new).collect();
        nodes.iter_mut().for_each(|node| node.disk.hasty = planted.bug.is_hasty_disk());
        let mut world = Self {
            now: Duration::ZERO,
            names: nodes.iter().map(|node| node.name.clone()).collect(),
            network: Network::new(plan.nodes, plan.order),
            ways: Ways::new(plan.nodes),
            clients: (0..plan.clients).map(Client::new).collect(),
            history: Vec::new(),
            dice: ChaCha8Rng::seed_from_u64(seed ^ 0x5eed),
            trace: Trace::new(kept),
            violation: None,
            first_write_after_healing: None,
            closed_at: Duration::MAX,
            ambush_until: Duration::ZERO,
            ambushed: 0,
            forgetful: BTreeSet::new(),
            one_primary: OnePrimaryPerTerm::default(),
            log_matching: LogMatching::default(),
            applied: AppliedStays::default(),
            events: 0,
            planted,
            queue: BTreeMap::new(),
            sequence: 0,
            nodes,
            plan,
        };
        for node in 0..world.nodes.len() {
            let imported = world.imported();
            world.nodes[node].disk.erase(imported);
            world.start(node);
        }
        for client in 0..world.clients.len() {
            world.after(Duration::from_millis(200), Event::Begin { client });
        }
        for (at, fault) in world.plan.faults.clone() {
            world.after(at, Event::Fault(fault));
        }
        world.after(HEALED_AT, Event::Heal);
        world
    }

    /// Schedules an event after this time.
    pub fn after(&mut self, time: Duration, event: Event) {
        self.sequence += 1;
        self.queue.insert((self.now + time, self.sequence), event);
    }

    /// Processes events until this moment, or until an invariant is violated.
    pub fn run_until(&mut self, until: Duration) {
        while let Some(next) = self.queue.first_entry()
            && next.key().0 <= until
            && self.violation.is_none()
        {
            let ((at, _), event) = next.remove_entry();
            self.now = at;
            self.events += 1;
            self.happen(event);
        }
        self.now = self.now.max(until);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Hear { node, life, input } => self.hear(node, life, input),
            Event::Arrive { from, sent_in, .. } if sent_in < self.nodes[from].silenced_before => {}
            Event::Arrive { from, sender, to, life, envelope, .. } => {
                let from = self.names[from].clone();
                self.hear(to, life, Input::Received { from, life: sender, envelope });
            }
            Event::DiskDone { node, life, number } if self.nodes[node].life == life => {
                self.disk_done(node, life, number);
            }
            Event::DiskDone { .. } => {}
            Event::Tick { node, life } => self.tick(node, life),
            Event::Dial { from, life, to } => self.dial(from, life, to),
            Event::WayLost { from, to, number } => self.way_lost(from, to, number),
            Event::Begin { client } => self.begin(client),
            Event::Ask { attempt, node, operation } => self.ask(attempt, node, operation),
            Event::Answer { attempt, node, reply } => self.answer(attempt, node, reply),
            Event::GiveUp { attempt } => {
                if self.clients[attempt.client].waits_for(attempt) {
                    let operation = self.clients[attempt.client].give_up(self.now);
                    self.over(attempt.client, operation);
                }
            }
            Event::Fault(fault) => self.go_wrong(fault),
            Event::Heal => self.heal(),
        }
    }

    fn tick(&mut self, node: usize, life: u64) {
        if self.nodes[node].life != life || self.nodes[node].core.is_none() {
            return;
        }
        self.after(self.nodes[node].clock.world_time(TICK), Event::Tick { node, life });
        if self.nodes[node].paused_until <= self.now {
            self.hear(node, life, Input::TimePassed);
        }
    }

    /// Gives a node an input, at once or after its pause.
    pub fn hear(&mut self, node: usize, life: u64, input: Input) {
        let hears = &self.nodes[node];
        if hears.life != life || hears.core.is_none() {
            return;
        }
        if hears.paused_until > self.now {
            // Clients' requests come first: a read accesses the core before its driver handles any
            // input.
            let until = hears.paused_until - self.now + Duration::from_micros(1);
            return self.after(until, Event::Hear { node, life, input });
        }
        self.trace.note(self.now, format_args!("{} hears {input:?}", self.names[node]));
        let now = hears.now(self.now);
        let core = self.nodes[node].core.as_mut().expect("it lives");
        let role_before = core.role();
        let was_persisted = input == Input::Persisted;
        // A core that panics is a finding like any other, and its seed has to be reported.
        let step = panic::catch_unwind(AssertUnwindSafe(|| core.step(now, input)));
        let Ok(effects) = step else {
            let seen = self.names[node].to_string();
            self.check(|_| violated(PANICS, seen));
            self.crash(node);
            return self.after(Duration::from_millis(300), Event::Fault(Fault::StartAll));
        };
        let (role, term, place) = (core.role(), core.term(), core.state().log_id());
        for effect in effects {
            self.carry_out(node, effect);
        }
        self.spring(node, was_persisted, place.index);
        if role == Role::Primary && role_before != Role::Primary {
            self.new_primary(node, place.index);
        }
        self.check(|world| world.one_primary.see(node, role, term));
        self.check(|world| world.applied.see(world.plan.mode, node, life, place));
    }

    /// Checks an invariant.
    pub fn check(&mut self, check: impl FnOnce(&mut Self) -> Result<(), Violation>) {
        let only = self.planted.found_by;
        let counts = |violation: &Violation| only.is_none_or(|invariant| violation.invariant == invariant);
        if self.violation.is_none()
            && let Err(violation) = check(self)
            && counts(&violation)
        {
            self.violation = Some(violation);
        }
    }

    /// The primary; if there are several, the one with the highest term.
    pub fn primary(&self) -> Option<usize> {
        let is_primary =
            |node: &usize| self.nodes[*node].core.as_ref().is_some_and(|core| core.role() == Role::Primary);
        let term = |node: &usize| self.nodes[*node].core.as_ref().map(|core| core.term());
        (0..self.nodes.len()).filter(is_primary).max_by_key(term)
    }

    fn begin(&mut self, client: usize) {
        if self.now >= self.closed_at {
            return;
        }
        let node = self.clients[client].begin(self.now, self.nodes.len(), &mut self.dice);
        self.send_to(client, node, Duration::ZERO);
    }

    fn send_to(&mut self, client: usize, node: usize, pause: Duration) {
        let (attempt, gives_up) = self.clients[client].attempt(self.now + pause);
        let operation = Box::new(self.clients[client].asked().expect("it asks for something").clone());
        let way = self.client_way();
        self.after(pause + way, Event::Ask { attempt, node, operation });
        self.after(gives_up - self.now, Event::GiveUp { attempt });
    }

    /// The latency of a message between a client and a node.
    pub fn client_way(&mut self) -> Duration {
        Duration::from_micros(self.dice.random_range(50..1_000))
    }

    fn answer(&mut self, attempt: Attempt, node: usize, reply: Reply) {
        if !self.clients[attempt.client].waits_for(attempt) {
            return;
        }
        let client = &mut self.clients[attempt.client];
        match client.hear(self.now, node, reply, &self.names, &mut self.dice) {
            Ok((next, pause)) => self.send_to(attempt.client, next, pause),
            Err(operation) => self.over(attempt.client, *operation),
        }
    }

    fn over(&mut self, client: usize, operation: Operation) {
        self.trace.note(self.now, format_args!("{} is told: {operation}", operation.session));
        let asked_at = Duration::from_nanos(operation.invoked_at.0);
        if operation.is_acknowledged_write() && asked_at >= HEALED_AT {
            self.first_write_after_healing.get_or_insert(self.now - HEALED_AT);
        }
        // A read without an answer tells nothing.
        let says_nothing =
            matches!(operation.action, Action::Get { .. }) && !matches!(operation.outcome, Outcome::Ok(_));
        if !says_nothing {
            self.history.push(operation);
        }
        let pause = Duration::from_millis(self.dice.random_range(5..120));
        self.after(pause, Event::Begin { client });
    }

    /// True while a client waits for an answer.
    pub fn is_busy(&self) -> bool {
        self.clients.iter().any(|client| client.asked().is_some())
    }

    /// The clients' history.
    pub fn history(&self) -> History {
        History::new(self.history.clone())
    }
}
