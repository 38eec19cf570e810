//! The programs of the lab, and their command lines.
#![deny(clippy::disallowed_methods)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use chapter::Span;
use chapter::machines::{DbnodePart, LbPart, RedisPart, SentinelPart, WebserverPart};

/// The programs of the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Program {
    /// The load balancer.
    Lb,
    /// The web server.
    Webserver,
    /// The database.
    Dbnode,
    /// A Redis server.
    Redis,
    /// A Redis Sentinel.
    Sentinel,
}

/// The check that tells whether a program is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// `GET /healthz` answers 200.
    Healthz,
    /// The answer to a Redis command contains all of these strings.
    Redis {
        /// The command, as an inline command of Redis' protocol.
        ask: &'static str,
        /// The strings that the answer must contain.
        says: Vec<String>,
    },
}

/// A Redis that existed before the lab, and that others use too.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedRedis {
    /// Its URL, with the password if there is one.
    pub url: String,
    /// The prefix of this web server's keys, after the lab's own prefix.
    pub prefix: String,
}

impl std::fmt::Debug for SharedRedis {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the URL, which may have a password in it.
        formatter.debug_struct("SharedRedis").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// One program on a machine.
#[derive(Debug, Clone)]
pub struct ProgramPlan {
    /// The kind of program.
    pub program: Program,
    /// The external program in its place, as the chapter names it: `haproxy`, `./my-lb`.
    pub played_by: Option<String>,
    /// The address on which it serves.
    pub address: SocketAddr,
    /// The address of its health check and its metrics.
    pub health: SocketAddr,
    /// Its flags.
    pub flags: Vec<String>,
    /// The Redis that it shares with others. Passed in the environment, because anyone can read flags and the
    /// URL may contain a password.
    pub shared_redis: Option<SharedRedis>,
    /// The directory of its data, if it keeps any.
    pub data: Option<PathBuf>,
    /// The number of products that its database starts with.
    pub products: u32,
    /// The check that tells whether it is ready.
    pub readiness: Readiness,
    /// A file that it needs, written unless it exists: its path and text.
    pub configuration: Option<(PathBuf, String)>,
}

impl Program {
    /// The program's name, as typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lb => "lb",
            Self::Webserver => "webserver",
            Self::Dbnode => "dbnode",
            Self::Redis => "redis",
            Self::Sentinel => "sentinel",
        }
    }

    pub(super) fn port(self) -> u16 {
        match self {
            Self::Lb => 8080,
            Self::Webserver => 9001,
            Self::Dbnode => 7001,
            Self::Redis => 6379,
            Self::Sentinel => 26379,
        }
    }

    /// True if it is a Redis server, which the lab expects on this computer rather than bringing it along.
    pub fn is_redis(self) -> bool {
        matches!(self, Self::Redis | Self::Sentinel)
    }
}

impl ProgramPlan {
    fn new(program: Program, address: SocketAddr, flags: Flags) -> Self {
        Self {
            program,
            played_by: None,
            address,
            health: address,
            flags: flags.0,
            shared_redis: None,
            data: None,
            products: 0,
            readiness: Readiness::Healthz,
            configuration: None,
        }
    }
}

/// The port of a balancer's admin API.
pub(super) const LB_ADMIN_PORT: u16 = 8081;
/// The port on which the balancers of a pair talk to each other.
pub(super) const LB_PAIR_PORT: u16 = 8082;
/// The port on which the nodes of a database talk to each other.
pub(super) const DB_PEER_PORT: u16 = 7101;

/// One balancer of a pair.
#[derive(Debug)]
pub(super) struct Partner<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// The address on which it listens to its partner.
    pub(super) listen: SocketAddr,
    /// The address on which its partner listens.
    pub(super) peer: SocketAddr,
    /// When both start, the one with the higher priority becomes active.
    pub(super) priority: u8,
    /// The way in which it takes the shared address: `bind` or `vip`.
    pub(super) takeover: &'static str,
    /// The file with the key that signs their messages, if others could send them any.
    pub(super) secret: Option<PathBuf>,
}

/// The files with a balancer's secrets.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// The token for its admin API, if others could reach that.
    pub(super) admin_token: Option<PathBuf>,
    /// The key that signs its cookies.
    pub(super) sticky: Option<PathBuf>,
}

/// Plans a balancer in front of these upstreams.
pub(super) fn lb<'a>(
    part: &LbPart,
    address: SocketAddr,
    admin: SocketAddr,
    secrets: Secrets,
    upstreams: impl Iterator<Item = (&'a String, SocketAddr)>,
    partner: Option<&Partner<'_>>,
) -> ProgramPlan {
    let flags = Flags::new().with("listen", address).with("admin", admin);
    let flags = flags
        .maybe("admin-token-file", secrets.admin_token.as_ref().map(|path| path.display()))
        .maybe("sticky-secret-file", secrets.sticky.as_ref().map(|path| path.display()));
    let flags =
        upstreams.fold(flags, |flags, (name, target)| flags.with("upstream", format!("{name}={target}")));
    let flags = flags
        .maybe("health", part.health.as_ref())
        .maybe("health-path", part.health_path.as_ref())
        .maybe("panic-threshold", part.panic_threshold)
        .maybe("health-interval", part.health_interval)
        .maybe("health-timeout", part.health_timeout)
        .maybe("fall", part.fall)
        .maybe("rise", part.rise)
        .maybe("policy", part.policy.as_ref())
        .maybe("passive-fall", part.passive_fall)
        .maybe("retries", part.retries)
        .maybe("try-timeout", part.try_timeout)
        .maybe("request-timeout", part.request_timeout)
        .maybe("max-connections", part.max_connections)
        // Two threads are enough for the load of a lab on a laptop.
        .with("threads", 2);
    let flags = match partner {
        None => flags,
        Some(Partner { name, listen, peer, priority, takeover, secret }) => flags
            .with("pair-id", name)
            .with("pair-listen", listen)
            .with("pair-peer", peer)
            .with("pair-priority", priority)
            .with("takeover", takeover)
            .maybe("pair-secret-file", secret.as_ref().map(|path| path.display()))
            .maybe("pair-advert", part.pair_advert),
    };
    let played_by = part.program.clone();
    ProgramPlan { health: admin, played_by, ..ProgramPlan::new(Program::Lb, address, flags) }
}

/// Plans a web server that uses these nodes of a database, and this Redis.
pub(super) fn webserver(
    part: &WebserverPart,
    name: &str,
    address: SocketAddr,
    database: &[SocketAddr],
    redis: WhereRedisIs,
) -> ProgramPlan {
    let database = database.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(",");
    let flags = Flags::new()
        .with("listen", address)
        .with("name", name)
        .with("db", database)
        .maybe("db-timeout", part.db_timeout)
        .maybe("cache", part.cache.as_ref())
        .maybe("cache-ttl", part.cache_ttl)
        .maybe("sessions", part.sessions.as_ref())
        .maybe("redis", redis.url.as_ref())
        .maybe("redis-sentinel", redis.sentinels.as_ref())
        .maybe("max-bypass-reads", part.max_bypass_reads)
        .maybe("stale-after", part.stale_after)
        .maybe("stale-for", part.stale_for)
        .maybe("page-cost", part.page_cost)
        .maybe("hit-cost", part.hit_cost)
        .maybe("render-cost", part.render_cost)
        .maybe("max-in-flight", part.max_in_flight)
        .maybe("drain-delay", part.drain_delay)
        .maybe("request-memory", part.request_memory.map(|memory| format!("{}B", memory.as_u64())))
        .maybe("resident-memory", part.resident_memory.map(|memory| format!("{}B", memory.as_u64())));
    ProgramPlan { shared_redis: redis.shared, ..ProgramPlan::new(Program::Webserver, address, flags) }
}

/// The ways in which a web server finds Redis.
#[derive(Debug, Default)]
pub(super) struct WhereRedisIs {
    /// The URL of the lab's own Redis.
    pub(super) url: Option<String>,
    /// A Redis that is shared with others.
    pub(super) shared: Option<SharedRedis>,
    /// The Sentinels to ask, as `HOST:PORT,…`.
    pub(super) sentinels: Option<String>,
}

/// A node's membership in a database with several nodes.
#[derive(Debug)]
pub(super) struct Membership {
    /// The address on which it listens to its peers.
    pub(super) listen: SocketAddr,
    /// Its peers, each with the address at which it reaches them.
    pub(super) peers: Vec<(String, SocketAddr)>,
    /// The file with the secret that all of them share.
    pub(super) secret: PathBuf,
}

/// Plans a database node that keeps its data in this directory.
pub(super) fn dbnode(
    part: &DbnodePart,
    name: &str,
    address: SocketAddr,
    membership: Option<&Membership>,
    patience: Option<Span>,
    data: PathBuf,
) -> ProgramPlan {
    let mut flags = Flags::new()
        .with("id", name)
        .with("listen", address)
        .with("data", data.display())
        .maybe("query-cost", part.query_cost);
    if let Some(Membership { listen, peers, secret }) = membership {
        flags = flags
            .with("peer-listen", listen)
            .with("secret-file", secret.display())
            .maybe("replication", part.replication.as_ref())
            .maybe("election-timeout", patience);
        let each =
            |flags: Flags, (name, at): &(String, SocketAddr)| flags.with("peer", format!("{name}={at}"));
        flags = peers.iter().fold(flags, each);
    }
    if part.page_reads {
        flags = flags.switch("page-reads");
    }
    if part.products > 0 {
        flags = flags.with("import", products_file(&data).display());
    }
    let (products, data, played_by) = (part.products, Some(data), part.program.clone());
    ProgramPlan { data, products, played_by, ..ProgramPlan::new(Program::Dbnode, address, flags) }
}

/// The name under which Sentinels and web servers know the Redis primary.
const PRIMARY: &str = "mymaster";

/// What happens to the data of a Redis server when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Persistence {
    /// It is lost.
    None,
    /// It is kept: if a primary restarts empty before its Sentinels notice, its replicas copy the empty
    /// state.
    AppendOnly,
}

/// Plans a Redis server, a replica of `primary` if there is one.
pub(super) fn redis(
    part: &RedisPart,
    address: SocketAddr,
    primary: Option<SocketAddr>,
    data: PathBuf,
    persistence: Persistence,
) -> ProgramPlan {
    let mut flags = Flags::new()
        .with("bind", address.ip())
        .with("port", address.port())
        .with("dir", data.display())
        // No snapshots: nothing else is kept on disk, and a killed Redis comes back empty.
        .with("save", "");
    flags = match persistence {
        Persistence::None => flags.with("appendonly", "no"),
        // Writes reach the page cache, which survives the process. Only processes die here, so no fsync is
        // needed.
        Persistence::AppendOnly => flags.with("appendonly", "yes").with("appendfsync", "no"),
    };
    flags = flags
        // On loopback every connection comes from 127.0.0.1, which is no machine of the lab.
        .with("replica-announce-ip", address.ip())
        // By default a new replica waits five seconds for others that could share its copy.
        .with("repl-diskless-sync-delay", 0)
        .maybe("maxmemory", part.maxmemory.map(|memory| memory.as_u64()));
    let says = match primary {
        None => "role:master",
        Some(primary) => {
            flags = flags.with("replicaof", format!("{} {}", primary.ip(), primary.port()));
            "master_link_status:up"
        }
    };
    let readiness = Readiness::Redis { ask: "INFO replication", says: vec![says.into()] };
    ProgramPlan { data: Some(data), readiness, ..ProgramPlan::new(Program::Redis, address, flags) }
}

/// The failover timeout. Sentinels whose votes were split, or that could not finish, wait twice as long
/// before the next attempt. With Redis' default of three minutes, or even with ten seconds, one unlucky vote
/// would be an outage.
const FAILOVER_TIMEOUT_MS: u32 = 3_000;

/// Plans a Sentinel that watches `primary`. It is ready when it knows the primary's `replicas` and enough
/// other Sentinels.
pub(super) fn sentinel(
    part: &SentinelPart,
    address: SocketAddr,
    primary: SocketAddr,
    replicas: usize,
    data: PathBuf,
) -> ProgramPlan {
    let SentinelPart { quorum, down_after, .. } = part;
    let (ip, port) = (address.ip(), address.port());
    let text = format!(
        "bind {ip}\nport {port}\ndir {dir}\n\
         sentinel announce-ip {ip}\n\
         sentinel monitor {PRIMARY} {primary_ip} {primary_port} {quorum}\n\
         sentinel down-after-milliseconds {PRIMARY} {down_after}\n\
         sentinel failover-timeout {PRIMARY} {FAILOVER_TIMEOUT_MS}\n",
        dir = quoted(&data.display().to_string()),
        primary_ip = primary.ip(),
        primary_port = primary.port(),
        down_after = down_after.0.as_millis(),
    );
    let path = data.join("sentinel.conf");
    let flags = Flags(vec![path.display().to_string(), "--sentinel".into()]);
    let readiness = Readiness::Redis {
        ask: "SENTINEL CKQUORUM mymaster\r\nSENTINEL MASTER mymaster",
        says: vec!["+OK".into(), format!("num-slaves\r\n${}\r\n{replicas}\r\n", replicas.to_string().len())],
    };
    ProgramPlan {
        data: Some(data),
        readiness,
        configuration: Some((path, text)),
        ..ProgramPlan::new(Program::Sentinel, address, flags)
    }
}

/// Quotes a word for Redis' configuration: double quotes, with a backslash before special characters
/// (`sdssplitargs`).
fn quoted(word: &str) -> String {
    let mut quoted = String::from('"');
    for character in word.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_ascii_control() => quoted += &format!("\\x{:02x}", u32::from(control)),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// The file with the secret shared by the members of every cluster in a lab, beside their data.
pub fn secret_file(data: &Path) -> PathBuf {
    data.join("cluster.secret")
}

/// The file with the products that a database imports at its start.
pub fn products_file(data: &Path) -> PathBuf {
    data.with_extension("products.jsonl")
}

struct Flags(Vec<String>);

impl Flags {
    fn new() -> Self {
        Self(vec![])
    }

    fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.0.push(format!("--{name}"));
        self.0.push(value.to_string());
        self
    }

    fn maybe(self, name: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    fn switch(mut self, name: &str) -> Self {
        self.0.push(format!("--{name}"));
        self
    }
}
