//! A request's target, in one of the four forms of RFC 9112, 3.2, and its host.
#![deny(clippy::disallowed_methods)]

/// A parsed target. It is always forwarded in origin form, or as an asterisk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// The host, if the target is in absolute form.
    pub host: Option<&'a [u8]>,
    /// The path and query. The first `/` may be missing if there is no path.
    pub rest: &'a [u8],
    /// True for the asterisk, or for an absolute target without a path that stands for it.
    pub is_asterisk: bool,
}

impl<'a> Target<'a> {
    /// Parses a target; `None` if it is malformed. Only OPTIONS (`for_options`) may address the whole server.
    pub fn parse(target: &'a [u8], for_options: bool) -> Option<Self> {
        if target == b"*" {
            return for_options.then_some(Self { host: None, rest: target, is_asterisk: true });
        }
        if target.first() == Some(&b'/') {
            return is_path_and_query(target).then_some(Self {
                host: None,
                rest: target,
                is_asterisk: false,
            });
        }
        let rest = strip_scheme(target)?;
        let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
        let (host, rest) = rest.split_at(end);
        let asks_server = rest.is_empty() && for_options;
        let proper = is_host(host) && is_path_and_query(rest);
        let rest = if asks_server { b"*" } else { rest };
        proper.then_some(Self { host: Some(host), rest, is_asterisk: asks_server })
    }

    /// Writes the target as it is forwarded.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        if !self.is_asterisk && self.rest.first() != Some(&b'/') {
            out.push(b'/');
        }
        out.extend_from_slice(self.rest);
    }
}

/// An `https` target must not be served over a connection without TLS (RFC 9110, 7.4).
fn strip_scheme(target: &[u8]) -> Option<&[u8]> {
    let scheme = b"http://";
    let (found, rest) = target.split_at_checked(scheme.len())?;
    found.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// Accepts visible ASCII, except for what no URI contains. Browsers send some characters unencoded that RFC 3986
/// wants encoded (`|`, `{`, `[` in a query); these are not ambiguous.
fn is_path_and_query(text: &[u8]) -> bool {
    let path = text.split(|byte| *byte == b'?').next().unwrap_or_default();
    text.iter().all(|byte| IN_PATH_OR_QUERY[usize::from(*byte)]) && is_encoded_properly(path)
}

const IN_PATH_OR_QUERY: [bool; 256] = class(b"!$%&'()*+,-./:;=?@[]^_`{|}~");

const IN_HOST: [bool; 256] = class(b"-._~!$&'()*+,;=%:");

/// A table of the bytes in a class: letters, digits, and these marks. A table lookup costs a tenth of
/// comparisons.
const fn class(marks: &[u8]) -> [bool; 256] {
    let mut class = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        class[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut mark = 0;
    while mark < marks.len() {
        class[marks[mark] as usize] = true;
        mark += 1;
    }
    class
}

/// True if each `%` is followed by two hexadecimal digits.
fn is_encoded_properly(path: &[u8]) -> bool {
    memchr::memchr_iter(b'%', path)
        .all(|at| path.get(at + 1..at + 3).is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit)))
}

/// True for `host [ ":" port ]` of RFC 3986, with a host that is not empty.
pub fn is_host(text: &[u8]) -> bool {
    let (host, port) = match text {
        [b'[', rest @ ..] => match rest.iter().position(|byte| *byte == b']') {
            Some(end) if is_ipv6(&rest[..end]) => (&rest[..end], &rest[end + 1..]),
            _ => return false,
        },
        _ => text.split_at(text.iter().position(|byte| *byte == b':').unwrap_or(text.len())),
    };
    let name = |byte: &u8| IN_HOST[usize::from(*byte)];
    let named = !host.is_empty() && host.iter().all(name) && is_encoded_properly(host);
    named && (port.is_empty() || port[0] == b':' && is_port(&port[1..]))
}

fn is_port(digits: &[u8]) -> bool {
    let number =
        std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    number.is_some_and(|text| text.is_empty() || text.parse::<u16>().is_ok())
}

fn is_ipv6(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_visible_ascii_but_what_no_uri_has_may_be_in_a_path() {
        for byte in 0..=u8::MAX {
            let wanted = byte.is_ascii_graphic() && !b"\"<>\\#".contains(&byte);
            assert_eq!(IN_PATH_OR_QUERY[usize::from(byte)], wanted, "{}", byte as char);
        }
    }

    /// Returns what is forwarded and the host that is named; `None` if the target is rejected.
    fn passed(target: &str, for_options: bool) -> Option<(String, String)> {
        let target = Target::parse(target.as_bytes(), for_options)?;
        let mut out = vec![];
        target.write_to(&mut out);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Some((text(&out), text(target.host.unwrap_or_default())))
    }

    #[test]
    fn the_forms_of_a_target() {
        for (target, path, host) in [
            ("/", "/", ""),
            ("/a?b=c|d", "/a?b=c|d", ""),
            ("/?q=100%", "/?q=100%", ""),
            ("//a", "//a", ""),
            ("http://shop", "/", "shop"),
            ("HTTP://shop:80/a?b", "/a?b", "shop:80"),
            ("http://shop?q", "/?q", "shop"),
            ("http://[::1]:80/", "/", "[::1]:80"),
        ] {
            assert_eq!(passed(target, false), Some((path.into(), host.into())), "{target}");
        }
        assert_eq!(passed("*", true), Some(("*".into(), String::new())));
        assert_eq!(passed("http://shop", true), Some(("*".into(), "shop".into())));
        assert_eq!(passed("http://shop/", true), Some(("/".into(), "shop".into())));
    }

    #[test]
    fn what_is_no_target() {
        for target in [
            "*",
            "",
            "a",
            "a:80",
            "shop/",
            "http:/a",
            "http://",
            "http:///a",
            "http://u@a/",
            "ftp://a/",
            "https://a/",
            "/a#b",
            "/<",
            "/\"",
            "/a\\b",
            "/%",
            "/%zz",
            "/%0",
            "/\u{e4}",
            "/\u{7f}",
            "http://a b/",
            "http://a:x/",
        ] {
            assert_eq!(passed(target, false), None, "{target}");
        }
    }

    #[test]
    fn hosts_that_are_hosts() {
        for good in ["a", "a.b:80", "127.0.0.1:9001", "[::1]", "[2001:db8::1]:80", "a:", "a%20b", "a_b"] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in [
            "", ":80", "a b", "a/b", "u@a", "a:b", "a:80:80", "[::1", "[]", "[x]:80", "[::1]80", "a?", "a#",
            "a%", "a:65536", "a:+1",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }
}
