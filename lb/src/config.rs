//! The command line as written ([`Args`]) and as checked ([`Config`]).

use std::collections::HashSet;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum, value_parser};
use http::uri::PathAndQuery;
use machine::startup::StartupArgs;

use crate::choose::PolicyName;
use crate::choose::sticky::Key;
use crate::pair::{PairArgs, PairConfig};
use crate::proxy::headers::ForwardedPolicy;
use crate::proxy::watchdog::Timeouts;
use crate::tolerance::{Tolerance, ToleranceArgs};
use crate::upstream::health::Rules;
use crate::upstream::prober::Checks;
use crate::upstream::{Address, AddressError};

/// The smallest head limit that can be configured: what most servers accept.
const HEADER_BYTES_MIN: u64 = 8 * 1024;

/// A load balancer for HTTP/1.1.
///
/// Distributes requests over healthy upstreams, in exact rotation or by another policy. Upstreams given here
/// count as healthy until a check fails; upstreams added later through the admin interface join after their
/// first successful check.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "lb",
    version,
    after_help = "Example: lb --upstream web-1=127.0.0.1:9001 --upstream web-2=127.0.0.1:9002"
)]
pub struct Args {
    /// Address to accept clients on.
    #[arg(long, env = "LB_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,

    /// A server to forward requests to; repeat for each one. `;weight=3` gives it three times the share of a
    /// server without a weight. In the environment, separate them by commas.
    #[arg(
        long = "upstream",
        env = "LB_UPSTREAM",
        value_name = "NAME=HOST:PORT[;weight=N]",
        value_delimiter = ','
    )]
    pub upstreams: Vec<Address>,

    /// How to choose the upstream for the next request.
    #[arg(long, env = "LB_POLICY", value_enum, default_value_t = PolicyName::RoundRobin)]
    pub policy: PolicyName,

    /// File with the secret that signs sticky cookies, at least 16 bytes; use the same one for all balancers
    /// that share clients [default: a random secret for the life of the process].
    #[arg(long, env = "LB_STICKY_SECRET_FILE", value_name = "FILE")]
    pub sticky_secret_file: Option<PathBuf>,

    /// How to check upstreams: `on` requests --health-path, `connect` only opens a connection, which a frozen
    /// server still accepts, `off` counts all of them as healthy.
    #[arg(long, env = "LB_HEALTH", value_enum, default_value_t = HealthName::On)]
    pub health: HealthName,

    /// Path that a check requests with GET; any 2xx passes.
    #[arg(long, env = "LB_HEALTH_PATH", default_value = "/healthz", value_name = "PATH")]
    pub health_path: PathAndQuery,

    /// Time from the start of one check of an upstream to the start of the next.
    #[arg(long, env = "LB_HEALTH_INTERVAL", default_value = "1s", value_name = "DURATION")]
    pub health_interval: humantime::Duration,

    /// Time after which a check has failed.
    #[arg(long, env = "LB_HEALTH_TIMEOUT", default_value = "500ms", value_name = "DURATION")]
    pub health_timeout: humantime::Duration,

    /// Failed checks in a row before an upstream is taken out.
    #[arg(long, env = "LB_FALL", default_value_t = 3, value_name = "CHECKS", value_parser = value_parser!(u32).range(1..))]
    pub fall: u32,

    /// Passed checks in a row before it is taken back.
    #[arg(long, env = "LB_RISE", default_value_t = 2, value_name = "CHECKS", value_parser = value_parser!(u32).range(1..))]
    pub rise: u32,

    /// Limit for opening a connection to an upstream; at most --try-timeout.
    #[arg(long, env = "LB_CONNECT_TIMEOUT", default_value = "1s", value_name = "DURATION")]
    pub connect_timeout: humantime::Duration,

    /// Limit for the response to begin, over all tries, from the moment the first upstream has the whole
    /// request.
    #[arg(long, env = "LB_REQUEST_TIMEOUT", default_value = "30s", value_name = "DURATION")]
    pub request_timeout: humantime::Duration,

    /// The same limit for one try [default: --request-timeout].
    #[arg(long, env = "LB_TRY_TIMEOUT", value_name = "DURATION")]
    pub try_timeout: Option<humantime::Duration>,

    /// Limit for a client to send a request's headers, and between two pieces of its body.
    #[arg(long, env = "LB_HEADER_TIMEOUT", default_value = "10s", value_name = "DURATION")]
    pub header_timeout: humantime::Duration,

    /// Limit for a client's connection to be idle between two requests, or for a response's body to make no
    /// progress.
    #[arg(long, env = "LB_IDLE_TIMEOUT", default_value = "60s", value_name = "DURATION")]
    pub idle_timeout: humantime::Duration,

    /// Time to keep an unused connection to an upstream. Keep it below the upstream's own keep-alive time.
    #[arg(long, env = "LB_UPSTREAM_IDLE_TIMEOUT", default_value = "4s", value_name = "DURATION")]
    pub upstream_idle_timeout: humantime::Duration,

    /// Largest request line with headers to let through; at least 8KiB.
    #[arg(long, env = "LB_MAX_HEADER_BYTES", default_value = "64KiB", value_name = "SIZE")]
    pub max_header_bytes: ByteSize,

    /// Largest request body to let through; 0 for no limit.
    #[arg(long, env = "LB_MAX_BODY_BYTES", default_value = "1GiB", value_name = "SIZE")]
    pub max_body_bytes: ByteSize,

    /// Client connections that may be open at the same time; a client over the limit gets 503 at once.
    #[arg(long, env = "LB_MAX_CONNECTIONS", default_value_t = 10_000, value_name = "CONNECTIONS", value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub max_connections: u32,

    /// What to do with a client's own X-Forwarded-For, Forwarded and the like. Use `replace` unless only
    /// another balancer of yours can connect.
    #[arg(long, env = "LB_FORWARDED", value_enum, default_value_t = ForwardedPolicy::Append)]
    pub forwarded: ForwardedPolicy,

    /// Address of the admin interface.
    #[arg(long, env = "LB_ADMIN", default_value = "127.0.0.1:8081", value_name = "ADDRESS:PORT")]
    pub admin: SocketAddr,

    /// File with the token that the admin interface requires. Mandatory when it listens on an address that
    /// other computers can reach.
    #[arg(long, env = "LB_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,

    /// Threads that forward requests [default: the number of cores].
    #[arg(long, env = "LB_THREADS", value_name = "THREADS", value_parser = value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,

    /// Flags for upstream failures.
    #[command(flatten)]
    pub tolerance: ToleranceArgs,

    /// Flags of a balancer that shares its address with another one.
    #[command(flatten)]
    pub pair: PairArgs,

    /// Flags that all programs share.
    #[command(flatten)]
    pub startup: StartupArgs,
}

/// The kinds of health checks of `--health`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HealthName {
    /// Request the health path with GET.
    On,
    /// Only open a connection.
    Connect,
    /// Do not check.
    Off,
}

/// The checked configuration of a balancer, with all defaults filled in.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address for clients.
    pub listen: SocketAddr,
    /// The upstreams known at startup.
    pub upstreams: Vec<Address>,
    /// The balancing policy.
    pub policy: PolicyName,
    /// The key of the sticky cookies, with the sticky policy.
    pub sticky: Option<Key>,
    /// Passive health checks, retries, slow start and panic mode.
    pub tolerance: Tolerance,
    /// The active health checks, unless they are off.
    pub health: Option<Checks>,
    /// The time limits.
    pub timeouts: Timeouts,
    /// The size and count limits.
    pub limits: Limits,
    /// What to do with the client's own forwarding fields.
    pub forwarded: ForwardedPolicy,
    /// The admin interface.
    pub admin: AdminConfig,
    /// How it shares its address with a peer, if it has one.
    pub pair: Option<PairConfig>,
    /// Threads that handle requests.
    pub threads: usize,
    /// How long requests in flight may take to finish once the listeners are closed.
    pub drain_timeout: Duration,
}

/// Limits on sizes and counts.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest request line with headers, in bytes.
    pub header_bytes: usize,
    /// Largest request body, in bytes.
    pub body_bytes: u64,
    /// Client connections that may be open at a time, over all threads.
    pub connections: usize,
    /// File descriptors from this number on are reserved: not for clients and their requests.
    pub files: RawFd,
}

/// The configuration of the admin interface.
#[derive(Debug, Clone)]
pub struct AdminConfig {
    /// Its address.
    pub listen: SocketAddr,
    /// The token that it requires, if any.
    pub token: Option<String>,
    /// Limit for a request's headers, for its body, for an idle connection, and for a client that does not
    /// read its response.
    pub patience: Duration,
}

/// How long a client may keep the admin interface waiting.
const ADMIN_PATIENCE: Duration = Duration::from_secs(10);

impl Config {
    /// Checks the flags and combines them. The error names the flag, and exits with code 2.
    pub fn check(args: Args) -> Result<Self, clap::Error> {
        let mut names = HashSet::new();
        if let Some(twice) = args.upstreams.iter().find(|upstream| !names.insert(&upstream.name)) {
            return Err(wrong(format!("--upstream: '{}' is given twice", twice.name)));
        }
        let own = [args.listen, args.admin].map(|address| address.to_string());
        if let Some(own) = args.upstreams.iter().find(|upstream| own.contains(&upstream.address)) {
            return Err(wrong(format!("--upstream: '{}' is this balancer's own address", own.name)));
        }
        let checks = Checks {
            interval: positive("--health-interval", args.health_interval)?,
            timeout: positive("--health-timeout", args.health_timeout)?,
            rules: Rules { fall: args.fall, rise: args.rise },
            path: (args.health == HealthName::On).then_some(args.health_path),
        };
        if let Some(path) = checks.path.as_ref().filter(|path| !path.as_str().starts_with('/')) {
            return Err(wrong(format!("--health-path: '{path}' does not start with '/'")));
        }
        let request = positive("--request-timeout", args.request_timeout)?;
        let attempt = args.try_timeout.map_or(Ok(request), |limit| positive("--try-timeout", limit))?;
        let timeouts = Timeouts {
            // Connecting is part of an attempt.
            connect: positive("--connect-timeout", args.connect_timeout)?.min(attempt).min(request),
            request,
            attempt,
            header: positive("--header-timeout", args.header_timeout)?,
            idle: positive("--idle-timeout", args.idle_timeout)?,
            upstream_idle: positive("--upstream-idle-timeout", args.upstream_idle_timeout)?,
        };
        let limits = Limits {
            header_bytes: header_bytes(args.max_header_bytes)?,
            body_bytes: match args.max_body_bytes.as_u64() {
                0 => u64::MAX,
                bytes => bytes,
            },
            connections: args.max_connections as usize,
            files: RawFd::MAX,
        };
        Ok(Self {
            listen: args.listen,
            upstreams: args.upstreams,
            policy: args.policy,
            sticky: sticky(args.policy, args.sticky_secret_file)?,
            tolerance: args.tolerance.into(),
            health: (args.health != HealthName::Off).then_some(checks),
            timeouts,
            limits,
            forwarded: args.forwarded,
            admin: admin(args.admin, args.admin_token_file)?,
            pair: pair(args.pair, args.listen)?,
            threads: args.threads.map_or_else(cores, usize::from),
            drain_timeout: args.startup.drain_timeout.into(),
        })
    }
}

impl std::str::FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (name, address) = text.split_once('=').ok_or(AddressError::Shape)?;
        let Some((address, weight)) = address.split_once(';') else { return Self::new(name, address) };
        let weight = weight.strip_prefix("weight=").ok_or(AddressError::Shape)?;
        Self::new(name, address)?.with_weight(weight.parse().map_err(|_| AddressError::Weight)?)
    }
}

/// A secret shorter than this can be guessed.
const SECRET_BYTES_MIN: usize = 16;

fn sticky(policy: PolicyName, secret_file: Option<PathBuf>) -> Result<Option<Key>, clap::Error> {
    if policy != PolicyName::Sticky {
        return Ok(None);
    }
    let Some(path) = secret_file else {
        return Ok(Some(Key::new(&rand::random::<[u8; 32]>())));
    };
    let secret = secret("--sticky-secret-file", &path).map_err(wrong)?;
    Ok(Some(Key::new(secret.as_bytes())))
}

fn pair(args: PairArgs, listen: SocketAddr) -> Result<Option<PairConfig>, clap::Error> {
    let pair = PairConfig::check(args, secret).map_err(wrong)?;
    if pair.is_some() && (listen.port() == 0 || listen.ip().is_unspecified()) {
        return Err(wrong(format!("--listen: {listen} is not one address that two balancers can share")));
    }
    Ok(pair)
}

fn secret(flag: &str, path: &Path) -> Result<String, String> {
    let secret = read(flag, path)?;
    if secret.len() < SECRET_BYTES_MIN {
        return Err(format!("{flag}: {} has fewer than {SECRET_BYTES_MIN} bytes", path.display()));
    }
    Ok(secret)
}

/// Reads a text file, without surrounding white space.
fn read(flag: &str, path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{flag}: cannot read {}: {error}", path.display()))?;
    Ok(text.trim().to_owned())
}

fn admin(listen: SocketAddr, token_file: Option<PathBuf>) -> Result<AdminConfig, clap::Error> {
    let Some(path) = token_file else {
        if listen.ip().is_loopback() {
            return Ok(AdminConfig { listen, token: None, patience: ADMIN_PATIENCE });
        }
        return Err(wrong(format!(
            "--admin: {listen} can be reached by others; give --admin-token-file, or a loopback address"
        )));
    };
    let token = read("--admin-token-file", &path).map_err(wrong)?;
    if token.is_empty() {
        return Err(wrong(format!("--admin-token-file: {} is empty", path.display())));
    }
    Ok(AdminConfig { listen, token: Some(token), patience: ADMIN_PATIENCE })
}

fn header_bytes(size: ByteSize) -> Result<usize, clap::Error> {
    match usize::try_from(size.as_u64()) {
        Ok(bytes) if (HEADER_BYTES_MIN..=ByteSize::mib(16).as_u64()).contains(&size.as_u64()) => Ok(bytes),
        _ => Err(wrong(format!("--max-header-bytes: {size} is not between 8 KiB and 16 MiB"))),
    }
}

fn positive(flag: &str, duration: humantime::Duration) -> Result<Duration, clap::Error> {
    match Duration::from(duration) {
        Duration::ZERO => Err(wrong(format!("{flag}: must be longer than zero"))),
        duration if duration > DURATION_MAX => Err(wrong(format!("{flag}: must not exceed one day"))),
        duration => Ok(duration),
    }
}

/// Longer than any sensible setting, and far from overflowing a clock.
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn wrong(message: String) -> clap::Error {
    clap::Error::raw(ErrorKind::ValueValidation, message).format(&mut Args::command())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(flags: &[&str]) -> Result<Config, String> {
        let args = Args::try_parse_from([&["lb"], flags].concat()).map_err(|error| error.to_string())?;
        Config::check(args).map_err(|error| error.to_string())
    }

    #[test]
    fn the_flags_are_documented() {
        documented::check_table("docs/contract.md", "flags of lb", &documented::flags(&Args::command()));
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let config = check(&["--upstream", "web-1=127.0.0.1:9001"]).unwrap();
        let health = config.health.unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.admin.listen.to_string(), "127.0.0.1:8081");
        assert_eq!(health.path.unwrap().as_str(), "/healthz");
        assert_eq!(health.interval.as_millis(), 1000);
        assert_eq!((health.timeout.as_millis(), health.rules.fall, health.rules.rise), (500, 3, 2));
        assert_eq!(config.limits.body_bytes, 1 << 30);
    }

    #[test]
    fn what_is_given_is_taken() {
        let flags = "--health-path=/up --health-interval=2s --health-timeout=3s --fall=4 --rise=5 \
            --connect-timeout=6s --request-timeout=77s --try-timeout=8s --header-timeout=9s --idle-timeout=10s \
            --upstream-idle-timeout=11s --max-header-bytes=12KiB --max-body-bytes=13 --max-connections=14 \
            --threads=15 --passive-fall=16 --retries=2 --retry-idempotency-key=on --slow-start=17s \
            --panic-threshold=18 --drain-timeout=19s --forwarded=replace --policy=two-choices";
        let config = check(&flags.split_whitespace().collect::<Vec<_>>()).unwrap();
        let seconds = Duration::from_secs;
        let checks = config.health.unwrap();
        assert_eq!(
            (checks.path.unwrap().as_str(), checks.interval, checks.timeout),
            ("/up", seconds(2), seconds(3))
        );
        assert_eq!(checks.rules, Rules { fall: 4, rise: 5 });
        let times = config.timeouts;
        assert_eq!((times.connect, times.request, times.attempt), (seconds(6), seconds(77), seconds(8)));
        assert_eq!((times.header, times.idle, times.upstream_idle), (seconds(9), seconds(10), seconds(11)));
        let limits = config.limits;
        assert_eq!((limits.header_bytes, limits.body_bytes, limits.connections), (12 * 1024, 13, 14));
        let tolerance = config.tolerance;
        assert_eq!((config.threads, tolerance.breaker.fall, tolerance.retry.retries), (15, 16, 2));
        assert_eq!((tolerance.slow_start, tolerance.panic_below), (seconds(17), 18));
        assert!(tolerance.retry.with_key);
        assert_eq!((config.drain_timeout, config.forwarded), (seconds(19), ForwardedPolicy::Replace));
        assert_eq!(config.policy, PolicyName::TwoChoices);
    }

    #[test]
    fn an_admin_interface_that_others_can_reach_needs_a_token() {
        assert!(check(&["--admin", "0.0.0.0:8081"]).unwrap_err().contains("--admin-token-file"));
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let flags = ["--admin", "0.0.0.0:8081", "--admin-token-file", path];
        assert!(check(&flags).unwrap_err().contains("is empty"));
        std::fs::write(path, "secret\n").unwrap();
        assert_eq!(check(&flags).unwrap().admin.token.as_deref(), Some("secret"));
    }

    #[test]
    fn a_wrong_flag_is_named() {
        for (flags, named) in [
            (["--upstream", "web-1"], "--upstream"),
            (["--upstream", "web-1=127.0.0.1"], "--upstream"),
            (["--upstream", "a b=127.0.0.1:1"], "--upstream"),
            (["--upstream", "a=127.0.0.1:1,a=127.0.0.1:2"], "--upstream"),
            (["--idle-timeout", "0s"], "--idle-timeout"),
            (["--max-header-bytes", "1KiB"], "--max-header-bytes"),
            (["--fall", "0"], "--fall"),
            (["--policy", "fastest"], "--policy"),
            (["--upstream", "a=127.0.0.1:1;weight=0"], "--upstream"),
            (["--upstream", "a=127.0.0.1:1;heavy"], "--upstream"),
            (["--retries", "3"], "--retries"),
            (["--try-timeout", "0s"], "--try-timeout"),
            (["--panic-threshold", "101"], "--panic-threshold"),
            (["--pair-id", "a"], "--pair-peer"),
            (["--upstream", "a=127.0.0.1:8080"], "--upstream"),
            (["--forwarded", "maybe"], "--forwarded"),
        ] {
            let error = check(&flags).unwrap_err();
            assert!(error.contains(named), "{flags:?}: {error}");
        }
    }

    #[test]
    fn a_pair_is_named_located_and_among_itself() {
        let of = |more: &[&str]| check(&[&["--pair-id=a", "--pair-peer=127.0.0.1:2"], more].concat());
        let pair = of(&["--pair-listen=127.0.0.1:1"]).unwrap().pair.unwrap();
        assert_eq!((pair.rules.id.as_str(), pair.rules.priority), ("a", 100));
        assert_eq!(pair.rules.advert, Duration::from_millis(200));
        assert!(check(&[]).unwrap().pair.is_none());
        for (flags, named) in [
            (&["--pair-listen=0.0.0.0:1"][..], "--pair-secret-file"),
            (&["--pair-listen=127.0.0.1:1", "--pair-advert=1ms"], "--pair-advert"),
            (&["--pair-listen=127.0.0.1:1", "--pair-priority=255"], "--pair-priority"),
            (&["--pair-listen=127.0.0.1:1", "--listen=0.0.0.0:80"], "--listen"),
            (&["--pair-listen=127.0.0.1:1", "--vip-interface=a b"], "--vip-interface"),
        ] {
            let error = of(flags).unwrap_err();
            assert!(error.contains(named), "{flags:?}: {error}");
        }
    }

    #[test]
    fn a_weight_is_given_with_the_address() {
        let config = check(&["--upstream", "a=127.0.0.1:1;weight=3,b=127.0.0.1:2"]).unwrap();
        let weights: Vec<_> = config.upstreams.iter().map(|upstream| upstream.weight).collect();
        assert_eq!(weights, [3, 1]);
    }

    #[test]
    fn a_secret_is_not_short() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let flags = ["--policy", "sticky", "--sticky-secret-file", file.path().to_str().unwrap()];
        assert!(check(&flags).unwrap_err().contains("--sticky-secret-file"));
        std::fs::write(file.path(), "sixteen letters!\n").unwrap();
        let key = check(&flags).unwrap().sticky.unwrap();
        assert!(key.pin("a").token.equals(&Key::new(b"sixteen letters!").pin("a").token));
        assert!(check(&["--policy", "sticky"]).unwrap().sticky.is_some(), "a random one");
        assert!(check(&[]).unwrap().sticky.is_none());
    }

    #[test]
    fn what_is_off_unless_asked_for() {
        let config = check(&[]).unwrap();
        assert_eq!((config.tolerance.breaker.fall, config.tolerance.retry.retries), (0, 0));
        assert_eq!((config.tolerance.slow_start, config.tolerance.panic_below), (Duration::ZERO, 50));
        assert_eq!(config.timeouts.attempt, config.timeouts.request);
    }

    #[test]
    fn connecting_takes_no_longer_than_a_try() {
        let connect = |flags: &[&str]| check(flags).unwrap().timeouts.connect;
        assert_eq!(connect(&[]), Duration::from_secs(1));
        assert_eq!(connect(&["--try-timeout", "200ms"]), Duration::from_millis(200));
        assert_eq!(connect(&["--request-timeout", "500ms"]), Duration::from_millis(500));
        assert_eq!(connect(&["--connect-timeout", "50ms", "--try-timeout", "1s"]), Duration::from_millis(50));
    }

    #[test]
    fn zero_means_no_limit_of_the_body() {
        assert_eq!(check(&["--max-body-bytes", "0"]).unwrap().limits.body_bytes, u64::MAX);
    }
}
