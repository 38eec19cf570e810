//! `labctl watch`: carries out the wishes of the view, and keeps it up to date.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use hyper::Method;
use serde::de::DeserializeOwned;
use terminal_size::{Height, Width, terminal_size};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::task::AbortOnDropHandle;

use super::common::Common;
use super::keys::Keys;
use super::{Performed, say};
use crate::report::{compare_text, comparison};
use crate::results::stored;
use crate::watch::{Hello, State, Told, View, Wish, draw, painted};
use chapter::Act;
use lab::control::{self, ControlRequest, ControlResponse};
use lab::error::LabError;
use lab::http::Client;
use lab::interrupt::Interrupt;

/// Pause between two queries of the lab's state.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Timeout of a request to the lab's page. Users may have to log in before a traffic begins.
const PATIENCE: Duration = Duration::from_secs(60);
/// Default terminal size.
const SIZE: (Width, Height) = (Width(80), Height(24));
/// Width of the comparison of two runs.
const COMPARISON_WIDTH: usize = 80;

/// Shows the running lab on the whole terminal until `q`, Ctrl-C, or the lab's end.
pub async fn watch(common: &Common, interrupt: &Interrupt) -> Performed {
    if common.json {
        return Err(LabError::Usage("watch is for people: `labctl status --json` is a document".into()));
    }
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        return Err(LabError::Usage(
            "watch needs a whole terminal, and this is not one: `labctl status` shows the same once".into(),
        ));
    }
    let page = PageClient::find(common)?;
    let hello: Hello = page.get("/api/hello").await?;
    let comparison = newest_two(common, &hello.chapter.name);
    let view = View::new(hello, comparison, std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty()));
    let keys = Keys::on_the_whole_terminal().ok_or_else(|| {
        LabError::not_ready(
            "watch takes keys, and this terminal gives them to another command: start it in the foreground",
        )
    })?;
    let ended = interrupt.unless(look(keys, view, page)).await?;
    if ended == Ended::WithTheLab {
        say("the lab has ended");
    }
    Ok(0)
}

/// Why the view has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// The user ended it.
    AsWished,
    /// The lab has ended.
    WithTheLab,
}

/// An update for the view.
enum News {
    Heard(Box<State>, Vec<Told>),
    /// A wish was carried out, or could not be.
    Answered(String),
    /// The lab could not be queried.
    Said(String),
    LabHasEnded,
}

/// Draws the view and handles keys.
async fn look(mut keys: Keys, mut view: View, page: PageClient) -> Result<Ended, LabError> {
    let (tell, mut news) = unbounded_channel();
    let _following = AbortOnDropHandle::new(tokio::spawn(follow(page.clone(), tell.clone())));
    let (wish_for, wishes) = unbounded_channel();
    let _fulfilling = AbortOnDropHandle::new(tokio::spawn(fulfil(page, wishes, tell)));
    loop {
        let (Width(width), Height(height)) = terminal_size().unwrap_or(SIZE);
        let (width, height) = (usize::from(width), usize::from(height));
        let screen = painted(&draw(&view, width, height), width, view.is_colored);
        keys.write(&screen).map_err(anyhow::Error::from)?;
        tokio::select! {
            key = keys.next() => {
                // Without a terminal there is nothing to show.
                let Some(key) = key else { return Ok(Ended::AsWished) };
                match view.press(key) {
                    Some(Wish::Quit) => return Ok(Ended::AsWished),
                    Some(wish) => {
                        view.said = "…".into();
                        // The receiver lives as long as this loop.
                        let _ = wish_for.send(wish);
                    }
                    None => {}
                }
            }
            what = news.recv() => match what {
                Some(News::Heard(state, events)) => view.hear(*state, events),
                Some(News::Answered(said)) => view.answer(said),
                Some(News::Said(said)) => view.said = said,
                Some(News::LabHasEnded) | None => return Ok(Ended::WithTheLab),
            },
        }
    }
}

/// Carries out wishes in order, independently of the polling.
async fn fulfil(page: PageClient, mut wishes: UnboundedReceiver<Wish>, tell: UnboundedSender<News>) {
    while let Some(wish) = wishes.recv().await {
        let said = page.fulfil(wish).await.unwrap_or_else(|error| error.to_string());
        if tell.send(News::Answered(said)).is_err() {
            return;
        }
    }
}

/// Polls the lab.
async fn follow(page: PageClient, tell: UnboundedSender<News>) {
    let mut heard = 0;
    loop {
        let news = match page.news(heard).await {
            Ok((state, events)) => {
                heard = events.last().map_or(heard, |event| event.id);
                News::Heard(Box::new(state), events)
            }
            Err(_) if control::running(&page.lab_dir).is_err() => News::LabHasEnded,
            Err(error) => News::Said(error.to_string()),
        };
        if tell.send(news).is_err() {
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A client of the running lab's page.
#[derive(Debug, Clone)]
struct PageClient {
    lab_dir: PathBuf,
    found: page::Found,
}

impl PageClient {
    fn find(common: &Common) -> Result<Self, LabError> {
        let lab_dir = common.site.lab_dir.clone();
        control::running(&lab_dir)?;
        let found = page::find(&lab_dir).ok_or_else(|| {
            LabError::not_ready(
                "this lab has no page to look at: it was started with --no-page, or belongs to a run without --page; `labctl status --watch` shows its machines",
            )
        })?;
        Ok(Self { lab_dir, found })
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> Result<T, LabError> {
        let client = Client::with_token(&self.found.token);
        let answer = client.ask(self.found.address, method, path, body, PATIENCE).await?;
        if answer.status.is_success() {
            return Ok(serde_json::from_slice(&answer.body).map_err(anyhow::Error::from)?);
        }
        let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let detail = told["detail"].as_str().unwrap_or("the lab refused it");
        Err(LabError::reported(2, detail.to_owned()))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, LabError> {
        self.ask(Method::GET, path, None).await
    }

    /// Returns the current state, and the events after the one with this number.
    async fn news(&self, heard: usize) -> Result<(State, Vec<Told>), LabError> {
        Ok((self.get("/api/state").await?, self.get(&format!("/api/events?after={heard}")).await?))
    }

    /// Carries out a wish, and returns the equivalent command or the result.
    async fn fulfil(&self, wish: Wish) -> Result<String, LabError> {
        match wish {
            Wish::Act(act) => self.act(act).await,
            Wish::Rate { traffic, rate } => {
                let wanted = serde_json::json!({ "traffic": traffic, "rate": rate });
                let told: serde_json::Value = self.ask(Method::POST, "/api/load", Some(wanted)).await?;
                Ok(format!("$ {}", told["command"].as_str().unwrap_or_default()))
            }
            Wish::Step { to } => {
                let wanted = serde_json::json!({ "to": to });
                let told: serde_json::Value = self.ask(Method::POST, "/api/step", Some(wanted)).await?;
                Ok(answered(&told))
            }
            Wish::Quit => Ok(String::new()),
        }
    }

    async fn act(&self, act: Act) -> Result<String, LabError> {
        match control::ask(&self.lab_dir, &ControlRequest::Act(act.as_typed())).await? {
            ControlResponse::Done(commands) => {
                Ok(commands.iter().map(|one| format!("$ {one}")).collect::<Vec<_>>().join("; "))
            }
            ControlResponse::Refused(reason, code) => Err(LabError::reported(code, reason)),
            other => Err(LabError::Broken(anyhow::anyhow!("the lab answered {other:?} to an act"))),
        }
    }
}

/// Describes the answer to one request.
fn answered(told: &serde_json::Value) -> String {
    let text = |key: &str| told[key].as_str().map(str::to_owned);
    let ms = told["ms"].as_f64().unwrap_or_default();
    match (told["status"].as_u64(), text("problem")) {
        (Some(status), _) => {
            let by = text("server").map_or(String::new(), |server| format!(" by {server}"));
            format!("{status}{by} in {ms:.0} ms")
        }
        (None, problem) => format!("no answer: {}", problem.unwrap_or_else(|| "nobody is there".into())),
    }
}

/// Compares the two newest runs of a chapter, if there are two.
fn newest_two(common: &Common, chapter: &str) -> Vec<String> {
    let of_it = stored::all(&common.site.runs_dir).into_iter();
    let of_it = of_it.filter(|run| run.parent().is_some_and(|parent| parent.ends_with(chapter)));
    let two: Vec<_> = of_it.take(2).collect();
    let read =
        |directory: &PathBuf| Some((stored::run(directory).ok()?, stored::chapter_text(directory).ok()?));
    let both = two.get(1).and_then(read).zip(two.first().and_then(read));
    let compared = both.and_then(|((before, text_before), (after, text_after))| {
        comparison::compare((&before, &text_before), (&after, &text_after)).ok()
    });
    match compared {
        Some(comparison) => compare_text::lines(&comparison, COMPARISON_WIDTH),
        None => vec![
            format!("There are no two runs of {chapter} to compare."),
            format!("Make one with `labctl run {chapter}`, when this lab has ended, and another."),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_is_told_in_a_sentence() {
        let told = |text: &str| answered(&serde_json::from_str(text).unwrap());
        assert_eq!(told(r#"{"status": 200, "server": "web-3", "ms": 7.2}"#), "200 by web-3 in 7 ms");
        assert_eq!(
            told(r#"{"status": null, "problem": "connection refused", "ms": 1}"#),
            "no answer: connection refused"
        );
    }
}
