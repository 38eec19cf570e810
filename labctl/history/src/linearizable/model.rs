//! The sequential model of a record: a register that can be put, deleted, added to and read.

use std::collections::BTreeMap;

use crate::operation::{Action, Answer, Operation};

/// The state of a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    value: Value,
    /// The writes with a request name that occurs more than once and that have taken effect, with the value
    /// that each produced.
    repeated: BTreeMap<u32, Value>,
}

/// A record's value. Texts are interned as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Value {
    Absent,
    Number(i64),
    Text(u32),
}

/// The effect of an operation on a record, and the answer it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Step {
    pub(super) does: Does,
    /// Its request name, as a number, if that name occurs more than once.
    pub(super) repeated: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Does {
    Set(Value),
    Add { by: i64, seen: Option<i64> },
    See(Value),
}

impl State {
    /// Applies the step. `None` if its answer would have been another.
    pub(super) fn after(&self, step: &Step) -> Option<Self> {
        if let Some(earlier) = step.repeated.and_then(|name| self.repeated.get(&name)) {
            let same_answer = match step.does {
                Does::Add { seen: Some(seen), .. } => *earlier == Value::Number(seen),
                _ => true,
            };
            return same_answer.then(|| self.clone());
        }
        let value = match step.does {
            Does::See(value) => return (value == self.value).then(|| self.clone()),
            Does::Set(value) => value,
            Does::Add { by, seen } => {
                let sum = self.value.number()?.checked_add(by)?;
                if seen.is_some_and(|seen| seen != sum) {
                    return None;
                }
                Value::Number(sum)
            }
        };
        let mut repeated = self.repeated.clone();
        if let Some(name) = step.repeated {
            repeated.insert(name, value);
        }
        Some(Self { value, repeated })
    }

    pub(super) fn value(&self) -> Value {
        self.value
    }
}

impl Value {
    fn number(self) -> Option<i64> {
        match self {
            Self::Absent => Some(0),
            Self::Number(number) => Some(number),
            Self::Text(_) => None,
        }
    }
}

/// Translates operations into steps.
#[derive(Debug, Default)]
pub(super) struct Dictionary<'a> {
    texts: BTreeMap<&'a str, u32>,
    /// For each request name, its number and the number of operations with it.
    names: BTreeMap<&'a str, (u32, usize)>,
}

impl<'a> Dictionary<'a> {
    pub(super) fn new(operations: &[&'a Operation]) -> Self {
        let mut names: BTreeMap<&str, (u32, usize)> = BTreeMap::new();
        for name in operations.iter().filter_map(|operation| operation.request.as_deref()) {
            let number = names.len() as u32;
            names.entry(name).or_insert((number, 0)).1 += 1;
        }
        Self { texts: BTreeMap::new(), names }
    }

    pub(super) fn initial(&mut self, value: Option<&'a str>) -> State {
        State { value: value.map_or(Value::Absent, |value| self.value(value)), repeated: BTreeMap::new() }
    }

    /// `None` for a read without an answer, which says nothing.
    pub(super) fn step(&mut self, operation: &'a Operation) -> Option<Step> {
        let does = match (&operation.action, operation.answer()) {
            (Action::Put { value }, _) => Does::Set(self.value(value)),
            (Action::Delete, _) => Does::Set(Value::Absent),
            (Action::Add { by }, Some(Answer::Sum { value, .. })) => {
                Does::Add { by: *by, seen: Some(*value) }
            }
            (Action::Add { by }, _) => Does::Add { by: *by, seen: None },
            (Action::Get { .. }, Some(Answer::Found { value, .. })) => Does::See(self.value(value)),
            (Action::Get { .. }, Some(_)) => Does::See(Value::Absent),
            (Action::Get { .. }, None) => return None,
        };
        let name = operation.request.as_deref().and_then(|name| self.names.get(name));
        Some(Step { does, repeated: name.filter(|(_, count)| *count > 1).map(|(number, _)| *number) })
    }

    fn value(&mut self, text: &'a str) -> Value {
        match text.parse::<i64>() {
            // "007" is a text, because a read returns it unchanged.
            Ok(number) if number.to_string() == text => Value::Number(number),
            _ => {
                let number = self.texts.len() as u32;
                Value::Text(*self.texts.entry(text).or_insert(number))
            }
        }
    }
}
