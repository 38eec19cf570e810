//! Connects to one of several addresses (happy eyeballs, RFC 8305, in a simple form).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;

/// How long an address may be silent before the next one is tried in parallel (RFC 8305, section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to the first address that accepts. The next one is tried after a failure or 250 ms of silence; earlier
/// attempts may still succeed in the meantime. There is no overall time limit.
pub async fn dial<T, F>(
    addresses: &[SocketAddr],
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<(T, SocketAddr)>
where
    F: Future<Output = io::Result<T>>,
{
    if let [only] = *addresses {
        return Ok((connect(only).await?, only));
    }
    let mut waiting = addresses.iter().copied();
    let mut attempts = FuturesUnordered::new();
    let mut failure = None;
    loop {
        if let Some(address) = waiting.next() {
            let attempt = connect(address);
            attempts.push(async move { (attempt.await, address) });
        }
        let ended = if waiting.len() > 0 {
            let Ok(ended) = timeout(ATTEMPT_DELAY, attempts.next()).await else { continue };
            ended
        } else {
            attempts.next().await
        };
        match ended {
            Some((Ok(stream), address)) => return Ok((stream, address)),
            Some((Err(error), _)) => failure = Some(more_telling(failure, error)),
            None => return Err(failure.unwrap_or_else(|| io::ErrorKind::NotFound.into())),
        }
    }
}

/// Of two errors, returns the one that says more about the other side. If this machine has no route to one address
/// family, that says nothing about the server at the other address.
fn more_telling(before: Option<io::Error>, now: io::Error) -> io::Error {
    let is_local = |error: &io::Error| {
        use io::ErrorKind::{AddrNotAvailable, HostUnreachable, NetworkUnreachable, Unsupported};
        matches!(error.kind(), AddrNotAvailable | HostUnreachable | NetworkUnreachable | Unsupported)
    };
    match before {
        Some(before) if is_local(&now) || !is_local(&before) => before,
        _ => now,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::time::Instant;

    use super::*;

    const A: &str = "[::1]:80";
    const B: &str = "127.0.0.1:80";
    const C: &str = "127.0.0.2:80";

    #[derive(Debug, Clone, Copy)]
    enum Fate {
        Accepts,
        Fails(io::ErrorKind),
        IsSilent,
        AcceptsLate,
    }

    use Fate::{Accepts, AcceptsLate, Fails, IsSilent};

    /// Dials; returns the result, the duration, and the addresses that were tried.
    async fn check(fates: &[(&str, Fate)]) -> (Result<String, io::ErrorKind>, Duration, Vec<String>) {
        let start = Instant::now();
        let tried = RefCell::new(Vec::new());
        let addresses: Vec<_> = fates.iter().map(|(address, _)| address.parse().unwrap()).collect();
        let dialed = dial(&addresses, |address: SocketAddr| {
            tried.borrow_mut().push(address.to_string());
            let fate = fates[tried.borrow().len() - 1].1;
            async move {
                match fate {
                    Accepts => Ok(()),
                    Fails(kind) => Err(kind.into()),
                    IsSilent => std::future::pending().await,
                    AcceptsLate => {
                        tokio::time::sleep(ATTEMPT_DELAY * 3 / 2).await;
                        Ok(())
                    }
                }
            }
        });
        let dialed = dialed.await.map(|((), address)| address.to_string()).map_err(|error| error.kind());
        (dialed, start.elapsed(), tried.into_inner())
    }

    const REFUSED: Fate = Fails(io::ErrorKind::ConnectionRefused);

    #[tokio::test]
    async fn after_a_refusal_the_next_is_tried_at_once() {
        let (dialed, after, tried) = check(&[(A, REFUSED), (B, Accepts), (C, Accepts)]).await;
        assert_eq!((dialed, tried), (Ok(B.to_owned()), vec![A.to_owned(), B.to_owned()]));
        assert!(after < ATTEMPT_DELAY, "{after:?}");
    }

    #[tokio::test]
    async fn after_a_silence_the_next_is_tried_beside_it() {
        let (dialed, after, tried) = check(&[(A, IsSilent), (B, IsSilent), (C, Accepts)]).await;
        assert_eq!((dialed, tried), (Ok(C.to_owned()), [A, B, C].map(str::to_owned).to_vec()));
        assert!(after >= 2 * ATTEMPT_DELAY, "{after:?}");
        let (dialed, ..) = check(&[(A, AcceptsLate), (B, IsSilent)]).await;
        assert_eq!(dialed, Ok(A.to_owned()), "the first one was not given up");
    }

    #[tokio::test]
    async fn the_failure_that_says_something_of_the_other_side_is_told() {
        let no_way = Fails(io::ErrorKind::NetworkUnreachable);
        for (first, second) in [(REFUSED, no_way), (no_way, REFUSED), (REFUSED, REFUSED)] {
            let (dialed, ..) = check(&[(A, first), (B, second)]).await;
            assert_eq!(dialed, Err(io::ErrorKind::ConnectionRefused));
        }
        assert_eq!(check(&[]).await.0, Err(io::ErrorKind::NotFound));
    }
}
