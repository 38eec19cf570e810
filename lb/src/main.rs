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

/// Files that clients and their requests do not get: for checks and the admin interface.
const FILES_RESERVED: u64 = 64;

/// What to do after a bug.
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

/// Starts, serves and drains. This thread keeps the upstreams under watch and answers the admin
/// interface; requests are for the threads that [`lb::start`] starts.
#[tokio::main(flavor = "current_thread")]
async fn balance(mut config: Config, drain_delay: std::time::Duration) -> anyhow::Result<()> {
    // Held to the end: the process dies with the machine it was placed on.
    let _machine = Machine::from_environment().await?;
    let vitals = Vitals::new("lb");
    let stop = startup::stop_on_signal(vitals.clone(), drain_delay).context("listen to signals")?;
    fit_to_file_limit(&mut config.limits);
    let running = lb::start(config, vitals, stop).await?;
    running.finished().await;
    Ok(())
}

/// Two connections, and so two files, stand behind each request; the usual soft limit of 1,024 is
/// soon reached. Without enough of them, clients had better wait at the door than fail inside.
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
