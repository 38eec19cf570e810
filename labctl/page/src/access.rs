//! Decides who may see the page and act through it.
//!
//! A browser presents the token in the URL once and gets a cookie in exchange; a program sends the token as
//! `Authorization: Bearer`. A page of another origin is refused whatever it sends (CSRF, DNS rebinding). Pure.
#![deny(clippy::disallowed_methods)]

use std::net::SocketAddr;

use cookie::Cookie;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST};
use http::uri::Authority;
use http::{HeaderMap, Method, Uri};
use machine::serving::guard;

/// Authenticates and authorizes requests.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    address: SocketAddr,
    token: String,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// The `Host` is not a name of this page: DNS rebinding.
    #[error("this page is known as 127.0.0.1 and localhost only")]
    Host,
    /// A page of another origin sent it.
    #[error("a web page of another origin sent this")]
    OtherPage,
    /// The token is missing or wrong.
    #[error(
        "the token is missing or wrong: `labctl open` prints the URL with it; in containers, `docker compose logs page`"
    )]
    Token,
    /// It changes something and is not JSON: a form on another page must not pass for a command.
    #[error("send application/json")]
    NotJson,
}

impl Access {
    /// Guards the page at this address with this token.
    pub(crate) fn new(address: SocketAddr, token: String) -> Self {
        Self { address, token }
    }

    /// Returns the URL that logs a browser in.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/?token={}", self.address, self.token)
    }

    /// Returns the token that programs send as `Authorization: Bearer`.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Checks the `Host` header. Every request passes through this first.
    pub(crate) fn check_host(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let mut hosts = headers.get_all(HOST).iter().map(|host| Authority::try_from(host.as_bytes()));
        let known =
            |host: Authority| host.port_u16() == Some(self.address.port()) && is_loopback(host.host());
        // Exactly one `Host`, and it is ours: given two, an intermediary might go by the other one.
        match hosts.next().is_some_and(|host| host.is_ok_and(known)) && hosts.next().is_none() {
            true => Ok(()),
            false => Err(Refused::Host),
        }
    }

    /// Checks that a request may see and do things: it does not come from a page of another origin, it bears the token,
    /// and it is JSON if it changes something.
    pub(crate) fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), Refused> {
        if guard::is_sent_by_another_page(method, headers) || is_from_another_port(headers) {
            return Err(Refused::OtherPage);
        }
        if !self.bears_token(headers) && !self.has_cookie(headers) {
            return Err(Refused::Token);
        }
        match method.is_safe() || is_json(headers) {
            true => Ok(()),
            false => Err(Refused::NotJson),
        }
    }

    /// Returns the cookie to set if the URL carries the right token.
    pub(crate) fn cookie_for(&self, uri: &Uri) -> Option<String> {
        let pairs = uri.query()?.split('&').filter_map(|pair| pair.strip_prefix("token="));
        let known = pairs.into_iter().any(|given| takes_constant_time_to_equal(given, &self.token));
        known.then(|| format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie_name(), self.token))
    }

    /// Cookies are not separated by port, so each lab on a computer gets its own cookie name.
    fn cookie_name(&self) -> String {
        format!("scaling-lab-{}", self.address.port())
    }

    fn has_cookie(&self, headers: &HeaderMap) -> bool {
        let name = self.cookie_name();
        let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut cookies = texts.flat_map(|text| Cookie::split_parse(text.to_owned())).filter_map(Result::ok);
        cookies
            .any(|cookie| cookie.name() == name && takes_constant_time_to_equal(cookie.value(), &self.token))
    }

    fn bears_token(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.split_at_checked(7));
        matches!(given, Some((scheme, given))
            if scheme.eq_ignore_ascii_case("bearer ") && takes_constant_time_to_equal(given, &self.token))
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || guard::address(host).is_some_and(|ip| ip.is_loopback())
}

/// Another port of this computer is the same *site*, so its requests carry our cookie, but it is not the same origin.
fn is_from_another_port(headers: &HeaderMap) -> bool {
    headers.get_all("sec-fetch-site").iter().any(|site| site == "same-site")
}

fn is_json(headers: &HeaderMap) -> bool {
    let essence = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = essence.and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// Compares in time that depends only on the length, not on how much of the guess is right.
fn takes_constant_time_to_equal(given: &str, expected: &str) -> bool {
    let pairs = given.bytes().zip(expected.bytes());
    let different = pairs.fold(0, |bits, (a, b)| bits | std::hint::black_box(a ^ b));
    given.len() == expected.len() && different == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        Access::new("127.0.0.1:7780".parse().unwrap(), "secret".into())
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_its_own_address_is_its_host() {
        let of = |pairs: &[(&'static str, &str)]| access().check_host(&headers(pairs));
        for host in ["127.0.0.1:7780", "localhost:7780", "LOCALHOST:7780", "[::1]:7780"] {
            assert_eq!(of(&[("host", host)]), Ok(()), "{host}");
        }
        let strange = [
            "evil.example:7780",
            "127.0.0.1:7781",
            "127.0.0.1",
            "127.0.0.1.nip.io:7780",
            "10.0.0.1:7780",
            "",
        ];
        for host in strange {
            assert_eq!(of(&[("host", host)]), Err(Refused::Host), "{host}");
        }
        assert_eq!(of(&[]), Err(Refused::Host));
        let mut two = headers(&[("host", "127.0.0.1:7780")]);
        two.append(HOST, "evil.example:7780".parse().unwrap());
        assert_eq!(access().check_host(&two), Err(Refused::Host));
    }

    const HOST_LINE: (&str, &str) = ("host", "127.0.0.1:7780");
    const COOKIE_LINE: (&str, &str) = ("cookie", "other=1; scaling-lab-7780=secret");
    const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

    #[test]
    fn pages_of_other_origins_get_nothing_though_they_send_the_cookie() {
        let from = |pair| access().check(&Method::POST, &headers(&[HOST_LINE, COOKIE_LINE, JSON, pair]));
        assert_eq!(from(("origin", "http://127.0.0.1:7780")), Ok(()));
        for other in ["http://evil.example", "http://127.0.0.1:7781", "http://localhost:7780", "null"] {
            assert_eq!(from(("origin", other)), Err(Refused::OtherPage), "{other}");
        }
        assert_eq!(from(("sec-fetch-site", "cross-site")), Err(Refused::OtherPage));
        assert_eq!(from(("sec-fetch-site", "same-site")), Err(Refused::OtherPage));
        assert_eq!(from(("sec-fetch-site", "same-origin")), Ok(()));
    }

    #[test]
    fn the_token_is_exchanged_for_a_cookie_that_no_other_site_can_send() {
        let cookie = access().cookie_for(&Uri::from_static("/?token=secret")).unwrap();
        assert_eq!(cookie, "scaling-lab-7780=secret; Path=/; HttpOnly; SameSite=Strict");
        for wrong in ["/", "/?token=", "/?token=secre", "/?token=secrets", "/?nottoken=secret"] {
            assert_eq!(access().cookie_for(&wrong.parse().unwrap()), None, "{wrong}");
        }
    }

    #[test]
    fn what_changes_something_needs_the_token_and_is_json() {
        let check = |method, pairs: &[(&'static str, &str)]| access().check(&method, &headers(pairs));
        assert_eq!(check(Method::POST, &[JSON, COOKIE_LINE]), Ok(()));
        assert_eq!(check(Method::POST, &[JSON, ("authorization", "Bearer secret")]), Ok(()));
        assert_eq!(check(Method::POST, &[JSON]), Err(Refused::Token));
        assert_eq!(check(Method::GET, &[]), Err(Refused::Token));
        assert_eq!(check(Method::GET, &[("cookie", "scaling-lab-7781=secret")]), Err(Refused::Token));
        assert_eq!(check(Method::GET, &[("authorization", "Bearer secre")]), Err(Refused::Token));
        assert_eq!(check(Method::POST, &[COOKIE_LINE]), Err(Refused::NotJson));
        assert_eq!(
            check(Method::POST, &[COOKIE_LINE, ("content-type", "text/plain")]),
            Err(Refused::NotJson)
        );
        assert_eq!(check(Method::GET, &[COOKIE_LINE]), Ok(()));
    }
}
