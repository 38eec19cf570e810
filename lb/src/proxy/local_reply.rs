//! Local replies: responses that the balancer generates itself, and the reasons for them.

use std::io;
use std::net::SocketAddr;

use http::StatusCode;
use machine::names::NameUnknown;

use crate::proxy::headers::Persistence;
use crate::shortage::Shortage;
use crate::upstream::Outcome;
use crate::wire::HeadError;

/// Why the balancer answers a request itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalReply {
    /// The request is malformed or ambiguous, in this way.
    BadRequest(&'static str),
    /// The client took too long to send its request.
    ClientTooSlow,
    /// The request's body exceeds the limit.
    BodyTooLarge,
    /// The request's target exceeds the limit.
    UriTooLong,
    /// The request's headers exceed the limit.
    HeadersTooLarge,
    /// The request has an expectation that the balancer cannot meet.
    ExpectationFailed,
    /// The request uses another version of HTTP.
    VersionNotSupported,
    /// The request needs a feature that the balancer does not implement.
    NotImplemented(&'static str),
    /// The upstream refused the connection.
    ConnectFailed,
    /// The upstream did not accept a connection in time.
    ConnectTimeout,
    /// The upstream closed the connection, or its response is malformed or ambiguous.
    BadAnswer,
    /// The head of the upstream's response exceeds the limit.
    AnswerTooLarge,
    /// The upstream's name has never resolved to an address, so the upstream was not contacted.
    NameUnknown,
    /// The balancer itself lacks a resource to open a connection.
    LocalShortage(Shortage),
    /// No upstream is available.
    NoUpstream,
    /// The upstream did not begin its response in time.
    UpstreamTimeout,
    /// The connection limit is reached.
    Overloaded,
}

impl LocalReply {
    /// Every code, in alphabetical order.
    pub const CODES: [&'static str; 17] = [
        "answer_too_large",
        "bad_answer",
        "bad_request",
        "body_too_large",
        "connect_failed",
        "connect_timeout",
        "expectation_failed",
        "headers_too_large",
        "local_shortage",
        "name_unknown",
        "no_upstream",
        "not_implemented",
        "overloaded",
        "request_timeout",
        "upstream_timeout",
        "uri_too_long",
        "version_not_supported",
    ];

    /// Returns why no connection to this address could be opened.
    pub fn without_connection(error: &io::Error, to: Option<SocketAddr>) -> Self {
        match Shortage::of(error, to) {
            Some(shortage) => Self::LocalShortage(shortage),
            None if NameUnknown::caused(error) => Self::NameUnknown,
            None => Self::ConnectFailed,
        }
    }

    /// The code in the reply's body and in the metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::BadRequest(_) => "bad_request",
            Self::ClientTooSlow => "request_timeout",
            Self::BodyTooLarge => "body_too_large",
            Self::UriTooLong => "uri_too_long",
            Self::HeadersTooLarge => "headers_too_large",
            Self::ExpectationFailed => "expectation_failed",
            Self::VersionNotSupported => "version_not_supported",
            Self::NotImplemented(_) => "not_implemented",
            Self::ConnectFailed => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::BadAnswer => "bad_answer",
            Self::AnswerTooLarge => "answer_too_large",
            Self::NameUnknown => "name_unknown",
            Self::LocalShortage(_) => "local_shortage",
            Self::NoUpstream => "no_upstream",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::Overloaded => "overloaded",
        }
    }

    /// The reply's status.
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::ClientTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::ExpectationFailed => StatusCode::EXPECTATION_FAILED,
            Self::VersionNotSupported => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
            Self::ConnectFailed | Self::BadAnswer | Self::AnswerTooLarge => StatusCode::BAD_GATEWAY,
            Self::NoUpstream | Self::Overloaded | Self::NameUnknown | Self::LocalShortage(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::ConnectTimeout | Self::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// One sentence for a human reader.
    pub fn detail(self) -> &'static str {
        match self {
            Self::BadRequest(detail) | Self::NotImplemented(detail) => detail,
            Self::ClientTooSlow => "the request was not sent in time",
            Self::BodyTooLarge => "the request's body exceeds --max-body-bytes",
            Self::UriTooLong => "the request's target exceeds --max-header-bytes",
            Self::HeadersTooLarge => "the request's headers exceed --max-header-bytes",
            Self::ExpectationFailed => "the only expectation is 100-continue",
            Self::VersionNotSupported => "only HTTP/1.1 and HTTP/1.0 are supported",
            Self::ConnectFailed => "the upstream accepts no connection",
            Self::ConnectTimeout => "the upstream did not accept a connection in time",
            Self::BadAnswer => "the upstream closed the connection or its answer is malformed",
            Self::AnswerTooLarge => "the upstream's answer has a head larger than --max-header-bytes allows",
            Self::NameUnknown => "the upstream's name has no address",
            Self::LocalShortage(shortage) => shortage.detail(),
            Self::NoUpstream => "no healthy upstream",
            Self::UpstreamTimeout => "the upstream did not answer in time",
            Self::Overloaded => "as many connections are open as --max-connections allows",
        }
    }

    /// The outcome that is counted for an upstream that had accepted the request.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::ConnectFailed => Outcome::ConnectFailed,
            Self::ConnectTimeout | Self::UpstreamTimeout => Outcome::TimedOut,
            Self::BadAnswer => Outcome::Broken,
            Self::AnswerTooLarge | Self::NameUnknown | Self::LocalShortage(_) => Outcome::Local,
            _ => Outcome::Abandoned,
        }
    }

    /// True if the next bytes on the client's connection may not be the request that the client
    /// meant.
    pub fn casts_doubt_on_the_rest(self) -> bool {
        self.status().is_client_error() || matches!(self, Self::NotImplemented(_) | Self::VersionNotSupported)
    }

    /// True if another upstream may fare better. Ports and permissions are scarce for one address
    /// only; files and memory are scarce for all of them, and a retry would only need more.
    pub fn may_go_better_elsewhere(self) -> bool {
        match self {
            Self::LocalShortage(shortage) => matches!(shortage, Shortage::Ports | Shortage::Permission),
            Self::BadAnswer | Self::UpstreamTimeout => true,
            _ => self.came_before_the_request(),
        }
    }

    /// True if no upstream can have seen any part of the request.
    pub fn came_before_the_request(self) -> bool {
        matches!(
            self,
            Self::ConnectFailed | Self::ConnectTimeout | Self::NameUnknown | Self::LocalShortage(_)
        )
    }

    /// True if the cause may soon be over; the client then gets a `Retry-After`.
    fn passes_soon(self) -> bool {
        matches!(self, Self::NoUpstream | Self::Overloaded | Self::NameUnknown | Self::LocalShortage(_))
    }

    /// `{"error": code, "detail": sentence}`.
    pub fn body(self) -> String {
        format!("{{\"error\":\"{}\",\"detail\":\"{}\"}}\n", self.code(), self.detail())
    }

    /// The whole response as bytes. `date` is an HTTP date.
    pub fn raw_answer(self, date: &[u8], connection: Persistence, to_head: bool) -> Vec<u8> {
        let (status, code, body) = (self.status(), self.code(), self.body());
        let retry_after = if self.passes_soon() { "retry-after: 1\r\n" } else { "" };
        let (date, connection) = (String::from_utf8_lossy(date), said(connection));
        let mut answer = format!(
            "HTTP/1.1 {status}\r\ndate: {date}\r\ncontent-type: application/json\r\nx-lb-error: {code}\r\n\
             {retry_after}{connection}content-length: {}\r\n\r\n",
            body.len()
        );
        if !to_head {
            answer.push_str(&body);
        }
        answer.into_bytes()
    }

    /// The response to an `OPTIONS` request that may be forwarded no further.
    pub fn options(date: &[u8], connection: Persistence) -> Vec<u8> {
        let (date, connection) = (String::from_utf8_lossy(date), said(connection));
        let allow = "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH";
        let answer = format!(
            "HTTP/1.1 200 OK\r\ndate: {date}\r\nallow: {allow}\r\n{connection}content-length: 0\r\n\r\n"
        );
        answer.into_bytes()
    }
}

impl From<HeadError> for LocalReply {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::Malformed(how) => Self::BadRequest(how),
            HeadError::TargetTooLong => Self::UriTooLong,
            HeadError::FieldsTooLarge => Self::HeadersTooLarge,
            HeadError::UnknownExpectation => Self::ExpectationFailed,
            HeadError::Version => Self::VersionNotSupported,
            HeadError::NotImplemented(what) => Self::NotImplemented(what),
        }
    }
}

fn said(connection: Persistence) -> &'static str {
    match connection {
        Persistence::Usual => "",
        Persistence::Kept => "connection: keep-alive\r\n",
        Persistence::Closed => "connection: close\r\n",
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    #[test]
    fn a_body_is_json_with_code_and_sentence() {
        let body: serde_json::Value = serde_json::from_str(&LocalReply::NoUpstream.body()).unwrap();
        assert_eq!(body["error"], "no_upstream");
        assert_eq!(body["detail"], "no healthy upstream");
    }

    #[test]
    fn every_code_is_listed() {
        for reply in [
            LocalReply::BadRequest(""),
            LocalReply::NotImplemented(""),
            LocalReply::ConnectTimeout,
            LocalReply::AnswerTooLarge,
            LocalReply::NameUnknown,
            LocalReply::LocalShortage(Shortage::Files),
        ] {
            assert!(LocalReply::CODES.binary_search(&reply.code()).is_ok());
        }
        assert!(LocalReply::CODES.is_sorted());
    }

    #[test]
    fn why_there_is_no_connection_is_told_apart() {
        let to = "127.0.0.1:80".parse().ok();
        for (errno, reply) in [
            (Errno::ECONNREFUSED, LocalReply::ConnectFailed),
            (Errno::EHOSTUNREACH, LocalReply::ConnectFailed),
            (Errno::EADDRNOTAVAIL, LocalReply::LocalShortage(Shortage::Ports)),
            (Errno::EMFILE, LocalReply::LocalShortage(Shortage::Files)),
        ] {
            assert_eq!(LocalReply::without_connection(&errno.into(), to), reply, "{errno}");
        }
        let no_name = io::Error::from(NameUnknown { name: "web-1:80".into(), why: "no such name".into() });
        assert_eq!(LocalReply::without_connection(&no_name, None), LocalReply::NameUnknown);
        assert!(LocalReply::NameUnknown.may_go_better_elsewhere());
        assert_eq!(
            (LocalReply::NameUnknown.status().as_u16(), LocalReply::NameUnknown.outcome()),
            (503, Outcome::Local)
        );
    }

    #[test]
    fn what_is_short_here_is_no_upstream_s_fault() {
        for (shortage, elsewhere) in [
            (Shortage::Ports, true),
            (Shortage::Permission, true),
            (Shortage::Files, false),
            (Shortage::Memory, false),
        ] {
            let reply = LocalReply::LocalShortage(shortage);
            assert_eq!((reply.status().as_u16(), reply.outcome()), (503, Outcome::Local));
            assert_eq!(reply.may_go_better_elsewhere(), elsewhere, "{shortage:?}");
            assert!(!reply.casts_doubt_on_the_rest());
        }
        assert_eq!(LocalReply::AnswerTooLarge.outcome(), Outcome::Local);
        assert!(!LocalReply::AnswerTooLarge.may_go_better_elsewhere(), "the answer would be the same");
    }

    #[test]
    fn the_raw_answer_is_a_whole_one() {
        let text = LocalReply::ClientTooSlow.raw_answer(b"now", Persistence::Closed, false);
        let text = String::from_utf8(text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 408 Request Timeout\r\n"));
        assert!(head.ends_with(&format!("content-length: {}", body.len())));
    }
}
