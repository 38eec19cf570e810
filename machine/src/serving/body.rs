//! Reads a request's body, within limits of size, time and memory.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body::Body;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::budget::Share;
use super::connection::Connection;

/// The limits of a body.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// The largest size, in bytes.
    pub bytes: usize,
    /// The longest time that it may take to arrive.
    pub time: Duration,
}

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It exceeds the size limit.
    #[error("the body is too large")]
    TooLarge,
    /// It did not arrive in time, or it was slow while other bodies waited for the memory that it holds.
    #[error("the body came too slowly")]
    TooSlow,
    /// Too many bodies are arriving.
    #[error("too many bodies are arriving at the same time")]
    Overloaded,
    /// The connection ended before the body was complete, or it is malformed.
    #[error("the body broke off: {0}")]
    Broken(String),
}

/// Reads the whole body of a request. If this server's [accept loop](super::serve) accepted the request, the
/// body shares memory with the other bodies that are arriving.
pub async fn read<B>(request: Request<B>, limits: BodyLimits) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes, Error: std::fmt::Display> + Unpin,
{
    let connection = request.extensions().get::<Arc<Connection>>().cloned();
    let body = request.into_body();
    let size = body.size_hint();
    if size.lower() > limits.bytes as u64 {
        return Err(BodyError::TooLarge);
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let announced = size.exact().and_then(|bytes| usize::try_from(bytes).ok());
    let due = Instant::now() + limits.time;
    let Some(connection) = connection else {
        return receive(body, announced, limits.bytes, sleep_until(due)).await;
    };
    let receiving = connection.receiving();
    let share = connection.table().bodies.take(announced.unwrap_or(limits.bytes));
    let share: Share = timeout_at(due, share).await.map_err(|_| BodyError::Overloaded)?;
    let too_slow = async {
        tokio::select! {
            () = sleep_until(due) => {}
            () = share.is_wanted_back() => {}
        }
    };
    let bytes = receive(body, announced, limits.bytes, too_slow).await;
    drop(receiving);
    bytes
}

async fn receive<B>(
    mut body: B,
    announced: Option<usize>,
    bytes_max: usize,
    too_slow: impl Future<Output = ()>,
) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes, Error: std::fmt::Display> + Unpin,
{
    // Copied together, because each piece is a slice of a much larger buffer, which would stay in memory as
    // long as the piece does.
    let mut bytes = Vec::with_capacity(announced.unwrap_or(0));
    let mut too_slow = pin!(too_slow);
    loop {
        let next = poll_fn(|context| Pin::new(&mut body).poll_frame(context));
        let frame = tokio::select! {
            biased;
            frame = next => frame,
            () = &mut too_slow => return Err(BodyError::TooSlow),
        };
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|error| BodyError::Broken(error.to_string()))?;
        // Trailers are ignored.
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > bytes_max {
            return Err(BodyError::TooLarge);
        }
        bytes.extend_from_slice(&data);
        if body.is_end_stream() {
            break;
        }
    }
    bytes.shrink_to_fit();
    Ok(bytes.into())
}
