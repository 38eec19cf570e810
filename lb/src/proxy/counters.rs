//! What the threads count together.

use std::sync::atomic::{AtomicU64, Ordering};

use super::local_reply::LocalReply;

/// How often the balancer answered itself, by code.
#[derive(Debug, Default)]
pub struct Refused([AtomicU64; LocalReply::CODES.len()]);

impl Refused {
    /// Counts an answer of the balancer's own.
    pub fn count(&self, reply: LocalReply) {
        let index = LocalReply::CODES.binary_search(&reply.code());
        self.0[index.expect("every code is in the list")].fetch_add(1, Ordering::Relaxed);
    }

    /// Every code, and how often it was answered.
    pub fn by_code(&self) -> impl Iterator<Item = (&'static str, u64)> {
        LocalReply::CODES.into_iter().zip(self.0.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}

/// How often requests were tried again.
#[derive(Debug, Default)]
pub struct Retried {
    retries: AtomicU64,
    denied: AtomicU64,
}

impl Retried {
    /// Counts a request that was sent to another upstream.
    pub fn count(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// How many were sent to another upstream.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// How many the budget did not allow to be.
    pub fn denied(&self) -> u64 {
        self.denied.load(Ordering::Relaxed)
    }

    /// Counts one that the budget did not allow to be.
    pub fn count_denied(&self) {
        self.denied.fetch_add(1, Ordering::Relaxed);
    }
}
