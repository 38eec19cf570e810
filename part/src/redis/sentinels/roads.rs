//! Relays connections between the Redis and Sentinel of different nodes through the lab's links.
//!
//! Sentinels exchange the addresses of all programs, so every node must know a program by the same address, its *door*.
//! In the lab, however, each machine reaches another one through links of its own. A door therefore belongs to the
//! adapter of the node that it leads to. The source address of a connection tells which node it comes from, and the
//! door relays it to that node's *gate*. From there, requests take the link to the door's node, and answers take the
//! link back. A link that is slow or cut in one direction thus affects only what travels in that direction.
//!
//! ```text
//! program of A ──> door of B ──> gate of A ──link A to B──> way in of B ──> program of B
//!                                gate of A <──link B to A── way in of B <── program of B
//! ```

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::lead::{Lead, Told};
use super::settings::{Ports, Which};

/// Timeout for another node's report.
const TOLD_WITHIN: Duration = Duration::from_millis(500);
/// How long a client may take to send its first line.
const SAID_WITHIN: Duration = Duration::from_secs(30);
/// Maximum length of a line.
const LINE_BYTES_MAX: u64 = 4_096;
/// Pause before the next `accept` after an error.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

type Stream = BufReader<TcpStream>;

/// A node's relay: its listeners, and its links to the other nodes.
pub(super) struct Roads {
    name: String,
    /// The address for the database's clients.
    at: String,
    ports: Ports,
    /// The lab's links to the other nodes, by name.
    ways: BTreeMap<String, String>,
    /// The connections that wait for their way back, by number.
    waiting: Mutex<HashMap<u64, oneshot::Sender<Stream>>>,
    lead: Arc<Mutex<Lead>>,
}

/// What a listener is for.
#[derive(Debug, Clone, Copy)]
enum Place {
    Door(Which),
    Gate,
    WayIn,
}

impl Roads {
    /// Opens all listeners.
    pub(super) async fn open(
        name: String,
        at: String,
        ports: Ports,
        ways: BTreeMap<String, String>,
        lead: Arc<Mutex<Lead>>,
    ) -> anyhow::Result<Arc<Self>> {
        let roads = Arc::new(Self { name, at, ports, ways, waiting: Mutex::default(), lead });
        let places = [
            (ports.door(Which::Redis), Place::Door(Which::Redis)),
            (ports.door(Which::Sentinel), Place::Door(Which::Sentinel)),
            (ports.gate(ports.ip), Place::Gate),
            (ports.way_in(), Place::WayIn),
        ];
        for (address, place) in places {
            let listener = TcpListener::bind(address).await;
            let listener = listener.with_context(|| {
                format!("listen on {address} (--peer-listen, and the five ports after it)")
            })?;
            tokio::spawn(Arc::clone(&roads).accept(listener, place));
        }
        Ok(roads)
    }

    /// Collects the reports of the other nodes that answer.
    pub(super) async fn ask_all(&self) -> Vec<Told> {
        let mut asking = JoinSet::new();
        for way in self.ways.values().cloned() {
            asking.spawn(timeout(TOLD_WITHIN, ask(way)));
        }
        asking.join_all().await.into_iter().filter_map(|told| told.ok()?.ok()).collect()
    }

    async fn accept(self: Arc<Self>, listener: TcpListener, place: Place) {
        loop {
            let Ok((stream, from)) = listener.accept().await else {
                sleep(AGAIN_AFTER).await;
                continue;
            };
            let roads = Arc::clone(&self);
            tokio::spawn(async move {
                // After an error, the program at the other end tries again.
                let _ = match place {
                    Place::Door(which) => roads.door(stream, from, which).await,
                    Place::Gate => roads.gate(stream).await,
                    Place::WayIn => roads.way_in(stream).await,
                };
            });
        }
    }

    async fn door(&self, stream: TcpStream, from: SocketAddr, which: Which) -> io::Result<()> {
        if from.ip() == self.ports.ip {
            return join(stream, connect(self.ports.program(which).to_string()).await?).await;
        }
        let mut gate = connect(self.ports.gate(from.ip()).to_string()).await?;
        gate.write_all(format!("{} {}\n", self.name, which.name()).as_bytes()).await?;
        join(stream, gate).await
    }

    async fn gate(&self, stream: TcpStream) -> io::Result<()> {
        let mut near = BufReader::new(stream);
        let line = read_line(&mut near).await?;
        let (name, which) = line.split_once(' ').ok_or_else(nonsense)?;
        let way = self.ways.get(name).ok_or_else(nonsense)?;
        let (number, (sender, comes)) = (rand::random(), oneshot::channel());
        self.waiting.lock().insert(number, sender);
        let _waiting = Waiting { all: &self.waiting, number };
        let mut forth = connect(way.clone()).await?;
        let said = format!("forth {which} {number} {}\n", self.name);
        forth.write_all(said.as_bytes()).await?;
        let (mut near_in, mut near_out) = split(near);
        // Ends with the other direction, when the program no longer waits.
        let back = async {
            let mut back = comes.await.map_err(|_| nonsense())?;
            copy(&mut back, &mut near_out).await
        };
        tokio::select! {
            there = copy(&mut near_in, &mut forth) => there.map(drop),
            back = back => back.map(drop),
        }
    }

    async fn way_in(&self, stream: TcpStream) -> io::Result<()> {
        let mut near = BufReader::new(stream);
        let line = read_line(&mut near).await?;
        match *line.split(' ').collect::<Vec<_>>() {
            ["who"] => {
                let view = self.lead.lock().of_own_sentinel;
                let door = self.ports.door(Which::Redis);
                let told = Told { name: self.name.clone(), door, at: self.at.clone(), view };
                let told = serde_json::to_string(&told).expect("texts and numbers always serialize");
                near.write_all(format!("{told}\n").as_bytes()).await
            }
            ["forth", which, number, name] => {
                let which = Which::named(which).ok_or_else(nonsense)?;
                let way = self.ways.get(name).ok_or_else(nonsense)?;
                let program = connect(self.ports.program(which).to_string()).await?;
                let mut back = connect(way.clone()).await?;
                back.write_all(format!("back {number}\n").as_bytes()).await?;
                let (mut program_out, mut program_in) = split(program);
                tokio::select! {
                    there = copy(&mut near, &mut program_in) => there.map(drop),
                    back = copy(&mut program_out, &mut back) => back.map(drop),
                }
            }
            ["back", number] => {
                let number = number.parse().map_err(|_| nonsense())?;
                let waiting = self.waiting.lock().remove(&number);
                // The gate may have given up meanwhile.
                drop(waiting.map(|waiting| waiting.send(near)));
                Ok(())
            }
            _ => Err(nonsense()),
        }
    }
}

/// An entry of `Roads::waiting`, removed on drop.
struct Waiting<'a> {
    all: &'a Mutex<HashMap<u64, oneshot::Sender<Stream>>>,
    number: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.all.lock().remove(&self.number);
    }
}

async fn ask(way: String) -> io::Result<Told> {
    let mut stream = BufReader::new(connect(way).await?);
    stream.write_all(b"who\n").await?;
    let line = read_line(&mut stream).await?;
    serde_json::from_str(&line).map_err(io::Error::from)
}

async fn connect(to: String) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Relays until either side closes: neither Redis nor Sentinel half-closes a connection.
async fn join(near: TcpStream, far: TcpStream) -> io::Result<()> {
    near.set_nodelay(true)?;
    let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (near.into_split(), far.into_split());
    tokio::select! {
        there = copy(&mut near_in, &mut far_out) => there.map(drop),
        back = copy(&mut far_in, &mut near_out) => back.map(drop),
    }
}

/// Reads one line, and leaves what follows it in the buffer.
async fn read_line(stream: &mut Stream) -> io::Result<String> {
    let mut line = String::new();
    let mut limited = stream.take(LINE_BYTES_MAX);
    timeout(SAID_WITHIN, limited.read_line(&mut line)).await??;
    line.strip_suffix('\n').map(str::to_owned).ok_or_else(nonsense)
}

fn nonsense() -> io::Error {
    io::ErrorKind::InvalidData.into()
}
