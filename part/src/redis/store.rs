//! Records in Redis: a hash each, an index of their keys, and a script for all writes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError, Script, ServerErrorKind, cmd};
use anyhow::Context;
use dbclient::{Condition, Read, Version};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use super::sentinels::lead::{Lead, Role};
use super::settings::Waits;
use crate::database::{Action, List, Node, Record, Refusal, Status, Store, Write, Written, about};

/// Concurrent requests: each has its own connection, because `WAIT` blocks it.
const CONNECTIONS_MAX: usize = 64;
/// How long a request waits for a connection.
const TURN_MAX: Duration = Duration::from_secs(2);
/// How long to wait for replicas.
const PATIENCE: Duration = Duration::from_secs(5);
/// Timeout of any other request to Redis.
const ANSWER_MAX: Duration = Duration::from_secs(8);
/// How long Redis may take to start: it loads its data, and a replica copies its primary.
const START_MAX: Duration = Duration::from_secs(60);
/// The pause between attempts.
const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// The term in all versions: Redis itself has no terms.
const TERM: u64 = 1;

/// Advances the version counter past every version that an earlier primary may have assigned and lost.
const COUNT_ON: &str = "
local least = tonumber(ARGV[1])
if tonumber(redis.call('GET', KEYS[1]) or '0') < least then
  redis.call('SET', KEYS[1], string.format('%.0f', least))
end
return 1";
/// The number of versions set aside for each term: the counter of term *n* starts at (*n* − 1) times this, or later.
const VERSIONS: u64 = 1 << 32;

/// How a node knows which node is the primary.
pub(super) enum Primary {
    /// The first member, permanently. `None`: this node.
    First(Option<String>),
    /// The node that the Sentinels name.
    Named(Arc<Mutex<Lead>>),
}

/// The store of a node: its connections to its own Redis.
pub(super) struct Redis {
    client: Client,
    idle: Mutex<Vec<MultiplexedConnection>>,
    turns: Semaphore,
    write: Script,
    waits: Waits,
    window: Duration,
    primary: Primary,
    /// True if this node has the initial records; the others wait until they have copied them.
    founds: bool,
    own: String,
}

impl Redis {
    /// Connects to this node's Redis, once it answers and has loaded its data.
    pub(super) async fn connect(
        node: &Node,
        listen: SocketAddr,
        password: &str,
        waits: Waits,
        primary: Primary,
        founds: bool,
    ) -> anyhow::Result<Self> {
        let client =
            Client::open(format!("redis://:{password}@{listen}/")).context("the address of Redis")?;
        let store = Self {
            client,
            idle: Mutex::default(),
            turns: Semaphore::new(CONNECTIONS_MAX),
            write: Script::new(include_str!("write.lua")),
            waits,
            window: node.config.idempotency_window,
            primary,
            founds,
            own: node.config.id.clone(),
        };
        let deadline = Instant::now() + START_MAX;
        while !store.is_ready().await {
            anyhow::ensure!(Instant::now() < deadline, "Redis was not ready within {START_MAX:?}");
            sleep(AGAIN_AFTER).await;
        }
        Ok(store)
    }

    /// Returns whether Redis answers and has the initial records. It does not answer while it loads its file.
    async fn is_ready(&self) -> bool {
        self.has_begun().await.is_ok_and(|has_begun| has_begun || self.founds)
    }

    async fn has_begun(&self) -> Result<bool, RedisError> {
        let mut connection = self.connection().await?;
        let has_begun = cmd("EXISTS").arg("imported").query_async(&mut connection).await?;
        self.idle.lock().push(connection);
        Ok(has_begun)
    }

    /// Imports the initial records, and publishes the primary's address.
    pub(super) async fn prepare(&self, node: &Node) -> anyhow::Result<()> {
        let mut connection = self.open().await?;
        let imported: bool = cmd("EXISTS").arg("imported").query_async(&mut connection).await?;
        // No replica is connected yet.
        need(&mut connection, 0).await?;
        if !imported {
            for record in node.imported()? {
                let write = Write {
                    key: record.key,
                    action: Action::Put(record.value.into()),
                    condition: Condition::Always,
                    request: None,
                };
                self.ask(&mut connection, &write)
                    .await
                    .map_err(|refusal| anyhow::anyhow!("import the records of --import: {refusal}"))?;
            }
        }
        let mut said = cmd("MSET");
        said.arg("imported").arg("yes").arg("primary").arg(node.advertised());
        said.query_async::<()>(&mut connection).await?;
        Ok(need(&mut connection, self.waits.needed).await?)
    }

    /// Returns the replication role of its Redis. `None`: Redis does not answer.
    pub(super) async fn role(&self) -> Option<Role> {
        Some(Role::of(&self.information().await?))
    }

    /// Makes Redis a replica of the primary at this address.
    pub(super) async fn replicate(&self, primary: SocketAddr) -> Result<(), RedisError> {
        let mut connection = self.open().await?;
        let mut asked = cmd("REPLICAOF");
        asked.arg(primary.ip().to_string()).arg(primary.port());
        asked.query_async::<()>(&mut connection).await
    }

    /// Begins as the primary of this term.
    pub(super) async fn begin_term(&self, term: u64) -> Result<(), RedisError> {
        // Redis closed the open connections when it was promoted.
        self.idle.lock().clear();
        let mut connection = self.open().await?;
        need(&mut connection, 0).await?;
        let mut asked = cmd("EVAL");
        asked.arg(COUNT_ON).arg(1).arg("versions").arg((term - 1) * VERSIONS);
        let counted = asked.query_async::<()>(&mut connection).await;
        need(&mut connection, self.waits.needed).await.and(counted)
    }

    async fn information(&self) -> Option<String> {
        let mut connection = self.connection().await.ok()?;
        let said = cmd("INFO").arg("replication").query_async(&mut connection).await.ok()?;
        self.idle.lock().push(connection);
        Some(said)
    }

    async fn open(&self) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(TURN_MAX))
            .set_response_timeout(Some(ANSWER_MAX));
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }

    async fn connection(&self) -> Result<MultiplexedConnection, RedisError> {
        let idle = self.idle.lock().pop();
        match idle {
            Some(connection) => Ok(connection),
            None => self.open().await,
        }
    }

    async fn primary_at(&self) -> Result<String, RedisError> {
        let mut connection = self.connection().await?;
        let at = cmd("GET").arg("primary").query_async(&mut connection).await?;
        self.idle.lock().push(connection);
        Ok(at)
    }

    async fn check_primary(&self) -> Result<(), Refusal> {
        let name = match &self.primary {
            Primary::First(None) => return Ok(()),
            Primary::First(Some(name)) => name,
            Primary::Named(lead) => return lead.lock().check(Instant::now()),
        };
        let at = self.primary_at().await.map_err(|error| Refusal::NoPrimary(error.to_string()))?;
        Err(Refusal::NotPrimary { name: name.clone(), at })
    }

    /// Runs the script.
    async fn ask(&self, connection: &mut MultiplexedConnection, write: &Write) -> Result<Written, Refusal> {
        let (action, value) = match &write.action {
            Action::Put(value) => ("put", value.to_vec()),
            Action::Delete => ("delete", vec![]),
            Action::Add(by) => ("add", by.to_string().into_bytes()),
        };
        let (condition, version) = match write.condition {
            Condition::Always => ("always", String::new()),
            Condition::IfAbsent => ("absent", String::new()),
            Condition::IfVersion(version) if version.term() != TERM => ("version", "another".into()),
            Condition::IfVersion(version) => ("version", version.index().to_string()),
        };
        let name = write.request.as_deref();
        let mut asked = self.write.key(record(&write.key));
        asked.key(format!("request:{}", name.unwrap_or_default())).key("versions").key("keys");
        asked.arg(&write.key).arg(action).arg(value).arg(condition).arg(version);
        asked.arg(name.map(|_| about(write)).unwrap_or_default());
        asked.arg(u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX));
        let answer: Vec<Option<String>> = asked.invoke_async(connection).await.map_err(unwritten)?;
        let mut words = answer.into_iter().map(Option::unwrap_or_default);
        match words.next().as_deref() {
            Some("done") => {}
            Some("conflict") => return Err(Refusal::Conflict),
            Some("overflow") => return Err(Refusal::Overflow),
            Some("not a number") => return Err(Refusal::NotANumber),
            Some("reused") => return Err(Refusal::RequestReused),
            other => return Err(Refusal::OutcomeUnknown(format!("the script answered {other:?}"))),
        }
        let (sum, version) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        Ok(Written { sum: sum.parse().ok(), version: numbered(&version) })
    }

    /// Waits until as many replicas have the write as the mode requires.
    async fn wait(&self, connection: &mut MultiplexedConnection) -> Result<(), Refusal> {
        let wanted = self.waits.replicas;
        if wanted == 0 {
            return Ok(());
        }
        let mut asked = cmd("WAIT");
        asked.arg(wanted).arg(u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX));
        match asked.query_async::<usize>(connection).await {
            Ok(have) if have >= wanted => Ok(()),
            Ok(have) => Err(Refusal::OutcomeUnknown(format!(
                "Redis has it, and {have} of the {wanted} replicas that have to, after {PATIENCE:?}"
            ))),
            Err(error) => Err(Refusal::OutcomeUnknown(format!("Redis did not answer: {error}"))),
        }
    }
}

impl Store for Redis {
    async fn get(&self, key: &str, read: Read) -> Result<Option<Record>, Refusal> {
        if read == Read::Latest {
            self.check_primary().await?;
        }
        let mut connection = self.connection().await.map_err(unread)?;
        let mut asked = cmd("HMGET");
        asked.arg(record(key)).arg("value").arg("version");
        let found: (Option<Vec<u8>>, Option<String>) =
            asked.query_async(&mut connection).await.map_err(unread)?;
        self.idle.lock().push(connection);
        let (Some(value), Some(version)) = found else { return Ok(None) };
        Ok(Some(Record { value: value.into(), version: numbered(&version) }))
    }

    async fn write(&self, write: Write) -> Result<Written, Refusal> {
        self.check_primary().await?;
        let busy = || Refusal::NotWritten("every connection to Redis waits for replicas".into());
        let _turn = timeout(TURN_MAX, self.turns.acquire()).await.map_err(|_| busy())?.map_err(|_| busy())?;
        let mut connection = self.connection().await.map_err(|error| {
            Refusal::NotWritten(format!("there is no connection to Redis for it: {error}"))
        })?;
        let written = self.ask(&mut connection, &write).await?;
        self.wait(&mut connection).await?;
        // Another node may have become the primary meanwhile.
        self.check_primary().await.map_err(|refusal| Refusal::OutcomeUnknown(refusal.to_string()))?;
        self.idle.lock().push(connection);
        Ok(written)
    }

    async fn list(&self, list: List) -> Result<Vec<(String, Record)>, Refusal> {
        if list.read == Read::Latest {
            self.check_primary().await?;
        }
        let mut connection = self.connection().await.map_err(unread)?;
        let from = match list.after.as_str() {
            after if after >= list.prefix.as_str() && !after.is_empty() => format!("({after}"),
            _ => format!("[{}", list.prefix),
        };
        let mut asked = cmd("ZRANGEBYLEX");
        asked.arg("keys").arg(from).arg("+").arg("LIMIT").arg(0).arg(list.limit + 1);
        let keys: Vec<String> = asked.query_async(&mut connection).await.map_err(unread)?;
        let keys: Vec<_> = keys.into_iter().take_while(|key| key.starts_with(&list.prefix)).collect();
        let mut all = ::redis::pipe();
        keys.iter().for_each(|key| {
            all.cmd("HMGET").arg(record(key)).arg("value").arg("version");
        });
        let found: Vec<(Option<Vec<u8>>, Option<String>)> = match keys.is_empty() {
            true => vec![],
            false => all.query_async(&mut connection).await.map_err(unread)?,
        };
        self.idle.lock().push(connection);
        let records = keys.into_iter().zip(found).filter_map(|(key, (value, version))| {
            Some((key, Record { value: value?.into(), version: numbered(&version?) }))
        });
        Ok(records.collect())
    }

    async fn status(&self) -> Option<Status> {
        let said = self.information().await?;
        let is_replica = Role::of(&said) != Role::Primary;
        let offset = if is_replica { "slave_repl_offset:" } else { "master_repl_offset:" };
        let at = said.lines().find_map(|line| line.strip_prefix(offset)?.trim().parse().ok());
        let at = at.unwrap_or_default();
        let (term, primary, is_primary) = match &self.primary {
            Primary::First(other) => {
                (TERM, Some(other.clone().unwrap_or_else(|| self.own.clone())), !is_replica)
            }
            Primary::Named(lead) => {
                let lead = lead.lock();
                (lead.term(), lead.primary(), !is_replica && lead.is_own())
            }
        };
        let role = if is_primary { "primary" } else { "replica" };
        Some(Status { role, term, primary, last_index: at, applied_index: at })
    }
}

/// Sets the number of connected replicas without which Redis rejects writes (`min-replicas-to-write`).
async fn need(connection: &mut MultiplexedConnection, replicas: usize) -> Result<(), RedisError> {
    let mut asked = cmd("CONFIG");
    asked.arg("SET").arg("min-replicas-to-write").arg(replicas);
    asked.query_async(connection).await
}

fn record(key: &str) -> String {
    format!("record:{key}")
}

fn numbered(version: &str) -> Version {
    Version::of(TERM, version.parse().unwrap_or_default())
}

fn unread(error: RedisError) -> Refusal {
    Refusal::NotConfirmed(format!("Redis did not answer: {error}"))
}

/// Translates the error of a write. What Redis refuses was not done; a lost connection leaves the outcome unknown.
fn unwritten(error: RedisError) -> Refusal {
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::ExecAbort) => Refusal::OutcomeUnknown(error.to_string()),
        ErrorKind::Server(_) | ErrorKind::Extension => Refusal::NotWritten(error.to_string()),
        _ => Refusal::OutcomeUnknown(format!("Redis did not answer: {error}")),
    }
}
