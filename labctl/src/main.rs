//! `labctl`: parse, do, and end with the exit code that the contract promises.

use std::process::ExitCode;

use clap::Parser;
use lab::interrupt::Interrupt;
use labctl::cli::{self, Cli};
use labctl::commands;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => return commands::show(&usage),
    };
    machine::startup::raise_file_limit();
    let filter = machine::startup::log_filter("LABCTL_LOG", LevelFilter::WARN);
    let logs = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    logs.finish().with(filter).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("without a runtime there is nothing to do and nobody to tell");
    let ended = runtime.block_on(async {
        let interrupt =
            Interrupt::listen().map_err(|error| anyhow::Error::new(error).context("listen to signals"))?;
        cli::perform(cli, &interrupt).await
    });
    match ended {
        Ok(code) => commands::end(code),
        Err(error) => commands::explain(&error),
    }
}
