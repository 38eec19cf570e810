//! `labctl step`

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use clap::Args;
use hyper::Method;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{Performed, running, say, say_document};
use crate::cli::Common;
use crate::error::LabError;
use crate::interrupt::Interrupt;
use crate::lab::http;

const PATIENCE: Duration = Duration::from_secs(10);
/// Requests sent when nobody is there to press Enter.
const COUNT: u32 = 6;

/// How many.
#[derive(Debug, Args)]
pub struct StepArgs {
    /// How many requests [default: one for each Enter on a terminal, 6 elsewhere].
    #[arg(long)]
    count: Option<u32>,

    /// Another path than the chapter's; {key} stands for a key.
    #[arg(long)]
    path: Option<String>,
}

/// Sends one request at a time, and says which server it got.
pub async fn step(args: &StepArgs, common: &Common, interrupt: &Interrupt) -> Performed {
    let (source, plan) = running::chapter(common)?;
    let (_, traffic) =
        source.chapter.traffic.first().ok_or(LabError::Usage("the chapter has no traffic".into()))?;
    let target = plan.address_of(traffic.to.as_ref());
    let target =
        target.ok_or_else(|| LabError::Usage(format!("nothing answers at '{}'", traffic.to.as_ref())))?;
    let path = args.path.as_ref().unwrap_or(&traffic.path);
    let by_hand = args.count.is_none() && std::io::stdin().is_terminal() && !common.json;
    if by_hand {
        say(format!("Enter sends a request to http://{target}; Ctrl-C ends it."));
    }
    let mut enters = BufReader::new(tokio::io::stdin()).lines();
    let mut steps = Vec::new();
    for number in 1..=args.count.unwrap_or(if by_hand { u32::MAX } else { COUNT }) {
        if by_hand {
            let enter = async { Ok(enters.next_line().await.map_err(anyhow::Error::from)?) };
            match interrupt.unless(enter).await {
                Ok(Some(_)) => {}
                Ok(None) | Err(LabError::Interrupted(_)) => break,
                Err(error) => return Err(error),
            }
        }
        let path = path.replace("{key}", &(u64::from(number) % traffic.keys + 1).to_string());
        let begun = Instant::now();
        let answer = http::ask(target, Method::GET, &path, None, PATIENCE);
        let answer = interrupt.unless(async { Ok(answer.await) }).await?;
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
    Ok(0)
}
