//! `labctl step`: sends single requests and shows which server answers.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::common::Common;
use super::{Performed, by_hand, running, say, say_document};
use crate::output;
use lab::error::LabError;
use lab::http;
use lab::interrupt::Interrupt;
use load::{InvalidRequests, Stream};

const PATIENCE: Duration = Duration::from_secs(10);
/// Number of requests without a terminal.
const COUNT: u32 = 6;

/// Number and path of the requests.
#[derive(Debug, Args)]
pub struct StepArgs {
    /// How many requests to send [default: one for each Enter on a terminal, 6 elsewhere].
    #[arg(long)]
    count: Option<u32>,

    /// Request this path with GET instead of the chapter's own; {key} stands for a key.
    #[arg(long)]
    path: Option<String>,
}

/// Sends one request at a time, and prints which server answered.
pub async fn step(args: &StepArgs, common: &Common, interrupt: &Interrupt) -> Performed {
    let (source, plan) = running::chapter(common)?;
    if source.chapter.traffic.is_empty() {
        return Err(LabError::Usage("the chapter has no traffic".into()));
    }
    let traffic = by_hand::traffic(None, args.path.as_ref(), 42, &source.chapter, &plan)?;
    let target = traffic.stream.target;
    let unsendable = |error: InvalidRequests| LabError::Usage(error.to_string());
    traffic.stream.requests.check(target).map_err(unsendable)?;
    let waits = args.count.is_none() && std::io::stdin().is_terminal() && !common.json;
    if waits {
        say(format!("Enter sends a request to http://{target}; Ctrl-C ends it."));
    }
    let mut enters = BufReader::new(tokio::io::stdin()).lines();
    let (mut steps, mut ended_with) = (Vec::new(), 0);
    for number in 1..=args.count.unwrap_or(if waits { u32::MAX } else { COUNT }) {
        if waits && output::is_gone() {
            break;
        }
        if waits {
            let enter = async { Ok(enters.next_line().await.map_err(anyhow::Error::from)?) };
            match interrupt.unless(enter).await {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(LabError::Interrupted(code)) => {
                    // Ends the line with the `^C`.
                    say("");
                    ended_with = code;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        let key = (u64::from(number) % traffic.users + 1).to_string();
        let is_new = u64::from(number) <= traffic.users;
        if let Some(introduction) = traffic.introduction.as_ref().filter(|_| is_new) {
            // If the login fails, the request itself will show it.
            let _ = interrupt.unless(async { Ok(ask(introduction, &key, number).await) }).await?;
        }
        let begun = Instant::now();
        let answer = interrupt.unless(async { Ok(ask(&traffic.stream, &key, number).await) }).await?;
        let took = begun.elapsed().as_secs_f64() * 1e3;
        let (server, status) = match &answer {
            Ok(answer) => (
                answer.header("x-served-by").unwrap_or("the server itself").to_owned(),
                answer.status.to_string(),
            ),
            Err(error) => ("nobody".into(), format!("{:#}", error)),
        };
        if !common.json {
            say(format!("request {number:>3}  →  {server:<12} {status}, {took:.1} ms"));
        }
        steps.push(serde_json::json!({ "request": number, "server": server, "status": status, "ms": took }));
    }
    if common.json {
        say_document("steps", serde_json::json!({ "steps": steps }))?;
    }
    Ok(ended_with)
}

/// Sends one request of a stream, as a user with cookies if the stream has users.
async fn ask(stream: &Stream, key: &str, number: u32) -> anyhow::Result<http::Answer> {
    let request = stream.requests.request(stream.target, key, number.into())?;
    let answer = http::send(stream.target, request, PATIENCE).await?;
    if let Some(cookies) = &stream.requests.cookies {
        cookies.keep(key, answer.headers());
    }
    Ok(answer)
}
