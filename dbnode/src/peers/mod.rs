//! How nodes reach each other. Each node opens a connection of its own to every other and speaks
//! on it; the other only listens. So what a node says arrives in order, and a link between two
//! nodes can be cut in one direction.
//!
//! ```text
//! dialer   Hello ──────────>             who I am, whom I want, a number
//!                <────────── Hello       who I am, a number, and the proof that I know the secret
//!          Proof ──────────>             that I know it too
//!                <────────── Welcome     or why not
//!          Envelope, Envelope, … ─────>
//! ```
//!
//! The proofs bind names, data directories and both numbers to the cluster's secret. What follows
//! is not encrypted: the network between databases is private, or a tunnel makes it so.

/// Where connections of the others come in.
mod accept;
mod agreement;
/// A connection to one of the others.
mod dial;
/// Who is where, to clients.
pub mod directory;
mod handshake;
/// Those who have not proved who they are.
mod strangers;
/// Messages on a connection.
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use machine::network::{Accept, Network};
use machine::steps::Steps;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::replication::input::{Hello, Input};
use crate::replication::life::Life;
use crate::replication::member::{ClusterId, Name};
use crate::replication::message::Envelope;
pub use agreement::Agreement;
pub use directory::Directory;
pub use handshake::Secret;

/// Messages that may wait for their connection.
const OUTBOX_MAX: usize = 1_024;

/// What was heard from the others and the driver has not looked at yet.
const INBOX_MAX: usize = 1_024;

/// How long a connection and its handshake may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(3);

/// Who this node is to the others.
#[derive(Debug, Clone)]
pub struct Identity {
    /// What it is called.
    pub name: Name,
    /// Which start of which data directory it is.
    pub life: Arc<Life>,
    /// What it was given, and the others must be given too.
    pub agreement: Agreement,
    /// Where clients reach it: `host:port`.
    pub advertised: String,
    /// What the members know and nobody else.
    pub secret: Secret,
}

/// One of the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// What it is called.
    pub name: Name,
    /// Where it listens for the others: `host:port`.
    pub address: String,
}

/// Tells which cluster this node belongs to, at the moment.
pub type WhichCluster = Arc<dyn Fn() -> Option<ClusterId> + Send + Sync>;

/// The ways to and from the others.
#[derive(Debug)]
pub struct Peers {
    outboxes: BTreeMap<Name, mpsc::Sender<Envelope>>,
    heard: mpsc::Receiver<Input>,
}

impl Peers {
    /// A node without others.
    pub fn none() -> Self {
        Self { outboxes: BTreeMap::new(), heard: mpsc::channel(1).1 }
    }

    /// Opens ways to the others, and lets them in, until `stop`.
    #[allow(clippy::too_many_arguments, reason = "each is used, and nothing else would hold them together")]
    pub fn open(
        identity: Identity,
        peers: Vec<Peer>,
        listener: Box<dyn Accept>,
        network: Network,
        cluster: WhichCluster,
        directory: Directory,
        steps: Steps,
        stop: CancellationToken,
    ) -> Self {
        let (tell, heard) = mpsc::channel(INBOX_MAX);
        let shared = Arc::new(Shared { identity, cluster, directory, network, steps, tell });
        let names = peers.iter().map(|peer| peer.name.clone()).collect();
        let mut outboxes = BTreeMap::new();
        for peer in peers {
            let (sender, outbox) = mpsc::channel(OUTBOX_MAX);
            outboxes.insert(peer.name.clone(), sender);
            let (shared, steps) = (Arc::clone(&shared), shared.steps.clone());
            let dialing = dial::dial(shared, peer, outbox);
            let dialing = async move { steps.watch("what is said to another node", dialing).await };
            tokio::spawn(stop.clone().run_until_cancelled_owned(dialing));
        }
        let accepting = accept::accept(shared, names, listener, stop.clone());
        tokio::spawn(stop.run_until_cancelled_owned(accepting));
        Self { outboxes, heard }
    }

    /// Sends a message, if there is a way.
    pub fn send(&self, to: &Name, envelope: Envelope) {
        if let Some(outbox) = self.outboxes.get(to) {
            // A full queue is a way on which nothing moves. The core expects messages to be lost.
            let _ = outbox.try_send(envelope);
        }
    }

    /// What is heard next, with all that was heard with it; for ever nothing, without others.
    pub async fn hear(&mut self, heard: &mut Vec<Input>) {
        if self.heard.recv_many(heard, INBOX_MAX).await == 0 {
            std::future::pending::<()>().await;
        }
    }
}

/// What all connections know.
struct Shared {
    identity: Identity,
    cluster: WhichCluster,
    directory: Directory,
    network: Network,
    steps: Steps,
    tell: mpsc::Sender<Input>,
}

impl Shared {
    fn introduction(&self, to: &Name, nonce: [u8; 32]) -> handshake::Introduction {
        let Identity { name, life, agreement, advertised, .. } = &self.identity;
        handshake::Introduction {
            version: handshake::VERSION,
            from: name.clone(),
            to: to.clone(),
            life: Arc::clone(life),
            cluster: (self.cluster)(),
            agreement: *agreement,
            advertised: advertised.clone(),
            nonce,
        }
    }
}

impl handshake::Introduction {
    fn hello(&self) -> Hello {
        Hello { life: Arc::clone(&self.life), cluster: self.cluster }
    }
}
