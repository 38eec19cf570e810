//! Routes a request by its path.

#![deny(clippy::disallowed_methods)]

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::problem::Problem;
use crate::replication::key::Key;

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// `/kv/{key}`
    Record(Key),
    /// `/kv/{key}/add`
    Addition(Key),
    /// `/kv`
    Records,
    /// `/status`
    Status,
    /// `/healthz`
    Health,
    /// `/metrics`
    Metrics,
}

impl Target {
    /// The target's name in the step statistics.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Record(_) => "a request about a record",
            Self::Addition(_) => "an addition",
            Self::Records => "a list",
            Self::Status => "status",
            Self::Health => "health",
            Self::Metrics => "metrics",
        }
    }

    /// The allowed methods, as listed in `Allow`.
    pub(super) fn methods(&self) -> &'static str {
        match self {
            Self::Record(_) => "GET, PUT, DELETE",
            Self::Addition(_) => "POST",
            Self::Records | Self::Status | Self::Health | Self::Metrics => "GET",
        }
    }
}

/// Parses a path. A key is one segment of it: a slash in a key is written `%2F`.
pub(super) fn target(path: &str) -> Result<Target, Problem> {
    if let Some(rest) = path.strip_prefix("/kv/") {
        return match rest.split_once('/') {
            None => Ok(Target::Record(key(rest)?)),
            Some((name, "add")) => Ok(Target::Addition(key(name)?)),
            Some(_) => Err(Problem::not_found("no such path; a slash in a key is written %2F")),
        };
    }
    match path {
        "/kv" => Ok(Target::Records),
        "/status" => Ok(Target::Status),
        "/healthz" => Ok(Target::Health),
        "/metrics" => Ok(Target::Metrics),
        _ => Err(Problem::not_found(
            "no such path; there are /kv/{key}, /kv/{key}/add, /kv, /status, /healthz, /metrics",
        )),
    }
}

fn key(segment: &str) -> Result<Key, Problem> {
    let decoded: Cow<'_, str> = percent_decode_str(segment)
        .decode_utf8()
        .map_err(|_| Problem::bad_request("bad_key", "a key is UTF-8"))?;
    Key::new(&decoded).map_err(|error| Problem::bad_request("bad_key", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(key: &str) -> Key {
        Key::new(key).unwrap()
    }

    #[test]
    fn a_path_names_a_record_or_something_about_it() {
        assert_eq!(target("/kv/a"), Ok(Target::Record(named("a"))));
        assert_eq!(target("/kv/a%2Fb%20c"), Ok(Target::Record(named("a/b c"))));
        assert_eq!(target("/kv/gr%C3%B6%C3%9Fe"), Ok(Target::Record(named("größe"))));
        assert_eq!(target("/kv/a/add"), Ok(Target::Addition(named("a"))));
        assert_eq!(target("/kv"), Ok(Target::Records));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for path in ["/kv/", "/kv/%00", "/kv/%FF", "/kv//add"] {
            assert_eq!(target(path).unwrap_err().error(), "bad_key", "{path}");
        }
        for path in ["/", "/kv/a/b", "/kv/a/add/", "/KV/a"] {
            assert_eq!(target(path).unwrap_err().error(), "not_found", "{path}");
        }
    }
}
