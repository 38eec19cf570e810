//! Parses the precondition and the idempotency key in a request's headers. This is the server's
//! side, used by the database and by test doubles for it.

#![deny(clippy::disallowed_methods)]

use http::{HeaderMap, header};

use super::types::Condition;
use super::version::Version;

/// Maximum length of an `Idempotency-Key`, in bytes.
const IDEMPOTENCY_KEY_MAX: usize = 128;

/// A malformed header, answered with 400 (Bad Request).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct BadHeader {
    /// The code for the response's `error` field, such as `bad_condition`.
    pub code: &'static str,
    /// A sentence that says what is wrong.
    pub detail: String,
}

/// Parses `If-Match: "1.7"`, `If-None-Match: *`, or neither (RFC 9110, 13.1). Both, several values,
/// or anything else is an error.
pub fn condition(headers: &HeaderMap) -> Result<Condition, BadHeader> {
    let refuse = |detail: &str| Err(BadHeader { code: "bad_condition", detail: detail.to_owned() });
    match (one(headers, header::IF_MATCH.as_str())?, one(headers, header::IF_NONE_MATCH.as_str())?) {
        (None, None) => Ok(Condition::Always),
        (Some(_), Some(_)) => refuse("If-Match and If-None-Match exclude each other"),
        (None, Some("*")) => Ok(Condition::IfAbsent),
        (None, Some(_)) => refuse("If-None-Match can only be *"),
        (Some(etag), None) => match Version::from_etag(etag) {
            Some(version) => Ok(Condition::IfVersion(version)),
            None => refuse("If-Match takes one version as ETag shows it, two numbers in quotes"),
        },
    }
}

/// Parses the `Idempotency-Key`; `None` if there is none.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, BadHeader> {
    let Some(key) = one(headers, "idempotency-key")? else { return Ok(None) };
    let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    if visible && (1..=IDEMPOTENCY_KEY_MAX).contains(&key.len()) {
        return Ok(Some(key));
    }
    let detail =
        format!("an Idempotency-Key is 1 to {IDEMPOTENCY_KEY_MAX} visible ASCII characters without spaces");
    Err(BadHeader { code: "bad_idempotency_key", detail })
}

/// The value of a header that may occur only once.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, BadHeader> {
    let refuse = |detail: String| Err(BadHeader { code: "bad_header", detail });
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match (value.to_str(), values.next()) {
        (Ok(value), None) => Ok(Some(value)),
        (Err(_), _) => refuse(format!("{name} is not ASCII")),
        (_, Some(_)) => refuse(format!("{name} occurs twice")),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_condition_is_a_version_or_that_there_is_nothing() {
        assert_eq!(condition(&headers(&[])).unwrap(), Condition::Always);
        assert_eq!(condition(&headers(&[("if-none-match", "*")])).unwrap(), Condition::IfAbsent);
        let version = Condition::IfVersion(Version::of(1, 7));
        assert_eq!(condition(&headers(&[("if-match", "\"1.7\"")])).unwrap(), version);
        for wrong in [[("if-match", "7")], [("if-none-match", "\"1.7\"")]] {
            assert_eq!(condition(&headers(&wrong)).unwrap_err().code, "bad_condition");
        }
        let both = [("if-match", "\"1.7\""), ("if-none-match", "*")];
        assert!(condition(&headers(&both)).unwrap_err().detail.contains("exclude"));
    }

    #[test]
    fn an_idempotency_key_is_visible_and_not_too_long() {
        let found = |key| {
            let headers = headers(&[("idempotency-key", key)]);
            idempotency_key(&headers).map(|key| key.map(str::to_owned)).map_err(|error| error.code)
        };
        assert_eq!(found("a-1"), Ok(Some("a-1".to_owned())));
        assert_eq!(found("a 1"), Err("bad_idempotency_key"));
        assert_eq!(found(""), Err("bad_idempotency_key"));
    }

    #[test]
    fn a_header_that_counts_once_is_there_once() {
        let mut twice = headers(&[("idempotency-key", "a-1")]);
        twice.append("idempotency-key", HeaderValue::from_static("a-2"));
        assert_eq!(idempotency_key(&twice).unwrap_err().detail, "idempotency-key occurs twice");
    }
}
