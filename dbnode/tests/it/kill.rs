//! A node is killed repeatedly while eight clients write. Afterwards, everything acknowledged is
//! there, and an unacknowledged write is there either completely or not at all.
//!
//! Each client owns a few keys, and writes them one write at a time. So it is simple to say what a
//! key may hold: the last acknowledged value, or one sent after it whose outcome is unknown. The
//! values are long enough that a torn one would be noticed. Each client also deposits 1 to a shared
//! account, with an idempotency key for each deposit, and retries until it is acknowledged: at the
//! end the account holds the number of deposits.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dbclient::{Client, ClientError, ClientLimits, Condition, Read};
use machine::network::Network;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;

const WRITERS: usize = 8;
const KEYS_EACH: usize = 4;
const KILLS: usize = 60;

/// A key's history, as known to its only writer.
#[derive(Debug, Default, Clone)]
struct Known {
    acknowledged: Option<String>,
    /// Values sent since whose outcome is unknown.
    maybe: BTreeSet<String>,
}

/// What one writer knows at the end.
#[derive(Debug, Default)]
struct History {
    keys: BTreeMap<String, Known>,
    deposits: u64,
    acknowledged: u64,
}

struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    /// Starts a node, and waits until it is ready.
    fn start(data: &Path, address: SocketAddr, broken: bool) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dbnode"));
        command.args(["--id", "db-1", "--listen", &address.to_string()]).arg("--data").arg(data);
        // Short enough to be compacted continually, so that the node is also killed during
        // compactions.
        command.args(["--log-entries", "50"]);
        if broken {
            command.env("DBNODE_PLANTED", "acknowledges-before-sync");
        }
        let child = command.env("RUST_LOG", "warn").stderr(Stdio::inherit()).spawn().unwrap();
        let mut process = Self { child, address };
        process.wait_until_ready();
        process
    }

    fn wait_until_ready(&mut self) {
        let limit = Instant::now() + Duration::from_secs(20);
        while !is_ready(self.address) {
            assert_eq!(self.child.try_wait().unwrap(), None, "the node does not start any more");
            assert!(Instant::now() < limit, "the node takes too long to start");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends SIGKILL.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// True if the node reports that it is ready.
fn is_ready(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let asked = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: db-1\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    asked.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200")
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn client(address: SocketAddr) -> Client {
    let limits = ClientLimits { request: Duration::from_secs(5), ..ClientLimits::default() };
    Client::new(vec![address], Network::tcp(), limits)
}

/// Writes until told to stop.
async fn write(writer: usize, client: Client, stop: watch::Receiver<bool>) -> History {
    let mut history = History::default();
    for number in 0_u64.. {
        if *stop.borrow() {
            break;
        }
        if number % 5 == 4 {
            deposit(&client, &format!("deposit-{writer}-{number}")).await;
            history.deposits += 1;
            continue;
        }
        let key = format!("key-{writer}-{}", number as usize % KEYS_EACH);
        let value = format!("{number}:").repeat(200);
        let outcome = client.put(&key, value.clone().into(), Condition::Always).await;
        let known = history.keys.entry(key).or_default();
        match outcome {
            Ok(_) => {
                *known = Known { acknowledged: Some(value), maybe: BTreeSet::new() };
                history.acknowledged += 1;
            }
            Err(error) if error.may_have_happened() => {
                known.maybe.insert(value);
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
    history
}

/// Deposits 1, and retries until it is known to have happened, once.
async fn deposit(client: &Client, name: &str) {
    let limit = Instant::now() + Duration::from_secs(30);
    while let Err(error) = client.add("account", 1, Some(name)).await {
        assert!(!matches!(error, ClientError::BadRequest { .. }), "{error}");
        assert!(Instant::now() < limit, "the deposit {name} does not go through: {error}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Compares the records with what the writers know, and returns the violations.
async fn violations(client: &Client, histories: &[History]) -> Vec<String> {
    let mut violations = Vec::new();
    for (key, known) in histories.iter().flat_map(|history| &history.keys) {
        let found = client.get(key, Read::Latest).await.unwrap();
        let found = found.map(|record| String::from_utf8_lossy(&record.value).into_owned());
        let possible =
            found == known.acknowledged || found.as_ref().is_some_and(|it| known.maybe.contains(it));
        if !possible {
            let show = |value: &Option<String>| {
                value.as_ref().map_or("nothing".into(), |it| it[..it.len().min(8)].to_owned())
            };
            violations.push(format!(
                "{key} holds {}, acknowledged was {}",
                show(&found),
                show(&known.acknowledged)
            ));
        }
    }
    let deposits: u64 = histories.iter().map(|history| history.deposits).sum();
    let account = client.get("account", Read::Latest).await.unwrap();
    let account = account.map_or("0".into(), |record| String::from_utf8_lossy(&record.value).into_owned());
    if account != deposits.to_string() {
        violations.push(format!("the account holds {account} after {deposits} deposits"));
    }
    violations
}

/// Kills a node repeatedly while it is written to, and returns the violations.
async fn kill_again_and_again(kills: usize, broken: bool) -> Vec<String> {
    let seed: u64 =
        std::env::var("KILL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("seed: KILL_SEED={seed}");
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let data = TempDir::new().unwrap();
    // Free a moment ago, and not used by others: the node binds it repeatedly.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut process = Process::start(data.path(), address, broken);
    let (stop, stopped) = watch::channel(false);
    let shared = Arc::new(client(address));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write(writer, (*shared).clone(), stopped.clone()));
    }
    for _ in 0..kills {
        tokio::time::sleep(Duration::from_micros(dice.random_range(5_000..250_000))).await;
        process.kill();
        process = Process::start(data.path(), address, broken);
    }
    stop.send(true).unwrap();
    let histories = writers.join_all().await;
    process.kill();
    let _process = Process::start(data.path(), address, broken);
    let acknowledged: u64 = histories.iter().map(|history| history.acknowledged).sum();
    println!("{kills} kills, {acknowledged} writes acknowledged");
    assert!(acknowledged as usize > kills, "hardly anything was written");
    violations(&client(address), &histories).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_in_sixty_kills() {
    assert_eq!(kill_again_and_again(KILLS, false).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "in a tree with bugs: scripts/planted.sh"]
async fn the_checker_finds_a_node_that_acknowledges_before_it_syncs() {
    let found = kill_again_and_again(KILLS, true).await;
    assert_ne!(found, [""; 0], "the planted bug was not found");
}
