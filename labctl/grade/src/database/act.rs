//! Carries out one act of a database's stage: what to do, and the sentence that says what went wrong, if anything did.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::call::{self, Call, Caller, Ended, WRITE_MAX};
use super::clients::Clients;
use super::cluster::Cluster;
use super::copies;
use super::ledger::Became;
use super::stage::Act;
use super::writers::{self, Writers, next_value};
use crate::act::{Done, Stop, failed, wrong};
use crate::client::Answered;

/// Timeout of one request.
const ASK_MAX: Duration = Duration::from_secs(5);
/// How long frozen nodes stay frozen after requests were sent to them.
const BEFORE_WAKING: Duration = Duration::from_millis(200);
/// How long a node may take to answer after it wakes up.
const WAKING_MAX: Duration = Duration::from_secs(5);
/// How long a node may be without a known primary before that counts as a failure.
const REDIRECT_MAX: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Carries out one act.
pub(super) async fn carry_out(act: &Act, cluster: &mut Cluster) -> Done {
    match act {
        Act::Ask { .. } => ask(act, cluster).await,
        Act::Put { count, at_once, bytes, within } => put(*count, *at_once, *bytes, *within, cluster).await,
        Act::Delete { count } => delete(*count, cluster).await,
        Act::Kept { within } => copies::kept(*within, cluster).await,
        Act::Everywhere { within } => copies::everywhere(*within, cluster).await,
        Act::Writers { count } => {
            cluster.did.push(format!("# {count} clients write without pause from here on"));
            cluster.writers = Some(Writers::start(*count, &cluster.addresses(), &cluster.ledger));
            Ok(())
        }
        Act::Written { at_least, gap } => written(*at_least, *gap, cluster).await,
        Act::Kill { node } => {
            let address = cluster.find(*node).await?;
            cluster.kill(address).await;
            Ok(())
        }
        Act::Restart {} => cluster.start_nodes().await?.map_err(failed),
        Act::Freeze { node } => {
            let address = cluster.find(*node).await?;
            cluster.freeze(address);
            Ok(())
        }
        Act::Thaw {} => {
            cluster.thaw();
            Ok(())
        }
        Act::Wake { writes } => wake(*writes, cluster).await,
        Act::Wait { time } => {
            sleep(*time).await;
            Ok(())
        }
        Act::Race { count, rounds } => race(*count, *rounds, cluster).await,
        Act::Add { count, at_once, named_twice } => add(*count, *at_once, *named_twice, cluster).await,
        Act::Redirects {} => redirects(cluster).await,
        Act::Unacknowledged { within } => unacknowledged(*within, cluster).await,
        Act::Ages { over, slack, wake } => copies::ages(*over, *slack, *wake, cluster).await,
        Act::Clients { count, records } => {
            cluster.did.push(format!("# {count} clients read and write {records} records from here on"));
            cluster.clients = Some(Clients::start(*count, *records, &cluster.addresses()));
            Ok(())
        }
        Act::Linearizable { at_least } => linearizable(*at_least, cluster).await,
    }
}

async fn ask(act: &Act, cluster: &mut Cluster) -> Done {
    let Act::Ask { method, path, headers, body, status, answer, value, keep, differs } = act else {
        return Ok(());
    };
    let to = cluster.primary().await?;
    let method = match method.as_str() {
        "GET" => "GET",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "POST" => "POST",
        other => return Err(Stop::Broken(anyhow!("the stage's file asks with {other}"))),
    };
    let mut call = Call { method, path: path.clone(), headers: vec![], body: body.clone() };
    for (name, text) in headers {
        let filled = cluster
            .tags
            .iter()
            .fold(text.clone(), |text, (tag, etag)| text.replace(&format!("{{{tag}}}"), etag));
        call = call.with(name, &filled);
    }
    cluster.did.push(call.typed(to));
    let what = format!("{method} {path}");
    let answered = call::send(to, &call, ASK_MAX).await;
    let answered = answered.map_err(|error| failed(format!("{what}: {error:#}")))?;
    // A temporary refusal may be due to a busy computer.
    let told = |sentence| if answered.status >= 503 { failed(sentence) } else { wrong(sentence) };
    check(&what, &answered, status, answer.as_deref(), *value).map_err(told)?;
    let tag = answered.header("etag").map(str::to_owned);
    if let Some(name) = differs {
        let before = cluster.tags.get(name);
        if before == tag.as_ref() {
            return Err(wrong(format!("{what}: the ETag is the same as before the record was changed")));
        }
    }
    if let Some(name) = keep {
        let tag = tag.ok_or_else(|| wrong(format!("{what}: the answer has no ETag")))?;
        cluster.tags.insert(name.clone(), tag);
    }
    Ok(())
}

fn check(
    what: &str,
    answered: &Answered,
    status: &[u16],
    body: Option<&str>,
    value: Option<i64>,
) -> Result<(), String> {
    answered.check(what, status, body)?;
    match value.filter(|value| sum(answered) != Some(*value)) {
        Some(value) => {
            Err(format!("{what}: the body was '{}', wanted {{\"value\": {value}}}", answered.shown()))
        }
        None => Ok(()),
    }
}

/// Returns the sum in the response to an addition.
pub(super) fn sum(answered: &Answered) -> Option<i64> {
    let document: serde_json::Value = serde_json::from_slice(&answered.body).ok()?;
    document.get("value")?.as_i64()
}

async fn put(count: usize, at_once: usize, bytes: usize, within: Duration, cluster: &mut Cluster) -> Done {
    let padding = "x".repeat(bytes);
    let records: Vec<_> =
        (1..=count).map(|number| (format!("k-{number}"), Some(next_value() + &padding))).collect();
    // A client finds the primary by itself; the first node it asks is only a guess.
    let first =
        cluster.running().first().copied().ok_or_else(|| Stop::Broken(anyhow!("no node is there")))?;
    cluster.did.push(format!(
        "for i in $(seq {count}); do curl -L -X PUT http://{first}/kv/k-$i -d \"$RANDOM\"; done"
    ));
    let nodes = cluster.addresses();
    let written = writers::write_all(records, at_once, &nodes, first, &cluster.ledger, within).await;
    written.map_err(failed)
}

async fn delete(count: usize, cluster: &mut Cluster) -> Done {
    let to = cluster.primary().await?;
    cluster.did.push(format!("for i in $(seq {count}); do curl -X DELETE http://{to}/kv/k-$i; done"));
    let records = (1..=count).map(|number| (format!("k-{number}"), None)).collect();
    let nodes = cluster.addresses();
    writers::write_all(records, 1, &nodes, to, &cluster.ledger, ASK_MAX).await.map_err(failed)
}

async fn written(at_least: usize, longest: Option<Duration>, cluster: &mut Cluster) -> Done {
    let writers = cluster.writers.take();
    let writers = writers.ok_or_else(|| {
        Stop::Broken(anyhow!("nobody writes: the stage's file has no 'writers' before 'written'"))
    })?;
    let written = writers.finish().await;
    let why = written.last_failure.map(|why| format!("; the last failure: {why}")).unwrap_or_default();
    if written.acknowledged < at_least {
        return Err(failed(format!(
            "{} writes were acknowledged, wanted at least {at_least}{why}",
            written.acknowledged
        )));
    }
    match longest {
        Some(longest) if written.gap > longest => Err(failed(format!(
            "no write was acknowledged for {:.1?}, wanted at most {longest:?}{why}",
            written.gap
        ))),
        _ => Ok(()),
    }
}

/// Wakes frozen nodes with writes already waiting for them. Every write that they acknowledge must survive.
async fn wake(count: usize, cluster: &mut Cluster) -> Done {
    let mut writes = JoinSet::new();
    for address in cluster.frozen() {
        let name = cluster.name_of(address).to_owned();
        cluster.did.push(format!(
            "for i in $(seq {count}); do curl -X PUT http://{address}/kv/late-{name}-$i -d \"$RANDOM\" & done"
        ));
        for number in 1..=count {
            let (key, value) = (format!("late-{name}-{number}"), next_value());
            let ledger = Arc::clone(&cluster.ledger);
            writes.spawn(async move {
                let ended = call::call(address, &[], &Call::put(&key, &value), WAKING_MAX).await;
                ledger.lock().note(&key, Some(value), ended.became());
            });
        }
    }
    sleep(BEFORE_WAKING).await;
    cluster.thaw();
    while writes.join_next().await.is_some() {}
    Ok(())
}

async fn race(count: usize, rounds: usize, cluster: &mut Cluster) -> Done {
    let to = cluster.primary().await?;
    cluster.did.push(format!(
        "for i in $(seq {count}); do curl -X PUT http://{to}/kv/race -H 'If-Match: THE SAME' -d $i & done"
    ));
    for _ in 0..rounds {
        let begun = call::send(to, &Call::put("race", "begin"), ASK_MAX).await;
        begun.map_err(|error| failed(format!("PUT /kv/race: {error:#}")))?;
        let seen = call::send(to, &Call::get("race"), ASK_MAX).await;
        let seen = seen.map_err(|error| failed(format!("GET /kv/race: {error:#}")))?;
        let tag = seen.header("etag").ok_or_else(|| wrong("GET /kv/race: the answer has no ETag"))?;
        let mut clients = JoinSet::new();
        for number in 0..count {
            let call = Call::put("race", &number.to_string()).with("If-Match", tag);
            clients.spawn(async move { call::send(to, &call, ASK_MAX).await });
        }
        let mut won = 0;
        while let Some(answered) = clients.join_next().await {
            let answered = answered.map_err(anyhow::Error::from)?;
            let answered = answered.map_err(|error| failed(format!("PUT with If-Match: {error:#}")))?;
            match answered.status {
                200..=299 => won += 1,
                412 => {}
                status => {
                    return Err(failed(format!(
                        "PUT with If-Match was answered {status}, wanted 2xx for one client and 412 for the others"
                    )));
                }
            }
        }
        if won != 1 {
            return Err(wrong(format!(
                "{count} clients changed one version of a record at once, and {won} of them succeeded, wanted 1"
            )));
        }
    }
    Ok(())
}

async fn add(count: usize, at_once: usize, named_twice: bool, cluster: &mut Cluster) -> Done {
    let to = cluster.primary().await?;
    let key = if named_twice { "sum-of-named" } else { "sum" };
    let name = if named_twice { " -H \"Idempotency-Key: add-$i\"" } else { "" };
    cluster.did.push(format!(
        "for i in $(seq {count}); do curl -X POST http://{to}/kv/{key}/add{name} -d '{{\"by\":1}}'; done    # {at_once} at a time"
    ));
    let nodes = cluster.addresses();
    let left = Arc::new(parking_lot::Mutex::new(count));
    let mut clients = JoinSet::new();
    for _ in 0..at_once {
        let (left, nodes) = (Arc::clone(&left), Arc::clone(&nodes));
        clients.spawn(async move {
            let take = || {
                let mut left = left.lock();
                (*left > 0).then(|| {
                    *left -= 1;
                    *left
                })
            };
            while let Some(number) = take() {
                let call = Call::add(key, 1);
                let send = |call: Call| {
                    let nodes = Arc::clone(&nodes);
                    async move { call::call(to, &nodes, &call, ASK_MAX).await }
                };
                let ended = match named_twice {
                    false => vec![send(call).await],
                    true => {
                        let call = call.with("Idempotency-Key", &format!("add-{number}"));
                        let (one, other) = tokio::join!(send(call.clone()), send(call));
                        vec![one, other]
                    }
                };
                let lost = ended.iter().find(|ended| ended.became() != Became::Done);
                if let Some(lost) = lost {
                    return Err(format!("POST /kv/{key}/add: {}", lost.why()));
                }
            }
            Ok(())
        });
    }
    while let Some(done) = clients.join_next().await {
        done.map_err(anyhow::Error::from)?.map_err(failed)?;
    }
    let seen = call::send(to, &Call::get(key), ASK_MAX).await;
    let seen = seen.map_err(|error| failed(format!("GET /kv/{key}: {error:#}")))?;
    let text = String::from_utf8_lossy(&seen.body).into_owned();
    let twice = if named_twice { ", each sent twice under one name" } else { "" };
    match text == count.to_string() {
        true => Ok(()),
        false => Err(wrong(format!("after {count} additions of 1{twice}, GET /kv/{key} is '{text}'"))),
    }
}

async fn redirects(cluster: &mut Cluster) -> Done {
    let nodes = cluster.addresses();
    for address in cluster.running() {
        let name = cluster.name_of(address).to_owned();
        let (key, value) = (format!("by-way-of-{name}"), next_value());
        let call = Call::put(&key, &value);
        cluster.did.push(call.typed(address));
        let what = format!("PUT /kv/{key} to {name}");
        let deadline = Instant::now() + REDIRECT_MAX;
        loop {
            let ended = call::call(address, &nodes, &call, WRITE_MAX).await;
            cluster.ledger.lock().note(&key, Some(value.clone()), ended.became());
            match ended {
                Ended::Done(..) => break,
                ended if Instant::now() > deadline => {
                    let sentence =
                        format!("{what}: {}, wanted 2xx, or 307 and where the primary is", ended.why());
                    return Err(failed(sentence));
                }
                _ => sleep(LOOK_EVERY).await,
            }
        }
    }
    Ok(())
}

async fn unacknowledged(within: Duration, cluster: &mut Cluster) -> Done {
    let frozen = cluster.frozen().len();
    for address in cluster.running() {
        let (key, value) = ("must-not-be-acknowledged", next_value());
        let call = Call::put(key, &value);
        cluster.did.push(call.typed(address));
        let ended = call::call(address, &[], &call, within).await;
        cluster.ledger.lock().note(key, Some(value), ended.became());
        if ended.became() == Became::Done {
            let name = cluster.name_of(address);
            return Err(wrong(format!(
                "{name} acknowledged a write while {frozen} of the nodes were frozen: no majority can have it"
            )));
        }
    }
    Ok(())
}

async fn linearizable(at_least: usize, cluster: &mut Cluster) -> Done {
    let clients = cluster.clients.take();
    let clients = clients.ok_or_else(|| {
        Stop::Broken(anyhow!("nobody asks: the stage's file has no 'clients' before 'linearizable'"))
    })?;
    let mut caller = Caller::new(cluster.addresses(), 0);
    let history = clients.finish(&mut caller).await;
    let done = history.operations.iter().filter(|operation| operation.answer().is_some()).count();
    if done < at_least {
        return Err(failed(format!("{done} operations were done, wanted at least {at_least}")));
    }
    match history::linearizable::judge(&history, history::linearizable::Limits::default()) {
        history::linearizable::Verdict::Linearizable => Ok(()),
        history::linearizable::Verdict::Violation(violation) => {
            let picture = violation.timeline();
            cluster.did.extend(picture.lines().map(|line| format!("# {line}")));
            Err(wrong(format!(
                "no order of what was done to {} explains every answer: the picture above shows the shortest part of it",
                violation.key
            )))
        }
        history::linearizable::Verdict::Undecided { key, operations } => Err(Stop::Skipped(format!(
            "the judge found neither an order nor a contradiction among {operations} operations on {key}"
        ))),
    }
}
