//! Runs many seeds, on all cores.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::invariants::linearizable::Judged;
use crate::planted::Planted;
use crate::run::{Outcome, run};
use crate::trace::Kept;

/// The outcome of many seeds.
#[derive(Debug, Default)]
struct Total {
    failed: Vec<u64>,
    given_up: usize,
    events: u64,
    operations: usize,
    acknowledged: usize,
}

/// Runs seeds until `enough` of them have failed.
fn run_all(first: u64, count: u64, planted: Planted, enough: usize) -> Total {
    let next = AtomicU64::new(first);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let failures = AtomicU64::new(0);
    let work = || {
        let mut total = Total::default();
        while failures.load(Ordering::Relaxed) < enough as u64 {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                break;
            }
            let outcome = run(seed, planted, Kept::Nothing);
            if outcome.violation.is_some() {
                failures.fetch_add(1, Ordering::Relaxed);
                total.failed.push(seed);
            }
            total.count(&outcome);
        }
        total
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).fold(Total::default(), Total::and)
    })
}

impl Total {
    fn count(&mut self, outcome: &Outcome) {
        self.given_up += usize::from(outcome.judged == Judged::GivenUp);
        self.events += outcome.events;
        self.operations += outcome.operations;
        self.acknowledged += outcome.acknowledged;
    }

    fn and(mut self, other: Self) -> Self {
        self.failed.extend(other.failed);
        self.failed.sort_unstable();
        Self {
            failed: self.failed,
            given_up: self.given_up + other.given_up,
            events: self.events + other.events,
            operations: self.operations + other.operations,
            acknowledged: self.acknowledged + other.acknowledged,
        }
    }
}

/// The first seed that fails, if any.
pub fn first_failure(seeds: u64, planted: Planted) -> Option<u64> {
    run_all(setting("SIMULATION_SEED", 1), seeds, planted, 1).failed.first().copied()
}

/// A number from the environment.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number in the environment"))
}

/// `scripts/simulate.sh SEED COUNT` sets both.
#[test]
fn what_is_promised_holds_whatever_goes_wrong() {
    let (first, count) = (setting("SIMULATION_SEED", 1), setting("SIMULATION_COUNT", 200));
    let started = std::time::Instant::now();
    let total = run_all(first, count, Planted::NOTHING, 1);
    if let Some(seed) = total.failed.first() {
        panic!("{}", run(*seed, Planted::NOTHING, Kept::All));
    }
    let Total { events, operations, acknowledged, given_up, .. } = total;
    let took = started.elapsed();
    println!(
        "{count} seeds from {first}: {events} events, {operations} operations, {acknowledged} acknowledged writes, {given_up} histories too tangled to judge, {took:.1?}"
    );
    assert!(acknowledged as u64 > count * 20, "too little happens to show anything");
    assert!(given_up as u64 <= count / 20, "too many histories were not judged");
}

#[test]
fn the_same_seed_leads_to_the_same_end() {
    for seed in 1..=12 {
        let [one, other] = [(); 2].map(|()| run(seed, Planted::NOTHING, Kept::All));
        assert_eq!(one.hash, other.hash, "seed {seed}");
        assert_ne!(one.hash, run(seed + 100, Planted::NOTHING, Kept::All).hash);
    }
}
