//! What follows a protocol switch: bytes are copied in both directions until the tunnel has been
//! idle for too long.

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::proxy::client::Client;
use crate::proxy::stream::{self, Stop};
use crate::proxy::watchdog::Phase;

/// Copies bytes both ways, starting with those already received, until both sides have closed, one
/// has failed, or nothing has moved for too long.
pub async fn tunnel(
    client: &Client,
    below: &mut TcpStream,
    from_below: &mut Vec<u8>,
    above: &mut TcpStream,
    from_above: &mut Vec<u8>,
) {
    client.watch.enter(Phase::Tunnel);
    let (mut below_in, mut below_out) = below.split();
    let (mut above_in, mut above_out) = above.split();
    let up = one_way(client, &mut below_in, &mut above_out, from_below);
    let down = one_way(client, &mut above_in, &mut below_out, from_above);
    if let Err(stop) = tokio::try_join!(up, down) {
        tracing::debug!(?stop, "a tunnel broke off");
    }
}

async fn one_way<R, W>(client: &Client, from: &mut R, to: &mut W, bytes: &mut Vec<u8>) -> Result<(), Stop>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    loop {
        stream::write_all(to, bytes, &client.watch).await?;
        bytes.clear();
        client.make_room(bytes);
        if stream::read(from, bytes, &client.watch).await? == 0 {
            // Half-closed: the other direction may go on.
            return to.shutdown().await.map_err(Stop::Broken);
        }
        client.watch.note_progress();
    }
}
