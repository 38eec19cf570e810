//! How upstream failures are tolerated: passive health checks, retries, slow start and panic mode. The flags as
//! written, and as checked.

use std::time::Duration;

use clap::{ValueEnum, value_parser};

use crate::proxy::retry::{self, RETRIES_MAX};
use crate::upstream::breaker;

/// Initial and longest ejection by passive checks.
const EJECTION: Duration = Duration::from_secs(10);
const EJECTION_MAX: Duration = Duration::from_secs(300);

/// A flag that is `on` or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// Yes.
    On,
    /// No.
    Off,
}

/// Flags for upstream failures.
#[derive(Debug, Clone, clap::Args)]
pub struct ToleranceArgs {
    /// Failed requests in a row (refused, broken off, timed out, or answered 5xx) before an upstream is taken
    /// out (outlier ejection): for 10 seconds at first, longer each time. At most half of all upstreams are
    /// taken out this way. 0: none.
    #[arg(long, env = "LB_PASSIVE_FALL", default_value_t = 0, value_name = "REQUESTS", value_parser = value_parser!(u32).range(..=1000))]
    pub passive_fall: u32,

    /// Times a failed request is sent to another upstream, at most 2. Only GET, HEAD and OPTIONS without a body
    /// are retried, and any request for which no upstream has accepted a connection; at most a fifth of all
    /// requests (retry budget).
    #[arg(long, env = "LB_RETRIES", default_value_t = 0, value_name = "RETRIES", value_parser = value_parser!(u32).range(..=i64::from(RETRIES_MAX)))]
    pub retries: u32,

    /// Whether to retry other requests too, if they carry an Idempotency-Key and at most 64 KiB.
    #[arg(long, env = "LB_RETRY_IDEMPOTENCY_KEY", value_enum, value_name = "SWITCH", default_value_t = Switch::Off)]
    pub retry_idempotency_key: Switch,

    /// Time over which an upstream that comes into rotation is given its full share of requests. 0s: at once,
    /// and the rotation stays exact.
    #[arg(long, env = "LB_SLOW_START", default_value = "0s", value_name = "DURATION")]
    pub slow_start: humantime::Duration,

    /// Panic mode: when fewer than this percentage of upstreams are healthy, checks are ignored and requests go
    /// to all that accept connections. 0: never.
    #[arg(long, env = "LB_PANIC_THRESHOLD", default_value_t = 50, value_name = "PERCENT", value_parser = value_parser!(u32).range(..=100))]
    pub panic_threshold: u32,
}

/// Settings for upstream failures.
#[derive(Debug, Clone)]
pub struct Tolerance {
    /// When passive checks eject an upstream.
    pub breaker: breaker::Rules,
    /// Which requests may be retried.
    pub retry: retry::Rules,
    /// Duration of the slow start.
    pub slow_start: Duration,
    /// Panic mode begins when fewer than this percentage of upstreams are healthy.
    pub panic_below: u32,
}

impl From<ToleranceArgs> for Tolerance {
    fn from(args: ToleranceArgs) -> Self {
        Self {
            breaker: breaker::Rules { fall: args.passive_fall, open: EJECTION, open_max: EJECTION_MAX },
            retry: retry::Rules { retries: args.retries, with_key: args.retry_idempotency_key == Switch::On },
            slow_start: args.slow_start.into(),
            panic_below: args.panic_threshold,
        }
    }
}
