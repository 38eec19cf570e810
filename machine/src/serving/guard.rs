//! Protects a server from web pages that should not reach it.
//!
//! A page in a browser can reach loopback and private networks: under a name of its own that resolves there
//! (DNS rebinding), or with requests to an address that it guesses (request forgery). So a request must name
//! a host that this server is known by, and must not come from a page of another origin. Programs, such as
//! curl, do not say that a page sends the request, and are let in.

#![deny(clippy::disallowed_methods)]

use std::net::IpAddr;

use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, Method, Uri};

/// The hosts that a server is known by.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    names: Vec<String>,
    plain_names: bool,
}

/// Why a request is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It names a host that this server is not known by.
    #[error(
        "this server is not known by the name in the Host line; use its address, localhost, or its own name"
    )]
    Host,
    /// A page of another origin sent it.
    #[error("a web page of another origin sent this")]
    Page,
}

impl Guard {
    /// Creates the guard of a server that is known by its address, `localhost`, and these names.
    pub fn named(names: impl IntoIterator<Item = String>) -> Self {
        Self { names: names.into_iter().collect(), plain_names: false }
    }

    /// Also accepts every name without a dot: containers and computers in a private network. No page on the
    /// internet has such a name.
    pub fn or_any_plain_name(self) -> Self {
        Self { plain_names: true, ..self }
    }

    /// Checks a request.
    pub fn check(&self, method: &Method, target: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
        let hosts = headers.get_all(HOST).iter().map(|host| Authority::try_from(host.as_bytes()));
        let hosts = hosts.chain(target.authority().cloned().map(Ok));
        for host in hosts {
            if !host.is_ok_and(|host| self.knows(host.host())) {
                return Err(Refused::Host);
            }
        }
        if is_sent_by_another_page(method, headers) { Err(Refused::Page) } else { Ok(()) }
    }

    fn knows(&self, host: &str) -> bool {
        // A page is loaded by a name, so a request for an IP address is meant for this computer.
        address(host).is_some()
            || host.eq_ignore_ascii_case("localhost")
            || (self.plain_names && !host.contains('.') && !host.is_empty())
            || self.names.iter().any(|name| name.eq_ignore_ascii_case(host))
    }
}

/// Parses a host that is an IP address.
pub fn address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Browsers declare which page sends a request that may change something, and whether it is cross-site;
/// programs declare nothing.
pub fn is_sent_by_another_page(method: &Method, headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).map_or(&b""[..], |host| host.as_bytes());
    let is_other = |origin: &http::HeaderValue| origin.as_bytes().strip_prefix(b"http://") != Some(host);
    let mut origins = headers.get_all(ORIGIN).iter();
    let other_site = headers.get_all("sec-fetch-site").iter().any(|site| site == "cross-site");
    let has_origin = headers.contains_key(ORIGIN);
    other_site || origins.any(is_other) || (has_origin && !method.is_safe() && has_form_type(headers))
}

/// True for a content type that a page may send without a preflight; no client of this server uses one.
fn has_form_type(headers: &HeaderMap) -> bool {
    let forms = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"];
    headers.get_all(CONTENT_TYPE).iter().any(|value| {
        let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        forms.iter().any(|form| essence.eq_ignore_ascii_case(form.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(guard: &Guard, method: Method, headers: &[(&'static str, &str)]) -> Result<(), Refused> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        guard.check(&method, &Uri::from_static("/kv/a"), &headers.collect())
    }

    fn of_host(guard: &Guard, host: &str) -> Result<(), Refused> {
        check(guard, Method::GET, &[("host", host)])
    }

    #[test]
    fn an_address_localhost_and_its_own_names_are_let_in() {
        let guard = Guard::named(["db-1".to_owned(), "db.example".to_owned()]);
        for host in ["127.0.0.1:7001", "10.1.2.3", "[::1]:7001", "localhost:7001", "DB-1:7001", "db.example"]
        {
            assert_eq!(of_host(&guard, host), Ok(()), "{host}");
        }
        let strange =
            ["evil.example", "db-2", "db-1.evil.example", "localhost.evil.example", "127.0.0.1.nip.io", ""];
        for host in strange {
            assert_eq!(of_host(&guard, host), Err(Refused::Host), "{host}");
        }
        let guard = guard.or_any_plain_name();
        assert_eq!(of_host(&guard, "db-2:7001"), Ok(()));
        assert_eq!(of_host(&guard, "evil.example"), Err(Refused::Host));
        assert_eq!(of_host(&guard, ""), Err(Refused::Host));
    }

    #[test]
    fn a_target_with_a_host_is_looked_at_too() {
        let headers = HeaderMap::from_iter([(HOST, "127.0.0.1".parse().unwrap())]);
        let check = |target| Guard::default().check(&Method::GET, &Uri::from_static(target), &headers);
        assert_eq!(check("http://127.0.0.1/kv/a"), Ok(()));
        assert_eq!(check("http://evil.example/kv/a"), Err(Refused::Host));
    }

    #[test]
    fn pages_of_other_origins_are_not() {
        let host = ("host", "127.0.0.1:1");
        let from = |origin| check(&Guard::default(), Method::POST, &[host, ("origin", origin)]);
        assert_eq!(from("http://127.0.0.1:1"), Ok(()));
        for other in ["http://evil.example", "http://127.0.0.1:2", "https://127.0.0.1:1", "null", ""] {
            assert_eq!(from(other), Err(Refused::Page), "{other}");
        }
        let site = |site| check(&Guard::default(), Method::GET, &[host, ("sec-fetch-site", site)]);
        assert_eq!(site("cross-site"), Err(Refused::Page));
        assert_eq!((site("same-origin"), site("none")), (Ok(()), Ok(())));
    }

    #[test]
    fn a_page_sends_no_forms_and_curl_may() {
        let host = ("host", "127.0.0.1:1");
        let kinds = [
            "text/plain;charset=UTF-8",
            "application/x-www-form-urlencoded",
            "Multipart/Form-Data; boundary=x",
        ];
        for kind in kinds.map(|kind| ("content-type", kind)) {
            let origin = ("origin", "http://127.0.0.1:1");
            assert_eq!(check(&Guard::default(), Method::POST, &[host, kind, origin]), Err(Refused::Page));
            assert_eq!(check(&Guard::default(), Method::GET, &[host, kind, origin]), Ok(()));
            assert_eq!(check(&Guard::default(), Method::POST, &[host, kind]), Ok(()));
        }
    }
}
