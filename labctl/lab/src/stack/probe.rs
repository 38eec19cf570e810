//! Probes a machine from outside: its programs over the network, its name, its socket.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use hyper::Method;
use machine::capacity::Usage;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::evidence::{Asked, Name};
use crate::http::Client;
use crate::plan::{ProgramPlan, Readiness};

/// Timeout of each request. A healthy machine takes a few milliseconds.
const PATIENCE: Duration = Duration::from_millis(300);

/// The result of one probe.
#[derive(Debug)]
pub(super) struct Seen {
    /// The result for each program, in the plan's order.
    pub(super) programs: Vec<Asked>,
    /// The result of resolving its name.
    pub(super) name: Name,
    /// The answer of the machine's own socket.
    pub(super) socket: Asked,
    /// The machine's usage, if it answered.
    pub(super) usage: Option<Usage>,
}

impl Seen {
    /// The best result among the programs.
    pub(super) fn best(&self) -> Asked {
        let said = |wanted: Asked| self.programs.contains(&wanted);
        [Asked::Answers, Asked::Silent, Asked::Refuses]
            .into_iter()
            .find(|wanted| said(*wanted))
            .unwrap_or(Asked::CannotBe)
    }
}

/// Probes one machine.
#[derive(Debug)]
pub(super) struct Probe {
    name: String,
    socket: Option<PathBuf>,
    client: Client,
    handle: Option<machine::Machine>,
    looking: Option<oneshot::Receiver<io::Result<Vec<SocketAddr>>>>,
}

impl Probe {
    pub(super) fn new(name: &str, sockets: Option<&Path>, client: &Client) -> Self {
        let socket = sockets.map(|directory| directory.join(name).with_extension("sock"));
        Self { name: name.into(), socket, client: client.clone(), handle: None, looking: None }
    }

    /// Probes once. `address` is the last known one.
    pub(super) async fn look(&mut self, programs: &[ProgramPlan], address: Option<IpAddr>) -> Seen {
        let (client, handle, socket) = (&self.client, &mut self.handle, self.socket.as_deref());
        let asking = join_all(programs.iter().map(|program| async move {
            match address {
                Some(_) => ask(program, client).await,
                None => Asked::CannotBe,
            }
        }));
        let (programs, (socket, usage)) = tokio::join!(asking, ask_machine(handle, socket));
        // A machine that answers has not moved, so its name is not resolved five times a second.
        let name = match (programs.contains(&Asked::Answers), address) {
            (true, Some(address)) => Name::Leads(address),
            _ => self.look_up().await,
        };
        Seen { programs, name, socket, usage }
    }

    /// Resolves the name, one lookup at a time. A lookup runs on a thread of its own, because it blocks while
    /// a name server is silent.
    async fn look_up(&mut self) -> Name {
        let mut looking = match self.looking.take() {
            Some(looking) => looking,
            None => {
                let (tell, told) = oneshot::channel();
                let name = format!("{}:0", self.name);
                let find = move || drop(tell.send(machine::names::find(&name)));
                if std::thread::Builder::new().name("look-up".into()).spawn(find).is_err() {
                    return Name::Unclear;
                }
                told
            }
        };
        match timeout(PATIENCE, &mut looking).await {
            Ok(Ok(Ok(found))) => found.first().map_or(Name::Nowhere, |first| Name::Leads(first.ip())),
            Ok(Ok(Err(_))) => Name::Nowhere,
            Ok(Err(_)) => Name::Unclear,
            Err(_) => {
                self.looking = Some(looking);
                Name::Unclear
            }
        }
    }

    /// Fills the machine's disk, or frees it again. False if it does not answer.
    pub(super) async fn fill_disk(socket: &Path, full: bool) -> bool {
        let Ok(stream) = UnixStream::connect(socket).await else { return false };
        let machine = machine::Machine::over(stream, |_| {});
        timeout(PATIENCE, machine.fill_disk(full)).await.unwrap_or(false)
    }
}

async fn ask(program: &ProgramPlan, client: &Client) -> Asked {
    let asked = match program.readiness {
        // Any answer shows that it is there, even one that says it is not healthy.
        Readiness::Healthz => match client.ask(program.health, Method::GET, "/healthz", None, PATIENCE).await
        {
            Ok(_) => Ok(()),
            Err(error) => Err(kind_of(&error)),
        },
        Readiness::Redis { .. } => match timeout(PATIENCE, ping(program.address)).await {
            Ok(said) => said.map_err(|error| error.kind()),
            Err(_) => Err(ErrorKind::TimedOut),
        },
    };
    match asked {
        Ok(()) => Asked::Answers,
        Err(ErrorKind::ConnectionRefused) => Asked::Refuses,
        Err(_) => Asked::Silent,
    }
}

fn kind_of(error: &anyhow::Error) -> ErrorKind {
    error
        .chain()
        .find_map(|cause| cause.downcast_ref::<io::Error>())
        .map_or(ErrorKind::Other, io::Error::kind)
}

/// Any answer from Redis will do, even a refusal to say more.
async fn ping(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"PING\r\n").await?;
    match stream.read(&mut [0; 16]).await? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

async fn ask_machine(handle: &mut Option<machine::Machine>, socket: Option<&Path>) -> (Asked, Option<Usage>) {
    let Some(socket) = socket else { return (Asked::CannotBe, None) };
    if handle.is_none() {
        match UnixStream::connect(socket).await {
            Ok(stream) => *handle = Some(machine::Machine::over(stream, |_| {})),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return (Asked::Refuses, None),
            // It has no socket, or this user may not open it.
            Err(_) => return (Asked::CannotBe, None),
        }
    }
    let Some(machine) = handle.as_ref() else { return (Asked::CannotBe, None) };
    match timeout(PATIENCE, machine.usage()).await {
        Ok(Some((usage, _))) => (Asked::Answers, Some(usage)),
        // The connection ended with the machine; the next probe finds out whether there is another one.
        Ok(None) => {
            *handle = None;
            (Asked::Refuses, None)
        }
        Err(_) => {
            *handle = None;
            (Asked::Silent, None)
        }
    }
}
