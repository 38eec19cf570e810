//! The ledger of acknowledged writes, and the values that a record may therefore have. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

/// A record's value; none if there is no such record.
pub type Value = Option<String>;

/// The outcome of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// It was acknowledged.
    Done,
    /// It certainly was not done.
    Refused,
    /// It may have been done, or may still be.
    Unknown,
}

/// The outcome of every write to records with a single writer, where every write has a distinct value.
#[derive(Debug, Default)]
pub struct Ledger {
    records: BTreeMap<String, Record>,
}

#[derive(Debug, Default)]
struct Record {
    acknowledged: Value,
    /// Values of writes with an unknown outcome, which may take effect at any time.
    possible: Vec<Value>,
}

impl Ledger {
    /// Records the outcome of a write.
    pub fn note(&mut self, key: &str, value: Value, became: Became) {
        let record = self.records.entry(key.to_owned()).or_default();
        match became {
            Became::Done => record.acknowledged = value,
            Became::Refused => {}
            Became::Unknown => record.possible.push(value),
        }
    }

    /// Returns the names of all records.
    pub fn keys(&self) -> Vec<String> {
        self.records.keys().cloned().collect()
    }

    /// Checks a record's value that was read after all writers had stopped.
    pub fn check(&self, key: &str, found: &Value) -> Result<(), String> {
        let Some(record) = self.records.get(key) else { return Ok(()) };
        if record.acknowledged == *found || record.possible.contains(found) {
            return Ok(());
        }
        let shown = |value: &Value| match value {
            None => "nothing".to_owned(),
            Some(value) => {
                let begin: String = value.chars().take(24).collect();
                format!("'{begin}{}'", if value.chars().count() > 24 { "…" } else { "" })
            }
        };
        Err(match &record.acknowledged {
            None => format!("there is {} in {key}, and it was deleted, or never written", shown(found)),
            acknowledged => format!(
                "there is {} in {key}, and {} had been acknowledged last",
                shown(found),
                shown(acknowledged)
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        Some(text.to_owned())
    }

    #[test]
    fn what_was_acknowledged_last_must_be_there() {
        let mut ledger = Ledger::default();
        ledger.note("k", value("1"), Became::Done);
        ledger.note("k", value("2"), Became::Done);
        ledger.note("k", value("3"), Became::Refused);
        assert_eq!(ledger.check("k", &value("2")), Ok(()));
        let error = ledger.check("k", &value("1")).unwrap_err();
        assert_eq!(error, "there is '1' in k, and '2' had been acknowledged last");
        assert!(ledger.check("k", &None).is_err() && ledger.check("k", &value("3")).is_err());
    }

    #[test]
    fn what_timed_out_may_be_there_and_may_not() {
        let mut ledger = Ledger::default();
        ledger.note("k", value("1"), Became::Done);
        ledger.note("k", None, Became::Unknown);
        assert_eq!((ledger.check("k", &value("1")), ledger.check("k", &None)), (Ok(()), Ok(())));
    }

    #[test]
    fn what_was_deleted_must_be_gone() {
        let mut ledger = Ledger::default();
        ledger.note("k", value("1"), Became::Done);
        ledger.note("k", None, Became::Done);
        assert!(ledger.check("k", &value("1")).unwrap_err().contains("it was deleted"));
    }
}
