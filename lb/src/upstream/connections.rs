//! One thread's pool of idle upstream connections.
//!
//! Last in, first out: the most recently used connection is reused first, so those left over from a
//! burst sink to the bottom and expire.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use super::Upstream;
use super::connection::{Connection, Waiting};
use super::table::Snapshot;

/// Idle connections kept per upstream; those that a burst leaves beyond this are closed.
const WAITING_MAX: usize = 1024;

/// Idle connections, for each upstream.
#[derive(Debug, Default)]
pub struct Connections {
    // There are few upstreams, so a linear search is faster than hashing.
    pools: RefCell<Vec<Pool>>,
}

#[derive(Debug)]
struct Pool {
    upstream: u64,
    waiting: Vec<Connection>,
}

impl Connections {
    /// Takes the most recently used connection to this upstream, if one is idle.
    pub fn take(&self, upstream: &Upstream) -> Option<Connection> {
        let mut pools = self.pools.borrow_mut();
        let pool = pools.iter_mut().find(|pool| pool.upstream == upstream.id)?;
        while let Some(connection) = pool.waiting.pop() {
            if is_usable(&connection, upstream) {
                return Some(connection);
            }
        }
        None
    }

    /// Returns a connection to the pool, unless its upstream's name leads elsewhere by now.
    pub fn put(&self, upstream: &Upstream, mut connection: Connection, now: Instant) {
        if !connection.leads_to_its_upstream() {
            return;
        }
        connection.idle_since = now;
        let mut pools = self.pools.borrow_mut();
        match pools.iter_mut().find(|pool| pool.upstream == upstream.id) {
            Some(pool) if pool.waiting.len() < WAITING_MAX => pool.waiting.push(connection),
            Some(_) => {}
            None => pools.push(Pool { upstream: upstream.id, waiting: vec![connection] }),
        }
    }

    /// Closes connections that have been idle too long, that the upstream has closed, or whose
    /// upstream was removed or has moved.
    pub fn sweep(&self, snapshot: &Snapshot, now: Instant, idle_max: Duration) {
        self.pools.borrow_mut().retain_mut(|pool| {
            let Some(upstream) = snapshot.all.iter().find(|upstream| upstream.id == pool.upstream) else {
                return false;
            };
            pool.waiting.retain(|connection| {
                is_usable(connection, upstream) && now.duration_since(connection.idle_since) < idle_max
            });
            true
        });
    }

    /// Closes all of them.
    pub fn close_all(&self) {
        self.pools.take();
    }
}

fn is_usable(connection: &Connection, upstream: &Upstream) -> bool {
    if !connection.leads_to_its_upstream() {
        return false;
    }
    match connection.waiting() {
        Waiting::Quiet => true,
        Waiting::Closed => false,
        Waiting::Speaks => {
            if connection.was_denied_a_body {
                upstream.note_forbidden_body();
            }
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use machine::names::Resolver;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::upstream::Address;

    const IDLE_MAX: Duration = Duration::from_secs(4);

    /// Creates an upstream, and a snapshot that contains only this one.
    fn upstream(id: u64) -> (Arc<Upstream>, Snapshot) {
        let address = Address::new("web-1", "h:80").unwrap();
        let upstream = Arc::new(Upstream::new(id, address, Resolver::system().name("127.0.0.1:1")));
        (Arc::clone(&upstream), Snapshot { all: vec![upstream], ..Snapshot::default() })
    }

    /// Opens a connection, and returns it with its other end.
    async fn connection() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connection =
            Connection::open(&Resolver::system().name(&listener.local_addr().unwrap().to_string()))
                .await
                .unwrap();
        (connection, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn the_last_used_is_taken_first_and_only_for_its_own_upstream() {
        let (pool, now) = (Connections::default(), Instant::now());
        let ((one, _), (two, _)) = (upstream(1), upstream(2));
        let ((first, _first_end), (second, _second_end)) = (connection().await, connection().await);
        let last = second.stream.local_addr().unwrap();
        pool.put(&one, first, now);
        pool.put(&one, second, now);
        assert!(pool.take(&two).is_none());
        assert_eq!(pool.take(&one).unwrap().stream.local_addr().unwrap(), last);
        assert!(pool.take(&one).is_some() && pool.take(&one).is_none());
    }

    #[tokio::test]
    async fn one_on_which_something_came_unasked_is_never_used() {
        let (pool, (upstream, _)) = (Connections::default(), upstream(1));
        let (connection, mut end) = connection().await;
        end.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil").await.unwrap();
        connection.stream.readable().await.unwrap();
        assert_eq!(connection.waiting(), Waiting::Speaks);
        pool.put(&upstream, connection, Instant::now());
        assert!(pool.take(&upstream).is_none());
        assert!(!upstream.sends_forbidden_bodies(), "there was none to forbid");
    }

    #[tokio::test]
    async fn one_that_the_upstream_has_closed_is_never_used() {
        let (pool, (upstream, _)) = (Connections::default(), upstream(1));
        let (connection, end) = connection().await;
        drop(end);
        connection.stream.readable().await.unwrap();
        assert_eq!(connection.waiting(), Waiting::Closed);
        pool.put(&upstream, connection, Instant::now());
        assert!(pool.take(&upstream).is_none());
    }

    #[tokio::test]
    async fn an_upstream_that_sends_a_body_after_an_answer_without_one_is_remembered() {
        for by_sweep in [false, true] {
            let (pool, (upstream, snapshot)) = (Connections::default(), upstream(1));
            let (mut connection, mut end) = connection().await;
            connection.was_denied_a_body = true;
            end.write_all(b"hello").await.unwrap();
            connection.stream.readable().await.unwrap();
            pool.put(&upstream, connection, Instant::now());
            if by_sweep {
                pool.sweep(&snapshot, Instant::now(), IDLE_MAX);
            }
            assert!(pool.take(&upstream).is_none());
            assert!(upstream.sends_forbidden_bodies());
        }
    }

    #[tokio::test]
    async fn a_sweep_closes_what_waits_too_long_and_what_belongs_to_nobody() {
        let (pool, start) = (Connections::default(), Instant::now());
        let ((here, snapshot), (gone, _)) = (upstream(1), upstream(2));
        let mut ends = Vec::new();
        for (upstream, age) in [(&here, 0), (&here, 3), (&gone, 3)] {
            let (connection, end) = connection().await;
            pool.put(upstream, connection, start + Duration::from_secs(age));
            ends.push(end);
        }
        pool.sweep(&snapshot, start + IDLE_MAX, IDLE_MAX);
        assert!(pool.take(&gone).is_none());
        assert!(pool.take(&here).is_some_and(|kept| kept.idle_since > start), "the younger one");
        assert!(pool.take(&here).is_none());
    }
}
