//! Puts the balancer together: threads, health checks and the admin interface, from startup to
//! drain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use machine::names::Resolver;
use machine::network::Network;
use machine::serving::{self, Limits};
use machine::vitals::Vitals;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::accept;
use crate::admin::{self, Admin};
use crate::admin_guard::Guard;
use crate::choose::Policy;
use crate::config::{AdminConfig, Config};
use crate::events::Events;
use crate::listen::{self, ListenError, ListenerCommand, ListenerHandles};
use crate::metrics::Metrics;
use crate::pair::{self, Handle};
use crate::proxy::worker::Shared;
use crate::upstream::fleet::Fleet;
use crate::upstream::keeper;
use crate::upstream::table::{NameTaken, PoolOptions};

/// A running balancer.
#[derive(Debug)]
pub struct Running {
    /// The address for clients.
    pub address: SocketAddr,
    /// The address of the admin interface.
    pub admin: SocketAddr,
    finished: JoinHandle<()>,
}

/// Why a balancer could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It cannot listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// An upstream's name is given twice.
    #[error(transparent)]
    NameTaken(#[from] NameTaken),
    /// No thread could be created.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    /// The operating system does not report the bound address.
    #[error("cannot tell the address that is listened on")]
    Address(#[source] std::io::Error),
}

/// Starts a balancer that serves until `stop`, and then drains. Work that is not on the request
/// path, such as health checks and the admin interface, runs on the caller's runtime.
pub async fn start(
    config: Config,
    vitals: Arc<Vitals>,
    stop: CancellationToken,
) -> Result<Running, StartError> {
    start_with_names(config, Resolver::system(), vitals, stop).await
}

/// Starts a balancer that resolves the names of its upstreams and its peer with this resolver.
pub async fn start_with_names(
    config: Config,
    names: Resolver,
    vitals: Arc<Vitals>,
    stop: CancellationToken,
) -> Result<Running, StartError> {
    let over = CancellationToken::new();
    let policy = Arc::new(Policy::named(config.policy));
    let (workers, orders): (Vec<_>, Vec<_>) = (0..config.threads).map(|_| mpsc::unbounded_channel()).unzip();
    let options = PoolOptions {
        breaker: config.tolerance.breaker,
        slow_start: config.tolerance.slow_start,
        panic_below: config.tolerance.panic_below,
        key: config.sticky.clone(),
    };
    let fleet = Fleet::new(options, config.health.clone(), names.clone(), over.clone());
    keeper::keep(Arc::clone(&fleet.table), over.clone());
    for upstream in &config.upstreams {
        fleet.begin_with(upstream.clone())?;
    }
    let Frontend { address, pair, closed } =
        start_listening(&config, ListenerHandles { workers }, &fleet.events, &names, stop.clone())?;
    let shared = Shared {
        table: Arc::clone(&fleet.table),
        policy: Arc::clone(&policy),
        vitals: Arc::clone(&vitals),
        refused: Arc::default(),
        retried: Arc::default(),
        accept_failures: Arc::default(),
        shortages: Arc::clone(&fleet.shortages),
        room: Arc::new(Semaphore::new(config.limits.connections)),
        lease: pair.as_ref().map(|pair| Arc::clone(&pair.lease)),
        stop: closed,
        config: Arc::new(config),
    };
    vitals.register_collector(Metrics {
        table: Arc::clone(&fleet.table),
        refused: Arc::clone(&shared.refused),
        retried: Arc::clone(&shared.retried),
        accept_failures: Arc::clone(&shared.accept_failures),
        shortages: Arc::clone(&shared.shortages),
        pair: pair.clone(),
    });

    let drain_timeout = shared.config.drain_timeout;
    let admin = Arc::new(Admin { fleet, policy, pair, drain_timeout, stop });
    let (admin_address, admin) = serve_admin(&shared.config.admin, admin, &vitals, over.clone()).await?;
    let mut workers = Vec::new();
    for (number, orders) in orders.into_iter().enumerate() {
        workers.push(start_thread(number, shared.clone(), orders).map_err(StartError::Thread)?);
    }
    tracing::info!(%address, admin = %admin_address, threads = workers.len(), "balancing");
    let finished = tokio::spawn(async move {
        for worker in workers {
            // A thread that panicked has finished too, and has logged it.
            let _ = worker.await;
        }
        over.cancel();
        let _ = admin.await;
    });
    Ok(Running { address, admin: admin_address, finished })
}

/// The client side: the address, and when it closes.
struct Frontend {
    address: SocketAddr,
    /// The handle to the pair, if this balancer has a peer.
    pair: Option<Arc<Handle>>,
    /// Cancelled when no more clients are accepted.
    closed: CancellationToken,
}

/// Starts listening at once, or, in a pair, leaves that to its keeper, once this balancer becomes
/// active.
fn start_listening(
    config: &Config,
    handles: ListenerHandles,
    events: &Arc<Events>,
    names: &Resolver,
    stop: CancellationToken,
) -> Result<Frontend, StartError> {
    let Some(pair) = config.pair.clone() else {
        let listeners = listen::listen(config.listen, config.threads)?;
        let address = listeners[0].local_addr().map_err(StartError::Address)?;
        for (worker, listener) in handles.workers.iter().zip(listeners) {
            // The receiving end is kept for the thread that will be started.
            let _ = worker.send(ListenerCommand::Listen(listener));
        }
        return Ok(Frontend { address, pair: None, closed: stop });
    };
    let (handle, left) = pair::keeper::start(pair, config.listen, handles, Arc::clone(events), names)?;
    let closed = CancellationToken::new();
    let (leaving, over) = (Arc::clone(&handle), closed.clone());
    tokio::spawn(async move {
        stop.cancelled().await;
        leaving.leave();
        // The thread may have ended on its own.
        let _ = left.await;
        over.cancel();
    });
    Ok(Frontend { address: config.listen, pair: Some(handle), closed })
}

impl Running {
    /// Completes when the balancer has been stopped and its last request is finished.
    pub async fn finished(self) {
        self.finished.await.expect("winding down does not panic and is not aborted");
    }
}

async fn serve_admin(
    config: &AdminConfig,
    admin: Arc<Admin>,
    vitals: &Arc<Vitals>,
    over: CancellationToken,
) -> Result<(SocketAddr, JoinHandle<()>), ListenError> {
    let error = |source| ListenError::new(config.listen, "--admin", source);
    let listener = Network::tcp().bind(config.listen).await.map_err(error)?;
    let address = listener.local_address().map_err(error)?;
    let guard = Guard { address, token: config.token.clone() };
    let app = admin::app(admin, vitals, guard, config.patience);
    let limits = Limits {
        connections: 256,
        header_timeout: config.patience,
        idle_timeout: config.patience,
        write_timeout: config.patience,
        drain: Duration::from_secs(1),
        ..Limits::default()
    };
    Ok((address, tokio::spawn(serving::serve(listener, app, limits, over))))
}

/// Starts a thread that handles requests. The receiver is notified when the thread has finished.
fn start_thread(
    number: usize,
    shared: Shared,
    orders: mpsc::UnboundedReceiver<ListenerCommand>,
) -> std::io::Result<oneshot::Receiver<()>> {
    let (finished, receiver) = oneshot::channel::<()>();
    std::thread::Builder::new().name(format!("lb-{number}")).spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        let ran = runtime.and_then(|runtime| runtime.block_on(accept::run(shared, orders)));
        if let Err(error) = ran {
            tracing::error!(%error, number, "a thread cannot pass requests on");
        }
        drop(finished);
    })?;
    Ok(receiver)
}
