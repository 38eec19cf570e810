//! The cost of checking a history for linearizability. Each record has 2 000 operations, about four of them
//! concurrent, without versions to go by. `scripts/instructions.sh` counts the instructions.
//!
//! ```text
//! time cargo run --release -p history --example history_hot_path -- 200000
//! ```

use std::collections::BTreeMap;

use history::linearizable::{self, Limits, Verdict};
use history::{Action, Answer, At, History, Operation, Outcome, Read};

const OPERATIONS_PER_KEY: u64 = 2_000;

/// Nanoseconds between the effects of successive operations.
const STEP: u64 = 100;

/// The longest time from an operation's call to its effect, and from there to its answer.
const HALF_MAX: u64 = 4 * STEP;

fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(10_000);
    let history = History::new(operations(count));
    let verdict = linearizable::judge(&history, Limits::default());
    assert!(matches!(verdict, Verdict::Linearizable), "every answer was given in order: {verdict:?}");
}

/// Operations whose effects happened one after another.
fn operations(count: u64) -> Vec<Operation> {
    let keys = count.div_ceil(OPERATIONS_PER_KEY);
    let mut values = BTreeMap::new();
    let mut dice = Dice(1);
    let operation = |number: u64| {
        let key = format!("account-{}", number % keys);
        let value: &mut Option<String> = values.entry(key.clone()).or_default();
        let (action, answer) = match dice.below(4) {
            0 => {
                *value = Some(number.to_string());
                (Action::Put { value: number.to_string() }, Answer::Done { version: None })
            }
            1 => {
                let sum =
                    value.as_ref().map_or(0, |value| value.parse().expect("only numbers are written")) + 1;
                *value = Some(sum.to_string());
                (Action::Add { by: 1 }, Answer::Sum { value: sum, version: None })
            }
            _ => {
                let found = value.clone().map(|value| Answer::Found { value, version: None });
                (Action::Get { read: Read::Latest }, found.unwrap_or(Answer::Absent))
            }
        };
        // Successive operations on one record are `keys` steps apart.
        let (done_at, half_max) = (HALF_MAX * keys + number * STEP, HALF_MAX * keys / 2);
        Operation {
            session: format!("client-{}", number % 1_000),
            key,
            action,
            request: None,
            node: None,
            invoked_at: At(done_at - dice.below(half_max)),
            returned_at: Some(At(done_at + 1 + dice.below(half_max))),
            outcome: Outcome::Ok(answer),
        }
    };
    (0..count).map(operation).collect()
}

/// The same numbers each time (a linear congruential generator, Knuth's constants).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
