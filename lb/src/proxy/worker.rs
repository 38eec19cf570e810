//! State owned by one worker thread. The only state it shares with other threads: the table's
//! snapshot, the policy's counter, the counters of the upstreams, and the count of open connections.

use std::cell::{Cell, RefCell};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Instant, SystemTime};

use machine::vitals::Vitals;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::counters::{Refused, Retried};
use crate::choose::sticky::Token;
use crate::choose::{Policy, Tried};
use crate::config::Config;
use crate::pair::Lease;
use crate::proxy::buffers::Buffers;
use crate::proxy::headers;
use crate::proxy::retry::Budget;
use crate::proxy::watchdog::Watchdog;
use crate::shortage::Shortages;
use crate::upstream::InFlight;
use crate::upstream::connections::Connections;
use crate::upstream::table::{Table, View};

/// State shared by all threads.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The configuration.
    pub config: Arc<Config>,
    /// The upstream table.
    pub table: Arc<Table>,
    /// The balancing policy.
    pub policy: Arc<Policy>,
    /// Whether this process is about to stop.
    pub vitals: Arc<Vitals>,
    /// Local replies, counted by code.
    pub refused: Arc<Refused>,
    /// Retries, counted.
    pub retried: Arc<Retried>,
    /// Client connections that could not be accepted.
    pub accept_failures: Arc<AtomicU64>,
    /// Shortages of local resources.
    pub shortages: Arc<Shortages>,
    /// One permit for each client connection that may be open.
    pub room: Arc<Semaphore>,
    /// How long this balancer may serve the address that it shares with its peer, if it has one.
    pub lease: Option<Arc<Lease>>,
    /// Cancelled when the listeners must close.
    pub stop: CancellationToken,
}

/// State owned by one thread.
#[derive(Debug)]
pub struct Worker {
    /// The configuration.
    pub config: Arc<Config>,
    /// A pool of buffers.
    pub buffers: Buffers,
    /// Idle connections to upstreams.
    pub connections: Connections,
    /// The timeouts of the client connections.
    pub watchdog: Watchdog,
    /// Whether this process is about to stop.
    pub vitals: Arc<Vitals>,
    /// Local replies, counted by code.
    pub refused: Arc<Refused>,
    /// Retries, counted.
    pub retried: Arc<Retried>,
    /// Client connections that could not be accepted.
    pub accept_failures: Arc<AtomicU64>,
    /// Shortages of local resources.
    pub shortages: Arc<Shortages>,
    /// The retry budget.
    pub budget: Budget,
    lease: Option<Arc<Lease>>,
    /// The value of [`Shortages::asked_for_files`] when this thread last closed its idle
    /// connections.
    asked_for_files: Cell<u64>,
    policy: Arc<Policy>,
    view: RefCell<View>,
    dice: RefCell<SmallRng>,
    date: Cell<[u8; DATE_BYTES]>,
}

/// Length of an HTTP date, in bytes.
const DATE_BYTES: usize = 29;

impl Worker {
    /// Creates the state of one thread.
    pub fn new(shared: Shared) -> Self {
        let config = shared.config;
        Self {
            buffers: Buffers::default(),
            connections: Connections::default(),
            watchdog: Watchdog::new(config.timeouts, Instant::now()),
            vitals: shared.vitals,
            refused: shared.refused,
            retried: shared.retried,
            accept_failures: shared.accept_failures,
            shortages: shared.shortages,
            budget: Budget::new(config.threads),
            lease: shared.lease,
            asked_for_files: Cell::default(),
            policy: shared.policy,
            view: RefCell::new(shared.table.view()),
            date: Cell::new(date_now()),
            dice: RefCell::new(SmallRng::from_rng(&mut rand::rng())),
            config,
        }
    }

    /// Sweeps timeouts, shortages and idle connections once per tick, for ever.
    pub async fn keep_watch(self: Rc<Self>) {
        loop {
            sleep(self.watchdog.tick()).await;
            let now = Instant::now();
            self.watchdog.sweep(now);
            self.date.set(date_now());
            self.shortages.sweep(now);
            let asked = self.shortages.asked_for_files();
            if self.asked_for_files.replace(asked) != asked {
                self.connections.close_all();
            }
            let mut view = self.view.borrow_mut();
            self.connections.sweep(view.load(), now, self.config.timeouts.upstream_idle);
        }
    }

    /// Chooses an upstream for a request, and counts the request in: the upstream that the cookie
    /// names, or else one that the policy chooses among those not tried yet.
    pub fn choose(&self, cookie: Option<&Token>, tried: &mut Tried) -> Option<InFlight> {
        let mut view = self.view.borrow_mut();
        let pool = &view.load().pool;
        if let Some(entered) = cookie.and_then(|cookie| pool.pinned(cookie)?.enter()) {
            return Some(entered);
        }
        let choose = |tried: &Tried| self.policy.choose(pool, tried, || self.dice.borrow_mut().random());
        let tried_before = tried.count();
        while let Some(upstream) = choose(tried) {
            match upstream.enter() {
                Some(entered) => return Some(entered),
                // It has just begun to drain, or has a trial request in flight (half-open breaker).
                None => tried.note(upstream.id),
            }
        }
        tried.keep_first(tried_before);
        choose(tried)?.enter_as_last_resort()
    }

    /// False if the shared address may belong to the peer by now. A process that was frozen does not
    /// know yet that it lost the address.
    pub fn may_answer(&self) -> bool {
        self.lease.as_ref().is_none_or(|lease| lease.lasts(Instant::now()))
    }

    /// False for one of the last file descriptors of this process: they are reserved for the admin
    /// interface, for checks, and for freeing resources. The system hands out the lowest number
    /// first.
    pub fn may_use_file(&self, file: &impl AsRawFd) -> bool {
        file.as_raw_fd() < self.config.limits.files
    }

    /// A random number from 0 to 1.
    pub fn dice(&self) -> f64 {
        self.dice.borrow_mut().random()
    }

    /// A new random request id.
    pub fn new_request_id(&self) -> [u8; 32] {
        headers::request_id(self.dice.borrow_mut().random())
    }

    /// The time of the last sweep as an HTTP date.
    pub fn date(&self) -> [u8; DATE_BYTES] {
        self.date.get()
    }
}

fn date_now() -> [u8; DATE_BYTES] {
    let text = httpdate::fmt_http_date(SystemTime::now());
    text.as_bytes().try_into().expect("a date of HTTP has 29 bytes")
}
