//! A closed-loop load generator for dbnode and Redis, used by `scripts/bench-db.sh`: each client sends its next request
//! as soon as the last one is answered. It has one thread and raw sockets, so that the client costs the same for both.
//!
//!     kv_load dbnode|redis put|get HOST:PORT CLIENTS SECONDS [KEYS]
//!
//! Prints operations a second, and the median and the 99th percentile in milliseconds. A Redis write is `SET` and
//! `WAIT 2` in one packet, and counts once two replicas have it.

#![allow(clippy::print_stdout, reason = "figures are printed")]

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The number of different keys, unless the command line says another.
const KEYS: u64 = 10_000;
const VALUE: &str =
    "x123456789x123456789x123456789x123456789x123456789x123456789x123456789x123456789x123456789x123456789";

#[derive(Clone, Copy, PartialEq)]
enum Spoken {
    Http,
    Redis,
}

#[derive(Clone, Copy, PartialEq)]
enum Asked {
    Put,
    Get,
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let usage = || {
        Error::new(ErrorKind::InvalidInput, "kv_load dbnode|redis put|get HOST:PORT CLIENTS SECONDS [KEYS]")
    };
    let [spoken, asked, address, clients, seconds, keys @ ..] = &words[..] else { return Err(usage()) };
    let spoken = match spoken.as_str() {
        "dbnode" => Spoken::Http,
        "redis" => Spoken::Redis,
        _ => return Err(usage()),
    };
    let asked = match asked.as_str() {
        "put" => Asked::Put,
        "get" => Asked::Get,
        _ => return Err(usage()),
    };
    let address: SocketAddr = address.parse().map_err(|_| usage())?;
    let keys = match keys {
        [] => KEYS,
        [keys] => keys.parse().map_err(|_| usage())?,
        _ => return Err(usage()),
    };
    let clients: u64 = clients.parse().map_err(|_| usage())?;
    let length = Duration::from_secs_f64(seconds.parse().map_err(|_| usage())?);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut latencies = runtime.block_on(async {
        let until = Instant::now() + length;
        let clients =
            (0..clients).map(|seed| tokio::spawn(client(spoken, asked, address, keys, seed, until)));
        let mut latencies = Vec::new();
        for client in clients.collect::<Vec<_>>() {
            latencies.extend(client.await.map_err(Error::other)??);
        }
        Result::Ok(latencies)
    })?;
    latencies.sort_unstable();
    let rate = latencies.len() as f64 / length.as_secs_f64();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("{rate:.0} {:.3} {:.3}", at(0.5), at(0.99));
    Ok(())
}

/// Runs one client. Returns all response times.
async fn client(
    spoken: Spoken,
    asked: Asked,
    to: SocketAddr,
    keys: u64,
    seed: u64,
    until: Instant,
) -> Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let (mut latencies, mut answer) = (Vec::new(), Vec::with_capacity(4096));
    let mut key = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    while Instant::now() < until {
        key = key.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let request = request(spoken, asked, (key >> 33) % keys);
        let began = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        answer.clear();
        while !is_whole(spoken, asked, &answer)? {
            if stream.read_buf(&mut answer).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        latencies.push(began.elapsed());
    }
    Ok(latencies)
}

fn request(spoken: Spoken, asked: Asked, key: u64) -> String {
    match (spoken, asked) {
        (Spoken::Http, Asked::Put) => {
            format!(
                "PUT /kv/k{key} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{VALUE}",
                VALUE.len()
            )
        }
        (Spoken::Http, Asked::Get) => {
            format!("GET /kv/k{key}?read=local HTTP/1.1\r\nhost: localhost\r\n\r\n")
        }
        (Spoken::Redis, Asked::Put) => {
            let set = command(&["SET", &format!("k{key}"), VALUE]);
            set + &command(&["WAIT", "2", "5000"])
        }
        (Spoken::Redis, Asked::Get) => command(&["GET", &format!("k{key}")]),
    }
}

fn command(words: &[&str]) -> String {
    let written: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!("*{}\r\n{written}", words.len())
}

/// Returns whether a response is complete. A negative one is an error.
fn is_whole(spoken: Spoken, asked: Asked, answer: &[u8]) -> Result<bool> {
    let text = std::str::from_utf8(answer).map_err(Error::other)?;
    let refused = || Err(Error::other(format!("answered with {text}")));
    match spoken {
        Spoken::Http => {
            let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ok(false) };
            if !head.starts_with("HTTP/1.1 20") && !head.starts_with("HTTP/1.1 404") {
                return refused();
            }
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            Ok(body.len() >= length.unwrap_or(0))
        }
        Spoken::Redis if asked == Asked::Put => match text.split_once("+OK\r\n") {
            Some(("", "")) => Ok(false),
            Some(("", ":2\r\n")) => Ok(true),
            Some(("", waited)) if !waited.ends_with("\r\n") => Ok(false),
            None if !text.ends_with("\r\n") => Ok(false),
            _ => refused(),
        },
        Spoken::Redis => match text.split_once("\r\n") {
            Some(("$-1", _)) => Ok(true),
            Some((length, value)) => {
                match length.strip_prefix('$').and_then(|length| length.parse::<usize>().ok()) {
                    Some(length) => Ok(value.len() >= length + 2),
                    None => refused(),
                }
            }
            None => Ok(false),
        },
    }
}
