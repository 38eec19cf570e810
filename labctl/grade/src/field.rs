//! The environment of a balancer's stage: addresses, web servers, and the part.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use http::Method;
use indexmap::IndexMap;
use nix::sys::signal::Signal;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::act::{self, Background, Stop};
use crate::backend::Sightings;
use crate::client::{self, Answered};
use crate::ground::{Ground, Traces, explained};
use crate::part::{self, Part};
use crate::processes::Group;
use crate::stage::{Act, Stage};

/// Polling interval.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long a server may take to start.
const SERVER_MAX: Duration = Duration::from_secs(10);
/// How long the part may take to forward its first request, once it listens.
const FORWARDS_MAX: Duration = Duration::from_secs(5);
/// The pause between two requests until then, and the timeout of each.
const TRY_EVERY: Duration = Duration::from_millis(50);
const TRY_MAX: Duration = Duration::from_secs(2);
/// Timeout of a request to a server.
const ASK_MAX: Duration = Duration::from_secs(5);

/// The location of programs and files.
#[derive(Debug, Clone)]
pub struct Place {
    /// The program with the command `backend`.
    pub labctl: PathBuf,
    /// The program that ties the life of its children to its own (`--become`).
    pub machine: PathBuf,
    /// The first two bytes of every address.
    pub network: [u8; 2],
    /// The directory for the programs' output.
    pub logs: PathBuf,
}

/// The programs of one stage. Dropping it kills whatever is still running.
#[derive(Debug)]
pub struct Field {
    /// The part.
    pub part: Part,
    /// The equivalent commands of all acts so far.
    pub did: Vec<String>,
    servers: IndexMap<String, Server>,
    place: Place,
    number: usize,
}

#[derive(Debug)]
struct Server {
    address: SocketAddr,
    process: Group,
}

impl Ground for Field {
    type Act = Act;

    /// Starts a stage's servers, and the part in front of them.
    async fn start(
        place: &Place,
        number: usize,
        stage: &Stage<Act>,
        program: &Path,
    ) -> anyhow::Result<Result<Self, (String, Self)>> {
        let names: Vec<_> = (1..=stage.servers).map(|number| format!("web-{number}")).collect();
        let part = Part::at(place.address(number, 1, 8080), place.address(number, 1, 8081));
        let mut field = Self { part, did: vec![], servers: IndexMap::new(), place: place.clone(), number };
        for address in [field.part.listen, field.part.admin] {
            free(address)?;
        }
        for name in &names {
            field.start_server(name).await?;
        }
        let upstreams = field.servers.iter().map(|(name, server)| (name.clone(), server.address));
        let flags = part::flags(&field.part, upstreams, &stage.flags);
        field.did.push(format!("{} {}", program.display(), flags.join(" ")));
        let log = place.logs.join(format!("stage-{number}.log"));
        std::fs::write(&log, "").with_context(|| format!("write {}", log.display()))?;
        match field.part.start(&place.machine, program, &flags, &log).await {
            Ok(()) => {}
            Err(sentence) => return Ok(Err((sentence, field))),
        }
        match field.forwards().await? {
            Ok(()) => Ok(Ok(field)),
            Err(sentence) => Ok(Err((sentence, field))),
        }
    }

    async fn carry_out(&mut self, number: usize, stage: &Stage<Act>) -> Option<Stop> {
        let mut background = Background::default();
        let log = self.place.logs.join(format!("stage-{number}.log"));
        for act in &stage.steps {
            let done = act::carry_out(act, self, &mut background, &log).await;
            // During a drain, the part is expected to end.
            let own = if matches!(act, Act::Drain { .. }) {
                None
            } else {
                self.part.misbehaviour(done.is_err()).await
            };
            if let Some(stop) = explained(done, own) {
                return Some(stop);
            }
        }
        None
    }

    fn traces(&self) -> Traces {
        Traces { did: self.did.clone(), said: self.part.said() }
    }

    fn waited(&self) -> Duration {
        self.part.waited()
    }

    async fn end(&mut self) {
        self.part.end().await;
        for server in self.servers.values_mut() {
            server.process.kill().await;
        }
    }
}

impl Field {
    /// Waits until the part forwards a request: a balancer may listen before it has read its servers, or before it has
    /// checked them. The clocks of a stage begin after that. `Err` says how the last request was answered.
    async fn forwards(&mut self) -> anyhow::Result<Result<(), String>> {
        let deadline = Instant::now() + FORWARDS_MAX;
        loop {
            let request = client::request(self.part.listen, "GET", "/page", [], "")?;
            let was = match client::send(self.part.listen, request, TRY_MAX).await {
                Ok(answered) if answered.is_good() => return Ok(Ok(())),
                Ok(answered) => {
                    format!(" was answered {} '{}', wanted 2xx", answered.status, answered.shown().trim())
                }
                Err(error) => format!(": {error:#}"),
            };
            if self.part.misbehaviour(false).await.is_some() {
                // The first act of the stage finds it, too, and says so with certainty.
                return Ok(Ok(()));
            }
            if Instant::now() > deadline {
                self.did.push(format!("curl -i http://{}/page", self.part.listen));
                return Ok(Err(format!(
                    "it listens, but {FORWARDS_MAX:?} later it does not forward a request yet: GET /page{was}"
                )));
            }
            sleep(TRY_EVERY).await;
        }
    }

    /// Starts a server, and waits until it answers.
    pub async fn start_server(&mut self, name: &str) -> anyhow::Result<SocketAddr> {
        let number = name.strip_prefix("web-").and_then(|number| number.parse::<u8>().ok());
        let address =
            self.place.address(self.number, 1 + number.context("servers are web-1, web-2, …")?, 9001);
        free(address)?;
        let flags = ["backend", "--name", name, "--listen", &address.to_string()].map(str::to_owned);
        let log = self.place.logs.join(format!("stage-{}-{name}.log", self.number));
        let process = Group::start(&self.place.machine, &self.place.labctl, &flags, &log)?;
        self.did.push(format!("labctl backend --name {name} --listen {address} &"));
        self.servers.insert(name.to_owned(), Server { address, process });
        let deadline = Instant::now() + SERVER_MAX;
        while self.ask(name, Method::GET, "/healthz").await.is_err() {
            let said = self.server(name)?.process.said();
            anyhow::ensure!(Instant::now() < deadline, "the server {name} did not start: {said}");
            sleep(LOOK_EVERY).await;
        }
        Ok(address)
    }

    /// Kills a server.
    pub async fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        let server = self.servers.get_mut(name).with_context(|| format!("there is no server {name}"))?;
        self.did.push(format!("kill -9 {}", server.process.pid()));
        server.process.signal(Signal::SIGKILL);
        server.process.kill().await;
        Ok(())
    }

    /// Freezes a server.
    pub fn freeze(&mut self, name: &str) -> anyhow::Result<()> {
        let pid = self.server(name)?.process.pid();
        self.server(name)?.process.signal(Signal::SIGSTOP);
        self.did.push(format!("kill -STOP {pid}"));
        Ok(())
    }

    /// Sets a server's mode.
    pub async fn mode(&mut self, name: &str, mode: &str) -> anyhow::Result<()> {
        let address = self.server(name)?.address;
        let answered = self.ask(name, Method::POST, &format!("/_mode/{mode}")).await?;
        anyhow::ensure!(answered.is_good(), "there is no mode '{mode}'");
        self.did.push(format!("curl -X POST http://{address}/_mode/{mode}"));
        Ok(())
    }

    /// Returns what a server has seen.
    pub async fn seen(&self, name: &str) -> anyhow::Result<Sightings> {
        let answered = self.ask(name, Method::GET, "/_seen").await?;
        serde_json::from_slice(&answered.body).with_context(|| format!("read what {name} has seen"))
    }

    /// Returns what all servers that answer have seen.
    pub async fn all_seen(&self) -> Vec<Sightings> {
        let mut all = Vec::new();
        for name in self.servers.keys() {
            all.extend(self.seen(name).await.ok());
        }
        all
    }

    /// Returns the location of programs.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Returns whether there is a server of this name.
    pub fn has_server(&self, name: &str) -> bool {
        self.servers.contains_key(name)
    }

    /// Returns a server's address.
    pub fn address_of(&self, name: &str) -> anyhow::Result<SocketAddr> {
        Ok(self.server(name)?.address)
    }

    fn server(&self, name: &str) -> anyhow::Result<&Server> {
        self.servers.get(name).with_context(|| format!("there is no server {name}"))
    }

    async fn ask(&self, name: &str, method: Method, path: &str) -> anyhow::Result<Answered> {
        let address = self.server(name)?.address;
        let request = client::request(address, method.as_str(), path, [], "")?;
        client::send(address, request, ASK_MAX).await
    }
}

impl Place {
    /// Returns an address unique to the stage: the third byte is the stage, the fourth the machine.
    pub(crate) fn address(&self, stage: usize, machine: u8, port: u16) -> SocketAddr {
        let [first, second] = self.network;
        let third = u8::try_from(stage).unwrap_or(u8::MAX);
        SocketAddr::from((Ipv4Addr::new(first, second, third, machine), port))
    }
}

/// Checks that an address is free.
pub(crate) fn free(address: SocketAddr) -> anyhow::Result<()> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) => bail!(
            "{address} cannot be had ({error}): end what listens there (`ss -ltnp 'sport = :{}'` shows it), or give another --network",
            address.port()
        ),
    }
}

/// Returns whether something accepts connections at an address.
pub async fn accepts(address: SocketAddr) -> bool {
    let connecting = TcpStream::connect(address);
    matches!(tokio::time::timeout(Duration::from_secs(1), connecting).await, Ok(Ok(_)))
}
