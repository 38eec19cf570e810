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
    /// What claims call it.
    pub name: String,
    /// What is told while it begins: a short paragraph.
    pub say: String,
    /// New rates, by traffic. They stay until changed.
    #[serde(default)]
    pub load: IndexMap<Spanned<String>, Rate>,
    /// What is done to the lab, in the order of the verbs. Each verb of [`Act`] is a key.
    #[serde(skip)]
    pub acts: Vec<Spanned<Act>>,
    /// Finds the highest rate that meets an objective, for each of several targets.
    pub capacity: Option<CapacitySearch>,
    /// Sends a number of requests, by traffic, and waits for their answers.
    #[serde(default)]
    pub send: IndexMap<Spanned<String>, Batch>,
    /// Waits for something to happen. The step is measured until it has.
    pub until: Option<Until>,
    /// Time that passes before the measurement begins.
    pub warmup: Option<Span>,
    /// How long is measured.
    pub measure: Option<Span>,
    /// True when what is measured happens only once although the step itself does nothing: then it is not
    /// measured again when the host disturbed it. Of a step that does something to the lab that is known.
    #[serde(default)]
    pub once: bool,
    /// Reads a number out of a database when the measurement is over.
    pub read: Option<ReadBack>,
    /// Reads the last value of every record of a history when the measurement is over, so that it can
    /// be said what is lost.
    pub take_stock: Option<TakeStock>,
    /// What is claimed about it.
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
    /// So many a second, from now on.
    Steady(f64),
    /// From one rate to another, evenly, and staying there.
    Ramp {
        /// Requests a second at first.
        from: f64,
        /// Requests a second at last.
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

    /// True if the rate is finite and not negative.
    pub fn is_possible(&self) -> bool {
        let is_possible = |rate: f64| rate.is_finite() && rate >= 0.0;
        match *self {
            Self::Steady(rate) => is_possible(rate),
            Self::Ramp { from, to, .. } => is_possible(from) && is_possible(to),
        }
    }
}

/// So many requests, evenly spaced.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Batch {
    /// The number of requests.
    pub count: u64,
    /// How many a second. Without it, as many as possible at once.
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
    /// The slowest one percent may take this long.
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
    /// The balancer that takes a machine out or in, where several look after it.
    pub by: Option<Spanned<String>>,
    /// This balancer of a pair has taken the address over.
    pub took_over: Option<Spanned<String>>,
    /// This traffic is answered well again: ten requests in a row were, after one that was not, and none
    /// before them is still waiting.
    pub recovered: Option<Spanned<String>>,
    /// Another machine of this kind has become the primary of their database.
    pub elected: Option<Spanned<String>>,
    /// Every machine of this kind is on, and their database nodes all show the same.
    pub converged: Option<Spanned<String>>,
    /// How long to wait at most. It not happening fails the step's claims, not the chapter.
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
    /// What stands before a record's key in the database: `account:`.
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
