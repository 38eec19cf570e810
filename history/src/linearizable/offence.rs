//! The smallest part of a history that is still wrong. A part must not be wrong merely because
//! something is missing from it: a write goes only together with the reads of its value.

use super::search::{Found, search};
use super::{Limits, Violation};
use crate::operation::{Action, At, Operation};

/// A record's value, and the operations on it that come after.
#[derive(Clone)]
struct Part<'a> {
    initial: Option<String>,
    operations: Vec<&'a Operation>,
}

/// Makes a wrong history of one record small.
pub(super) fn smallest(
    key: &str,
    initial: Option<&str>,
    operations: &[&Operation],
    limits: Limits,
) -> Violation {
    let told = operations.iter().copied().filter(|operation| tells(operation)).collect();
    let mut part = Part { initial: initial.map(str::to_owned), operations: told };
    part = shortest_beginning(part, limits);
    part = latest_start(part, limits);
    part = without_the_unneeded(part, limits);
    let operations = part.operations.into_iter().cloned().collect();
    Violation { key: key.into(), initial: part.initial, operations }
}

/// Whether the search looks at it at all.
fn tells(operation: &Operation) -> bool {
    operation.answer().is_some() || operation.may_have_written()
}

fn is_wrong(part: &Part<'_>, limits: Limits) -> bool {
    search(part.initial.as_deref(), &part.operations, limits.situations) == Found::None
}

/// Everything after the answer that could not be explained has nothing to do with it.
fn shortest_beginning<'a>(whole: Part<'a>, limits: Limits) -> Part<'a> {
    let mut ends: Vec<At> = whole.operations.iter().filter_map(|operation| operation.returned_at).collect();
    ends.sort();
    let up_to = |end: At| {
        let within = |operation: &&Operation| match operation.is_write() {
            true => operation.invoked_at <= end,
            false => operation.surely_done_at() <= end,
        };
        let operations = whole.operations.iter().copied().filter(within).collect();
        Part { initial: whole.initial.clone(), operations }
    };
    let enough = ends.partition_point(|end| !is_wrong(&up_to(*end), limits));
    ends.get(enough).map_or(whole.clone(), |end| up_to(*end))
}

/// An operation before which everything was done, and that tells the record's value, is as good a
/// start as the first. The latest such is taken that leaves a write to be seen: a lone read of a
/// wrong value explains nothing.
fn latest_start<'a>(part: Part<'a>, limits: Limits) -> Part<'a> {
    let mut written_by = None;
    let mut starts = Vec::new();
    for operation in &part.operations {
        let done = operation.surely_done_at();
        if written_by.is_none_or(|written_by| operation.invoked_at > written_by)
            && done < At::NEVER
            && let Some(value) = operation.value_after()
        {
            starts.push((done, value));
        }
        if operation.is_write() {
            written_by = written_by.max(Some(done));
        }
    }
    let from = |(done, value): (At, Option<String>)| {
        let written_later = |operation: &&&Operation| operation.is_write() && operation.invoked_at <= done;
        let operations = &part.operations;
        // A write that overlaps the start may come after it as well.
        let before =
            operations.iter().filter(written_later).all(|operation| operation.surely_done_at() <= done);
        before.then(|| Part {
            initial: value,
            operations: operations.iter().copied().filter(|operation| operation.invoked_at > done).collect(),
        })
    };
    starts
        .into_iter()
        .rev()
        .filter_map(from)
        .find(|later| {
            later.operations.iter().any(|operation| operation.is_write()) && is_wrong(later, limits)
        })
        .unwrap_or(part)
}

/// Takes away one operation after the other, while what is left is still wrong.
fn without_the_unneeded<'a>(mut part: Part<'a>, limits: Limits) -> Part<'a> {
    let mut place = part.operations.len();
    while place > 0 {
        place -= 1;
        let Some(candidate) = part.operations.get(place) else { continue };
        let Some(smaller) = without(&part, candidate) else { continue };
        if is_wrong(&smaller, limits) {
            part = smaller;
        }
    }
    part
}

/// The part without an operation, and without what only it explains. An addition changes every sum
/// after it, so it stays.
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
    let stays = |other: &&Operation| !std::ptr::eq(*other, operation) && !explains(other);
    let operations = part.operations.iter().copied().filter(stays).collect();
    Some(Part { initial: part.initial.clone(), operations })
}
