//! Carries out one act of a balancer's stage: what to do, and the sentence that says what went wrong, if anything did.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use crate::backend::TRY;
use crate::client::{self, Answered, Raw};
use crate::field::{Field, accepts};
use crate::processes::Group;
use crate::stage::Act;
use crate::tally::{Sent, Tally};

/// Timeout of a request to the admin interface.
const ADMIN_MAX: Duration = Duration::from_secs(10);
/// Timeout of a request of a flow.
const FLOW_MAX: Duration = Duration::from_secs(2);
/// How long the response to malformed bytes may take.
const RAW_MAX: Duration = Duration::from_secs(3);
/// The interval at which a slow client sends a byte.
const SLOW_EVERY: Duration = Duration::from_millis(300);
/// The duration of the request that is in flight when the part is asked to end, in milliseconds.
const DRAIN_MS: u64 = 1200;

/// Why a stage was not passed.
#[derive(Debug)]
pub enum Stop {
    /// An expectation was not met; the sentence says which. On a busy computer, the computer may be to blame.
    Failed(String),
    /// The part did something wrong, no matter how busy the computer is.
    Wrong(String),
    /// The stage cannot be judged on this computer, for this reason.
    Skipped(String),
    /// The grader itself failed.
    Broken(anyhow::Error),
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Self::Broken(error)
    }
}

pub(crate) type Done = Result<(), Stop>;

pub(crate) fn failed(sentence: impl Into<String>) -> Stop {
    Stop::Failed(sentence.into())
}

pub(crate) fn wrong(sentence: impl Into<String>) -> Stop {
    Stop::Wrong(sentence.into())
}

/// Activity in the background of a stage.
#[derive(Debug, Default)]
pub struct Background {
    flow: Option<Flow>,
    slow: JoinSet<()>,
}

/// Requests at a constant rate, until it is stopped.
#[derive(Debug)]
struct Flow {
    ends: Arc<AtomicBool>,
    task: JoinHandle<(Tally, Duration)>,
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Carries out one act.
pub async fn carry_out(act: &Act, field: &mut Field, background: &mut Background, log: &Path) -> Done {
    match act {
        Act::Exchange { .. } => exchange(act, field).await,
        Act::Send { method, count, rate, failed, share, once, within } => {
            let many = Many { method, count: *count, rate: *rate, within: *within };
            send(many, field, *failed, share, *once).await
        }
        Act::Flow { rate } => {
            field.did.push(format!(
                "# {rate} requests a second to http://{}/page from here on",
                field.part.listen
            ));
            background.flow = Some(flow(field.part.listen, *rate));
            Ok(())
        }
        Act::Flowed { failed, quiet, p99 } => flowed(background, *failed, *quiet, *p99).await,
        Act::Wait { time } => {
            sleep(*time).await;
            Ok(())
        }
        Act::Kill { server } => Ok(field.kill(server).await?),
        Act::Freeze { server } => Ok(field.freeze(server)?),
        Act::Restart { server } => field.start_server(server).await.map(drop).map_err(Stop::from),
        Act::Mode { server, mode } => Ok(field.mode(server, mode).await?),
        Act::Add { server } => add(server, field).await,
        Act::Remove { server } => remove(server, field).await,
        Act::Reach { server, over, at_least, at_most } => {
            let before = field.seen(server).await?.requests;
            sleep(*over).await;
            let reached = field.seen(server).await?.requests - before;
            match (*at_least..=*at_most).contains(&reached) {
                true => Ok(()),
                false if *at_most == 0 => {
                    Err(failed(format!("{reached} requests reached {server} in {over:?}, wanted none")))
                }
                false => Err(failed(format!(
                    "{reached} requests reached {server} in {over:?}, wanted {at_least} to {at_most}"
                ))),
            }
        }
        Act::Raw { why, send, status } => raw(why, send, status, field).await,
        Act::SlowClients { count } => slow_clients(*count, field, &mut background.slow).await,
        Act::Drain { within } => drain(*within, field).await,
        Act::Speed { count, at_once, times } => speed(*count, *at_once, *times, field, log).await,
    }
}

async fn exchange(act: &Act, field: &mut Field) -> Done {
    let Act::Exchange { method, path, headers, body, status, answer, length, seen, not_seen, named, within } =
        act
    else {
        return Ok(());
    };
    let mut typed = format!("curl -i -X {method} http://{}{path}", field.part.listen);
    if method == "HEAD" {
        typed = format!("curl -I http://{}{path}", field.part.listen);
    }
    headers.iter().for_each(|(name, value)| typed += &format!(" -H '{name}: {value}'"));
    if !body.is_empty() {
        typed += &format!(" -d '{body}'");
    }
    field.did.push(typed);
    let pairs = headers.iter().map(|(name, value)| (name.clone(), value.clone()));
    let request = client::request(field.part.listen, method, path, pairs, body)?;
    let answered = client::send(field.part.listen, request, *within).await;
    let what = format!("{method} {path}");
    let answered = answered.map_err(|error| failed(format!("{what}: {error:#}")))?;
    // A balancer's own error response may be due to a slow server.
    let may_be_slow = (502..=504).contains(&answered.status);
    let told = |sentence| if may_be_slow { failed(sentence) } else { wrong(sentence) };
    check_answer(&what, &answered, status, answer.as_deref(), *length).map_err(told)?;
    let server = answered.header("x-web").map(str::to_owned);
    if *named {
        let served_by = answered.header("x-served-by");
        if served_by.is_none() || served_by != server.as_deref() {
            let (said, was) = (served_by.unwrap_or("nothing"), server.as_deref().unwrap_or("nobody"));
            return Err(wrong(format!("{what}: X-Served-By says {said}, and it was {was}")));
        }
    }
    if seen.is_empty() && not_seen.is_empty() {
        return Ok(());
    }
    let Some(server) = server.filter(|server| field.has_server(server)) else {
        return Err(wrong(format!("{what}: the server's own header X-Web did not come back")));
    };
    let headers: HashMap<_, _> = field.seen(&server).await?.last_headers.into_iter().collect();
    check_seen(&what, &headers, seen, not_seen).map_err(wrong)
}

fn check_answer(
    what: &str,
    answered: &Answered,
    status: &[u16],
    body: Option<&str>,
    length: Option<usize>,
) -> Result<(), String> {
    answered.check(what, status, body)?;
    match length.filter(|length| answered.body.len() != *length) {
        Some(length) => Err(format!("{what}: the body had {} bytes, wanted {length}", answered.body.len())),
        None => Ok(()),
    }
}

fn check_seen(
    what: &str,
    headers: &HashMap<String, String>,
    seen: &IndexMap<String, String>,
    not_seen: &[String],
) -> Result<(), String> {
    for (name, wanted) in seen {
        match headers.get(name) {
            None => return Err(format!("{what}: the server got no header {name}")),
            Some(value) if !value.contains(wanted.as_str()) => {
                return Err(format!("{what}: the server got {name}: {value}, wanted {wanted} in it"));
            }
            Some(_) => {}
        }
    }
    match not_seen.iter().find(|name| headers.contains_key(*name)) {
        Some(name) => Err(format!("{what}: the server got the header {name}, which Connection named")),
        None => Ok(()),
    }
}

/// A batch of identical requests.
struct Many<'a> {
    method: &'a str,
    count: usize,
    rate: f64,
    within: Duration,
}

async fn send(
    many: Many<'_>,
    field: &mut Field,
    at_most: usize,
    share: &IndexMap<String, (usize, usize)>,
    once: bool,
) -> Done {
    let Many { method, count, rate, within } = many;
    field.did.push(format!(
        "for i in $(seq {count}); do curl -s -o /dev/null -w '%{{http_code}}\\n' -X {method} http://{}/page & sleep {:.3}; done",
        field.part.listen,
        1.0 / rate
    ));
    let begin = Instant::now();
    let mut requests = JoinSet::new();
    for number in 0..count {
        sleep_until(begin + Duration::from_secs_f64(number as f64 / rate)).await;
        requests.spawn(one(field.part.listen, method.to_owned(), begin, within));
    }
    let tally = Tally { sent: requests.join_all().await };
    tally.check_failed(at_most).map_err(failed)?;
    tally.check_shares(share).map_err(failed)?;
    if once {
        let tries = field.all_seen().await.into_iter().flat_map(|seen| seen.tries);
        let mut reached: HashMap<String, u32> = HashMap::new();
        tries.for_each(|(id, times)| *reached.entry(id).or_insert(0) += times);
        // Requests of other acts may be sent twice; the method tells the acts apart.
        let twice = reached.iter().filter(|(id, times)| id.starts_with(method) && **times > 1).count();
        if twice > 0 {
            return Err(wrong(format!(
                "{twice} of {count} requests with {method} reached servers more than once, wanted none"
            )));
        }
    }
    Ok(())
}

async fn sleep_until(at: Instant) {
    tokio::time::sleep_until(at.into()).await;
}

/// Sends one request and records its outcome.
async fn one(to: SocketAddr, method: String, begin: Instant, within: Duration) -> Sent {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let sent = Instant::now();
    let id = format!("{method}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let body = if method == "POST" { "an order" } else { "" };
    let answered = match client::request(to, &method, "/page", [(TRY.to_owned(), id)], body) {
        Ok(request) => client::send(to, request, within).await,
        Err(error) => Err(error),
    };
    let (failure, server) = match &answered {
        Ok(answered) if answered.is_good() => {
            let server = answered.header("x-web").or(answered.header("x-served-by"));
            (None, server.map(str::to_owned))
        }
        Ok(answered) => (Some(format!("answered {}", answered.status)), None),
        Err(error) => (Some(format!("{error:#}")), None),
    };
    Sent { at: sent - begin, took: sent.elapsed(), failure, server }
}

fn flow(to: SocketAddr, rate: f64) -> Flow {
    let ends = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&ends);
    let task = tokio::spawn(async move {
        let begin = Instant::now();
        let tally = Arc::new(Mutex::new(Tally::default()));
        let mut requests = JoinSet::new();
        let mut number = 0_u32;
        while !over.load(Ordering::Acquire) {
            sleep_until(begin + Duration::from_secs_f64(f64::from(number) / rate)).await;
            number += 1;
            let tally = Arc::clone(&tally);
            requests.spawn(async move {
                let sent = one(to, "GET".into(), begin, FLOW_MAX).await;
                tally.lock().sent.push(sent);
            });
        }
        let end = begin.elapsed();
        requests.join_all().await;
        let tally = std::mem::take(&mut *tally.lock());
        (tally, end)
    });
    Flow { ends, task }
}

async fn flowed(background: &mut Background, at_most: usize, quiet: Duration, p99: Option<Duration>) -> Done {
    let Some(mut flow) = background.flow.take() else {
        return Err(Stop::Broken(anyhow::anyhow!(
            "nothing flows: the stage's file has no 'flow' before 'flowed'"
        )));
    };
    flow.ends.store(true, Ordering::Release);
    let (tally, end) = (&mut flow.task).await.map_err(anyhow::Error::from)?;
    tally.check_quiet(quiet, end).map_err(failed)?;
    tally.check_failed(at_most).map_err(failed)?;
    tally.check_p99(p99).map_err(failed)
}

async fn add(server: &str, field: &mut Field) -> Done {
    let address = field.start_server(server).await?;
    let body = format!("{{\"name\":\"{server}\",\"address\":\"{address}\"}}");
    let admin = field.part.admin;
    field.did.push(format!("curl -X POST http://{admin}/upstreams -d '{body}'"));
    let headers = [("content-type".to_owned(), "application/json".to_owned())];
    let request = client::request(admin, "POST", "/upstreams", headers, &body)?;
    told("POST /upstreams", client::send(admin, request, ADMIN_MAX).await)
}

async fn remove(server: &str, field: &mut Field) -> Done {
    let admin = field.part.admin;
    field.did.push(format!("curl -X DELETE http://{admin}/upstreams/{server}"));
    let request = client::request(admin, "DELETE", &format!("/upstreams/{server}"), [], "")?;
    told(&format!("DELETE /upstreams/{server}"), client::send(admin, request, ADMIN_MAX).await)
}

fn told(what: &str, answered: anyhow::Result<Answered>) -> Done {
    match answered {
        Ok(answered) if answered.is_good() => Ok(()),
        Ok(answered) => {
            Err(failed(format!("{what} on --admin was answered {}, wanted 2xx", answered.status)))
        }
        Err(error) => Err(failed(format!("{what} on --admin: {error:#}"))),
    }
}

async fn raw(why: &str, bytes: &str, status: &[u16], field: &mut Field) -> Done {
    let (host, port) = (field.part.listen.ip(), field.part.listen.port());
    let escaped = bytes.replace('\r', "\\r").replace('\n', "\\n");
    field.did.push(format!("printf '{escaped}' | nc -w 3 {host} {port}    # {why}"));
    let before = requests_seen(field).await;
    let came = client::raw(field.part.listen, bytes.as_bytes(), RAW_MAX).await;
    let came = came.map_err(|error| failed(format!("{why}: {error:#}")))?;
    let wanted = status.iter().map(u16::to_string).collect::<Vec<_>>().join(" or ");
    let told = |what: String| format!("a request with {why} {what}, wanted {wanted} or a closed connection");
    match came {
        Raw::Status(came) if status.contains(&came) => {}
        Raw::Closed => {}
        Raw::Status(came) => return Err(wrong(told(format!("was answered {came}")))),
        Raw::Silence => return Err(failed(told(format!("was not answered within {RAW_MAX:?}")))),
        Raw::Nonsense(text) => {
            return Err(wrong(told(format!("was answered with something that is not HTTP: {text:?}"))));
        }
    }
    if requests_seen(field).await > before {
        return Err(wrong(format!("a request with {why} was passed on to a server")));
    }
    Ok(())
}

async fn requests_seen(field: &Field) -> u64 {
    field.all_seen().await.iter().map(|seen| seen.requests).sum()
}

async fn slow_clients(count: usize, field: &mut Field, slow: &mut JoinSet<()>) -> Done {
    field.did.push(format!("# {count} clients that send a byte of their request every {SLOW_EVERY:?}"));
    for _ in 0..count {
        let stream = TcpStream::connect(field.part.listen).await;
        let mut stream =
            stream.map_err(|error| failed(format!("it does not take {count} connections: {error}")))?;
        slow.spawn(async move {
            for byte in b"GET /page HTTP/1.1\r\nHost: a\r\nX-Slow: ".iter().chain(std::iter::repeat(&b'x')) {
                // The part may close the connection: that is a valid defence.
                if stream.write_all(&[*byte]).await.is_err() {
                    return;
                }
                sleep(SLOW_EVERY).await;
            }
        });
    }
    Ok(())
}

async fn drain(within: Duration, field: &mut Field) -> Done {
    let to = field.part.listen;
    let path = format!("/slow?ms={DRAIN_MS}");
    field.did.push(format!("curl -i http://{to}{path} &"));
    let request = client::request(to, "GET", &path, [], "")?;
    let before = requests_seen(field).await;
    let asking = tokio::spawn(client::send(to, request, within));
    let deadline = Instant::now() + within;
    while requests_seen(field).await == before {
        if Instant::now() > deadline || asking.is_finished() {
            return Err(failed(format!("GET {path} did not reach a server")));
        }
        sleep(Duration::from_millis(20)).await;
    }
    field.did.push(format!("kill {}", field.part.pid().unwrap_or_default()));
    let took = Instant::now();
    let terminated = {
        let refuses = refuses_soon(to, took + Duration::from_millis(DRAIN_MS));
        let (refuses, terminated) = tokio::join!(refuses, field.part.terminate(within));
        terminated.map_err(failed)?;
        refuses
    };
    let answered = asking.await.map_err(anyhow::Error::from)?;
    match answered {
        Ok(answered) if answered.is_good() => {}
        Ok(answered) => {
            return Err(failed(format!(
                "the request in flight was answered {} after SIGTERM",
                answered.status
            )));
        }
        Err(error) => return Err(failed(format!("the request in flight was lost after SIGTERM: {error:#}"))),
    }
    match terminated {
        true => Ok(()),
        false => Err(failed("it went on taking new connections after SIGTERM")),
    }
}

/// Returns whether connections are refused by the deadline.
async fn refuses_soon(to: SocketAddr, deadline: Instant) -> bool {
    while Instant::now() < deadline {
        if !accepts(to).await {
            return true;
        }
        sleep(Duration::from_millis(20)).await;
    }
    false
}

async fn speed(count: usize, at_once: usize, times: f64, field: &mut Field, log: &Path) -> Done {
    const HAPROXY: [&str; 3] = ["/usr/sbin/haproxy", "/usr/local/sbin/haproxy", "/usr/bin/haproxy"];
    let Some(haproxy) = HAPROXY.iter().map(Path::new).find(|path| path.is_file()) else {
        return Err(Stop::Skipped(
            "HAProxy, which it is compared with, is not on this computer: `labctl parts --install haproxy`"
                .into(),
        ));
    };
    field.did.push(format!("# {count} requests to http://{}/page, {at_once} at a time", field.part.listen));
    let begin = field.part.cpu();
    let lost = hammer(field.part.listen, count, at_once).await?;
    if lost > 0 {
        return Err(failed(format!("{lost} of {count} requests failed while it was measured")));
    }
    let own = (field.part.cpu() - begin) / u32::try_from(count).unwrap_or(u32::MAX);
    let theirs = measure_haproxy(haproxy, count, at_once, field, log).await?;
    // CPU time is counted in ticks of 10 ms.
    let theirs = theirs.max(Duration::from_micros(5));
    let ratio = own.as_secs_f64() / theirs.as_secs_f64();
    field.did.push(format!("# a request took {own:.0?} of CPU time; with HAProxy {theirs:.0?}"));
    match ratio <= times {
        true => Ok(()),
        false => Err(wrong(format!(
            "a request takes {own:.0?} of CPU time, {ratio:.0} times HAProxy's {theirs:.0?}, wanted at most {times} times"
        ))),
    }
}

/// Measures the CPU time of a request through HAProxy, on the same servers.
async fn measure_haproxy(
    haproxy: &Path,
    count: usize,
    at_once: usize,
    field: &Field,
    log: &Path,
) -> anyhow::Result<Duration> {
    let mut listen = field.part.listen;
    listen.set_port(listen.port() + 10);
    let servers = ["web-1", "web-2"].map(|name| (name, field.address_of(name)));
    let mut text = format!(
        "defaults\n mode http\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n\
         listen web\n bind {listen}\n option forwardfor\n"
    );
    for (name, address) in servers {
        text += &format!(" server {name} {}\n", address?);
    }
    let file = log.with_extension("haproxy.cfg");
    std::fs::write(&file, text)?;
    let flags = ["-db", "-f", &file.to_string_lossy()].map(str::to_owned);
    let mut process =
        Group::start(&field.place().machine, haproxy, &flags, &log.with_extension("haproxy.log"))?;
    let deadline = Instant::now() + Duration::from_secs(5);
    while !accepts(listen).await {
        anyhow::ensure!(Instant::now() < deadline, "HAProxy did not start: {}", process.said());
        sleep(Duration::from_millis(20)).await;
    }
    let begin = process.cpu();
    let lost = hammer(listen, count, at_once).await?;
    let used = process.cpu() - begin;
    process.kill().await;
    anyhow::ensure!(lost == 0, "{lost} of {count} requests to HAProxy failed");
    Ok(used / u32::try_from(count).unwrap_or(u32::MAX))
}

/// Sends requests closed-loop, over connections that are reused if the other side keeps them alive. Returns how many
/// failed.
async fn hammer(to: SocketAddr, count: usize, at_once: usize) -> anyhow::Result<usize> {
    let left = Arc::new(AtomicU64::new(count as u64));
    let mut clients = JoinSet::new();
    for _ in 0..at_once {
        clients.spawn(hammer_alone(to, Arc::clone(&left)));
    }
    Ok(clients.join_all().await.into_iter().sum())
}

async fn hammer_alone(to: SocketAddr, left: Arc<AtomicU64>) -> usize {
    let mut failed = 0;
    let mut kept = None;
    let take = || left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok();
    while take() {
        match client::again(to, &mut kept, FLOW_MAX).await {
            Ok(answered) if answered.is_good() => {}
            _ => failed += 1,
        }
    }
    failed
}
