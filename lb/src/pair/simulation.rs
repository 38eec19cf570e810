//! Deterministic simulation: two state machines, a network with delays, clocks, and processes that
//! die, freeze and come back at random. In every schedule in which the two can hear each other, at
//! most one may answer at any moment.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::advert::{Advert, AdvertKind};
use super::failover::{Effect, Failover, Input, Role, Rules, TakeoverMode};

const ADVERT: Duration = Duration::from_millis(200);
const STEP: Duration = Duration::from_millis(5);
/// The longest delay of a datagram. A claim waits for twice as long.
const DELAY_STEPS_MAX: u64 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Runs,
    Frozen,
    Dead,
}

struct Node {
    rules: Rules,
    failover: Failover,
    state: State,
    /// Kept by the kernel: datagrams that have arrived but were not read, and who holds the address.
    inbox: Vec<Advert>,
    holds: bool,
    leaves: bool,
}

/// A fault, and when it strikes.
#[derive(Debug, Clone)]
struct Blow {
    after_steps: u64,
    node: usize,
    kind: BlowKind,
}

#[derive(Debug, Clone, Copy)]
enum BlowKind {
    Kill,
    Start,
    Freeze,
    Thaw,
    Leave,
    Cut,
    Mend,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takeover {
    /// The kernel gives the address to one process only.
    Bind,
    /// Any process can take it.
    Vip,
}

struct World {
    takeover: Takeover,
    start: Instant,
    steps: u64,
    nodes: [Node; 2],
    /// Recipient, arrival step and advert.
    network: Vec<(usize, u64, Advert)>,
    cut: bool,
    dice: u64,
    most_owners: usize,
}

impl World {
    fn new(takeover: Takeover, dice: u64) -> Self {
        let start = Instant::now();
        let node = |id: &str, priority| {
            let rules = Rules { id: id.into(), priority, advert: ADVERT };
            let failover = Failover::new(rules.clone(), start);
            Node { rules, failover, state: State::Runs, inbox: vec![], holds: false, leaves: false }
        };
        let nodes = [node("a", 100), node("b", 90)];
        Self { takeover, start, steps: 0, nodes, network: vec![], cut: false, dice: dice | 1, most_owners: 0 }
    }

    fn now(&self) -> Instant {
        self.start + STEP * u32::try_from(self.steps).unwrap()
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % sides
    }

    fn step(&mut self) {
        self.steps += 1;
        let now = self.steps;
        let (arrived, under_way) = std::mem::take(&mut self.network).into_iter().partition(|it| it.1 <= now);
        self.network = under_way;
        let arrived: Vec<_> = arrived;
        for (to, _, advert) in arrived {
            if self.nodes[to].state != State::Dead {
                self.nodes[to].inbox.push(advert);
            }
        }
        for index in 0..2 {
            if self.nodes[index].state == State::Runs {
                for advert in std::mem::take(&mut self.nodes[index].inbox) {
                    self.input(index, Input::Heard(advert));
                }
                self.input(index, Input::Tick);
                if self.nodes[index].leaves {
                    self.input(index, Input::Leave);
                }
            }
            self.count_owners();
        }
    }

    fn input(&mut self, index: usize, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let now = self.now();
            for effect in self.nodes[index].failover.step(now, input) {
                match effect {
                    Effect::Say(saying) => self.say(index, saying),
                    Effect::Take(mode) => {
                        let free = self.takeover == Takeover::Vip
                            || mode == TakeoverMode::HandedOver
                            || !self.nodes[1 - index].holds;
                        self.nodes[index].holds |= free;
                        inputs.push(if free { Input::Taken } else { Input::NotTaken });
                    }
                    Effect::Pause => {}
                    Effect::Release(_) => self.nodes[index].holds = false,
                }
            }
        }
    }

    fn say(&mut self, from: usize, saying: AdvertKind) {
        let Rules { id, priority, .. } = self.nodes[from].rules.clone();
        let at = self.steps + self.roll(DELAY_STEPS_MAX + 1);
        if !self.cut {
            self.network.push((1 - from, at, Advert { saying, priority, id }));
        }
    }

    /// Returns whether the node would answer a client now.
    fn answers(&self, node: &Node) -> bool {
        let lease = node.failover.lease().is_some_and(|until| self.now() < until);
        node.state == State::Runs && node.failover.role() == Role::Active && lease
    }

    fn owners(&self) -> usize {
        self.nodes.iter().filter(|node| self.answers(node)).count()
    }

    fn count_owners(&mut self) {
        self.most_owners = self.most_owners.max(self.owners());
    }

    fn blow(&mut self, node: usize, kind: BlowKind) {
        let now = self.now();
        let node = &mut self.nodes[node];
        match (kind, node.state) {
            (BlowKind::Kill, _) => {
                node.state = State::Dead;
                node.holds = false;
                node.inbox.clear();
            }
            (BlowKind::Start, State::Dead) => {
                node.failover = Failover::new(node.rules.clone(), now);
                (node.state, node.leaves) = (State::Runs, false);
            }
            (BlowKind::Freeze, State::Runs) => node.state = State::Frozen,
            (BlowKind::Thaw, State::Frozen) => node.state = State::Runs,
            (BlowKind::Leave, State::Runs) => node.leaves = true,
            (BlowKind::Cut, _) => self.cut = true,
            (BlowKind::Mend, _) => self.cut = false,
            _ => {}
        }
    }

    fn play(&mut self, blows: &[Blow]) {
        for blow in blows {
            (0..blow.after_steps).for_each(|_| self.step());
            self.blow(blow.node, blow.kind);
        }
        (0..400).for_each(|_| self.step());
    }
}

fn blows(kinds: &'static [BlowKind]) -> impl Strategy<Value = Vec<Blow>> {
    let blow = (0u64..400, 0usize..2, prop::sample::select(kinds));
    let blow = blow.prop_map(|(after_steps, node, kind)| Blow { after_steps, node, kind });
    prop::collection::vec(blow, 0..12)
}

use BlowKind::{Cut, Freeze, Kill, Leave, Mend, Start, Thaw};

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    /// Both can take the address: only their adverts keep them apart.
    #[test]
    fn at_most_one_answers_while_they_can_hear_each_other(
        blows in blows(&[Kill, Start, Freeze, Thaw, Leave]), dice in any::<u64>(),
    ) {
        let mut world = World::new(Takeover::Vip, dice);
        world.play(&blows);
        prop_assert!(world.most_owners <= 1);
    }

    /// The kernel keeps them apart, even when they cannot hear each other.
    #[test]
    fn with_bind_at_most_one_answers_whatever_happens(
        blows in blows(&[Kill, Start, Freeze, Thaw, Leave, Cut, Mend]), dice in any::<u64>(),
    ) {
        let mut world = World::new(Takeover::Bind, dice);
        world.play(&blows);
        prop_assert!(world.most_owners <= 1);
    }

    /// Both answer while they cannot hear each other; then one gives up within an advert interval and
    /// a delay.
    #[test]
    fn after_a_cut_is_mended_one_is_left(dice in any::<u64>(), cut_steps in 200u64..1000) {
        let mut world = World::new(Takeover::Vip, dice);
        (0..400).for_each(|_| world.step());
        world.blow(0, Cut);
        (0..cut_steps).for_each(|_| world.step());
        prop_assert_eq!(world.owners(), 2, "split: this is what a partition does");
        world.blow(0, Mend);
        (0..50).for_each(|_| world.step());
        prop_assert_eq!(world.owners(), 1);
        prop_assert!(world.answers(&world.nodes[0]), "the one with the higher priority is left");
    }

    /// Whenever a node is well and reachable, the address is taken within the time that the standard
    /// gives.
    #[test]
    fn one_answers_a_second_after_the_other_died(dice in any::<u64>(), freeze in any::<bool>()) {
        let mut world = World::new(Takeover::Vip, dice);
        (0..400).for_each(|_| world.step());
        prop_assert!(world.answers(&world.nodes[0]), "the one with the higher priority begins");
        world.blow(0, if freeze { Freeze } else { Kill });
        (0..200).for_each(|_| world.step());
        prop_assert_eq!(world.owners(), 1);
    }
}

/// Shows that the simulation can fail: with a claim too short for an objection, two nodes that start
/// together both take the address.
#[test]
fn the_simulation_finds_a_claim_that_is_too_short() {
    let found = (1..200).any(|dice| {
        let mut world = World::new(Takeover::Vip, dice * 7919);
        for node in &mut world.nodes {
            node.rules.advert = Duration::from_millis(4);
            node.failover = Failover::new(node.rules.clone(), world.start);
        }
        world.play(&[]);
        world.most_owners > 1
    });
    assert!(found);
}
