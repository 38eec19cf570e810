//! The writes that had a name, so that each has effect once: the newest of them, and not for ever.
//! They are part of the state, so that they survive a crash, and a primary.

#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, VecDeque};

use super::effect::Written;
use super::entry::Request;
use super::input::RequestId;
use dbclient::Version;

/// The newest writes that had a name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requests {
    remembered: BTreeMap<RequestId, Remembered>,
    /// The oldest first.
    order: VecDeque<(Version, RequestId)>,
}

/// A write that had a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered {
    /// Stands for what was wanted.
    pub fingerprint: u64,
    /// What it came to.
    pub written: Written,
}

impl Remembered {
    /// What is remembered of a write that had this version.
    pub fn new(request: &Request, version: Version) -> Self {
        let written = Written { version, sum: request.sum };
        Self { fingerprint: request.fingerprint, written }
    }
}

impl Requests {
    /// How many are remembered.
    pub const MAX: usize = 100_000;

    /// Remembers one more, and forgets the oldest when there are too many.
    pub fn remember(&mut self, request: &Request, version: Version) {
        self.remembered.insert(request.id.clone(), Remembered::new(request, version));
        self.order.push_back((version, request.id.clone()));
        if self.order.len() > Self::MAX
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.remembered.remove(&oldest);
        }
    }

    /// The writes after a version, the oldest first.
    pub fn after(&self, version: Version) -> impl Iterator<Item = (Version, Request)> {
        let first = self.order.partition_point(|(one, _)| *one <= version);
        self.order.range(first..).filter_map(|(version, id)| {
            let Remembered { fingerprint, written } = *self.remembered.get(id)?;
            Some((*version, Request { id: id.clone(), fingerprint, sum: written.sum }))
        })
    }

    /// What became of a write.
    pub fn get(&self, id: &str) -> Option<&Remembered> {
        self.remembered.get(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_when_there_are_too_many() {
        let mut requests = Requests::default();
        for index in 0..=Requests::MAX as u64 {
            let request = Request { id: index.to_string().into(), fingerprint: 0, sum: None };
            requests.remember(&request, Version(index));
        }
        assert!(requests.get("0").is_none());
        assert!(requests.get("1").is_some());
        assert_eq!(requests.remembered.len(), Requests::MAX);
    }
}
