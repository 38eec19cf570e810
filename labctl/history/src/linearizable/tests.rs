use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::testing::{
    Use, absent, add, delete, failed, put, right, seen, unknown, use_of, with_one_stale_read,
};

fn verdict(operations: Vec<Operation>) -> Verdict {
    judge(&History::new(operations), Limits::default())
}

#[track_caller]
fn accepts(operations: Vec<Operation>) {
    assert_eq!(verdict(operations), Verdict::Linearizable);
}

/// The operations of the explanation, as texts.
#[track_caller]
fn refuses(operations: Vec<Operation>) -> Vec<String> {
    match verdict(operations) {
        Verdict::Violation(violation) => violation.operations.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_happened() {
    accepts(vec![]);
}

#[test]
fn a_read_during_a_write_may_see_either() {
    accepts(vec![put("a", "k", 0, 9, "x"), absent("b", "k", 1, 2), seen("b", "k", 3, 4, "x")]);
    assert_eq!(
        refuses(vec![put("a", "k", 0, 9, "x"), seen("b", "k", 1, 2, "x"), absent("b", "k", 3, 4)]),
        ["put x", "get -> x", "get -> nothing"]
    );
}

#[test]
fn a_stale_read_is_found() {
    assert_eq!(
        refuses(vec![put("a", "k", 0, 1, "x"), put("a", "k", 2, 3, "y"), seen("b", "k", 4, 5, "x")]),
        ["put y", "get -> x"],
        "x is what was there at first"
    );
}

#[test]
fn a_value_that_nobody_wrote_is_found() {
    assert_eq!(refuses(vec![seen("a", "k", 0, 1, "x")]), ["get -> x"]);
    assert_eq!(refuses(vec![failed(put("a", "k", 0, 1, "x")), seen("a", "k", 2, 3, "x")]), ["get -> x"]);
}

#[test]
fn a_write_of_unknown_outcome_may_happen_later_or_never_but_not_before_and_not_twice() {
    let maybe = || unknown(put("a", "k", 10, 20, "x"));
    accepts(vec![maybe(), absent("b", "k", 30, 31), seen("b", "k", 40, 41, "x")]);
    accepts(vec![maybe(), absent("b", "k", 30, 31)]);
    refuses(vec![maybe(), seen("b", "k", 1, 2, "x")]);
    refuses(vec![
        maybe(),
        seen("b", "k", 30, 31, "x"),
        put("b", "k", 32, 33, "y"),
        seen("b", "k", 34, 35, "x"),
        absent("b", "k", 36, 37),
    ]);
}

#[test]
fn a_lost_deposit_is_found() {
    accepts(vec![add("a", "k", 0, 9, 50, 100), add("b", "k", 0, 9, 50, 50), seen("c", "k", 0, 9, "50")]);
    refuses(vec![add("a", "k", 0, 1, 50, 50), add("b", "k", 2, 3, 50, 50)]);
    refuses(vec![unknown(add("a", "k", 0, 1, 50, 0)), seen("b", "k", 2, 3, "100")]);
    accepts(vec![
        unknown(add("a", "k", 0, 1, 50, 0)),
        unknown(add("a", "k", 1, 2, 50, 0)),
        seen("b", "k", 2, 3, "100"),
    ]);
}

#[test]
fn what_was_asked_twice_under_one_name_has_effect_once() {
    let named = |operation| Operation { request: Some("deposit-1".into()), ..operation };
    let twice = |sum| vec![named(unknown(add("a", "k", 0, 1, 50, 0))), named(add("a", "k", 2, 3, 50, sum))];
    accepts(twice(50));
    refuses(twice(100));
    let repeated = named(add("b", "k", 8, 9, 50, 50));
    accepts(
        [twice(50), vec![add("b", "k", 4, 5, 50, 100), repeated, seen("b", "k", 10, 11, "100")]].concat(),
    );
}

#[test]
fn forgetting_is_a_write() {
    accepts(vec![put("a", "k", 0, 1, "x"), delete("a", "k", 2, 3), absent("b", "k", 4, 5)]);
    refuses(vec![put("a", "k", 0, 1, "x"), delete("a", "k", 2, 3), seen("b", "k", 4, 5, "x")]);
}

#[test]
fn what_was_there_at_first_counts() {
    let mut history = History::new(vec![seen("a", "k", 0, 1, "100"), add("a", "k", 2, 3, 50, 150)]);
    history.initial.insert("k".into(), "100".into());
    assert_eq!(judge(&history, Limits::default()), Verdict::Linearizable);
}

#[test]
fn records_are_judged_alone() {
    accepts(vec![put("a", "one", 0, 1, "x"), absent("a", "other", 2, 3)]);
}

#[test]
fn a_search_that_is_too_long_is_given_up() {
    let clients = (0..20).map(|number| add(&format!("s{number}"), "k", 0, 100, 1 << number, -1));
    let limits = Limits { situations: 1_000 };
    let mut operations: Vec<_> = clients.collect();
    operations
        .iter_mut()
        .for_each(|add| add.outcome = crate::Outcome::Ok(crate::Answer::Done { version: None }));
    operations.push(seen("reader", "k", 200, 201, "7"));
    let verdict = judge(&History::new(operations), limits);
    assert_eq!(verdict, Verdict::Undecided { key: "k".into(), operations: 21 });
}

#[test]
fn the_explanation_of_a_long_history_is_short_and_begins_late() {
    let mut operations: Vec<_> =
        (0..500).map(|n| add("a", "account", n * 10, n * 10 + 5, 50, 50 * (n as i64 + 1))).collect();
    operations.push(seen("b", "account", 9_000, 9_001, "25000"));
    operations.push(seen("b", "account", 9_002, 9_003, "24950"));
    let Verdict::Violation(violation) = verdict(operations) else { panic!() };
    assert_eq!(violation.initial.as_deref(), Some("24950"));
    let texts: Vec<_> = violation.operations.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["add 50 -> 25000", "get -> 24950"]);
}

fn how() -> impl Strategy<Value = Use> {
    use_of(1..4, 1..120)
}

proptest! {
    #[test]
    fn what_a_right_register_does_is_accepted(seed: u64, how in how()) {
        prop_assert_eq!(judge(&right(seed, &how), Limits::default()), Verdict::Linearizable);
    }

    #[test]
    fn one_stale_read_is_found_and_its_explanation_is_wrong_by_itself(seed: u64, how in how()) {
        let before = right(seed, &how);
        let Some(history) = with_one_stale_read(before.clone(), seed) else { return Ok(()) };
        let mut pairs = history.operations.iter().zip(&before.operations);
        let (stale, _) = pairs.find(|(after, before)| after != before).expect("one was altered");
        let Verdict::Violation(violation) = judge(&history, Limits::default()) else {
            return Err(TestCaseError::fail("not found"));
        };
        let mut alone = History::new(violation.operations.clone());
        alone.initial.extend(violation.initial.clone().map(|value| (violation.key.clone(), value)));
        prop_assert!(matches!(judge(&alone, Limits::default()), Verdict::Violation(_)));
        prop_assert!(violation.operations.contains(stale), "{:?}", violation.operations);
        prop_assert!(!violation.timeline().is_empty());
    }

    /// A register that is linearizable also keeps every weaker promise.
    #[test]
    fn no_judge_suspects_a_right_register(seed: u64, how in how()) {
        let history = right(seed, &how);
        prop_assert!(crate::stale::judge(&history).stale.is_empty());
        prop_assert!(crate::ghost::judge(&history).is_empty());
        prop_assert!(crate::inversions::judge(&history).is_empty());
        prop_assert_eq!(crate::sessions::judge(&history), Default::default());
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "it measures how long a judge takes")]
fn ten_thousand_operations_are_judged_in_about_a_second() {
    let how = Use { sessions: 64, keys: 20, operations: 10_000, unknown_percent: 2, counters: true };
    let history = right(7, &how);
    let started = Instant::now();
    assert_eq!(judge(&history, Limits::default()), Verdict::Linearizable);
    let right_took = started.elapsed();
    let wrong = with_one_stale_read(history, 7).unwrap();
    assert!(matches!(judge(&wrong, Limits::default()), Verdict::Violation(_)));
    // The limit is for a debug build on a busy machine; a release build takes a tenth of it.
    assert!(started.elapsed().as_secs() < 30, "{right_took:?}, {:?}", started.elapsed());
    println!("right: {right_took:?}, and wrong: {:?}", started.elapsed());
}

/// The history with one stale read of one record.
fn with_one_wrong_record(history: &History, key: &str, seed: u64) -> History {
    let (of_key, mut others): (Vec<_>, Vec<_>) =
        history.operations.iter().cloned().partition(|operation| operation.key == key);
    let wrong = with_one_stale_read(History { initial: history.initial.clone(), operations: of_key }, seed);
    others.extend(wrong.expect("there is a read that can be made stale").operations);
    History { initial: history.initial.clone(), operations: others }
}

/// Measures the time for a large history: `cargo test --release -p history large -- --ignored --nocapture`.
#[test]
#[ignore = "it measures"]
#[expect(clippy::disallowed_methods, reason = "it measures")]
fn a_large_history_is_judged_in_seconds() {
    let uses = [(16, 0, false), (64, 5, false), (64, 5, true), (256, 5, true), (64, 30, true)];
    for (sessions, unknown_percent, counters) in uses {
        let how = Use { sessions, keys: 100, operations: 200_000, unknown_percent, counters };
        let history = right(7, &how);
        let began = Instant::now();
        let verdict = judge(&history, Limits::default());
        println!("{how:?}: {verdict:?} after {:.2?}", began.elapsed());
        let wrong = with_one_wrong_record(&history, "k0", 8);
        let began = Instant::now();
        let verdict = judge(&wrong, Limits::default());
        println!(
            "  with a stale read: {} after {:.2?}",
            matches!(verdict, Verdict::Violation(_)),
            began.elapsed()
        );
    }
}
