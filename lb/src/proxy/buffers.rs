//! Buffers that wait for their next use: one thread's. A connection has one only while something
//! moves, so ten thousand idle ones cost next to nothing.

use std::cell::RefCell;

/// Bytes a buffer has room for. Large enough that a large body goes through in few pieces.
const BYTES: usize = 32 * 1024;

/// More than so many wait only after a burst; the rest is given back.
const WAITING_MAX: usize = 64;

/// Buffers that wait for their next use.
#[derive(Debug, Default)]
pub struct Buffers {
    waiting: RefCell<Vec<Vec<u8>>>,
}

impl Buffers {
    /// An empty buffer with room in it.
    pub fn take(&self) -> Vec<u8> {
        self.waiting.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(BYTES))
    }

    /// Gives a buffer back. What is in it is forgotten.
    pub fn give_back(&self, buffer: &mut Vec<u8>) {
        let mut buffer = std::mem::take(buffer);
        let mut waiting = self.waiting.borrow_mut();
        if (BYTES..=4 * BYTES).contains(&buffer.capacity()) && waiting.len() < WAITING_MAX {
            buffer.clear();
            waiting.push(buffer);
        }
    }
}
