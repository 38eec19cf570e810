//! Holds the address, on a thread of its own: the system's programs may take their time, and the thread that keeps
//! the lease has none to lose.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::failover::TakeoverMode;
use super::lease::Lease;
use super::takeover::{Takeover, TakeoverError};

/// How often it looks whether the address is to be renewed.
const TICK: Duration = Duration::from_millis(50);

/// What came of taking the address.
pub type Taken = Result<Vec<TcpListener>, TakeoverError>;

/// The way to the thread.
#[derive(Debug)]
pub struct Holder {
    orders: Sender<HolderCommand>,
    done: Receiver<Done>,
    taking: Taking,
    /// Taking the address takes no longer, or has failed: the other one may have it by then.
    limit: Duration,
    /// As long as the system keeps the address here.
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

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taking {
    Nothing,
    Since(Instant),
    /// It was told that it has failed; what comes of it is given back.
    TooSlow,
}

impl Holder {
    /// Starts the thread. It keeps the address while the lease lasts, and ends when this is dropped.
    pub fn start(takeover: Takeover, lease: Arc<Lease>, limit: Duration) -> io::Result<Self> {
        let ((orders, receiver), (tell, done)) = (channel(), channel());
        let kept = Arc::new(Lease::new(Instant::now()));
        let hand = Hand { takeover, lease, kept: Arc::clone(&kept) };
        std::thread::Builder::new().name("lb-address".into()).spawn(move || hand.hold(&receiver, &tell))?;
        Ok(Self { orders, done, taking: Taking::Nothing, limit, kept })
    }

    /// Has the address taken, unless that is under way; true when it was not. What comes of it is told by
    /// [`taken`](Self::taken).
    pub fn take(&mut self, mode: TakeoverMode) -> bool {
        let begins = self.taking == Taking::Nothing && self.orders.send(HolderCommand::Take(mode)).is_ok();
        if begins {
            self.taking = Taking::Since(Instant::now());
        }
        begins
    }

    /// What came of taking the address, once; waits for it no longer than `patience`.
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

    /// False when the system no longer keeps an address that was taken.
    pub fn keeps(&self, now: Instant) -> bool {
        self.kept.lasts(now)
    }

    /// Has the address given back, and waits for it no longer than `patience`.
    pub fn give_back(&mut self, patience: Duration) {
        // What was done before is of no use any more.
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

/// What the thread has.
struct Hand {
    takeover: Takeover,
    /// Without it nobody answers on the address, and the kernel may take it away.
    lease: Arc<Lease>,
    kept: Arc<Lease>,
}

impl Hand {
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
            // Sockets stay.
            None => self.kept.forget(),
        }
    }
}
