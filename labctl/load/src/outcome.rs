//! The outcome of a request, in classes that are never mixed.
#![deny(clippy::disallowed_methods)]

use std::error::Error;
use std::io;

use http::{HeaderMap, StatusCode, header};

use super::CacheMark;

/// The outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Answered, 2xx (or 304).
    Ok,
    /// Answered 2xx with stale data, as the answer says: `X-Cache: STALE`.
    Stale,
    /// Answered 2xx, but without the expected content.
    Wrong,
    /// 4xx, or a redirect, which is not followed: the request itself was wrong.
    ClientError,
    /// 5xx other than [`Outcome::Shed`].
    ServerError,
    /// 503 with `Retry-After`: shed at once, on purpose, with a hint when to come back.
    Shed,
    /// The connection was refused.
    Refused,
    /// The connection broke before the answer was complete.
    Reset,
    /// Connected, but no complete answer in time. The request may still have had its effect.
    Timeout,
    /// No connection in time.
    ConnectTimeout,
    /// Not sent, or aborted: the load generator reached its own limit. Says nothing about the server.
    Cancelled,
    /// Not sent: the load generator was delayed until long after it was due. Says nothing about the server.
    NotSent,
    /// Answered with something that is not HTTP, or that is far too long.
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

    /// True if the user got an answer, stale or not.
    pub fn is_success(self) -> bool {
        matches!(self, Outcome::Ok | Outcome::Stale)
    }

    /// True if the load generator is the reason that there is no answer, so that nothing is known about the
    /// server.
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

    /// The outcome of an answer that was read to its end.
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

    /// The outcome of a connection that could not be opened.
    pub(super) fn of_connect_error(error: &io::Error) -> Self {
        match error.kind() {
            _ if is_our_own_limit(error) => Outcome::Cancelled,
            io::ErrorKind::TimedOut => Outcome::ConnectTimeout,
            // Accepted by the kernel and dropped at once: the server died with a full backlog.
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Outcome::Reset,
            _ => Outcome::Refused,
        }
    }

    /// The outcome of a failed exchange over an open connection.
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
        // What remains are hyper's own errors for a connection that ended too early.
        Outcome::Reset
    }

    fn of_broken_connection(error: &io::Error) -> Self {
        match error.kind() {
            _ if is_our_own_limit(error) => Outcome::Cancelled,
            io::ErrorKind::TimedOut => Outcome::Timeout,
            // hyper reports a body with bad chunk sizes like this.
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Outcome::Malformed,
            _ => Outcome::Reset,
        }
    }
}

/// True if this process ran out of file descriptors, or this computer out of ports or buffers.
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
