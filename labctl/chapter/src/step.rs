//! The steps of a chapter. A step's keys are the fields of one struct and the verbs of [`Act`]; any other key
//! is refused, so that a mistake is reported by line and name. First the rates change, then the verbs run in
//! the order of [`Act`]'s variants; then the step waits, warms up, and measures.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Act, Expect, Span, Spanned, verbs};

/// One step of a chapter.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = verbs::describe)]
#[serde(remote = "Self", rename_all = "kebab-case")]
pub struct Step {
    /// Its name, by which claims refer to it.
    pub name: String,
    /// The text that is printed when it begins: a short paragraph.
    pub say: String,
    /// New rates, by traffic. They stay until changed.
    #[serde(default)]
    pub load: IndexMap<Spanned<String>, Rate>,
    /// The acts on the lab, in the order of the verbs. Each verb of [`Act`] is a key.
    #[serde(skip)]
    pub acts: Vec<Spanned<Act>>,
    /// Finds the highest rate that meets an objective, for several targets at the same time.
    pub capacity: Option<CapacitySearch>,
    /// Sends a number of requests, by traffic, and waits for their answers.
    #[serde(default)]
    pub send: IndexMap<Spanned<String>, Batch>,
    /// Waits for something to happen. The step is measured until it has.
    pub until: Option<Until>,
    /// Warm-up: the time that passes before the measurement begins.
    pub warmup: Option<Span>,
    /// How long to measure.
    pub measure: Option<Span>,
    /// True if what is measured happens only once although the step has no act: then a disturbed measurement
    /// is not repeated. For a step with acts this is implied.
    #[serde(default)]
    pub once: bool,
    /// Reads a number out of a database after the measurement.
    pub read: Option<ReadBack>,
    /// Reads the final value of every record of a history after the measurement, so that lost writes are
    /// known.
    pub take_stock: Option<TakeStock>,
    /// The claims about it.
    #[serde(default)]
    pub expect: Vec<Expect>,
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The derived inherent function reads all keys that are no verbs.
        let (step, acts) = verbs::read(deserializer, |fields| Self::deserialize(fields))?;
        Ok(Self { acts, ..step })
    }
}

impl Step {
    /// Its acts, in the order in which they happen.
    pub fn acts(&self) -> impl Iterator<Item = &Act> {
        self.acts.iter().map(Spanned::as_ref)
    }

    /// True if it changes the servers of a balancer.
    pub fn changes_upstreams(&self) -> bool {
        self.acts().any(|act| matches!(act, Act::Add { .. } | Act::Remove { .. }))
    }

    /// True if what is measured happens only once, so that it cannot be measured again in the same lab: it
    /// follows from an act of the step, or it goes on while a rate changes.
    pub fn happens_once(&self) -> bool {
        let is_ramp = |rate: &Rate| matches!(rate, Rate::Ramp { .. });
        self.once || !self.acts.is_empty() || self.load.values().any(is_ramp)
    }
}

/// A rate of requests.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "a rate is a number of requests a second, or { from = 50, to = 130, over = \"20s\" }"
)]
pub enum Rate {
    /// A constant rate from now on.
    Steady(f64),
    /// A linear ramp from one rate to another, where it stays.
    Ramp {
        /// Requests a second at the start.
        from: f64,
        /// Requests a second at the end.
        to: f64,
        /// How long it takes.
        over: Span,
    },
}

impl Rate {
    /// True if the rate is zero.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::Steady(rate) if *rate == 0.0)
    }
}

/// A number of requests, evenly spaced.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Batch {
    /// The number of requests.
    pub count: u64,
    /// Requests a second. Without it, as many as possible at once.
    #[serde(default = "at_once")]
    pub rate: f64,
}

fn at_once() -> f64 {
    super::RATE_MAX
}

/// A search for capacity.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CapacitySearch {
    /// The traffics whose targets are searched, all at the same time.
    pub of: Vec<Spanned<String>>,
    /// The first rate tried, in requests a second.
    pub from: f64,
    /// The p99 latency that a rate must not exceed.
    pub p99: Span,
    /// How long each rate is tried.
    pub probe: Span,
}

/// Something to wait for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Until {
    /// This machine is gone.
    pub gone: Option<Spanned<String>>,
    /// A balancer has taken this machine out.
    pub ejected: Option<Spanned<String>>,
    /// A balancer has taken this machine back.
    pub admitted: Option<Spanned<String>>,
    /// The balancer that takes a machine out or in, if there are several.
    pub by: Option<Spanned<String>>,
    /// This balancer of a pair has taken over the address.
    pub took_over: Option<Spanned<String>>,
    /// This traffic has recovered: ten requests in a row succeeded after one that failed, and none before
    /// them is still unanswered.
    pub recovered: Option<Spanned<String>>,
    /// Another machine of this kind has become the primary of their database.
    pub elected: Option<Spanned<String>>,
    /// Every machine of this kind is on, and their database nodes all show the same.
    pub converged: Option<Spanned<String>>,
    /// Timeout. Reaching it fails the step's claims, not the chapter.
    pub within: Span,
}

/// A number read back from a database.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ReadBack {
    /// The key.
    pub key: String,
    /// The machine with the database.
    pub from: Spanned<String>,
}

/// Reading the last value of every record of a history.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TakeStock {
    /// The history.
    pub history: Spanned<String>,
    /// The machine with a database, or the kind of machine of which one that answers is asked.
    pub from: Spanned<String>,
    /// The prefix of a record's key in the database: `account:`.
    #[serde(default)]
    pub prefix: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happens_once(step: &str) -> bool {
        let step: Step = toml::from_str(&format!("name = 's'\nsay = 's'\n{step}")).expect("a step");
        step.happens_once()
    }

    #[test]
    fn what_follows_from_a_deed_is_not_measured_twice_in_the_same_lab() {
        let deeds = [
            "kill = ['web-1']",
            "freeze = ['web-1']",
            "thaw = ['web-1']",
            "restart = ['web-1']",
            "add = 'web'",
            "remove = 'web-1'",
            "roll = { kind = 'web', how = 'stop' }",
            "cut = [['a', 'b']]",
            "fail = [['a', 'b']]",
            "flap = [{ link = ['a', 'b'], every = '1s' }]",
            "slow = [{ link = ['a', 'b'], by = '1s' }]",
            "partition = [['a'], ['b']]",
            "heal = [['a', 'b']]",
            "heal-all = true",
        ];
        for deed in deeds {
            assert!(happens_once(&format!("{deed}\nmeasure = '2s'")), "{deed}");
        }
        assert!(happens_once("load = { shoppers = { from = 1, to = 9, over = '9s' } }\nmeasure = '2s'"));
        assert!(happens_once("once = true\nmeasure = '2s'"));
        assert!(!happens_once("load = { shoppers = 9 }\nmeasure = '2s'"));
    }
}
