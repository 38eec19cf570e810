//! What became of a request, in classes that are never mixed.
#![deny(clippy::disallowed_methods)]

use std::error::Error;
use std::io;

use http::{HeaderMap, StatusCode, header};

use super::CacheMark;

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Answered, 2xx (or 304).
    Ok,
    /// Answered, 2xx, by a copy that says it is old: `X-Cache: STALE`.
    Stale,
    /// Answered, 2xx, but without what was asked for in it.
    Wrong,
    /// 4xx, or a redirect, which is not followed: the request should have been another.
    ClientError,
    /// 5xx other than [`Outcome::Shed`].
    ServerError,
    /// 503 with `Retry-After`: sent away at once, on purpose, with a hint when to come back.
    Shed,
    /// Nobody took the connection.
    Refused,
    /// The connection broke before the answer was complete.
    Reset,
    /// Connected, but no complete answer in time. It may have had its effect all the same.
    Timeout,
    /// No connection in time.
    ConnectTimeout,
    /// Not sent, or cut off: the load generator was at its own limit. Says nothing about the server.
    Cancelled,
    /// Not sent: the load generator was held up until long after it was due. Says nothing about the server.
    NotSent,
    /// Answered with something that is not HTTP, or is far too long.
    Malformed,
}

impl Outcome {
    /// All of them, in the order reports list them.
    pub const ALL: [Outcome; 13] = [
        Outcome::Ok,
        Outcome::Stale,
        Outcome::Wrong,
        Outcome::ClientError,
        Outcome::ServerError,
        Outcome::Shed,
        Outcome::Refused,
        Outcome::Reset,
        Outcome::Timeout,
        Outcome::ConnectTimeout,
        Outcome::Cancelled,
        Outcome::NotSent,
        Outcome::Malformed,
    ];

    /// Whether whoever asked got what they wanted, be it old.
    pub fn is_success(self) -> bool {
        matches!(self, Outcome::Ok | Outcome::Stale)
    }

    /// Whether the load generator is why there is no answer, so that nothing is known of the server.
    pub fn is_the_generators(self) -> bool {
        matches!(self, Outcome::Cancelled | Outcome::NotSent)
    }

    /// Its name in reports and files.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Stale => "stale",
            Outcome::Wrong => "wrong",
            Outcome::ClientError => "client_error",
            Outcome::ServerError => "server_error",
            Outcome::Shed => "shed",
            Outcome::Refused => "refused",
            Outcome::Reset => "reset",
            Outcome::Timeout => "timeout",
            Outcome::ConnectTimeout => "connect_timeout",
            Outcome::Cancelled => "cancelled",
            Outcome::NotSent => "not_sent",
            Outcome::Malformed => "malformed",
        }
    }

    /// Of an answer that was read to its end.
    pub(super) fn of_answer(status: StatusCode, headers: &HeaderMap) -> Self {
        match status.as_u16() {
            200..=299 if CacheMark::of(headers) == CacheMark::Stale => Outcome::Stale,
            200..=299 | 304 => Outcome::Ok,
            300..=499 => Outcome::ClientError,
            503 if headers.contains_key(header::RETRY_AFTER) => Outcome::Shed,
            500..=599 => Outcome::ServerError,
            _ => Outcome::Malformed,
        }
    }

    /// Of a connection that could not be opened.
    pub(super) fn of_connect_error(error: &io::Error) -> Self {
        match error.kind() {
            _ if is_our_own_limit(error) => Outcome::Cancelled,
            io::ErrorKind::TimedOut => Outcome::ConnectTimeout,
            // Accepted by the kernel and dropped at once: a server that dies with a full backlog.
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Outcome::Reset,
            _ => Outcome::Refused,
        }
    }

    /// Of an exchange over an open connection that failed.
    pub(super) fn of_exchange_error(error: &(dyn Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return Self::of_broken_connection(error);
            }
            if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
                return Outcome::Malformed;
            }
            cause = error.source();
        }
        // What is left are hyper's words for a connection that ended too early.
        Outcome::Reset
    }

    fn of_broken_connection(error: &io::Error) -> Self {
        match error.kind() {
            _ if is_our_own_limit(error) => Outcome::Cancelled,
            io::ErrorKind::TimedOut => Outcome::Timeout,
            // How a body with bad chunk sizes is reported.
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Outcome::Malformed,
            _ => Outcome::Reset,
        }
    }
}

/// No more file descriptors, or no more ports of our own.
fn is_our_own_limit(error: &io::Error) -> bool {
    use nix::errno::Errno;
    let Some(number) = error.raw_os_error() else { return false };
    matches!(Errno::from_raw(number), Errno::EMFILE | Errno::ENFILE | Errno::EADDRNOTAVAIL | Errno::ENOBUFS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, headers: &[(&'static str, &'static str)]) -> Outcome {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Outcome::of_answer(StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn answers_are_sorted_by_status_and_headers() {
        assert_eq!(of(200, &[]), Outcome::Ok);
        assert_eq!(of(204, &[("x-cache", "HIT")]), Outcome::Ok);
        assert_eq!(of(304, &[]), Outcome::Ok);
        assert_eq!(of(200, &[("x-cache", "STALE")]), Outcome::Stale);
        assert_eq!(of(307, &[]), Outcome::ClientError);
        assert_eq!(of(404, &[("x-cache", "stale")]), Outcome::ClientError);
        assert_eq!(of(500, &[]), Outcome::ServerError);
        assert_eq!(of(503, &[]), Outcome::ServerError);
        assert_eq!(of(503, &[("retry-after", "1")]), Outcome::Shed);
        assert_eq!(of(504, &[("retry-after", "1")]), Outcome::ServerError);
        assert_eq!(of(799, &[]), Outcome::Malformed);
    }

    #[test]
    fn errors_are_sorted_by_their_deepest_cause() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(Outcome::of_connect_error(&refused), Outcome::Refused);
        let unreachable = io::Error::from(io::ErrorKind::HostUnreachable);
        assert_eq!(Outcome::of_connect_error(&unreachable), Outcome::Refused);
        let out_of_files = io::Error::from_raw_os_error(nix::errno::Errno::EMFILE as i32);
        assert_eq!(Outcome::of_connect_error(&out_of_files), Outcome::Cancelled);

        #[derive(Debug, thiserror::Error)]
        #[error("wrapped")]
        struct Wrapped(#[source] io::Error);
        let reset = Wrapped(io::ErrorKind::ConnectionReset.into());
        assert_eq!(Outcome::of_exchange_error(&reset), Outcome::Reset);
        let cut = Wrapped(io::ErrorKind::UnexpectedEof.into());
        assert_eq!(Outcome::of_exchange_error(&cut), Outcome::Reset);
        let silent = Wrapped(io::ErrorKind::TimedOut.into());
        assert_eq!(Outcome::of_exchange_error(&silent), Outcome::Timeout);
    }

    #[test]
    fn names_are_all_different() {
        let names: std::collections::BTreeSet<_> =
            Outcome::ALL.iter().map(|outcome| outcome.name()).collect();
        assert_eq!(names.len(), Outcome::ALL.len());
    }
}
