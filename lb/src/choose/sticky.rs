//! Session affinity: a cookie brings a client back to the same upstream.
//!
//! The cookie's value is a message authentication code (HMAC-SHA-256) of the upstream's name, with a
//! key that only the balancers know: it cannot be forged, and it reveals neither a name nor an
//! address. The scheme is stateless: any balancer with the key understands the cookie, also after a
//! restart. Each upstream's value is computed once; a request only compares.
//!
//! Anything but exactly one cookie that names an available upstream is ignored: the client is
//! balanced like a new one, and gets a new cookie. The cookie concerns only the balancer, so it is
//! removed before the request reaches an upstream.
#![deny(clippy::disallowed_methods)]

use hmac::{Hmac, Mac};
use http::HeaderValue;
use sha2::Sha256;

/// The cookie's name.
pub const COOKIE_NAME: &str = "lb-sticky";

/// Length of a token: 256 bits in hexadecimal.
const TOKEN_BYTES: usize = 64;

/// The key that cookies are signed with.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

/// A cookie's value, as received or as expected.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; TOKEN_BYTES]);

/// The token and cookie that bind a client to one upstream.
#[derive(Debug, Clone)]
pub struct Pin {
    /// The value that the client's cookie must have.
    pub token: Token,
    /// The `Set-Cookie` that binds a client.
    pub set_cookie: HeaderValue,
}

impl Key {
    /// Makes a key from a secret of any length; more than 64 bytes do not make it stronger.
    pub fn new(secret: &[u8]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("HMAC takes keys of any length (RFC 2104)"))
    }

    /// Computes the token and cookie for the upstream of this name.
    pub fn pin(&self, upstream: &str) -> Pin {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut mac = self.0.clone();
        mac.update(b"sticky 1 ");
        mac.update(upstream.as_bytes());
        let mut token = [0; TOKEN_BYTES];
        for (digits, byte) in token.chunks_exact_mut(2).zip(mac.finalize().into_bytes()) {
            digits[0] = DIGITS[usize::from(byte >> 4)];
            digits[1] = DIGITS[usize::from(byte & 15)];
        }
        let value = String::from_utf8_lossy(&token);
        let cookie = format!("{COOKIE_NAME}={value}; Path=/; HttpOnly; SameSite=Lax");
        let mut set_cookie = HeaderValue::from_str(&cookie).expect("hexadecimal digits are a valid value");
        set_cookie.set_sensitive(true);
        Pin { token: Token(token), set_cookie }
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Key(secret)")
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Token(secret)")
    }
}

impl Token {
    /// Takes constant time: the duration does not reveal how much of the token is right.
    pub fn equals(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
    }
}

/// Takes the sticky cookie out of a request's `Cookie` fields, and returns it with the cookies that
/// are left; `None` if there was none. The token is missing if there are several, or if the value is
/// malformed.
pub fn take<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<(Option<Token>, Vec<u8>)> {
    let mut values = Vec::new();
    let mut rest: Vec<u8> = Vec::new();
    for pair in lines.flat_map(|line| line.split(|byte| *byte == b';')) {
        let pair = pair.trim_ascii();
        match pair.strip_prefix(COOKIE_NAME.as_bytes()).map(<[u8]>::trim_ascii_start) {
            Some([b'=', value @ ..]) => values.push(value.trim_ascii().try_into().ok().map(Token)),
            Some([]) => values.push(None),
            _ if pair.is_empty() => {}
            _ => {
                if !rest.is_empty() {
                    rest.extend_from_slice(b"; ");
                }
                rest.extend_from_slice(pair);
            }
        }
    }
    let only = match &mut values[..] {
        [] => return None,
        [only] => only.take(),
        _ => None,
    };
    Some((only, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the token, and the cookies that are forwarded.
    fn taken(cookies: &[&[u8]]) -> (Option<Token>, Vec<String>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match take(cookies.iter().copied()) {
            None => (None, cookies.iter().map(|cookie| text(cookie)).collect()),
            Some((token, rest)) if rest.is_empty() => (token, vec![]),
            Some((token, rest)) => (token, vec![text(&rest)]),
        }
    }

    fn shown(pin: &Pin) -> String {
        pin.set_cookie.to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    #[test]
    fn a_value_is_opaque_and_the_same_for_whoever_has_the_key() {
        let pin = Key::new(b"secret").pin("web-1");
        let cookie = pin.set_cookie.to_str().unwrap();
        assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax") && !cookie.contains("web"), "{cookie}");
        assert!(pin.token.equals(&Key::new(b"secret").pin("web-1").token));
        assert!(!pin.token.equals(&Key::new(b"other").pin("web-1").token));
        assert!(!pin.token.equals(&Key::new(b"secret").pin("web-2").token));
        assert_eq!(format!("{:?}", Key::new(b"secret")), "Key(secret)");
    }

    #[test]
    fn a_known_value_is_that_of_the_standard() {
        // printf 'sticky 1 web-1' | openssl dgst -sha256 -hmac secret
        let known = "lb-sticky=02571b2f81597a98a8a44fa1379a3f47838303ca1d0598b3316a538210448282";
        assert_eq!(shown(&Key::new(b"secret").pin("web-1")), known);
    }

    #[test]
    fn the_cookie_is_taken_off_and_the_others_stay() {
        let pin = Key::new(b"secret").pin("web-1");
        let ours = shown(&pin);
        let (token, rest) = taken(&[format!("a=1; {ours};b=2").as_bytes(), b"c=3"]);
        assert!(token.is_some_and(|token| token.equals(&pin.token)));
        assert_eq!(rest, ["a=1; b=2; c=3"]);
        assert_eq!(taken(&[ours.as_bytes()]).1, [""; 0]);
        assert_eq!(taken(&[b"a=1;  b=2"]), (None, vec!["a=1;  b=2".into()]), "nothing of ours in it");
        assert_eq!(taken(&[b"lb-sticky-2=x"]).1, ["lb-sticky-2=x"]);
    }

    #[test]
    fn several_cookies_or_odd_ones_are_none() {
        let ours = shown(&Key::new(b"secret").pin("web-1"));
        let huge = format!("lb-sticky={}", "f".repeat(8192));
        let twice = format!("{ours}; {ours}");
        for odd in ["lb-sticky=", "lb-sticky=\"x\"", &huge, &twice] {
            assert_eq!(taken(&[odd.as_bytes()]), (None, vec![]), "{odd}");
        }
        assert_eq!(taken(&[ours.as_bytes(), ours.as_bytes()]).0, None);
    }

    proptest! {
        /// Arbitrary input causes no panic, and no sticky cookie is forwarded.
        #[test]
        fn any_bytes_are_survived(
            cookies in prop::collection::vec("[ -~]{0,30}(lb-sticky ?=)?[ -~;=]{0,90}", 0..4),
        ) {
            let cookies: Vec<&[u8]> = cookies.iter().map(|cookie| cookie.as_bytes()).collect();
            let (_, rest) = taken(&cookies);
            for pair in rest.iter().flat_map(|line| line.split(';')) {
                prop_assert_ne!(pair.split('=').next().unwrap().trim(), "lb-sticky");
            }
        }
    }
}
