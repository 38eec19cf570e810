//! `webserver`: the shop.
//!
//! ```text
//! webserver --listen 127.0.0.1:9001 --db 127.0.0.1:7001 --cache local
//! ```

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use machine::network::Network;
use machine::{Machine, startup};
use webserver::{Args, Config, Server};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Advice logged after a panic.
const AFTER_A_BUG: &str =
    "only the request that met it was given up; to report this, run the server with RUST_BACKTRACE=1";

fn main() -> ExitCode {
    let args = Args::parse();
    let startup_args = args.startup.clone();
    let config = Config::check(args).unwrap_or_else(|error| error.exit());
    startup::begin(&startup_args);
    startup::tell_panics(format!("the web server {}", config.name), AFTER_A_BUG);
    match keep_shop(config, startup_args.drain_delay.into()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Starts, serves, and drains when asked to stop.
#[tokio::main]
async fn keep_shop(config: Config, drain_delay: Duration) -> anyhow::Result<()> {
    let machine = Machine::from_environment().await?;
    let server = Server::bind(config, machine, Network::tcp()).await?;
    let stop = startup::stop_on_signal(server.vitals(), drain_delay).context("listen to signals")?;
    // Spawned on a worker thread: from this thread, each connection would have to be handed over.
    tokio::spawn(server.serve(stop)).await.context("serve")
}
