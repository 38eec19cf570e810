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
use dbnode::{Args, Config};
use machine::Machine;
use machine::network::Network;
use machine::startup;
use machine::vitals::Vitals;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    startup::begin(&args.startup);
    let drain_delay = args.startup.drain_delay.into();
    let config = Config::try_from(args)
        .unwrap_or_else(|error| Args::command().error(ErrorKind::ArgumentConflict, error).exit());
    match serve(config, drain_delay) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Starts, serves, and drains.
#[tokio::main(flavor = "current_thread")]
async fn serve(config: Config, drain_delay: Duration) -> anyhow::Result<()> {
    let machine = Machine::from_environment().await?;
    let vitals = Vitals::new("dbnode");
    let stop = startup::stop_on_signal(vitals.clone(), drain_delay).context("listen to signals")?;
    let server = dbnode::start(config, machine, Network::tcp(), vitals).await?;
    server.run(stop).await?;
    Ok(())
}
