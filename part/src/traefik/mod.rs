//! The Traefik adapter. The servers are in a file that is replaced when one joins or leaves; their health is read from
//! Traefik's API and metrics.

mod config;
mod sockets;
mod status;

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use lb::Args;
use machine::startup;
use machine::vitals::Vitals;
use nix::sys::signal::Signal;
use parking_lot::Mutex;
use tokio::net::{TcpSocket, lookup_host};
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Driver, now};
use crate::board::{Board, Health, Seen};
use crate::child;
use crate::place::Place;
use crate::ready::wait_until_listening;
use config::Server;

/// Polling interval for the state of the servers, and for a configuration or a drain in progress.
const LOOK_EVERY: Duration = Duration::from_millis(30);
/// How long Traefik may take to reload its file.
const READ_MAX: Duration = Duration::from_secs(10);
/// Timeout of a request to its API.
const PATIENCE: Duration = Duration::from_secs(5);
/// Maximum size of an answer.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Timeout of a name lookup for a server.
const LOOK_UP_MAX: Duration = Duration::from_secs(2);

/// Runs Traefik from start to shutdown.
pub(crate) async fn run(program: &Path, args: Args) -> anyhow::Result<()> {
    config::check(&args).map_err(anyhow::Error::msg)?;
    let vitals = Vitals::new("part");
    let stop = startup::stop_on_signal(Arc::clone(&vitals), args.startup.drain_delay.into())?;
    let place = Place::find()?;
    let (admin, listen) = (args.admin, args.listen);
    let drain = args.startup.drain_timeout.into();
    let mut traefik = Traefik::new(args, &place)?;
    let mut child = traefik.start(program).await?;
    traefik.process = child.id().context("Traefik ended at once")?;
    let ready = async {
        // It listens before it knows any servers.
        traefik.wait_until_taken(Traefik::FIRST).await?;
        wait_until_listening("Traefik", listen).await
    };
    tokio::select! {
        ready = ready => ready?,
        ended = child.wait() => return Err(child::how("Traefik", ended)),
    }
    let traefik = Arc::new(traefik);
    let over = CancellationToken::new();
    let serving = admin::serve(admin, &traefik.board, Arc::clone(&traefik), &vitals, over.clone()).await?;
    tracing::info!(%listen, %admin, "Traefik is running");
    child::until_stopped("Traefik", &mut child, &stop, traefik.watch()).await?;
    // Traefik stops listening, finishes the requests in flight, and exits.
    child::end(child, Signal::SIGTERM, drain).await;
    over.cancel();
    serving.await.context("end the admin interface")
}

struct Traefik {
    args: Args,
    directory: PathBuf,
    /// The file with the servers.
    file: PathBuf,
    /// The address of Traefik's API.
    interface: SocketAddr,
    /// Reserves the API's port: bound with `SO_REUSEPORT`, as Traefik's own socket is, and never listening.
    _port: TcpSocket,
    client: Client<HttpConnector, Empty<Bytes>>,
    /// Traefik's process id. 0: it has not been started.
    process: u32,
    /// The number of the configuration that Traefik has loaded.
    number: AtomicU64,
    /// Locked during a change, so that changes are made one at a time.
    servers: tokio::sync::Mutex<Vec<Server>>,
    board: Arc<Mutex<Board>>,
}

impl Traefik {
    /// The number of the first configuration.
    const FIRST: u64 = 1;

    fn new(args: Args, place: &Place) -> anyhow::Result<Self> {
        let directory = place.path("traefik");
        std::fs::create_dir_all(&directory).with_context(|| format!("make {}", directory.display()))?;
        let port = TcpSocket::new_v4().context("make a socket")?;
        port.set_reuseport(true).context("share a port with Traefik")?;
        port.bind((Ipv4Addr::LOCALHOST, 0).into()).context("find a port for Traefik's own interface")?;
        let interface = port.local_addr().context("find a port for Traefik's own interface")?;
        let board = Board::of(&args.upstreams);
        let mut servers = Vec::new();
        for upstream in &args.upstreams {
            let (name, address) = (upstream.name.clone(), upstream.address.clone());
            servers.push(Server { name, address, weight: upstream.weight });
        }
        Ok(Self {
            args,
            file: directory.join("servers.yml"),
            directory,
            interface,
            _port: port,
            client: Client::builder(TokioExecutor::new()).build_http(),
            process: 0,
            number: AtomicU64::new(Self::FIRST),
            servers: servers.into(),
            board: Arc::new(Mutex::new(board)),
        })
    }

    async fn start(&self, program: &Path) -> anyhow::Result<Child> {
        self.write(&self.servers.lock().await, Self::FIRST)?;
        let file = self.directory.join("traefik.yml");
        let document = config::fixed(&self.args, self.interface, &self.file);
        std::fs::write(&file, document.to_string()).with_context(|| format!("write {}", file.display()))?;
        // Without the flag it would use a configuration file of the host.
        let flags = [format!("--configFile={}", file.display())];
        let threads = self.args.threads.map(|threads| ("GOMAXPROCS", threads.to_string()));
        child::start_with(program, &flags, threads.as_slice())
    }

    /// Replaces the file atomically, so that Traefik never reads half of one.
    fn write(&self, servers: &[Server], number: u64) -> anyhow::Result<()> {
        let new = self.file.with_extension("new");
        // Every JSON document is also YAML.
        std::fs::write(&new, config::changing(&self.args, servers, number).to_string())
            .and_then(|()| std::fs::rename(&new, &self.file))
            .with_context(|| format!("write {}", self.file.display()))
    }

    /// Requests a path of Traefik's API. A status other than 2xx is an error.
    async fn ask(&self, path: &str) -> anyhow::Result<Bytes> {
        let request = Request::get(format!("http://{}{path}", self.interface)).body(Empty::new())?;
        let exchange = async {
            let answer = self.client.request(request).await?;
            let status = answer.status();
            let read = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = read.map_err(|error| anyhow!("its answer: {error}"))?.to_bytes();
            ensure!(status.is_success(), "it answered {status}: {}", String::from_utf8_lossy(&body).trim());
            Ok(body)
        };
        let answer = timeout(PATIENCE, exchange).await;
        answer
            .with_context(|| format!("GET {path}: no answer within {PATIENCE:?}"))?
            .with_context(|| format!("GET {path}"))
    }

    async fn service(&self, number: u64) -> anyhow::Result<Bytes> {
        self.ask(&format!("/api/http/services/{}@file", config::service(number))).await
    }

    /// Waits until Traefik has loaded the configuration with this number.
    async fn wait_until_taken(&self, number: u64) -> anyhow::Result<()> {
        let deadline = Instant::now() + READ_MAX;
        loop {
            match self.service(number).await {
                Ok(answer) => {
                    return status::servers(&answer, &HashSet::new()).map(drop).map_err(anyhow::Error::msg);
                }
                Err(error) => ensure!(
                    Instant::now() < deadline,
                    "Traefik did not take its configuration within {READ_MAX:?}: {error:#}"
                ),
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Makes Traefik load a new configuration. Requests in flight are finished.
    async fn load(&self, servers: &[Server]) -> anyhow::Result<()> {
        let number = self.number.load(Ordering::Relaxed) + 1;
        self.write(servers, number)?;
        self.wait_until_taken(number).await?;
        self.number.store(number, Ordering::Relaxed);
        Ok(())
    }

    /// Polls the state of the servers, until it is dropped.
    async fn watch(&self) {
        loop {
            match self.look().await {
                Ok(servers) => {
                    let at = now();
                    let names = self.names();
                    let mut board = self.board.lock();
                    for (url, seen) in &servers {
                        let named = names.iter().filter(|(_, other)| other == url);
                        named.for_each(|(name, _)| board.see(name, seen, at));
                    }
                }
                // While a new configuration is loaded, the service with the known number may be gone already.
                Err(error) => tracing::debug!("Traefik does not answer: {error:#}"),
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn look(&self) -> anyhow::Result<Vec<(String, Seen)>> {
        let number = self.number.load(Ordering::Relaxed);
        let mut failing = HashSet::new();
        if config::counts_failures(&self.args) {
            let metrics = self.ask("/metrics").await?;
            failing = status::failing(&String::from_utf8_lossy(&metrics), &config::service(number));
        }
        status::servers(&self.service(number).await?, &failing).map_err(anyhow::Error::msg)
    }

    /// The upstreams' names, and their URLs in Traefik's answers.
    fn names(&self) -> Vec<(String, String)> {
        let board = self.board.lock();
        let upstreams = board.upstreams().iter();
        upstreams.map(|upstream| (upstream.name.clone(), config::url(&upstream.address))).collect()
    }

    /// Drains a server that gets no new requests: waits until Traefik has no connection to it, or time is up.
    async fn wait_until_left(&self, server: &Server) {
        let addresses = timeout(LOOK_UP_MAX, lookup_host(&server.address)).await;
        let Ok(Ok(addresses)) = addresses else {
            tracing::warn!(server.name, "its address is not known any more, nor whether it has finished");
            return;
        };
        let addresses: Vec<_> =
            addresses.map(|address| SocketAddr::new(address.ip().to_canonical(), address.port())).collect();
        // Traefik keeps the last connection idle for a while before closing it.
        let idle = Duration::from(self.args.upstream_idle_timeout) + LOOK_EVERY;
        let deadline = Instant::now() + idle.max(self.args.startup.drain_timeout.into());
        loop {
            // The pause gives a request that was just routed to this server time to connect.
            sleep(LOOK_EVERY).await;
            if !self.is_connected_to(&addresses) {
                return;
            }
            if Instant::now() > deadline {
                tracing::warn!(server.name, "it has not finished in time, and is waited for no longer");
                return;
            }
        }
    }

    fn is_connected_to(&self, addresses: &[SocketAddr]) -> bool {
        let process = format!("/proc/{}", self.process);
        let tables = ["tcp", "tcp6"].map(|table| std::fs::read_to_string(format!("{process}/net/{table}")));
        let sockets: HashSet<u64> =
            tables.iter().flatten().flat_map(|table| sockets::to(table, addresses)).collect();
        let open = std::fs::read_dir(format!("{process}/fd")).into_iter().flatten().flatten();
        let mut open =
            open.filter_map(|entry| sockets::number(std::fs::read_link(entry.path()).ok()?.to_str()?));
        open.any(|socket| sockets.contains(&socket))
    }
}

impl Driver for Traefik {
    async fn add(&self, name: &str, address: &str, weight: u32) -> anyhow::Result<()> {
        let mut servers = self.servers.lock().await;
        let mut wanted = servers.clone();
        wanted.push(Server { name: name.to_owned(), address: address.to_owned(), weight });
        self.load(&wanted).await?;
        *servers = wanted;
        // Traefik sends a new server requests until a check fails.
        self.board.lock().see(name, &status::seen(Health::Up, "configured"), now());
        Ok(())
    }

    async fn remove(&self, name: &str) -> anyhow::Result<()> {
        let mut servers = self.servers.lock().await;
        let mut wanted = servers.clone();
        let leaving = wanted.iter().position(|server| server.name == name);
        let leaving = wanted.remove(leaving.context("it is not among its servers")?);
        self.load(&wanted).await?;
        *servers = wanted;
        self.wait_until_left(&leaving).await;
        Ok(())
    }
}
