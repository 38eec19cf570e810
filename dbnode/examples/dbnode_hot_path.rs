//! Measures what a write costs a cluster of three, apart from system calls and disks: the primary
//! decides, its log and two replicas take the write, messages are encoded and decoded, and the
//! write is committed and applied everywhere. `scripts/instructions.sh` counts the instructions.
//!
//! ```text
//! cargo run --release -p dbnode --example dbnode_hot_path -- 1000
//! ```

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use dbclient::Condition;
use dbnode::replication::disk::Recovered;
use dbnode::replication::durability::Mode;
use dbnode::replication::effect::Effect;
use dbnode::replication::input::{Action, Hello, Input, Moment, Ticket, Write};
use dbnode::replication::key::Key;
use dbnode::replication::life::Starts;
use dbnode::replication::member::{Incarnation, Name};
use dbnode::replication::role::Role;
use dbnode::replication::{Core, Limits, Setup, Timing};
use uuid::Uuid;

const MEMBERS: [&str; 3] = ["db-1", "db-2", "db-3"];

/// The number of records, which are written in turn.
const KEYS: u64 = 100;

/// The interval of the timer ticks; far too short for an election.
const TICK: Duration = Duration::from_millis(20);

fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(1_000);
    let mut cluster = Cluster::formed();
    for number in 0..count {
        cluster.write(number);
    }
    let primary = &cluster.cores[cluster.primary()];
    assert!(primary.committed_index() > count, "every write was committed");
    black_box(&cluster.cores);
}

/// Three nodes whose disks and network take no time.
struct Cluster {
    cores: Vec<Core>,
    inputs: VecDeque<(usize, Input)>,
    now: Moment,
    acknowledged: u64,
}

impl Cluster {
    fn formed() -> Self {
        let cores =
            (0..MEMBERS.len()).map(|node| Core::new(setup(node), Recovered::default(), Moment::default()));
        let mut cluster =
            Self { cores: cores.collect(), inputs: VecDeque::new(), now: Moment::default(), acknowledged: 0 };
        for (node, peer) in (0..3).flat_map(|node| (0..3).map(move |peer| (node, peer))) {
            if node != peer {
                let hello = Hello { life: Arc::clone(cluster.cores[peer].life()), cluster: None };
                cluster.inputs.push_back((node, Input::Connected { peer: MEMBERS[peer].into(), hello }));
            }
        }
        for _ in 0..500 {
            cluster.tick();
            if cluster.cores.iter().any(|core| core.role() == Role::Primary) {
                return cluster;
            }
        }
        panic!("three nodes that hear each other elect a primary");
    }

    fn primary(&self) -> usize {
        let primary = self.cores.iter().position(|core| core.role() == Role::Primary);
        primary.expect("nothing deposes it")
    }

    fn tick(&mut self) {
        self.now = self.now + TICK;
        for node in 0..self.cores.len() {
            self.inputs.push_back((node, Input::TimePassed));
        }
        self.settle();
    }

    fn write(&mut self, number: u64) {
        let write = Write {
            key: Key::new(&format!("product-{}", number % KEYS)).expect("a valid key"),
            action: Action::Put(vec![b'x'; 100].into()),
            condition: Condition::Always,
            request: None,
        };
        let primary = self.primary();
        self.inputs.push_back((primary, Input::ClientWrites { ticket: Ticket(number), write }));
        let before = self.acknowledged;
        self.settle();
        assert_eq!(self.acknowledged, before + 1, "it is acknowledged");
        // About as many heartbeats as in a busy cluster.
        if number.is_multiple_of(16) {
            self.tick();
        }
    }

    /// Runs until no input is pending.
    fn settle(&mut self) {
        while let Some((node, input)) = self.inputs.pop_front() {
            for effect in self.cores[node].step(self.now, input) {
                self.carry_out(node, effect);
            }
        }
    }

    fn carry_out(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::Persist(batch) => {
                let record = postcard::to_extend(&batch.entries, Vec::with_capacity(4_096));
                black_box(record.expect("entries serialize"));
                self.inputs.push_back((node, Input::Persisted));
            }
            Effect::Send { to, envelope } => {
                let bytes =
                    postcard::to_extend(&envelope, Vec::with_capacity(512)).expect("messages serialize");
                let envelope = postcard::from_bytes(black_box(&bytes)).expect("and deserialize");
                let to = MEMBERS.iter().position(|name| **name == *to).expect("a member");
                let life = Arc::clone(self.cores[node].life());
                self.inputs.push_back((to, Input::Received { from: MEMBERS[node].into(), life, envelope }));
            }
            Effect::Acknowledge { .. } => self.acknowledged += 1,
            Effect::Compact(entries) => {
                let up_to = entries.last().expect("there is something to compact").index;
                self.inputs.push_back((node, Input::Compacted { up_to }));
            }
            Effect::Tell(_) | Effect::ReadReady { .. } => {}
            other => panic!("nothing is wrong here: {other:?}"),
        }
    }
}

fn setup(node: usize) -> Setup {
    let number = u128::try_from(node).expect("small") + 1;
    let name: Name = MEMBERS[node].into();
    Setup {
        name,
        incarnation: Incarnation(Uuid::from_u128(number)),
        starts: Starts::default(),
        members: MEMBERS.map(Name::from).into(),
        mode: Mode::Quorum,
        limits: Limits::default(),
        timing: Timing::default(),
        seed: 1,
    }
}
