//! State of one client connection.

use std::cell::Cell;
use std::rc::Rc;

use super::watchdog::Watch;
use super::worker::Worker;

/// State of one client connection.
#[derive(Debug)]
pub struct Client {
    /// The thread that serves it.
    pub worker: Rc<Worker>,
    /// Its phase and deadline.
    pub watch: Rc<Watch>,
    /// Its address, as requests carry it in `X-Forwarded-For`.
    pub forwarded_for: String,
    /// True while part of the current request's body is unread.
    pub unread: Cell<bool>,
}

impl Client {
    /// Makes sure that a buffer has room to read into.
    pub fn make_room(&self, buffer: &mut Vec<u8>) {
        if buffer.capacity() == 0 {
            *buffer = self.worker.buffers.take();
        }
    }
}
