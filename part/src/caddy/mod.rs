//! The Caddy adapter: it loads a whole new configuration through the admin API when upstreams come and go, and reads
//! the results of health checks from Caddy's log.

mod config;
mod status;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hyper::Method;
use lb::Args;
use machine::startup;
use machine::vitals::Vitals;
use nix::sys::signal::Signal;
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Driver, now};
use crate::board::{Board, Health, Seen};
use crate::child;
use crate::place::Place;
use crate::ready::wait_until_listening;
use crate::unix;
use config::Server;
use status::{Counted, Status};

/// How often Caddy is asked for its servers' requests and failures.
const LOOK_EVERY: Duration = Duration::from_millis(30);

/// Runs Caddy from start to shutdown.
pub(crate) async fn run(program: &Path, args: Args) -> anyhow::Result<()> {
    config::check(&args).map_err(anyhow::Error::msg)?;
    let vitals = Vitals::new("part");
    let stop = startup::stop_on_signal(Arc::clone(&vitals), args.startup.drain_delay.into())?;
    let place = Place::find()?;
    let (admin, listen) = (args.admin, args.listen);
    let drain = args.startup.drain_timeout.into();
    let caddy = Arc::new(Caddy::new(args, place.path("caddy.sock")));
    let (mut child, mut events) = caddy.start(program, &place).await?;
    tokio::select! {
        ready = wait_until_listening("Caddy", listen) => ready?,
        ended = child.wait() => return Err(child::how("Caddy", ended)),
    }
    let over = CancellationToken::new();
    let serving = admin::serve(admin, &caddy.board, Arc::clone(&caddy), &vitals, over.clone()).await?;
    tracing::info!(%listen, %admin, "Caddy is running");
    let ended = tokio::select! {
        ended = child.wait() => Some(ended),
        () = stop.cancelled() => None,
        () = caddy.watch() => None,
        () = caddy.follow(&mut events) => Some(child.wait().await),
    };
    if let Some(ended) = ended {
        return Err(child::how("Caddy", ended));
    }
    // It stops listening, finishes its requests, and ends.
    child::end(child, Signal::SIGTERM, drain).await;
    over.cancel();
    serving.await.context("end the admin interface")
}

struct Caddy {
    args: Args,
    socket: PathBuf,
    /// Held during a change: one at a time.
    servers: tokio::sync::Mutex<Vec<Server>>,
    board: Arc<Mutex<Board>>,
    status: Mutex<Status>,
}

impl Caddy {
    fn new(args: Args, socket: PathBuf) -> Self {
        let mut servers = Vec::new();
        for upstream in &args.upstreams {
            let (name, address) = (upstream.name.clone(), upstream.address.clone());
            servers.push(Server { name, address, weight: upstream.weight, leaves: false });
        }
        let status = Mutex::new(Status::new(args.tolerance.passive_fall));
        let board = Arc::new(Mutex::new(Board::of(&args.upstreams)));
        Self { args, socket, servers: servers.into(), board, status }
    }

    /// Starts it. Returns the stream of its events.
    async fn start(
        &self,
        program: &Path,
        place: &Place,
    ) -> anyhow::Result<(Child, Lines<BufReader<ChildStdout>>)> {
        // A killed predecessor has left its socket behind.
        let _ = std::fs::remove_file(&self.socket);
        let file = place.path("caddy.json");
        let document = config::document(&self.args, &self.servers.lock().await, &self.socket);
        std::fs::write(&file, document.to_string()).with_context(|| format!("write {}", file.display()))?;
        let flags = ["run", "--config", &file.to_string_lossy()].map(str::to_owned);
        // It keeps a few files, which would otherwise end up in the user's home.
        let home = place.path("caddy");
        let mut variables = ["XDG_DATA_HOME", "XDG_CONFIG_HOME"]
            .map(|name| (name, home.to_string_lossy().into_owned()))
            .to_vec();
        variables.extend(self.args.threads.map(|threads| ("GOMAXPROCS", threads.to_string())));
        let mut child = child::start_piped(program, &flags, &variables)?;
        let events = child.stdout.take().context("Caddy has no standard output")?;
        Ok((child, BufReader::new(events).lines()))
    }

    /// Polls the counts of requests and failures until it is dropped.
    async fn watch(&self) {
        loop {
            match self.counted().await {
                Ok(counted) => {
                    let servers = self.addresses();
                    for counted in &counted {
                        let seen = self.status.lock().seen(counted);
                        self.see(&servers, &counted.address, &seen);
                    }
                }
                Err(error) => tracing::debug!("Caddy does not answer: {error:#}"),
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Reads its events until it ends.
    async fn follow(&self, events: &mut Lines<BufReader<ChildStdout>>) {
        while let Ok(Some(line)) = events.next_line().await {
            let told = self.status.lock().on_line(&line);
            if let Some((address, seen)) = told {
                self.see(&self.addresses(), &address, &seen);
            }
        }
    }

    fn addresses(&self) -> Vec<(String, String)> {
        let board = self.board.lock();
        board.upstreams().iter().map(|upstream| (upstream.name.clone(), upstream.address.clone())).collect()
    }

    fn see(&self, servers: &[(String, String)], address: &str, seen: &Seen) {
        let at = now();
        let named = servers.iter().filter(|(_, other)| other == address);
        named.for_each(|(name, _)| self.board.lock().see(name, seen, at));
    }

    async fn counted(&self) -> anyhow::Result<Vec<Counted>> {
        let answer =
            unix::request(&self.socket, Method::GET, "/reverse_proxy/upstreams", String::new()).await?;
        serde_json::from_slice(&answer).context("Caddy's upstreams")
    }

    /// Loads a new configuration. Requests in flight are finished.
    async fn load(&self, servers: &[Server]) -> anyhow::Result<()> {
        let document = config::document(&self.args, servers, &self.socket);
        self.status.lock().forget();
        let loaded = unix::request(&self.socket, Method::POST, "/load", document.to_string()).await;
        loaded.map(drop).context("Caddy did not take the new configuration")
    }

    async fn in_flight(&self, address: &str) -> anyhow::Result<u64> {
        let counted = self.counted().await?;
        let of_server = counted.iter().find(|counted| counted.address == address);
        Ok(of_server.map_or(0, |counted| self.status.lock().seen(counted).in_flight))
    }
}

impl Driver for Caddy {
    async fn add(&self, name: &str, address: &str, weight: u32) -> anyhow::Result<()> {
        let mut servers = self.servers.lock().await;
        let mut wanted = servers.clone();
        wanted.push(Server { name: name.to_owned(), address: address.to_owned(), weight, leaves: false });
        self.load(&wanted).await?;
        *servers = wanted;
        // It gets requests until a check fails.
        let seen = Seen { state: Health::Up, words: "configured".into(), in_flight: 0, requests: 0 };
        self.board.lock().see(name, &seen, now());
        Ok(())
    }

    async fn remove(&self, name: &str) -> anyhow::Result<()> {
        let mut servers = self.servers.lock().await;
        let mut wanted = servers.clone();
        let leaving = wanted.iter_mut().find(|server| server.name == name);
        let leaving = leaving.context("it is not among its servers")?;
        leaving.leaves = true;
        let address = leaving.address.clone();
        self.load(&wanted).await?;
        let deadline = Instant::now() + Duration::from(self.args.startup.drain_timeout);
        while self.in_flight(&address).await? > 0 {
            if Instant::now() > deadline {
                tracing::warn!(name, "it has not finished in time, and is cut off");
                break;
            }
            sleep(LOOK_EVERY).await;
        }
        wanted.retain(|server| server.name != name);
        self.load(&wanted).await?;
        *servers = wanted;
        Ok(())
    }
}
