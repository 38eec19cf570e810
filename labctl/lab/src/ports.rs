//! Checks whether addresses are free. A killed process may disappear before its sockets do: the kernel closes
//! them afterwards, which takes a second with thousands of connections.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long the kernel may take to close a dead process's sockets.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// Polling interval.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Checks that every address can be listened on. Returns the first that cannot, with the error.
pub(super) fn check(addresses: impl IntoIterator<Item = SocketAddr>) -> Result<(), (SocketAddr, io::Error)> {
    addresses.into_iter().try_for_each(|address| match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) => Err((address, error)),
    })
}

/// Waits until nothing listens on these addresses any more, for a limited time. A program that needs one
/// after that reports the error itself.
pub(super) async fn until_free(addresses: impl IntoIterator<Item = SocketAddr>) {
    let end = Instant::now() + CLOSE_MAX;
    for address in addresses {
        while is_taken(address) && Instant::now() < end {
            sleep(LOOK_INTERVAL).await;
        }
    }
}

fn is_taken(address: SocketAddr) -> bool {
    check([address]).is_err_and(|(_, error)| error.kind() == io::ErrorKind::AddrInUse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_is_waited_for_until_its_listener_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(check([address]).unwrap_err().0, address);
        let waiting = tokio::spawn(until_free([address]));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(listener);
        waiting.await.unwrap();
        assert!(check([address]).is_ok());
    }
}
