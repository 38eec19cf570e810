//! A traffic of the running chapter, for commands that send it by hand.

use std::time::Duration;

use hyper::Method;

use super::common::Common;
use super::say_note;
use crate::testbed::stream_of;
use chapter::{Chapter, Traffic, suggest};
use lab::Plan;
use lab::error::LabError;
use load::{Cookies, Generator, Keys, Moment, Stream};
use page::ManualTraffic;

/// Rate at which users log in, in requests per second.
const INTRODUCTIONS_RATE: f64 = 200.0;
/// Extra time for the answers, beyond the expected duration.
const MARGIN: Duration = Duration::from_secs(2);

/// A traffic to be sent by hand.
#[derive(Debug)]
pub(super) struct ByHand {
    /// The requests.
    pub(super) stream: Stream,
    /// The login request of each user, sent once before. `None` if no login is needed.
    pub(super) introduction: Option<Stream>,
    /// Number of users.
    pub(super) users: u64,
}

/// Returns the named traffic, or the chapter's first, with this random seed. A different path is requested
/// with GET.
pub(super) fn traffic(
    name: Option<&String>,
    path: Option<&String>,
    seed: u64,
    chapter: &Chapter,
    plan: &Plan,
) -> Result<ByHand, LabError> {
    let found = match name {
        Some(name) => chapter.traffic.get_key_value(name),
        None => chapter.traffic.first(),
    };
    let unknown = || {
        let known = chapter.traffic.keys().map(String::as_str);
        LabError::Usage(match name {
            Some(name) => suggest::unknown("traffic", name, known),
            None => "the chapter has no traffic".into(),
        })
    };
    let (name, traffic) = found.ok_or_else(unknown)?;
    let mut stream = stream_of(name, traffic, plan, seed)?;
    let mut introduction = introduction(chapter, traffic, (name, path))
        .map(|(name, traffic)| stream_of(name, traffic, plan, seed))
        .transpose()?;
    if traffic.users.is_some() {
        let cookies = Cookies::default();
        stream.requests.cookies = Some(cookies.clone());
        if let Some(introduction) = &mut introduction {
            introduction.requests.cookies = Some(cookies.clone());
            introduction.requests.keys = Keys::Sequence { count: traffic.keys };
        }
    }
    if let Some(path) = path {
        stream.requests.path.clone_from(path);
        stream.requests.method = Method::GET;
        stream.requests.body = None;
        stream.contains = None;
    }
    Ok(ByHand { stream, introduction, users: traffic.keys })
}

/// Returns all traffics of a chapter, for its page.
pub(super) fn all(chapter: &Chapter, plan: &Plan, seed: u64) -> Result<Vec<ManualTraffic>, LabError> {
    let traffics = chapter.traffic.iter().map(|(name, as_written)| {
        let ByHand { stream, introduction, users } = traffic(Some(name), None, seed, chapter, plan)?;
        Ok(ManualTraffic { stream, login: introduction, users, to: as_written.to.as_ref().clone() })
    });
    traffics.collect()
}

/// Returns the traffic by which users obtain their cookies: the first one with the same users.
fn introduction<'a>(
    chapter: &'a Chapter,
    traffic: &Traffic,
    (wanted, path): (&String, Option<&String>),
) -> Option<(&'a String, &'a Traffic)> {
    let users = traffic.users.as_ref()?;
    let (name, first) = chapter.traffic.iter().find(|(_, other)| other.users.as_ref() == Some(users))?;
    (name != wanted || path.is_some()).then_some((name, first))
}

/// Logs every user in, if needed.
pub(super) async fn introduce(
    generator: &Generator,
    by_hand: &ByHand,
    common: &Common,
) -> Result<(), LabError> {
    let Some(stream) = by_hand.introduction.clone() else { return Ok(()) };
    let (count, patience) = (by_hand.users, stream.patience());
    say_note(common, format!("{count} users log in first ({})", stream.name));
    let id = generator.add(stream).map_err(|error| LabError::Usage(error.to_string()))?;
    generator.send_and_wait(id, count, INTRODUCTIONS_RATE, patience + MARGIN).await;
    let ok = generator.recorder().window(id, Moment::ZERO, Moment::MAX).ok() as u64;
    if ok < count {
        say_note(common, format!("{} of these requests failed", count - ok));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use chapter::Source;
    use lab::plan::Deployment;

    const CHAPTER: &str = r#"
number = 1
title = "Small"
question = "Does it?"

[machine.app]
webserver = { db = "app" }
dbnode = {}

[traffic.pages]
to = "app"
path = "/products/{key}"

[traffic.logins]
to = "app"
method = "POST"
path = "/login"
body = '{"user":"user-{key}"}'
users = "members"

[traffic.visits]
to = "app"
path = "/me"
keys = 30
users = "members"
"#;

    fn by_hand(name: &str, path: Option<&str>) -> ByHand {
        let source = Source::parse(Path::new("small.toml"), CHAPTER, &[]).unwrap();
        let plan = Plan::of(&source.chapter, Deployment::on_paper()).unwrap();
        traffic(Some(&name.into()), path.map(str::to_owned).as_ref(), 1, &source.chapter, &plan).unwrap()
    }

    #[test]
    fn users_introduce_themselves_by_the_first_traffic_that_is_theirs() {
        let visits = by_hand("visits", None);
        let introduction = visits.introduction.unwrap();
        assert_eq!((&*introduction.name, &introduction.requests.method), ("logins", &Method::POST));
        assert_eq!((introduction.requests.keys, visits.users), (Keys::Sequence { count: 30 }, 30));
        assert!(visits.stream.requests.cookies.is_some());
        let logins = by_hand("logins", None);
        assert!(logins.introduction.is_none() && logins.stream.requests.cookies.is_some());
        let pages = by_hand("pages", None);
        assert!(pages.introduction.is_none() && pages.stream.requests.cookies.is_none());
    }

    #[test]
    fn another_path_is_asked_for_with_get() {
        let other = by_hand("logins", Some("/me")).stream.requests;
        assert_eq!((&*other.path, other.method, other.body), ("/me", Method::GET, None));
        let own = by_hand("logins", None).stream.requests;
        assert_eq!((own.method, own.body.is_some()), (Method::POST, true));
    }
}
