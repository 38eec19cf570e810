//! Listens, serves and drains.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use machine::Machine;
use machine::network::{Accept, Network};
use machine::serving::{self, Limits};
use machine::vitals::Vitals;
use tokio_util::sync::CancellationToken;

use crate::app::app;
use crate::config::Config;
use crate::state::Shop;
use crate::store::names::LookupError;

/// A shop that listens but does not serve yet.
pub struct Server {
    listener: Box<dyn Accept>,
    address: SocketAddr,
    app: Router,
    limits: Limits,
    vitals: Arc<Vitals>,
}

/// Why the shop could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}; free it or choose another one with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error.
        source: io::Error,
    },
    /// No database node can be resolved.
    #[error(transparent)]
    Lookup(#[from] LookupError),
}

/// Opens the shop and serves until `stop`; then drains.
pub async fn serve(
    config: Config,
    machine: Machine,
    network: Network,
    stop: CancellationToken,
) -> Result<(), StartError> {
    Server::bind(config, machine, network).await?.serve(stop).await;
    Ok(())
}

impl Server {
    /// Starts listening. Connections queue until [`serve`](Self::serve) accepts them. The database
    /// is not contacted yet: it may start later, and come and go.
    pub async fn bind(config: Config, machine: Machine, network: Network) -> Result<Self, StartError> {
        let vitals = Vitals::new("webserver");
        let shop = Shop::open(config, machine, network.clone(), &vitals).await?;
        let config = &shop.config;
        let listening = |source| StartError::Listen { address: config.listen, source };
        let listener = network.bind(config.listen).await.map_err(listening)?;
        let address = listener.local_address().map_err(listening)?;
        tracing::info!(name = config.name, %address, database = ?config.database.nodes, "the shop is open");

        let limits = config.limits.clone();
        Ok(Self { listener, address, app: app(shop, &vitals), limits, vitals })
    }

    /// The bound address, with the port that the system chose if port 0 was given.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its health and its metrics.
    pub fn vitals(&self) -> Arc<Vitals> {
        Arc::clone(&self.vitals)
    }

    /// Serves until `stop`; then lets requests in flight finish.
    pub async fn serve(self, stop: CancellationToken) {
        serving::serve(self.listener, self.app, self.limits, stop).await;
    }
}
