//! Traffics: streams of requests.

use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Span, Spanned, closed};

/// The requests of a traffic, and their spacing. Its rate is set by a step.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Traffic {
    /// The machine, or one program on it: `lb`, `app`, `app/dbnode`. A database's machine can be named by its
    /// role, `db:primary`, which is resolved when a step sets a rate.
    pub to: Spanned<String>,
    /// The path; `{key}` stands for a key, `{n}` for a running number.
    pub path: String,
    /// The method; `GET` by default.
    #[serde(default = "get")]
    pub method: String,
    /// A JSON body, with the same placeholders.
    pub body: Option<String>,
    /// Further headers, with the same placeholders.
    #[serde(default)]
    pub headers: IndexMap<String, String>,
    /// The number of keys.
    #[serde(default = "one_hundred", deserialize_with = "closed::keys")]
    pub keys: u64,
    /// The distribution of keys.
    #[serde(default)]
    pub draw: Draw,
    /// Each key is a user who keeps cookies. Streams with the same value here share their users; the first of
    /// them is the one that logs them in.
    pub users: Option<String>,
    /// What a good answer contains. An answer without it is a failed request.
    pub contains: Option<String>,
    /// Records its requests as operations on the database's records, for the judges of a history.
    pub history: Option<Recording>,
    /// The spacing of arrivals.
    #[serde(default)]
    pub arrivals: Spacing,
    /// Another traffic whose random seed it uses, so that both send the same keys at the same moments, and
    /// what differs between them is not luck. By default it has its own.
    pub dice: Option<Spanned<String>>,
    /// The timeout of each attempt.
    #[serde(default = "five_seconds")]
    pub timeout: Span,
    /// The retry policy for requests that failed. By default there are no retries.
    pub retry: Option<Spanned<Retry>>,
}

impl Traffic {
    /// The longest that a user waits for an answer, all attempts together.
    pub fn patience(&self) -> Duration {
        let (timeout, retry) = (self.timeout.0, self.retry.as_ref().map(Spanned::as_ref));
        let times = retry.and_then(|retry| retry.times).unwrap_or(0);
        timeout * (times + 1) + retry.map_or(Duration::ZERO, |retry| retry.pause.0) * times
    }
}

/// A retry policy.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Retry {
    /// The most retries after the first attempt. Required.
    pub times: Option<u32>,
    /// The pause before each retry.
    #[serde(default = "no_pause")]
    pub pause: Span,
    /// The retry budget, as retries per request over all of the traffic: 0.1 is one in ten.
    pub budget: Option<f64>,
}

/// A history that a traffic's requests are written into: what each did to the record of its key.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Recording {
    /// The history's name. Several traffics can write into one.
    pub of: String,
    /// The operation of each request.
    pub does: Does,
    /// The amount that it adds.
    #[serde(default)]
    pub by: i64,
    /// True if all requests for one record are its owner's, who expects to see their own writes.
    #[serde(default)]
    pub owned: bool,
}

/// What a request does to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Does {
    /// Adds to it.
    Add,
    /// Writes the request's running number.
    Put,
    /// Reads one node's own copy.
    Local,
    /// Reads the latest write.
    Latest,
}

/// The distribution of keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Draw {
    /// Uniform: each is equally likely.
    #[default]
    Uniform,
    /// Zipf: a few are very frequent and most are rare, the n-th in proportion to 1/n.
    Zipf,
    /// 1, 2, 3, … and from 1 again.
    Sequence,
}

/// The spacing of arrivals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Spacing {
    /// Poisson: independent arrivals at random intervals.
    #[default]
    Poisson,
    /// Constant: evenly spaced.
    Constant,
}

fn get() -> String {
    "GET".into()
}

fn one_hundred() -> u64 {
    100
}

fn no_pause() -> Span {
    Span(Duration::ZERO)
}

fn five_seconds() -> Span {
    Span(Duration::from_secs(5))
}
