//! Proxies for the links between nodes, which can slow down or stop the traffic. Stopped traffic is
//! not lost: it waits, as behind an unplugged cable, until the link is restored or one side gives
//! up.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

const PIECE: usize = 16 << 10;

/// What a link lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// Everything.
    Whole,
    /// This many bytes per second.
    Slow(u64),
    /// Nothing.
    Stopped,
}

/// A link from one node to another. When it is dropped, it accepts no new connections.
#[derive(Debug)]
pub struct Link {
    passage: watch::Sender<Passage>,
    _accepting: AbortOnDropHandle<()>,
}

impl Link {
    /// Listens at one address, and forwards to `target`.
    pub async fn open(listen: SocketAddr, target: SocketAddr) -> Self {
        let listener = TcpListener::bind(listen).await.unwrap();
        let (passage, now) = watch::channel(Passage::Whole);
        let accepting = tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                tokio::spawn(connect(from, target, now.clone()));
            }
        });
        Self { passage, _accepting: AbortOnDropHandle::new(accepting) }
    }

    pub fn set(&self, passage: Passage) {
        self.passage.send_replace(passage);
    }
}

async fn connect(from: TcpStream, target: SocketAddr, passage: watch::Receiver<Passage>) {
    let Ok(to) = TcpStream::connect(target).await else { return };
    let _ = (from.set_nodelay(true), to.set_nodelay(true));
    let ((from_read, from_write), (to_read, to_write)) = (from.into_split(), to.into_split());
    let there = pass(from_read, to_write, passage.clone());
    let back = pass(to_read, from_write, passage);
    // When one side closes, so does the other.
    tokio::select! {
        _ = there => {}
        _ = back => {}
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut passage: watch::Receiver<Passage>,
) -> std::io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let length = from.read(&mut piece).await?;
        let now = *passage.wait_for(|now| *now != Passage::Stopped).await.map_err(std::io::Error::other)?;
        if length == 0 {
            return Ok(());
        }
        if let Passage::Slow(speed) = now {
            tokio::time::sleep(Duration::from_secs_f64(length as f64 / speed as f64)).await;
        }
        to.write_all(&piece[..length]).await?;
    }
}
