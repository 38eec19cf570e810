//! The machines of a chapter, and the programs placed on them.

use bytesize::ByteSize;
use machine::{MachineSpec, QueueOrder};
use schemars::JsonSchema;
use serde::Deserialize;

use super::map::Place;
use super::{Span, Spanned, closed};

/// One machine, or `count` of the same kind.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct MachineEntry {
    /// How many to start with; they are then called `web-1`, `web-2`, …, and more can be added.
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
    /// Share of CPU work that stops everybody else on the machine.
    #[serde(deserialize_with = "closed::exclusive")]
    pub exclusive: f64,
    /// Which of the jobs that wait for a core is next: `oldest-first` or `newest-first`.
    #[schemars(with = "String", extend("enum" = [QueueOrder::OldestFirst.name(), QueueOrder::NewestFirst.name()]))]
    pub queue: QueueOrder,
    /// Where it stands on the chapter's map.
    pub place: Option<Spanned<Place>>,
    /// What it costs, per month, in dollars.
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

/// Flags of `lb`. Keys are the flags' names; what is left out is the program's default.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LbPart {
    /// The machine, or the kind of machine, whose web servers it balances over.
    pub upstreams: Spanned<String>,
    /// Another program in the place of `lb`: a part that the lab knows (`haproxy`), or the path of one that keeps
    /// the contract (`./my-lb`).
    pub program: Option<String>,
    /// Time between two health checks of one upstream.
    pub health_interval: Option<Span>,
    /// How long a health check may take.
    pub health_timeout: Option<Span>,
    /// Failed checks in a row until an upstream is taken out.
    pub fall: Option<u32>,
    /// Passed checks in a row until it is taken back.
    pub rise: Option<u32>,
    /// `off` for no health checks at all, `connect` for those that only open a connection, or `on`.
    #[serde(default, deserialize_with = "closed::health")]
    #[schemars(extend("enum" = closed::HEALTH))]
    pub health: Option<String>,
    /// What a check asks for; any 2xx passes. `/healthz`, which asks nobody else, unless said otherwise.
    #[serde(default, deserialize_with = "closed::health_path")]
    pub health_path: Option<String>,
    /// Fewer well upstreams than this percentage, and checks are not believed any more; 0: never.
    #[serde(default, deserialize_with = "closed::panic_threshold")]
    pub panic_threshold: Option<u32>,
    /// How an upstream is chosen: `round-robin`, `least-busy`, `two-choices` or `sticky`.
    #[serde(default, deserialize_with = "closed::policy")]
    #[schemars(extend("enum" = closed::POLICIES))]
    pub policy: Option<String>,
    /// Which secret the cookies of `policy = "sticky"` are signed with: `shared`, one that all balancers of
    /// the lab know, also after a restart (that is the default), or `own`, one that ends with the process.
    #[serde(default, deserialize_with = "closed::sticky_secret")]
    #[schemars(extend("enum" = closed::STICKY_SECRETS))]
    pub sticky_secret: Option<String>,
    /// Failed requests in a row until an upstream is taken out; 0 for not looking.
    pub passive_fall: Option<u32>,
    /// How often a request that can be repeated is tried on another upstream.
    pub retries: Option<u32>,
    /// How long one try may take.
    pub try_timeout: Option<Span>,
    /// How long a request may take, all tries together.
    pub request_timeout: Option<Span>,
    /// How many connections it serves at a time; the next one is told to come back later.
    pub max_connections: Option<u32>,
    /// Two balancers of this kind share one address: one is active, the other takes over.
    #[serde(default)]
    pub pair: bool,
    /// Somebody silent who holds the pair's address is switched off when the other one cannot have it.
    /// labctl is the hand on the switch.
    #[serde(default)]
    pub fence: bool,
    /// How often the active one of a pair says that it is there.
    pub pair_advert: Option<Span>,
}

/// Flags of `webserver`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WebserverPart {
    /// The machine whose database it asks.
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
    /// Which of that Redis' numbered databases: they do not see each other's keys.
    pub redis_database: Option<u32>,
    /// The machine, or the kind of machine, whose Sentinels it asks where Redis is.
    pub sentinels: Option<Spanned<String>>,
    /// How many reads go past a cache that is gone, to the database, at a time.
    pub max_bypass_reads: Option<u32>,
    /// How long a refill may take before a stale copy is served.
    pub stale_after: Option<Span>,
    /// How long a copy is kept, and may be served as stale, after it was last fresh.
    pub stale_for: Option<Span>,
    /// CPU time of one product page.
    pub page_cost: Option<Span>,
    /// CPU time of one whose product came from the cache.
    pub hit_cost: Option<Span>,
    /// CPU time of one `/render`.
    pub render_cost: Option<Span>,
    /// Memory that each request in flight holds.
    #[serde(default, deserialize_with = "closed::some_memory")]
    #[schemars(with = "Option<String>")]
    pub request_memory: Option<ByteSize>,
    /// Memory that it takes by being there.
    #[serde(default, deserialize_with = "closed::some_memory")]
    #[schemars(with = "Option<String>")]
    pub resident_memory: Option<ByteSize>,
    /// How many requests may be in flight; the next one is refused at once, with 503. 0 for no limit.
    pub max_in_flight: Option<u32>,
    /// Asked to stop, how long it goes on serving while its health check already fails.
    pub drain_delay: Option<Span>,
}

/// Flags of `dbnode`. Of a kind with a count, all machines are one cluster.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DbnodePart {
    /// Another program in the place of `dbnode`: a part that the lab knows (`postgres`), or the path of one that keeps
    /// the contract (`./my-db`).
    pub program: Option<String>,
    /// CPU time of one operation on one key.
    pub query_cost: Option<Span>,
    /// True when each read goes through the machine's page cache.
    pub page_reads: bool,
    /// How many products it holds at start, numbered from 1.
    pub products: u32,
    /// When a write is acknowledged: `async`, `sync` or `quorum`.
    #[serde(deserialize_with = "closed::replication")]
    #[schemars(extend("enum" = closed::REPLICATIONS))]
    pub replication: Option<String>,
    /// How long a replica waits at least, without a word from the primary, before it asks for an election.
    pub election_timeout: Option<Span>,
    /// Where the primary should be: the replicas elsewhere are three times as patient, so one here is elected
    /// as long as there is one.
    pub prefer: Option<Spanned<String>>,
}

/// A Redis server. Nothing is written to a disk, unless it is told to.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RedisPart {
    /// The machine whose Redis it copies.
    pub replica_of: Option<Spanned<String>>,
    /// How much it may hold. What does not fit is refused.
    #[serde(default, deserialize_with = "closed::some_memory")]
    #[schemars(with = "Option<String>")]
    pub maxmemory: Option<ByteSize>,
    /// Whether each write also goes to a file, which is read at its next start. Without a word it does where
    /// Sentinels watch.
    pub append_only: Option<bool>,
}

/// A Redis Sentinel.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SentinelPart {
    /// The machine with the Redis primary that it watches.
    pub watches: Spanned<String>,
    /// How many Sentinels have to agree that it is gone.
    pub quorum: u32,
    /// How long it must be silent to be gone.
    pub down_after: Span,
}
