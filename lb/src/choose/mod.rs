//! Chooses the upstream for the next request.
//!
//! A policy gets the [`Pool`] of upstreams that may take a request: healthy, and not draining. It knows
//! nothing of connections, health or headers. Upstreams that a request has already tried are skipped.

use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;

use clap::ValueEnum;

use crate::upstream::Upstream;

pub mod least_busy;
pub mod round_robin;
pub mod sticky;
pub mod two_choices;
pub mod weights;

use round_robin::RoundRobin;

/// The balancing policies of `--policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyName {
    /// Exact round robin, in proportion to the weights.
    RoundRobin,
    /// The upstream with the fewest requests in flight for its weight (least connections); round robin among
    /// equals.
    #[value(alias = "least-connections")]
    #[serde(alias = "least-connections")]
    LeastBusy,
    /// The less busy of two random upstreams (power of two choices).
    #[value(alias = "p2c")]
    #[serde(alias = "p2c")]
    TwoChoices,
    /// The same upstream for the same client, by a signed cookie; round robin for new clients.
    Sticky,
}

/// The upstreams that may take a request, and the order in which they take turns.
#[derive(Debug, Default)]
pub struct Pool {
    candidates: Vec<Candidate>,
    /// Indices of candidates, each as often as its share requires.
    turns: Vec<u32>,
}

/// An upstream that may take a request.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The upstream.
    pub upstream: Arc<Upstream>,
    /// Its share of the requests, relative to the others; at least 1.
    pub share: u32,
}

/// How busy a candidate is, relative to its share.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Requests in flight.
    pub in_flight: u64,
    /// Its share.
    pub share: u32,
}

/// The upstreams that a request has already tried, or that did not let it in.
#[derive(Debug, Default)]
pub struct Tried(Vec<u64>);

/// A policy and its state, shared by all threads.
#[derive(Debug)]
pub struct Policy {
    /// A [`PolicyName`], as its position among all of them.
    name: AtomicU8,
    rotation: RoundRobin,
}

/// Sticky cookies need a secret, which only a balancer that was started with `--policy sticky` has.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("'sticky' is chosen when a balancer starts: it cannot be switched to, or from")]
pub struct NotWhileRunning;

impl Policy {
    /// Creates the policy of this name.
    pub fn named(name: PolicyName) -> Self {
        Self { name: AtomicU8::new(name as u8), rotation: RoundRobin::default() }
    }

    /// Returns the policy's name.
    pub fn name(&self) -> PolicyName {
        PolicyName::value_variants()[usize::from(self.name.load(Relaxed))]
    }

    /// Replaces the policy; requests that are under way stay where they are.
    pub fn switch_to(&self, name: PolicyName) -> Result<(), NotWhileRunning> {
        let before = self.name();
        if before != name && [before, name].contains(&PolicyName::Sticky) {
            return Err(NotWhileRunning);
        }
        self.name.store(name as u8, Relaxed);
        Ok(())
    }

    /// Chooses the upstream for the next request; `None` if all have been tried. `dice` returns 64 random
    /// bits, for a policy that needs them.
    pub fn choose<'a>(
        &self,
        pool: &'a Pool,
        tried: &Tried,
        dice: impl FnOnce() -> u64,
    ) -> Option<&'a Arc<Upstream>> {
        let skip = |index: usize| tried.contains(pool.candidates[index].upstream.id);
        let load = |index: usize| pool.candidates[index].load();
        let index = match self.name() {
            PolicyName::RoundRobin | PolicyName::Sticky => self.rotation.next(&pool.turns, skip),
            PolicyName::LeastBusy => least_busy::choose(self.rotation.take_turn(), &pool.turns, skip, load),
            PolicyName::TwoChoices => two_choices::choose(dice(), pool.candidates.len(), skip, load),
        }?;
        Some(&pool.candidates[index].upstream)
    }

    /// Returns the upstream whose turn is next, without taking the turn; `None` if the choice is random.
    pub fn peek_next<'a>(&self, pool: &'a Pool) -> Option<&'a Arc<Upstream>> {
        let turn = self.rotation.turns_taken();
        let nobody = |_| false;
        let index = match self.name() {
            PolicyName::RoundRobin | PolicyName::Sticky => round_robin::at(turn, &pool.turns, nobody),
            PolicyName::LeastBusy => {
                least_busy::choose(turn, &pool.turns, nobody, |index| pool.candidates[index].load())
            }
            PolicyName::TwoChoices => None,
        }?;
        Some(&pool.candidates[index].upstream)
    }

    /// Turns taken since startup, over all threads.
    pub fn turns_taken(&self) -> u64 {
        self.rotation.turns_taken()
    }
}

impl Pool {
    /// Creates a pool; the candidates take turns in this order.
    pub fn new(candidates: Vec<Candidate>) -> Self {
        let shares: Vec<u32> = candidates.iter().map(|candidate| candidate.share).collect();
        Self { turns: weights::rotation(&shares), candidates }
    }

    /// All candidates.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// Returns the order of turns from this one on: names, each as often as its share requires.
    pub fn order_from(&self, turn: u64) -> impl Iterator<Item = &str> {
        round_robin::from(turn, &self.turns).map(|index| self.candidates[index].upstream.name.as_str())
    }

    /// Returns the upstream that a client's cookie names, if it may take a request.
    pub fn pinned(&self, token: &sticky::Token) -> Option<&Arc<Upstream>> {
        let names = |candidate: &&Candidate| {
            candidate.upstream.pin.as_ref().is_some_and(|pin| pin.token.equals(token))
        };
        self.candidates.iter().find(names).map(|candidate| &candidate.upstream)
    }
}

impl Candidate {
    fn load(&self) -> Load {
        Load { in_flight: self.upstream.in_flight(), share: self.share }
    }
}

impl Load {
    /// Compares requests in flight per share, without a division. Less means less busy.
    fn compare(self, other: Self) -> Ordering {
        let product = |load: Self, by: Self| u128::from(load.in_flight) * u128::from(by.share);
        product(self, other).cmp(&product(other, self))
    }
}

impl Tried {
    /// Excludes an upstream from further choices for this request.
    pub fn note(&mut self, upstream: u64) {
        self.0.push(upstream);
    }

    /// True if the upstream is excluded.
    pub fn contains(&self, upstream: u64) -> bool {
        self.0.contains(&upstream)
    }

    /// The number of excluded upstreams.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Keeps the first `count` entries only.
    pub fn keep_first(&mut self, count: usize) {
        self.0.truncate(count);
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use machine::names::Name;

    use super::*;
    use crate::upstream::{Address, Upstream};

    fn pool(shares: &[u32]) -> Pool {
        let candidate = |(index, share): (usize, &u32)| {
            let address = Address::new(&format!("web-{}", index + 1), "h:80").unwrap();
            let way = Name::from(SocketAddr::from(([127, 0, 0, 1], 80)));
            Candidate { upstream: Arc::new(Upstream::new(index as u64 + 1, address, way)), share: *share }
        };
        Pool::new(shares.iter().enumerate().map(candidate).collect())
    }

    fn choose(policy: &Policy, pool: &Pool, tried: &Tried) -> Option<u64> {
        policy.choose(pool, tried, || 7).map(|upstream| upstream.id)
    }

    #[test]
    fn no_policy_chooses_whom_a_request_has_tried() {
        let pool = pool(&[1, 1, 1]);
        for name in PolicyName::value_variants() {
            let (policy, mut tried) = (Policy::named(*name), Tried::default());
            let mut chosen = Vec::new();
            while let Some(upstream) = choose(&policy, &pool, &tried) {
                chosen.push(upstream);
                tried.note(upstream);
            }
            chosen.sort_unstable();
            assert_eq!(chosen, [1, 2, 3], "{name:?}");
        }
    }

    #[test]
    fn a_policy_is_switched_while_it_runs_and_sticky_is_not() {
        for name in PolicyName::value_variants() {
            assert_eq!(Policy::named(*name).name(), *name);
        }
        let (policy, pool) = (Policy::named(PolicyName::RoundRobin), pool(&[1, 1]));
        assert_eq!(policy.switch_to(PolicyName::LeastBusy), Ok(()));
        let busy = policy.choose(&pool, &Tried::default(), || 0).unwrap().enter().unwrap();
        let other = choose(&policy, &pool, &Tried::default());
        assert_ne!(other, Some(busy.upstream.id));
        assert_eq!(policy.switch_to(PolicyName::Sticky), Err(NotWhileRunning));
        assert_eq!(policy.name(), PolicyName::LeastBusy);
        assert_eq!(Policy::named(PolicyName::Sticky).switch_to(PolicyName::Sticky), Ok(()));
    }

    #[test]
    fn what_is_foreseen_is_what_is_chosen() {
        let pool = pool(&[3, 1, 2]);
        for name in [PolicyName::RoundRobin, PolicyName::LeastBusy, PolicyName::Sticky] {
            let policy = Policy::named(name);
            for _ in 0..20 {
                let foreseen = policy.peek_next(&pool).unwrap().id;
                assert_eq!(choose(&policy, &pool, &Tried::default()), Some(foreseen), "{name:?}");
            }
        }
    }

    #[test]
    fn the_least_busy_is_so_for_its_share() {
        let (policy, pool) = (Policy::named(PolicyName::LeastBusy), pool(&[2, 1]));
        let mut in_flight: Vec<_> = (0..30)
            .map(|_| policy.choose(&pool, &Tried::default(), || 0).unwrap().enter().unwrap())
            .collect();
        let of = |index: usize| pool.candidates[index].upstream.in_flight();
        assert_eq!((of(0), of(1)), (20, 10));
        // The second one finishes all its requests, so it gets the next ten.
        in_flight.retain(|request| request.upstream.id == 1);
        for _ in 0..10 {
            in_flight.push(policy.choose(&pool, &Tried::default(), || 0).unwrap().enter().unwrap());
        }
        assert_eq!((of(0), of(1)), (20, 10));
    }
}
