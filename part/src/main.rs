//! `part`: a real program in the place of one of the lab's own.
//!
//! ```text
//! part haproxy --program /usr/sbin/haproxy --listen 127.0.0.1:8080 --upstream web-1=127.0.0.1:9001
//! ```
//!
//! It takes the flags of `lb`, writes the other program's configuration, starts it, and speaks the admin
//! interface of the contract for it. The requests themselves never pass through here. Read `board.rs` for what
//! is known of the upstreams, and `haproxy/mod.rs` for one that is driven.

mod admin;
mod board;
mod child;
mod haproxy;
mod nginx;
mod place;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use machine::processes;
use machine::startup;

/// A real program in the place of one of the lab's own.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "`labctl parts` shows which there are, and `labctl run --part lb=haproxy` starts them."
)]
struct Cli {
    #[command(subcommand)]
    part: Part,
}

/// What is driven.
#[derive(Debug, Subcommand)]
enum Part {
    /// HAProxy, by a configuration file and its runtime socket.
    Haproxy(Balancer),
    /// nginx, by a configuration file that it is told to read again.
    Nginx(Balancer),
}

/// A balancer, and the flags that `lb` has.
#[derive(Debug, Args)]
struct Balancer {
    /// The other program.
    #[arg(long, value_name = "PATH")]
    program: PathBuf,

    #[command(flatten)]
    lb: lb::Args,
}

fn main() -> ExitCode {
    // What is started here is started by way of this program, which binds its life to ours.
    if let Some(error) = processes::become_another(std::env::args_os().skip(1)) {
        let _ = writeln!(std::io::stderr(), "{error}");
        return ExitCode::from(127);
    }
    let Cli { part } = Cli::parse();
    let (Part::Haproxy(balancer) | Part::Nginx(balancer)) = &part;
    startup::begin(&balancer.lb.startup);
    match balance(part) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn balance(part: Part) -> anyhow::Result<()> {
    // Held to the end: the process dies with the machine it was placed on.
    let _machine = machine::Machine::from_environment().await?;
    match part {
        Part::Haproxy(Balancer { program, lb }) => haproxy::run(&program, lb).await,
        Part::Nginx(Balancer { program, lb }) => nginx::run(&program, lb).await,
    }
}
