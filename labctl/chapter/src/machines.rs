//! The machines of a chapter, and the programs placed on them.

use bytesize::ByteSize;
use machine::{MachineSpec, QueueOrder};
use schemars::JsonSchema;
use serde::Deserialize;

use super::map::Place;
use super::{Span, Spanned, closed};

/// The most machines that a lab may have, and the most links: one byte of an address, less the ends.
pub const MACHINES_MAX: usize = 250;

/// One machine, or `count` of the same kind.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct MachineEntry {
    /// The number of machines at the start; they are called `web-1`, `web-2`, …, and more can be added.
    pub count: Option<u32>,
    /// Cores.
    #[serde(deserialize_with = "closed::cores")]
    pub cores: u32,
    /// Memory.
    #[serde(deserialize_with = "closed::memory")]
    #[schemars(with = "String")]
    pub memory: ByteSize,
    /// Disk operations per second.
    #[serde(deserialize_with = "closed::disk_iops")]
    pub disk_iops: u32,
    /// Share of CPU work that stops everything else on the machine.
    #[serde(deserialize_with = "closed::exclusive")]
    pub exclusive: f64,
    /// Order of the jobs that wait for a core: `oldest-first` or `newest-first`.
    #[schemars(with = "String", extend("enum" = [QueueOrder::OldestFirst.name(), QueueOrder::NewestFirst.name()]))]
    pub queue: QueueOrder,
    /// Its place on the chapter's map.
    pub place: Option<Spanned<Place>>,
    /// Its price per month, in dollars.
    pub price: f64,
    /// A load balancer on it.
    pub lb: Option<LbPart>,
    /// A web server on it.
    pub webserver: Option<WebserverPart>,
    /// A database node on it.
    pub dbnode: Option<DbnodePart>,
    /// A Redis server on it.
    pub redis: Option<RedisPart>,
    /// A Redis Sentinel on it.
    pub sentinel: Option<SentinelPart>,
}

impl Default for MachineEntry {
    fn default() -> Self {
        let spec = MachineSpec::default();
        Self {
            count: None,
            cores: spec.cores,
            memory: spec.memory,
            disk_iops: spec.disk_iops,
            exclusive: spec.exclusive,
            queue: spec.queue,
            place: None,
            price: 200.0,
            lb: None,
            webserver: None,
            dbnode: None,
            redis: None,
            sentinel: None,
        }
    }
}

impl MachineEntry {
    /// The size with which `machine` is started.
    pub fn spec(&self) -> MachineSpec {
        MachineSpec {
            cores: self.cores,
            memory: self.memory,
            disk_iops: self.disk_iops,
            exclusive: self.exclusive,
            queue: self.queue,
            ..MachineSpec::default()
        }
    }
}

/// Flags of `lb`. Keys are the flags' names; a missing key means the program's default.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LbPart {
    /// The machine, or the kind of machine, whose web servers it balances over.
    pub upstreams: Spanned<String>,
    /// An external program instead of `lb`: a part that the lab knows (`haproxy`), or the path of one that
    /// keeps the contract (`./my-lb`).
    pub program: Option<String>,
    /// Time between two health checks of one upstream.
    pub health_interval: Option<Span>,
    /// How long a health check may take.
    pub health_timeout: Option<Span>,
    /// Failed checks in a row until an upstream is taken out.
    pub fall: Option<u32>,
    /// Passed checks in a row until it is taken back.
    pub rise: Option<u32>,
    /// Health checks: `on`, `connect` for checks that only open a connection, or `off`.
    #[serde(default, deserialize_with = "closed::health")]
    #[schemars(extend("enum" = closed::HEALTH))]
    pub health: Option<String>,
    /// The path that a health check requests; any 2xx passes. By default `/healthz`, which depends on no
    /// other program.
    #[serde(default, deserialize_with = "closed::health_path")]
    pub health_path: Option<String>,
    /// Panic threshold: below this percentage of healthy upstreams, health checks are ignored; 0 is never.
    #[serde(default, deserialize_with = "closed::panic_threshold")]
    pub panic_threshold: Option<u32>,
    /// Load-balancing policy: `round-robin`, `least-busy`, `two-choices` or `sticky`.
    #[serde(default, deserialize_with = "closed::policy")]
    #[schemars(extend("enum" = closed::POLICIES))]
    pub policy: Option<String>,
    /// The secret that signs the cookies of `policy = "sticky"`: `shared`, which all balancers of the lab
    /// know, even after a restart (the default), or `own`, which ends with the process.
    #[serde(default, deserialize_with = "closed::sticky_secret")]
    #[schemars(extend("enum" = closed::STICKY_SECRETS))]
    pub sticky_secret: Option<String>,
    /// Consecutive failed requests until an upstream is taken out; 0 turns this off.
    pub passive_fall: Option<u32>,
    /// The most retries on other upstreams, for a request that can be repeated.
    pub retries: Option<u32>,
    /// How long one try may take.
    pub try_timeout: Option<Span>,
    /// How long a request may take, all tries together.
    pub request_timeout: Option<Span>,
    /// The most connections at a time; further ones are told to come back later.
    pub max_connections: Option<u32>,
    /// Two balancers of this kind share one address: one is active, the other takes over.
    #[serde(default)]
    pub pair: bool,
    /// Fencing: a balancer that holds the pair's address without answering is switched off by labctl when the
    /// other one cannot take the address.
    #[serde(default)]
    pub fence: bool,
    /// Interval at which the active balancer of a pair announces itself.
    pub pair_advert: Option<Span>,
}

/// Flags of `webserver`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WebserverPart {
    /// The machine whose database it uses.
    pub db: Spanned<String>,
    /// How long one call to the database may take.
    pub db_timeout: Option<Span>,
    /// `none`, `local` or `redis`.
    #[serde(default, deserialize_with = "closed::cache")]
    #[schemars(extend("enum" = closed::CACHES))]
    pub cache: Option<String>,
    /// How long a cached product is fresh.
    pub cache_ttl: Option<Span>,
    /// Where sessions are kept: `memory` or `redis`.
    #[serde(default, deserialize_with = "closed::sessions")]
    #[schemars(extend("enum" = closed::SESSIONS))]
    pub sessions: Option<String>,
    /// The machine whose Redis it uses.
    pub redis: Option<Spanned<String>>,
    /// The number of the Redis database; databases do not see each other's keys.
    pub redis_database: Option<u32>,
    /// The machine, or the kind of machine, whose Sentinels tell it where Redis is.
    pub sentinels: Option<Spanned<String>>,
    /// The most concurrent reads that go to the database while the cache is gone.
    pub max_bypass_reads: Option<u32>,
    /// How long a refill may take before a stale copy is served.
    pub stale_after: Option<Span>,
    /// How long a copy is kept, and may be served as stale, after it was last fresh.
    pub stale_for: Option<Span>,
    /// CPU time of one product page.
    pub page_cost: Option<Span>,
    /// CPU time of one product page whose product came from the cache.
    pub hit_cost: Option<Span>,
    /// CPU time of one `/render`.
    pub render_cost: Option<Span>,
    /// Memory that each request in flight holds.
    #[serde(default, deserialize_with = "closed::some_memory")]
    #[schemars(with = "Option<String>")]
    pub request_memory: Option<ByteSize>,
    /// Memory that it uses when idle.
    #[serde(default, deserialize_with = "closed::some_memory")]
    #[schemars(with = "Option<String>")]
    pub resident_memory: Option<ByteSize>,
    /// The most requests in flight; further ones are refused at once, with 503. 0 is no limit.
    pub max_in_flight: Option<u32>,
    /// Drain delay: how long it goes on serving after it was asked to stop, while its health check already
    /// fails.
    pub drain_delay: Option<Span>,
}

/// Flags of `dbnode`. The machines of a kind with a count form one cluster.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DbnodePart {
    /// An external program instead of `dbnode`: a part that the lab knows (`postgres`), or the path of one
    /// that keeps the contract (`./my-db`).
    pub program: Option<String>,
    /// CPU time of one operation on one key.
    pub query_cost: Option<Span>,
    /// True when each read goes through the machine's page cache.
    pub page_reads: bool,
    /// The number of products at the start, numbered from 1.
    pub products: u32,
    /// When a write is acknowledged: `async`, `sync` or `quorum`.
    #[serde(deserialize_with = "closed::replication")]
    #[schemars(extend("enum" = closed::REPLICATIONS))]
    pub replication: Option<String>,
    /// Election timeout: the least time without hearing from the primary before a replica asks for an
    /// election.
    pub election_timeout: Option<Span>,
    /// The preferred place of the primary: replicas elsewhere have three times the election timeout, so that
    /// one here is elected as long as there is one.
    pub prefer: Option<Spanned<String>>,
}

/// A Redis server. By default nothing is written to disk.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RedisPart {
    /// The machine whose Redis it copies.
    pub replica_of: Option<Spanned<String>>,
    /// The most memory that it may use. Writes beyond that are refused.
    #[serde(default, deserialize_with = "closed::some_memory")]
    #[schemars(with = "Option<String>")]
    pub maxmemory: Option<ByteSize>,
    /// Whether each write also goes to a file, which is read at the next start. By default only if Sentinels
    /// watch it.
    pub append_only: Option<bool>,
}

/// A Redis Sentinel.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SentinelPart {
    /// The machine with the Redis primary that it watches.
    pub watches: Spanned<String>,
    /// The number of Sentinels that have to agree that it is down.
    pub quorum: u32,
    /// How long it must be silent to count as down.
    pub down_after: Span,
}
