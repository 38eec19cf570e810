//! A link: a connection between two machines that passes through labctl, so that it can be delayed and cut.
//! It is a user-space proxy and needs no privileges. A change applies to open connections too, from the next
//! byte on.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use parking_lot::Mutex;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Chunks in flight in one direction of one connection, at most.
const UNDER_WAY_MAX: usize = 1_024;
const PIECE: usize = 16 * 1024;
/// Polling interval for whether a client that waits behind a cut link is still there.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How a link treats traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rules {
    /// Passes everything through.
    #[default]
    Whole,
    /// Adds this much to each round trip, half of it in each direction.
    Slow(Duration),
    /// Passes nothing and reports nothing, like a pulled cable.
    Cut,
    /// Resets connections, and new ones as soon as they are opened, like a program that has crashed.
    Broken,
    /// Answers each request with a 500 in place of the far end, like a program that runs and fails.
    Failing,
}

impl Rules {
    fn delay(self) -> Duration {
        if let Self::Slow(delay) = self { delay } else { Duration::ZERO }
    }

    /// True if open connections end.
    fn ends_connections(self) -> bool {
        matches!(self, Self::Broken | Self::Failing)
    }
}

/// A link that accepts connections until it is dropped.
#[derive(Debug)]
pub struct Link {
    rules: watch::Sender<Rules>,
    stop: CancellationToken,
    accepting: Mutex<Option<JoinHandle<Option<()>>>>,
    flapping: Arc<Mutex<Flapping>>,
}

/// The task that alternates the rules.
#[derive(Debug, Default)]
struct Flapping {
    task: Option<AbortOnDropHandle<()>>,
    /// Counts every change of the rules by a caller. A task that was aborted may run for a moment longer; the
    /// count tells it that it is outdated.
    turn: u64,
}

impl Link {
    /// Listens, and forwards to `target`. Each round trip takes `distance`, whatever the rules are.
    pub async fn open(listen: SocketAddr, target: SocketAddr, distance: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let (rules, current) = watch::channel(Rules::default());
        let stop = CancellationToken::new();
        let way = Way { target, distance };
        let accepting = accept(listener, way, current, stop.clone());
        let accepting = tokio::spawn(stop.clone().run_until_cancelled_owned(accepting));
        Ok(Self { rules, stop, accepting: Mutex::new(Some(accepting)), flapping: Arc::default() })
    }

    /// Closes the link, and returns when its address is free.
    pub async fn close(&self) {
        self.flapping.lock().task = None;
        self.stop.cancel();
        let accepting = self.accepting.lock().take();
        if let Some(accepting) = accepting {
            // However the task ended, the listener was dropped with it.
            let _ = accepting.await;
        }
    }

    /// Changes the rules at once.
    pub fn set(&self, rules: Rules) {
        let mut flapping = self.flapping.lock();
        flapping.task = None;
        flapping.turn += 1;
        self.rules.send_replace(rules);
    }

    /// From now on alternates between broken and whole, each for `every`, until the rules are set again.
    pub fn flap(&self, every: Duration) {
        let mut flapping = self.flapping.lock();
        flapping.turn += 1;
        let (turn, shared, rules) = (flapping.turn, Arc::clone(&self.flapping), self.rules.clone());
        let flap = async move {
            for now in [Rules::Broken, Rules::Whole].into_iter().cycle() {
                if !set_in_turn(&shared, turn, &rules, now) {
                    return;
                }
                sleep(every).await;
            }
        };
        flapping.task = Some(AbortOnDropHandle::new(tokio::spawn(flap)));
    }
}

/// Changes the rules, unless a caller has changed them since. Returns whether it did.
fn set_in_turn(flapping: &Mutex<Flapping>, turn: u64, rules: &watch::Sender<Rules>, now: Rules) -> bool {
    let flapping = flapping.lock();
    let is_in_turn = flapping.turn == turn;
    if is_in_turn {
        rules.send_replace(now);
    }
    is_in_turn
}

impl Drop for Link {
    fn drop(&mut self) {
        self.flapping.lock().task = None;
        self.stop.cancel();
    }
}

/// The target of a link, and its distance.
#[derive(Debug, Clone, Copy)]
struct Way {
    target: SocketAddr,
    /// The time that each round trip takes, half of it in each direction.
    distance: Duration,
}

async fn accept(listener: TcpListener, way: Way, rules: watch::Receiver<Rules>, stop: CancellationToken) {
    loop {
        match listener.accept().await {
            Ok((near, _)) => {
                let passing = pass(near, way, rules.clone());
                tokio::spawn(stop.clone().run_until_cancelled_owned(passing));
            }
            Err(error) => {
                tracing::warn!(%error, "a link cannot accept a connection; trying again");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Carries one connection. It ends when either direction does: the lab does not use half-closed connections.
async fn pass(near: TcpStream, way: Way, mut rules: watch::Receiver<Rules>) {
    let is_cut = *rules.borrow() == Rules::Cut;
    // A client that has left meanwhile would not get through after a real cable is plugged in again either.
    if is_cut && !outlasts_the_cut(&near, &mut rules).await {
        return;
    }
    let now = *rules.borrow();
    match now {
        Rules::Broken => {
            // With a linger time of zero, the near end sees a reset instead of an orderly close.
            let _ = SockRef::from(&near).set_linger(Some(Duration::ZERO));
            return;
        }
        Rules::Failing => return fail(near, rules).await,
        _ => {}
    }
    // Dropping the near end shows the client what it would see without a link.
    let Ok(far) = TcpStream::connect(way.target).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    let mut ends = rules.clone();
    tokio::select! {
        () = carry(near_in, far_out, way.distance, rules.clone()) => {}
        () = carry(far_in, near_out, way.distance, rules) => {}
        _ = ends.wait_for(|rules| rules.ends_connections()) => {}
    }
}

/// Answers the first request of a connection as a failing server does.
async fn fail(mut near: TcpStream, mut rules: watch::Receiver<Rules>) {
    const ANSWER: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/json\r\n\
        content-length: 24\r\nconnection: close\r\n\r\n{\"error\":\"out of order\"}";
    let answering = async {
        let mut request = Vec::new();
        while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < PIECE {
            if near.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        near.write_all(ANSWER).await?;
        near.shutdown().await
    };
    tokio::select! {
        // The client may be gone, which is harmless.
        _ = answering => {}
        _ = rules.wait_for(|rules| *rules != Rules::Failing) => {}
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    to: OwnedWriteHalf,
    distance: Duration,
    rules: watch::Receiver<Rules>,
) {
    let (pieces, under_way) = mpsc::channel::<(Instant, Bytes)>(UNDER_WAY_MAX);
    let delivering = deliver(to, under_way, rules.clone());
    let reading = async move {
        let mut buffer = vec![0; PIECE];
        while let Ok(length) = from.read(&mut buffer).await
            && length > 0
        {
            let due = Instant::now() + (distance + rules.borrow().delay()) / 2;
            if pieces.send((due, Bytes::copy_from_slice(&buffer[..length]))).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reading, delivering);
}

async fn deliver(
    mut to: OwnedWriteHalf,
    mut under_way: mpsc::Receiver<(Instant, Bytes)>,
    mut rules: watch::Receiver<Rules>,
) {
    while let Some((due, piece)) = under_way.recv().await {
        sleep_until(due).await;
        if until_not_cut(&mut rules).await.is_none() || to.write_all(&piece).await.is_err() {
            return;
        }
    }
}

/// Waits until the link is no longer cut. Returns whether the near end is still there.
async fn outlasts_the_cut(near: &TcpStream, rules: &mut watch::Receiver<Rules>) -> bool {
    tokio::select! {
        () = until_left(near) => false,
        whole = until_not_cut(rules) => whole.is_some() && !has_left(near),
    }
}

/// Waits until the near end has hung up. Whatever it wrote before stays unread and keeps the socket readable,
/// so this polls.
async fn until_left(near: &TcpStream) {
    while near.ready(Interest::READABLE).await.is_ok_and(|ready| !ready.is_read_closed()) {
        sleep(LOOK_EVERY).await;
    }
}

fn has_left(near: &TcpStream) -> bool {
    match near.ready(Interest::READABLE).now_or_never() {
        Some(Ok(ready)) => ready.is_read_closed(),
        Some(Err(_)) => true,
        None => false,
    }
}

/// Waits until the link is not cut. `None` when the link is gone.
async fn until_not_cut(rules: &mut watch::Receiver<Rules>) -> Option<()> {
    rules.wait_for(|rules| *rules != Rules::Cut).await.ok().map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut reader, mut writer) = stream.into_split();
                    let _ = tokio::io::copy(&mut reader, &mut writer).await;
                });
            }
        });
        address
    }

    async fn linked() -> (Link, TcpStream) {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let link = Link::open(free, echo().await, Duration::ZERO).await.unwrap();
        (link, TcpStream::connect(free).await.unwrap())
    }

    async fn round_trip(stream: &mut TcpStream) -> Duration {
        let started = Instant::now();
        stream.write_all(b"x").await.unwrap();
        let mut answer = [0];
        stream.read_exact(&mut answer).await.unwrap();
        started.elapsed()
    }

    #[tokio::test]
    async fn a_link_between_places_takes_as_long_as_it_is_far_also_when_it_is_healed() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let far = Duration::from_millis(80);
        let link = Link::open(free, echo().await, far).await.unwrap();
        let mut stream = TcpStream::connect(free).await.unwrap();
        assert!(round_trip(&mut stream).await >= far);
        link.set(Rules::Slow(far));
        assert!(round_trip(&mut stream).await >= 2 * far, "what makes it slow comes on top");
        link.set(Rules::Whole);
        assert!(round_trip(&mut stream).await >= far);
    }

    #[tokio::test]
    async fn a_slow_link_delays_open_connections_too() {
        let (link, mut stream) = linked().await;
        assert!(round_trip(&mut stream).await < Duration::from_millis(150));
        link.set(Rules::Slow(Duration::from_millis(200)));
        assert!(round_trip(&mut stream).await >= Duration::from_millis(200));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_address_of_a_link_is_free_when_it_has_been_closed() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for _ in 0..500 {
            let link = Link::open(free, free, Duration::ZERO).await.expect("the one before it was closed");
            link.close().await;
        }
    }

    #[tokio::test]
    async fn a_cut_link_swallows_until_it_is_healed() {
        let (link, mut stream) = linked().await;
        round_trip(&mut stream).await;
        link.set(Rules::Cut);
        assert!(timeout(Duration::from_millis(200), round_trip(&mut stream)).await.is_err());
        link.set(Rules::default());
        let mut answer = [0];
        timeout(Duration::from_secs(5), stream.read_exact(&mut answer)).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn who_leaves_while_the_link_is_cut_is_not_let_through_when_it_is_healed() {
        let far = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let link = Link::open(free, far.local_addr().unwrap(), Duration::ZERO).await.unwrap();
        link.set(Rules::Cut);
        let mut gone = TcpStream::connect(free).await.unwrap();
        gone.write_all(b"gone").await.unwrap();
        drop(gone);
        let mut there = TcpStream::connect(free).await.unwrap();
        there.write_all(b"here").await.unwrap();
        // Both wait behind the cut.
        sleep(Duration::from_millis(50)).await;
        link.set(Rules::Whole);
        let (mut first, _) = timeout(Duration::from_secs(5), far.accept()).await.unwrap().unwrap();
        let mut said = [0; 4];
        first.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"here");
        assert!(timeout(Duration::from_millis(200), far.accept()).await.is_err());
    }

    #[tokio::test]
    async fn a_broken_link_ends_what_is_open_and_refuses_what_is_new() {
        let (link, mut stream) = linked().await;
        round_trip(&mut stream).await;
        link.set(Rules::Broken);
        let address = stream.peer_addr().unwrap();
        let mut rest = Vec::new();
        timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.unwrap().ok();
        let mut new = TcpStream::connect(address).await.unwrap();
        let end = timeout(Duration::from_secs(5), new.read_to_end(&mut rest)).await.unwrap();
        assert!(end.is_err() && rest.is_empty(), "a reset, and nothing read");
        link.set(Rules::Whole);
        round_trip(&mut TcpStream::connect(address).await.unwrap()).await;
    }

    #[tokio::test]
    async fn a_failing_link_answers_itself() {
        let (link, stream) = linked().await;
        let address = stream.peer_addr().unwrap();
        link.set(Rules::Failing);
        let mut new = TcpStream::connect(address).await.unwrap();
        new.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        timeout(Duration::from_secs(5), new.read_to_string(&mut answer)).await.unwrap().unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 500 "), "{answer}");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{answer}");
    }

    #[tokio::test]
    async fn a_flapping_link_is_broken_and_whole_in_turn_until_it_is_healed() {
        let (link, _stream) = linked().await;
        link.flap(Duration::from_millis(5));
        let mut rules = link.rules.subscribe();
        for wanted in [Rules::Broken, Rules::Whole, Rules::Broken] {
            timeout(Duration::from_secs(5), rules.wait_for(|rules| *rules == wanted)).await.unwrap().unwrap();
        }
        link.set(Rules::Whole);
        rules.mark_unchanged();
        assert!(timeout(Duration::from_millis(50), rules.changed()).await.is_err());
    }

    #[test]
    fn a_flap_whose_time_is_over_changes_nothing() {
        let (rules, current) = watch::channel(Rules::Whole);
        let flapping = Mutex::new(Flapping { task: None, turn: 2 });
        assert!(!set_in_turn(&flapping, 1, &rules, Rules::Broken));
        assert_eq!(*current.borrow(), Rules::Whole);
        assert!(set_in_turn(&flapping, 2, &rules, Rules::Broken));
        assert_eq!(*current.borrow(), Rules::Broken);
    }
}
