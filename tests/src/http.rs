//! A request and its answer, over a connection of its own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(1);

/// The status of an answer; none when there was no answer in time. A request is `METHOD PATH`, and perhaps a line
/// with JSON.
pub fn ask(address: &str, request: &str) -> Option<u16> {
    status(&answer(address, request, "")?)
}

/// The same, of a visitor who has this cookie.
pub fn ask_with_cookie(address: &str, request: &str, cookie: &str) -> Option<u16> {
    status(&answer(address, request, &format!("cookie: {cookie}\r\n"))?)
}

/// The cookie that a request is answered with.
pub fn ask_for_cookie(address: &str, request: &str) -> String {
    let answer = answer(address, request, "").expect("it is answered");
    let line = answer.lines().find_map(|line| line.strip_prefix("set-cookie: "));
    let cookie = line.and_then(|line| line.split(';').next());
    cookie.unwrap_or_else(|| panic!("a cookie is in {answer}")).to_owned()
}

/// A whole answer; none when there was none in time.
pub fn answer(address: &str, request: &str, headers: &str) -> Option<String> {
    let address: SocketAddr = address.parse().expect("it is an address");
    let mut stream = TcpStream::connect_timeout(&address, LIMIT).ok()?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    let (head, body) = request.split_once('\n').unwrap_or((request, ""));
    let length = body.len();
    write!(
        stream,
        "{head} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         {headers}content-length: {length}\r\n\r\n{body}"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// The body of an answer, put together where it came in chunks.
pub fn body(answer: &str) -> Option<String> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    if !head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return Some(body.to_owned());
    }
    let (mut whole, mut rest) = (String::new(), body);
    loop {
        let (size, more) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(whole);
        }
        whole.push_str(more.get(..size)?);
        rest = more.get(size..)?.strip_prefix("\r\n")?;
    }
}

fn status(answer: &str) -> Option<u16> {
    answer.split(' ').nth(1)?.parse().ok()
}
