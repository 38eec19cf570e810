//! The balancers' administration: servers join and leave, and what a balancer notices by itself is
//! written down.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use hyper::Method;
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::events::{Events, Happening};
use super::http::{self, Admin, KeptConnection};
use super::plan::Plan;

const POLL: Duration = Duration::from_millis(50);
const CALL: Duration = Duration::from_secs(2);
/// A server that leaves may take this long to finish what it has.
const DRAIN: Duration = Duration::from_secs(15);

/// Puts a server into a balancer's rotation, and waits until the balancer sends it requests.
pub async fn add(admin: &Admin, name: &str, address: SocketAddr, limit: Duration) -> anyhow::Result<()> {
    let upstream = serde_json::json!({ "name": name, "address": address.to_string() });
    let http::Answer { status, body, .. } =
        admin.ask(Method::POST, "/upstreams", Some(upstream), CALL).await?;
    if !status.is_success() {
        bail!("the balancer refused {name}: {status} {}", String::from_utf8_lossy(&body));
    }
    let state = serde_json::from_slice::<Added>(&body).ok().and_then(|added| added.state);
    if state.is_some_and(|state| state == UP) {
        return Ok(());
    }
    wait_until_up(admin, name, limit).await
}

/// Takes a server out of the rotation, and waits until its last request is answered.
pub async fn remove(admin: &Admin, name: &str) -> anyhow::Result<()> {
    let http::Answer { status, body, .. } =
        admin.ask(Method::DELETE, &format!("/upstreams/{name}"), None, DRAIN).await?;
    if !status.is_success() {
        bail!("the balancer did not let {name} go: {status} {}", String::from_utf8_lossy(&body));
    }
    Ok(())
}

/// The state of an upstream that takes requests.
const UP: &str = "up";

/// What a balancer may answer to a server's joining.
#[derive(Deserialize)]
struct Added {
    state: Option<String>,
}

#[derive(Deserialize)]
struct Upstream {
    name: String,
    state: String,
}

/// Waits until a balancer sends a server requests.
pub async fn wait_until_up(admin: &Admin, name: &str, limit: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        let http::Answer { body, .. } = admin.ask(Method::GET, "/upstreams", None, CALL).await?;
        let upstreams: Vec<Upstream> =
            serde_json::from_slice(&body).context("read the balancer's upstreams")?;
        if upstreams.iter().any(|upstream| upstream.name == name && upstream.state == UP) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("the balancer did not take {name} in within {limit:?}");
        }
        sleep(POLL).await;
    }
}

/// States in which a balancer sends an upstream no requests. One that is not checked has another, and gets some.
const OUT: [&str; 4] = ["down", "ejected", "draining", "unresolved"];

/// Waits until every balancer sends requests to all of its upstreams. The error names one that gets none.
pub async fn until_all_in(plan: &Plan, limit: Duration) -> Result<(), String> {
    let deadline = Instant::now() + limit;
    loop {
        let Some(out) = first_out(plan).await else { return Ok(()) };
        if Instant::now() > deadline {
            return Err(out);
        }
        sleep(POLL).await;
    }
}

/// An upstream that a balancer sends no requests to, or a balancer that does not answer.
async fn first_out(plan: &Plan) -> Option<String> {
    for balancer in plan.balancers() {
        let Some(admin) = plan.admin_of(balancer) else { continue };
        let Ok(answer) = admin.ask(Method::GET, "/upstreams", None, CALL).await else {
            return Some(format!("{balancer} does not answer"));
        };
        let upstreams: Vec<Upstream> = serde_json::from_slice(&answer.body).unwrap_or_default();
        if let Some(Upstream { name, state }) = upstreams.iter().find(|one| OUT.contains(&&*one.state)) {
            return Some(format!("{name} is {state} at {balancer}"));
        }
    }
    None
}

#[derive(Debug, Deserialize)]
struct Noticed {
    seq: u64,
    event: String,
    name: String,
    /// When, by the balancer's clock. Without it, it is when labctl hears of it: up to [`POLL`] later.
    unix_ms: Option<u64>,
}

/// The last thing that a balancer is known to have noticed: its number, and when it was.
type Last = (u64, Option<u64>);

/// Writes down what a balancer notices, for as long as this is polled, also when it is another process by then.
pub async fn follow(balancer: String, admin: Admin, events: Events) {
    let (mut last, mut connection): (Last, _) = ((0, None), admin.client.keep(admin.address));
    loop {
        // The last thing is asked for again: it says whether who answers is still the same.
        if let Ok(noticed) = noticed_since(&mut connection, last.0.saturating_sub(1)).await {
            if is_another(last, &noticed) {
                last = (0, None);
                continue;
            }
            for one in noticed.iter().filter(|one| one.seq > last.0) {
                write_down(&balancer, one, &events);
            }
            last = noticed.last().map_or(last, |one| (one.seq, one.unix_ms));
        }
        sleep(POLL).await;
    }
}

/// Whether who noticed this is not who noticed the last thing: one that was started again counts from 1.
fn is_another(last: Last, noticed: &[Noticed]) -> bool {
    last.0 > 0 && noticed.first().is_none_or(|one| one.seq <= last.0 && (one.seq, one.unix_ms) != last)
}

async fn noticed_since(balancer: &mut KeptConnection, after: u64) -> anyhow::Result<Vec<Noticed>> {
    let path = format!("/events?after={after}&format=json");
    let http::Answer { body, .. } = balancer.get(&path, CALL).await?;
    Ok(serde_json::from_slice(&body)?)
}

fn write_down(balancer: &str, noticed: &Noticed, events: &Events) {
    let (balancer, upstream) = (balancer.to_owned(), noticed.name.clone());
    let what = match noticed.event.as_str() {
        "ejected" => Happening::Ejected { balancer, upstream },
        "admitted" => Happening::Admitted { balancer, upstream },
        "took_over" => Happening::TookOver { balancer },
        "stood_down" => Happening::StoodDown { balancer },
        "takeover_blocked" => Happening::TakeoverBlocked { balancer },
        _ => return,
    };
    let clock = events.clock();
    let at = noticed.unix_ms.map_or_else(|| clock.now(), |unix_ms| clock.of_unix_millis(unix_ms));
    events.record_at(at, what);
}

/// Whoever follows a lab's balancers and databases.
#[derive(Debug, Default)]
pub struct Followers(HashMap<String, tokio::task::JoinHandle<()>>);

impl Followers {
    /// Follows a balancer from its first event on.
    pub fn follow(&mut self, balancer: &str, admin: Admin, events: Events) {
        self.keep(balancer, tokio::spawn(follow(balancer.to_owned(), admin, events)));
    }

    /// Keeps what follows a machine, in place of what did before.
    pub fn keep(&mut self, machine: &str, task: tokio::task::JoinHandle<()>) {
        if let Some(before) = self.0.insert(machine.to_owned(), task) {
            before.abort();
        }
    }
}

impl Drop for Followers {
    fn drop(&mut self) {
        self.0.values().for_each(tokio::task::JoinHandle::abort);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noticed(events: &[(u64, u64)]) -> Vec<Noticed> {
        let one = |&(seq, unix_ms): &(u64, u64)| Noticed {
            seq,
            event: "ejected".into(),
            name: "web-1".into(),
            unix_ms: Some(unix_ms),
        };
        events.iter().map(one).collect()
    }

    #[test]
    fn a_balancer_that_was_started_again_is_another() {
        let last = |seq: u64, unix_ms: u64| (seq, Some(unix_ms));
        assert!(!is_another((0, None), &noticed(&[])));
        assert!(!is_another((0, None), &noticed(&[(1, 100)])));
        assert!(!is_another(last(3, 300), &noticed(&[(3, 300)])));
        assert!(!is_another(last(3, 300), &noticed(&[(3, 300), (4, 400)])));
        // What it noticed long ago is forgotten.
        assert!(!is_another(last(3, 300), &noticed(&[(7, 700)])));
        assert!(is_another(last(3, 300), &noticed(&[])));
        assert!(is_another(last(3, 300), &noticed(&[(3, 900), (4, 950)])));
        assert!(is_another(last(1, 100), &noticed(&[(1, 900)])));
    }

    #[test]
    fn a_balancer_need_not_say_when() {
        let noticed: Noticed = serde_json::from_str(r#"{"seq":1,"event":"ejected","name":"web-1"}"#).unwrap();
        let events = Events::new(crate::events::Clock::start());
        write_down("lb", &noticed, &events);
        assert_eq!(events.count(), 1);
        assert!(!is_another((1, None), &[noticed]));
    }
}
