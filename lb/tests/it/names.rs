//! Upstreams and peers given by name, with a name server that the test controls.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use lb::pair::advert::{Advert, AdvertKind};
use lb::pair::sequence::Sequence;
use machine::names::Resolver;
use serde_json::Value;

use super::processes::*;
use super::support::*;

/// A name server.
#[derive(Clone, Default)]
struct Names(Arc<(Mutex<Zone>, Condvar)>);

#[derive(Default)]
struct Zone {
    addresses: HashMap<String, Vec<SocketAddr>>,
    is_silent: bool,
}

impl Names {
    fn lead(&self, name: &str, addresses: &[SocketAddr]) {
        self.0.0.lock().unwrap().addresses.insert(name.to_owned(), addresses.to_vec());
    }

    /// Stops answering, or starts again.
    fn be_silent(&self, is_silent: bool) {
        self.0.0.lock().unwrap().is_silent = is_silent;
        self.0.1.notify_all();
    }

    fn resolver(&self) -> Resolver {
        let names = self.clone();
        Resolver::new(move |name| {
            let zone = names.0.0.lock().unwrap();
            let zone = names.0.1.wait_while(zone, |zone| zone.is_silent).unwrap();
            zone.addresses.get(name).cloned().ok_or_else(|| io::Error::other("no such name"))
        })
    }
}

async fn check_of(balancer: &Balancer, name: &str) -> (bool, u64) {
    let (_, upstreams) = balancer.admin(Method::GET, "/upstreams", Value::Null).await;
    let found =
        upstreams.as_array().unwrap().iter().find(|upstream| upstream["name"] == name).unwrap().clone();
    let check = &found["last_check"];
    (check["passed"].as_bool().unwrap_or(false), check["unix_ms"].as_u64().unwrap_or(0))
}

#[tokio::test]
async fn a_name_server_that_is_silent_takes_no_upstream_out() {
    let (web, names) = (Web::start("web-1"), Names::default());
    names.lead("web-1.lab:80", &[web.address]);
    let flags = ["--upstream=web-1=web-1.lab:80", "--upstream-idle-timeout=1ms", "--health-timeout=200ms"];
    let balancer = Balancer::start_with_names(names.resolver(), &flags).await;
    until(async || check_of(&balancer, "web-1").await.0, "a check passes").await;
    names.be_silent(true);
    // Longer than any lookup that is under way, and than three checks.
    let end = Instant::now() + Duration::from_secs(3);
    let mut checks = 0;
    let mut last = 0;
    while Instant::now() < end {
        assert_eq!(balancer.get("/").await.status, StatusCode::OK);
        let (passed, at) = check_of(&balancer, "web-1").await;
        assert!(passed);
        checks += u32::from(std::mem::replace(&mut last, at) != at);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(checks > 3, "{checks}");
}

#[tokio::test]
async fn when_a_name_moves_requests_and_checks_go_to_the_new_machine() {
    let (old, new, names) = (Web::start("old"), Web::start("new"), Names::default());
    names.lead("web.lab:80", &[old.address]);
    let flags = ["--upstream=web=web.lab:80", "--upstream-idle-timeout=1h"];
    let balancer = Balancer::start_with_names(names.resolver(), &flags).await;
    let mut client = Client::open(balancer.address).await;
    assert_eq!(client.get("/").await.status, StatusCode::OK);
    names.lead("web.lab:80", &[new.address]);
    until(
        async || {
            // The connection to the old one is never idle, because it is in constant use.
            assert_eq!(client.get("/").await.status, StatusCode::OK);
            new.served() > 0
        },
        "the new one is asked",
    )
    .await;
    let before = old.served();
    for _ in 0..20 {
        assert_eq!(client.get("/").await.status, StatusCode::OK);
    }
    assert_eq!((old.served(), new.served()), (before, 21));
}

#[tokio::test]
async fn an_upstream_whose_name_is_unknown_is_not_blamed_for_it() {
    let (web, late, names) = (Web::start("web-1"), Web::start("web-2"), Names::default());
    let flags = [&web.flag(), "--upstream=web-2=web-2.lab:80", "--passive-fall=1", "--retries=1"];
    let balancer = Balancer::start_with_names(names.resolver(), &flags).await;
    for _ in 0..10 {
        assert_eq!(balancer.get("/").await.status, StatusCode::OK, "the other one is tried");
    }
    balancer.until_state("web-2", "unresolved").await;
    names.lead("web-2.lab:80", &[late.address]);
    balancer.until_state("web-2", "up").await;
    let (_, upstreams) = balancer.admin(Method::GET, "/upstreams", Value::Null).await;
    assert_eq!((&upstreams[1]["ejections"], &upstreams[1]["failed"]), (&0.into(), &0.into()));
}

#[tokio::test]
async fn one_that_is_found_is_checked_at_once() {
    let (web, names) = (Web::start("web"), Names::default());
    // No wait in a test is this long, so a check due to the interval cannot be the cause.
    let flags = ["--upstream=web=web.lab:80", "--health-interval=30s"];
    let balancer = Balancer::start_with_names(names.resolver(), &flags).await;
    balancer.until_state("web", "unresolved").await;
    names.lead("web.lab:80", &[web.address]);
    balancer.until_state("web", "up").await;
}

#[tokio::test]
async fn without_checks_an_unknown_name_is_told_as_that() {
    let names = Names::default();
    let flags = ["--upstream=web=web.lab:80", "--health=off", "--passive-fall=1"];
    let balancer = Balancer::start_with_names(names.resolver(), &flags).await;
    for _ in 0..3 {
        let answer = balancer.get("/").await;
        assert_eq!((answer.status.as_u16(), answer.header("x-lb-error")), (503, "name_unknown"));
    }
    assert_eq!(balancer.state("web").await, "up", "nothing is known against it");
    names.be_silent(true);
    let flags = ["--upstream=web=other.lab:80", "--health=off", "--connect-timeout=100ms"];
    let balancer = Balancer::start_with_names(names.resolver(), &flags).await;
    assert_eq!(balancer.get("/").await.header("x-lb-error"), "name_unknown", "it has not been found yet");
}

#[tokio::test]
async fn localhost_is_reached_though_it_leads_elsewhere_first() {
    let (web, names) = (Web::start("web-1"), Names::default());
    let six = SocketAddr::from((Ipv6Addr::LOCALHOST, web.address.port()));
    names.lead("localhost:80", &[six, web.address]);
    let flags = ["--upstream=web-1=localhost:80", "--upstream-idle-timeout=1ms"];
    let balancer = Balancer::start_with_names(names.resolver(), &flags).await;
    assert_eq!(balancer.get("/").await.status, StatusCode::OK);
    until(async || check_of(&balancer, "web-1").await.0, "a check passes").await;
}

/// The flags of one of two balancers that know each other by name.
fn pair_flags(shared: SocketAddr, ears: &[SocketAddr; 2], index: usize) -> Vec<String> {
    vec![
        format!("--listen={shared}"),
        format!("--pair-id=lb-{index}"),
        format!("--pair-listen={}", ears[index]),
        format!("--pair-peer=lb-{}.lab:80", 1 - index),
        format!("--pair-priority={}", 100 - index),
    ]
}

async fn start_one(names: &Names, flags: &[String]) -> Balancer {
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    Balancer::start_with_names(names.resolver(), &flags).await
}

async fn pair_of(balancer: &Balancer) -> Value {
    balancer.admin(Method::GET, "/pair", Value::Null).await.1
}

#[tokio::test]
async fn a_pair_that_knows_each_other_by_name_does_not_need_the_name_server() {
    let (web, names) = (Web::start("web-1"), Names::default());
    let (shared, ears) = (free_port(), [free_port(), free_port()]);
    // Nothing listens at the first address.
    let six = |ear: SocketAddr| SocketAddr::from((Ipv6Addr::LOCALHOST, ear.port()));
    for (index, ear) in ears.into_iter().enumerate() {
        names.lead(&format!("lb-{index}.lab:80"), &[six(ear), ear]);
    }
    let flags = [0, 1].map(|index| [pair_flags(shared, &ears, index), vec![web.flag()]].concat());
    let first = start_one(&names, &flags[0]).await;
    until(async || pair_of(&first).await["role"] == "active", "the first is active").await;
    let second = start_one(&names, &flags[1]).await;
    until(async || !pair_of(&first).await["partner"].is_null(), "the first hears the second").await;
    until(async || !pair_of(&second).await["partner"].is_null(), "the second hears the first").await;
    names.be_silent(true);
    // The lease is 600 ms long.
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        assert_eq!(raw_get(shared, "/").await, "hello\n");
        for (balancer, role) in [(&first, "active"), (&second, "standby")] {
            let pair = pair_of(balancer).await;
            assert_eq!(pair["role"], role, "{pair}");
            assert!(pair["partner"]["heard_ms_ago"].as_u64().unwrap() < 600, "{pair}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A standby balancer, and a socket that plays its peer.
async fn standby_of(names: &Names) -> (Balancer, UdpSocket, SocketAddr) {
    let (shared, ears) = (free_port(), [free_port(), free_port()]);
    let other = UdpSocket::bind(ears[0]).unwrap();
    other.set_read_timeout(Some(LIMIT)).unwrap();
    (start_one(names, &pair_flags(shared, &ears, 1)).await, other, ears[1])
}

fn active() -> Advert {
    Advert { saying: AdvertKind::Active, priority: 100, id: "lb-0".into() }
}

#[tokio::test]
async fn an_advert_that_is_repeated_does_not_keep_a_standby_from_taking_over() {
    let names = Names::default();
    let (balancer, other, ear) = standby_of(&names).await;
    let mut sequence = Sequence::new(1_000);
    let recorded = active().encode(sequence.next_stamp(Duration::ZERO), None);
    other.send_to(&recorded, ear).unwrap();
    until(async || !pair_of(&balancer).await["partner"].is_null(), "it hears the other one").await;
    until(
        async || {
            other.send_to(&recorded, ear).unwrap();
            pair_of(&balancer).await["role"] == "active"
        },
        "it takes over",
    )
    .await;
}

#[tokio::test]
async fn one_whose_name_leads_nowhere_is_answered_where_it_was_heard_from() {
    let names = Names::default();
    names.be_silent(true);
    let (_balancer, other, ear) = standby_of(&names).await;
    let mut sequence = Sequence::new(1_000);
    other.send_to(&active().encode(sequence.next_stamp(Duration::ZERO), None), ear).unwrap();
    let mut datagram = [0; 256];
    let (bytes, from) = other.recv_from(&mut datagram).expect("it speaks to the other one");
    let (advert, stamp) = Advert::decode(&datagram[..bytes], None).unwrap();
    assert_eq!((from, advert.id.as_str(), stamp.echo), (ear, "lb-1", 1_001));
}

/// A fake `ip` that needs no privileges, and delays renewals by the seconds in a file beside it, if that
/// exists.
const SLOW_IP: &str =
    "#!/bin/sh\n[ \"$2\" = replace ] && [ -e \"$0.slow\" ] && exec sleep $(cat \"$0.slow\")\nexit 0\n";

/// A balancer that holds its address through the `ip` in this directory.
async fn active_by_ip(programs: &Path) -> Process {
    use std::os::unix::fs::PermissionsExt;
    for program in ["ip", "arping"] {
        let path = programs.join(program);
        std::fs::write(&path, SLOW_IP).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_lb"));
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    command.env("PATH", path);
    let mut flags = lonely_flags(free_port(), &[free_port(), free_port()]);
    flags.push("--takeover=vip".to_owned());
    let process = Process::start_by(command, free_port(), &flags);
    until(async || process.try_get("/pair").await["role"] == "active", "it is active").await;
    process
}

/// The flags of a balancer whose peer does not exist.
fn lonely_flags(shared: SocketAddr, ears: &[SocketAddr; 2]) -> Vec<String> {
    let mut flags = pair_flags(shared, ears, 1);
    flags.retain(|flag| !flag.starts_with("--pair-peer"));
    flags.push(format!("--pair-peer={}", ears[0]));
    flags
}

#[tokio::test]
async fn a_slow_renewal_of_the_address_does_not_cost_the_lease() {
    let programs = tempfile::tempdir().unwrap();
    let process = active_by_ip(programs.path()).await;
    std::fs::write(programs.path().join("ip.slow"), "0.8").unwrap();
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        assert_eq!(process.try_get("/pair").await["role"], "active");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!process.events().await.contains(&"stood_down".to_owned()));
}

#[tokio::test]
async fn one_whose_address_is_not_renewed_lets_the_other_one_have_it() {
    let programs = tempfile::tempdir().unwrap();
    let process = active_by_ip(programs.path()).await;
    std::fs::write(programs.path().join("ip.slow"), "60").unwrap();
    until(async || process.events().await.contains(&"stood_down".to_owned()), "it stands down").await;
    until(async || process.try_get("/pair").await["role"] == "blocked", "and claims it no more").await;
}

#[tokio::test]
async fn a_log_that_nobody_reads_does_not_cost_the_lease() {
    let (shared, ears) = (free_port(), [free_port(), free_port()]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_lb"));
    command.env("RUST_LOG", "debug").stderr(std::process::Stdio::piped());
    let process = Process::start_by(command, free_port(), &lonely_flags(shared, &ears));
    until(async || process.try_get("/pair").await["role"] == "active", "it is active").await;
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        // Each is worth a log line, and a pipe holds fewer than a thousand.
        for _ in 0..20 {
            stranger.send_to(b"nothing that the other one would say", ears[1]).unwrap();
        }
        // There is no upstream, hence the 503; without its lease it would not even send that.
        assert_eq!(Client::open(shared).await.try_get("/").await.expect("an answer").status, 503);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!process.events().await.contains(&"stood_down".to_owned()));
}
