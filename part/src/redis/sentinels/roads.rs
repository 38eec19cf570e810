//! From the Redis and the Sentinel of one node to those of another one through the lab's links.
//!
//! Sentinels tell each other where everybody is, so all have to know a program by one address, its *door*; but each of
//! the lab's machines reaches another one by links of its own. So a door belongs to the adapter of the node that it
//! leads to. By where a connection comes from it knows whose it is, and sends it back to that node's *gate*: from there it takes the
//! link that leads to the door's node, and what is answered the link that leads back. So a link that is slow or cut
//! in one direction is so for what goes in that direction.

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

/// How long another node may take to say what it knows.
const TOLD_WITHIN: Duration = Duration::from_millis(500);
/// How long whoever connects may take to say where to.
const SAID_WITHIN: Duration = Duration::from_secs(30);
/// The longest line that is read.
const LINE_BYTES_MAX: u64 = 4_096;
/// How long it is before a connection is accepted again after an error.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

type Stream = BufReader<TcpStream>;

/// The roads of a node.
pub(super) struct Roads {
    name: String,
    /// Where clients reach it.
    at: String,
    ports: Ports,
    /// The links to the other nodes.
    ways: BTreeMap<String, String>,
    /// Who waits for the way back of a connection, by its number.
    waiting: Mutex<HashMap<u64, oneshot::Sender<Stream>>>,
    lead: Arc<Mutex<Lead>>,
}

/// Where one listens.
#[derive(Debug, Clone, Copy)]
enum Place {
    Door(Which),
    Gate,
    WayIn,
}

impl Roads {
    /// Listens at all places.
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

    /// What the other nodes know, as far as they answer.
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
                // One that breaks off is tried again by whoever opened it.
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
        // For as long as the program waits for it.
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
                // Whoever waited may have left.
                drop(waiting.map(|waiting| waiting.send(near)));
                Ok(())
            }
            _ => Err(nonsense()),
        }
    }
}

/// One that waits for its way back.
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

/// Until either end is over: nobody here leaves one half open.
async fn join(near: TcpStream, far: TcpStream) -> io::Result<()> {
    near.set_nodelay(true)?;
    let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (near.into_split(), far.into_split());
    tokio::select! {
        there = copy(&mut near_in, &mut far_out) => there.map(drop),
        back = copy(&mut far_in, &mut near_out) => back.map(drop),
    }
}

/// The first line, of which nothing more than the line is taken.
async fn read_line(stream: &mut Stream) -> io::Result<String> {
    let mut line = String::new();
    let mut limited = stream.take(LINE_BYTES_MAX);
    timeout(SAID_WITHIN, limited.read_line(&mut line)).await??;
    line.strip_suffix('\n').map(str::to_owned).ok_or_else(nonsense)
}

fn nonsense() -> io::Error {
    io::ErrorKind::InvalidData.into()
}
