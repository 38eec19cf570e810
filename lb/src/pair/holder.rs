//! Holds the address, on a thread of its own: the system's programs may take their time, and the thread that keeps
//! the lease has none to lose.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::duty::Manner;
use super::lease::Lease;
use super::takeover::{Takeover, TakeoverError};

/// How often it looks whether the address is to be renewed.
const TICK: Duration = Duration::from_millis(50);

/// What came of taking the address.
pub type Taken = Result<Vec<TcpListener>, TakeoverError>;

/// The way to the thread.
#[derive(Debug)]
pub struct Holder {
    orders: Sender<Order>,
    done: Receiver<Done>,
    is_taking: bool,
}

#[derive(Debug)]
enum Order {
    Take(Manner),
    GiveBack,
}

#[derive(Debug)]
enum Done {
    Taken(Taken),
    GivenBack,
}

impl Holder {
    /// Starts the thread. It keeps the address while the lease lasts, and ends when this is dropped.
    pub fn start(takeover: Takeover, lease: Arc<Lease>) -> io::Result<Self> {
        let ((orders, receiver), (tell, done)) = (channel(), channel());
        std::thread::Builder::new()
            .name("lb-address".into())
            .spawn(move || hold(takeover, &lease, &receiver, &tell))?;
        Ok(Self { orders, done, is_taking: false })
    }

    /// Has the address taken, unless that is under way; true when it was not. What comes of it is told by
    /// [`taken`](Self::taken).
    pub fn take(&mut self, manner: Manner) -> bool {
        let begins = !self.is_taking;
        if begins {
            self.is_taking = self.orders.send(Order::Take(manner)).is_ok();
        }
        begins
    }

    /// What came of taking the address, once; waits for it no longer than `patience`.
    pub fn taken(&mut self, patience: Duration) -> Option<Taken> {
        let end = Instant::now() + patience;
        while self.is_taking {
            match self.done.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(Done::Taken(taken)) => {
                    self.is_taking = false;
                    return Some(taken);
                }
                Ok(Done::GivenBack) => {}
                Err(_) => return None,
            }
        }
        None
    }

    /// Has the address given back, and waits for it no longer than `patience`.
    pub fn give_back(&mut self, patience: Duration) {
        // What was done before is of no use any more.
        while let Ok(done) = self.done.try_recv() {
            self.is_taking &= matches!(done, Done::GivenBack);
        }
        // A thread that has ended holds nothing: the kernel takes the address away.
        if self.orders.send(Order::GiveBack).is_err() || patience.is_zero() {
            return;
        }
        let end = Instant::now() + patience;
        while let Ok(Done::Taken(_)) = self.done.recv_timeout(end.saturating_duration_since(Instant::now())) {
            self.is_taking = false;
        }
    }
}

fn hold(mut takeover: Takeover, lease: &Lease, orders: &Receiver<Order>, tell: &Sender<Done>) {
    loop {
        let done = match orders.recv_timeout(TICK) {
            Ok(Order::Take(manner)) => Some(Done::Taken(takeover.take(manner))),
            Ok(Order::GiveBack) => {
                takeover.give_back();
                Some(Done::GivenBack)
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if done.is_some_and(|done| tell.send(done).is_err()) {
            return;
        }
        // Without a lease nobody answers on it, and the kernel takes it away.
        if lease.lasts(Instant::now()) {
            takeover.renew(Instant::now());
        }
    }
}
