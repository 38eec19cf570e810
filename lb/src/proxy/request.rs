//! One request, and what happens to its connection afterwards.

use tokio::net::TcpStream;

use super::client::Client;
use crate::wire::{Fields, RequestHead};

/// A request whose head has been read.
#[derive(Debug)]
pub struct Request<'a> {
    /// The client that sent it.
    pub client: &'a Client,
    /// The client's socket: the request is read from it, and the response is written to it.
    pub stream: &'a mut TcpStream,
    /// Bytes received after the head.
    pub inbox: &'a mut Vec<u8>,
    /// The parsed head.
    pub head: &'a RequestHead,
    /// Reused storage for the fields of the response's head.
    pub fields: &'a mut Fields,
}

/// What happens to a client's connection after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It waits for the next request.
    Next,
    /// It is closed.
    Close,
    /// It is closed after a lingering close: part of the request is unread, and the client needs
    /// time to read its response.
    Linger,
    /// It is cut: the client notices because its response is incomplete.
    Cut,
    /// It is reset, because the client could not tell otherwise that its response is incomplete.
    Reset,
}
