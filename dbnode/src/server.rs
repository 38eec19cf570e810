//! A node that serves, from start to drain.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use hyper::service::service_fn;
use machine::Machine;
use machine::network::{Accept, Network};
use machine::serving;
use machine::vitals::Vitals;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::config::{Config, Reads};
use crate::metrics::Metrics;
use crate::node::{Halted, node};
use crate::replication::Limits;
use crate::storage::sqlite::{self, OpenError};

/// A node that has read its data and listens.
pub struct Server {
    listener: Box<dyn Accept>,
    address: SocketAddr,
    api: Arc<Api>,
    driver: BoxFuture<'static, Result<(), Halted>>,
    stop_driver: CancellationToken,
    limits: serving::Limits,
}

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its data cannot be used.
    #[error(transparent)]
    Data(#[from] OpenError),
    /// Its address cannot be used.
    #[error("cannot listen on {address}; is another process using it? choose another one with --listen")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// Starts a node: takes its address, and reads its data.
pub async fn start(
    config: Config,
    machine: Machine,
    network: Network,
    vitals: Arc<Vitals>,
) -> Result<Server, StartError> {
    let (storage, recovered) = sqlite::open(&config.data, &config.id, config.import.as_deref()).await?;
    let incarnation = storage.incarnation().to_owned();
    #[cfg(feature = "planted-bugs")]
    let storage = crate::storage::hasty::Hasty::if_asked(storage);
    let metrics = Metrics::new(&vitals);
    let limits = Limits { log_entries: config.log_entries, ..Limits::default() };
    let (node, driver) = node(recovered, limits, storage, machine.clone(), metrics.clone());
    if config.reads == Reads::ThroughPages {
        machine.warm(0..node.read(|state| state.pages()));
    }
    let listen_error = |source| StartError::Listen { address: config.listen, source };
    let listener = network.bind(config.listen).await.map_err(listen_error)?;
    let address = listener.local_address().map_err(listen_error)?;
    tracing::info!(id = config.id, %address, records = node.read(|state| state.len()), "serving");
    let limits = serving::Limits { drain: config.drain, ..serving::Limits::default() };
    let api = Arc::new(Api::new(config, node, machine, vitals, metrics, incarnation));
    let stop_driver = CancellationToken::new();
    let driver = Box::pin(driver.run(stop_driver.clone()));
    Ok(Server { listener, address, api, driver, stop_driver, limits })
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then lets requests in flight finish; or until the disk fails.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Halted> {
        let (stop_serving, api) = (stop.child_token(), self.api);
        let service = service_fn(move |request| {
            let api = Arc::clone(&api);
            async move { api.answer(request).await }
        });
        let serving = serving::serve_service(self.listener, service, self.limits, stop_serving.clone());
        let mut driving = tokio::spawn(self.driver);
        tokio::pin!(serving);
        tokio::select! {
            () = &mut serving => {
                self.stop_driver.cancel();
                driving.await.expect("the driver does not panic")
            }
            halted = &mut driving => {
                // Whoever waits hears of it; then the doors close.
                stop_serving.cancel();
                serving.await;
                halted.expect("the driver does not panic")
            }
        }
    }
}
