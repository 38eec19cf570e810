//! The plan of a seed: a cluster, its clients, and which faults happen when.

use std::fmt;
use std::time::Duration;

use dbnode::replication::durability::Mode;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::disk;
use crate::network::Order;
use crate::plays::Play;

/// When everything is repaired.
pub const HEALED_AT: Duration = Duration::from_millis(8_000);

/// The plan of a seed.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The number of nodes.
    pub nodes: usize,
    /// What an acknowledged write survives.
    pub mode: Mode,
    /// Whether messages keep their order.
    pub order: Order,
    /// The number of clients.
    pub clients: usize,
    /// The log is compacted when it has more entries than this.
    pub log_entries: usize,
    /// Maximum entries in one batch, to a disk or to another node.
    pub batch_entries: usize,
    /// The size of a snapshot chunk, in bytes.
    pub chunk_bytes: usize,
    /// How long request ids are remembered.
    pub names_kept: Duration,
    /// Maximum memory for request ids, in bytes.
    pub names_bytes: usize,
    /// True if new directories begin with records, different ones in each.
    pub imports: bool,
    /// The faults and their times, in order.
    pub faults: Vec<(Duration, Fault)>,
}

/// The target of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// This node.
    Node(usize),
    /// The current primary, if there is one.
    Primary,
    /// A node that currently follows a primary.
    Replica,
}

/// The beginning or end of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A node crashes; what it had not confirmed to be on disk may be lost.
    Crash(Target),
    /// All nodes crash at once.
    CrashAll,
    /// Every node that is down starts again.
    StartAll,
    /// A node starts again with an empty disk.
    Wipe(Target),
    /// A node is stopped, its directory is copied, and it starts again.
    Copy(usize),
    /// A node is stopped, its directory is moved away, and it starts again with an empty one.
    MoveAway(usize),
    /// A node starts again from the directory that was copied or moved away.
    PutBack(usize),
    /// A node starts again after losing this many entries from the end of its log.
    LoseTail(usize, usize),
    /// Its disk is full, and stays full when everything else is repaired.
    FullForGood(Target),
    /// All links to and from the node are cut.
    Isolate(Target),
    /// The links from the node are cut.
    Mute(Target),
    /// The links to the node are cut.
    Deafen(Target),
    /// The link from the first node to the second is cut.
    Cut(usize, usize),
    /// The links between the nodes of this set and the others are cut.
    Split(u32),
    /// All links are restored.
    MendAll,
    /// Messages from this node are delayed by this many milliseconds.
    Delay(Target, u64),
    /// Of 1000 messages on any link, this many are lost, and this many arrive twice.
    Unreliable(u32, u32),
    /// The node is paused for this many milliseconds, and then continues as if nothing had
    /// happened.
    Pause(Target, u64),
    /// Its clock runs at this rate, in percent.
    Clock(usize, u32),
    /// Its disk takes this many milliseconds longer.
    SlowDisk(Target, u64),
    /// Its disk has a fault.
    BadDisk(Target, disk::Fault),
    /// All disks are healthy again.
    GoodDisks,
    /// For this many milliseconds, each new primary crashes a moment after its election, and comes
    /// back after a while. This leaves unfinished entries of several terms on different nodes (the
    /// Raft paper's figure 8).
    Ambush(u64),
    /// The node is asked to hand over leadership.
    HandOver(Target),
}

impl Plan {
    /// Draws the plan of a seed, including the mode.
    pub fn of(seed: u64) -> Self {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let modes = [Mode::Quorum, Mode::Quorum, Mode::Sync, Mode::Sync, Mode::Async];
        let mode = *modes.choose(&mut dice).expect("there are some");
        let nodes = if dice.random_range(0..3) == 0 { 5 } else { 3 };
        let order = if dice.random_range(0..4) == 0 { Order::Any } else { Order::Kept };
        let clients = dice.random_range(2..6);
        let log_entries = if dice.random() { dice.random_range(8..60) } else { 10_000 };
        let mut batch_entries = if dice.random() { dice.random_range(1..4) } else { 1_024 };
        let chunk_bytes = if dice.random() { dice.random_range(200..2_000) } else { 256 << 10 };
        let mut faults = Vec::new();
        for _ in 0..dice.random_range(2..9) {
            add(&mut faults, nodes, &mut dice);
        }
        if dice.random_range(0..5) == 0 {
            let at = Duration::from_millis(dice.random_range(300..1_500));
            faults.push((at, Fault::Ambush(6_000)));
            batch_entries = 1;
        }
        let mut log_entries = log_entries;
        let mut play = None;
        match dice.random_range(0..13) {
            0..3 => lose_disks(&mut faults, nodes, &mut dice),
            3..6 => put_back(&mut faults, nodes, &mut dice),
            6 => freeze_primaries(&mut faults, &mut dice),
            7 if mode != Mode::Sync => {
                let target =
                    if dice.random() { Target::Primary } else { Target::Node(dice.random_range(0..nodes)) };
                faults.push((millis(&mut dice, 500..7_900), Fault::FullForGood(target)));
            }
            8 => faults.push((
                millis(&mut dice, 1_000..7_000),
                Fault::LoseTail(dice.random_range(0..nodes), dice.random_range(1..9)),
            )),
            9 => play = Some(Play::ReplacedComesBack),
            10 => play = Some(Play::NewJoinsThePast),
            11 => play = Some(Play::LateSnapshots),
            12 => play = Some(Play::UnfinishedTerms),
            _ => {}
        }
        if faults.iter().any(|(_, fault)| matches!(fault, Fault::Wipe(_) | Fault::PutBack(_))) {
            // The longer recovery takes, the more can happen meanwhile.
            batch_entries = 1;
            if dice.random_range(0..4) > 0 {
                log_entries = 10_000;
            }
        }
        let names_kept = Duration::from_secs(if dice.random() { 60 } else { 6 });
        let names_bytes = if dice.random_range(0..8) == 0 { 10_000 } else { 1 << 30 };
        let imports = dice.random_range(0..4) == 0;
        let mut plan = Self {
            nodes,
            mode,
            order,
            clients,
            log_entries,
            batch_entries,
            chunk_bytes,
            names_kept,
            names_bytes,
            imports,
            faults,
        };
        if let Some(play) = play {
            plan.play(play, &mut dice);
        }
        plan.faults.sort_by_key(|(at, _)| *at);
        plan
    }
}

fn millis(dice: &mut ChaCha8Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(dice.random_range(range))
}

/// Disks are lost, one after the other, and often the primary crashes before the node that lost its
/// disk has recovered.
fn lose_disks(faults: &mut Vec<(Duration, Fault)>, nodes: usize, dice: &mut ChaCha8Rng) {
    for _ in 0..dice.random_range(1..5) {
        let (at, node) = (millis(dice, 1_000..7_000), dice.random_range(0..nodes));
        let target = if dice.random_range(0..4) == 0 { Target::Primary } else { Target::Node(node) };
        ambush(faults, at, (Fault::Wipe(target), node), nodes, dice);
    }
}

/// A directory is replaced with an old copy, more than once.
fn put_back(faults: &mut Vec<(Duration, Fault)>, nodes: usize, dice: &mut ChaCha8Rng) {
    for _ in 0..dice.random_range(1..4) {
        let (copied, node) = (millis(dice, 700..5_000), dice.random_range(0..nodes));
        faults.push((copied, Fault::Copy(node)));
        let at = copied + millis(dice, 600..2_000);
        if dice.random() {
            lose_meanwhile(faults, copied + millis(dice, 100..300), node, nodes, dice);
        }
        ambush(faults, at, (Fault::PutBack(node), node), nodes, dice);
    }
}

/// The copied directory is lost. Another node is cut off after it may have heard of the new one,
/// and before it knows that the others have agreed to it.
fn lose_meanwhile(
    faults: &mut Vec<(Duration, Fault)>,
    at: Duration,
    node: usize,
    nodes: usize,
    dice: &mut ChaCha8Rng,
) {
    let delay = dice.random_range(10..120);
    faults.push((at.saturating_sub(Duration::from_millis(5)), Fault::Delay(Target::Primary, delay)));
    faults.push((at, Fault::Wipe(Target::Node(node))));
    let cut_off = another(node, nodes, dice);
    faults.push((at + millis(dice, delay / 2..delay * 4), Fault::Isolate(Target::Node(cut_off))));
}

/// A member forgets something after another one has fallen behind, and the primary crashes just
/// before, or a moment later; the two others then have to do without it.
fn ambush(
    faults: &mut Vec<(Duration, Fault)>,
    at: Duration,
    (forgets, node): (Fault, usize),
    nodes: usize,
    dice: &mut ChaCha8Rng,
) {
    faults.push((at, forgets));
    if dice.random() {
        let behind = another(node, nodes, dice);
        faults.push((at.saturating_sub(millis(dice, 30..500)), Fault::Isolate(Target::Node(behind))));
    }
    let dies = match dice.random_range(0..3) {
        0 => at.saturating_sub(millis(dice, 1..20)),
        1 => at + millis(dice, 1..60),
        _ => at + millis(dice, 1..300),
    };
    if dice.random_range(0..4) > 0 {
        faults.push((dies, Fault::Crash(Target::Primary)));
    }
    faults.push((dies.max(at) + millis(dice, 1..40), Fault::MendAll));
    faults.push((dies + millis(dice, 500..2_000), Fault::StartAll));
}

fn another(node: usize, nodes: usize, dice: &mut ChaCha8Rng) -> usize {
    (node + dice.random_range(1..nodes)) % nodes
}

/// Pauses the primary repeatedly, each time long enough for another one to be elected.
fn freeze_primaries(faults: &mut Vec<(Duration, Fault)>, dice: &mut ChaCha8Rng) {
    let mut at = millis(dice, 500..1_500);
    while at < HEALED_AT - Duration::from_millis(2_500) {
        let pause = dice.random_range(900..2_400);
        faults.push((at, Fault::Pause(Target::Primary, pause)));
        at += Duration::from_millis(pause) + millis(dice, 100..1_500);
    }
}

/// For people: the cluster, and one line for each fault.
impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, mode, order, clients, log_entries, batch_entries, chunk_bytes, faults, .. } = self;
        writeln!(
            formatter,
            "{nodes} nodes, {} mode, {clients} clients, order of messages: {order:?}, log compacted after {log_entries} entries, batches of {batch_entries}, chunks of {chunk_bytes} bytes",
            mode.name()
        )?;
        faults
            .iter()
            .try_for_each(|(at, fault)| writeln!(formatter, "{:>10.3} ms  {fault:?}", at.as_secs_f64() * 1e3))
    }
}

/// Adds one fault and its end.
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
