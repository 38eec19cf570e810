//! Accepts connections from the other members.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use machine::network::{Accept, Stream};
use parking_lot::Mutex;
use rand::RngExt;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::handshake::{self, Introduction, Proof, Reply, Side};
use super::strangers::{Stranger, Strangers};
use super::wire::Wire;
use super::{HANDSHAKE_LIMIT, Shared};
use crate::replication::input::Input;
use crate::replication::life::Life;
use crate::replication::member::Name;
use crate::replication::message::Envelope;

/// Maximum number of open connections; there are only a few members, with one connection each.
const CONNECTIONS_MAX: usize = 64;

/// A member heard from this recently is alive, and no other node may use its name.
const ALIVE: Duration = Duration::from_secs(2);

/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// For each name, the start of the directory that uses it, and when it was last heard from.
type Speakers = Mutex<BTreeMap<Name, (Arc<Life>, Instant)>>;

/// Accepts connections from the other members, forever.
pub(super) async fn accept(
    shared: Arc<Shared>,
    members: Vec<Name>,
    listener: Box<dyn Accept>,
    stop: CancellationToken,
) {
    let members: Arc<[Name]> = members.into();
    let speakers = Arc::new(Speakers::default());
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let strangers = Strangers::default();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection of another node could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if places.available_permits() == 0 {
            strangers.send_oldest_away().await;
        }
        let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
        let (shared, members, speakers) = (Arc::clone(&shared), Arc::clone(&members), Arc::clone(&speakers));
        let stranger = strangers.enter();
        let listening = async move {
            let (_place, leave) = (place, stranger.leave());
            let listening = listen(&shared, &members, &speakers, stream, stranger);
            let listening = shared.steps.watch("what another node says", listening);
            match leave.run_until_cancelled(listening).await {
                Some(Err(error)) => tracing::debug!(%error, "a connection of another node ended"),
                Some(Ok(())) => {}
                None => {
                    tracing::debug!("an unauthenticated connection was closed to make room for another one")
                }
            }
        };
        tokio::spawn(stop.clone().run_until_cancelled_owned(listening));
    }
}

async fn listen(
    shared: &Shared,
    members: &[Name],
    speakers: &Speakers,
    stream: Stream,
    stranger: Stranger,
) -> io::Result<()> {
    let mut wire = Wire::new(stream);
    let Ok(greeted) = timeout(HANDSHAKE_LIMIT, greet(shared, members, speakers, &mut wire)).await else {
        return Err(io::ErrorKind::TimedOut.into());
    };
    let other = greeted?;
    drop(stranger);
    wire.trust();
    shared.directory.learn(&other.from, &other.advertised);
    while let Some(envelope) = wire.next::<Envelope>().await? {
        let (from, life) = (other.from.clone(), Arc::clone(&other.life));
        speakers.lock().insert(from.clone(), (Arc::clone(&life), Instant::now()));
        if shared.tell.send(Input::Received { from, life, envelope }).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Performs the handshake, and returns the verified introduction of the other side.
async fn greet(
    shared: &Shared,
    members: &[Name],
    speakers: &Speakers,
    wire: &mut Wire,
) -> io::Result<Introduction> {
    let gone = || io::Error::from(io::ErrorKind::ConnectionAborted);
    let other: Introduction = wire.next().await?.ok_or_else(gone)?;
    let own = shared.introduction(&other.from, rand::rng().random());
    if let Err(why) = handshake::check(&own, members, &other) {
        wire.send(&Reply::Refused(why.clone())).await?;
        tracing::warn!(from = &*other.from, "a connection was refused: {why}");
        return Err(io::Error::other(why));
    }
    let secret = &shared.identity.secret;
    let proof = secret.prove(Side::Acceptor, &other, &own);
    wire.send(&Reply::Introduced(own.clone(), proof)).await?;
    let theirs: Proof = wire.next().await?.ok_or_else(gone)?;
    let checked = secret.check(theirs, Side::Dialer, &other, &own);
    let checked = checked.and_then(|()| the_only_one(speakers, &other));
    wire.send(&checked).await?;
    if let Err(why) = &checked {
        tracing::warn!(from = &*other.from, "a connection was refused: {why}");
    }
    checked.map(|()| other).map_err(io::Error::other)
}

/// Rejects a second node with the same name while the first is alive.
fn the_only_one(speakers: &Speakers, other: &Introduction) -> Result<(), String> {
    match speakers.lock().get(&other.from) {
        Some((life, heard)) if !other.life.follows(life) && heard.elapsed() < ALIVE => {
            Err(format!("another node called '{}' is connected; give each node its own name", other.from))
        }
        _ => Ok(()),
    }
}
