//! What a request must look like to be let through. Whatever two servers could read in two ways is
//! refused, and the connection closed: that is how requests are smuggled.
//!
//! hyper has already refused what it cannot parse: bad lines, names and values, lengths that are
//! no numbers or contradict each other, chunks that are none.
#![deny(clippy::disallowed_methods)]

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Version};

use crate::refusal::Refusal;

/// Checks everything that can be seen in a request's head. `raw_head` is the head as it came in:
/// the parsed one does not tell whether there was a `Content-Length` beside a `Transfer-Encoding`.
pub fn check(request: &Parts, raw_head: &[u8], head_bytes_max: usize) -> Result<(), Refusal> {
    if matches!(request.method, Method::CONNECT | Method::TRACE) {
        return Err(Refusal::NotImplemented("CONNECT and TRACE are not passed on"));
    }
    check_size(request, raw_head, head_bytes_max)?;
    check_host(request)?;
    check_framing(&request.headers, raw_head)
}

fn check_size(request: &Parts, raw_head: &[u8], head_bytes_max: usize) -> Result<(), Refusal> {
    // What came in may include the begin of a body, so this only says when to look closely.
    if raw_head.len() <= head_bytes_max {
        return Ok(());
    }
    let target = request.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target > head_bytes_max {
        return Err(Refusal::UriTooLong);
    }
    let headers = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    if target + headers.sum::<usize>() > head_bytes_max {
        return Err(Refusal::HeadersTooLarge);
    }
    Ok(())
}

fn check_host(request: &Parts) -> Result<(), Refusal> {
    let mut hosts = request.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version == Version::HTTP_10 => Ok(()),
        (None, _) => Err(Refusal::BadRequest("a request of HTTP/1.1 has a Host header")),
        (Some(_), Some(_)) => Err(Refusal::BadRequest("a request has one Host header, not several")),
        (Some(host), None) if is_host(host.as_bytes()) => Ok(()),
        (Some(_), None) => Err(Refusal::BadRequest("the Host header is not a host with an optional port")),
    }
}

/// `host [ ":" port ]` of RFC 3986, with a host that is not empty.
pub fn is_host(text: &[u8]) -> bool {
    let (host, port) = match text {
        [b'[', rest @ ..] => match rest.iter().position(|byte| *byte == b']') {
            Some(end) if is_ipv6(&rest[..end]) => (&rest[..end], &rest[end + 1..]),
            _ => return false,
        },
        _ => text.split_at(text.iter().position(|byte| *byte == b':').unwrap_or(text.len())),
    };
    let name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%:".contains(byte);
    let digits = |port: &[u8]| port.len() <= 5 && port.iter().all(u8::is_ascii_digit);
    !host.is_empty() && host.iter().all(name) && (port.is_empty() || port[0] == b':' && digits(&port[1..]))
}

fn is_ipv6(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
}

fn check_framing(headers: &HeaderMap, raw_head: &[u8]) -> Result<(), Refusal> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(first) = codings.next() else { return Ok(()) };
    if headers.contains_key(CONTENT_LENGTH) || has_content_length(raw_head) {
        return Err(Refusal::BadRequest("a request has a Content-Length or a Transfer-Encoding, not both"));
    }
    if codings.next().is_some() || !is_chunked(first) {
        return Err(Refusal::NotImplemented("the only transfer coding is 'chunked', and it is given once"));
    }
    Ok(())
}

/// True for exactly one `chunked`.
pub fn is_chunked(coding: &HeaderValue) -> bool {
    coding.as_bytes().eq_ignore_ascii_case(b"chunked")
}

/// True when a raw head has a line that begins with `Content-Length:`. What comes after the empty
/// line is the body and does not count.
fn has_content_length(raw_head: &[u8]) -> bool {
    const NAME: &[u8] = b"content-length:";
    let lines = raw_head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    // A few empty lines before the request line are allowed, and skipped with it.
    let headers = lines.skip_while(|line| line.is_empty()).skip(1).take_while(|line| !line.is_empty());
    headers.into_iter().any(|line| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(version: Version, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::get("/").version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn status(headers: &[(&str, &str)], raw_head: &[u8]) -> u16 {
        let headers = [&[("host", "a")], headers].concat();
        let checked = check(&parts(Version::HTTP_11, &headers), raw_head, 8192);
        checked.map_or_else(|refusal| refusal.status().as_u16(), |()| 200)
    }

    #[test]
    fn hosts_that_are_hosts() {
        for good in ["a", "a.b:80", "127.0.0.1:9001", "[::1]", "[2001:db8::1]:80", "a:", "a%20b", "a_b"] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in
            ["", ":80", "a b", "a/b", "u@a", "a:b", "a:80:80", "[::1", "[]", "[x]:80", "[::1]80", "a?", "a#"]
        {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn exactly_one_host_except_for_old_clients() {
        let refused = |parts: Parts| check(&parts, b"", 8192).is_err();
        assert!(refused(parts(Version::HTTP_11, &[])));
        assert!(refused(parts(Version::HTTP_11, &[("host", "a"), ("host", "a")])));
        assert!(!refused(parts(Version::HTTP_11, &[("host", "a")])));
        assert!(!refused(parts(Version::HTTP_10, &[])));
        assert!(refused(parts(Version::HTTP_10, &[("host", "a b")])));
    }

    #[test]
    fn one_chunked_and_nothing_else() {
        assert_eq!(status(&[("transfer-encoding", "chunked")], b""), 200);
        assert_eq!(status(&[("transfer-encoding", "Chunked")], b""), 200);
        assert_eq!(status(&[("transfer-encoding", "chunked, chunked")], b""), 501);
        assert_eq!(status(&[("transfer-encoding", "gzip, chunked")], b""), 501);
        assert_eq!(status(&[("transfer-encoding", ",chunked")], b""), 501);
        assert_eq!(status(&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], b""), 501);
    }

    #[test]
    fn two_framings_are_refused_in_either_order() {
        let chunked = [("transfer-encoding", "chunked")];
        let both = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\ncontent-LENGTH: 5\r\n\r\n";
        assert_eq!(status(&chunked, both), 400);
        let both = b"\r\nPOST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(status(&chunked, both), 400);
    }

    #[test]
    fn a_body_that_speaks_of_content_length_is_no_framing() {
        let head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n13\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(status(&[("transfer-encoding", "chunked")], head), 200);
    }

    #[test]
    fn large_heads_are_told_from_large_bodies() {
        let came_in = vec![b'x'; 10_000];
        assert_eq!(status(&[], &came_in), 200);
        assert_eq!(status(&[("x", &"y".repeat(9000))], &came_in), 431);
    }

    #[test]
    fn methods_that_open_tunnels_or_mirror_are_refused() {
        for method in ["CONNECT", "TRACE"] {
            let (parts, ()) = Request::builder().method(method).uri("a:80").body(()).unwrap().into_parts();
            assert_eq!(check(&parts, b"", 8192).unwrap_err().status(), 501);
        }
    }
}
