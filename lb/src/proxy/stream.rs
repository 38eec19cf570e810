//! Reading and writing on sockets. The watchdog limits every wait.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::io::poll_read_buf;

use crate::proxy::watchdog::Watch;

/// Why a read or write stopped.
#[derive(Debug)]
pub enum Stop {
    /// The connection has been in its current phase for too long.
    TooLate,
    /// The other side has gone, or the system reported an error.
    Broken(io::Error),
}

/// Reads the available bytes into a buffer's spare capacity; returns 0 at the end of the stream.
pub async fn read<R>(from: &mut R, buffer: &mut Vec<u8>, watch: &Watch) -> Result<usize, Stop>
where
    R: AsyncRead + Unpin,
{
    std::future::poll_fn(|context| match poll_read_buf(Pin::new(from), context, buffer) {
        Poll::Ready(read) => Poll::Ready(read.map_err(Stop::Broken)),
        Poll::Pending if watch.is_expired() => Poll::Ready(Err(Stop::TooLate)),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// Writes everything. Each piece that the other side accepts counts as progress.
pub async fn write_all<W>(to: &mut W, mut bytes: &[u8], watch: &Watch) -> Result<(), Stop>
where
    W: AsyncWrite + Unpin,
{
    std::future::poll_fn(|context| {
        while !bytes.is_empty() {
            if watch.is_expired() {
                return Poll::Ready(Err(Stop::TooLate));
            }
            let written = ready!(Pin::new(&mut *to).poll_write(context, bytes)).map_err(Stop::Broken)?;
            if written == 0 {
                return Poll::Ready(Err(Stop::Broken(io::ErrorKind::WriteZero.into())));
            }
            bytes = &bytes[written..];
            watch.note_progress();
        }
        Poll::Ready(Ok(()))
    })
    .await
}

/// Waits until there is something to read, or the other side has closed. Needs no buffer. A
/// connection that is asked to leave stays if bytes have arrived that were not noticed yet.
pub async fn readable(stream: &TcpStream, watch: &Watch) -> Result<(), Stop> {
    std::future::poll_fn(|context| match stream.poll_read_ready(context) {
        Poll::Ready(ready) => Poll::Ready(ready.map_err(Stop::Broken)),
        Poll::Pending if watch.is_expired() => Poll::Ready(Err(Stop::TooLate)),
        Poll::Pending if watch.is_leaving() && !has_come(stream) => Poll::Ready(Err(Stop::TooLate)),
        Poll::Pending => Poll::Pending,
    })
    .await
}

fn has_come(stream: &TcpStream) -> bool {
    let mut byte = [MaybeUninit::uninit()];
    SockRef::from(stream).peek(&mut byte).is_ok_and(|bytes| bytes > 0)
}

/// Removes bytes from the beginning of a buffer.
pub fn consume(buffer: &mut Vec<u8>, bytes: usize) {
    if bytes == buffer.len() {
        buffer.clear();
    } else {
        buffer.drain(..bytes);
    }
}
