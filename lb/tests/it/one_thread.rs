//! One thread of a balancer without anything that acts on its own: the tests control its table and
//! its lease.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use clap::Parser;
use lb::accept;
use lb::choose::Policy;
use lb::listen::ListenerCommand;
use lb::pair::Lease;
use lb::proxy::worker::Shared;
use lb::upstream::health::Rules;
use lb::upstream::table::{Check, Fault, FaultKind, InitialState, PoolOptions, Table};
use lb::upstream::{Address, Outcome};
use lb::{Args, Config};
use machine::vitals::Vitals;
use tokio::io::AsyncWriteExt;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Barrier, Semaphore, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::support::*;

/// One thread of a balancer, with a lease that the test controls.
pub struct OneThread {
    pub address: SocketAddr,
    pub lease: Arc<Lease>,
    pub table: Arc<Table>,
    _orders: mpsc::UnboundedSender<ListenerCommand>,
    _stop: DropGuard,
}

impl OneThread {
    pub fn start(upstreams: &[SocketAddr], flags: &[&str]) -> Self {
        let config = Config::check(Args::parse_from([&["lb", "--threads=1"], flags].concat())).unwrap();
        let manners = PoolOptions {
            breaker: config.tolerance.breaker,
            slow_start: Duration::ZERO,
            panic_below: 0,
            key: None,
        };
        let table = Arc::new(Table::new(manners, Arc::default()));
        for (number, upstream) in upstreams.iter().enumerate() {
            let address = Address::new(&format!("web-{number}"), &upstream.to_string()).unwrap();
            table.add(address, InitialState::PresumedUp, Rules { fall: 1, rise: 1 }).unwrap();
        }
        let lease = Arc::new(Lease::new(Instant::now()));
        lease.extend_to(Instant::now() + Duration::from_secs(3600));
        let stop = CancellationToken::new();
        let shared = Shared {
            table: Arc::clone(&table),
            policy: Arc::new(Policy::named(config.policy)),
            vitals: Vitals::new("lb"),
            refused: Arc::default(),
            retried: Arc::default(),
            accept_failures: Arc::default(),
            shortages: Arc::default(),
            room: Arc::new(Semaphore::new(100)),
            lease: Some(Arc::clone(&lease)),
            stop: stop.clone(),
            config: Arc::new(config),
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (orders, receiver) = mpsc::unbounded_channel();
        orders.send(ListenerCommand::Listen(listener)).unwrap();
        std::thread::spawn(move || {
            let runtime =
                Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
            runtime.block_on(accept::run(shared, receiver)).unwrap();
        });
        Self { address, lease, table, _orders: orders, _stop: stop.drop_guard() }
    }
}

/// The only upstream that is left has a trial request in flight: other requests go there as well.
#[tokio::test]
async fn when_nobody_else_is_left_one_on_trial_serves_everybody() {
    let both = Arc::new(Barrier::new(2));
    let upstream = raw_upstream(move |mut stream, _| {
        let both = Arc::clone(&both);
        async move {
            read_head(&mut stream).await;
            both.wait().await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        }
    })
    .await;
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let lb = OneThread::start(&[upstream, gone], &["--passive-fall=1"]);
    let mut failing = lb.table.report()[0].upstream.enter().unwrap();
    failing.outcome = Outcome::Broken;
    drop(failing);
    let due = lb.table.advance(Instant::now()).expect("it is out");
    let refused = Fault { detail: "refused".to_owned(), kind: FaultKind::Refused };
    lb.table.judge(lb.table.report()[1].upstream.id, Check { at: SystemTime::now(), result: Err(refused) });
    lb.table.advance(due);
    assert_eq!(lb.table.report()[0].breaker.label(), "half-open");
    let (mut first, mut second) = (Client::open(lb.address).await, Client::open(lb.address).await);
    let (first, second) = tokio::join!(first.get("/"), second.get("/"));
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 200));
}
