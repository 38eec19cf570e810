//! The nginx adapter: a configuration file, reloaded when upstreams come and go. nginx does not report their state.

mod config;

use std::collections::HashSet;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use lb::Args;
use machine::startup;
use machine::vitals::Vitals;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Driver, now};
use crate::board::{Board, Health, Seen};
use crate::child;
use crate::place::Place;
use crate::ready::wait_until_listening;
use config::Server;

/// Polling interval.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long nginx may take to reload its configuration.
const RELOAD_MAX: Duration = Duration::from_secs(10);

/// Runs nginx from start to shutdown.
pub(crate) async fn run(program: &Path, args: Args) -> anyhow::Result<()> {
    config::check(&args).map_err(anyhow::Error::msg)?;
    let vitals = Vitals::new("part");
    let stop = startup::stop_on_signal(Arc::clone(&vitals), args.startup.drain_delay.into())?;
    let place = Place::find()?;
    let directory = place.path("nginx");
    std::fs::create_dir_all(&directory).with_context(|| format!("make {}", directory.display()))?;
    let board = Arc::new(Mutex::new(Board::of(&args.upstreams)));
    let mut servers = Vec::new();
    for upstream in &args.upstreams {
        let (name, address) = (upstream.name.clone(), upstream.address.clone());
        servers.push(Server { name, address, weight: upstream.weight });
    }
    let file = directory.join("nginx.conf");
    write(&file, &args, &servers, &directory)?;
    let flags = ["-e", "stderr", "-c", &file.to_string_lossy()].map(str::to_owned);
    let mut child = child::start(program, &flags)?;
    let master = child.id().context("nginx ended at once")?;
    tokio::select! {
        ready = wait_until_listening("nginx", args.listen) => ready?,
        ended = child.wait() => return Err(child::how("nginx", ended)),
    }
    let (admin, listen) = (args.admin, args.listen);
    let drain = args.startup.drain_timeout.into();
    let servers = tokio::sync::Mutex::new(servers);
    let driver = Arc::new(Nginx { args, file, directory, servers, master, board: Arc::clone(&board) });
    let over = CancellationToken::new();
    let serving = admin::serve(admin, &board, driver, &vitals, over.clone()).await?;
    tracing::info!(%listen, %admin, "nginx is running");
    child::until_stopped("nginx", &mut child, &stop, pending()).await?;
    // It stops listening, finishes its requests, and ends.
    child::end(child, Signal::SIGQUIT, drain).await;
    over.cancel();
    serving.await.context("end the admin interface")
}

fn write(file: &Path, args: &Args, servers: &[Server], directory: &Path) -> anyhow::Result<()> {
    let text = config::text(args, servers, directory, geteuid().is_root());
    std::fs::write(file, text).with_context(|| format!("write {}", file.display()))
}

struct Nginx {
    args: Args,
    file: PathBuf,
    directory: PathBuf,
    /// Held during a change: one at a time.
    servers: tokio::sync::Mutex<Vec<Server>>,
    master: u32,
    board: Arc<Mutex<Board>>,
}

impl Nginx {
    /// Reloads the configuration. Returns the old workers, which finish their requests.
    async fn reload(&self, servers: &[Server]) -> anyhow::Result<HashSet<u32>> {
        let before = self.workers();
        write(&self.file, &self.args, servers, &self.directory)?;
        kill(Pid::from_raw(self.master.cast_signed()), Signal::SIGHUP)
            .context("tell nginx to read it again")?;
        let deadline = Instant::now() + RELOAD_MAX;
        while self.workers().is_subset(&before) {
            ensure!(Instant::now() < deadline, "nginx did not take the new configuration: its log says why");
            sleep(LOOK_EVERY).await;
        }
        Ok(before)
    }

    /// Returns the children of its master process (proc(5)).
    fn workers(&self) -> HashSet<u32> {
        let text = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.master));
        text.unwrap_or_default().split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }
}

impl Driver for Nginx {
    async fn add(&self, name: &str, address: &str, weight: u32) -> anyhow::Result<()> {
        let mut servers = self.servers.lock().await;
        let mut wanted = servers.clone();
        wanted.push(Server { name: name.to_owned(), address: address.to_owned(), weight });
        self.reload(&wanted).await?;
        *servers = wanted;
        // It has no health checks: every server in the configuration gets requests.
        let seen = Seen { state: Health::Up, words: "configured".into(), in_flight: 0, requests: 0 };
        self.board.lock().see(name, &seen, now());
        Ok(())
    }

    async fn remove(&self, name: &str) -> anyhow::Result<()> {
        let mut servers = self.servers.lock().await;
        let wanted: Vec<_> = servers.iter().filter(|server| server.name != name).cloned().collect();
        let before = self.reload(&wanted).await?;
        *servers = wanted;
        let deadline = Instant::now() + Duration::from(self.args.startup.drain_timeout) + LOOK_EVERY;
        while !self.workers().is_disjoint(&before) && Instant::now() < deadline {
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}
