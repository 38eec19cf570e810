//! Load shedding: answers a connection for which there is no room, and closes it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::network::Stream;

/// Connections that are answered at the same time; further ones are closed without a response. Each
/// is an open file.
pub(super) const AT_ONCE_MAX: usize = 16;

/// How long a client may take to send its request, and then to read its response.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes of the request that are read and discarded.
const READ_BYTES_MAX: u64 = 256 * 1024;

const ANSWER: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n\
connection: close\r\ncontent-length: 93\r\n\r\n\
{\"error\":\"overloaded\",\"detail\":\"all connections of this server are in use; try again later\"}\n";

/// Answers connections over the limit.
#[derive(Debug)]
pub(super) struct Shedder(Arc<Semaphore>);

impl Shedder {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE_MAX)))
    }

    /// Answers a connection's first request with 503, and closes.
    pub(super) fn shed(&self, stream: Stream) {
        let Ok(place) = Arc::clone(&self.0).try_acquire_owned() else { return };
        tokio::spawn(async move {
            // A client that sends nothing, or goes away, needs no response.
            if let Ok(Err(error)) = timeout(2 * PATIENCE, refuse(stream)).await {
                tracing::debug!(%error, "a client that was turned away did not wait for its answer");
            }
            drop(place);
        });
    }
}

async fn refuse(mut stream: Stream) -> io::Result<()> {
    // A response that arrives before its request confuses clients.
    let mut first = [0; 1024];
    let asked = timeout(PATIENCE, stream.read(&mut first)).await;
    if !asked.is_ok_and(|read| read.is_ok_and(|bytes| bytes > 0)) {
        return Ok(());
    }
    stream.write_all(ANSWER).await?;
    stream.shutdown().await?;
    // Closing with unread bytes would reset the connection, and the response would be lost.
    tokio::io::copy(&mut stream.take(READ_BYTES_MAX), &mut tokio::io::sink()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let text = std::str::from_utf8(ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
    }
}
