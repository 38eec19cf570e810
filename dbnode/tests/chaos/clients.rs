//! The clients: several processes, each with sequential sessions that record what they asked and
//! what was answered.
//!
//! A client process is this test program once more, started as a client. It runs until its standard
//! input ends, and so ends with the process that started it.

use std::fs::File;
use std::io::BufWriter;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use dbclient::{Client, ClientError, ClientLimits, Condition};
use history::journal::Journal;
use history::{Action, Answer, At, History, Operation, Outcome, Read};
use machine::network::Network;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// The number of client processes.
pub const PROCESSES: usize = 3;

/// The environment variable that carries a client process's orders.
const ORDERS: &str = "CHAOS_CLIENT";

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_millis(800);

/// How long a client that was told to stop may take to finish what it has begun: each addition has
/// to be acknowledged.
const AT_THE_END: Duration = Duration::from_secs(30);

/// How long the same records are used. Unknown outcomes make the history of a record hard to judge.
const EPOCH: Duration = Duration::from_secs(2);

/// The orders of a client process.
#[derive(Debug, Serialize, Deserialize)]
struct Orders {
    process: usize,
    seed: u64,
    nodes: Vec<SocketAddr>,
    journal: PathBuf,
}

/// A client process.
pub struct Process {
    child: tokio::process::Child,
    journal: PathBuf,
}

impl Process {
    /// Starts a client process.
    pub fn start(process: usize, seed: u64, nodes: &[SocketAddr], directory: &Path) -> Self {
        let journal = directory.join(format!("client-{}.jsonl", process + 1));
        let orders = Orders { process, seed, nodes: nodes.to_vec(), journal: journal.clone() };
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "clients::is_a_client", "--ignored", "--nocapture"]);
        command.env(ORDERS, serde_json::to_string(&orders).unwrap());
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let child = tokio::process::Command::from(command).kill_on_drop(true).spawn().unwrap();
        Self { child, journal }
    }

    /// Lets it finish, and reads what it recorded.
    pub async fn end(mut self) -> Result<History, String> {
        drop(self.child.stdin.take());
        let status = self.child.wait().await.unwrap();
        if !status.success() {
            return Err(format!("a client's process failed ({status}): see above"));
        }
        let journal = File::open(&self.journal).unwrap();
        history::journal::read(std::io::BufReader::new(journal)).map_err(|error| error.to_string())
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a client's process: the tests of this program start it"]
async fn is_a_client() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    let orders: Orders = serde_json::from_str(&orders).unwrap();
    let (stop, stopped) = watch::channel(false);
    let mut sessions = JoinSet::new();
    // Two sessions for each node, which ask that node first, and two that ask any node.
    for number in 0..orders.nodes.len() * 2 + 2 {
        let nodes = orders.nodes.get(number / 2).map_or(orders.nodes.clone(), |node| vec![*node]);
        sessions.spawn(Session::new(&orders, number, nodes).run(stopped.clone()));
    }
    let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
    stop.send(true).unwrap();
    let operations = sessions.join_all().await;
    let file = BufWriter::new(File::create(&orders.journal).unwrap());
    let mut journal = Journal::begin(file, &Default::default()).unwrap();
    operations.iter().flatten().for_each(|operation| journal.write(operation).unwrap());
    journal.finish().unwrap();
}

/// A sequential session.
struct Session {
    name: String,
    client: Client,
    dice: ChaCha8Rng,
    written: Vec<Operation>,
}

/// A client of these nodes with this time limit.
pub fn client(nodes: Vec<SocketAddr>, patience: Duration) -> Client {
    let limits =
        ClientLimits { request: patience, connect: Duration::from_millis(200), ..ClientLimits::default() };
    Client::new(nodes, Network::tcp(), limits)
}

impl Session {
    fn new(orders: &Orders, number: usize, nodes: Vec<SocketAddr>) -> Self {
        let name = format!("client-{}.{}", orders.process + 1, number + 1);
        let seed = orders.seed ^ ((orders.process * 100 + number + 1) as u64) << 32;
        Self {
            name,
            client: client(nodes, PATIENCE),
            dice: ChaCha8Rng::seed_from_u64(seed),
            written: Vec::new(),
        }
    }

    async fn run(mut self, stop: watch::Receiver<bool>) -> Vec<Operation> {
        while !*stop.borrow() {
            let epoch = now().0 / EPOCH.as_nanos() as u64;
            let of = |kind: &str, count: u64, dice: &mut ChaCha8Rng| {
                format!("{kind}-{epoch}-{}", dice.random_range(0..count))
            };
            let kind = *["register", "register", "register", "sum"].choose(&mut self.dice).expect("some");
            let key = of(kind, if kind == "sum" { 2 } else { 4 }, &mut self.dice);
            let number = self.written.len();
            match (kind, self.dice.random_range(0..100)) {
                (_, 0..50) => self.once(&key, Action::Get { read: Read::Latest }).await,
                ("sum", _) => self.add(&key, number, &stop).await,
                (_, 50..55) => self.once(&key, Action::Delete).await,
                _ => {
                    let value = format!("{}:{number}", self.name);
                    self.once(&key, Action::Put { value }).await;
                }
            }
            let pause = Duration::from_millis(self.dice.random_range(2..30));
            sleep(pause).await;
        }
        self.written
    }

    async fn once(&mut self, key: &str, action: Action) {
        self.attempt(key, &action, None).await;
    }

    /// Adds with an idempotency key, and retries until the addition is acknowledged.
    async fn add(&mut self, key: &str, number: usize, stop: &watch::Receiver<bool>) {
        let (name, by) = (format!("{}:{number}", self.name), self.dice.random_range(1..4));
        let mut limit = None;
        while !self.attempt(key, &Action::Add { by }, Some(&name)).await {
            if *stop.borrow() && Instant::now() > *limit.get_or_insert(Instant::now() + AT_THE_END) {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Attempts an action, and records the outcome. Returns true if it succeeded.
    async fn attempt(&mut self, key: &str, action: &Action, name: Option<&str>) -> bool {
        let invoked_at = now();
        let outcome = ask(&self.client, key, action, name).await;
        let returned_at = Some(now());
        let is_done = matches!(outcome, Outcome::Ok(_));
        // A read without an answer tells nothing.
        if is_done || !matches!(action, Action::Get { .. }) {
            self.written.push(Operation {
                session: self.name.clone(),
                key: key.into(),
                action: action.clone(),
                request: name.map(str::to_owned),
                node: None,
                invoked_at,
                returned_at,
                outcome,
            });
        }
        is_done
    }
}

/// Performs an action, and returns its outcome.
pub async fn ask(client: &Client, key: &str, action: &Action, name: Option<&str>) -> Outcome {
    let answer = match action {
        Action::Get { .. } => client.get(key, dbclient::Read::Latest).await.map(|record| match record {
            Some(record) => {
                Answer::Found { value: String::from_utf8_lossy(&record.value).into_owned(), version: None }
            }
            None => Answer::Absent,
        }),
        Action::Put { value } => {
            let put = client.put(key, value.clone().into(), Condition::Always).await;
            put.map(|_| Answer::Done { version: None })
        }
        Action::Delete => {
            client.delete(key, Condition::Always).await.map(|()| Answer::Done { version: None })
        }
        Action::Add { by } => {
            client.add(key, *by, name).await.map(|sum| Answer::Sum { value: sum.value, version: None })
        }
    };
    match answer {
        Ok(answer) => Outcome::Ok(answer),
        Err(error @ ClientError::BadRequest { .. }) => panic!("{key}: {error}"),
        Err(error) if error.may_have_happened() => Outcome::Unknown(error.to_string()),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// The wall-clock time, which all processes share. The run checks that it was not set meanwhile.
pub fn now() -> At {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
    At(since.as_nanos() as u64)
}
