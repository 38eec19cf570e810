//! The outgoing connection to another member: opened, used until it is lost, and opened again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use machine::names::Name;
use rand::RngExt;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::handshake::{self, Introduction, Reply, Side};
use super::wire::Wire;
use super::{HANDSHAKE_LIMIT, Identity, OUTBOX_MAX, Peer, Shared, agreement};
use crate::replication::input::Input;
use crate::replication::message::Envelope;

/// Pause before the next attempt, in milliseconds.
const PAUSE_MS: std::ops::Range<u64> = 20..120;

/// The connection counts as lost if nothing could be written for this long.
const STUCK: Duration = Duration::from_secs(2);

/// Keeps a connection to another member open, forever.
pub(super) async fn dial(shared: Arc<Shared>, peer: Peer, mut outbox: mpsc::Receiver<Envelope>) {
    // Resolved in the background: a container's name may have another address after a restart.
    let way = shared.network.name(&peer.address);
    let mut complaint = String::new();
    loop {
        match timeout(HANDSHAKE_LIMIT, connect(&shared, &peer, &way)).await {
            Ok(Ok((wire, other))) => {
                complaint.clear();
                tracing::info!(peer = &*peer.name, "connected");
                let Identity { name, agreement, .. } = &shared.identity;
                for remark in agreement::remarks((name, agreement), (&other.from, &other.agreement)) {
                    tracing::warn!("{remark}; this works, but is hardly ever intended");
                }
                shared.directory.learn(&other.from, &other.advertised);
                // Queued messages were meant for the previous connection.
                while outbox.try_recv().is_ok() {}
                let connected = Input::Connected { peer: peer.name.clone(), hello: other.hello() };
                if shared.tell.send(connected).await.is_err() {
                    return;
                }
                let lost = speak(wire, &mut outbox).await;
                tracing::info!(peer = &*peer.name, "connection lost: {lost}");
                if shared.tell.send(Input::Disconnected { peer: peer.name.clone() }).await.is_err() {
                    return;
                }
            }
            Ok(Err(error)) => complain(&mut complaint, &peer, &error),
            Err(_) => complain(&mut complaint, &peer, &io::ErrorKind::TimedOut.into()),
        }
        let pause = Duration::from_millis(rand::rng().random_range(PAUSE_MS));
        sleep(pause).await;
    }
}

/// Logs an error once, not for each attempt. Only errors that people can fix are warnings.
fn complain(before: &mut String, peer: &Peer, error: &io::Error) {
    let now = error.to_string();
    if *before == now {
        return;
    }
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            tracing::warn!(peer = &*peer.name, address = peer.address, "refused: {now}");
        }
        _ => tracing::info!(peer = &*peer.name, address = peer.address, "cannot be reached: {now}"),
    }
    *before = now;
}

async fn connect(shared: &Shared, peer: &Peer, way: &Name) -> io::Result<(Wire, Introduction)> {
    let refused = |why: String| io::Error::new(io::ErrorKind::PermissionDenied, why);
    let (stream, _) = shared.network.connect_to(way).await?;
    let mut wire = Wire::new(stream);
    let own = shared.introduction(&peer.name, rand::rng().random());
    wire.send(&own).await?;
    let (other, proof) = match hear(&mut wire).await? {
        Reply::Introduced(other, proof) => (other, proof),
        Reply::Refused(why) => return Err(refused(format!("it says: {why}"))),
    };
    let secret = &shared.identity.secret;
    let members = [peer.name.clone()];
    handshake::check(&own, &members, &other).map_err(refused)?;
    secret.check(proof, Side::Acceptor, &own, &other).map_err(refused)?;
    wire.send(&secret.prove(Side::Dialer, &own, &other)).await?;
    match hear::<Result<(), String>>(&mut wire).await? {
        Ok(()) => {
            wire.trust();
            Ok((wire, other))
        }
        Err(why) => Err(refused(format!("it says: {why}"))),
    }
}

async fn hear<T: serde::de::DeserializeOwned>(wire: &mut Wire) -> io::Result<T> {
    wire.next().await?.ok_or_else(|| io::ErrorKind::ConnectionAborted.into())
}

/// Sends messages until the connection is lost, and returns the reason.
async fn speak(mut wire: Wire, outbox: &mut mpsc::Receiver<Envelope>) -> io::Error {
    let mut envelopes = Vec::new();
    loop {
        tokio::select! {
            biased;
            // The other side sends nothing on this connection, so anything read means that it ends.
            heard = wire.next::<()>() => {
                return heard.err().unwrap_or_else(|| io::ErrorKind::ConnectionAborted.into());
            }
            count = outbox.recv_many(&mut envelopes, OUTBOX_MAX) => {
                if count == 0 {
                    return io::Error::other("this node is stopping");
                }
            }
        }
        let sending = async {
            for envelope in envelopes.drain(..) {
                wire.feed(&envelope).await?;
            }
            wire.flush().await
        };
        match timeout(STUCK, sending).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error,
            Err(_) => return io::ErrorKind::TimedOut.into(),
        }
    }
}
