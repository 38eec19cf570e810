//! Settings that all members must share. They are compared when two members connect.

#![deny(clippy::disallowed_methods)]

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::replication::durability::Mode;
use crate::replication::member::Name;

/// A member's shared settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// The replication mode: with different modes, each primary would make different guarantees.
    pub mode: Mode,
    /// How long request ids are remembered; clients rely on it across a failover.
    pub names_kept: Duration,
    /// Maximum length of the log, in entries. It may differ, though it hardly ever should.
    pub log_entries: usize,
    /// The minimum election timeout. It may differ, though it hardly ever should.
    pub election_timeout: Duration,
}

/// A setting: its flag, and both members' values.
struct Setting {
    flag: &'static str,
    values: [String; 2],
}

impl Agreement {
    /// Settings that must be the same.
    fn musts(&self, other: &Self) -> [Setting; 2] {
        let both = [self, other];
        let mode = both.map(|it| it.mode.name().to_owned());
        [
            Setting { flag: "--replication", values: mode },
            Setting { flag: "--idempotency-window", values: both.map(|it| duration(it.names_kept)) },
        ]
    }

    /// Settings that should be the same.
    fn shoulds(&self, other: &Self) -> [Setting; 2] {
        let both = [self, other];
        let timeout = both.map(|it| duration(it.election_timeout));
        [
            Setting { flag: "--log-entries", values: both.map(|it| it.log_entries.to_string()) },
            Setting { flag: "--election-timeout", values: timeout },
        ]
    }
}

/// Checks that both can be members of one cluster. The error is the same text for both.
pub(super) fn check(own: (&Name, &Agreement), other: (&Name, &Agreement)) -> Result<(), String> {
    match differing(own, other, own.1.musts(other.1)).as_slice() {
        [] => Ok(()),
        all => Err(format!("{}; give all members the same", all.join(", and "))),
    }
}

/// Differences between the two that are allowed but not recommended.
pub(super) fn remarks(own: (&Name, &Agreement), other: (&Name, &Agreement)) -> Vec<String> {
    differing(own, other, own.1.shoulds(other.1))
}

fn differing<const N: usize>(
    (own, _): (&Name, &Agreement),
    (other, _): (&Name, &Agreement),
    settings: [Setting; N],
) -> Vec<String> {
    let differ = settings.into_iter().filter(|Setting { values: [one, another], .. }| one != another);
    differ
        .map(|Setting { flag, values: [one, another] }| {
            format!("'{own}' has {flag} {one} and '{other}' has {flag} {another}")
        })
        .collect()
}

fn duration(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGREEMENT: Agreement = Agreement {
        mode: Mode::Quorum,
        names_kept: Duration::from_secs(60),
        log_entries: 50_000,
        election_timeout: Duration::from_millis(600),
    };

    fn compare(other: Agreement) -> (Result<(), String>, Vec<String>) {
        let (own_name, other_name) = (Name::from("db-1"), Name::from("db-2"));
        let (own, other) = ((&own_name, &AGREEMENT), (&other_name, &other));
        (check(own, other), remarks(own, other))
    }

    #[test]
    fn what_must_be_the_same_is_refused_with_both_names_and_values() {
        assert_eq!(compare(AGREEMENT), (Ok(()), Vec::new()));
        let (refusal, _) = compare(Agreement { mode: Mode::Sync, ..AGREEMENT });
        let same = "give all members the same";
        assert_eq!(
            refusal.unwrap_err(),
            format!("'db-1' has --replication quorum and 'db-2' has --replication sync; {same}")
        );
        let (refusal, _) = compare(Agreement { names_kept: Duration::from_secs(90), ..AGREEMENT });
        assert_eq!(
            refusal.unwrap_err(),
            format!("'db-1' has --idempotency-window 1m and 'db-2' has --idempotency-window 1m 30s; {same}")
        );
    }

    #[test]
    fn what_should_be_the_same_is_remarked() {
        let other = Agreement { log_entries: 100, election_timeout: Duration::from_secs(1), ..AGREEMENT };
        let (checked, remarks) = compare(other);
        assert_eq!(checked, Ok(()));
        assert_eq!(
            remarks,
            [
                "'db-1' has --log-entries 50000 and 'db-2' has --log-entries 100",
                "'db-1' has --election-timeout 600ms and 'db-2' has --election-timeout 1s"
            ]
        );
    }
}
