//! The histories of a run, and what the judges find in them.

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

/// A run's histories, by name, and what they are found to be.
#[derive(Debug, Default)]
pub struct Histories {
    logs: IndexMap<String, HistoryLog>,
    /// Where they are written down as they happen, if anywhere.
    directory: Option<PathBuf>,
    /// What was found in the database in the end, by history.
    found: HashMap<String, Final>,
    /// A judgement takes a while; while nothing is sent and nothing ends it is the same.
    verdicts: RefCell<HashMap<About, Rc<Verdict>>>,
}

/// What a judgement is about: the history's name, whether reads of the latest alone are judged, and the
/// history's revision.
type About = (String, bool, (u64, usize));

/// A figure, or `None` where there is nothing to show. `Err` says why it is not known.
pub(super) type Figure = Result<Option<f64>, String>;

/// How many records are named at most; beyond that their number is given.
const NAMED_MAX: usize = 5;

impl Histories {
    /// Histories that are written to files in a directory as they happen.
    pub fn written_to(directory: Option<PathBuf>) -> Self {
        Self { directory, ..Self::default() }
    }

    /// The history of a name, which begins with nothing.
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

    /// Nothing more is written to the files, which are then on the disk.
    pub fn finish(&self) -> anyhow::Result<()> {
        self.logs.values().try_for_each(HistoryLog::finish).context("write the histories to the disk")
    }

    /// The keys of every record in a history.
    pub fn keys(&self, name: &str) -> Vec<String> {
        let Some(log) = self.logs.get(name) else { return vec![] };
        let mut keys: Vec<_> = log.operations().into_iter().map(|operation| operation.key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// What was found in the database in the end.
    pub fn found(&mut self, name: &str, found: Final) {
        self.found.insert(name.to_owned(), found);
    }

    /// A figure about a history. `None` for a measure of something else.
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

    /// The acknowledged writes that are lost, by the history's name, where stock was taken.
    pub fn all_lost(&self) -> Vec<(String, Vec<Lost>)> {
        let of = |(name, log): (&String, &HistoryLog)| {
            let lost = self.lost(name, &History::new(log.operations()))?;
            (!lost.is_empty()).then(|| (name.clone(), lost))
        };
        self.logs.iter().filter_map(of).collect()
    }

    /// How many acknowledged writes are lost, once stock was taken of every record.
    fn lost_writes(&self, name: &str, history: &History) -> Figure {
        let Some(found) = self.found.get(name) else { return Ok(None) };
        let unread = lost::unread(history, found);
        if !unread.is_empty() {
            return Err(not_read(&unread));
        }
        let lost = lost::judge(history, found);
        Ok(Some(lost.iter().map(|lost| lost.at_least).sum::<usize>() as f64))
    }

    /// The acknowledged writes that are lost, once stock was taken.
    fn lost(&self, name: &str, history: &History) -> Option<Vec<Lost>> {
        Some(lost::judge(history, self.found.get(name)?))
    }

    /// The smallest part of each history that no order explains, as a picture: of those histories
    /// that a claim asked about.
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
        0 => format!("no node could say what is in record {named}"),
        more => format!("no node could say what is in record {named} and {more} more"),
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
        assert_eq!(reason, "no node could say what is in record 2, 3, 4, 5, 6 and 1 more");
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
