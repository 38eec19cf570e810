//! Common startup code: logging, signals, and the tie to the parent process.

use std::backtrace::Backtrace;
use std::panic;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::getppid;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use crate::log_lines::LogLines;
use crate::protocol::{EXIT_KILLED, PARENT_VARIABLE, SOCKET_VARIABLE};
use crate::trace;
use crate::vitals::Vitals;

/// Flags that all programs share.
#[derive(Debug, Clone, Args)]
pub struct StartupArgs {
    /// Format of log lines on stderr.
    #[arg(long, env = "LOG_FORMAT", value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// On SIGTERM: how long to keep serving while `/healthz` already answers 503, so that health checks notice
    /// before the listener closes.
    #[arg(long, env = "DRAIN_DELAY", default_value = "0s", value_name = "DURATION")]
    pub drain_delay: humantime::Duration,

    /// On SIGTERM: how long requests in flight may take to finish after the listener has closed.
    #[arg(long, env = "DRAIN_TIMEOUT", default_value = "10s", value_name = "DURATION")]
    pub drain_timeout: humantime::Duration,

    /// Record what each request costs, as spans (W3C Trace Context), in PROGRAM.spans.jsonl in this directory.
    #[arg(long, env = "TRACE_DIR", value_name = "DIR")]
    pub trace_dir: Option<PathBuf>,
}

/// The format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Human-readable.
    Text,
    /// One JSON document per line.
    Json,
}

/// Starts logging, raises the limit of open files, and ties this process's life to the machine that it was
/// placed on.
pub fn begin(args: &StartupArgs) {
    let filter = log_filter("RUST_LOG", LevelFilter::INFO);
    // The filter alone decides.
    let logs = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(LogLines::to_stderr())
        .with_ansi(false);
    match args.log_format {
        LogFormat::Text => logs.finish().with(filter).init(),
        LogFormat::Json => logs.json().finish().with(filter).init(),
    }
    if let Some(directory) = &args.trace_dir {
        let program = std::env::args_os().next().map(PathBuf::from);
        let program = program.as_deref().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        if let Err(error) = trace::open(directory, &program) {
            tracing::warn!(%error, directory = %directory.display(), "no spans are recorded: is there such a directory?");
        }
    }
    raise_file_limit();
    fail_at_the_size_limit();
    if std::env::var_os(SOCKET_VARIABLE).is_some() {
        die_with_parent();
    }
}

/// Installs a panic hook: a panic is always a bug, and is reported in one sentence that says what happened, to
/// which part and where, and what to do. A backtrace follows if `RUST_BACKTRACE` asks for it.
pub fn tell_panics(part: String, what_to_do: &'static str) {
    let with_trace = std::env::var_os("RUST_BACKTRACE").is_some_and(|wanted| wanted != "0");
    tell_panics_so(part, with_trace, what_to_do);
}

fn tell_panics_so(part: String, with_trace: bool, what_to_do: &'static str) {
    panic::set_hook(Box::new(move |panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map(|place| format!(", at {}:{}", place.file(), place.line()));
        let place = place.unwrap_or_default();
        tracing::error!("a bug in {part}: {message}{place}; {what_to_do}");
        if with_trace {
            tracing::error!("backtrace:\n{}", Backtrace::force_capture());
        }
    }));
}

/// Returns the log filter in an environment variable, such as `info` or `warn,lb=debug`, or else this level.
pub fn log_filter(variable: &str, otherwise: LevelFilter) -> Targets {
    let wanted = std::env::var(variable).ok().and_then(|wanted| wanted.parse().ok());
    wanted.unwrap_or_else(|| Targets::new().with_default(otherwise))
}

/// Raises this process's limit of open files to the hard limit, and returns the new limit. Each connection is
/// an open file, and the usual soft limit of 1,024 is soon reached.
pub fn raise_file_limit() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return u64::MAX };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(error) => {
            tracing::debug!(%error, "the limit of open files stays as it is");
            soft
        }
    }
}

/// Makes a write that exceeds the limit of file sizes (RLIMIT_FSIZE) fail, as on a full disk, instead of ending the
/// process. Threads that are started later inherit this.
fn fail_at_the_size_limit() {
    if let Err(error) = SigSet::from(Signal::SIGXFSZ).thread_block() {
        tracing::debug!(%error, "a write beyond the limit of file sizes would end this process");
    }
}

/// The number of files that this process may open.
pub fn file_limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft)
}

/// Makes the kernel kill this process when its parent dies, even if the process is frozen and cannot notice.
/// Linux only; elsewhere the process notices the lost connection. A parent that died before this call sends no
/// signal: then this process exits at once.
pub fn die_with_parent() {
    if let Err(error) = prctl::set_pdeathsig(Signal::SIGKILL) {
        tracing::warn!(%error, "cannot bind this process's life to its machine's");
    }
    let parent = std::env::var(PARENT_VARIABLE).ok().and_then(|pid| pid.parse().ok());
    if parent.is_some_and(|parent: i32| parent != getppid().as_raw()) {
        std::process::exit(EXIT_KILLED);
    }
}

/// Returns a token that is cancelled when this process should stop: on SIGTERM or SIGINT, after `/healthz` has
/// answered 503 for `drain_delay`.
pub fn stop_on_signal(
    vitals: std::sync::Arc<Vitals>,
    drain_delay: Duration,
) -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("asked to stop: draining");
        vitals.say_unfit();
        tokio::time::sleep(drain_delay).await;
        stopping.cancel();
    });
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    /// Captures the log.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_is_one_line_that_says_what_where_and_what_to_do() {
        let log = Log::default();
        let writer = log.clone();
        let logging = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let before = panic::take_hook();
        tell_panics_so("node db-1".into(), false, "start it again");
        tracing::subscriber::with_default(logging, || {
            panic::catch_unwind(|| panic!("seven is {}", 8)).unwrap_err();
        });
        panic::set_hook(before);
        let text = String::from_utf8(log.0.lock().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("ERROR") && text.contains("a bug in node db-1: seven is 8, at "), "{text}");
        assert!(text.contains("startup.rs:") && text.ends_with("; start it again\n"), "{text}");
    }
}
