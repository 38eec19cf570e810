//! The session cookie (RFC 6265). Pure.
//!
//! A browser sends back exactly the value it was given, byte for byte. Anything else (two cookies of
//! that name, quotes, control characters, a wrong length) did not come from this server, and is no
//! session.

#![deny(clippy::disallowed_methods)]

use http::{HeaderMap, HeaderValue, header};

use super::SessionId;

/// The name and attributes of session cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookies {
    /// For a lab without TLS.
    Plain,
    /// `Secure`, with a name prefix that binds it to this host (RFC 6265bis, section 4.1.3.2).
    Secure,
}

impl Cookies {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "session",
            Self::Secure => "__Host-session",
        }
    }

    /// Returns the session id of a request, if it contains exactly one.
    pub fn read(self, headers: &HeaderMap) -> Option<SessionId> {
        let lines =
            headers.get_all(header::COOKIE).iter().flat_map(|line| line.as_bytes().split(|b| *b == b';'));
        let mut values = lines.filter_map(|pair| {
            let pair = pair.trim_ascii();
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            (&pair[..equals] == self.name().as_bytes()).then_some(&pair[equals + 1..])
        });
        match (values.next(), values.next()) {
            (Some(value), None) => SessionId::parse(std::str::from_utf8(value).ok()?),
            _ => None,
        }
    }

    /// The `Set-Cookie` for a new session. The cookie itself does not expire; the server enforces
    /// the session's lifetime.
    pub fn give(self, id: &SessionId) -> HeaderValue {
        self.set(&id.to_text(), "")
    }

    /// The `Set-Cookie` that makes the browser delete the cookie.
    pub fn take_back(self) -> HeaderValue {
        self.set("", "; Max-Age=0")
    }

    fn set(self, value: &str, lasting: &str) -> HeaderValue {
        let secure = if self == Self::Secure { "; Secure" } else { "" };
        let cookie = format!("{}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{lasting}", self.name());
        let mut cookie = HeaderValue::try_from(cookie).expect("letters, digits and punctuation");
        cookie.set_sensitive(true);
        cookie
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&[u8]]) -> Option<SessionId> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        Cookies::Plain.read(&headers)
    }

    const ID: &str = "00112233445566778899aabbccddeeff";

    #[test]
    fn it_comes_back_among_others() {
        let id = SessionId::parse(ID);
        for line in [
            format!("session={ID}"),
            format!("a=b; session={ID}; c=\"d\""),
            format!("  a;;=; session={ID}"),
            format!("mysession=1; session={ID}; session2=x"),
        ] {
            assert_eq!(read(&[line.as_bytes()]), id, "{line}");
        }
        assert_eq!(read(&[b"a=b", format!("session={ID}").as_bytes()]), id);
    }

    #[test]
    fn what_was_not_given_is_no_session() {
        let twice = format!("session={ID}; session={ID}");
        let quoted = format!("session=\"{ID}\"");
        let long = format!("session={}", "a".repeat(4096));
        let tab = format!("session={ID}\tx");
        let other_case = format!("SESSION={ID}");
        for line in [&twice, &quoted, &long, &tab, &other_case, "", "session", "session=", "=", ";"] {
            assert_eq!(read(&[line.as_bytes()]), None, "{line}");
        }
        assert_eq!(read(&[b"session=\xff\xfe"]), None);
        assert_eq!(read(&[format!("session={ID}").as_bytes(), b"session=x"]), None);
    }

    #[test]
    fn every_attribute_is_there_and_none_too_many() {
        let id = SessionId::parse(ID).unwrap();
        let plain = Cookies::Plain.give(&id);
        assert_eq!(plain, format!("session={ID}; Path=/; HttpOnly; SameSite=Lax"));
        let secure = Cookies::Secure.give(&id);
        assert_eq!(secure, format!("__Host-session={ID}; Path=/; HttpOnly; SameSite=Lax; Secure"));
        assert_eq!(Cookies::Plain.take_back(), "session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
        assert!(!format!("{plain:?}").contains(ID), "a logged header would show the id");
    }
}
