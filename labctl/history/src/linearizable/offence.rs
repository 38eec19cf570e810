//! Minimises a violation: the smallest part of a history that is still not linearizable. A part must not be
//! wrong merely because something is missing from it, so a write is removed only together with the reads of
//! its value.

use std::borrow::Cow;
use std::ptr;

use super::search::{Found, counted_search};
use super::{Limits, Violation};
use crate::operation::{Action, At, Operation, Outcome};

/// A record's initial value, and the operations after it.
#[derive(Clone)]
struct Part<'a> {
    initial: Option<String>,
    operations: Vec<&'a Operation>,
    /// Answers after this moment are not known yet.
    until: At,
}

/// Situations that are visited to minimise one violation. When they are used up, what is left is shown as it is: a
/// minute's more work would only make the picture smaller.
const SITUATIONS_MAX: u64 = 2_000_000;

/// Tells wrong parts from right ones, as long as there are situations left to visit.
struct Checker {
    limits: Limits,
    left: u64,
}

impl Checker {
    fn new(limits: Limits) -> Self {
        Self { limits, left: SITUATIONS_MAX }
    }

    /// True if the part is known to be wrong.
    fn is_wrong(&mut self, part: &Part<'_>) -> bool {
        let known: Vec<_> = part.operations.iter().map(|operation| known_by(operation, part.until)).collect();
        let known: Vec<&Operation> = known.iter().map(|operation| &**operation).collect();
        let situations_max = self.limits.situations.min(self.left);
        let (found, visited) = counted_search(part.initial.as_deref(), &known, situations_max);
        self.left = self.left.saturating_sub(visited.max(1));
        found == Found::None
    }
}

/// Minimises the history of one record that is not linearizable.
pub(super) fn smallest(
    key: &str,
    initial: Option<&str>,
    operations: &[&Operation],
    limits: Limits,
) -> Violation {
    let (mut part, mut checker) = (whole(initial, operations), Checker::new(limits));
    part = shortest_beginning(part, &mut checker);
    part = latest_start(part, &mut checker);
    part = without_the_unneeded(part, &mut checker);
    let operations = part.operations.iter().map(|operation| shown(operation, part.until)).collect();
    Violation { key: key.into(), initial: part.initial, operations }
}

fn whole<'a>(initial: Option<&str>, operations: &[&'a Operation]) -> Part<'a> {
    let told = operations.iter().copied().filter(|operation| tells(operation)).collect();
    Part { initial: initial.map(str::to_owned), operations: told, until: At::NEVER }
}

/// True if the search takes the operation into account.
fn tells(operation: &Operation) -> bool {
    operation.answer().is_some() || operation.may_have_written()
}

/// The operation as known at that time. A later answer may build on later operations, so it does not count.
fn known_by(operation: &Operation, until: At) -> Cow<'_, Operation> {
    if operation.answer().is_none() || operation.surely_done_at() <= until {
        return Cow::Borrowed(operation);
    }
    let outcome = Outcome::Unknown("not answered yet".into());
    Cow::Owned(Operation { outcome, ..operation.clone() })
}

/// The operation as shown to the reader. A write's later acknowledgement does not change the picture, but a
/// sum would need an explanation that is not shown.
fn shown(operation: &Operation, until: At) -> Operation {
    match operation.action {
        Action::Add { .. } => known_by(operation, until).into_owned(),
        Action::Put { .. } | Action::Delete | Action::Get { .. } => operation.clone(),
    }
}

/// Cuts off everything after the first answer that cannot be explained, since it is irrelevant.
fn shortest_beginning<'a>(whole: Part<'a>, checker: &mut Checker) -> Part<'a> {
    let mut ends: Vec<At> = whole.operations.iter().filter_map(|operation| operation.returned_at).collect();
    ends.sort();
    let enough = ends.partition_point(|end| !checker.is_wrong(&up_to(&whole, *end)));
    ends.get(enough).map_or(whole.clone(), |end| up_to(&whole, *end))
}

/// The part known at a time. In a linearizable history no such part is wrong.
fn up_to<'a>(whole: &Part<'a>, end: At) -> Part<'a> {
    let within = |operation: &&Operation| match operation.is_write() {
        true => operation.invoked_at <= end,
        false => operation.surely_done_at() <= end,
    };
    let operations = whole.operations.iter().copied().filter(within).collect();
    Part { initial: whole.initial.clone(), operations, until: end }
}

/// Starts later, if possible: an operation that no write overlaps, and that reveals the record's value, is as
/// good a start as the first one. Takes the latest such start that leaves a write to be seen, because a lone
/// read of a wrong value explains nothing.
fn latest_start<'a>(part: Part<'a>, checker: &mut Checker) -> Part<'a> {
    let mut starts = part.operations.iter().rev().filter_map(|start| after(&part, start));
    let later = starts.find(|later| {
        later.operations.iter().any(|operation| operation.is_write()) && checker.is_wrong(later)
    });
    later.unwrap_or(part)
}

/// The part after an operation, whose value becomes the initial one. `None` if the operation does not reveal
/// the value.
fn after<'a>(part: &Part<'a>, start: &Operation) -> Option<Part<'a>> {
    let done = start.surely_done_at();
    let initial = start.value_after().filter(|_| done < At::NEVER)?;
    // A write that overlaps the start may come before it or after it.
    let overlaps = |other: &Operation| {
        let meets = other.invoked_at <= done && other.surely_done_at() >= start.invoked_at;
        other.is_write() && meets && !ptr::eq(other, start)
    };
    if part.operations.iter().any(|other| overlaps(other)) {
        return None;
    }
    let (before, operations): (Vec<_>, Vec<_>) =
        part.operations.iter().copied().partition(|operation| operation.invoked_at <= done);
    // A write whose name took effect before the start has no effect after it.
    let repeats = |later: &Operation| {
        before.iter().any(|earlier| !ptr::eq(*earlier, later) && is_same_write(earlier, later))
    };
    if repeats(start) || operations.iter().any(|later| repeats(later)) {
        return None;
    }
    Some(Part { initial, operations, until: part.until })
}

/// True if two operations take effect only once between them.
fn is_same_write(one: &Operation, other: &Operation) -> bool {
    one.request.is_some() && one.request == other.request
}

/// Removes one operation after another, as long as the rest is still wrong.
fn without_the_unneeded<'a>(mut part: Part<'a>, checker: &mut Checker) -> Part<'a> {
    let mut place = part.operations.len();
    while place > 0 {
        place -= 1;
        let Some(candidate) = part.operations.get(place) else { continue };
        let Some(smaller) = without(&part, candidate) else { continue };
        if checker.is_wrong(&smaller) {
            part = smaller;
        }
    }
    part
}

/// The part without an operation, and without the reads that only it explains. An addition changes every
/// later sum, so it stays.
fn without<'a>(part: &Part<'a>, operation: &Operation) -> Option<Part<'a>> {
    let explains = |other: &&Operation| {
        let reads = matches!(other.action, Action::Get { .. });
        operation.is_write() && reads && other.value_after() == operation.value_after()
    };
    if matches!(operation.action, Action::Add { .. }) {
        return None;
    }
    let adds = |other: &&Operation| matches!(other.action, Action::Add { .. });
    if operation.is_write() && part.operations.iter().any(adds) {
        return None;
    }
    let is_other = |other: &&Operation| !ptr::eq(*other, operation);
    // The other one would take effect instead.
    let is_repeated = |other: &&Operation| is_other(other) && is_same_write(other, operation);
    if part.operations.iter().any(is_repeated) {
        return None;
    }
    let stays = |other: &&Operation| is_other(other) && !explains(other);
    let operations = part.operations.iter().copied().filter(stays).collect();
    Some(Part { initial: part.initial.clone(), operations, until: part.until })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::History;
    use crate::testing::{Use, absent, add, put, right, seen, use_of};

    #[test]
    fn a_sum_that_builds_on_a_later_addition_is_not_what_is_wrong() {
        let operations = [
            add("a", "k", 0, 1, 50, 50),
            absent("b", "k", 10, 20),
            add("c", "k", 15, 100, 50, 150),
            add("d", "k", 50, 60, 50, 100),
        ];
        let operations: Vec<_> = operations.iter().collect();
        let violation = smallest("k", None, &operations, Limits::default());
        let texts: Vec<_> = violation.operations.iter().map(ToString::to_string).collect();
        assert_eq!(violation.initial.as_deref(), Some("50"));
        assert_eq!(texts, ["get -> nothing", "add 50 (unknown)"]);
    }

    #[test]
    fn a_write_within_a_read_leaves_open_what_comes_after_it() {
        let operations = [
            absent("a", "k", 0, 100),
            put("b", "k", 10, 20, "x"),
            put("c", "k", 110, 190, "y"),
            seen("d", "k", 120, 130, "x"),
        ];
        let operations: Vec<_> = operations.iter().collect();
        let part = whole(None, &operations);
        assert!(after(&part, operations[0]).is_none());
        assert!(after(&part, operations[1]).is_none_or(|part| !is_wrong(&part, Limits::default())));
    }

    #[test]
    fn what_was_asked_twice_under_one_name_is_not_torn_apart() {
        let named = |operation| Operation { request: Some("once".into()), ..operation };
        let operations = [
            named(put("a", "k", 0, 1, "x")),
            put("a", "k", 2, 3, "y"),
            named(put("a", "k", 4, 5, "x")),
            seen("a", "k", 6, 7, "y"),
        ];
        let operations: Vec<_> = operations.iter().collect();
        let part = whole(None, &operations);
        for operation in &operations {
            let parts = [after(&part, operation), without(&part, operation)];
            assert!(parts.iter().flatten().all(|part| !is_wrong(part, Limits::default())), "{operation}");
        }
    }

    fn is_wrong(part: &Part<'_>, limits: Limits) -> bool {
        Checker::new(limits).is_wrong(part)
    }

    fn how() -> impl Strategy<Value = Use> {
        use_of(1..3, 1..40)
    }

    /// Every record of a history, complete.
    fn records(history: &History) -> Vec<Part<'_>> {
        let records = history.by_key().into_iter();
        records.map(|(key, operations)| whole(history.initial_value(key), &operations)).collect()
    }

    proptest! {
        #[test]
        fn no_prefix_of_a_right_history_is_wrong(seed: u64, how in how()) {
            for record in records(&right(seed, &how)) {
                for end in record.operations.iter().filter_map(|operation| operation.returned_at) {
                    prop_assert!(!is_wrong(&up_to(&record, end), Limits::default()), "up to {end:?}");
                }
            }
        }

        #[test]
        fn what_comes_after_a_start_is_not_wrong_in_a_right_history(seed: u64, how in how()) {
            for record in records(&right(seed, &how)) {
                for start in &record.operations {
                    let later = after(&record, start);
                    prop_assert!(later.is_none_or(|later| !is_wrong(&later, Limits::default())), "{start}");
                }
            }
        }
    }
}
