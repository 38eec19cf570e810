//! Connections between nodes. Each node opens its own connection to every other node and sends on
//! it; the other side only receives. So the messages of a node arrive in order, and a link between
//! two nodes can be cut in one direction.
//!
//! ```text
//! dialer   Introduction ───────>                  my name, yours, a nonce
//!                       <─────── Introduction     my name, a nonce, and my proof of the secret
//!          Proof        ───────>                  my proof of the secret
//!                       <─────── Ok               or the reason for a refusal
//!          Envelope, Envelope, … ─────>
//! ```
//!
//! The proofs bind names, data directories and both nonces to the cluster's secret. The messages
//! that follow are not encrypted: the network between databases has to be private, or made so by a
//! tunnel.

/// Accepts connections from the other members.
mod accept;
mod agreement;
/// The outgoing connection to another member.
mod dial;
/// The client addresses of all nodes.
pub mod directory;
mod handshake;
/// Connections that have not been authenticated yet.
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

/// Maximum number of messages that wait for their connection.
const OUTBOX_MAX: usize = 1_024;

/// Maximum number of inputs that wait for the driver.
const INBOX_MAX: usize = 1_024;

/// Time limit for connecting and the handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(3);

/// This node's identity towards the other members.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The node's name.
    pub name: Name,
    /// Which start of which data directory it is.
    pub life: Arc<Life>,
    /// The settings that all members must share.
    pub agreement: Agreement,
    /// The address at which clients reach it: `host:port`.
    pub advertised: String,
    /// The secret shared by the members.
    pub secret: Secret,
}

/// Another member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The member's name.
    pub name: Name,
    /// The address at which it accepts peers: `host:port`.
    pub address: String,
}

/// Returns the cluster that this node currently belongs to.
pub type WhichCluster = Arc<dyn Fn() -> Option<ClusterId> + Send + Sync>;

/// The connections to and from the other members.
#[derive(Debug)]
pub struct Peers {
    outboxes: BTreeMap<Name, mpsc::Sender<Envelope>>,
    heard: mpsc::Receiver<Input>,
}

impl Peers {
    /// The connections of a node without peers.
    pub fn none() -> Self {
        Self { outboxes: BTreeMap::new(), heard: mpsc::channel(1).1 }
    }

    /// Connects to the other members and accepts their connections, until `stop`.
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

    /// Sends a message, if the receiver is a known member.
    pub fn send(&self, to: &Name, envelope: Envelope) {
        if let Some(outbox) = self.outboxes.get(to) {
            // A full queue means a stalled connection. The core expects that messages may be lost.
            let _ = outbox.try_send(envelope);
        }
    }

    /// Waits for inputs, and appends all that are ready; never completes without peers.
    pub async fn hear(&mut self, heard: &mut Vec<Input>) {
        if self.heard.recv_many(heard, INBOX_MAX).await == 0 {
            std::future::pending::<()>().await;
        }
    }
}

/// State shared by all connections.
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
