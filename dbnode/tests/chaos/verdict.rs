//! Checks what must hold at the end.

use std::collections::{BTreeMap, BTreeSet};

use history::linearizable::{self, Limits, Verdict};
use history::lost::{self, Final};
use history::{Action, History, Operation, Outcome, ghost};

/// Bounds the search for a linearization of each record. Reducing a violation to its smallest part
/// repeats the search many times.
const SEARCH: Limits = Limits { situations: 30_000 };

/// Why a run failed.
#[derive(Debug)]
pub enum Failure {
    /// A guarantee was violated.
    Broken(String),
    /// Something made no progress, although nothing was wrong that could prevent it.
    Stuck(String),
    /// This computer did something that makes a verdict impossible.
    Inconclusive(String),
}

impl Failure {
    /// The same failure with a longer message.
    pub fn told(self, tell: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Broken(why) => Self::Broken(tell(why)),
            Self::Stuck(why) => Self::Stuck(tell(why)),
            Self::Inconclusive(why) => Self::Inconclusive(tell(why)),
        }
    }
}

/// How much was observed.
#[derive(Debug, Default, Clone, Copy)]
pub struct Seen {
    pub operations: usize,
    pub acknowledged: usize,
    pub additions: usize,
    /// True if the search was given up for some record, because too many outcomes are unknown.
    pub undecided: bool,
}

/// Checks the clients' history against the final values.
pub fn judge(history: &History, found: &Final) -> Result<Seen, String> {
    let additions = additions(history, found)?;
    if let Some(lost) = lost::judge(history, found).first() {
        return Err(format!("an acknowledged write is lost: {lost:#?}"));
    }
    if let Some(ghost) = ghost::judge(history).first() {
        return Err(format!("a write that was refused is there: {ghost:#?}"));
    }
    let undecided = is_undecided(history)?;
    let acknowledged = history.operations.iter().filter(|it| it.is_acknowledged_write()).count();
    Ok(Seen { operations: history.operations.len(), acknowledged, additions, undecided })
}

/// Searches for a linearization of each record's operations. It stops at the first violation,
/// because reducing one to its smallest part takes long. Returns true if a search was given up.
fn is_undecided(history: &History) -> Result<bool, String> {
    let mut undecided = false;
    for operations in history.by_key().into_values() {
        let record = History::new(once_each(&operations));
        match linearizable::judge(&record, SEARCH) {
            Verdict::Linearizable => {}
            Verdict::Undecided { .. } => undecided = true,
            Verdict::Violation(violation) => {
                return Err(format!("what was read is not linearizable:\n{}", violation.timeline()));
            }
        }
    }
    Ok(undecided)
}

/// Merges all tries with the same idempotency key into one operation, which takes effect once,
/// between the first request and the first answer. Otherwise each unanswered try would be one more
/// operation that may take effect at any time.
fn once_each(operations: &[&Operation]) -> Vec<Operation> {
    let (mut all, mut places) = (Vec::<Operation>::new(), BTreeMap::new());
    for operation in operations {
        let place = match operation.request.as_deref() {
            Some(name) => *places.entry(name).or_insert(all.len()),
            None => all.len(),
        };
        let Some(first) = all.get_mut(place) else {
            all.push((*operation).clone());
            continue;
        };
        let is_sooner =
            operation.is_acknowledged_write() && operation.surely_done_at() < first.surely_done_at();
        let may_have_been = matches!(first.outcome, Outcome::Failed(_)) && operation.may_have_written();
        if is_sooner || may_have_been {
            (first.outcome, first.returned_at) = (operation.outcome.clone(), operation.returned_at);
        }
    }
    all
}

/// Checks that each addition counts exactly once: each has an idempotency key and was retried until
/// acknowledged. Returns their number.
fn additions(history: &History, found: &Final) -> Result<usize, String> {
    let mut sums: BTreeMap<&str, BTreeMap<&str, i64>> = BTreeMap::new();
    let mut acknowledged = BTreeSet::new();
    let adds =
        history.operations.iter().filter_map(|operation| match (&operation.action, &operation.request) {
            (Action::Add { by }, Some(name)) => Some((operation, name.as_str(), *by)),
            _ => None,
        });
    for (operation, name, by) in adds {
        sums.entry(&operation.key).or_default().insert(name, by);
        if operation.is_acknowledged_write() {
            acknowledged.insert(name);
        }
    }
    for (key, names) in &sums {
        if let Some(name) = names.keys().find(|name| !acknowledged.contains(*name)) {
            return Err(format!("the addition {name} to {key} was never acknowledged"));
        }
        let wanted = names.values().sum::<i64>().to_string();
        let is = found.get(*key).cloned().flatten();
        if is.as_deref() != Some(&*wanted) {
            let is = is.as_deref().unwrap_or("nothing");
            return Err(format!("{key} holds {is}, and the additions to it make {wanted}"));
        }
    }
    Ok(sums.values().map(BTreeMap::len).sum())
}

/// The records that may have been written to.
pub fn keys(operations: &[Operation]) -> BTreeSet<&str> {
    operations.iter().map(|operation| &*operation.key).collect()
}

#[cfg(test)]
mod tests {
    use history::{Answer, At};

    use super::*;

    fn add(name: &str, at: u64, outcome: Outcome) -> Operation {
        Operation {
            session: name.into(),
            key: "sum".into(),
            action: Action::Add { by: 2 },
            request: Some(name.into()),
            node: None,
            invoked_at: At(at),
            returned_at: Some(At(at + 1)),
            outcome,
        }
    }

    fn done(value: i64) -> Outcome {
        Outcome::Ok(Answer::Sum { value, version: None })
    }

    fn check(operations: Vec<Operation>, found: &str) -> Result<Seen, String> {
        judge(&History::new(operations), &Final::from([("sum".into(), Some(found.into()))]))
    }

    #[test]
    fn each_addition_counts_once() {
        let twice = vec![
            add("a", 0, Outcome::Unknown("no answer".into())),
            add("a", 2, done(2)),
            add("b", 4, done(4)),
        ];
        assert_eq!(check(twice.clone(), "4").unwrap().additions, 2);
        assert!(check(twice.clone(), "6").unwrap_err().contains("sum holds 6"));
        assert!(check(twice, "2").unwrap_err().contains("sum holds 2"));
    }

    #[test]
    fn all_tries_of_a_name_are_one_operation() {
        let refused = || Outcome::Failed("no primary".into());
        let tries = [
            add("a", 0, refused()),
            add("a", 2, Outcome::Unknown("no answer".into())),
            add("b", 3, refused()),
            add("a", 4, done(2)),
            add("a", 6, done(2)),
        ];
        let once = once_each(&tries.iter().collect::<Vec<_>>());
        let as_one = Operation { returned_at: Some(At(5)), outcome: done(2), ..tries[0].clone() };
        assert_eq!(once, [as_one, tries[2].clone()]);
    }

    #[test]
    fn an_addition_that_was_never_acknowledged_is_told() {
        let never = vec![add("a", 0, Outcome::Unknown("no answer".into()))];
        assert!(check(never, "2").unwrap_err().contains("never acknowledged"));
    }
}
