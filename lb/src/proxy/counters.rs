//! Counters shared by all threads.

use std::sync::atomic::{AtomicU64, Ordering};

use super::local_reply::LocalReply;

/// Local replies, counted by code.
#[derive(Debug, Default)]
pub struct Refused([AtomicU64; LocalReply::CODES.len()]);

impl Refused {
    /// Counts a local reply.
    pub fn count(&self, reply: LocalReply) {
        let index = LocalReply::CODES.binary_search(&reply.code());
        self.0[index.expect("every code is in the list")].fetch_add(1, Ordering::Relaxed);
    }

    /// Every code, with its count.
    pub fn by_code(&self) -> impl Iterator<Item = (&'static str, u64)> {
        LocalReply::CODES.into_iter().zip(self.0.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}

/// Retries, and retries that the budget denied.
#[derive(Debug, Default)]
pub struct Retried {
    retries: AtomicU64,
    denied: AtomicU64,
}

impl Retried {
    /// Counts a retry.
    pub fn count(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Retries made.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Retries that the budget denied.
    pub fn denied(&self) -> u64 {
        self.denied.load(Ordering::Relaxed)
    }

    /// Counts a retry that the budget denied.
    pub fn count_denied(&self) {
        self.denied.fetch_add(1, Ordering::Relaxed);
    }
}
