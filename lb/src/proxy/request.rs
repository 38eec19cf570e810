//! One request, and what its client's connection is worth after it.

use tokio::net::TcpStream;

use super::client::Client;
use crate::wire::{Fields, RequestHead};

/// A request whose head has come in.
#[derive(Debug)]
pub struct Request<'a> {
    /// Whose it is.
    pub client: &'a Client,
    /// Where it comes from, and its answer goes to.
    pub stream: &'a mut TcpStream,
    /// What has come after its head.
    pub inbox: &'a mut Vec<u8>,
    /// Its head.
    pub head: &'a RequestHead,
    /// Room for the lines of its answer's head.
    pub fields: &'a mut Fields,
}

/// What becomes of a client's connection after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It waits for the next one.
    Next,
    /// It is closed.
    Close,
    /// It is closed when the client has had time to read its answer: some of its request is unread.
    Linger,
    /// It is broken off: the client sees that from what is missing.
    Cut,
    /// It is reset: there is nothing else that the client could see it from.
    Reset,
}
