//! Memory: what requests hold, and the page cache, which gets the rest.
//!
//! Every request in flight holds memory. If load exceeds capacity, the queue grows without bound,
//! and so does the memory it holds, until the machine is out of memory. That is how an overloaded
//! machine dies here; there is no rule such as "at 95 %".
#![deny(clippy::disallowed_methods)]

use std::collections::HashMap;

use lru::LruCache;

/// The memory of a machine.
#[derive(Debug)]
pub struct Memory {
    limit: u64,
    held: HashMap<u64, u64>,
    held_total: u64,
    page_size: u64,
    /// The page cache, as an LRU list; bounded by the memory that is not held.
    pages: LruCache<u64, ()>,
    page_hits: u64,
    page_misses: u64,
}

/// A request exceeds the machine's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("out of memory: {held} bytes held of {limit}, {asked} more asked for")]
pub struct OutOfMemory {
    /// Bytes held before.
    pub held: u64,
    /// The size of the memory, in bytes.
    pub limit: u64,
    /// Bytes requested.
    pub asked: u64,
}

impl Memory {
    /// Creates empty memory of this size, in bytes.
    pub fn new(limit: u64, page_size: u64) -> Self {
        Self {
            limit,
            held: HashMap::new(),
            held_total: 0,
            page_size,
            pages: LruCache::unbounded(),
            page_hits: 0,
            page_misses: 0,
        }
    }

    /// Takes (`bytes` > 0) or releases (`bytes` < 0) memory. The page cache shrinks accordingly.
    pub fn hold(&mut self, connection: u64, bytes: i64) -> Result<(), OutOfMemory> {
        let before = self.held.entry(connection).or_default();
        let after = before.saturating_add_signed(bytes);
        let total = self.held_total - *before + after;
        if bytes > 0 && total > self.limit {
            let asked = bytes.unsigned_abs();
            return Err(OutOfMemory { held: self.held_total, limit: self.limit, asked });
        }
        *before = after;
        self.held_total = total;
        self.evict();
        Ok(())
    }

    /// Releases the memory of a process that is gone.
    pub fn forget(&mut self, connection: u64) {
        self.held_total -= self.held.remove(&connection).unwrap_or(0);
    }

    /// Reads a page: returns true if it was in the page cache. If not, it is now.
    pub fn touch(&mut self, page: u64) -> bool {
        let hit = self.pages.get(&page).is_some();
        if hit {
            self.page_hits += 1;
        } else {
            self.page_misses += 1;
            self.pages.put(page, ());
            self.evict();
        }
        hit
    }

    /// Puts pages into the cache without counting them as reads.
    pub fn warm(&mut self, pages: std::ops::Range<u64>) {
        // Only the last ones can stay, so only those are inserted.
        let first = pages.end.saturating_sub(self.room_in_pages()).max(pages.start);
        for page in first..pages.end {
            self.pages.put(page, ());
        }
        self.evict();
    }

    /// Bytes held.
    pub fn held(&self) -> u64 {
        self.held_total
    }

    /// The size of the memory, in bytes.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Reads that hit the page cache.
    pub fn page_hits(&self) -> u64 {
        self.page_hits
    }

    /// Reads that missed the page cache.
    pub fn page_misses(&self) -> u64 {
        self.page_misses
    }

    fn room_in_pages(&self) -> u64 {
        (self.limit - self.held_total.min(self.limit)) / self.page_size
    }

    fn evict(&mut self) {
        let room = self.room_in_pages();
        while self.pages.len() as u64 > room {
            self.pages.pop_lru();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_shared_by_the_processes_of_a_machine() {
        let mut memory = Memory::new(100, 10);
        assert_eq!(memory.hold(1, 60), Ok(()));
        assert_eq!(memory.hold(2, 50), Err(OutOfMemory { held: 60, limit: 100, asked: 50 }));
        assert_eq!(memory.hold(1, -30), Ok(()));
        assert_eq!(memory.hold(2, 50), Ok(()));
        memory.forget(2);
        assert_eq!(memory.held(), 30);
    }

    #[test]
    fn a_page_is_a_hit_until_it_is_the_least_recently_used() {
        let mut memory = Memory::new(30, 10);
        assert!(!memory.touch(1));
        assert!(!memory.touch(2));
        assert!(!memory.touch(3));
        assert!(memory.touch(1));
        assert!(!memory.touch(4), "a fourth page does not fit beside three");
        assert!(memory.touch(1));
        assert!(!memory.touch(2), "page 2 had to go for page 4");
    }

    #[test]
    fn what_requests_hold_is_taken_from_the_page_cache() {
        let mut memory = Memory::new(30, 10);
        memory.warm(0..3);
        assert_eq!(memory.hold(1, 20), Ok(()));
        assert!(memory.touch(2));
        assert!(!memory.touch(1));
    }

    #[test]
    fn uniform_reads_hit_in_proportion_to_what_fits() {
        let mut memory = Memory::new(250, 1);
        memory.warm(0..1000);
        let mut page = 1_u64;
        for _ in 0..100_000 {
            page = page.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            memory.touch((page >> 33) % 1000);
        }
        let share = memory.page_hits() as f64 / 100_000.0;
        assert!((share - 0.25).abs() < 0.01, "hit share {share}");
    }
}
