//! The chapter's steps, as a reader can take them by hand: the text, the actions, the claims. Pure.
#![deny(clippy::disallowed_methods)]

use chapter::step::{Rate, Step};
use chapter::{Act, Chapter};
use serde::Serialize;

use crate::deeds;

/// One step.
#[derive(Debug, Serialize)]
pub(crate) struct StoryStep<'a> {
    name: &'a str,
    say: &'a str,
    /// Traffics whose rate changes. For a ramp, the final rate.
    loads: Vec<Load<'a>>,
    acts: Vec<Deed<'a>>,
    claims: Vec<Claim<'a>>,
    /// Descriptions of what only a run can do and measure.
    only_a_run: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct Load<'a> {
    traffic: &'a str,
    rate: f64,
}

#[derive(Debug, Serialize)]
struct Deed<'a> {
    act: &'a Act,
    command: String,
}

#[derive(Debug, Serialize)]
struct Claim<'a> {
    claim: &'a str,
    /// The article's words, if the claim tests them.
    article: Option<&'a str>,
    /// A question to the reader beforehand, whose answer is the measured figure.
    ask: Option<&'a str>,
    /// The unit of the measurement.
    unit: &'a str,
}

/// Returns every step of a chapter.
pub(crate) fn steps(chapter: &Chapter) -> Vec<StoryStep<'_>> {
    chapter.step.iter().map(step).collect()
}

fn step(step: &Step) -> StoryStep<'_> {
    let loads = step.load.iter().map(|(traffic, rate)| Load {
        traffic: traffic.as_ref(),
        rate: match rate {
            Rate::Steady(rate) => *rate,
            Rate::Ramp { to, .. } => *to,
        },
    });
    let acts = step.acts().map(|act| Deed { act, command: deeds::command_of(act) });
    let claims = step.expect.iter().map(|expect| Claim {
        claim: &expect.claim,
        article: expect.article.as_deref(),
        ask: expect.ask.as_deref(),
        unit: &expect.unit,
    });
    let only_a_run = [
        (step.capacity.is_some(), "finds the highest rate (labctl capacity does that too)"),
        (!step.send.is_empty(), "sends an exact number of requests"),
        (step.read.is_some() || step.take_stock.is_some(), "reads the database afterwards"),
    ];
    StoryStep {
        name: &step.name,
        say: &step.say,
        loads: loads.collect(),
        acts: acts.collect(),
        claims: claims.collect(),
        only_a_run: only_a_run.iter().filter(|(is, _)| *is).map(|(_, words)| *words).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chapter::Source;

    #[test]
    fn a_step_says_what_can_be_done_by_hand() {
        let chapter = Source::open("server-failure", &[]).unwrap().chapter;
        let steps = serde_json::to_value(steps(&chapter)).unwrap();
        let steps = steps.as_array().unwrap();
        assert_eq!(steps.len(), chapter.step.len());
        let mut kills = steps.iter().flat_map(|step| step["acts"].as_array().unwrap());
        assert!(kills.any(|deed| deed["command"] == "kill web-1"), "{steps:?}");
        assert!(steps.iter().any(|step| step["loads"][0]["traffic"] == "shoppers"), "{steps:?}");
    }
}
