//! Holds the address, on its own thread: `ip` and other system programs may take their time, and the thread that
//! keeps the lease must not wait for them.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::failover::TakeoverMode;
use super::lease::Lease;
use super::takeover::{Takeover, TakeoverError};

/// How often the thread checks whether the address must be renewed.
const TICK: Duration = Duration::from_millis(50);

/// The result of taking the address.
pub type Taken = Result<Vec<TcpListener>, TakeoverError>;

/// The handle to the thread.
#[derive(Debug)]
pub struct Holder {
    orders: Sender<HolderCommand>,
    done: Receiver<Done>,
    taking: Taking,
    /// An attempt that takes longer than this counts as failed, because the peer may have the address by then.
    limit: Duration,
    /// Lasts as long as the kernel keeps the address here.
    kept: Arc<Lease>,
}

#[derive(Debug)]
enum HolderCommand {
    Take(TakeoverMode),
    GiveBack,
}

#[derive(Debug)]
enum Done {
    Taken(Taken),
    GivenBack,
}

/// The state of an attempt to take the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taking {
    Nothing,
    Since(Instant),
    /// The attempt was reported as failed; if it still succeeds, the address is given back.
    TooSlow,
}

impl Holder {
    /// Starts the thread. It renews the address while the lease lasts, and ends when the holder is dropped.
    pub fn start(takeover: Takeover, lease: Arc<Lease>, limit: Duration) -> io::Result<Self> {
        let ((orders, receiver), (tell, done)) = (channel(), channel());
        let kept = Arc::new(Lease::new(Instant::now()));
        let thread = AddressThread { takeover, lease, kept: Arc::clone(&kept) };
        std::thread::Builder::new().name("lb-address".into()).spawn(move || thread.hold(&receiver, &tell))?;
        Ok(Self { orders, done, taking: Taking::Nothing, limit, kept })
    }

    /// Starts taking the address; returns false if that is already under way. [`taken`](Self::taken) returns the
    /// result.
    pub fn take(&mut self, mode: TakeoverMode) -> bool {
        let begins = self.taking == Taking::Nothing && self.orders.send(HolderCommand::Take(mode)).is_ok();
        if begins {
            self.taking = Taking::Since(Instant::now());
        }
        begins
    }

    /// Returns the result of taking the address, once; waits for it up to `patience`.
    pub fn taken(&mut self, patience: Duration) -> Option<Taken> {
        let end = Instant::now() + patience;
        while self.taking != Taking::Nothing {
            match self.done.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(Done::GivenBack) => {}
                Ok(Done::Taken(taken)) => {
                    if std::mem::replace(&mut self.taking, Taking::Nothing) != Taking::TooSlow {
                        return Some(taken);
                    }
                    self.give_back(Duration::ZERO);
                }
                Err(_) => break,
            }
        }
        match self.taking {
            Taking::Since(since) if since.elapsed() >= self.limit => {
                self.taking = Taking::TooSlow;
                Some(Err(TakeoverError::TooSlow(self.limit)))
            }
            _ => None,
        }
    }

    /// False if the kernel no longer keeps an address that was taken.
    pub fn keeps(&self, now: Instant) -> bool {
        self.kept.lasts(now)
    }

    /// Gives the address back, and waits for that up to `patience`.
    pub fn give_back(&mut self, patience: Duration) {
        // Earlier results no longer matter.
        while let Ok(done) = self.done.try_recv() {
            self.note(&done);
        }
        // A thread that has ended holds nothing: the kernel takes the address away.
        if self.orders.send(HolderCommand::GiveBack).is_err() || patience.is_zero() {
            return;
        }
        let end = Instant::now() + patience;
        while let Ok(done) = self.done.recv_timeout(end.saturating_duration_since(Instant::now())) {
            self.note(&done);
            if matches!(done, Done::GivenBack) {
                return;
            }
        }
    }

    fn note(&mut self, done: &Done) {
        if matches!(done, Done::Taken(_)) {
            self.taking = Taking::Nothing;
        }
    }
}

/// The state of the thread.
struct AddressThread {
    takeover: Takeover,
    /// When it ends, this balancer no longer serves the address, and the kernel may take it away.
    lease: Arc<Lease>,
    kept: Arc<Lease>,
}

impl AddressThread {
    fn hold(mut self, orders: &Receiver<HolderCommand>, tell: &Sender<Done>) {
        loop {
            let done = match orders.recv_timeout(TICK) {
                Ok(HolderCommand::Take(mode)) => {
                    let taken = self.takeover.take(mode);
                    if taken.is_ok() {
                        self.note_kept();
                    }
                    Some(Done::Taken(taken))
                }
                Ok(HolderCommand::GiveBack) => {
                    self.takeover.give_back();
                    Some(Done::GivenBack)
                }
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if done.is_some_and(|done| tell.send(done).is_err()) {
                return;
            }
            if self.lease.lasts(Instant::now()) && self.takeover.renew(Instant::now()) {
                self.note_kept();
            }
        }
    }

    fn note_kept(&self) {
        match self.takeover.kept_until() {
            Some(until) => self.kept.extend_to(until),
            // Listening sockets need no renewal.
            None => self.kept.forget(),
        }
    }
}
