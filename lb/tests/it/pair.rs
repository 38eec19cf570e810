//! Two balancers, as processes, that share an address.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::Method;
use nix::sys::signal::Signal::{SIGCONT, SIGSTOP, SIGTERM};
use serde_json::{Value, json};

use super::processes::*;
use super::support::*;

struct Pair {
    web: Web,
    shared: SocketAddr,
    flags: [Vec<String>; 2],
    processes: [Process; 2],
}

impl Pair {
    /// Starts two balancers: the first is active, the second stands by.
    async fn start() -> Self {
        let web = Web::start("web-1");
        let (shared, ears) = (free_port(), [free_port(), free_port()]);
        let flags = [0, 1].map(|index| {
            vec![
                format!("--listen={shared}"),
                web.flag(),
                format!("--pair-id=lb-{}", index + 1),
                format!("--pair-listen={}", ears[index]),
                format!("--pair-peer={}", ears[1 - index]),
                format!("--pair-priority={}", 100 - index),
                "--header-timeout=2s".to_owned(),
            ]
        });
        let first = Process::start(&flags[0]);
        until(async || first.try_get("/pair").await["role"] == "active", "the first is active").await;
        let processes = [first, Process::start(&flags[1])];
        let pair = Self { web, shared, flags, processes };
        pair.until_roles("active", "standby").await;
        pair
    }

    async fn role(&self, index: usize) -> String {
        let pair = self.processes[index].try_get("/pair").await;
        pair["role"].as_str().unwrap_or("silent").to_owned()
    }

    async fn until_roles(&self, first: &str, second: &str) {
        let both = async || (self.role(0).await, self.role(1).await);
        let wanted = (first.to_owned(), second.to_owned());
        until(async || both().await == wanted, &format!("they are {first} and {second}")).await;
    }

    /// Returns whether one request on a new connection is answered.
    async fn answers(&self) -> bool {
        let asking = async {
            let answer = Client::try_open(self.shared).await?.try_get("/").await.ok()?;
            (answer.status == 200).then_some(())
        };
        tokio::time::timeout(Duration::from_millis(250), asking).await.is_ok_and(|answer| answer.is_some())
    }

    async fn until_answers(&self) -> Duration {
        let start = Instant::now();
        until(async || self.answers().await, "the address answers").await;
        start.elapsed()
    }
}

#[tokio::test]
async fn the_standby_takes_over_within_a_second_in_the_median() {
    let mut pair = Pair::start().await;
    let mut outages = Vec::new();
    for round in 0..10 {
        let active = round % 2;
        pair.processes[active].kill();
        outages.push(pair.until_answers().await);
        pair.processes[active] = Process::start(&pair.flags[active]);
        let roles = if active == 0 { ("standby", "active") } else { ("active", "standby") };
        pair.until_roles(roles.0, roles.1).await;
    }
    outages.sort();
    println!("from the kill to an answer: {outages:?}");
    assert!(outages[5] < Duration::from_secs(1), "{outages:?}");
}

#[tokio::test]
async fn one_that_comes_back_does_not_take_the_address_back() {
    let mut pair = Pair::start().await;
    pair.processes[0].kill();
    pair.until_answers().await;
    pair.processes[0] = Process::start(&pair.flags[0]);
    pair.until_roles("standby", "active").await;
    for _ in 0..20 {
        assert!(pair.answers().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    pair.until_roles("standby", "active").await;
}

#[tokio::test]
async fn a_frozen_one_keeps_its_address_and_looks_at_its_lease_before_it_answers() {
    let pair = Pair::start().await;
    pair.processes[0].signal(SIGSTOP);
    until(async || pair.role(1).await == "blocked", "the second is told that it cannot").await;
    assert!(pair.processes[1].events().await.contains(&"takeover_blocked".to_owned()));
    // It waits in the accept queue of the frozen process, which must not answer it.
    let waiting = Client::try_open(pair.shared).await.unwrap();
    let waiting = tokio::spawn(async move {
        let mut waiting = waiting;
        waiting.try_get("/").await
    });
    assert!(!pair.answers().await);
    pair.processes[0].signal(SIGCONT);
    pair.until_answers().await;
    assert!(waiting.await.unwrap().is_err(), "the one that was frozen does not answer");
    pair.until_roles("standby", "active").await;
    assert_eq!(pair.processes[0].events().await.iter().filter(|event| *event == "stood_down").count(), 1);
}

#[tokio::test]
async fn a_frozen_one_that_is_killed_makes_way_at_once() {
    let mut pair = Pair::start().await;
    pair.processes[0].signal(SIGSTOP);
    until(async || pair.role(1).await == "blocked", "the second waits").await;
    pair.processes[0].kill();
    assert!(pair.until_answers().await < Duration::from_millis(500));
}

/// The address is handed over while requests come in, and none of them fails.
#[tokio::test]
async fn one_that_is_asked_to_stop_hands_over_without_losing_a_request() {
    let mut pair = Pair::start().await;
    for round in 0..4 {
        let (old, new) = (round % 2, 1 - round % 2);
        until(
            async || pair.processes[old].try_get("/pair").await["partner"]["said"] == "standby",
            "the active one knows that somebody stands by",
        )
        .await;
        let (shared, stop) = (pair.shared, tokio_util::sync::CancellationToken::new());
        let clients: Vec<_> = (0..4).map(|_| tokio::spawn(knock(shared, stop.clone()))).collect();
        pair.processes[old].signal(SIGTERM);
        let start = Instant::now();
        until(async || pair.role(new).await == "active", "the other one has it").await;
        assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
        assert_eq!(pair.processes[old].ended().await, 0);
        stop.cancel();
        for client in clients {
            assert!(client.await.unwrap() > 0);
        }
        pair.processes[old] = Process::start(&pair.flags[old]);
        pair.processes[old].until_ready().await;
    }
}

/// Sends requests one after the other, each over a new connection, and each must be answered.
/// Returns their number.
async fn knock(address: SocketAddr, stop: tokio_util::sync::CancellationToken) -> u32 {
    let mut answered = 0;
    while !stop.is_cancelled() {
        let mut client = Client::try_open(address).await.expect("the address accepts");
        let answer = client.try_get("/").await.expect("the request is answered");
        assert_eq!(answer.status, 200);
        answered += 1;
    }
    answered
}

#[tokio::test]
async fn both_can_be_changed_and_both_show_what_they_are() {
    let pair = Pair::start().await;
    for process in &pair.processes {
        let newcomer = json!({ "name": "web-2", "address": pair.web.address.to_string() });
        process.ask(Method::POST, "/upstreams", newcomer).await;
        let upstreams = process.ask(Method::GET, "/upstreams", Value::Null).await;
        assert_eq!(upstreams.as_array().unwrap().len(), 2);
    }
    until(async || pair.processes[1].try_get("/pair").await["partner"].is_object(), "it hears the other one")
        .await;
    let shown = pair.processes[1].ask(Method::GET, "/pair", Value::Null).await;
    assert_eq!((&shown["id"], &shown["takeover"]), (&"lb-2".into(), &"bind".into()));
    assert_eq!((&shown["partner"]["id"], &shown["partner"]["said"]), (&"lb-1".into(), &"active".into()));
    let first = raw_get(pair.processes[0].admin, "/metrics").await;
    let second = raw_get(pair.processes[1].admin, "/metrics").await;
    assert!(first.contains("pair_active 1") && second.contains("pair_active 0"), "{first} {second}");
    assert!(first.contains("takeovers_total 1"), "{first}");
    assert!(pair.processes[0].events().await.contains(&"took_over".to_owned()));
}

/// Noise sent to the advert port changes nothing.
#[tokio::test]
async fn noise_between_the_two_is_ignored() {
    let pair = Pair::start().await;
    let ear = pair.flags[1][3].strip_prefix("--pair-listen=").unwrap();
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for length in 0..300 {
        stranger.send_to(&vec![b'l'; length], ear).unwrap();
    }
    pair.until_roles("active", "standby").await;
    assert!(pair.answers().await);
}
