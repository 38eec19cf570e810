//! `labctl`: parses the command line, runs the command, and exits with the code that the contract promises.

use std::process::ExitCode;
use std::time::Duration;

use lab::interrupt::Interrupt;
use labctl::cli;
use labctl::commands;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

/// Grace period for threads that have not ended when the runtime shuts down.
const LEFT_BEHIND: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    labctl::complete::answer_a_shell();
    let (cli, more) = match cli::parse() {
        Ok(parsed) => parsed,
        Err(usage) => return commands::show(&usage),
    };
    let json = cli.common.json;
    machine::startup::raise_file_limit();
    let filter = machine::startup::log_filter("LABCTL_LOG", LevelFilter::WARN);
    let logs = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    logs.finish().with(filter).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("the async runtime starts");
    let ended = runtime.block_on(async {
        let interrupt =
            Interrupt::listen().map_err(|error| anyhow::Error::new(error).context("listen to signals"))?;
        cli::perform(cli, &more, &interrupt).await
    });
    // A thread still blocked on standard input, waiting for Enter, is abandoned.
    runtime.shutdown_timeout(LEFT_BEHIND);
    match ended {
        Ok(code) => commands::end(code),
        Err(error) => commands::explain(&error, json),
    }
}
