//! The operation histories of a run, and what the checkers find in them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::Context;
use history::linearizable::{self, Limits, Verdict};
use history::lost::{Final, Lost};
use history::{Action, History, Outcome, ghost, inversions, lost, sessions, stale};
use indexmap::IndexMap;

use chapter::measures::Measure;
use load::HistoryLog;

/// A run's histories by name, with the checkers' verdicts.
#[derive(Debug, Default)]
pub struct Histories {
    logs: IndexMap<String, HistoryLog>,
    /// Directory in which they are recorded as they happen; `None` keeps them in memory only.
    directory: Option<PathBuf>,
    /// The final read of the database, by history.
    found: HashMap<String, Final>,
    /// Cached verdicts: checking is slow, and the verdict stays the same until the history grows.
    verdicts: RefCell<HashMap<About, Rc<Verdict>>>,
}

/// Cache key of a verdict: the history's name, whether only latest reads are checked, and the history's
/// revision.
type About = (String, bool, (u64, usize));

/// A figure, or `None` where there is nothing to show. `Err` gives the reason why it is unknown.
pub(super) type Figure = Result<Option<f64>, String>;

/// Number of records that a message names; for the rest it gives only the count.
const NAMED_MAX: usize = 5;

impl Histories {
    /// Creates histories that are written to files in `directory` as they happen.
    pub fn written_to(directory: Option<PathBuf>) -> Self {
        Self { directory, ..Self::default() }
    }

    /// Returns the history with this name; a new one starts empty.
    pub fn log(&mut self, name: &str) -> anyhow::Result<HistoryLog> {
        if let Some(known) = self.logs.get(name) {
            return Ok(known.clone());
        }
        let log = match self.directory.as_ref().map(|place| place.join(format!("history-{name}.jsonl"))) {
            Some(path) => {
                HistoryLog::written_to(&path).with_context(|| format!("write {}", path.display()))?
            }
            None => HistoryLog::default(),
        };
        self.logs.insert(name.to_owned(), log.clone());
        Ok(log)
    }

    /// Closes the files and syncs them to disk. Nothing more is recorded in them afterwards.
    pub fn finish(&self) -> anyhow::Result<()> {
        self.logs.values().try_for_each(HistoryLog::finish).context("write the histories to the disk")
    }

    /// Returns the distinct keys of all records in a history.
    pub fn keys(&self, name: &str) -> Vec<String> {
        let Some(log) = self.logs.get(name) else { return vec![] };
        let mut keys: Vec<_> = log.operations().into_iter().map(|operation| operation.key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Stores the result of a history's final read.
    pub fn found(&mut self, name: &str, found: Final) {
        self.found.insert(name.to_owned(), found);
    }

    /// Computes a measure of a history. `None` for a measure that is not about histories.
    pub fn measure(&self, measure: Measure, name: &str) -> Figure {
        let history = History::new(self.logs.get(name).map(HistoryLog::operations).unwrap_or_default());
        if history.operations.is_empty() {
            return Ok(None);
        }
        let count = |wanted: &dyn Fn(&history::Operation) -> bool| {
            history.operations.iter().filter(|operation| wanted(operation)).count() as f64
        };
        let is_write = |operation: &history::Operation| !matches!(operation.action, Action::Get { .. });
        let figure = match measure {
            Measure::ReadsJudged => stale::judge(&history).reads as f64,
            Measure::StaleReads => stale::judge(&history).stale.len() as f64,
            Measure::StaleMsMax => stale::judge(&history).age_ms_max(),
            Measure::WritesAcknowledged => {
                count(&|one| is_write(one) && matches!(one.outcome, Outcome::Ok(_)))
            }
            Measure::WritesRefused => {
                count(&|one| is_write(one) && matches!(one.outcome, Outcome::Failed(_)))
            }
            Measure::LostWrites => return self.lost_writes(name, &history),
            Measure::GhostWrites => ghost::judge(&history).len() as f64,
            Measure::OwnWritesMissed => sessions::judge(&history).own_writes.len() as f64,
            Measure::ReadsBack => sessions::judge(&history).reads_back.len() as f64,
            Measure::Inversions => inversions::judge(&history).len() as f64,
            Measure::Linearizable => return is_linearizable(&self.verdict(name, false)),
            Measure::LinearizableLatest => return is_linearizable(&self.verdict(name, true)),
            _ => return Ok(None),
        };
        Ok(Some(figure))
    }

    /// Returns the lost acknowledged writes by history, for histories that have had a final read.
    pub fn all_lost(&self) -> Vec<(String, Vec<Lost>)> {
        let of = |(name, log): (&String, &HistoryLog)| {
            let lost = self.lost(name, &History::new(log.operations()))?;
            (!lost.is_empty()).then(|| (name.clone(), lost))
        };
        self.logs.iter().filter_map(of).collect()
    }

    /// Counts the lost acknowledged writes, provided that the final read covered every record.
    fn lost_writes(&self, name: &str, history: &History) -> Figure {
        let Some(found) = self.found.get(name) else { return Ok(None) };
        let unread = lost::unread(history, found);
        if !unread.is_empty() {
            return Err(not_read(&unread));
        }
        let lost = lost::judge(history, found);
        Ok(Some(lost.iter().map(|lost| lost.at_least).sum::<usize>() as f64))
    }

    /// Returns the lost acknowledged writes; `None` before the final read.
    fn lost(&self, name: &str, history: &History) -> Option<Vec<Lost>> {
        Some(lost::judge(history, self.found.get(name)?))
    }

    /// Draws the smallest non-linearizable part of each history in violation. Covers only histories that a
    /// claim asked about.
    pub fn offences(&self) -> Vec<(String, String)> {
        let verdicts = self.verdicts.borrow();
        let mut offences: Vec<_> = verdicts
            .iter()
            .filter_map(|((name, ..), verdict)| match &**verdict {
                Verdict::Violation(violation) => Some((name.clone(), violation.timeline())),
                Verdict::Linearizable | Verdict::Undecided { .. } => None,
            })
            .collect();
        offences.sort_unstable();
        offences.dedup_by(|one, other| one.0 == other.0);
        offences
    }

    fn verdict(&self, name: &str, latest_only: bool) -> Rc<Verdict> {
        let log = self.logs.get(name).cloned().unwrap_or_default();
        let about = (name.to_owned(), latest_only, log.revision());
        if let Some(known) = self.verdicts.borrow().get(&about) {
            return Rc::clone(known);
        }
        let history = History::new(log.operations());
        let history = if latest_only { history.without_local_reads() } else { history };
        let verdict = Rc::new(linearizable::judge(&history, Limits::default()));
        self.verdicts.borrow_mut().insert(about, Rc::clone(&verdict));
        verdict
    }
}

fn is_linearizable(verdict: &Verdict) -> Figure {
    match verdict {
        Verdict::Linearizable => Ok(Some(1.0)),
        Verdict::Violation(_) => Ok(Some(0.0)),
        Verdict::Undecided { key, operations } => {
            Err(format!("record {key}: {operations} operations, the search was given up"))
        }
    }
}

fn not_read(keys: &[&str]) -> String {
    let named = keys.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join(", ");
    match keys.len().saturating_sub(NAMED_MAX) {
        0 => format!("no node could read record {named}"),
        more => format!("no node could read record {named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use history::{Answer, At, Operation};

    use super::*;

    fn put(key: &str) -> Operation {
        Operation {
            session: "s".into(),
            key: key.into(),
            action: Action::Put { value: "x".into() },
            request: None,
            node: None,
            invoked_at: At(0),
            returned_at: Some(At(1)),
            outcome: Outcome::Ok(Answer::Done { version: None }),
        }
    }

    fn histories(operations: Vec<Operation>) -> Histories {
        Histories { logs: [("h".to_owned(), HistoryLog::of(operations))].into(), ..Histories::default() }
    }

    #[test]
    fn nothing_is_said_of_lost_writes_until_every_record_was_read() {
        let mut histories = histories((1..=7).map(|key| put(&key.to_string())).collect());
        assert_eq!(histories.measure(Measure::LostWrites, "h"), Ok(None), "no stock was taken");
        let mut found = Final::from([("1".into(), Some("x".into()))]);
        histories.found("h", found.clone());
        let reason = histories.measure(Measure::LostWrites, "h").unwrap_err();
        assert_eq!(reason, "no node could read record 2, 3, 4, 5, 6 and 1 more");
        found.extend((2..=7).map(|key| (key.to_string(), None)));
        histories.found("h", found);
        assert_eq!(histories.measure(Measure::LostWrites, "h"), Ok(Some(6.0)));
    }

    #[test]
    fn a_search_that_was_given_up_says_nothing_and_why() {
        let undecided = Verdict::Undecided { key: "k".into(), operations: 812 };
        let reason = is_linearizable(&undecided).unwrap_err();
        assert_eq!(reason, "record k: 812 operations, the search was given up");
        assert_eq!(is_linearizable(&Verdict::Linearizable), Ok(Some(1.0)));
    }

    #[test]
    fn a_history_in_which_nothing_happened_has_nothing_to_show() {
        assert_eq!(histories(vec![]).measure(Measure::StaleReads, "h"), Ok(None));
        assert_eq!(Histories::default().measure(Measure::Linearizable, "h"), Ok(None));
    }
}
