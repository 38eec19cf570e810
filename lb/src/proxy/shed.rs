//! Load shedding: a connection over the limit gets a 503 at once, with a machine-readable reason,
//! instead of waiting in the accept queue.

use std::io;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::proxy::headers::Persistence;
use crate::proxy::local_reply::LocalReply;
use crate::wire::request_head::is_for_head;

/// Connections per thread that may be shed at the same time; the others wait in the accept queue.
pub const AT_ONCE_MAX: usize = 128;

/// How long a client may take to send its request, and then to read its reply.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes of the request that are read and discarded.
const READ_BYTES_MAX: u64 = 256 * 1024;

/// Answers a connection's first request with 503, and closes.
pub async fn shed(stream: TcpStream) {
    // A client that sends nothing, or goes away, needs no reply.
    if let Ok(Err(error)) = timeout(2 * PATIENCE, refuse(stream)).await {
        tracing::debug!(%error, "a client that was turned away did not wait for its answer");
    }
}

async fn refuse(mut stream: TcpStream) -> io::Result<()> {
    // A response that arrives before its request confuses clients.
    let mut first = [0; 1024];
    let asked = timeout(PATIENCE, stream.read(&mut first)).await;
    if !asked.is_ok_and(|read| read.is_ok_and(|bytes| bytes > 0)) {
        return Ok(());
    }
    let to_head = is_for_head(&first);
    let date = httpdate::fmt_http_date(SystemTime::now());
    let answer = LocalReply::Overloaded.raw_answer(date.as_bytes(), Persistence::Closed, to_head);
    stream.write_all(&answer).await?;
    stream.shutdown().await?;
    // Closing with unread bytes would reset the connection, and the reply would be lost.
    tokio::io::copy(&mut stream.take(READ_BYTES_MAX), &mut tokio::io::sink()).await?;
    Ok(())
}
