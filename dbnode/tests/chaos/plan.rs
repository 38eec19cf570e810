//! What a seed stands for: what happens to whom, and in which order. Decided before anything starts.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What an acknowledged write survives. `async` promises nothing that could be judged here.
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

/// Whom something happens to, as it is when the episode begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Primary,
    /// One of the replicas…
    First,
    /// …and the other one.
    Second,
}

const ALL: [Who; 3] = [Who::Primary, Who::First, Who::Second];

/// One thing that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing, for so many milliseconds.
    Wait(u64),
    /// SIGKILL.
    Kill(Who),
    /// SIGKILL to all, one right after the other.
    KillAll,
    /// SIGTERM: it lets somebody else be the primary, and ends.
    Stop(Who),
    /// It is started again.
    Start(Who),
    /// SIGSTOP.
    Freeze(Who),
    /// SIGCONT.
    Thaw(Who),
    /// Nothing reaches it and nothing leaves it, of what the members say.
    Cut(Who),
    /// Nothing leaves it.
    Mute(Who),
    /// Nothing reaches it.
    Deafen(Who),
    /// What the first says to the second has so many bytes a second.
    Slow(Who, Who, u64),
    /// All links are whole.
    Heal,
    /// Its disk is full.
    Fill(Who),
    /// There is room again.
    Empty(Who),
    /// It is killed, and starts with an empty directory.
    Wipe(Who),
    /// It is killed, its directory is copied, and it starts again; then all get to know of that start.
    Copy(Who),
    /// It is killed, and starts with the copy in the place of its directory.
    PutBack(Who),
    /// Waits until all are level: those that forgot something have everything again.
    Level,
}

/// What is done between two moments at which everything is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Episode {
    /// What it is called.
    pub name: &'static str,
    /// How long nothing is wrong before it, in milliseconds.
    pub rest: u64,
    /// What is done.
    pub steps: Vec<Step>,
}

/// What a seed stands for.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    /// How long things go wrong.
    pub length: Duration,
    pub mode: Mode,
    /// The log is compacted when it has more entries than this.
    pub log_entries: u32,
    /// More than there is time for.
    pub episodes: Vec<Episode>,
    /// The bug of `dbnode/tests/planted/bugs.toml` that the nodes have, in a tree with bugs.
    pub bug: Option<&'static str>,
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64, length: Duration, mode: Mode) -> Self {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let log_entries = *[200, 2_000, 50_000].choose(&mut dice).expect("there are some");
        // No episode takes less than 0.2 s.
        let episodes = (0..length.as_secs() * 5 + 5).map(|_| episode(&mut dice)).collect();
        Self { seed, length, mode, log_entries, episodes, bug: None }
    }

    /// How to see it again.
    pub fn command(&self) -> String {
        format!("scripts/chaos.sh {} {} {}", self.seed, self.length.as_secs(), self.mode.name())
    }
}

/// For a person: one line.
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
    // The primary has most to lose.
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
        // The two that are there first are a majority.
        if turn == 1 && dice.random() {
            steps.push(wait(dice, 500..1_800));
        }
    }
    steps
}

/// Long enough for a successor to be elected and to take writes.
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

/// One has fallen behind, another one loses its directory, and the primary is gone before that one can have
/// everything again: the two that are left must not agree on anything.
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

/// What was acknowledged since the copy was made is on the disks of the primary and of the one whose directory is
/// put back; the third knows that the copy is old.
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
