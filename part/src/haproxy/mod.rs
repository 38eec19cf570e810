//! The HAProxy adapter: a configuration file to start with, and the runtime socket from then on.

mod config;
mod stats;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use lb::Args;
use machine::startup;
use machine::vitals::Vitals;
use nix::sys::signal::Signal;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Driver, now};
use crate::board::Board;
use crate::child;
use crate::place::Place;
use config::BACKEND;

/// How often HAProxy is asked for the state of its servers.
const LOOK_EVERY: Duration = Duration::from_millis(30);
/// How long HAProxy may take to listen.
const START_MAX: Duration = Duration::from_secs(10);
/// Timeout of a command.
const COMMAND_MAX: Duration = Duration::from_secs(2);
/// The longest response to a command, in bytes.
const ANSWER_MAX: u64 = 4 << 20;

/// Runs HAProxy from start to shutdown.
pub(crate) async fn run(program: &Path, args: Args) -> anyhow::Result<()> {
    config::check(&args).map_err(anyhow::Error::msg)?;
    let vitals = Vitals::new("part");
    let stop = startup::stop_on_signal(Arc::clone(&vitals), args.startup.drain_delay.into())?;
    let place = Place::find()?;
    let socket = place.path("haproxy.sock");
    let file = place.path("haproxy.cfg");
    std::fs::write(&file, config::text(&args, &socket))
        .with_context(|| format!("write {}", file.display()))?;
    let flags = ["-db", "-f", &file.to_string_lossy()].map(str::to_owned);
    let mut child = child::start(program, &flags)?;
    let driver = Arc::new(Haproxy { runtime: Runtime { socket }, args: args.clone() });
    tokio::select! {
        ready = driver.runtime.wait_until_ready() => ready?,
        ended = child.wait() => return Err(child::how("HAProxy", ended)),
    }
    let board = Arc::new(Mutex::new(Board::of(&args.upstreams)));
    let over = CancellationToken::new();
    let serving = admin::serve(args.admin, &board, Arc::clone(&driver), &vitals, over.clone()).await?;
    tracing::info!(listen = %args.listen, admin = %args.admin, "HAProxy is running");
    child::until_stopped("HAProxy", &mut child, &stop, watch(&driver.runtime, &board)).await?;
    // It stops listening, finishes its requests, and ends.
    child::end(child, Signal::SIGUSR1, args.startup.drain_timeout.into()).await;
    over.cancel();
    serving.await.context("end the admin interface")
}

/// Polls the state of the servers until it is dropped.
async fn watch(runtime: &Runtime, board: &Mutex<Board>) {
    loop {
        match runtime.command(&format!("show stat {BACKEND} 4 -1")).await {
            Ok(answer) => {
                let at = now();
                let mut board = board.lock();
                stats::servers(&answer).iter().for_each(|(name, seen)| board.see(name, seen, at));
            }
            Err(error) => tracing::debug!("HAProxy does not answer: {error:#}"),
        }
        sleep(LOOK_EVERY).await;
    }
}

/// HAProxy's runtime socket: one connection per command.
struct Runtime {
    socket: PathBuf,
}

impl Runtime {
    async fn command(&self, command: &str) -> anyhow::Result<String> {
        let exchange = async {
            let mut stream = UnixStream::connect(&self.socket).await?;
            stream.write_all(format!("{command}\n").as_bytes()).await?;
            let mut answer = Vec::new();
            stream.take(ANSWER_MAX).read_to_end(&mut answer).await?;
            anyhow::Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        timeout(COMMAND_MAX, exchange).await.context("no answer in time")?
    }

    /// Sends a command that must be answered with one of these, or with nothing.
    async fn order(&self, command: &str, good: &[&str]) -> anyhow::Result<()> {
        let answer = self.command(command).await?;
        let said = answer.trim();
        if said.is_empty() || good.iter().any(|good| said.contains(good)) {
            return Ok(());
        }
        bail!("HAProxy refused `{command}`: {said}");
    }

    async fn wait_until_ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_MAX;
        while let Err(error) = self.command("show info").await {
            if Instant::now() > deadline {
                return Err(error.context(format!("HAProxy did not answer within {START_MAX:?}")));
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    async fn in_flight(&self, name: &str) -> anyhow::Result<Option<u64>> {
        let answer = self.command(&format!("show stat {BACKEND} 4 -1")).await?;
        let servers = stats::servers(&answer);
        Ok(servers.into_iter().find(|(server, _)| server == name).map(|(_, seen)| seen.in_flight))
    }
}

struct Haproxy {
    runtime: Runtime,
    args: Args,
}

impl Driver for Haproxy {
    async fn add(&self, name: &str, address: &str, weight: u32) -> anyhow::Result<()> {
        let server = format!("{BACKEND}/{name}");
        let like = config::server(&self.args);
        let add = format!("add server {server} {address} weight {weight} {like}");
        self.runtime.order(&add, &["New server registered"]).await?;
        if like.contains(" check ") {
            self.runtime.order(&format!("enable health {server}"), &[]).await?;
        }
        self.runtime.order(&format!("enable server {server}"), &[]).await
    }

    async fn remove(&self, name: &str) -> anyhow::Result<()> {
        let server = format!("{BACKEND}/{name}");
        self.runtime.order(&format!("set server {server} state drain"), &[]).await?;
        let deadline = Instant::now() + Duration::from(self.args.startup.drain_timeout);
        while self.runtime.in_flight(name).await?.is_some_and(|requests| requests > 0) {
            if Instant::now() > deadline {
                tracing::warn!(name, "it has not finished in time, and is cut off");
                break;
            }
            sleep(LOOK_EVERY).await;
        }
        self.runtime.order(&format!("set server {server} state maint"), &[]).await?;
        self.runtime.order(&format!("shutdown sessions server {server}"), &[]).await?;
        // A server cannot be deleted until its idle connections are closed.
        while let Err(error) = self.runtime.order(&format!("del server {server}"), &["Server deleted"]).await
        {
            if Instant::now() > deadline {
                return Err(error);
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}
