//! `dbnode`: the database.
//!
//! ```text
//! dbnode --id db-1 --listen 127.0.0.1:7001 --data db-1.data
//! ```

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use dbnode::server::{Bug, RunError};
use dbnode::{Args, Config};
use machine::Machine;
use machine::network::Network;
use machine::startup;
use machine::vitals::Vitals;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Advice printed after a panic.
const AFTER_A_BUG: &str = "if the node has stopped, start it again: what it acknowledged is on its disk; \
    to report this, keep its data directory and run it with RUST_BACKTRACE=1";

fn main() -> ExitCode {
    let args = Args::parse();
    startup::begin(&args.startup);
    let drain_delay = args.startup.drain_delay.into();
    let config = Config::try_from(args)
        .unwrap_or_else(|error| Args::command().error(ErrorKind::ArgumentConflict, error).exit());
    startup::tell_panics(format!("node {}", config.id), AFTER_A_BUG);
    match serve(config, drain_delay) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The bug has been reported in full already.
            if !error.is::<Bug>() {
                tracing::error!("{error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

/// Starts the node, serves until it is told to stop, and drains.
#[tokio::main(flavor = "current_thread")]
async fn serve(config: Config, drain_delay: Duration) -> anyhow::Result<()> {
    let machine = Machine::from_environment().await?;
    let vitals = Vitals::new("dbnode");
    let stop = startup::stop_on_signal(vitals.clone(), drain_delay).context("listen to signals")?;
    let server = dbnode::start(config, machine, Network::tcp(), vitals).await?;
    match server.run(stop).await {
        Err(RunError::Bug(bug)) => Err(bug.into()),
        outcome => Ok(outcome?),
    }
}
