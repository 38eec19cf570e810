//! What one thread owns. Nothing here is shared with other threads but the table's snapshot, the
//! policy's counter, the counters of upstreams, and the count of open connections.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use machine::vitals::Vitals;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::buffers::Buffers;
use crate::choose::sticky::Token;
use crate::choose::{Policy, Tried};
use crate::client;
use crate::config::Config;
use crate::headers;
use crate::metrics::{Refused, Retried};
use crate::pair::Lease;
use crate::refusal::Refusal;
use crate::retry::Budget;
use crate::shed;
use crate::shortage::{Shortage, Shortages};
use crate::upstream::InFlight;
use crate::upstream::connections::Connections;
use crate::upstream::table::{Table, View};
use crate::watchdog::Watchdog;

/// How long one whose connection was just accepted when the door closed may take to say what it
/// wants.
const FIRST_WORDS: Duration = Duration::from_millis(50);

/// How long the kernel may take to complete a connection that its client counts as open.
const STILL_KNOCKING: Duration = Duration::from_millis(20);

/// How long clients wait at the door when a connection could not be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

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

/// What a thread is told about its door.
#[derive(Debug)]
pub enum Order {
    /// Accept clients here.
    Open(std::net::TcpListener),
    /// Let those who knock wait.
    Pause,
    /// Close the door; who is inside, or has knocked, is still served.
    Close,
    /// Close the door, and cut off who is inside.
    Cut,
}

/// Accepts and serves, as it is ordered, until the stop; then lets requests in flight finish, for as
/// long as the limit allows.
pub async fn run(shared: Shared, mut orders: mpsc::UnboundedReceiver<Order>) -> std::io::Result<()> {
    let stop = shared.stop.clone();
    let door = Door {
        room: Arc::clone(&shared.room),
        turned_away: Arc::new(Semaphore::new(shed::AT_ONCE_MAX)),
        inside: TaskTracker::new(),
        worker: Rc::new(Worker::new(shared)),
    };
    tokio::task::spawn_local(keep_watch(Rc::clone(&door.worker)));

    let (mut listener, mut open) = (None, true);
    loop {
        let accepting = async {
            match &listener {
                Some(listener) if open => door.accept(listener).await,
                _ => std::future::pending().await,
            }
        };
        let order = tokio::select! {
            biased;
            // First what was ordered before the stop: a socket listens from the moment it is made, and who has
            // knocked there is taken in.
            Some(order) = orders.recv() => order,
            () = stop.cancelled() => break,
            never = accepting => match never {},
        };
        match order {
            Order::Open(socket) => (listener, open) = (Some(TcpListener::from_std(socket)?), true),
            Order::Pause => open = false,
            Order::Close => {
                if let Some(listener) = listener.take() {
                    door.take_in_who_already_knocked(listener).await;
                }
            }
            Order::Cut => {
                listener = None;
                door.worker.watchdog.cut_all();
            }
        }
    }
    if let Some(listener) = listener {
        door.take_in_who_already_knocked(listener).await;
    }
    sleep(FIRST_WORDS).await;
    door.worker.watchdog.ask_all_to_leave();

    door.inside.close();
    if timeout(door.worker.config.drain_timeout, door.inside.wait()).await.is_err() {
        tracing::warn!(connections = door.inside.len(), "the drain took too long; cutting what is left");
    }
    Ok(())
}

/// Where clients come in.
struct Door {
    worker: Rc<Worker>,
    /// For all threads together: the kernel does not spread connections evenly.
    room: Arc<Semaphore>,
    turned_away: Arc<Semaphore>,
    /// The connections of this thread.
    inside: TaskTracker,
}

impl Door {
    async fn accept(&self, listener: &TcpListener) -> std::convert::Infallible {
        loop {
            // Without a place, and while many are being turned away, the others wait.
            let turn = Arc::clone(&self.turned_away).acquire_owned();
            let turn = turn.await.expect("the semaphore is never closed");
            match listener.accept().await {
                Ok((stream, peer)) => {
                    self.until_there_are_files(&stream).await;
                    match Arc::clone(&self.room).try_acquire_owned() {
                        Ok(place) => self.serve(stream, peer, place),
                        Err(_) => self.turn_away(stream, turn),
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot accept a connection");
                    self.wait_for_room(Shortage::of(&error, None)).await;
                }
            }
        }
    }

    /// A client that has got one of the last files waits, and the others behind it, until another one
    /// is free.
    async fn until_there_are_files(&self, stream: &TcpStream) {
        let mut free = self.worker.may_use_file(stream);
        while !free {
            self.wait_for_room(Some(Shortage::Files)).await;
            let next = stream.as_fd().try_clone_to_owned();
            free = next.is_ok_and(|next| self.worker.may_use_file(&next));
        }
    }

    /// What is open goes on, and closing makes room.
    async fn wait_for_room(&self, shortage: Option<Shortage>) {
        self.worker.accept_failures.fetch_add(1, Ordering::Relaxed);
        if let Some(shortage) = shortage {
            self.worker.shortages.note(shortage, "accept a client's connection");
        }
        sleep(ACCEPT_AGAIN).await;
    }

    /// The kernel has completed these connections, or is about to; closing the listener would reset
    /// them.
    async fn take_in_who_already_knocked(&self, listener: TcpListener) {
        let _ = timeout(STILL_KNOCKING, self.accept(&listener)).await;
        let Ok(listener) = listener.into_std() else { return };
        while let Ok(place) = Arc::clone(&self.room).try_acquire_owned()
            && let Ok((stream, peer)) = listener.accept()
            && stream.set_nonblocking(true).is_ok()
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            self.serve(stream, peer, place);
        }
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit) {
        let serving = client::serve(Rc::clone(&self.worker), stream, peer);
        tokio::task::spawn_local(self.inside.track_future(async move {
            serving.await;
            drop(place);
        }));
    }

    fn turn_away(&self, stream: TcpStream, turn: OwnedSemaphorePermit) {
        self.worker.refused.count(Refusal::Overloaded);
        tokio::task::spawn_local(async move {
            shed::shed(stream).await;
            drop(turn);
        });
    }
}

async fn keep_watch(worker: Rc<Worker>) {
    loop {
        sleep(worker.watchdog.tick()).await;
        let now = Instant::now();
        worker.watchdog.sweep(now);
        worker.date.set(date_now());
        worker.shortages.sweep(now);
        let asked = worker.shortages.asked_for_files();
        if worker.asked_for_files.replace(asked) != asked {
            worker.connections.close_all();
        }
        let mut view = worker.view.borrow_mut();
        worker.connections.sweep(view.load(), now, worker.config.timeouts.upstream_idle);
    }
}

impl Worker {
    fn new(shared: Shared) -> Self {
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
