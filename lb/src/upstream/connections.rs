//! The connections of one thread that wait for their next request, the last used on top.
//!
//! Last in, first out: the busiest connection stays warm, and those that a burst has left over
//! sink to the bottom and expire.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::table::Snapshot;

/// More than this many wait for one upstream only after a burst; the rest is closed.
const WAITING_MAX: usize = 1024;

/// Connections that wait, for each upstream.
#[derive(Debug, Default)]
pub struct Connections {
    // A handful of upstreams: looking through them is faster than hashing.
    pools: RefCell<Vec<Pool>>,
}

#[derive(Debug)]
struct Pool {
    upstream: u64,
    waiting: Vec<Connection>,
}

impl Connections {
    /// The connection to this upstream that was used last, if one waits.
    pub fn take(&self, upstream: u64) -> Option<Connection> {
        let mut pools = self.pools.borrow_mut();
        let pool = pools.iter_mut().find(|pool| pool.upstream == upstream)?;
        while let Some(connection) = pool.waiting.pop() {
            if connection.leads_to_its_upstream() && connection.is_quiet() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for the next request, unless its upstream is elsewhere by now.
    pub fn put(&self, upstream: u64, mut connection: Connection, now: Instant) {
        if !connection.leads_to_its_upstream() {
            return;
        }
        connection.idle_since = now;
        let mut pools = self.pools.borrow_mut();
        match pools.iter_mut().find(|pool| pool.upstream == upstream) {
            Some(pool) if pool.waiting.len() < WAITING_MAX => pool.waiting.push(connection),
            Some(_) => {}
            None => pools.push(Pool { upstream, waiting: vec![connection] }),
        }
    }

    /// Closes those that have waited too long, those that the upstream has closed, and all to
    /// upstreams that are no longer there, or elsewhere.
    pub fn sweep(&self, snapshot: &Snapshot, now: Instant, idle_max: Duration) {
        let mut pools = self.pools.borrow_mut();
        pools.retain(|pool| snapshot.all.iter().any(|upstream| upstream.id == pool.upstream));
        for pool in pools.iter_mut() {
            pool.waiting.retain(|connection| {
                connection.leads_to_its_upstream()
                    && connection.is_quiet()
                    && now.duration_since(connection.idle_since) < idle_max
            });
        }
    }
}
