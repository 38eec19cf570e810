//! The plan of a seed: which faults hit which node, and in which order. It is drawn before anything
//! starts.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The replication mode. `async` is missing, because it guarantees nothing that could be checked
/// here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Quorum,
    Sync,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Self::Quorum => "quorum",
            Self::Sync => "sync",
        }
    }
}

impl FromStr for Mode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Quorum, Self::Sync].into_iter().find(|mode| mode.name() == text).ok_or(())
    }
}

/// The target of a fault, according to the roles at the start of the episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Primary,
    /// One of the replicas…
    First,
    /// …and the other one.
    Second,
}

const ALL: [Who; 3] = [Who::Primary, Who::First, Who::Second];

/// One step of an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Does nothing, for this many milliseconds.
    Wait(u64),
    /// Sends SIGKILL.
    Kill(Who),
    /// Sends SIGKILL to all, in quick succession.
    KillAll,
    /// Sends SIGTERM: the node hands over leadership and ends.
    Stop(Who),
    /// Starts the node again.
    Start(Who),
    /// Sends SIGSTOP.
    Freeze(Who),
    /// Sends SIGCONT.
    Thaw(Who),
    /// Cuts the links of the node to the other members, in both directions.
    Cut(Who),
    /// Cuts the links from the node.
    Mute(Who),
    /// Cuts the links to the node.
    Deafen(Who),
    /// Limits the link from the first node to the second to this many bytes per second.
    Slow(Who, Who, u64),
    /// Restores all links.
    Heal,
    /// Fills the node's disk.
    Fill(Who),
    /// Frees the node's disk.
    Empty(Who),
    /// Kills the node, and starts it with an empty directory.
    Wipe(Who),
    /// Kills the node, copies its directory, starts it again, and waits until all know of that
    /// start.
    Copy(Who),
    /// Kills the node, and starts it from the copy.
    PutBack(Who),
    /// Waits until all are caught up, and nodes that forgot something have everything again.
    Level,
}

/// Steps that begin and end with a healthy cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Episode {
    /// The episode's name.
    pub name: &'static str,
    /// The healthy time before it, in milliseconds.
    pub rest: u64,
    /// What is done.
    pub steps: Vec<Step>,
}

/// The plan of a seed.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    /// The length of the faulty phase.
    pub length: Duration,
    pub mode: Mode,
    /// The log is compacted when it has more entries than this.
    pub log_entries: u32,
    /// The episodes; more than there is time for.
    pub episodes: Vec<Episode>,
    /// The bug of `dbnode/tests/planted/bugs.toml` that the nodes have, in a tree with planted
    /// bugs.
    pub bug: Option<&'static str>,
}

impl Plan {
    /// Draws the plan of a seed.
    pub fn of(seed: u64, length: Duration, mode: Mode) -> Self {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let log_entries = *[200, 2_000, 50_000].choose(&mut dice).expect("there are some");
        // No episode takes less than 0.2 s.
        let episodes = (0..length.as_secs() * 5 + 5).map(|_| episode(&mut dice)).collect();
        Self { seed, length, mode, log_entries, episodes, bug: None }
    }

    /// The command that repeats the run.
    pub fn command(&self) -> String {
        format!("scripts/chaos.sh {} {} {}", self.seed, self.length.as_secs(), self.mode.name())
    }
}

/// One line, for people.
impl fmt::Display for Episode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {:?}", self.name, self.steps)
    }
}

fn episode(dice: &mut ChaCha8Rng) -> Episode {
    let rest = dice.random_range(50..700);
    let (name, steps) = match dice.random_range(0..22) {
        0..3 => ("one is killed", one_is_killed(dice)),
        3 | 4 => ("two are killed", two_are_killed(dice)),
        5 | 6 => ("all are killed", all_are_killed(dice)),
        7 | 8 => ("one is frozen", for_a_while(dice, Step::Freeze, Step::Thaw)),
        9 | 10 => ("the primary is frozen", frozen_primary(dice)),
        11 => ("one is cut off", for_a_while(dice, Step::Cut, |_| Step::Heal)),
        12 => ("one is not heard", for_a_while(dice, Step::Mute, |_| Step::Heal)),
        13 => ("one hears nothing", for_a_while(dice, Step::Deafen, |_| Step::Heal)),
        14 => ("one disk is full", for_a_while(dice, Step::Fill, Step::Empty)),
        15 => ("one is told to stop", told_to_stop(dice)),
        16 => ("one loses its directory", one_loses_its_directory(dice)),
        17..20 => ("one loses its directory, and the primary dies", lost_with_the_primary(dice)),
        _ => ("an old copy comes back", an_old_copy_comes_back(dice)),
    };
    Episode { name, rest, steps }
}

fn anybody(dice: &mut ChaCha8Rng) -> Who {
    // Faults of the primary are the most revealing.
    *[Who::Primary, Who::Primary, Who::First].choose(dice).expect("there are some")
}

fn wait(dice: &mut ChaCha8Rng, range: std::ops::Range<u64>) -> Step {
    Step::Wait(dice.random_range(range))
}

fn for_a_while(dice: &mut ChaCha8Rng, wrong: fn(Who) -> Step, right: fn(Who) -> Step) -> Vec<Step> {
    let who = anybody(dice);
    vec![wrong(who), wait(dice, 200..2_500), right(who)]
}

fn one_is_killed(dice: &mut ChaCha8Rng) -> Vec<Step> {
    let who = anybody(dice);
    vec![Step::Kill(who), wait(dice, 0..1_200), Step::Start(who)]
}

fn two_are_killed(dice: &mut ChaCha8Rng) -> Vec<Step> {
    let (one, other) = if dice.random() { (Who::Primary, Who::First) } else { (Who::First, Who::Second) };
    let mut steps = vec![Step::Kill(one)];
    if dice.random() {
        steps.push(wait(dice, 0..50));
    }
    steps.extend([Step::Kill(other), wait(dice, 0..500), Step::Start(other)]);
    if dice.random() {
        steps.push(wait(dice, 200..1_500));
    }
    steps.push(Step::Start(one));
    steps
}

fn all_are_killed(dice: &mut ChaCha8Rng) -> Vec<Step> {
    let mut steps = vec![Step::KillAll, wait(dice, 0..200)];
    let first = dice.random_range(0..3);
    for turn in 0..3 {
        steps.push(Step::Start(ALL[(first + turn) % 3]));
        // The two that start first are a majority.
        if turn == 1 && dice.random() {
            steps.push(wait(dice, 500..1_800));
        }
    }
    steps
}

/// Long enough for a successor to be elected and to accept writes.
fn frozen_primary(dice: &mut ChaCha8Rng) -> Vec<Step> {
    vec![Step::Freeze(Who::Primary), wait(dice, 1_200..3_000), Step::Thaw(Who::Primary)]
}

fn told_to_stop(dice: &mut ChaCha8Rng) -> Vec<Step> {
    let who = anybody(dice);
    vec![Step::Stop(who), wait(dice, 0..500), Step::Start(who)]
}

fn one_loses_its_directory(dice: &mut ChaCha8Rng) -> Vec<Step> {
    vec![Step::Level, Step::Wipe(anybody(dice)), wait(dice, 0..800)]
}

/// One replica has fallen behind, the other one loses its directory, and the primary fails before
/// that one can recover: the two that remain must not agree on anything.
fn lost_with_the_primary(dice: &mut ChaCha8Rng) -> Vec<Step> {
    let behind = if dice.random() { Step::Cut(Who::Second) } else { Step::Freeze(Who::Second) };
    let mut steps = vec![Step::Level, behind, wait(dice, 200..550)];
    if dice.random_range(0..3) > 0 {
        let speed = dice.random_range(100..1_500) * 1_000;
        steps.push(Step::Slow(Who::Primary, Who::First, speed));
    }
    steps.extend([
        Step::Wipe(Who::First),
        wait(dice, 50..500),
        Step::Kill(Who::Primary),
        Step::Thaw(Who::Second),
        Step::Heal,
        wait(dice, 1_000..2_500),
        Step::Start(Who::Primary),
    ]);
    steps
}

/// Everything acknowledged since the copy was made is on the disks of the primary and of the node
/// whose directory is restored; the third node knows that the copy is old.
fn an_old_copy_comes_back(dice: &mut ChaCha8Rng) -> Vec<Step> {
    vec![
        Step::Level,
        Step::Copy(Who::First),
        wait(dice, 100..500),
        if dice.random() { Step::Cut(Who::Second) } else { Step::Freeze(Who::Second) },
        wait(dice, 200..1_000),
        Step::Kill(Who::Primary),
        Step::PutBack(Who::First),
        Step::Thaw(Who::Second),
        Step::Heal,
        wait(dice, 1_000..2_500),
        Step::Start(Who::Primary),
    ]
}
