//! Length-prefixed messages on a connection.

use std::io;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use machine::network::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

/// Maximum size of a message, in bytes: a batch of entries, or a chunk of a snapshot.
const BYTES_MAX: usize = 8 << 20;

/// Initial buffer size for a message, in bytes; most messages fit, and are not reallocated.
const ROOM_BYTES: usize = 512;

/// Maximum size of a message before authentication, in bytes.
const BYTES_MAX_BEFORE: usize = 4 << 10;

/// A connection that carries messages.
pub(super) struct Wire(Framed<Stream, LengthDelimitedCodec>);

impl Wire {
    pub(super) fn new(stream: Stream) -> Self {
        let mut codec = LengthDelimitedCodec::new();
        codec.set_max_frame_length(BYTES_MAX_BEFORE);
        Self(Framed::new(stream, codec))
    }

    /// Accepts longer messages, now that the other side is authenticated.
    pub(super) fn trust(&mut self) {
        self.0.codec_mut().set_max_frame_length(BYTES_MAX);
    }

    /// Queues a message; it is sent with the next [`flush`](Self::flush) at the latest.
    pub(super) async fn feed(&mut self, message: &impl Serialize) -> io::Result<()> {
        let bytes = postcard::to_extend(message, Vec::with_capacity(ROOM_BYTES)).map_err(io::Error::other)?;
        self.0.feed(Bytes::from(bytes)).await
    }

    /// Sends the queued messages.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        SinkExt::<Bytes>::flush(&mut self.0).await
    }

    /// Sends a message immediately.
    pub(super) async fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        self.feed(message).await?;
        self.flush().await
    }

    /// The next message; `None` if the other side closed the connection.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let Some(frame) = self.0.next().await else { return Ok(None) };
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        postcard::from_bytes(&frame?).map(Some).map_err(invalid)
    }
}
