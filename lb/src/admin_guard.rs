//! Access control for the admin interface.
//!
//! A web page in a browser reaches loopback too: under a name of its own that resolves to it (DNS
//! rebinding), or with requests to loopback's own name (request forgery). So the `Host` header must be
//! loopback or the bound address, a page of another origin gets nothing ([`machine::serving::guard`]),
//! and an interface that other machines can reach requires a token.
#![deny(clippy::disallowed_methods)]

use std::net::SocketAddr;

use http::header::{AUTHORIZATION, HOST};
use http::uri::Authority;
use http::{HeaderMap, Method, StatusCode};
use machine::serving::guard;

/// Decides which requests are let in.
#[derive(Debug, Clone)]
pub struct Guard {
    /// The address of the interface.
    pub address: SocketAddr,
    /// The token that it requires, if any.
    pub token: Option<String>,
}

/// Why a request is rejected: a status and a sentence.
pub type Rejection = (StatusCode, &'static str);

impl Guard {
    /// Checks a request's method and headers.
    pub fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), Rejection> {
        if !self.is_our_host(headers) {
            return Err((StatusCode::FORBIDDEN, "the Host header is neither loopback nor the bound address"));
        }
        if guard::is_sent_by_another_page(method, headers) {
            return Err((StatusCode::FORBIDDEN, "sent by a web page of another origin"));
        }
        match &self.token {
            Some(token) if !has_token(headers, token) => {
                Err((StatusCode::UNAUTHORIZED, "send 'Authorization: Bearer TOKEN'"))
            }
            _ => Ok(()),
        }
    }

    fn is_our_host(&self, headers: &HeaderMap) -> bool {
        let host = headers.get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
        let Some(host) = host else { return false };
        let ours = self.address.ip();
        match guard::address(host.host()) {
            // Bound to all addresses, any address is ours; a rebound host is never an IP address.
            Some(ip) => ip.is_loopback() || ip == ours || ours.is_unspecified(),
            // Containers call it by name; there, the token protects it.
            None => host.host().eq_ignore_ascii_case("localhost") || !ours.is_loopback(),
        }
    }
}

fn has_token(headers: &HeaderMap, token: &str) -> bool {
    let given = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().split_at_checked(7));
    matches!(given, Some((scheme, given))
        if scheme.eq_ignore_ascii_case(b"bearer ") && takes_constant_time_to_equal(given, token.as_bytes()))
}

/// Takes constant time: its duration depends on the length of `given`, but not on how much of it is
/// right.
fn takes_constant_time_to_equal(given: &[u8], expected: &[u8]) -> bool {
    let different = given.iter().zip(expected).fold(0, |bits, (a, b)| bits | std::hint::black_box(a ^ b));
    given.len() == expected.len() && different == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(address: &str, token: Option<&str>, headers: &[(&'static str, &str)]) -> u16 {
        let guard = Guard { address: address.parse().unwrap(), token: token.map(str::to_owned) };
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        guard.check(&Method::POST, &headers.collect()).map_or_else(|(status, _)| status.as_u16(), |()| 200)
    }

    #[test]
    fn loopback_speaks_to_loopback() {
        for host in ["127.0.0.1:8081", "localhost:8081", "LOCALHOST", "[::1]:8081"] {
            assert_eq!(status("127.0.0.1:8081", None, &[("host", host)]), 200, "{host}");
        }
        for host in ["evil.example", "evil.example:8081", "10.0.0.1:8081", ""] {
            assert_eq!(status("127.0.0.1:8081", None, &[("host", host)]), 403, "{host}");
        }
        assert_eq!(status("127.0.0.1:8081", None, &[]), 403);
    }

    #[test]
    fn pages_of_other_origins_get_nothing() {
        let from = |origin| status("127.0.0.1:1", None, &[("host", "127.0.0.1:1"), ("origin", origin)]);
        assert_eq!(from("http://127.0.0.1:1"), 200);
        for other in ["http://evil.example", "http://127.0.0.1:2", "null", ""] {
            assert_eq!(from(other), 403, "{other}");
        }
    }

    #[test]
    fn a_token_is_asked_for_and_compared() {
        let with = |token: &str| {
            status("10.0.0.1:1", Some("secret"), &[("host", "10.0.0.1"), ("authorization", token)])
        };
        assert_eq!(with("Bearer secret"), 200);
        assert_eq!(with("bearer secret"), 200);
        for wrong in ["Bearer secre", "Bearer secrets", "Bearer", "secret", "Basic secret", ""] {
            assert_eq!(with(wrong), 401, "{wrong}");
        }
        assert_eq!(status("10.0.0.1:1", Some("secret"), &[("host", "10.0.0.1")]), 401);
    }
}
