//! The command line as written.

use std::net::SocketAddr;

use bytesize::ByteSize;
use clap::{Parser, ValueEnum, value_parser};
use machine::protocol::PROCESS_VARIABLE;
use machine::startup::StartupArgs;

/// The shop: a web server over the database and a cache.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "webserver",
    version,
    after_help = "Example: webserver --listen 127.0.0.1:9001 --db 127.0.0.1:7001 --cache local"
)]
pub struct Args {
    /// Address to accept requests on.
    #[arg(long, env = "WEBSERVER_LISTEN", default_value = "127.0.0.1:9001", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,

    /// Name of this server; the machine it runs on sets it.
    #[arg(long, env = PROCESS_VARIABLE, default_value = "web")]
    pub name: String,

    /// Nodes of the database, separated by commas. Names are resolved at the start, and again every few
    /// seconds.
    #[arg(
        long,
        env = "WEBSERVER_DB",
        default_value = "127.0.0.1:7001",
        value_name = "HOST:PORT",
        value_delimiter = ',',
        value_parser = parse_node
    )]
    pub db: Vec<String>,

    /// Limit for one call to the database, everything included.
    #[arg(long, env = "WEBSERVER_DB_TIMEOUT", default_value = "1s", value_name = "DURATION")]
    pub db_timeout: humantime::Duration,

    /// Where to keep sessions, that is logins and carts.
    #[arg(long, env = "WEBSERVER_SESSIONS", value_enum, default_value_t = SessionsKind::Memory)]
    pub sessions: SessionsKind,

    /// Time a session lasts without a request.
    #[arg(long, env = "WEBSERVER_SESSION_IDLE", default_value = "30m", value_name = "DURATION")]
    pub session_idle: humantime::Duration,

    /// Longest life of a session, however busy it is.
    #[arg(long, env = "WEBSERVER_SESSION_ABSOLUTE", default_value = "12h", value_name = "DURATION")]
    pub session_absolute: humantime::Duration,

    /// Set cookies for HTTPS only: `Secure`, with a name that begins with `__Host-`.
    #[arg(long, env = "WEBSERVER_SECURE_COOKIES")]
    pub secure_cookies: bool,

    /// The Redis of `--sessions redis` and `--cache redis`: `redis://[USER:PASSWORD@]HOST:PORT[/DATABASE]`.
    #[arg(
        long,
        env = "WEBSERVER_REDIS",
        default_value = "redis://127.0.0.1:6379",
        value_name = "URL",
        hide_env_values = true
    )]
    pub redis: String,

    /// Prefix of every key in Redis, so that several shops can share one: `shop-2:`. Use the same one for all
    /// servers of a shop.
    #[arg(long, env = "WEBSERVER_REDIS_PREFIX", default_value = "", value_name = "TEXT", value_parser = parse_prefix)]
    pub redis_prefix: String,

    /// Redis Sentinels, separated by commas: they are asked for the primary, at the start and whenever it is
    /// lost. Of `--redis`, only user, password and database are then used.
    #[arg(
        long,
        env = "WEBSERVER_REDIS_SENTINEL",
        value_name = "HOST:PORT",
        value_delimiter = ',',
        value_parser = parse_node
    )]
    pub redis_sentinel: Vec<String>,

    /// Name of the primary in the Sentinels' configuration.
    #[arg(long, env = "WEBSERVER_REDIS_MASTER", default_value = "mymaster", value_name = "NAME")]
    pub redis_master: String,

    /// Where to cache products.
    #[arg(long, env = "WEBSERVER_CACHE", value_enum, default_value_t = CacheKind::None)]
    pub cache: CacheKind,

    /// Longest time a cached product is fresh. Each one's time is up to a fifth shorter, so that products that
    /// were read together do not expire together.
    #[arg(long, env = "WEBSERVER_CACHE_TTL", default_value = "30s", value_name = "DURATION")]
    pub cache_ttl: humantime::Duration,

    /// Products that the local cache holds; the least requested ones are evicted.
    #[arg(long, env = "WEBSERVER_CACHE_ENTRIES", default_value_t = 10_000, value_name = "PRODUCTS", value_parser = value_parser!(u64).range(1..))]
    pub cache_entries: u64,

    /// Time after which a stale copy is served, if there is one, while the database has not answered a refill;
    /// the refill goes on.
    #[arg(long, env = "WEBSERVER_STALE_AFTER", default_value = "50ms", value_name = "DURATION")]
    pub stale_after: humantime::Duration,

    /// Time a copy is kept, and may be served as stale, after it was last fresh.
    #[arg(long, env = "WEBSERVER_STALE_FOR", default_value = "10m", value_name = "DURATION")]
    pub stale_for: humantime::Duration,

    /// Reads that may go to the database at the same time while the cache's Redis is gone; the next one gets
    /// 503 with Retry-After.
    #[arg(long, env = "WEBSERVER_MAX_BYPASS_READS", default_value_t = 64, value_name = "READS", value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub max_bypass_reads: u32,

    /// Emulated CPU time of building one product page.
    #[arg(long, env = "WEBSERVER_PAGE_COST", default_value = "0s", value_name = "DURATION")]
    pub page_cost: humantime::Duration,

    /// Emulated CPU time of a product page whose product came from the cache [default: --page-cost].
    #[arg(long, env = "WEBSERVER_HIT_COST", value_name = "DURATION")]
    pub hit_cost: Option<humantime::Duration>,

    /// Emulated CPU time of one /render.
    #[arg(long, env = "WEBSERVER_RENDER_COST", default_value = "10ms", value_name = "DURATION")]
    pub render_cost: humantime::Duration,

    /// Memory that each request in flight holds on the emulated machine.
    #[arg(long, env = "WEBSERVER_REQUEST_MEMORY", default_value = "1MiB", value_name = "SIZE")]
    pub request_memory: ByteSize,

    /// Memory that the idle server takes on the emulated machine.
    #[arg(long, env = "WEBSERVER_RESIDENT_MEMORY", default_value = "0B", value_name = "SIZE")]
    pub resident_memory: ByteSize,

    /// Requests that may be in flight at the same time; the next one gets 503 with Retry-After. 0 for no limit:
    /// then the queue grows until the machine's memory is full.
    #[arg(long, env = "WEBSERVER_MAX_IN_FLIGHT", default_value_t = 0, value_name = "REQUESTS")]
    pub max_in_flight: u32,

    /// Connections that may be open at the same time; fewer if this process may not open enough files. One more
    /// takes the place of an idle connection, or gets 503.
    #[arg(long, env = "WEBSERVER_MAX_CONNECTIONS", default_value_t = 16_384, value_name = "CONNECTIONS", value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub max_connections: u32,

    /// Limit from the opening of a connection, or the first byte of a later request, to the end of the
    /// request's headers; and for a connection to be idle between two requests. Keep it above the time for which
    /// the balancer in front keeps an idle connection (4s by default), which it checks four times a second.
    #[arg(long, env = "WEBSERVER_HEADER_TIMEOUT", default_value = "5s", value_name = "DURATION")]
    pub header_timeout: humantime::Duration,

    /// Log one line for each visitor's request.
    #[arg(long, env = "WEBSERVER_LOG_REQUESTS")]
    pub log_requests: bool,

    /// Limit for a request's body to arrive.
    #[arg(long, env = "WEBSERVER_BODY_TIMEOUT", default_value = "10s", value_name = "DURATION")]
    pub body_timeout: humantime::Duration,

    /// Flags that all programs share.
    #[command(flatten)]
    pub startup: StartupArgs,
}

/// Where products are cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CacheKind {
    /// No cache: each read asks the database.
    None,
    /// In this process's memory.
    Local,
    /// In a Redis that all servers share.
    Redis,
}

/// Where sessions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SessionsKind {
    /// In this process's memory: no other server knows them, and they are lost with it.
    Memory,
    /// In a Redis that all servers share.
    Redis,
}

/// Checks for `host:port`, with any host; whether the host exists is found out by resolving it.
fn parse_node(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(text.to_owned()),
        _ => Err("expected HOST:PORT, such as 127.0.0.1:7001".into()),
    }
}

/// Checks a key prefix: letters, digits and a few separators. Other characters have a meaning in the key
/// patterns of Redis' ACLs or in its cluster (hash tags).
fn parse_prefix(text: &str) -> Result<String, String> {
    const LENGTH_MAX: usize = 100;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b":-_./".contains(&byte);
    match text.len() <= LENGTH_MAX && text.bytes().all(fits) {
        true => Ok(text.to_owned()),
        false => Err(format!("expected at most {LENGTH_MAX} of: letters, digits, : - _ . /")),
    }
}
