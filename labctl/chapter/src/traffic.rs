//! Traffics: streams of requests.

use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Span, Spanned, closed};

/// Who asks for what, and how the requests are spaced. Its rate is a step's matter.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Traffic {
    /// The machine, or one program on it: `lb`, `app`, `app/dbnode`. A database's machine also by its role,
    /// `db:primary`: whoever that is when a step gives it a rate.
    pub to: Spanned<String>,
    /// What is asked for; `{key}` stands for a key, `{n}` for a running number.
    pub path: String,
    /// The method: `GET` unless said otherwise.
    #[serde(default = "get")]
    pub method: String,
    /// A JSON body, with the same placeholders.
    pub body: Option<String>,
    /// Further headers, with the same placeholders.
    #[serde(default)]
    pub headers: IndexMap<String, String>,
    /// How many keys there are.
    #[serde(default = "one_hundred", deserialize_with = "closed::keys")]
    pub keys: u64,
    /// How keys are drawn.
    #[serde(default)]
    pub draw: Draw,
    /// Each key is a user who keeps cookies. Streams that say the same word here are the same users; the
    /// first of them is how they come by their cookies: they log in.
    pub users: Option<String>,
    /// What a good answer contains. An answer without it is a failed request.
    pub contains: Option<String>,
    /// What its requests do to the database's records, for the judges of a history.
    pub history: Option<Recording>,
    /// How arrivals are spaced.
    #[serde(default)]
    pub arrivals: Spacing,
    /// Whose dice it throws: another traffic's, so that both come at the same moments and ask for the same, and
    /// what differs between them is not luck. Its own unless said otherwise.
    pub dice: Option<Spanned<String>>,
    /// How long a request may take; of one that is repeated, each attempt.
    #[serde(default = "five_seconds")]
    pub timeout: Span,
    /// How those ask again who were not answered well. Nobody does, unless said otherwise.
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

/// Asking again.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Retry {
    /// How often at most, after the first attempt. It must be said.
    pub times: Option<u32>,
    /// How long to wait before each further attempt.
    #[serde(default = "no_pause")]
    pub pause: Span,
    /// How many further attempts there may be for each request, over all of the traffic: 0.1 is one in ten.
    pub budget: Option<f64>,
}

/// A history that a traffic's requests are written into: what each did to the record of its key.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Recording {
    /// The history's name. Several traffics can write into one.
    pub of: String,
    /// What a request does.
    pub does: Does,
    /// How much it adds.
    #[serde(default)]
    pub by: i64,
    /// True when all requests for one record are its owner's, who expects to see what they did.
    #[serde(default)]
    pub owned: bool,
}

/// What a request does to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Does {
    /// It adds to it.
    Add,
    /// It writes its own running number.
    Put,
    /// It reads one node's own copy.
    Local,
    /// It reads what was written last.
    Latest,
}

/// How keys are drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Draw {
    /// Each as often as any other, at random.
    #[default]
    Uniform,
    /// A few very often and most rarely: the n-th in proportion to 1/n.
    Zipf,
    /// 1, 2, 3, … and again from 1.
    Sequence,
}

/// How arrivals are spaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Spacing {
    /// As strangers arrive: at random, independently.
    #[default]
    Poisson,
    /// Evenly.
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
