//! Messages on a connection: each with its length before it.

use std::io;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use machine::network::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

/// The longest message, in bytes: a batch of entries, or a piece of a snapshot.
const BYTES_MAX: usize = 8 << 20;

/// Room that a message begins with: most fit, and are not moved while they are written.
const ROOM_BYTES: usize = 512;

/// The longest message of somebody who has not proved anything yet.
const BYTES_MAX_BEFORE: usize = 4 << 10;

/// A connection, message by message.
pub(super) struct Wire(Framed<Stream, LengthDelimitedCodec>);

impl Wire {
    pub(super) fn new(stream: Stream) -> Self {
        let mut codec = LengthDelimitedCodec::new();
        codec.set_max_frame_length(BYTES_MAX_BEFORE);
        Self(Framed::new(stream, codec))
    }

    /// The other side proved who it is: longer messages are taken.
    pub(super) fn trust(&mut self) {
        self.0.codec_mut().set_max_frame_length(BYTES_MAX);
    }

    /// Sends a message; it leaves with the next [`flush`](Self::flush) at the latest.
    pub(super) async fn feed(&mut self, message: &impl Serialize) -> io::Result<()> {
        let bytes = postcard::to_extend(message, Vec::with_capacity(ROOM_BYTES)).map_err(io::Error::other)?;
        self.0.feed(Bytes::from(bytes)).await
    }

    /// Sends what was fed.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        SinkExt::<Bytes>::flush(&mut self.0).await
    }

    /// Sends a message now.
    pub(super) async fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        self.feed(message).await?;
        self.flush().await
    }

    /// The next message; none when the other side hung up.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let Some(frame) = self.0.next().await else { return Ok(None) };
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        postcard::from_bytes(&frame?).map(Some).map_err(invalid)
    }
}
