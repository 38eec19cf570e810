//! The Envoy adapter: its servers are in a file that is replaced when they come and go, and its admin interface reports
//! their state.

mod clusters;
mod config;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use hyper::Method;
use lb::Args;
use machine::startup;
use machine::vitals::Vitals;
use nix::sys::signal::Signal;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Driver, now};
use crate::board::Board;
use crate::child;
use crate::place::Place;
use crate::ready::wait_until_listening;
use crate::unix;
use clusters::Host;
use config::Server;

/// How often Envoy is asked for the state of its servers.
const LOOK_EVERY: Duration = Duration::from_millis(30);
/// How long Envoy may take to reload a file.
const READ_MAX: Duration = Duration::from_secs(10);

/// Runs Envoy from start to shutdown.
pub(crate) async fn run(program: &Path, args: Args) -> anyhow::Result<()> {
    let servers = config::check(&args).map_err(anyhow::Error::msg)?;
    let vitals = Vitals::new("part");
    let stop = startup::stop_on_signal(Arc::clone(&vitals), args.startup.drain_delay.into())?;
    let place = Place::find()?;
    let envoy = Arc::new(Envoy::new(&args, &place, servers)?);
    let bootstrap = envoy.directory.join("envoy.json");
    let document = config::bootstrap(&args, &envoy.directory, &envoy.socket, &envoy.file);
    std::fs::write(&bootstrap, document.to_string())
        .with_context(|| format!("write {}", bootstrap.display()))?;
    let mut child = child::start(program, &flags(&args, &bootstrap))?;
    tokio::select! {
        ready = wait_until_listening("Envoy", args.listen) => ready?,
        ended = child.wait() => return Err(child::how("Envoy", ended)),
    }
    let over = CancellationToken::new();
    let serving = admin::serve(args.admin, &envoy.board, Arc::clone(&envoy), &vitals, over.clone()).await?;
    tracing::info!(listen = %args.listen, admin = %args.admin, "Envoy is running");
    child::until_stopped("Envoy", &mut child, &stop, envoy.watch()).await?;
    // On SIGTERM it would cut off its requests, so drain first.
    if let Err(error) = envoy.finish().await {
        tracing::warn!("Envoy does not say whether it has finished: {error:#}");
    }
    child::end(child, Signal::SIGTERM, READ_MAX).await;
    over.cancel();
    serving.await.context("end the admin interface")
}

fn flags(args: &Args, bootstrap: &Path) -> Vec<String> {
    // Each thread takes turns on its own, so only a single thread takes turns exactly.
    let threads = args.threads.unwrap_or(1).to_string();
    let file = bootstrap.to_string_lossy();
    let flags = ["-c", &file, "--concurrency", &threads, "--disable-hot-restart", "--log-level", "error"];
    flags.map(str::to_owned).to_vec()
}

struct Envoy {
    directory: PathBuf,
    socket: PathBuf,
    /// The file of endpoints.
    file: PathBuf,
    /// Held during a change: one at a time.
    servers: tokio::sync::Mutex<Vec<Server>>,
    board: Arc<Mutex<Board>>,
    drain_timeout: Duration,
}

impl Envoy {
    fn new(args: &Args, place: &Place, servers: Vec<Server>) -> anyhow::Result<Self> {
        let directory = place.path("envoy");
        std::fs::create_dir_all(&directory).with_context(|| format!("make {}", directory.display()))?;
        let socket = place.path("envoy.sock");
        // A killed predecessor has left its socket behind.
        let _ = std::fs::remove_file(&socket);
        let file = directory.join("servers.json");
        let board = Arc::new(Mutex::new(Board::of(&args.upstreams)));
        let drain_timeout = args.startup.drain_timeout.into();
        let envoy = Self { directory, socket, file, servers: Vec::new().into(), board, drain_timeout };
        envoy.write(&servers)?;
        Ok(Self { servers: servers.into(), ..envoy })
    }

    /// Replaces the file atomically: Envoy watches for the rename.
    fn write(&self, servers: &[Server]) -> anyhow::Result<()> {
        let new = self.file.with_extension("new");
        std::fs::write(&new, config::endpoints(servers).to_string())
            .and_then(|()| std::fs::rename(&new, &self.file))
            .with_context(|| format!("write {}", self.file.display()))
    }

    /// Polls the state of the servers until it is dropped.
    async fn watch(&self) {
        loop {
            match self.hosts().await {
                Ok(hosts) => {
                    let at = now();
                    let servers = self.names();
                    let mut board = self.board.lock();
                    for host in &hosts {
                        let address = host.address.to_string();
                        let named = servers.iter().filter(|(_, other)| *other == address);
                        named.for_each(|(name, _)| board.see(name, &host.seen, at));
                    }
                }
                Err(error) => tracing::debug!("Envoy does not answer: {error:#}"),
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn names(&self) -> Vec<(String, String)> {
        let board = self.board.lock();
        board.upstreams().iter().map(|upstream| (upstream.name.clone(), upstream.address.clone())).collect()
    }

    async fn hosts(&self) -> anyhow::Result<Vec<Host>> {
        let answer = unix::request(&self.socket, Method::GET, "/clusters?format=json", String::new()).await?;
        clusters::hosts(&answer).context("Envoy's clusters")
    }

    /// Waits until Envoy's view of a server meets a condition.
    async fn wait_until(
        &self,
        server: &Server,
        limit: Duration,
        is_so: impl Fn(Option<&Host>) -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let hosts = self.hosts().await?;
            if is_so(hosts.iter().find(|host| host.address == server.address)) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "it did not come about within {limit:?}");
            sleep(LOOK_EVERY).await;
        }
    }

    /// Has Envoy stop accepting connections, and waits until its requests are done or the drain timeout is over.
    async fn finish(&self) -> anyhow::Result<()> {
        unix::request(&self.socket, Method::POST, "/drain_listeners", String::new()).await?;
        let deadline = Instant::now() + self.drain_timeout;
        while Instant::now() < deadline && self.hosts().await?.iter().any(|host| host.seen.in_flight > 0) {
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}

impl Driver for Envoy {
    async fn add(&self, name: &str, address: &str, weight: u32) -> anyhow::Result<()> {
        let server = Server::new(name, address, weight).map_err(anyhow::Error::msg)?;
        let mut servers = self.servers.lock().await;
        let mut wanted = servers.clone();
        wanted.push(server.clone());
        self.write(&wanted)?;
        *servers = wanted;
        self.wait_until(&server, READ_MAX, |host| host.is_some()).await.context("Envoy did not take it in")
    }

    async fn remove(&self, name: &str) -> anyhow::Result<()> {
        let mut servers = self.servers.lock().await;
        let leaving = servers.iter_mut().find(|server| server.name == name);
        let leaving = leaving.context("it is not among its servers")?;
        leaving.leaves = true;
        let server = leaving.clone();
        self.write(&servers)?;
        self.wait_until(&server, READ_MAX, |host| host.is_none_or(|host| host.drains))
            .await
            .context("Envoy did not take it out")?;
        let is_done = |host: Option<&Host>| host.is_none_or(|host| host.seen.in_flight == 0);
        if self.wait_until(&server, self.drain_timeout, is_done).await.is_err() {
            tracing::warn!(name, "it has not finished in time, and is cut off");
        }
        servers.retain(|server| server.name != name);
        self.write(&servers)?;
        self.wait_until(&server, READ_MAX, |host| host.is_none()).await.context("Envoy did not forget it")
    }
}
