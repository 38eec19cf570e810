//! A minimal HTTP client: one request per connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Timeout of a request.
const LIMIT: Duration = Duration::from_secs(1);

/// Returns the status of a response; none if there was none in time. A request is `METHOD PATH`, optionally followed by
/// a line of JSON.
pub fn ask(address: &str, request: &str) -> Option<u16> {
    status(&answer(address, request, "")?)
}

/// Does the same as a visitor with this cookie.
pub fn ask_with_cookie(address: &str, request: &str, cookie: &str) -> Option<u16> {
    status(&answer(address, request, &format!("cookie: {cookie}\r\n"))?)
}

/// Returns the cookie that a response sets.
pub fn ask_for_cookie(address: &str, request: &str) -> String {
    let answer = answer(address, request, "").expect("it is answered");
    let line = answer.lines().find_map(|line| line.strip_prefix("set-cookie: "));
    let cookie = line.and_then(|line| line.split(';').next());
    cookie.unwrap_or_else(|| panic!("a cookie is in {answer}")).to_owned()
}

/// Returns the whole response; none if there was none in time.
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

/// Returns the body of a response, decoded if it is chunked.
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
