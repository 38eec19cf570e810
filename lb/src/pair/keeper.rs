//! The driver of the failover state machine: exchanges adverts with the peer, and opens and closes the listeners.
//!
//! It has its own thread and a blocking socket, so that adverts that have arrived are always handled before
//! timeouts, even after the process was frozen. The lease depends on this thread, so it must not block: names are
//! resolved elsewhere, and the `Holder` deals with the address.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use machine::names::{Name, Resolver};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::advert::{Advert, AdvertKind, BYTES_MAX};
use super::config::{PairConfig, TakeoverName};
use super::failover::{Effect, Failover, Input, ReleaseReason, Role, TakeoverMode};
use super::holder::{Holder, Taken};
use super::lease::Lease;
use super::reach::targets;
use super::sequence::Sequence;
use super::takeover::Takeover;
use crate::events::{EventKind, Events};
use crate::listen::{ListenError, ListenerCommand, ListenerHandles};

/// The status of a pair, for the admin interface and the metrics.
#[derive(Debug, Clone)]
pub struct Status {
    /// The role of this balancer.
    pub role: Role,
    /// When it entered this role.
    pub since: Instant,
    /// The peer as last heard, if it ever was.
    pub partner: Option<Partner>,
}

/// The peer as last heard.
#[derive(Debug, Clone)]
pub struct Partner {
    /// Its latest advert.
    pub advert: Advert,
    /// When the advert arrived.
    pub heard: Instant,
}

/// The handle to the pair: status, lease and shutdown.
#[derive(Debug)]
pub struct Handle {
    /// This balancer's id.
    pub id: String,
    /// This balancer's priority.
    pub priority: u8,
    /// How the address is taken over.
    pub takeover: TakeoverName,
    /// How long this balancer may answer.
    pub lease: Arc<Lease>,
    /// How often this balancer has taken the address.
    pub takeovers: AtomicU64,
    status: Mutex<Status>,
    leaves: AtomicBool,
}

impl Handle {
    /// The current status.
    pub fn status(&self) -> Status {
        self.status.lock().clone()
    }

    /// Starts leaving the pair: hands the address over, if this balancer has it.
    pub fn leave(&self) {
        self.leaves.store(true, Ordering::Release);
    }
}

struct Keeper {
    config: PairConfig,
    failover: Failover,
    sequence: Sequence,
    started: Instant,
    socket: UdpSocket,
    /// The peer's name.
    peer: Name,
    /// Where the peer's latest advert came from.
    heard_from: Option<SocketAddr>,
    holder: Holder,
    listeners: ListenerHandles,
    events: Arc<Events>,
    handle: Arc<Handle>,
    /// Sockets that listen on the address, until they are passed to the threads.
    taken: Option<Vec<TcpListener>>,
    /// Why the address was last taken.
    reason: &'static str,
    /// True once it has been logged that the address cannot be taken.
    told_blocked: bool,
}

/// Starts the thread. The receiver is notified when this balancer has left its pair.
pub fn start(
    config: PairConfig,
    address: SocketAddr,
    listeners: ListenerHandles,
    events: Arc<Events>,
    names: &Resolver,
) -> Result<(Arc<Handle>, oneshot::Receiver<()>), ListenError> {
    let listen = config.listen;
    let error = |source| ListenError::new(listen, "--pair-listen", source);
    let socket = UdpSocket::bind(config.listen).map_err(error)?;
    // Several wake-ups per advert interval, so that no advert is sent late.
    let tick = (config.rules.advert / 16).clamp(Duration::from_millis(2), Duration::from_millis(50));
    socket.set_read_timeout(Some(tick)).map_err(error)?;
    // A datagram that does not fit the send buffer is lost like any other.
    socket.set_write_timeout(Some(tick)).map_err(error)?;
    let now = Instant::now();
    let handle = Arc::new(Handle {
        id: config.rules.id.clone(),
        priority: config.rules.priority,
        takeover: config.takeover,
        lease: Arc::new(Lease::new(now)),
        takeovers: AtomicU64::new(0),
        status: Mutex::new(Status { role: Role::Standby, since: now, partner: None }),
        leaves: AtomicBool::new(false),
    });
    let takeover = Takeover::new(address, listeners.workers.len(), config.takeover, config.interface.clone());
    let keeper = Keeper {
        failover: Failover::new(config.rules.clone(), now),
        sequence: Sequence::new(unix_us(SystemTime::now())),
        started: now,
        peer: names.name(&config.peer),
        heard_from: None,
        holder: Holder::start(takeover, Arc::clone(&handle.lease), 2 * config.rules.advert).map_err(error)?,
        handle: Arc::clone(&handle),
        taken: None,
        reason: "",
        told_blocked: false,
        config,
        socket,
        listeners,
        events,
    };
    let (left, receiver) = oneshot::channel();
    let thread = std::thread::Builder::new().name("lb-pair".into()).spawn(move || {
        keeper.run();
        // The receiver may have been dropped.
        let _ = left.send(());
    });
    thread.map_err(error)?;
    Ok((handle, receiver))
}

impl Keeper {
    fn run(mut self) {
        let mut buffer = [0; BYTES_MAX + 1];
        while self.failover.role() != Role::Gone {
            match self.socket.recv_from(&mut buffer) {
                Ok((bytes, from)) => self.on_advert(&buffer[..bytes], from),
                Err(error) if is_nothing(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot listen to the other balancer");
                    std::thread::sleep(self.config.rules.advert / 16);
                }
            }
            self.act_on(Input::Tick);
            self.look_at_holder();
            if self.handle.leaves.load(Ordering::Acquire) {
                self.act_on(Input::Leave);
            }
        }
    }

    /// Checks whether the address was taken or lost since the last check.
    fn look_at_holder(&mut self) {
        if let Some(taken) = self.holder.taken(Duration::ZERO) {
            let input = self.note(taken);
            self.act_on(input);
        }
        if self.failover.lease().is_some() && !self.holder.keeps(Instant::now()) {
            self.act_on(Input::AddressLost);
        }
    }

    fn on_advert(&mut self, bytes: &[u8], from: SocketAddr) {
        let Some((advert, stamp)) = Advert::decode(bytes, self.config.secret.as_ref()) else {
            tracing::debug!("ignored a datagram that is not from the other balancer");
            return;
        };
        if advert.id == self.config.rules.id {
            tracing::warn!(id = advert.id, "another balancer has the same --pair-id; give each its own");
            return;
        }
        if !self.sequence.accept(stamp) {
            tracing::debug!(?stamp, "ignored an advert that is not newer than the latest");
            return;
        }
        self.heard_from = Some(from);
        let partner = Partner { advert: advert.clone(), heard: Instant::now() };
        self.handle.status.lock().partner = Some(partner);
        self.act_on(Input::Heard(advert));
    }

    fn act_on(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let before = self.failover.role();
            let effects = self.failover.step(Instant::now(), input);
            self.publish(before);
            for effect in effects {
                match effect {
                    Effect::Say(saying) => self.say(saying),
                    Effect::Take(mode) => inputs.extend(self.take(mode)),
                    Effect::Pause => self.listeners.tell_all(|| ListenerCommand::Pause),
                    Effect::Release(why) => self.release(why),
                }
            }
        }
    }

    /// Publishes the current state to the threads and to the admin interface.
    fn publish(&mut self, before: Role) {
        if let Some(until) = self.failover.lease() {
            self.handle.lease.extend_to(until);
        }
        let role = self.failover.role();
        if role != before {
            let mut status = self.handle.status.lock();
            (status.role, status.since) = (role, Instant::now());
            tracing::debug!(?before, ?role, "on failover");
        }
        self.told_blocked &= matches!(role, Role::Blocked | Role::Claiming);
        if role == Role::Active
            && let Some(listeners) = self.taken.take()
        {
            self.open(listeners);
        }
    }

    fn open(&self, listeners: Vec<TcpListener>) {
        for (worker, listener) in self.listeners.workers.iter().zip(listeners) {
            // A thread that has ended needs no commands.
            let _ = worker.send(ListenerCommand::Listen(listener));
        }
        self.handle.takeovers.fetch_add(1, Ordering::Relaxed);
        self.events.record(&self.config.rules.id, EventKind::TookOver, self.reason.to_owned());
    }

    fn say(&mut self, saying: AdvertKind) {
        let rules = &self.config.rules;
        let advert = Advert { saying, priority: rules.priority, id: rules.id.clone() };
        let stamp = self.sequence.next_stamp(self.started.elapsed());
        let datagram = advert.encode(stamp, self.config.secret.as_ref());
        // If the peer was given by address, adverts go there, even when its own come from elsewhere.
        let heard_from = self.heard_from.filter(|_| !self.peer.is_address());
        for peer in targets(self.config.listen.ip(), &self.peer.addresses(), heard_from) {
            // Datagrams may be lost, so a failure is only logged.
            if let Err(error) = self.socket.send_to(&datagram, peer) {
                tracing::debug!(%error, %peer, "cannot send to the other balancer");
            }
        }
    }

    /// Starts taking the address. Usually the result is there at once; if not, it is reported later.
    fn take(&mut self, mode: TakeoverMode) -> Option<Input> {
        if self.holder.take(mode) {
            self.reason = match mode {
                TakeoverMode::Alone => "the other one is silent",
                TakeoverMode::HandedOver => "the other one hands it over",
            };
        }
        let taken = self.holder.taken(self.config.rules.advert / 4)?;
        Some(self.note(taken))
    }

    /// Translates the result of taking the address into an input.
    fn note(&mut self, taken: Taken) -> Input {
        match taken {
            Ok(listeners) => {
                self.taken = Some(listeners);
                Input::Taken
            }
            Err(error) => {
                if !std::mem::replace(&mut self.told_blocked, true) {
                    let reason = format!("the other one is silent, but {error}");
                    self.events.record(&self.config.rules.id, EventKind::TakeoverBlocked, reason);
                }
                Input::NotTaken
            }
        }
    }

    fn release(&mut self, why: ReleaseReason) {
        if why.is_orderly() {
            self.handle.lease.forget();
            self.listeners.tell_all(|| ListenerCommand::Close);
            // The peer is told that it may have the address only when it is free.
            self.holder.give_back(self.config.rules.advert);
        } else {
            self.handle.lease.end();
            self.listeners.tell_all(|| ListenerCommand::Abort);
            self.holder.give_back(Duration::ZERO);
        }
        if self.taken.take().is_some() {
            return;
        }
        let reason = match why {
            ReleaseReason::LeaseLost => "it was frozen for so long that the other one may have the address",
            ReleaseReason::Outranked => "the other one has it too, and outranks this one",
            ReleaseReason::TooLate => "it was frozen while it took the address",
            ReleaseReason::AddressLost => "the system no longer keeps the address here",
            ReleaseReason::HandedOver => "the other one has it now",
            ReleaseReason::Leaving => "it is stopping, and no balancer stands by",
        };
        self.events.record(&self.config.rules.id, EventKind::StoodDown, reason.to_owned());
    }
}

fn unix_us(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Nothing arrived; or, on loopback, an earlier datagram found no listener.
fn is_nothing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted | ConnectionRefused)
}
