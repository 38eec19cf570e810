//! Parses the head of a client's request, and rejects it if it is malformed or ambiguous.
//!
//! `bytes` is the raw head, kept for as long as the request lasts: a connection has one `RequestHead`
//! and refills it for each request.
#![deny(clippy::disallowed_methods)]

use std::mem::MaybeUninit;

use super::error::HeadError;
use super::fields::{self, Fields, KnownHeader, LINES_MAX, Span};
use super::target::{Target, is_host};

/// A head that has grown beyond this is shrunk after its request.
const BYTES_KEPT: usize = 4 * 1024;
const LINES_KEPT: usize = 32;

/// A request's head.
#[derive(Debug)]
pub struct RequestHead {
    bytes: Vec<u8>,
    /// The field lines.
    pub fields: Fields,
    method: Span,
    target: Span,
    /// The method, as far as it matters.
    pub verb: Verb,
    /// True for HTTP/1.0.
    pub is_old: bool,
    /// How the body is framed.
    pub body: RequestBody,
    /// True if the connection is kept for another request.
    pub keep_alive: bool,
    /// True if the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// True if the client asks to switch protocols.
    pub wants_upgrade: bool,
    /// True if the client accepts trailers.
    pub takes_trailers: bool,
}

/// A method, as far as it matters to a balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// GET: safe.
    Get,
    /// HEAD: safe, and its response has no body.
    Head,
    /// OPTIONS: safe, and it may concern the whole server.
    Options,
    /// PUT and DELETE: idempotent, but not safe.
    Idempotent,
    /// Any other method that is forwarded.
    Other,
}

impl Verb {
    /// True for a safe method, which may be repeated (RFC 9110, 9.2.1).
    pub fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Options)
    }

    /// True if repeating the method has the same effect as doing it once (RFC 9110, 9.2.2).
    pub fn is_idempotent(self) -> bool {
        self != Self::Other
    }
}

/// How a request's body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestBody {
    /// There is no body.
    None,
    /// By a `Content-Length` greater than zero.
    Length(u64),
    /// With the chunked transfer coding.
    Chunked,
}

impl Default for RequestHead {
    fn default() -> Self {
        Self {
            bytes: vec![],
            fields: Fields::default(),
            method: Span::default(),
            target: Span::default(),
            verb: Verb::Get,
            is_old: false,
            body: RequestBody::None,
            keep_alive: false,
            expects_continue: false,
            wants_upgrade: false,
            takes_trailers: false,
        }
    }
}

impl RequestHead {
    /// Parses a head from the beginning of the input, and returns its length in bytes; `None` if it is
    /// incomplete.
    pub fn read(&mut self, input: &[u8], bytes_max: usize) -> Result<Option<usize>, HeadError> {
        // A rejected request is answered as if it were the simplest one.
        (self.verb, self.body, self.is_old, self.keep_alive) = (Verb::Get, RequestBody::None, false, false);
        let skipped = skip_empty_lines(input)?;
        let input = &input[skipped..];
        if input.is_empty() {
            return Ok(None);
        }
        if is_for_head(input) {
            // A response to HEAD never has a body, whatever else is wrong.
            self.verb = Verb::Head;
        }
        let mut lines = [const { MaybeUninit::uninit() }; LINES_MAX];
        let mut parsed = httparse::Request::new(&mut []);
        let length = match parsed.parse_with_uninit_headers(input, &mut lines) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if input.len() <= bytes_max => return Ok(None),
            Ok(httparse::Status::Partial) => return Err(too_large(input, bytes_max)),
            Err(httparse::Error::TooManyHeaders) => return Err(HeadError::FieldsTooLarge),
            Err(httparse::Error::Version) => {
                let as_ours = as_version_1_1(input).ok_or_else(|| wrong_version(input))?;
                return Ok(self.read(&as_ours, bytes_max)?.map(|length| skipped + length));
            }
            Err(error) => return Err(HeadError::Malformed(explain(error))),
        };
        if length > bytes_max {
            return Err(too_large(input, bytes_max));
        }
        let head = &input[..length];
        if !fields::lines_end_properly(head) {
            return Err(HeadError::Malformed("each line of a head ends with CR LF"));
        }
        let (method, target) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
        self.bytes.clear();
        self.bytes.extend_from_slice(head);
        self.fields.fill(parsed.headers, head);
        self.method = Span::of(method.as_bytes(), head);
        self.target = Span::of(target.as_bytes(), head);
        self.is_old = parsed.version == Some(0);
        self.understand()?;
        Ok(Some(skipped + length))
    }

    /// The raw head, which the spans refer to.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The method.
    pub fn method(&self) -> &[u8] {
        self.method.in_bytes(&self.bytes)
    }

    /// The parsed target.
    pub fn target(&self) -> Target<'_> {
        let target = Target::parse(self.target.in_bytes(&self.bytes), self.verb == Verb::Options);
        target.expect("it was looked at when the head was read")
    }

    /// The host: the target's, or else the `Host` field. An HTTP/1.0 client may name none.
    pub fn host(&self) -> Option<&[u8]> {
        self.target().host.or_else(|| self.fields.values(KnownHeader::Host, &self.bytes).next())
    }

    /// How often the request may still be forwarded, if `Max-Forwards` limits that.
    pub fn forwards_left(&self) -> Option<u64> {
        let limited = self.verb == Verb::Options;
        let value = limited.then(|| self.fields.values(KnownHeader::MaxForwards, &self.bytes).next())??;
        let digits = Some(value).filter(|value| value.iter().all(u8::is_ascii_digit))?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// The protocols that the client offers to switch to. HTTP/2 over cleartext (h2c) is left out,
    /// because it would let requests bypass all these checks.
    pub fn upgrades(&self) -> impl Iterator<Item = &[u8]> {
        self.fields.members(KnownHeader::Upgrade, &self.bytes).filter(|protocol| {
            let is = |name: &[u8]| protocol.get(..name.len()).is_some_and(|it| it.eq_ignore_ascii_case(name));
            !is(b"h2") && !is(b"http") && !is(b"tls")
        })
    }

    /// Clears the request, and frees the memory that a large one has taken.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(BYTES_KEPT);
        self.fields.shrink(LINES_KEPT);
    }

    /// Interprets the head.
    fn understand(&mut self) -> Result<(), HeadError> {
        let bytes = &self.bytes[..];
        self.verb = match self.method.in_bytes(bytes) {
            b"GET" => Verb::Get,
            b"HEAD" => Verb::Head,
            b"OPTIONS" => Verb::Options,
            b"CONNECT" | b"TRACE" => {
                return Err(HeadError::NotImplemented("CONNECT and TRACE are not passed on"));
            }
            b"PUT" | b"DELETE" => Verb::Idempotent,
            _ => Verb::Other,
        };
        let target = self.target.in_bytes(bytes);
        let target = Target::parse(target, self.verb == Verb::Options);
        target.ok_or(HeadError::Malformed("the target is neither a path nor a URL of HTTP"))?;
        self.check_host()?;
        self.check_similar_fields()?;
        self.body = self.body()?;

        let connection = |option: &[u8]| self.fields.lists(KnownHeader::Connection, option, bytes);
        self.keep_alive = if self.is_old { connection(b"keep-alive") } else { true } && !connection(b"close");
        self.wants_upgrade = !self.is_old
            && self.verb == Verb::Get
            && self.body == RequestBody::None
            && self.fields.has(KnownHeader::Upgrade)
            && connection(b"upgrade")
            && self.upgrades().next().is_some();
        self.takes_trailers = !self.is_old && self.fields.lists(KnownHeader::Te, b"trailers", bytes);
        self.expects_continue = self.expects_continue()?;
        Ok(())
    }

    fn check_host(&self) -> Result<(), HeadError> {
        let mut hosts = self.fields.values(KnownHeader::Host, &self.bytes);
        match (hosts.next(), hosts.next()) {
            (None, _) if self.is_old => Ok(()),
            (None, _) => Err(HeadError::Malformed("a request of HTTP/1.1 has a Host header")),
            (Some(_), Some(_)) => Err(HeadError::Malformed("a request has one Host header, not several")),
            (Some(host), None) if is_host(host) => Ok(()),
            (Some(_), None) => {
                Err(HeadError::Malformed("the Host header is not a host with an optional port"))
            }
        }
    }

    /// Rejects names such as `Content_Length`: some servers behind turn header names into variables,
    /// where `_` and `-` coincide.
    fn check_similar_fields(&self) -> Result<(), HeadError> {
        let names = self.fields.iter().filter(|field| field.known == KnownHeader::Other);
        let names = names.map(|field| field.name.in_bytes(&self.bytes));
        for name in names.filter(|name| matches!(name.len(), 14 | 17) && name.contains(&b'_')) {
            let plain: Vec<u8> = name.iter().map(|byte| if *byte == b'_' { b'-' } else { *byte }).collect();
            if KnownHeader::of(&plain).is_vital() {
                return Err(HeadError::Malformed("a header looks like one that frames the body"));
            }
        }
        Ok(())
    }

    fn body(&self) -> Result<RequestBody, HeadError> {
        let length = fields::content_length(self.fields.values(KnownHeader::ContentLength, &self.bytes))
            .map_err(|_| HeadError::Malformed("the Content-Length is not one number"))?;
        let mut codings = self.fields.values(KnownHeader::TransferEncoding, &self.bytes);
        let Some(coding) = codings.next() else {
            return Ok(length.filter(|length| *length > 0).map_or(RequestBody::None, RequestBody::Length));
        };
        if length.is_some() {
            return Err(HeadError::Malformed(
                "a request has a Content-Length or a Transfer-Encoding, not both",
            ));
        }
        if self.is_old {
            return Err(HeadError::Malformed("HTTP/1.0 has no Transfer-Encoding"));
        }
        if coding.eq_ignore_ascii_case(b"chunked") && codings.next().is_none() {
            return Ok(RequestBody::Chunked);
        }
        let last = self.fields.members(KnownHeader::TransferEncoding, &self.bytes).last();
        if last.is_some_and(|last| last.eq_ignore_ascii_case(b"chunked")) {
            return Err(HeadError::NotImplemented(
                "the only transfer coding is 'chunked', and it is given once",
            ));
        }
        Err(HeadError::Malformed("the last transfer coding is not 'chunked'"))
    }

    fn expects_continue(&self) -> Result<bool, HeadError> {
        let mut expectations = self.fields.members(KnownHeader::Expect, &self.bytes);
        if self.is_old {
            return Ok(false);
        }
        if expectations.any(|expectation| !expectation.eq_ignore_ascii_case(b"100-continue")) {
            return Err(HeadError::UnknownExpectation);
        }
        Ok(self.fields.has(KnownHeader::Expect) && self.body != RequestBody::None)
    }
}

/// Empty lines are allowed before a request line.
fn skip_empty_lines(input: &[u8]) -> Result<usize, HeadError> {
    let mut at = 0;
    while let [b'\r', b'\n', ..] = &input[at..] {
        at += 2;
    }
    match &input[at..] {
        [b'\n', ..] | [b'\r', _, ..] => Err(HeadError::Malformed("each line of a head ends with CR LF")),
        // The line feed is still to come.
        b"\r" => Ok(input.len()),
        _ => Ok(at),
    }
}

fn too_large(input: &[u8], bytes_max: usize) -> HeadError {
    let line = memchr::memchr(b'\n', input).unwrap_or(input.len());
    if line >= bytes_max { HeadError::TargetTooLong } else { HeadError::FieldsTooLarge }
}

/// True if a request, however malformed, has the method HEAD.
pub fn is_for_head(input: &[u8]) -> bool {
    input.starts_with(b"HEAD ")
}

/// Rewrites a request of a higher minor version to HTTP/1.1, which is how it must be interpreted (RFC
/// 9110, 2.5); `None` for any other version.
fn as_version_1_1(input: &[u8]) -> Option<Vec<u8>> {
    let minor = memchr::memchr(b'\r', input)?.checked_sub(1)?;
    let newer = input[..minor].ends_with(b" HTTP/1.") && matches!(input[minor], b'2'..=b'9');
    newer.then(|| [&input[..minor], b"1", &input[minor + 1..]].concat())
}

/// Tells a well-formed but unsupported version from a malformed one.
fn wrong_version(input: &[u8]) -> HeadError {
    let line = &input[..memchr::memchr(b'\n', input).unwrap_or(input.len())];
    let word = line.split(|byte| *byte == b' ').nth(2).unwrap_or_default();
    match word.strip_suffix(b"\r").and_then(|word| word.strip_prefix(b"HTTP/")) {
        Some([b'0'..=b'9', b'.', b'0'..=b'9']) => HeadError::Version,
        _ => HeadError::Malformed("the request line does not end with HTTP/1.1 or HTTP/1.0"),
    }
}

fn explain(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::HeaderName => "a header's name has an invalid character",
        httparse::Error::HeaderValue => "a header's value has an invalid character",
        httparse::Error::NewLine => "each line of a head ends with CR LF",
        httparse::Error::Token => "the method or the target has an invalid character",
        _ => "malformed request",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proxy::local_reply::LocalReply;

    const LIMIT: usize = 8192;

    fn read(text: &str) -> Result<RequestHead, u16> {
        let mut head = RequestHead::default();
        match head.read(text.as_bytes(), LIMIT) {
            Ok(Some(length)) => {
                assert_eq!(length, text.len());
                Ok(head)
            }
            Ok(None) => Err(0),
            Err(error) => Err(LocalReply::from(error).status().as_u16()),
        }
    }

    /// Parses a head with a host and these lines.
    fn with(lines: &str) -> Result<RequestHead, u16> {
        read(&format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"))
    }

    #[test]
    fn bodies_are_framed_in_one_way() {
        assert_eq!(with("").unwrap().body, RequestBody::None);
        assert_eq!(with("Content-Length: 0\r\n").unwrap().body, RequestBody::None);
        assert_eq!(with("Content-Length: 5\r\n").unwrap().body, RequestBody::Length(5));
        assert_eq!(with("Transfer-Encoding: Chunked\r\n").unwrap().body, RequestBody::Chunked);
        for (lines, status) in [
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400),
            ("Content-Length: 5\r\nContent-Length: 5\r\n", 400),
            ("Transfer-Encoding: chunked, chunked\r\n", 501),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 501),
            ("Transfer-Encoding: ,chunked\r\n", 501),
            ("Transfer-Encoding: gzip, chunked\r\n", 501),
            ("Transfer-Encoding: chunked, identity\r\n", 400),
            ("Transfer-Encoding: xchunked\r\n", 400),
            ("Transfer-Encoding:\r\n", 400),
            ("Transfer-Encoding: chunked;q=1\r\n", 400),
            ("Transfer-Encoding : chunked\r\n", 400),
            ("Transfer-Encoding: \u{b}chunked\r\n", 400),
            ("Transfer_Encoding: chunked\r\n", 400),
            ("content_length: 5\r\n", 400),
        ] {
            assert_eq!(with(lines).map(|_| ()), Err(status), "{lines:?}");
        }
        assert_eq!(read("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").map(|_| ()), Err(400));
    }

    #[test]
    fn heads_that_are_none() {
        for (text, status) in [
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.0\r\nHost: a b\r\n\r\n", 400),
            ("GET / HTTP/1.1\nHost: a\n\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
            ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\n: no name\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nX(y): z\r\n\r\n", 400),
            ("GET /\r\n", 400),
            ("GET / \r\n", 400),
            ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1 x\r\nHost: a\r\n\r\n", 400),
            ("GET / http/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/11\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
            ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
            ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET /\t HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
            ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
            ("GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", 417),
        ] {
            assert_eq!(read(text).map(|_| ()), Err(status), "{text:?}");
        }
    }

    #[test]
    fn heads_that_are_too_large() {
        let long_target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(LIMIT));
        assert_eq!(read(&long_target).map(|_| ()), Err(414));
        assert_eq!(read(&long_target[..LIMIT + 1]).map(|_| ()), Err(414), "it is not waited for");
        let large = format!("X: {}\r\n", "x".repeat(LIMIT));
        assert_eq!(with(&large).map(|_| ()), Err(431));
        assert_eq!(with(&"x: y\r\n".repeat(LINES_MAX)).map(|_| ()), Err(431));
        assert!(with(&"x: y\r\n".repeat(LINES_MAX - 1)).is_ok());
    }

    #[test]
    fn empty_lines_before_a_request_are_skipped() {
        assert!(read("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").is_ok());
        assert_eq!(read("\r\n\r").map(|_| ()), Err(0));
    }

    #[test]
    fn who_keeps_a_connection() {
        let kept = |text: &str| read(text).unwrap().keep_alive;
        assert!(kept("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(!kept("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n"));
        assert!(!kept("GET / HTTP/1.0\r\n\r\n"));
        assert!(kept("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
        assert!(!kept("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"));
    }

    #[test]
    fn the_target_names_the_host_before_the_host_line_does() {
        assert_eq!(with("").unwrap().host(), Some(&b"a"[..]));
        let absolute = read("GET http://b/c HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(absolute.host(), Some(&b"b"[..]));
        assert_eq!(read("GET / HTTP/1.0\r\n\r\n").unwrap().host(), None);
    }

    #[test]
    fn upgrades_that_are_asked_for_properly() {
        let wants = |version: &str, lines: &str| {
            read(&format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n")).unwrap().wants_upgrade
        };
        assert!(wants("1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
        assert!(wants("1.1", "Connection: upgrade\r\nUpgrade: h2c, websocket\r\n"));
        for lines in [
            "Upgrade: websocket\r\n",
            "Connection: upgrade\r\n",
            "Connection: upgrade\r\nUpgrade: h2c\r\n",
            "Connection: upgrade\r\nUpgrade: H2C\r\n",
            "Connection: upgrade\r\nUpgrade: HTTP/2.0\r\n",
            "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n",
        ] {
            assert!(!wants("1.1", lines), "{lines:?}");
        }
        assert!(!wants("1.0", "Connection: upgrade\r\nUpgrade: websocket\r\n"));
    }

    #[test]
    fn forwards_are_counted_for_options_only() {
        let left = |method: &str, value: &str| {
            let text = format!("{method} / HTTP/1.1\r\nHost: a\r\nMax-Forwards: {value}\r\n\r\n");
            read(&text).unwrap().forwards_left()
        };
        assert_eq!(left("OPTIONS", "0"), Some(0));
        assert_eq!(left("OPTIONS", "12"), Some(12));
        assert_eq!(left("OPTIONS", "x"), None);
        assert_eq!(left("GET", "0"), None);
    }

    proptest! {
        /// Arbitrary input is rejected, incomplete or understood, and the result never depends on
        /// where the input was split.
        #[test]
        fn any_bytes_are_read(input in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = RequestHead::default().read(&input, LIMIT);
        }

        #[test]
        fn a_head_that_was_let_through_once_more_of_it_is_not_refused(
            lines in prop::collection::vec("(Host: a|X: [ -~]{0,5}|Content-Length: [0-9+]{1,2}|Transfer-Encoding: chunked)\r?\n", 0..4),
            cut in 0usize..200,
        ) {
            let whole = format!("POST / HTTP/1.1\r\n{}\r\n", lines.concat());
            let part = &whole.as_bytes()[..cut.min(whole.len())];
            let (mut first, mut second) = (RequestHead::default(), RequestHead::default());
            let of_part = first.read(part, LIMIT);
            if let Ok(Some(length)) = second.read(whole.as_bytes(), LIMIT) {
                prop_assert_eq!(length, whole.len());
                if part.len() < whole.len() {
                    prop_assert!(matches!(of_part, Ok(None)));
                }
            }
        }
    }
}
