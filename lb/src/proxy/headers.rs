//! Rewrites message heads on the way through the balancer.
//!
//! Hop-by-hop fields are removed, including those that `Connection` names. The balancer's own
//! fields are added after that, so a client cannot have one of them removed by naming it in
//! `Connection`.
#![deny(clippy::disallowed_methods)]

use crate::wire::answer_head::AnswerHead;
use crate::wire::fields::{Field, Fields, KnownHeader, members};
use crate::wire::{RequestBody, RequestHead};

/// The longest request id that is accepted from a client, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// What the balancer changes in a request's head.
#[derive(Debug)]
pub struct RequestRewrite<'a> {
    /// The client's address.
    pub forwarded_for: &'a [u8],
    /// What to do with the client's own forwarding fields.
    pub forwarded: ForwardedPolicy,
    /// The upstream's address, for requests that name no host.
    pub host: &'a [u8],
    /// The request's id.
    pub id: &'a [u8],
    /// The `traceparent` of this hop, if tracing is on.
    pub traceparent: Option<&'a [u8]>,
    /// The `Cookie` value without the sticky cookie, if the client sent one.
    pub cookies: Option<&'a [u8]>,
    /// How the body is framed.
    pub body: RequestBody,
    /// True if the upstream gets `Expect: 100-continue`.
    pub expects_continue: bool,
}

/// What happens to a client's own `X-Forwarded-For`, `Forwarded` and the like, which any client can
/// forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ForwardedPolicy {
    /// Pass it on and add the client's address: for a balancer behind another one.
    Append,
    /// Remove it and set the client's address: for a balancer that any client can reach.
    Replace,
}

/// Writes a request's head as it is forwarded.
pub fn write_request(head: &RequestHead, rewrite: &RequestRewrite<'_>, out: &mut Vec<u8>) {
    let bytes = head.bytes();
    put(out, &[head.method(), b" "]);
    head.target().write_to(out);
    put(out, &[b" HTTP/1.1\r\nhost: ", head.host().unwrap_or(rewrite.host), b"\r\n"]);

    let named = Named::in_lines(&head.fields, bytes);
    out.extend_from_slice(b"x-forwarded-for: ");
    let heeded = rewrite.forwarded == ForwardedPolicy::Append && !named.has(b"x-forwarded-for");
    let before = head.fields.values(KnownHeader::XForwardedFor, bytes);
    for before in before.filter(|before| heeded && !before.is_empty()) {
        put(out, &[before, b", "]);
    }
    put(out, &[rewrite.forwarded_for, b"\r\nx-forwarded-proto: http\r\nx-request-id: ", rewrite.id, b"\r\n"]);
    for field in head.fields.iter() {
        match field.known {
            KnownHeader::Host
            | KnownHeader::XForwardedFor
            | KnownHeader::XForwardedProto
            | KnownHeader::XRequestId => {}
            KnownHeader::Cookie if rewrite.cookies.is_some() => {}
            KnownHeader::Traceparent if rewrite.traceparent.is_some() => {}
            KnownHeader::MaxForwards if head.forwards_left().is_some() => {}
            known if known.is_of_one_hop() => {}
            KnownHeader::Other
                if rewrite.forwarded == ForwardedPolicy::Replace
                    && is_forwarding_field(field.name.in_bytes(bytes)) => {}
            _ => named.unless_named(field, bytes, |name, value| put(out, &[name, b": ", value, b"\r\n"])),
        }
    }
    if let Some(cookies) = rewrite.cookies.filter(|cookies| !cookies.is_empty()) {
        put(out, &[b"cookie: ", cookies, b"\r\n"]);
    }
    if let Some(traceparent) = rewrite.traceparent {
        put(out, &[b"traceparent: ", traceparent, b"\r\n"]);
    }
    if let Some(left) = head.forwards_left() {
        put_number(out, b"max-forwards: ", left.saturating_sub(1));
    }
    match rewrite.body {
        // A method that usually has a body announces its absence (RFC 9110, 8.6).
        RequestBody::None if matches!(head.method(), b"POST" | b"PUT" | b"PATCH") => {
            out.extend_from_slice(b"content-length: 0\r\n");
        }
        RequestBody::None => {}
        RequestBody::Length(length) => put_number(out, b"content-length: ", length),
        RequestBody::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    if rewrite.expects_continue {
        out.extend_from_slice(b"expect: 100-continue\r\n");
    }
    if head.wants_upgrade {
        out.extend_from_slice(b"connection: upgrade\r\nupgrade: ");
        for (index, protocol) in head.upgrades().enumerate() {
            put(out, &[if index > 0 { b", " } else { b"" }, protocol]);
        }
        out.extend_from_slice(b"\r\n");
    }
    put(out, &[b"via: ", if head.is_old { b"1.0" } else { b"1.1" }, b" lb\r\n\r\n"]);
}

/// Returns whether a server may take this field for the request's origin, also if it reads `_` as
/// `-`.
fn is_forwarding_field(name: &[u8]) -> bool {
    let name: Vec<u8> =
        name.iter().map(|byte| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }).collect();
    name == b"forwarded" || name == b"x-real-ip" || name.starts_with(b"x-forwarded-")
}

/// What the balancer changes in a response's head.
#[derive(Debug)]
pub struct ResponseRewrite<'a> {
    /// The upstream's name.
    pub served_by: &'a [u8],
    /// The request's id.
    pub id: &'a [u8],
    /// The current time as an HTTP date.
    pub date: &'a [u8],
    /// The `Set-Cookie` value that binds the client to an upstream.
    pub set_cookie: Option<&'a [u8]>,
    /// How the body is framed.
    pub framing: Framing,
    /// What the response says about the client's connection.
    pub connection: Persistence,
}

/// How a response's body is framed for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// By its length. A response without a body, such as one to HEAD, may still announce a length.
    Length(u64),
    /// With the chunked transfer coding.
    Chunked,
    /// Neither field is sent: there is no body, or it ends with the connection.
    Unsaid,
}

/// What a response says about the client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// It stays open, which is the default.
    Usual,
    /// It stays open, which an HTTP/1.0 client must be told.
    Kept,
    /// It will be closed.
    Closed,
}

/// Writes a response's head as it is forwarded. `bytes` are those it was parsed from.
pub fn write_answer(
    head: &AnswerHead,
    fields: &Fields,
    bytes: &[u8],
    rewrite: &ResponseRewrite<'_>,
    out: &mut Vec<u8>,
) {
    put_status(out, head, bytes);
    let named = Named::in_lines(fields, bytes);
    for field in fields.iter() {
        match field.known {
            KnownHeader::XServedBy | KnownHeader::XRequestId => {}
            known if known.is_of_one_hop() => {}
            _ => named.unless_named(field, bytes, |name, value| put(out, &[name, b": ", value, b"\r\n"])),
        }
    }
    if !head.has_date {
        put(out, &[b"date: ", rewrite.date, b"\r\n"]);
    }
    match rewrite.framing {
        Framing::Length(length) => put_number(out, b"content-length: ", length),
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::Unsaid => {}
    }
    if let Some(cookie) = rewrite.set_cookie {
        put(out, &[b"set-cookie: ", cookie, b"\r\n"]);
    }
    match rewrite.connection {
        Persistence::Usual => {}
        Persistence::Kept => out.extend_from_slice(b"connection: keep-alive\r\n"),
        Persistence::Closed => out.extend_from_slice(b"connection: close\r\n"),
    }
    put(out, &[b"x-served-by: ", rewrite.served_by, b"\r\nx-request-id: ", rewrite.id]);
    put(out, &[b"\r\nvia: ", if head.is_old { b"1.0" } else { b"1.1" }, b" lb\r\n\r\n"]);
}

/// Writes the head of a 1xx response as it is forwarded: an interim response, or, if `protocol` is
/// given, the 101 that ends HTTP on this connection.
pub fn write_interim(
    head: &AnswerHead,
    fields: &Fields,
    bytes: &[u8],
    protocol: Option<&[u8]>,
    out: &mut Vec<u8>,
) {
    put_status(out, head, bytes);
    let named = Named::in_lines(fields, bytes);
    for field in fields.iter().filter(|field| !field.known.is_of_one_hop()) {
        named.unless_named(field, bytes, |name, value| put(out, &[name, b": ", value, b"\r\n"]));
    }
    if let Some(protocol) = protocol {
        put(out, &[b"connection: upgrade\r\nupgrade: ", protocol, b"\r\n"]);
    }
    out.extend_from_slice(b"\r\n");
}

/// The fields that a message's `Connection` field declares hop-by-hop.
struct Named<'a> {
    fields: Option<&'a Fields>,
    bytes: &'a [u8],
}

impl<'a> Named<'a> {
    fn in_lines(fields: &'a Fields, bytes: &'a [u8]) -> Self {
        let usual = |value: &[u8]| {
            members(value).all(|name| {
                [&b"close"[..], b"keep-alive", b"upgrade", b"te"]
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(name))
            })
        };
        let names_something = fields.values(KnownHeader::Connection, bytes).any(|value| !usual(value));
        Self { fields: names_something.then_some(fields), bytes }
    }

    fn has(&self, name: &[u8]) -> bool {
        self.fields.is_some_and(|fields| fields.lists(KnownHeader::Connection, name, self.bytes))
    }

    fn unless_named(&self, field: &Field, bytes: &[u8], mut pass: impl FnMut(&[u8], &[u8])) {
        let name = field.name.in_bytes(bytes);
        if field.known.is_vital() || !self.has(name) {
            pass(name, field.value.in_bytes(bytes));
        }
    }
}

fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

fn put_status(out: &mut Vec<u8>, head: &AnswerHead, bytes: &[u8]) {
    let digit = |place: u16| b'0' + u8::try_from(head.status / place % 10).unwrap_or_default();
    put(out, &[b"HTTP/1.1 ", &[digit(100), digit(10), digit(1), b' '], head.reason.in_bytes(bytes), b"\r\n"]);
}

fn put_number(out: &mut Vec<u8>, name: &[u8], number: u64) {
    put(out, &[name, itoa::Buffer::new().format(number).as_bytes(), b"\r\n"]);
}

/// True if this id may be forwarded and logged.
pub fn is_request_id(id: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@~".contains(byte);
    (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.iter().all(plain)
}

/// Formats 128 random bits as a request id, in hexadecimal.
pub fn request_id(dice: u128) -> [u8; 32] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut id = [0; 32];
    for (digits, byte) in id.chunks_exact_mut(2).zip(dice.to_be_bytes()) {
        digits[0] = DIGITS[usize::from(byte >> 4)];
        digits[1] = DIGITS[usize::from(byte & 15)];
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed_on(request: &str) -> String {
        passed_on_with(ForwardedPolicy::Append, request)
    }

    fn passed_on_with(forwarded: ForwardedPolicy, request: &str) -> String {
        let mut head = RequestHead::default();
        head.read(request.as_bytes(), 8192).unwrap().expect("a whole head");
        let rewrite = RequestRewrite {
            traceparent: None,
            forwarded_for: b"10.0.0.9",
            forwarded,
            host: b"web-1:80",
            id: b"id",
            cookies: None,
            body: head.body,
            expects_continue: head.expects_continue,
        };
        let mut out = vec![];
        write_request(&head, &rewrite, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn passed_down(answer: &str, framing: Framing, connection: Persistence) -> String {
        let mut fields = Fields::default();
        let head = AnswerHead::read(answer.as_bytes(), &mut fields, false, 8192).unwrap().unwrap();
        let rewrite = ResponseRewrite {
            served_by: b"web-1",
            id: b"id",
            date: b"now",
            set_cookie: None,
            framing,
            connection,
        };
        let mut out = vec![];
        write_answer(&head, &fields, answer.as_bytes(), &rewrite, &mut out);
        String::from_utf8(out).unwrap()
    }

    const OURS: &str = "x-forwarded-for: 10.0.0.9\r\nx-forwarded-proto: http\r\nx-request-id: id\r\n";

    #[test]
    fn headers_of_one_hop_do_not_pass() {
        let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Secret\r\nConnection: upgrade\r\n\
                       X-Secret: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\n\
                       Upgrade: h2c\r\nProxy-Authorization: x\r\nTrailer: x\r\nAccept: b\r\n\r\n";
        let expected =
            format!("GET / HTTP/1.1\r\nhost: a\r\n{OURS}Trailer: x\r\nAccept: b\r\nvia: 1.1 lb\r\n\r\n");
        assert_eq!(passed_on(request), expected);
    }

    #[test]
    fn nobody_can_have_ours_or_vital_ones_removed() {
        let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX-Forwarded-For: 9.9.9.9\r\n\
                       Cookie: a=b\r\n\
                       Connection: Host, Content-Length, X-Forwarded-For, Via, X-Request-Id, Cookie\r\n\r\n";
        let expected = format!(
            "POST / HTTP/1.1\r\nhost: a\r\n{OURS}Cookie: a=b\r\ncontent-length: 5\r\nvia: 1.1 lb\r\n\r\n"
        );
        assert_eq!(passed_on(request), expected);
    }

    #[test]
    fn the_chain_of_addresses_grows() {
        let request =
            "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n\r\n";
        assert!(passed_on(request).contains("x-forwarded-for: 1.1.1.1, 2.2.2.2, 10.0.0.9\r\n"));
    }

    #[test]
    fn an_empty_chain_adds_nothing() {
        assert!(
            passed_on("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For:\r\n\r\n")
                .contains("x-forwarded-for: 10.0.0.9\r\n")
        );
    }

    #[test]
    fn what_anybody_can_claim_is_left_out_when_it_is_to_be() {
        let request = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\nForwarded: for=1.1.1.1\r\n\
                       X-Real-IP: 1.1.1.1\r\nX_Forwarded_For: 1.1.1.1\r\nX-Forwarded-Host: b\r\nAccept: b\r\n\r\n";
        let expected = format!("GET / HTTP/1.1\r\nhost: a\r\n{OURS}Accept: b\r\nvia: 1.1 lb\r\n\r\n");
        assert_eq!(passed_on_with(ForwardedPolicy::Replace, request), expected);
    }

    #[test]
    fn a_target_in_absolute_form_names_the_host() {
        let passed = passed_on("GET http://shop:80/a?b HTTP/1.1\r\nHost: other\r\n\r\n");
        assert!(passed.starts_with("GET /a?b HTTP/1.1\r\nhost: shop:80\r\n") && !passed.contains("other"));
    }

    #[test]
    fn old_requests_are_passed_on_as_new_ones() {
        let passed = passed_on("GET / HTTP/1.0\r\n\r\n");
        assert!(passed.starts_with("GET / HTTP/1.1\r\nhost: web-1:80\r\n"));
        assert!(passed.ends_with("via: 1.0 lb\r\n\r\n"));
    }

    #[test]
    fn an_upgrade_and_an_expectation_are_asked_for_anew() {
        let passed = passed_on(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, x\r\nX: 1\r\nUpgrade: h2c, websocket\r\n\r\n",
        );
        assert!(passed.contains("connection: upgrade\r\nupgrade: websocket\r\n") && !passed.contains("h2c"));
        let passed =
            passed_on("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n");
        assert!(passed.contains("content-length: 1\r\nexpect: 100-continue\r\n"));
    }

    #[test]
    fn forwards_are_counted_down() {
        let passed = passed_on("OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 3\r\n\r\n");
        assert!(passed.starts_with("OPTIONS * HTTP/1.1\r\n") && passed.contains("max-forwards: 2\r\n"));
        assert!(
            passed_on("GET / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 3\r\n\r\n").contains("Max-Forwards: 3")
        );
    }

    #[test]
    fn answers_are_framed_once_and_marked() {
        let answer = "HTTP/1.0 200 Fine\r\nContent-Length: 5\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n\
                      X-Served-By: liar\r\nVia: 1.1 other\r\nUpgrade: x\r\n\r\n";
        assert_eq!(
            passed_down(answer, Framing::Length(5), Persistence::Kept),
            "HTTP/1.1 200 Fine\r\nVia: 1.1 other\r\ndate: now\r\ncontent-length: 5\r\n\
             connection: keep-alive\r\nx-served-by: web-1\r\nx-request-id: id\r\nvia: 1.0 lb\r\n\r\n"
        );
        let answer = "HTTP/1.1 204 \r\nDate: then\r\n\r\n";
        assert_eq!(
            passed_down(answer, Framing::Unsaid, Persistence::Closed),
            "HTTP/1.1 204 \r\nDate: then\r\nconnection: close\r\nx-served-by: web-1\r\n\
             x-request-id: id\r\nvia: 1.1 lb\r\n\r\n"
        );
    }

    #[test]
    fn ids_that_are_kept_and_made() {
        assert!(is_request_id(b"mine-1") && !is_request_id(b"") && !is_request_id(b"a b"));
        assert!(!is_request_id(&[b'x'; 129]));
        assert_eq!(&request_id(0xab), b"000000000000000000000000000000ab");
    }
}
