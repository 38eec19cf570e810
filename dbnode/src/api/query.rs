//! Parses the query of a request.

#![deny(clippy::disallowed_methods)]

use std::fmt::Display;

use super::problem::Problem;
use dbclient::Read;

/// Parameters of a request about one record.
pub(super) const OF_RECORD: &[&str] = &["read"];
/// Parameters of a request that lists records.
pub(super) const OF_RECORDS: &[&str] = &["read", "prefix", "after", "limit"];

/// Maximum number of records in one response.
const LIMIT_MAX: usize = 1_000;

/// The parameters of a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    /// The consistency of the read.
    pub(super) read: Read,
    /// Only keys that begin with this.
    pub(super) prefix: String,
    /// Only keys after this one.
    pub(super) after: String,
    /// The maximum number of records.
    pub(super) limit: usize,
}

impl Query {
    /// Parses a query in which only these parameters may occur.
    pub(super) fn parse(query: Option<&str>, names: &[&str]) -> Result<Self, Problem> {
        let mut wanted = Self { read: Read::Latest, prefix: String::new(), after: String::new(), limit: 100 };
        let Some(query) = query else { return Ok(wanted) };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                name if !names.contains(&name) => {
                    return Err(bad(format!(
                        "there is no parameter '{name}' here; use {}",
                        names.join(", ")
                    )));
                }
                "read" => wanted.read = read(&value)?,
                "prefix" => wanted.prefix = value.into_owned(),
                "after" => wanted.after = value.into_owned(),
                _ => wanted.limit = limit(&value)?,
            }
        }
        Ok(wanted)
    }
}

fn read(value: &str) -> Result<Read, Problem> {
    match value {
        "local" => Ok(Read::Local),
        "latest" => Ok(Read::Latest),
        _ => Err(bad(format!("read is local or latest, not '{value}'"))),
    }
}

fn limit(value: &str) -> Result<usize, Problem> {
    match value.parse() {
        Ok(limit) if (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
        _ => Err(bad(format!("limit is a number from 1 to {LIMIT_MAX}, not '{value}'"))),
    }
}

fn bad(detail: impl Display) -> Problem {
    Problem::bad_request("bad_query", detail.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_has_a_default() {
        let query = Query { read: Read::Latest, prefix: String::new(), after: String::new(), limit: 100 };
        assert_eq!(Query::parse(None, OF_RECORDS), Ok(query));
    }

    #[test]
    fn everything_can_be_said() {
        let query = Query { read: Read::Local, prefix: "a b/".into(), after: "a b/ü".into(), limit: 1_000 };
        let text = "prefix=a+b%2F&after=a%20b/%C3%BC&limit=1000&read=local";
        assert_eq!(Query::parse(Some(text), OF_RECORDS), Ok(query));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in ["limit=0", "limit=1001", "limit=-1", "limit=", "limit=ten", "read=stale", "raed=local"] {
            let problem = Query::parse(Some(text), OF_RECORDS).unwrap_err();
            assert_eq!(problem.error(), "bad_query", "{text}");
        }
        assert!(Query::parse(Some("limit=1"), OF_RECORD).is_err());
    }
}
