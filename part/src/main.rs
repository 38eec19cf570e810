//! `part`: adapters that put a real program in place of one of the lab's own.
//!
//! ```text
//! part haproxy --program /usr/sbin/haproxy --listen 127.0.0.1:8080 --upstream web-1=127.0.0.1:9001
//! ```
//!
//! A balancer's adapter takes the flags of `lb`, writes the other program's configuration, starts it, and serves the
//! contract's admin interface for it. The requests themselves never pass through the adapter. Read `board.rs` for the
//! state of the upstreams, and `haproxy/mod.rs` for an example.
//!
//! A database's adapter takes the flags of `dbnode`, and every request passes through it: `database/mod.rs` is the
//! contract's side, and `postgres/` an example.

mod admin;
mod board;
mod caddy;
mod child;
mod database;
mod envoy;
mod etcd;
mod haproxy;
mod nginx;
mod place;
mod postgres;
mod ready;
mod redis;
mod traefik;
mod unix;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use machine::processes;
use machine::startup::{self, StartupArgs};

/// Run a real program in place of one of the lab's own.
#[derive(Debug, Parser)]
#[command(version, after_help = "`labctl parts` lists them, and `labctl run --part lb=haproxy` starts them.")]
struct Cli {
    #[command(subcommand)]
    part: Part,
}

/// The program to run.
#[derive(Debug, Subcommand)]
enum Part {
    /// HAProxy, by a configuration file and its runtime socket.
    Haproxy(Balancer),
    /// nginx, by a configuration file that it reloads.
    Nginx(Balancer),
    /// Caddy, by its admin interface.
    Caddy(Balancer),
    /// Envoy, by a file of endpoints.
    Envoy(Balancer),
    /// Traefik, by a file with its servers.
    Traefik(Balancer),
    /// PostgreSQL, with streaming replication.
    Postgres(Database),
    /// Redis, with WAIT.
    Redis(Database),
    /// Redis, with WAIT, and a Sentinel beside each.
    RedisSentinel(Database),
    /// etcd.
    Etcd(Database),
}

/// A balancer, and the flags that `lb` has.
#[derive(Debug, Args)]
struct Balancer {
    /// Path of the program to run.
    #[arg(long, value_name = "PATH")]
    program: PathBuf,

    #[command(flatten)]
    lb: lb::Args,
}

/// A node of a database, and the flags that `dbnode` has.
#[derive(Debug, Args)]
struct Database {
    /// Path of the program to run.
    #[arg(long, value_name = "PATH")]
    program: PathBuf,

    #[command(flatten)]
    db: dbnode::Args,
}

/// The selected adapter's arguments: for a balancer, or for a node of a database.
enum Asked<'a> {
    Balancer(&'a Balancer),
    Database(&'a Database),
}

impl Part {
    fn asked(&self) -> Asked<'_> {
        match self {
            Self::Haproxy(balancer)
            | Self::Nginx(balancer)
            | Self::Caddy(balancer)
            | Self::Envoy(balancer)
            | Self::Traefik(balancer) => Asked::Balancer(balancer),
            Self::Postgres(database)
            | Self::Redis(database)
            | Self::RedisSentinel(database)
            | Self::Etcd(database) => Asked::Database(database),
        }
    }

    /// Checks everything that can be checked before anything starts.
    fn check(&self) -> Result<&StartupArgs, clap::Error> {
        let (program, startup) = match self.asked() {
            Asked::Balancer(Balancer { program, lb }) => {
                lb::Config::check(lb.clone())?;
                (program, &lb.startup)
            }
            Asked::Database(Database { program, db }) => (program, &db.startup),
        };
        if !program.is_file() {
            let message = format!("--program: there is no file {}", program.display());
            return Err(Cli::command().error(ErrorKind::ValueValidation, message));
        }
        Ok(startup)
    }
}

fn main() -> ExitCode {
    // Children are started through this program, which ties their life to ours.
    let mut words: Vec<_> = std::env::args_os().skip(1).collect();
    let failed = child::give_up_root(&mut words).err();
    if let Some(error) = failed.or_else(|| processes::become_another(words.into_iter())) {
        let _ = writeln!(std::io::stderr(), "{error}");
        return ExitCode::from(127);
    }
    let Cli { part } = Cli::parse();
    match part.check() {
        Ok(args) => startup::begin(args),
        Err(error) => error.exit(),
    }
    match play(part) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn play(part: Part) -> anyhow::Result<()> {
    // Held to the end: the process dies with its machine.
    let machine = machine::Machine::from_environment().await?;
    match part {
        Part::Haproxy(Balancer { program, lb }) => haproxy::run(&program, lb).await,
        Part::Nginx(Balancer { program, lb }) => nginx::run(&program, lb).await,
        Part::Caddy(Balancer { program, lb }) => caddy::run(&program, lb).await,
        Part::Envoy(Balancer { program, lb }) => envoy::run(&program, lb).await,
        Part::Traefik(Balancer { program, lb }) => traefik::run(&program, lb).await,
        Part::Postgres(Database { program, db }) => postgres::run(&program, db, machine).await,
        Part::Redis(Database { program, db }) => redis::run(&program, db, machine).await,
        Part::RedisSentinel(Database { program, db }) => redis::sentinels::run(&program, db, machine).await,
        Part::Etcd(Database { program, db }) => etcd::run(&program, db, machine).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(words: &[&str]) -> String {
        let cli = Cli::try_parse_from(["part"].iter().chain(words)).unwrap();
        cli.part.check().unwrap_err().to_string()
    }

    #[test]
    fn the_flags_are_documented() {
        // Those of `lb` and `dbnode` are in the tables of these programs.
        let taken = [lb::Args::command(), dbnode::Args::command()];
        let is_taken = |arg: &clap::Arg| {
            taken.iter().flat_map(|of| of.get_arguments()).any(|one| one.get_id() == arg.get_id())
        };
        let [balancer, database] = [Balancer::augment_args, Database::augment_args].map(|augment| {
            let of = augment(clap::Command::new("part"));
            let own: Vec<_> = of.get_arguments().filter(|arg| !is_taken(arg)).cloned().collect();
            documented::flags(&clap::Command::new("part").args(own))
        });
        assert_eq!(balancer, database, "every adapter has the same flags of its own");
        documented::check_table("docs/contract.md", "flags of part", &balancer);
    }

    #[test]
    fn what_can_be_known_to_be_wrong_is_refused_before_anything_starts() {
        let told = refused(&["caddy", "--program", "/no/such/program"]);
        assert!(told.contains("--program: there is no file /no/such/program"), "{told}");
        let told = refused(&["envoy", "--program", "/bin/sh", "--health-interval", "0s"]);
        assert!(told.contains("--health-interval: must be longer than zero"), "{told}");
    }
}
