//! Records in PostgreSQL, through sqlx.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use dbclient::{Condition, Read, Version};
use parking_lot::Mutex;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection, Executor};
use tokio::time::{Instant, sleep, timeout};

use super::{AGAIN_AFTER, START_MAX, USER};
use crate::database::{Action, List, Node, Record, Refusal, Status, Store, Write, Written, about};

/// Concurrent writes: each holds a connection until PostgreSQL acknowledges it.
const WRITES_MAX: u32 = 64;
/// Concurrent reads.
const READS_MAX: u32 = 16;
/// How long a request waits for a connection.
const TURN_MAX: Duration = Duration::from_secs(2);
/// Timeout of a client's request. PostgreSQL itself waits for a replica indefinitely.
const PATIENCE: Duration = Duration::from_secs(5);
/// The number of records imported in one statement.
const BATCH: usize = 1_000;
/// How often expired idempotency keys are deleted.
const FORGET_EVERY: Duration = Duration::from_secs(10);
/// A constant term: PostgreSQL's timelines count promotions, of which there are none here.
const TERM: u64 = 1;

pub(super) struct Postgres {
    reads: PgPool,
    writes: PgPool,
    options: PgConnectOptions,
    /// The primary's name, if it is another node.
    primary: Option<String>,
    own: String,
    /// The primary's address for clients, once it has been read.
    primary_at: Mutex<Option<String>>,
}

impl Postgres {
    /// Connects to this node's PostgreSQL, once it answers.
    pub(super) async fn connect(node: &Node, listen: SocketAddr, password: &str) -> anyhow::Result<Self> {
        let options = PgConnectOptions::new_without_pgpass()
            .host(&listen.ip().to_string())
            .port(listen.port())
            .username(USER)
            .password(password)
            .database("postgres")
            .application_name("part")
            .ssl_mode(PgSslMode::Disable)
            .disable_statement_logging();
        let deadline = Instant::now() + START_MAX;
        loop {
            match options.connect().await {
                Ok(connection) => break drop(connection.close().await),
                Err(error) if Instant::now() > deadline => {
                    return Err(error).context(format!("PostgreSQL did not answer within {START_MAX:?}"));
                }
                Err(_) => sleep(AGAIN_AFTER).await,
            }
        }
        let pool = |connections| {
            let pool = PgPoolOptions::new().max_connections(connections).acquire_timeout(TURN_MAX);
            pool.test_before_acquire(false).connect_lazy_with(options.clone())
        };
        let first = node.members.first().filter(|_| !node.is_first());
        Ok(Self {
            reads: pool(READS_MAX),
            writes: pool(WRITES_MAX),
            primary: first.cloned(),
            own: node.config.id.clone(),
            primary_at: Mutex::default(),
            options,
        })
    }

    /// Creates the tables, imports the initial records, and publishes the primary's address. It does not wait for
    /// replicas, because they start from a copy of this.
    pub(super) async fn prepare(&self, node: &Node) -> anyhow::Result<()> {
        let local = self.options.clone().options([("synchronous_commit", "local")]);
        let mut connection = local.connect().await.context("connect to PostgreSQL")?;
        connection.execute(include_str!("schema.sql")).await.context("make the tables")?;
        let imported: bool = sqlx::query_scalar("SELECT exists(SELECT FROM about WHERE name = 'imported')")
            .fetch_one(&mut connection)
            .await?;
        if !imported {
            for batch in node.imported()?.chunks(BATCH) {
                let (keys, values): (Vec<_>, Vec<_>) = batch
                    .iter()
                    .map(|record| (record.key.clone(), record.value.clone().into_bytes()))
                    .unzip();
                sqlx::query(
                    "INSERT INTO kv SELECT k, v, nextval('versions') FROM unnest($1::text[], $2::bytea[]) AS n(k, v) \
                     ON CONFLICT DO NOTHING",
                )
                .bind(keys)
                .bind(values)
                .execute(&mut connection)
                .await
                .context("import the records of --import")?;
            }
        }
        for (name, value) in [("primary", node.advertised()), ("imported", "yes".into())] {
            sqlx::query("INSERT INTO about VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2")
                .bind(name)
                .bind(value)
                .execute(&mut connection)
                .await?;
        }
        Ok(connection.close().await?)
    }

    /// Deletes expired idempotency keys until it is dropped.
    pub(super) async fn forget_names(self: Arc<Self>, window: Duration) {
        let local = self.options.clone().options([("synchronous_commit", "local")]);
        loop {
            sleep(FORGET_EVERY).await;
            let Ok(mut connection) = local.connect().await else { continue };
            let forgotten = sqlx::query("DELETE FROM request WHERE at < now() - make_interval(secs => $1)")
                .bind(window.as_secs_f64())
                .execute(&mut connection)
                .await;
            if let Err(error) = forgotten {
                tracing::warn!("names of requests are not forgotten: {error}");
            }
        }
    }

    /// Checks that this node is the primary.
    async fn check_primary(&self) -> Result<(), Refusal> {
        let Some(name) = &self.primary else { return Ok(()) };
        let known = self.primary_at.lock().clone();
        let at = match known {
            Some(at) => at,
            None => {
                let asked = sqlx::query_scalar("SELECT value FROM about WHERE name = 'primary'");
                let found: Result<String, _> = asked.fetch_one(&self.reads).await;
                found.map_err(|error| Refusal::NoPrimary(error.to_string()))?
            }
        };
        *self.primary_at.lock() = Some(at.clone());
        Err(Refusal::NotPrimary { name: name.clone(), at })
    }
}

impl Store for Postgres {
    async fn get(&self, key: &str, read: Read) -> Result<Option<Record>, Refusal> {
        if read == Read::Latest {
            self.check_primary().await?;
        }
        let found = sqlx::query_as("SELECT value, version FROM kv WHERE key = $1").bind(key);
        let found: Option<(Vec<u8>, i64)> = found.fetch_optional(&self.reads).await.map_err(unread)?;
        Ok(found.map(|(value, version)| Record { value: value.into(), version: numbered(version) }))
    }

    async fn write(&self, write: Write) -> Result<Written, Refusal> {
        self.check_primary().await?;
        let pool = self.writes.clone();
        // The write must run to its end even if the client gives up: PostgreSQL does not roll back a write whose wait
        // for a replica is cancelled, but acknowledges it.
        let writing = tokio::spawn(async move { carry_out(&pool, &write).await });
        match timeout(PATIENCE, writing).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Refusal::OutcomeUnknown("the adapter has a bug".into())),
            Err(_) => Err(Refusal::OutcomeUnknown(format!(
                "PostgreSQL has not acknowledged it within {PATIENCE:?}; it may wait for a replica"
            ))),
        }
    }

    async fn list(&self, list: List) -> Result<Vec<(String, Record)>, Refusal> {
        if list.read == Read::Latest {
            self.check_primary().await?;
        }
        let found = sqlx::query_as(
            "SELECT key, value, version FROM kv WHERE key > $1 AND starts_with(key, $2) ORDER BY key LIMIT $3",
        );
        let limit = i64::try_from(list.limit + 1).unwrap_or(i64::MAX);
        let found = found.bind(list.after).bind(list.prefix).bind(limit).fetch_all(&self.reads).await;
        let records = found.map_err(unread)?.into_iter();
        Ok(records
            .map(|(key, value, version): (String, Vec<u8>, i64)| {
                (key, Record { value: value.into(), version: numbered(version) })
            })
            .collect())
    }

    async fn status(&self) -> Option<Status> {
        let asked = sqlx::query_as(
            "SELECT r, pg_wal_lsn_diff(CASE WHEN r THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) \
             ELSE pg_current_wal_lsn() END, '0/0')::bigint, pg_wal_lsn_diff(CASE WHEN r THEN pg_last_wal_replay_lsn() \
             ELSE pg_current_wal_lsn() END, '0/0')::bigint FROM pg_is_in_recovery() AS r",
        );
        let (is_replica, last, applied): (bool, Option<i64>, Option<i64>) =
            asked.fetch_one(&self.reads).await.ok()?;
        let index = |lsn: Option<i64>| lsn.and_then(|lsn| u64::try_from(lsn).ok()).unwrap_or_default();
        Some(Status {
            role: if is_replica { "replica" } else { "primary" },
            term: TERM,
            primary: Some(self.primary.clone().unwrap_or_else(|| self.own.clone())),
            last_index: index(last),
            applied_index: index(applied),
        })
    }
}

async fn carry_out(pool: &PgPool, write: &Write) -> Result<Written, Refusal> {
    let connection = pool.acquire().await;
    let mut connection = connection.map_err(|error| {
        Refusal::NotWritten(format!("there is no connection to PostgreSQL for it: {error}"))
    })?;
    let (action, value, by) = match &write.action {
        Action::Put(value) => ("put", Some(value.to_vec()), None),
        Action::Delete => ("delete", None, None),
        Action::Add(by) => ("add", None, Some(*by)),
    };
    let (condition, version) = match write.condition {
        Condition::Always => ("always", None),
        Condition::IfAbsent => ("absent", None),
        // This database never handed out a version of another term.
        Condition::IfVersion(version) if version.term() != TERM => ("version", Some(-1)),
        Condition::IfVersion(version) => ("version", i64::try_from(version.index()).ok()),
    };
    let asked = sqlx::query_as("SELECT sum, version FROM kv_write($1, $2, $3, $4, $5, $6, $7, $8)")
        .bind(&write.key)
        .bind(action)
        .bind(value)
        .bind(by)
        .bind(condition)
        .bind(version)
        .bind(write.request.as_deref())
        .bind(about(write));
    let (sum, version): (Option<i64>, Option<i64>) =
        asked.fetch_one(&mut *connection).await.map_err(unwritten)?;
    Ok(Written { sum, version: numbered(version.unwrap_or_default()) })
}

fn numbered(version: i64) -> Version {
    Version::of(TERM, u64::try_from(version).unwrap_or_default())
}

fn unread(error: sqlx::Error) -> Refusal {
    Refusal::NotConfirmed(format!("PostgreSQL did not answer: {error}"))
}

/// Translates the error of a write. SQLSTATE classes that imply a rollback are certain; a lost connection leaves the
/// outcome unknown.
fn unwritten(error: sqlx::Error) -> Refusal {
    let sqlx::Error::Database(database) = &error else {
        return Refusal::OutcomeUnknown(format!("the connection to PostgreSQL ended: {error}"));
    };
    match database.code().as_deref() {
        Some("LB001") => Refusal::Conflict,
        Some("LB002") => Refusal::NotANumber,
        Some("LB003") => Refusal::RequestReused,
        Some("22003") => Refusal::Overflow,
        // For example, it was told to end while it waited for a replica: what was written stays.
        Some(code) if code.starts_with("57") || code.starts_with("08") => {
            Refusal::OutcomeUnknown(database.message().to_owned())
        }
        _ => Refusal::NotWritten(database.message().to_owned()),
    }
}
