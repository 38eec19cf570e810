//! What a seed stands for: a cluster, its clients, and what goes wrong when.

use std::fmt;
use std::time::Duration;

use dbnode::replication::durability::Mode;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::disk;
use crate::network::Order;

/// When everything that is wrong is put right.
pub const HEALED_AT: Duration = Duration::from_millis(8_000);

/// What a seed stands for.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many nodes there are.
    pub nodes: usize,
    /// What an acknowledged write survives.
    pub mode: Mode,
    /// Whether messages keep their order.
    pub order: Order,
    /// How many clients there are.
    pub clients: usize,
    /// The log is folded when it has more entries than this.
    pub log_entries: usize,
    /// How many entries go together, to a disk or to another node.
    pub batch_entries: usize,
    /// How large a piece of a snapshot is, in bytes.
    pub piece_bytes: usize,
    /// What happens to whom, when; in order.
    pub faults: Vec<(Duration, Fault)>,
}

/// Whom something happens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// This node.
    Node(usize),
    /// Whoever is the primary then; nobody, when there is none.
    Primary,
}

/// Something goes wrong, or right again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A node is gone, and everything it had not confirmed to be on disk.
    Crash(Target),
    /// All nodes at once.
    CrashAll,
    /// Every node that is down starts again.
    StartAll,
    /// A node starts again, with an empty disk.
    Wipe(usize),
    /// Nothing reaches it and nothing leaves it.
    Isolate(Target),
    /// Nothing leaves it: the others do not hear it.
    Mute(Target),
    /// Nothing reaches it.
    Deafen(Target),
    /// One direction between two nodes.
    Cut(usize, usize),
    /// The nodes of this set and the others do not reach each other.
    Split(u32),
    /// All links pass messages as they should.
    MendAll,
    /// Messages from this node take so many milliseconds longer.
    Delay(Target, u64),
    /// Of 1000 messages everywhere so many are lost, and so many arrive twice.
    Unreliable(u32, u32),
    /// It does nothing for so many milliseconds, and then goes on as if nothing had happened.
    Pause(Target, u64),
    /// Its clock runs at this rate, in percent.
    Clock(usize, u32),
    /// Its disk takes so many milliseconds longer.
    SlowDisk(Target, u64),
    /// Its disk has a fault.
    BadDisk(Target, disk::Fault),
    /// All disks are as they should be.
    GoodDisks,
    /// For so many milliseconds, whoever becomes the primary is gone a moment later, and comes back
    /// after a while: what leaves unfinished entries of several terms on different nodes (the Raft
    /// paper's figure 8).
    Ambush(u64),
    /// It is asked to let somebody else be the primary.
    HandOver(Target),
}

impl Plan {
    /// The plan of a seed. The mode is part of it.
    pub fn of(seed: u64) -> Self {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let modes = [Mode::Quorum, Mode::Quorum, Mode::Sync, Mode::Sync, Mode::Async];
        let mode = *modes.choose(&mut dice).expect("there are some");
        let nodes = if dice.random_range(0..3) == 0 { 5 } else { 3 };
        let order = if dice.random_range(0..4) == 0 { Order::Any } else { Order::Kept };
        let clients = dice.random_range(2..6);
        let log_entries = if dice.random() { dice.random_range(8..60) } else { 10_000 };
        let mut batch_entries = if dice.random() { dice.random_range(1..4) } else { 1_024 };
        let piece_bytes = if dice.random() { dice.random_range(200..2_000) } else { 256 << 10 };
        let mut faults = Vec::new();
        for _ in 0..dice.random_range(2..9) {
            add(&mut faults, nodes, &mut dice);
        }
        if dice.random_range(0..5) == 0 {
            let at = Duration::from_millis(dice.random_range(300..1_500));
            faults.push((at, Fault::Ambush(6_000)));
            batch_entries = 1;
        }
        if dice.random_range(0..6) == 0 {
            let at = Duration::from_millis(dice.random_range(2_000..6_000));
            faults.push((at, Fault::Wipe(dice.random_range(0..nodes))));
        }
        faults.sort_by_key(|(at, _)| *at);
        Self { nodes, mode, order, clients, log_entries, batch_entries, piece_bytes, faults }
    }
}

/// For a person: the cluster, and a line for each fault.
impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, mode, order, clients, log_entries, batch_entries, piece_bytes, faults } = self;
        writeln!(
            formatter,
            "{nodes} nodes, {} mode, {clients} clients, order of messages: {order:?}, log folded after {log_entries} entries, batches of {batch_entries}, pieces of {piece_bytes} bytes",
            mode.name()
        )?;
        faults
            .iter()
            .try_for_each(|(at, fault)| writeln!(formatter, "{:>10.3} ms  {fault:?}", at.as_secs_f64() * 1e3))
    }
}

/// One thing that goes wrong, and right again after a while.
fn add(faults: &mut Vec<(Duration, Fault)>, nodes: usize, dice: &mut ChaCha8Rng) {
    let from = Duration::from_millis(dice.random_range(300..7_000));
    let to = from + Duration::from_millis(dice.random_range(20..3_000));
    let node = dice.random_range(0..nodes);
    let target = if dice.random() { Target::Primary } else { Target::Node(node) };
    let other = (node + dice.random_range(1..nodes)) % nodes;
    let (wrong, right) = match dice.random_range(0..17) {
        0..3 => (Fault::Crash(target), Some(Fault::StartAll)),
        3 => (Fault::CrashAll, Some(Fault::StartAll)),
        4..6 => (Fault::Isolate(target), Some(Fault::MendAll)),
        6 => (Fault::Mute(target), Some(Fault::MendAll)),
        7 => (Fault::Deafen(target), Some(Fault::MendAll)),
        8 => (Fault::Cut(node, other), Some(Fault::MendAll)),
        9 => (Fault::Split(dice.random_range(1..(1 << nodes) - 1)), Some(Fault::MendAll)),
        10 => (Fault::Delay(target, dice.random_range(1..400)), Some(Fault::MendAll)),
        11 => (Fault::Unreliable(dice.random_range(0..200), dice.random_range(0..100)), Some(Fault::MendAll)),
        12 => {
            let rest = (HEALED_AT - from).as_millis() as u64;
            (Fault::Pause(target, dice.random_range(20..3_000).min(rest)), None)
        }
        13 => (Fault::Clock(node, *[50, 90, 95, 105, 110, 200].choose(dice).expect("there are some")), None),
        14 => (Fault::SlowDisk(target, dice.random_range(5..400)), Some(Fault::GoodDisks)),
        15 => {
            let fault = if dice.random() { disk::Fault::Full } else { disk::Fault::Broken };
            (Fault::BadDisk(target, fault), Some(Fault::GoodDisks))
        }
        _ => (Fault::HandOver(target), None),
    };
    faults.push((from, wrong));
    faults.extend(right.map(|right| (to, right)));
}
