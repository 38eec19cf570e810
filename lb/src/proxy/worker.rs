//! What one thread owns. Nothing here is shared with other threads but the table's snapshot, the
//! policy's counter, the counters of upstreams, and the count of open connections.

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

/// What all threads share.
#[derive(Debug, Clone)]
pub struct Shared {
    /// How to behave.
    pub config: Arc<Config>,
    /// Who is there.
    pub table: Arc<Table>,
    /// Whose turn it is.
    pub policy: Arc<Policy>,
    /// Whether this process is on its way out.
    pub vitals: Arc<Vitals>,
    /// How often the balancer answered itself.
    pub refused: Arc<Refused>,
    /// How often requests were tried again.
    pub retried: Arc<Retried>,
    /// Connections that the system could not open.
    pub accept_failures: Arc<AtomicU64>,
    /// What this side lacks.
    pub shortages: Arc<Shortages>,
    /// A permit for each client's connection that may be open.
    pub room: Arc<Semaphore>,
    /// How long this balancer may answer, when it shares its address with another one.
    pub lease: Option<Arc<Lease>>,
    /// Cancelled when the door is to be closed.
    pub stop: CancellationToken,
}

/// What one thread owns.
#[derive(Debug)]
pub struct Worker {
    /// How to behave.
    pub config: Arc<Config>,
    /// Buffers that wait for their next use.
    pub buffers: Buffers,
    /// Connections that wait for their next request.
    pub connections: Connections,
    /// Who watches over the clients' connections.
    pub watchdog: Watchdog,
    /// Whether this process is on its way out.
    pub vitals: Arc<Vitals>,
    /// How often the balancer answered itself.
    pub refused: Arc<Refused>,
    /// How often requests were tried again.
    pub retried: Arc<Retried>,
    /// Connections that the system could not open.
    pub accept_failures: Arc<AtomicU64>,
    /// What this side lacks.
    pub shortages: Arc<Shortages>,
    /// How many more may be.
    pub budget: Budget,
    lease: Option<Arc<Lease>>,
    /// How often some thread has asked for files, when this one last gave some.
    asked_for_files: Cell<u64>,
    policy: Arc<Policy>,
    view: RefCell<View>,
    dice: RefCell<SmallRng>,
    date: Cell<[u8; DATE_BYTES]>,
}

/// Bytes of a date in the form of HTTP.
const DATE_BYTES: usize = 29;

impl Worker {
    /// A thread's own things, beside what it shares.
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

    /// Sweeps what may have become too old, again and again.
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

    /// Chooses an upstream for a request, and enters it there: the one that its cookie names, or
    /// else whom the policy chooses among those it has not tried.
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
                // It has begun to leave in this very moment, or has a trial on.
                None => tried.note(upstream.id),
            }
        }
        tried.keep_first(tried_before);
        choose(tried)?.enter_as_last_resort()
    }

    /// False when the shared address may belong to the other balancer by now. One that was frozen
    /// has not been told.
    pub fn may_answer(&self) -> bool {
        self.lease.as_ref().is_none_or(|lease| lease.lasts(Instant::now()))
    }

    /// False for one of the last files that this process may open: they are kept for the admin
    /// interface, for checks, and for what makes room. The system gives out the lowest number first.
    pub fn may_use_file(&self, file: &impl AsRawFd) -> bool {
        file.as_raw_fd() < self.config.limits.files
    }

    /// A random number from 0 to 1.
    pub fn dice(&self) -> f64 {
        self.dice.borrow_mut().random()
    }

    /// A request id that nobody has had before.
    pub fn new_request_id(&self) -> [u8; 32] {
        headers::request_id(self.dice.borrow_mut().random())
    }

    /// The time of the last sweep, in the form of HTTP.
    pub fn date(&self) -> [u8; DATE_BYTES] {
        self.date.get()
    }
}

fn date_now() -> [u8; DATE_BYTES] {
    let text = httpdate::fmt_http_date(SystemTime::now());
    text.as_bytes().try_into().expect("a date of HTTP has 29 bytes")
}
