//! Waiting until the other program listens.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// Polling interval.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a program may take to listen.
const START_MAX: Duration = Duration::from_secs(10);

/// Waits until a program accepts connections at this address.
pub(crate) async fn wait_until_listening(title: &str, address: SocketAddr) -> anyhow::Result<()> {
    let deadline = Instant::now() + START_MAX;
    while !timeout(START_MAX, TcpStream::connect(address)).await.is_ok_and(|connected| connected.is_ok()) {
        ensure!(Instant::now() < deadline, "{title} did not listen on {address} within {START_MAX:?}");
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}
