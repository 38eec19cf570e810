//! What is taken off a message and what is added to it on the way through.
//!
//! First everything that speaks of one hop only is removed, including what `Connection` names, and
//! then the balancer's own headers are added: so nobody can name one of those and have it removed.
#![deny(clippy::disallowed_methods)]

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_SERVED_BY: HeaderName = HeaderName::from_static("x-served-by");

/// One hop's own (RFC 9110, 7.6.1), besides what `Connection` names.
static HOP_BY_HOP: [HeaderName; 7] =
    [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE];

/// These stay, whatever `Connection` says: a request would change its meaning without them.
static NEVER_NAMED: [HeaderName; 2] = [HOST, CONTENT_LENGTH];

const PSEUDONYM: HeaderValue = HeaderValue::from_static("1.1 lb");
const PLAIN_HTTP: HeaderValue = HeaderValue::from_static("http");

/// The longest request id that is kept.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// What a request is given on its way up.
#[derive(Debug)]
pub struct Passport<'a> {
    /// The client's address.
    pub forwarded_for: &'a HeaderValue,
    /// The upstream's address, for requests that name no host.
    pub host: &'a HeaderValue,
}

/// Makes a request fit to be passed on, and returns its id: the client's when it is a proper one,
/// otherwise the one that `new_id` makes.
pub fn prepare_request(
    request: &mut Parts,
    passport: &Passport<'_>,
    new_id: impl FnOnce() -> HeaderValue,
) -> HeaderValue {
    let headers = &mut request.headers;
    strip(headers);
    // Answered by the balancer itself: it sends 100 as soon as it wants the body.
    headers.remove(EXPECT);
    to_origin_form(&mut request.uri, headers);
    if !headers.contains_key(HOST) {
        headers.insert(HOST, passport.host.clone());
    }
    append_forwarded_for(headers, passport.forwarded_for);
    headers.insert(X_FORWARDED_PROTO, PLAIN_HTTP);
    headers.append(VIA, PSEUDONYM);
    request.version = Version::HTTP_11;
    match headers.get(X_REQUEST_ID).filter(|id| is_request_id(id)) {
        Some(id) => id.clone(),
        None => {
            let id = new_id();
            headers.insert(X_REQUEST_ID, id.clone());
            id
        }
    }
}

/// Makes an answer fit to be passed on.
pub fn prepare_answer(headers: &mut HeaderMap, served_by: &HeaderValue, request_id: HeaderValue) {
    if headers.contains_key(TRANSFER_ENCODING) {
        // With both, only the chunks count (RFC 9112, 6.3); it is framed anew on the way down.
        headers.remove(CONTENT_LENGTH);
    }
    strip(headers);
    headers.append(VIA, PSEUDONYM);
    headers.insert(X_SERVED_BY, served_by.clone());
    headers.insert(X_REQUEST_ID, request_id);
}

/// Removes what speaks of one hop only.
fn strip(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        strip_named(headers);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

fn strip_named(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| !NEVER_NAMED.contains(name))
        .collect();
    for name in named {
        headers.remove(name);
    }
}

/// `GET http://host/path` becomes `GET /path` with that host: the target wins (RFC 9112, 3.2.2).
fn to_origin_form(uri: &mut Uri, headers: &mut HeaderMap) {
    let Some(authority) = uri.authority() else { return };
    let host = authority.as_str().rsplit('@').next().unwrap_or_default();
    let host = HeaderValue::from_str(host).expect("an authority is visible ASCII");
    headers.insert(HOST, host);
    *uri = match uri.path_and_query() {
        Some(target) => Uri::from(target.clone()),
        None => Uri::from_static("/"),
    };
}

fn append_forwarded_for(headers: &mut HeaderMap, client: &HeaderValue) {
    let mut chain = Vec::new();
    for before in headers.get_all(X_FORWARDED_FOR) {
        chain.extend_from_slice(before.as_bytes());
        chain.extend_from_slice(b", ");
    }
    if chain.is_empty() {
        headers.insert(X_FORWARDED_FOR, client.clone());
        return;
    }
    chain.extend_from_slice(client.as_bytes());
    let chain = HeaderValue::from_maybe_shared(bytes::Bytes::from(chain));
    headers.insert(X_FORWARDED_FOR, chain.expect("valid values joined by a comma are a valid value"));
}

fn is_request_id(id: &HeaderValue) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@~".contains(byte);
    (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.as_bytes().iter().all(plain)
}

/// A request id out of 128 random bits, in hexadecimal.
pub fn request_id(dice: u128) -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut id = [0; 32];
    for (digits, byte) in id.chunks_exact_mut(2).zip(dice.to_be_bytes()) {
        digits[0] = DIGITS[usize::from(byte >> 4)];
        digits[1] = DIGITS[usize::from(byte & 15)];
    }
    HeaderValue::from_bytes(&id).expect("hexadecimal digits are a valid value")
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn prepared(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        let forwarded_for = HeaderValue::from_static("10.0.0.9");
        let host = HeaderValue::from_static("web-1:80");
        let passport = Passport { forwarded_for: &forwarded_for, host: &host };
        prepare_request(&mut parts, &passport, || HeaderValue::from_static("new"));
        parts
    }

    fn text<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
        headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    #[test]
    fn headers_of_one_hop_do_not_pass() {
        let hops = [
            ("connection", "close, X-Secret"),
            ("connection", "upgrade"),
            ("x-secret", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("transfer-encoding", "chunked"),
        ];
        let parts = prepared("/", &hops);
        for (name, _) in hops {
            assert!(!parts.headers.contains_key(name), "{name}");
        }
    }

    #[test]
    fn nobody_can_have_our_headers_removed() {
        let hostile = "X-Forwarded-For, X-Forwarded-Proto, Via, X-Request-Id, Host, Content-Length";
        let parts = prepared("/", &[("connection", hostile), ("host", "shop"), ("content-length", "5")]);
        assert_eq!(text(&parts.headers, "x-forwarded-for"), ["10.0.0.9"]);
        assert_eq!(text(&parts.headers, "via"), ["1.1 lb"]);
        assert_eq!(text(&parts.headers, "x-request-id"), ["new"]);
        assert_eq!(text(&parts.headers, "host"), ["shop"]);
        assert_eq!(text(&parts.headers, "content-length"), ["5"]);
    }

    #[test]
    fn the_chain_of_addresses_grows_by_one() {
        let parts = prepared("/", &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "2.2.2.2, 3.3.3.3")]);
        assert_eq!(text(&parts.headers, "x-forwarded-for"), ["1.1.1.1, 2.2.2.2, 3.3.3.3, 10.0.0.9"]);
        assert_eq!(
            text(&prepared("/", &[("x-forwarded-proto", "gopher")]).headers, "x-forwarded-proto"),
            ["http"]
        );
    }

    #[test]
    fn a_proper_request_id_is_kept() {
        let id =
            |value: &str| text(&prepared("/", &[("x-request-id", value)]).headers, "x-request-id").concat();
        assert_eq!(id("abc-123"), "abc-123");
        assert_eq!(id("a b"), "new");
        assert_eq!(id(""), "new");
        assert_eq!(id(&"a".repeat(129)), "new");
    }

    #[test]
    fn the_target_becomes_a_path_and_its_host_wins() {
        let parts = prepared("http://shop:80/a?b", &[("host", "other")]);
        assert_eq!(parts.uri, "/a?b");
        assert_eq!(text(&parts.headers, "host"), ["shop:80"]);
        assert_eq!(prepared("http://shop", &[]).uri, "/");
        assert_eq!(prepared("/a%2f?x=1", &[]).uri, "/a%2f?x=1");
        assert_eq!(prepared("*", &[]).uri, "*");
        assert_eq!(text(&prepared("/", &[]).headers, "host"), ["web-1:80"]);
    }

    #[test]
    fn an_answer_with_two_framings_loses_its_length() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("5"));
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        headers.insert(CONNECTION, HeaderValue::from_static("x-hop"));
        headers.insert("x-hop", HeaderValue::from_static("1"));
        prepare_answer(&mut headers, &HeaderValue::from_static("web-1"), HeaderValue::from_static("id"));
        let names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["via", "x-served-by", "x-request-id"]);
    }

    #[test]
    fn a_new_id_is_32_digits() {
        assert_eq!(request_id(0x1f), "0000000000000000000000000000001f");
    }
}
