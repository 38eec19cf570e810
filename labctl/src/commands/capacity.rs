//! `labctl capacity`: searches for the highest rate that the running lab sustains.

use std::time::{Duration, Instant};

use clap::Args;

use super::common::Common;
use super::{Performed, by_hand, running, say, say_document, say_note};
use lab::error::LabError;
use lab::interrupt::Interrupt;
use load::{Generator, Objective, find_capacity};

/// The objective, and the traffic.
#[derive(Debug, Args)]
pub struct CapacityArgs {
    /// Time within which 99 % of the answers have to arrive.
    #[arg(long, default_value = "100ms")]
    p99: humantime::Duration,

    /// How long each rate is tried.
    #[arg(long, default_value = "2s")]
    probe: humantime::Duration,

    /// The first rate tried, in requests a second.
    #[arg(long, default_value_t = 50.0)]
    from: f64,

    /// Which of the chapter's traffics [default: its first].
    #[arg(long)]
    traffic: Option<String>,
}

/// Doubles the rate until answers become too slow or fail, then narrows it down.
pub async fn capacity(args: &CapacityArgs, common: &Common, interrupt: &Interrupt) -> Performed {
    let (source, plan) = running::chapter(common)?;
    let traffic = by_hand::traffic(args.traffic.as_ref(), None, 42, &source.chapter, &plan)?;
    let generator = Generator::start(Instant::now()).map_err(anyhow::Error::from)?;
    interrupt.unless(by_hand::introduce(&generator, &traffic, common)).await?;
    let objective = Objective::new(Duration::from(args.p99), Duration::from(args.probe));
    let mix = vec![(traffic.stream, 1.0)];
    let search = find_capacity(&generator, mix, args.from, &objective, |rate, tried| {
        if !common.json {
            say(format!("{rate:7.0} req/s  {tried}"));
        }
    });
    let search = async { search.await.map_err(|error| LabError::Usage(error.to_string())) };
    let (estimate, distrust) = interrupt.unless(search).await?;
    generator.stop();
    if common.json {
        say_document(
            "capacity",
            serde_json::json!({ "low": estimate.low, "high": estimate.high, "rate": estimate.rate(), "distrust": distrust }),
        )?;
    } else {
        let low = estimate.low.map_or("none".into(), |low| format!("{low:.0}"));
        let high = estimate.high.map_or("unknown".into(), |high| format!("{high:.0}"));
        say(format!(
            "capacity: {:.0} req/s (the highest good rate was {low}, the lowest bad one {high})",
            estimate.rate()
        ));
    }
    match distrust {
        Some(reason) => {
            say_note(common, format!("do not trust this: {reason}"));
            Ok(lab::error::EXIT_INCONCLUSIVE)
        }
        None => Ok(0),
    }
}
