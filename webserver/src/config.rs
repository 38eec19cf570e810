//! The checked configuration, with all defaults filled in.

use std::net::SocketAddr;
use std::time::Duration;

use clap::CommandFactory;
use clap::error::ErrorKind;
use machine::serving::Limits;

use ::redis::{ConnectionAddr, IntoConnectionInfo};

use crate::args::{Args, CacheKind, SessionsKind};
use crate::redis::{RedisConfig, RedisPlace};
use crate::sessions::Lifetime;
use crate::store::freshness::Rules;
use crate::store::{CacheConfig, DatabaseConfig};

/// The checked configuration of the shop, with all defaults filled in.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address for requests.
    pub listen: SocketAddr,
    /// The name of this server.
    pub name: String,
    /// The database.
    pub database: DatabaseConfig,
    /// The product cache.
    pub cache: CacheConfig,
    /// The sessions.
    pub sessions: SessionsConfig,
    /// The Redis of the sessions and the cache; `None` if neither uses it.
    pub redis: Option<RedisConfig>,
    /// What requests cost on the emulated machine.
    pub costs: Costs,
    /// Requests that may be in flight at a time; `None` for no limit.
    pub in_flight_max: Option<u32>,
    /// How long a request's body may take to arrive.
    pub body_timeout: Duration,
    /// True if each request is logged.
    pub log_requests: bool,
    /// Limits on connections, headers and the drain.
    pub limits: Limits,
}

/// Sessions and their cookies.
#[derive(Debug, Clone)]
pub struct SessionsConfig {
    /// Where sessions are stored.
    pub kept: SessionsKind,
    /// How long they last.
    pub lifetime: Lifetime,
    /// True if cookies are for HTTPS only.
    pub secure_cookies: bool,
}

/// What requests cost on the emulated machine.
#[derive(Debug, Clone, Copy)]
pub struct Costs {
    /// CPU time of building one product page.
    pub page: Duration,
    /// CPU time of a product page whose product came from the cache.
    pub hit: Duration,
    /// CPU time of one `/render`.
    pub render: Duration,
    /// Memory that each request in flight holds, in bytes.
    pub request_memory: u64,
    /// Memory that the idle server holds, in bytes.
    pub resident_memory: u64,
}

impl Config {
    /// Checks the flags and combines them. The error names the flag, and exits with code 2.
    pub fn check(args: Args) -> Result<Self, clap::Error> {
        let rules = Rules {
            ttl: positive("--cache-ttl", args.cache_ttl)?,
            stale_after: bounded("--stale-after", args.stale_after)?,
            stale_for: bounded("--stale-for", args.stale_for)?,
        };
        let cache = match args.cache {
            CacheKind::None => CacheConfig::None,
            CacheKind::Local => CacheConfig::Local { entries: args.cache_entries, rules },
            CacheKind::Redis => CacheConfig::Redis { rules, bypass_max: args.max_bypass_reads as usize },
        };
        let needs_redis = args.cache == CacheKind::Redis || args.sessions == SessionsKind::Redis;
        let redis = match needs_redis {
            true => Some(check_redis(&args)?),
            false => None,
        };
        let sessions = SessionsConfig {
            kept: args.sessions,
            lifetime: Lifetime {
                idle: positive("--session-idle", args.session_idle)?,
                absolute: positive("--session-absolute", args.session_absolute)?,
            },
            secure_cookies: args.secure_cookies,
        };
        let costs = Costs {
            page: bounded("--page-cost", args.page_cost)?,
            hit: bounded("--hit-cost", args.hit_cost.unwrap_or(args.page_cost))?,
            render: bounded("--render-cost", args.render_cost)?,
            request_memory: args.request_memory.as_u64(),
            resident_memory: args.resident_memory.as_u64(),
        };
        let header_timeout = positive("--header-timeout", args.header_timeout)?;
        let limits = Limits {
            connections: args.max_connections as usize,
            // Each request may need a connection to the database too.
            files_per_connection: 2,
            header_timeout,
            idle_timeout: header_timeout,
            drain: bounded("--drain-timeout", args.startup.drain_timeout)?,
            ..Limits::default()
        };
        Ok(Self {
            listen: args.listen,
            name: args.name,
            database: DatabaseConfig { nodes: args.db, timeout: positive("--db-timeout", args.db_timeout)? },
            cache,
            sessions,
            redis,
            costs,
            in_flight_max: (args.max_in_flight > 0).then_some(args.max_in_flight),
            body_timeout: positive("--body-timeout", args.body_timeout)?,
            log_requests: args.log_requests,
            limits,
        })
    }
}

fn check_redis(args: &Args) -> Result<RedisConfig, clap::Error> {
    // No message repeats the URL, because it may contain a password.
    let expected = "expected redis://[USER:PASSWORD@]HOST:PORT[/DATABASE]";
    let info = args
        .redis
        .as_str()
        .into_connection_info()
        .map_err(|error| wrong(format!("--redis: {expected}: {error}")))?;
    let ConnectionAddr::Tcp(host, port) = info.addr() else {
        return Err(wrong(format!("--redis: {expected}; neither TLS nor Unix sockets are supported")));
    };
    let place = match args.redis_sentinel.is_empty() {
        true => RedisPlace::Fixed(format!("{host}:{port}")),
        false => {
            RedisPlace::Sentinels { nodes: args.redis_sentinel.clone(), primary: args.redis_master.clone() }
        }
    };
    Ok(RedisConfig { place, login: info.redis_settings().clone(), prefix: args.redis_prefix.clone() })
}

fn positive(flag: &str, duration: humantime::Duration) -> Result<Duration, clap::Error> {
    match bounded(flag, duration)? {
        Duration::ZERO => Err(wrong(format!("{flag}: must be longer than zero"))),
        duration => Ok(duration),
    }
}

fn bounded(flag: &str, duration: humantime::Duration) -> Result<Duration, clap::Error> {
    match Duration::from(duration) {
        duration if duration > DURATION_MAX => Err(wrong(format!("{flag}: must not exceed one day"))),
        duration => Ok(duration),
    }
}

/// Longer than any sensible setting, and far from overflowing a clock.
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

fn wrong(message: String) -> clap::Error {
    clap::Error::raw(ErrorKind::ValueValidation, format!("{message}\n")).format(&mut Args::command())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn check(flags: &[&str]) -> Result<Config, String> {
        let args =
            Args::try_parse_from([&["webserver"], flags].concat()).map_err(|error| error.to_string())?;
        Config::check(args).map_err(|error| error.to_string())
    }

    #[test]
    fn the_flags_are_documented() {
        documented::check_table(
            "docs/contract.md",
            "flags of webserver",
            &documented::flags(&Args::command()),
        );
    }

    #[test]
    fn without_flags_there_is_no_cache_and_no_limit_of_requests() {
        let config = check(&[]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:9001");
        assert_eq!(config.database.nodes, ["127.0.0.1:7001"]);
        assert_eq!(config.database.timeout, Duration::from_secs(1));
        assert!(matches!(config.cache, CacheConfig::None) && config.redis.is_none());
        assert!(config.in_flight_max.is_none());
        assert_eq!(config.sessions.kept, SessionsKind::Memory);
        assert_eq!(config.costs.request_memory, 1024 * 1024);
    }

    #[test]
    fn headers_have_little_time_but_a_connection_lives_longer_than_the_balancer_keeps_it() {
        let limit = check(&[]).unwrap().limits.idle_timeout;
        // The balancer's four seconds, plus a quarter until its next sweep.
        assert!(limit > Duration::from_millis(4_250) && limit <= Duration::from_secs(5), "{limit:?}");
    }

    #[test]
    fn several_database_nodes_are_separated_by_commas() {
        let config = check(&["--db", "db-1:7001,127.0.0.1:7002,[::1]:7003"]).unwrap();
        assert_eq!(config.database.nodes, ["db-1:7001", "127.0.0.1:7002", "[::1]:7003"]);
    }

    #[test]
    fn redis_is_at_one_address_or_where_the_sentinels_say() {
        let place =
            |flags: &[&str]| check(&[&["--cache", "redis"], flags].concat()).unwrap().redis.unwrap().place;
        assert_eq!(place(&["--redis", "redis://box:7000/2"]), RedisPlace::Fixed("box:7000".into()));
        assert_eq!(
            place(&["--redis-sentinel", "a:1,b:2", "--redis-master", "shop"]),
            RedisPlace::Sentinels { nodes: vec!["a:1".into(), "b:2".into()], primary: "shop".into() }
        );
    }

    #[test]
    fn a_password_is_never_shown() {
        for url in ["redis://:hunter2@box:7000", "rediss://:hunter2@box:7000", "redis://:hunter2@box:port"] {
            let shown =
                format!("{:?}", check(&["--cache", "redis", "--redis", url]).map(|config| config.redis));
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn a_wrong_flag_is_named() {
        let wrong: [&[&str]; 14] = [
            &["--db", "somewhere"],
            &["--db", "host:99999"],
            &["--db-timeout", "0s"],
            &["--cache", "cloud"],
            &["--cache-ttl", "0s"],
            &["--sessions", "cookie"],
            &["--session-idle", "0s"],
            &["--session-absolute", "2days"],
            &["--max-bypass-reads", "0"],
            &["--redis", "http://box:7000", "--cache", "redis"],
            &["--redis-sentinel", "box"],
            &["--cache-entries", "0"],
            &["--page-cost", "100days"],
            &["--request-memory", "lots"],
        ];
        for flags in wrong {
            let message = check(flags).unwrap_err();
            assert!(message.contains(flags[0]), "{flags:?}: {message}");
        }
    }
}
