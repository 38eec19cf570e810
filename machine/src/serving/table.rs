//! The open connections of a server: how many there may be, which leave to make room, and which are
//! overdue.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::budget::Budget;
use super::connection::{Connection, Order};
use super::timeouts::{Overdue, Timeouts, View};

/// If there is no room, one in this many connections is asked to leave, so that the next arrivals find
/// room without another search.
const LEAVE_TOGETHER: usize = 64;

/// The open connections of a server and their shared state.
#[derive(Debug)]
pub(super) struct Table {
    began: Instant,
    timeouts: Timeouts,
    connections_max: usize,
    /// When the server began to stop, in milliseconds; 0 if it has not.
    stopping: AtomicU64,
    open: Mutex<Open>,
    came: Notify,
    left: Notify,
    /// Memory for the request bodies that are arriving.
    pub(super) bodies: Budget,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Arc<Connection>>,
}

/// A connection's place in the table; freed when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    connection: Arc<Connection>,
    number: u64,
}

impl Table {
    pub(super) fn new(timeouts: Timeouts, connections_max: usize, body_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            timeouts,
            connections_max,
            stopping: AtomicU64::new(0),
            open: Mutex::default(),
            came: Notify::new(),
            left: Notify::new(),
            bodies: Budget::new(body_bytes),
        })
    }

    /// The server's uptime.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// The same in milliseconds, rounded up, so that a time measured from it is never too long.
    pub(super) fn now_ms(&self) -> u64 {
        self.now().as_micros().div_ceil(1_000) as u64
    }

    /// Returns what the client failed to do in time, if anything.
    pub(super) fn overdue(&self, view: &View) -> Option<Overdue> {
        let stopping = self.stopping.load(Ordering::Relaxed);
        let stopping = (stopping > 0).then(|| Duration::from_millis(stopping));
        view.overdue(self.now(), &self.timeouts, stopping)
    }

    /// How often the clients' deadlines must be checked.
    pub(super) fn sweep_interval(&self) -> Duration {
        let Timeouts { header, idle, write } = self.timeouts;
        (header.min(idle).min(write) / 8).clamp(Duration::from_millis(10), Duration::from_millis(250))
    }

    /// Ends connections whose client is overdue.
    pub(super) fn sweep(&self) {
        for connection in self.open.lock().connections.values() {
            if self.overdue(&connection.view()).is_some() {
                connection.tell(Order::LookAtTheClock);
            }
        }
    }

    /// Returns a place for another connection; `None` if there is no room.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Place> {
        let mut open = self.open.lock();
        if open.connections.len() >= self.connections_max {
            return None;
        }
        let connection = Arc::new(Connection::new(Arc::clone(self)));
        open.next += 1;
        let number = open.next;
        open.connections.insert(number, Arc::clone(&connection));
        if open.connections.len() == 1 {
            self.came.notify_waiters();
        }
        Some(Place { connection, number })
    }

    /// Waits for a place for another connection.
    pub(super) async fn admit_when_there_is_room(self: &Arc<Self>) -> Place {
        loop {
            let left = self.left.notified();
            if let Some(place) = self.admit() {
                return place;
            }
            left.await;
        }
    }

    /// Asks connections to leave that keep the server waiting, or that at least are idle at the moment.
    /// Returns how many.
    pub(super) fn make_room(&self) -> usize {
        let (now, open) = (self.now(), self.open.lock());
        let leaving = open.connections.values().filter_map(|connection| {
            let rank = connection.view().leaves(now)?;
            Some((rank, connection))
        });
        let mut leaving: Vec<_> = leaving.collect();
        let count = (self.connections_max / LEAVE_TOGETHER + 1).min(leaving.len());
        if count == 0 {
            return 0;
        }
        leaving.select_nth_unstable_by_key(count - 1, |(rank, _)| *rank);
        // Connections that have completed a request before leave one at a time.
        let count = leaving[..count].iter().filter(|((class, _), _)| *class == 0).count().max(1);
        leaving.select_nth_unstable_by_key(count - 1, |(rank, _)| *rank);
        leaving[..count].iter().for_each(|(_, connection)| connection.tell(Order::MakeRoom));
        count
    }

    /// From now on, no connection accepts a further request.
    pub(super) fn finish(&self) {
        self.stopping.store(self.now_ms().max(1), Ordering::Relaxed);
        self.tell_all(Order::Finish);
    }

    /// Ends all connections.
    pub(super) fn cut(&self) {
        self.tell_all(Order::Cut);
    }

    fn tell_all(&self, order: Order) {
        self.open.lock().connections.values().for_each(|connection| connection.tell(order));
    }

    fn is_empty(&self) -> bool {
        self.open.lock().connections.is_empty()
    }

    /// Waits until there are no connections.
    pub(super) async fn empty(&self) {
        loop {
            let left = self.left.notified();
            if self.is_empty() {
                return;
            }
            left.await;
        }
    }

    /// Waits until there is a connection.
    pub(super) async fn occupied(&self) {
        loop {
            let came = self.came.notified();
            if !self.is_empty() {
                return;
            }
            came.await;
        }
    }
}

impl Deref for Place {
    type Target = Arc<Connection>;

    fn deref(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let table = self.connection.table();
        table.open.lock().connections.remove(&self.number);
        table.left.notify_waiters();
    }
}
