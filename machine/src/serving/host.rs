//! Checks that a request names its host unambiguously (RFC 9112, 3.2).

#![deny(clippy::disallowed_methods)]

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, Version};

/// Returns what is wrong with a request's `Host` field, if anything.
pub(super) fn check(version: Version, headers: &HeaderMap) -> Result<(), &'static str> {
    let mut lines = headers.get_all(HOST).iter();
    match (lines.next(), lines.next()) {
        (Some(_), Some(_)) => Err("there are two Host lines; send one"),
        (None, _) if version >= Version::HTTP_11 => Err("there is no Host line; HTTP/1.1 needs one"),
        (None, _) => Ok(()),
        (Some(host), None) => {
            let bytes = host.as_bytes();
            let is_host = Authority::try_from(bytes).is_ok_and(|host| !host.as_str().contains('@'));
            // An empty value is for targets without a host.
            if bytes.is_empty() || is_host { Ok(()) } else { Err("the Host line is no host with a port") }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_lines(version: Version, lines: &[&str]) -> Result<(), &'static str> {
        let headers = lines.iter().map(|line| (HOST, line.parse().unwrap()));
        check(version, &headers.collect())
    }

    #[test]
    fn there_is_one_host_line_and_it_names_a_host() {
        for line in ["a", "a:80", "127.0.0.1:7001", "[::1]:7001", ""] {
            assert_eq!(check_lines(Version::HTTP_11, &[line]), Ok(()), "{line}");
        }
        for line in ["a b", "a/b", "user@a", "a,b c", "[::1"] {
            assert!(check_lines(Version::HTTP_11, &[line]).is_err(), "{line}");
        }
        for lines in [&["a", "a"][..], &["a", "b"], &["", "a"]] {
            assert!(check_lines(Version::HTTP_11, lines).is_err(), "{lines:?}");
            assert!(check_lines(Version::HTTP_10, lines).is_err(), "{lines:?}");
        }
    }

    #[test]
    fn only_an_old_request_may_name_no_host() {
        assert!(check_lines(Version::HTTP_11, &[]).is_err());
        assert_eq!(check_lines(Version::HTTP_10, &[]), Ok(()));
    }
}
