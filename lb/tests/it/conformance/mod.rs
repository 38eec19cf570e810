//! What RFC 9110 and RFC 9112 require of a proxy, over raw sockets: each case is a row of a table,
//! with its expected outcome.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::*;

mod answers;
mod connections;
mod fuzz;
mod interim;
mod passed_on;
mod refused;
mod upgrades;

/// An upstream that records what it receives, byte by byte, and answers each request with the
/// response that its target selects: `/3` gets the third one.
struct Witness {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

impl Witness {
    async fn start(answers: &'static [&'static str]) -> Self {
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let writes_down = Arc::clone(&seen);
        let address = raw_upstream(move |mut stream, _| {
            let seen = Arc::clone(&writes_down);
            async move {
                while let Some(message) = read_message(&mut stream, &seen).await {
                    let number = message.split([' ', '/']).find_map(|word| word.parse::<usize>().ok());
                    let answer = number.and_then(|number| answers.get(number));
                    if stream.write_all(answer.unwrap_or(&OK).as_bytes()).await.is_err() || answer.is_some() {
                        // A scripted response is the last on its connection.
                        return;
                    }
                }
            }
        })
        .await;
        Self { address, seen }
    }

    async fn balancer(&self) -> Balancer {
        Balancer::start(&[&format!("--upstream=web-1={}", self.address), "--health=off"]).await
    }

    /// Returns what was received since the last call, complete or not.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

/// Reads a whole message, and records it even if it breaks off.
async fn read_message(stream: &mut TcpStream, seen: &Mutex<Vec<String>>) -> Option<String> {
    let mut message = Vec::new();
    let whole = loop {
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => break false,
            Ok(bytes) => message.extend_from_slice(&piece[..bytes]),
        }
        if is_whole(&message) {
            break true;
        }
    };
    let text = String::from_utf8_lossy(&message).into_owned();
    if !text.is_empty() {
        seen.lock().unwrap().push(text.clone());
    }
    whole.then_some(text)
}

/// Returns whether a message is complete, by its own framing.
fn is_whole(message: &[u8]) -> bool {
    let text = String::from_utf8_lossy(message).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    if head.contains("\r\ntransfer-encoding: chunked") {
        return body.starts_with("0\r\n") && body.ends_with("\r\n\r\n") || {
            let last = body.find("\r\n0\r\n");
            last.is_some_and(|at| body[at + 2..].ends_with("\r\n\r\n"))
        };
    }
    let length =
        head.split("\r\n").find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    let head_bytes = message.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    message.len() - head_bytes >= length.unwrap_or(0)
}

/// Sends bytes, half-closes, and returns everything that comes back.
async fn exchange(address: SocketAddr, request: &str) -> Reply {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut bytes = Vec::new();
        let was_reset = stream.read_to_end(&mut bytes).await.is_err();
        Reply { text: String::from_utf8_lossy(&bytes).into_owned(), was_reset }
    };
    tokio::time::timeout(LIMIT, exchange).await.expect("the other side closes in time")
}

/// Everything that came back on a connection.
#[derive(Debug)]
struct Reply {
    text: String,
    was_reset: bool,
}

impl Reply {
    /// Returns whether a client takes it for complete.
    fn is_whole(&self) -> bool {
        let text = self.text.to_ascii_lowercase();
        let framed = text.contains("\r\ncontent-length: ") || text.contains("\r\ntransfer-encoding: ");
        !self.was_reset && (!framed || is_whole(self.text.as_bytes()))
    }

    fn status(&self) -> u16 {
        self.text.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }
}

/// Checks for lines of a message, ignoring case: those that must be there, and (`!`) that must not.
fn assert_lines(message: &str, lines: &[&str], case: &str) {
    let lower = message.to_ascii_lowercase();
    for line in lines {
        let (wanted, line) = line.strip_prefix('!').map_or((true, *line), |line| (false, line));
        assert_eq!(lower.contains(&line.to_ascii_lowercase()), wanted, "{line:?} of {case:?}: {message:?}");
    }
}
