//! Fuzzing: valid requests with a few bytes changed, split anywhere. Whatever the upstream then sees
//! must be well-formed, by rules that are implemented here a second time.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Runtime;

use super::*;

const GOOD: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://a/b?c HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\n!\r\n0\r\nX: y\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
];

/// Bytes and words that are dangerous.
const NASTY: &[&str] = &[
    "\r",
    "\n",
    "\r\n",
    "\0",
    " ",
    "\t",
    ":",
    ",",
    "\u{b}",
    "\u{7f}",
    "é",
    "5",
    "-",
    "+",
    ";",
    "0",
    "x",
    "_",
    "\r\n\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Host: b\r\n",
    "HTTP/1.1",
    "GET / HTTP/1.1\r\n",
    "chunked",
];

#[derive(Debug, Clone)]
enum Harm {
    Put(prop::sample::Index, &'static str),
    Remove(prop::sample::Index),
}

fn requests() -> impl Strategy<Value = Vec<u8>> {
    let put = (any::<prop::sample::Index>(), prop::sample::select(NASTY))
        .prop_map(|(at, what)| Harm::Put(at, what));
    let harm = prop_oneof![put, any::<prop::sample::Index>().prop_map(Harm::Remove)];
    let good = prop::collection::vec(prop::sample::select(GOOD), 1..4);
    (good, prop::collection::vec(harm, 0..4)).prop_map(|(good, harms)| {
        let mut bytes = good.concat().into_bytes();
        for harm in harms {
            match harm {
                Harm::Put(at, what) => {
                    let at = at.index(bytes.len() + 1);
                    bytes.splice(at..at, what.bytes());
                }
                Harm::Remove(at) => {
                    bytes.remove(at.index(bytes.len()));
                }
            }
        }
        bytes
    })
}

#[test]
fn what_arrives_is_well_formed_whatever_is_sent() {
    let runtime = Runtime::new().unwrap();
    let (witness, lb) = runtime.block_on(async {
        let witness = Witness::start(&[]).await;
        let lb = witness.balancer().await;
        (witness, lb)
    });
    let strategy = (requests(), prop::collection::vec(1usize..60, 0..6));
    let config = Config { cases: 1500, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&strategy, |(bytes, cuts)| {
            let seen = runtime.block_on(async {
                send_in_pieces(lb.address, &bytes, &cuts).await;
                witness.take()
            });
            for message in seen {
                let sent = String::from_utf8_lossy(&bytes);
                prop_assert!(is_well_formed(&message), "{sent:?} became {message:?}");
            }
            Ok(())
        })
        .unwrap();
    let _context = runtime.enter();
    assert_eq!(runtime.block_on(lb.get("/")).status, 200, "it goes on");
}

async fn send_in_pieces(address: SocketAddr, mut bytes: &[u8], cuts: &[usize]) {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for cut in cuts {
            let (piece, rest) = bytes.split_at((*cut).min(bytes.len()));
            // It may have been rejected already.
            let _ = stream.write_all(piece).await;
            tokio::task::yield_now().await;
            bytes = rest;
        }
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    };
    tokio::time::timeout(LIMIT, exchange).await.expect("it is answered or closed in time");
}

/// True for a strictly valid head: one request line, field lines, one host, one framing.
fn is_well_formed(message: &str) -> bool {
    let Some((head, _)) = message.split_once("\r\n\r\n") else { return false };
    let mut lines = head.split("\r\n");
    let request: Vec<_> = lines.next().unwrap_or_default().split(' ').collect();
    let is_token = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    let is_value = |text: &str| text.chars().all(|character| character == '\t' || !character.is_control());
    let mut names = Vec::new();
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { return false };
        if !is_token(name) || !is_value(value) {
            return false;
        }
        names.push(name.to_ascii_lowercase());
    }
    let count = |name: &str| names.iter().filter(|found| *found == name).count();
    matches!(request[..], [method, target, "HTTP/1.1"]
        if is_token(method) && (target.starts_with('/') || target == "*") && target.is_ascii() && is_value(target))
        && count("host") == 1
        && count("content-length") + count("transfer-encoding") <= 1
}
