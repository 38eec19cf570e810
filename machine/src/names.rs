//! Resolves names in the background and remembers the results: one record per name, shared by all its users.
//!
//! A name is looked up at regular intervals; a connection uses the most recent addresses and does not wait for a
//! lookup. So a name server that is slow, silent or failing for a while breaks nothing, an address that changes is
//! followed, and health checks and requests go to the same machine. Only a name that has never been resolved is
//! unusable; connecting to it fails with `NameUnknown`.

/// Connects to one of several addresses (happy eyeballs).
mod dial;
/// A single lookup.
mod lookup;
mod record;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

pub use dial::dial;
use lookup::LookUp;
pub use lookup::find;
use record::{News, Record, Standing};

/// Names kept in memory without a user. A configuration has far fewer.
const REMEMBERED_MAX: usize = 64;

/// Resolves names, with one lookup for all users of a name. Cheap to clone; clones share their memory.
#[derive(Debug, Clone)]
pub struct Resolver(Arc<Memory>);

#[derive(Debug)]
struct Memory {
    look_up: LookUp,
    names: Mutex<HashMap<String, Name>>,
}

/// A `HOST:PORT` and the addresses that it resolves to. Cheap to clone; clones share the result.
#[derive(Debug, Clone)]
pub struct Name(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    text: String,
    is_address: bool,
    /// A copy of `record`'s standing, for lock-free reads.
    published: ArcSwap<Standing>,
    record: Mutex<Record>,
    changed: watch::Sender<()>,
    /// Notified when the addresses may be out of date.
    doubted: Arc<Notify>,
}

/// A name has never been resolved. No machine was contacted, so none is to blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the name in '{name}' leads nowhere: {why}; correct it, or make it known to the name server or in /etc/hosts"
)]
pub struct NameUnknown {
    /// `HOST:PORT`.
    pub name: String,
    /// The resolver's latest error.
    pub why: Arc<str>,
}

impl NameUnknown {
    /// True if this is the cause of an error.
    pub fn caused(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|cause| cause.is::<Self>())
    }
}

impl From<NameUnknown> for io::Error {
    fn from(unknown: NameUnknown) -> Self {
        Self::new(io::ErrorKind::NotFound, unknown)
    }
}

impl Resolver {
    /// Creates a resolver that uses the system's.
    pub fn system() -> Self {
        Self::new(find)
    }

    /// Creates a resolver that looks names up with this function, which may block.
    pub fn new(find: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> Self {
        let look_up = LookUp::new(Arc::new(find));
        Self(Arc::new(Memory { look_up, names: Mutex::default() }))
    }

    /// Returns the name for a `HOST:PORT`. A new name is looked up periodically in a task of the current runtime, for
    /// as long as the resolver or a user holds it. An IP address resolves to itself.
    pub fn name(&self, text: &str) -> Name {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Name::from(address);
        }
        let mut names = self.0.names.lock();
        if names.len() >= REMEMBERED_MAX && !names.contains_key(text) {
            names.retain(|_, name| name.is_held());
        }
        let new = || Name::followed(text, self.0.look_up.clone());
        names.entry(text.to_owned()).or_insert_with(new).clone()
    }
}

impl From<SocketAddr> for Name {
    fn from(address: SocketAddr) -> Self {
        let mut record = Record::new();
        record.answered(Ok(vec![address]));
        Self::new(&address.to_string(), record)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.text)
    }
}

impl Name {
    fn new(text: &str, record: Record) -> Self {
        Self(Arc::new(Shared {
            text: text.to_owned(),
            is_address: matches!(record.standing(), Standing::Known(_)),
            published: ArcSwap::from_pointee(record.standing().clone()),
            record: Mutex::new(record),
            changed: watch::Sender::new(()),
            doubted: Arc::default(),
        }))
    }

    fn followed(text: &str, look_up: LookUp) -> Self {
        let name = Self::new(text, Record::new());
        tokio::spawn(follow(Arc::downgrade(&name.0), Arc::clone(&name.0.doubted), text.to_owned(), look_up));
        name
    }

    /// True if anything other than the resolver holds it.
    fn is_held(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// True if it is an IP address, which resolves to itself.
    pub fn is_address(&self) -> bool {
        self.0.is_address
    }

    /// All its addresses, the one in use first; empty if there are none.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        match &**self.0.published.load() {
            Standing::Known(addresses) => addresses.to_vec(),
            Standing::Asking | Standing::Unknown(_) => Vec::new(),
        }
    }

    /// The address in use, if there is one.
    pub fn current(&self) -> Option<SocketAddr> {
        match &**self.0.published.load() {
            Standing::Known(addresses) => addresses.first().copied(),
            Standing::Asking | Standing::Unknown(_) => None,
        }
    }

    /// True if it has an address.
    pub fn is_known(&self) -> bool {
        self.current().is_some()
    }

    /// Waits for the first lookup to end, however long that takes, and returns all addresses, the one in use first.
    pub async fn known(&self) -> Result<Arc<[SocketAddr]>, NameUnknown> {
        let mut changes = self.0.changed.subscribe();
        loop {
            match &**self.0.published.load() {
                Standing::Known(addresses) => return Ok(Arc::clone(addresses)),
                Standing::Unknown(why) => {
                    return Err(NameUnknown { name: self.0.text.clone(), why: Arc::clone(why) });
                }
                Standing::Asking => {}
            }
            // The sender lives as long as `self` does.
            let _ = changes.changed().await;
        }
    }

    /// Returns once the name has an address.
    pub async fn found(&self) {
        let mut changes = self.0.changed.subscribe();
        while !self.is_known() {
            // The sender lives as long as `self` does.
            let _ = changes.changed().await;
        }
    }

    /// Returns once this address is no longer the one in use.
    pub async fn leaves(&self, address: SocketAddr) {
        let mut changes = self.0.changed.subscribe();
        while self.current() == Some(address) {
            // The sender lives as long as `self` does.
            let _ = changes.changed().await;
        }
    }

    /// Connects to one of its addresses, and returns which: the one in use if it accepts, otherwise the next, which
    /// is in use from then on. If none accepts, the name is looked up again soon. There is no overall time limit.
    pub async fn connect<T, F>(&self, connect: impl Fn(SocketAddr) -> F) -> io::Result<(T, SocketAddr)>
    where
        F: Future<Output = io::Result<T>>,
    {
        let mut doubt = Doubt(Some(&self.0.doubted));
        let addresses = self.known().await?;
        let (stream, address) = dial(&addresses, connect).await?;
        doubt.0 = None;
        if addresses[0] != address {
            self.change(|record| record.connected(address));
        }
        Ok((stream, address))
    }

    /// Publishes the record if the change has an effect.
    fn change(&self, change: impl FnOnce(&mut Record) -> bool) {
        let mut record = self.0.record.lock();
        if change(&mut record) {
            self.0.published.store(Arc::new(record.standing().clone()));
            self.0.changed.send_replace(());
        }
    }

    fn take_in(&self, answer: Result<Vec<SocketAddr>, String>) {
        let mut news = None;
        self.change(|record| {
            let before = record.standing().clone();
            news = record.answered(answer);
            *record.standing() != before
        });
        let (name, addresses) = (&self.0.text, self.addresses());
        match news {
            None => {}
            Some(News::Unknown(why)) => {
                tracing::warn!(name, %why, "the name leads nowhere; going on without it until it does");
            }
            Some(News::Kept(why)) => {
                tracing::info!(name, %why, ?addresses, "cannot look the name up; going on with its last addresses");
            }
            Some(News::Found) => tracing::info!(name, ?addresses, "the name leads somewhere now"),
            Some(News::Moved) => tracing::info!(name, ?addresses, "the name leads elsewhere now"),
            Some(News::FoundAgain) => tracing::info!(name, ?addresses, "the name can be looked up again"),
        }
    }
}

/// Triggers a new lookup when dropped: a connection to the name failed, or was given up.
struct Doubt<'a>(Option<&'a Notify>);

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if let Some(doubted) = self.0 {
            doubted.notify_one();
        }
    }
}

/// Looks a name up periodically, for as long as it has users.
async fn follow(name: Weak<Shared>, doubted: Arc<Notify>, text: String, look_up: LookUp) {
    loop {
        let answer = look_up.run(&text).await;
        let ended = Instant::now().into_std();
        let (soon, later) = {
            let Some(name) = name.upgrade().map(Name) else { return };
            name.take_in(answer);
            let record = name.0.record.lock();
            (record.next_look_up(ended, true), record.next_look_up(ended, false))
        };
        sleep_until(soon.into()).await;
        // Wait for the next lookup, or for a doubt, including one that arose in the meantime.
        let _ = timeout_at(later.into(), doubted.notified()).await;
    }
}

#[cfg(test)]
mod tests;
