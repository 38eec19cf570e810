//! Checks the numbers of a chapter: each is finite, and within what the lab's programs accept. A number that a
//! program would refuse is reported with its line, before anything starts.
#![deny(clippy::disallowed_methods)]

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use bytesize::ByteSize;

use crate::check::{Checked, Found, at, problem};
use crate::expect::Expect;
use crate::expression::{Expression, Operator, Vocabulary};
use crate::machines::{DbnodePart, LbPart, MachineEntry, WebserverPart};
use crate::step::{Rate, Step};
use crate::traffic::Traffic;
use crate::{Chapter, MEMORY_MIN, RATE_MAX, Span};

/// The highest price of a machine, in dollars per month; anything above is taken for a mistake.
const PRICE_MAX: f64 = 1e9;
/// The most products of a database: it keeps them in this computer's memory.
const PRODUCTS_MAX: u32 = 10_000_000;
/// The most memory of a machine; anything above is taken for a mistake.
const MEMORY_MAX: ByteSize = ByteSize::tib(16);
/// The most requests that a step may send.
const BATCH_MAX: u64 = 1_000_000;
/// The most checks or requests that are counted in a row.
const IN_A_ROW_MAX: u32 = 1000;
/// The most of what a program handles at a time.
const AT_A_TIME_MAX: u32 = 1_000_000;
/// The election timeouts of a database.
const ELECTION_TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
/// The advert intervals of a pair.
const ADVERT: RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_secs(40);

/// Checks every number of a chapter.
pub(crate) fn check(chapter: &Chapter, found: &mut Found) {
    for (name, entry) in &chapter.machine {
        check_machine(name, entry, found);
    }
    for (name, traffic) in &chapter.traffic {
        check_traffic(name, traffic, found);
    }
    for (index, step) in chapter.step.iter().enumerate() {
        check_step(step, &index.to_string(), found);
    }
}

fn check_machine(name: &str, entry: &MachineEntry, found: &mut Found) {
    let key = |key| ["machine", name, key];
    found.note(&key("price"), is_within("price", Some(entry.price), 0.0..=PRICE_MAX));
    found.note(&key("memory"), is_within("memory", Some(entry.memory), MEMORY_MIN..=MEMORY_MAX));
    if let Some(lb) = &entry.lb {
        check_lb(name, lb, found);
    }
    if let Some(webserver) = &entry.webserver {
        check_webserver(name, webserver, found);
    }
    if let Some(dbnode) = &entry.dbnode {
        check_dbnode(name, dbnode, found);
    }
    if let Some(redis) = &entry.redis {
        let place = ["machine", name, "redis", "maxmemory"];
        found.note(&place, is_within("maxmemory", redis.maxmemory, MEMORY_MIN..=MEMORY_MAX));
    }
    if let Some(sentinel) = &entry.sentinel {
        let key = |key| ["machine", name, "sentinel", key];
        found.note(&key("quorum"), is_within("quorum", Some(sentinel.quorum), 1..=IN_A_ROW_MAX));
        found.note(&key("down-after"), takes_time("down-after", Some(sentinel.down_after)));
    }
}

fn check_lb(name: &str, lb: &LbPart, found: &mut Found) {
    let counts = [
        ("fall", lb.fall, 1..=IN_A_ROW_MAX),
        ("rise", lb.rise, 1..=IN_A_ROW_MAX),
        ("passive-fall", lb.passive_fall, 0..=IN_A_ROW_MAX),
        ("retries", lb.retries, 0..=2),
        ("max-connections", lb.max_connections, 1..=AT_A_TIME_MAX),
    ];
    for (key, count, range) in counts {
        found.note(&["machine", name, "lb", key], is_within(key, count, range));
    }
    let spans = [
        ("health-interval", lb.health_interval),
        ("health-timeout", lb.health_timeout),
        ("try-timeout", lb.try_timeout),
        ("request-timeout", lb.request_timeout),
    ];
    for (key, span) in spans {
        found.note(&["machine", name, "lb", key], takes_time(key, span));
    }
    found.note(&["machine", name, "lb", "pair-advert"], lasts("pair-advert", lb.pair_advert, &ADVERT));
}

fn check_webserver(name: &str, webserver: &WebserverPart, found: &mut Found) {
    let key = |key| ["machine", name, "webserver", key];
    // A Redis server has 16 databases unless it is told otherwise.
    found.note(&key("redis-database"), is_within("redis-database", webserver.redis_database, 0..=15));
    let reads = is_within("max-bypass-reads", webserver.max_bypass_reads, 1..=AT_A_TIME_MAX);
    found.note(&key("max-bypass-reads"), reads);
    found.note(&key("db-timeout"), takes_time("db-timeout", webserver.db_timeout));
    let memories =
        [("request-memory", webserver.request_memory), ("resident-memory", webserver.resident_memory)];
    for (word, memory) in memories {
        found.note(&key(word), is_within(word, memory, ByteSize::b(0)..=MEMORY_MAX));
    }
}

fn check_dbnode(name: &str, dbnode: &DbnodePart, found: &mut Found) {
    let key = |key| ["machine", name, "dbnode", key];
    found.note(&key("products"), is_within("products", Some(dbnode.products), 0..=PRODUCTS_MAX));
    let timeout = lasts("election-timeout", dbnode.election_timeout, &ELECTION_TIMEOUT);
    found.note(&key("election-timeout"), timeout);
}

fn check_traffic(name: &str, traffic: &Traffic, found: &mut Found) {
    let key = |key| ["traffic", name, key];
    found.note(&key("timeout"), takes_time("timeout", Some(traffic.timeout)));
    found.note(&key("path"), check_path(&traffic.path));
    for (header, value) in &traffic.headers {
        found.note(&["traffic", name, "headers", header], check_header(header, value));
    }
}

/// Checks a path: with its placeholders filled in, a request can be made of it.
fn check_path(path: &str) -> Checked {
    match filled(path).parse::<http::uri::PathAndQuery>() {
        // A path that does not begin with / is reported with the names.
        Err(_) if !path.starts_with('/') => Ok(()),
        Ok(_) => Ok(()),
        Err(reason) => Err(problem(format!("'{path}' is not the path of a request: {reason}"))),
    }
}

/// The headers that say where a request ends, or where it goes: the load generator writes them itself.
const OWN_HEADERS: [&str; 4] = ["host", "content-length", "transfer-encoding", "connection"];

/// Checks a header (RFC 9110, section 5): its name is a token, and its value is visible text.
fn check_header(name: &str, value: &str) -> Checked {
    if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
        let message = format!("'{name}' is not the name of a header: it is made of letters, digits and -");
        return Err(problem(message));
    }
    if OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name)) {
        return Err(problem(format!("the header '{name}' is set by the load generator itself")));
    }
    match http::HeaderValue::from_str(&filled(value)) {
        Ok(_) => Ok(()),
        Err(_) => {
            Err(problem(format!("the value of the header '{name}' has a character that none may have")))
        }
    }
}

/// Fills in placeholders as the load generator does.
fn filled(text: &str) -> String {
    text.replace("{key}", "1").replace("{n}", "1")
}

fn check_step(step: &Step, number: &str, found: &mut Found) {
    let key = ["step", number];
    for (traffic, rate) in &step.load {
        found.note(&key, check_rate(*rate).map_err(|message| at(traffic.span(), message)));
    }
    for (traffic, batch) in &step.send {
        if !(1..=BATCH_MAX).contains(&batch.count) || !is_sent(batch.rate) {
            let message =
                format!("a step sends 1 to {BATCH_MAX} requests, at a rate above 0 and up to {RATE_MAX}");
            found.note(&key, Err(at(traffic.span(), message)));
        }
    }
    if let Some(search) = &step.capacity {
        if !is_sent(search.from) {
            let message = format!(
                "the first rate that is tried is a number of requests a second, above 0 and up to {RATE_MAX}"
            );
            found.note(&["step", number, "capacity", "from"], Err(problem(message)));
        }
        found.note(&["step", number, "capacity", "p99"], takes_time("p99", Some(search.p99)));
    }
    for (index, expect) in step.expect.iter().enumerate() {
        check_bounds(expect, &["step", number, "expect", &index.to_string()], found);
    }
}

/// True if requests can be sent at a rate.
fn is_sent(rate: f64) -> bool {
    rate > 0.0 && rate <= RATE_MAX
}

fn check_rate(rate: Rate) -> Result<(), String> {
    let (from, to) = match rate {
        Rate::Steady(rate) => (rate, rate),
        Rate::Ramp { over: Span(Duration::ZERO), .. } => {
            return Err("over must be longer than 0s".into());
        }
        Rate::Ramp { from, to, .. } => (from, to),
    };
    let is_possible = |rate: f64| (0.0..=RATE_MAX).contains(&rate);
    if is_possible(from) && is_possible(to) {
        return Ok(());
    }
    Err(format!("a rate is a number of requests a second, from 0 to {RATE_MAX}"))
}

fn check_bounds(expect: &Expect, place: &[&str], found: &mut Found) {
    let bounds = [("equals", expect.equals), ("at-least", expect.at_least), ("at-most", expect.at_most)];
    for (key, bound) in bounds {
        if let Some(bound) = bound.filter(|bound| !bound.is_finite()) {
            let message = format!("{key} is a number, not {bound}");
            found.note(&[place, &[key]].concat(), Err(problem(message)));
        }
    }
}

/// Checks that an expression divides by nothing that is always 0.
pub(crate) fn check_divisors<M: Vocabulary>(expression: &Expression<M>) -> Result<(), String> {
    match expression {
        Expression::Number(number) if !number.is_finite() => Err(format!("{number} is not a number")),
        Expression::Number(_) | Expression::Measure(_) => Ok(()),
        Expression::Several(_, values) => values.iter().try_for_each(check_divisors),
        Expression::Joined(left, operator, right) => {
            check_divisors(left)?;
            check_divisors(right)?;
            match (operator, constant(right)) {
                (Operator::Over, Some(0.0)) => Err(format!("nothing can be divided by 0: '{expression}'")),
                _ => Ok(()),
            }
        }
    }
}

/// The value of an expression without measures.
fn constant<M: Vocabulary>(expression: &Expression<M>) -> Option<f64> {
    if !expression.measures().is_empty() {
        return None;
    }
    let value = expression.value::<String>(&|_| Ok(None));
    value.ok().flatten().map(|reading| reading.figure)
}

/// Checks that a number is finite and within a range.
fn is_within<N: PartialOrd + Display>(what: &str, number: Option<N>, range: RangeInclusive<N>) -> Checked {
    match number {
        Some(number) if !range.contains(&number) => {
            Err(problem(format!("{what} is from {} to {}, not {number}", range.start(), range.end())))
        }
        _ => Ok(()),
    }
}

/// Checks that a span is within a range.
fn lasts(what: &str, span: Option<Span>, range: &RangeInclusive<Duration>) -> Checked {
    match span {
        Some(span) if !range.contains(&span.0) => Err(problem(format!(
            "{what} is from {} to {}, not {span}",
            Span(*range.start()),
            Span(*range.end())
        ))),
        _ => Ok(()),
    }
}

/// Checks that a span is not zero: it could be neither waited for nor measured.
pub(crate) fn takes_time(what: &str, span: Option<Span>) -> Checked {
    match span {
        Some(Span(Duration::ZERO)) => Err(problem(format!("{what} must be longer than 0s"))),
        _ => Ok(()),
    }
}
