//! A per-thread pool of buffers. A connection holds a buffer only while data moves, so ten thousand
//! idle connections cost next to nothing.

use std::cell::RefCell;

/// Capacity of a buffer, in bytes: large enough that a large body passes in few pieces.
const BYTES: usize = 32 * 1024;

/// Buffers kept in the pool; those that a burst leaves beyond this are freed.
const WAITING_MAX: usize = 64;

/// A pool of buffers.
#[derive(Debug, Default)]
pub struct Buffers {
    waiting: RefCell<Vec<Vec<u8>>>,
}

impl Buffers {
    /// Takes an empty buffer from the pool, or allocates one.
    pub fn take(&self) -> Vec<u8> {
        self.waiting.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(BYTES))
    }

    /// Returns a buffer to the pool and discards its content.
    pub fn give_back(&self, buffer: &mut Vec<u8>) {
        let mut buffer = std::mem::take(buffer);
        let mut waiting = self.waiting.borrow_mut();
        if (BYTES..=4 * BYTES).contains(&buffer.capacity()) && waiting.len() < WAITING_MAX {
            buffer.clear();
            waiting.push(buffer);
        }
    }
}
