//! Checks nodes' copies against what was acknowledged, and the age of copies against the lag that they report.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::call::{self, Call, Caller, Ended, WRITE_MAX};
use super::cluster::Cluster;
use super::ledger::Value;
use crate::act::{Done, failed, wrong};
use crate::client::Answered;

/// Timeout of one read.
const READ_MAX: Duration = Duration::from_millis(1500);
/// Timeout of a read from a frozen node, which wakes up meanwhile.
const WAKING_MAX: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The interval at which a copy is read, and the clock record is written.
const TICK: Duration = Duration::from_millis(10);
/// The record whose value shows a copy's age.
const CLOCK: &str = "clock";
/// At least one of three healthy copies must report a lower lag than this, in milliseconds.
const YOUNG_MS: f64 = 2000.0;

/// Reads every record until each has its acknowledged value.
pub(super) async fn kept(within: Duration, cluster: &mut Cluster) -> Done {
    let deadline = Instant::now() + within;
    let mut keys = cluster.ledger.lock().keys();
    cluster.did.push(format!("# every one of {} records is read: GET /kv/NAME", keys.len()));
    loop {
        let primary = cluster.primary().await?;
        let mut missed = None;
        let mut left = Vec::new();
        for key in keys {
            let problem = match value(primary, &Call::get(&key)).await {
                Ok(found) => cluster.ledger.lock().check(&key, &found).map_err(wrong),
                Err(why) => Err(failed(format!("GET /kv/{key}: {why}"))),
            };
            if let Err(problem) = problem {
                missed.get_or_insert(problem);
                left.push(key);
                if Instant::now() > deadline {
                    break;
                }
            }
        }
        match missed {
            None => return Ok(()),
            Some(problem) if Instant::now() > deadline => return Err(problem),
            Some(_) => keys = left,
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Reads every node's local copy until each has the acknowledged values.
pub(super) async fn everywhere(within: Duration, cluster: &mut Cluster) -> Done {
    let deadline = Instant::now() + within;
    for address in cluster.running() {
        let name = cluster.name_of(address).to_owned();
        cluster.did.push(format!("curl http://{address}/kv/k-1?read=local    # and every other record"));
        let keys = cluster.ledger.lock().keys();
        for key in keys {
            loop {
                let found = value(address, &Call::get_local(&key)).await;
                let problem = match found {
                    Ok(found) => cluster.ledger.lock().check(&key, &found).err(),
                    Err(why) => Some(why),
                };
                match problem {
                    None => break,
                    Some(problem) if Instant::now() > deadline => {
                        return Err(failed(format!("{name}'s own copy after {within:?}: {problem}")));
                    }
                    Some(_) => sleep(LOOK_EVERY).await,
                }
            }
        }
    }
    Ok(())
}

async fn value(from: SocketAddr, call: &Call) -> Result<Value, String> {
    let answered = call::send(from, call, READ_MAX).await.map_err(|error| format!("{error:#}"))?;
    match answered.status {
        200 => Ok(Some(String::from_utf8_lossy(&answered.body).into_owned())),
        404 => Ok(None),
        status => Err(format!("answered {status}")),
    }
}

/// An acknowledged value of the clock.
#[derive(Debug, Clone, Copy)]
struct Tick {
    value: u64,
    acknowledged: Instant,
}

/// A read of a copy of the clock.
#[derive(Debug, Clone)]
struct Look {
    node: SocketAddr,
    asked: Instant,
    value: u64,
    lag_ms: Option<f64>,
}

/// Returns how long before the read the value it found had been overwritten.
fn age(ticks: &[Tick], look: &Look) -> Duration {
    let overwritten = ticks.iter().find(|tick| tick.value > look.value);
    overwritten.map_or(Duration::ZERO, |tick| look.asked.saturating_duration_since(tick.acknowledged))
}

/// Returns the first read that found a copy older than the copy reported.
fn understated<'a>(ticks: &[Tick], looks: &'a [Look], slack: Duration) -> Option<(&'a Look, Duration)> {
    let says =
        |look: &Look| Duration::from_secs_f64(look.lag_ms.unwrap_or(f64::MAX).clamp(0.0, 1e9) / 1000.0);
    let aged = looks.iter().map(|look| (look, age(ticks, look)));
    aged.into_iter().find(|(look, age)| *age > says(look) + slack)
}

fn look(node: SocketAddr, asked: Instant, answered: &Answered) -> Option<Look> {
    let value = match answered.status {
        200 => String::from_utf8_lossy(&answered.body).parse().ok()?,
        404 => 0,
        _ => return None,
    };
    let lag_ms = answered.header("x-lag-ms").and_then(|text| text.parse().ok());
    Some(Look { node, asked, value, lag_ms })
}

/// A clock record that is written constantly, and the reads of its copies.
#[derive(Debug, Default)]
struct Clock {
    ends: Arc<AtomicBool>,
    ticks: Arc<Mutex<Vec<Tick>>>,
    looks: Arc<Mutex<Vec<Look>>>,
    tasks: JoinSet<()>,
}

impl Clock {
    fn go(&mut self, nodes: Arc<[SocketAddr]>, begin: usize) {
        let (ends, ticks) = (Arc::clone(&self.ends), Arc::clone(&self.ticks));
        self.tasks.spawn(async move {
            let mut caller = Caller::new(nodes, begin);
            // It begins above all values of an earlier clock, which a copy may still have: there are fewer ticks than
            // milliseconds.
            let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let mut value = u64::try_from(since_epoch.as_millis()).unwrap_or_default();
            while !ends.load(Ordering::Acquire) {
                value += 1;
                let ended = caller.call(&Call::put(CLOCK, &value.to_string()), WRITE_MAX).await;
                if matches!(ended, Ended::Done(..)) {
                    ticks.lock().push(Tick { value, acknowledged: Instant::now() });
                }
                sleep(TICK).await;
            }
        });
    }

    fn watch(&mut self, node: SocketAddr, limit: Duration) {
        let (ends, looks) = (Arc::clone(&self.ends), Arc::clone(&self.looks));
        self.tasks.spawn(async move {
            while !ends.load(Ordering::Acquire) {
                let asked = Instant::now();
                if let Ok(answered) = call::send(node, &Call::get_local(CLOCK), limit).await {
                    looks.lock().extend(look(node, asked, &answered));
                }
                sleep(TICK).await;
            }
        });
    }

    async fn finish(mut self) -> (Vec<Tick>, Vec<Look>) {
        self.ends.store(true, Ordering::Release);
        while self.tasks.join_next().await.is_some() {}
        (std::mem::take(&mut *self.ticks.lock()), std::mem::take(&mut *self.looks.lock()))
    }
}

/// Writes the clock and reads copies for a while, and compares their age with the lag they report.
pub(super) async fn ages(over: Duration, slack: Duration, wake: bool, cluster: &mut Cluster) -> Done {
    let primary = cluster.primary().await?;
    let nodes = cluster.addresses();
    let mut clock = Clock::default();
    clock.go(Arc::clone(&nodes), nodes.iter().position(|node| *node == primary).unwrap_or(0));
    cluster
        .did
        .push(format!("while sleep 0.01; do curl -X PUT http://{primary}/kv/{CLOCK} -d $((++i)); done &"));
    for node in cluster.running().into_iter().filter(|node| *node != primary) {
        cluster.did.push(format!("curl -i http://{node}/kv/{CLOCK}?read=local    # again and again"));
        clock.watch(node, READ_MAX);
    }
    if wake {
        sleep(over).await;
        for node in cluster.frozen() {
            cluster.did.push(format!("curl -i http://{node}/kv/{CLOCK}?read=local &"));
            clock.watch(node, WAKING_MAX);
        }
        sleep(LOOK_EVERY).await;
        cluster.thaw();
    }
    sleep(over).await;
    let (ticks, looks) = clock.finish().await;
    judge(&ticks, &looks, slack, cluster)
}

fn judge(ticks: &[Tick], looks: &[Look], slack: Duration, cluster: &Cluster) -> Done {
    if ticks.is_empty() || looks.is_empty() {
        let what = if ticks.is_empty() { "write was acknowledged" } else { "copy could be read" };
        return Err(failed(format!("no {what} while ages were looked at")));
    }
    let silent = looks.iter().filter(|look| look.lag_ms.is_none()).count();
    if silent * 2 > looks.len() {
        return Err(wrong(format!(
            "{silent} of {} answers to ?read=local had no X-Lag-Ms, although there was a primary",
            looks.len()
        )));
    }
    if let Some((look, age)) = understated(ticks, looks, slack) {
        let (node, says) = (cluster.name_of(look.node), look.lag_ms.unwrap_or_default());
        return Err(wrong(format!(
            "{node} answered with what had been overwritten {age:.0?} before, and said X-Lag-Ms: {says}"
        )));
    }
    let youngest = looks.iter().filter_map(|look| look.lag_ms).fold(f64::MAX, f64::min);
    match youngest <= YOUNG_MS {
        true => Ok(()),
        false => Err(failed(format!(
            "no copy says that it is younger than {youngest} ms (X-Lag-Ms), although all was well"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_as_old_as_what_overwrote_its_value() {
        let begin = Instant::now();
        let ms = Duration::from_millis;
        let ticks = [1, 2, 3].map(|value| Tick { value, acknowledged: begin + ms(100 * value) });
        let look = |value, at, lag_ms| Look {
            node: ([127, 0, 0, 1], 80).into(),
            asked: begin + ms(at),
            value,
            lag_ms,
        };
        assert_eq!(age(&ticks, &look(1, 450, None)), ms(250));
        assert_eq!(age(&ticks, &look(3, 900, None)), ms(0), "it is the newest");
        assert_eq!(age(&ticks, &look(2, 250, None)), ms(0), "it was the newest");
        let honest = [look(1, 450, Some(200.0)), look(1, 450, None)];
        assert!(understated(&ticks, &honest, ms(60)).is_none());
        assert_eq!(understated(&ticks, &honest, ms(40)).unwrap().1, ms(250));
    }
}
