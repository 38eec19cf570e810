//! A chapter's traffics, as the generator sends them.

use std::collections::HashMap;

use indexmap::IndexMap;

use super::histories::Histories;
use chapter::Chapter;
use chapter::traffic::{Does, Draw, Recording, Spacing, Traffic};
use lab::Plan;
use lab::error::LabError;
use load::{
    Arrivals, Cookies, Generator, Keys, Recorded, RecordedAction, RequestMix, Sessions, Stream, StreamId,
};

/// Adds a chapter's traffics to a generator, at rest, by name.
pub fn add_streams(
    chapter: &Chapter,
    plan: &Plan,
    generator: &Generator,
    seed: u64,
    histories: &mut Histories,
) -> Result<IndexMap<String, StreamId>, LabError> {
    let mut streams = IndexMap::new();
    let mut users: HashMap<&str, Cookies> = HashMap::new();
    for (name, traffic) in &chapter.traffic {
        let mut stream = stream_of(name, traffic, plan, seed)?;
        let cookies = traffic.users.as_deref().map(|name| users.entry(name).or_default().clone());
        stream.requests.cookies = cookies;
        stream.recorded = traffic.history.as_ref().map(|history| recorded(history, histories)).transpose()?;
        let id =
            generator.add(stream).map_err(|error| LabError::Usage(format!("traffic '{name}': {error}")))?;
        streams.insert(name.clone(), id);
    }
    Ok(streams)
}

fn recorded(recording: &Recording, histories: &mut Histories) -> anyhow::Result<Recorded> {
    let action = match recording.does {
        Does::Add => RecordedAction::Add { by: recording.by },
        Does::Put => RecordedAction::Put,
        Does::Local => RecordedAction::GetLocal,
        Does::Latest => RecordedAction::GetLatest,
    };
    let sessions = if recording.owned { Sessions::EachKey } else { Sessions::EachRequest };
    Ok(Recorded { log: histories.log(&recording.of)?, action, sessions })
}

/// Translates a chapter's traffic into a stream for the generator. Each traffic has its own random seed, so
/// adding one does not change the others; traffics that share a seed (`dice`) can be compared.
pub fn stream_of(name: &str, traffic: &Traffic, plan: &Plan, seed: u64) -> Result<Stream, LabError> {
    let usage = |message: String| LabError::Usage(format!("traffic '{name}': {message}"));
    // A machine given by its role is resolved when a step needs it; until then it is the first of its kind.
    let to = traffic.to.as_ref();
    let target = plan.address_of(chapter::role::parse(to).map_or(to.as_str(), |(kind, _)| kind));
    let target = target.ok_or_else(|| usage(format!("nothing answers at '{}'", traffic.to.as_ref())))?;
    let count = traffic.keys;
    let keys = match traffic.draw {
        Draw::Uniform => Keys::Uniform { count },
        Draw::Zipf => Keys::Zipf { count, exponent: 1.0 },
        Draw::Sequence => Keys::Sequence { count },
    };
    let mut requests = RequestMix::get(&traffic.path, keys);
    requests.method =
        traffic.method.parse().map_err(|_| usage(format!("'{}' is not an HTTP method", traffic.method)))?;
    requests.body = traffic.body.clone();
    requests.headers = traffic.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut stream = Stream::new(name, target, requests);
    stream.arrivals = match traffic.arrivals {
        Spacing::Poisson => Arrivals::Poisson,
        Spacing::Constant => Arrivals::Constant,
    };
    stream.timeout = traffic.timeout.0;
    stream.retry = traffic.retry.as_ref().map(|retry| {
        let chapter::traffic::Retry { times, pause, budget } = *retry.as_ref();
        // Chapters are validated before they run, so there is a limit.
        load::Retry { times: times.unwrap_or(0), pause: pause.0, budget }
    });
    stream.contains = traffic.contains.clone();
    let dice = traffic.dice.as_ref().map_or(name, |dice| dice.as_ref());
    stream.seed = dice.bytes().fold(seed, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use chapter::Source;
    use lab::Plan;
    use lab::plan::Deployment;

    use super::stream_of;

    /// Differences between compared machines are then not due to random arrivals.
    #[test]
    fn traffics_of_the_same_dice_come_in_the_same_moments() {
        let chapter = Source::open("bigger-machine", &[]).unwrap().chapter;
        let plan = Plan::of(&chapter, Deployment::on_paper()).unwrap();
        let seed = |name: &str| stream_of(name, &chapter.traffic[name], &plan, 42).unwrap().seed;
        assert_eq!([seed("ram"), seed("x2")], [seed("x1"); 2]);
        assert_ne!(seed("x4"), seed("x1"));
    }

    /// The chapter language and the generator do not know each other, so neither can take its limits from the
    /// other.
    #[test]
    fn what_a_chapter_may_ask_for_is_what_the_generator_can_do() {
        assert_eq!(chapter::RATE_MAX, load::Rate::MAX);
        assert_eq!(chapter::ZIPF_KEYS_MAX, load::Keys::ZIPF_MAX);
    }
}
