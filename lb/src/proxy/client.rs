//! What belongs to one client's connection.

use std::cell::Cell;
use std::rc::Rc;

use super::watchdog::Watch;
use super::worker::Worker;

/// What belongs to one client's connection.
#[derive(Debug)]
pub struct Client {
    /// The thread it is served by.
    pub worker: Rc<Worker>,
    /// What it is doing, and for how long it may.
    pub watch: Rc<Watch>,
    /// Its address, as requests carry it in `X-Forwarded-For`.
    pub forwarded_for: String,
    /// True while some of the present request's body has not been read.
    pub unread: Cell<bool>,
}

impl Client {
    /// Makes sure that something can be read into a buffer.
    pub fn make_room(&self, buffer: &mut Vec<u8>) {
        if buffer.capacity() == 0 {
            *buffer = self.worker.buffers.take();
        }
    }
}
