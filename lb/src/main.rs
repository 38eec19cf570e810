//! `lb`: the load balancer.
//!
//! ```text
//! lb --listen 127.0.0.1:8080 --upstream web-1=127.0.0.1:9001 --upstream web-2=127.0.0.1:9002
//! ```

use std::os::fd::RawFd;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use lb::config::Limits;
use lb::{Args, Config};
use machine::Machine;
use machine::startup;
use machine::vitals::Vitals;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Open files kept back from clients and their requests, for health checks and the admin interface.
const FILES_RESERVED: u64 = 64;

/// Advice logged after a panic.
const AFTER_A_BUG: &str =
    "only the connection that met it was given up; to report this, run the balancer with RUST_BACKTRACE=1";

fn main() -> ExitCode {
    let args = Args::parse();
    let startup_args = args.startup.clone();
    let config = Config::check(args).unwrap_or_else(|error| error.exit());
    startup::begin(&startup_args);
    startup::tell_panics(format!("the balancer at {}", config.listen), AFTER_A_BUG);
    match balance(config, startup_args.drain_delay.into()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Starts, serves and drains. This thread runs the health checks and the admin interface; the
/// threads that [`lb::start`] starts handle the requests.
#[tokio::main(flavor = "current_thread")]
async fn balance(mut config: Config, drain_delay: std::time::Duration) -> anyhow::Result<()> {
    // Held to the end: the process must die with the emulated machine it was placed on.
    let _machine = Machine::from_environment().await?;
    let vitals = Vitals::new("lb");
    let stop = startup::stop_on_signal(vitals.clone(), drain_delay).context("listen to signals")?;
    fit_to_file_limit(&mut config.limits);
    let running = lb::start(config, vitals, stop).await?;
    running.finished().await;
    Ok(())
}

/// Lowers the connection limit to what the file limit allows. Each request needs two connections,
/// and so two files, and the usual soft limit of 1,024 is soon reached. Without enough files,
/// clients had better wait in the accept queue than fail halfway through a request.
fn fit_to_file_limit(limits: &mut Limits) {
    let files = startup::raise_file_limit();
    let free = files.saturating_sub(FILES_RESERVED.min(files / 4));
    limits.files = RawFd::try_from(free).unwrap_or(RawFd::MAX);
    let room = usize::try_from(free / 2).unwrap_or(usize::MAX).max(1);
    if room < limits.connections {
        tracing::warn!(files, connections = room, "too few open files are allowed for --max-connections");
        limits.connections = room;
    }
}
