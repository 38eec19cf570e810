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

/// How a program shows that it is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// `GET /healthz` answers 200.
    Healthz,
    /// Asked this in Redis' protocol, its answer has all of these in it.
    Redis {
        /// A line: commands can be typed.
        ask: &'static str,
        /// What must be in the answer.
        says: Vec<String>,
    },
}

/// A Redis that was there before the lab, and which others use too.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedRedis {
    /// Where it is, and how it is entered.
    pub url: String,
    /// What the keys begin with, after what all keys of the lab do.
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
    /// The program that stands in for it, as the chapter names it: `haproxy`, `./my-lb`.
    pub played_by: Option<String>,
    /// Where it answers.
    pub address: SocketAddr,
    /// Where its health is asked for.
    pub health: SocketAddr,
    /// Its flags.
    pub flags: Vec<String>,
    /// The Redis that it shares with others, told by its environment: everybody can read flags, and there may
    /// be a password in it.
    pub shared_redis: Option<SharedRedis>,
    /// A directory it keeps data in.
    pub data: Option<PathBuf>,
    /// How many products its database begins with.
    pub products: u32,
    /// How it shows that it is ready.
    pub readiness: Readiness,
    /// A file that it needs, unless it is already there: its path and text.
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

    /// Whether it is a Redis server, which the lab finds on this computer rather than brings along.
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

/// The port of a balancer's administration.
pub(super) const LB_ADMIN_PORT: u16 = 8081;
/// The port on which the balancers of a pair hear each other.
pub(super) const LB_PAIR_PORT: u16 = 8082;
/// The port on which the nodes of a database hear each other.
pub(super) const DB_PEER_PORT: u16 = 7101;

/// One balancer of a pair.
#[derive(Debug)]
pub(super) struct Partner<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// Where it listens to the other one.
    pub(super) listen: SocketAddr,
    /// Where the other one does.
    pub(super) peer: SocketAddr,
    /// The higher one is active when both start.
    pub(super) priority: u8,
    /// How the shared address is taken: `bind` or `vip`.
    pub(super) takeover: &'static str,
    /// What they sign with, where others could speak to them.
    pub(super) secret: Option<PathBuf>,
}

/// The files with what a balancer has to know and others must not.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// What its administration asks for, where others could speak to it.
    pub(super) admin_token: Option<PathBuf>,
    /// What it signs its cookies with.
    pub(super) sticky: Option<PathBuf>,
}

/// A balancer over these upstreams.
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
        // Two threads serve what a lab on a laptop asks for.
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

/// A web server that asks these nodes of a database, and this Redis.
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

/// Where a web server finds Redis.
#[derive(Debug, Default)]
pub(super) struct WhereRedisIs {
    /// At this URL, where it is the lab's own.
    pub(super) url: Option<String>,
    /// Where it is shared with others.
    pub(super) shared: Option<SharedRedis>,
    /// Where these Sentinels say, as `HOST:PORT,…`.
    pub(super) sentinels: Option<String>,
}

/// A node's place in a database of several.
#[derive(Debug)]
pub(super) struct Membership {
    /// Where it listens for the others.
    pub(super) listen: SocketAddr,
    /// The others, each with where it is reached.
    pub(super) peers: Vec<(String, SocketAddr)>,
    /// The file with what all of them know.
    pub(super) secret: PathBuf,
}

/// A node of a database that keeps its data in this directory.
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

/// The name that Sentinels and web servers know the Redis primary by.
const PRIMARY: &str = "mymaster";

/// What becomes of what a Redis server holds when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Persistence {
    /// It is lost.
    None,
    /// It is found again: a primary that is back before its Sentinels miss it has to know what it knew, or its
    /// copies forget it too.
    AppendOnly,
}

/// A Redis server, a copy of `primary` where there is one.
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
        // Otherwise nothing is kept on a disk: a killed Redis comes back empty.
        .with("save", "");
    flags = match persistence {
        Persistence::None => flags.with("appendonly", "no"),
        // What was written outlives the process, and here nothing else dies: there is nothing to wait for.
        Persistence::AppendOnly => flags.with("appendonly", "yes").with("appendfsync", "no"),
    };
    flags = flags
        // Connections on loopback all come from 127.0.0.1, which is no machine of the lab.
        .with("replica-announce-ip", address.ip())
        // By default a new replica waits five seconds for others to share its copy with.
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

/// How long a failover may take. Sentinels whose votes were split, or who could not finish, wait twice as long before
/// they try again: with Redis' own three minutes, or even ten seconds, one unlucky vote would be an outage.
const FAILOVER_TIMEOUT_MS: u32 = 3_000;

/// A Sentinel that watches `primary`. It is ready when it knows the primary's `replicas` copies and
/// enough other Sentinels.
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

/// A word as Redis reads it in its configuration: between double quotes, where a backslash protects the next
/// character (`sdssplitargs`).
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

/// The file with what the members of every cluster in a lab know, beside their data.
pub fn secret_file(data: &Path) -> PathBuf {
    data.join("cluster.secret")
}

/// Where the products are written that a database begins with.
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
