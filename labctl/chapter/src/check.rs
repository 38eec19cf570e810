//! Whether everything a chapter names is there.

use std::ops::Range;

use toml::Spanned;

use super::expect::Expect;
use super::expression::Expression;
use super::machines::WebserverPart;
use super::measures::{MeasureCall, Of};
use super::step::{CapacitySearch, Step, Until};
use super::traffic::Draw;
use super::{Chapter, MachineEntry, ZIPF_KEYS_MAX, role};

/// Something wrong, and where.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) span: Option<Range<usize>>,
    pub(super) message: String,
}

type Checked = Result<(), Problem>;

/// What can stand on a machine.
const PROGRAMS: &str = "lb, webserver, dbnode, redis, sentinel";

/// How many requests a step may send.
const BATCH_MAX: u64 = 1_000_000;

/// How many machines a lab may have.
const COUNT_MAX: u32 = 250;

pub(super) fn check(chapter: &Chapter) -> Checked {
    for (name, entry) in &chapter.machine {
        check_machine(chapter, name, entry)?;
    }
    for end in chapter.links.iter().flat_map(|(from, to)| [from, to]) {
        spanned_machine(chapter, end)?;
    }
    for kind in &chapter.mesh {
        if chapter.machine.get(kind.as_ref()).and_then(|entry| entry.count).is_none() {
            let message = format!("'{}' is not a kind of machine with a count", kind.as_ref());
            return Err(Problem { span: Some(kind.span()), message });
        }
    }
    for traffic in chapter.traffic.values() {
        if !is_role(chapter, &traffic.to) {
            known_target(chapter, &traffic.to)?;
        }
        if traffic.method.parse::<http::Method>().is_err() {
            return Err(problem(format!("'{}' is no method such as GET or POST", traffic.method)));
        }
        if traffic.draw == Draw::Zipf && traffic.keys > ZIPF_KEYS_MAX {
            let message = format!("of Zipf keys there are at most {}", ZIPF_KEYS_MAX);
            return Err(Problem { span: Some(traffic.to.span()), message });
        }
        if let Some(dice) = &traffic.dice {
            known_traffic(chapter, dice.as_ref(), Some(dice.span()))?;
        }
        if !traffic.path.starts_with('/') {
            return Err(problem(format!("the path '{}' does not begin with /", traffic.path)));
        }
    }
    for (index, step) in chapter.step.iter().enumerate() {
        if chapter.step[..index].iter().any(|other| other.name == step.name) {
            return Err(problem(format!("there are two steps called '{}'", step.name)));
        }
        check_step(chapter, step, &chapter.step[..=index])?;
    }
    let ids = chapter.step.iter().flat_map(|step| &step.expect).filter_map(|expect| expect.id.as_ref());
    let mut seen = std::collections::HashSet::new();
    for id in ids {
        if !seen.insert(id) {
            return Err(problem(format!("there are two claims with the id '{id}'")));
        }
    }
    for table in &chapter.table {
        for cell in table.cells() {
            check_expression(chapter, &cell, &chapter.step)
                .map_err(|message| Problem { span: Some(table.measure.span()), message })?;
        }
    }
    Ok(())
}

fn check_machine(chapter: &Chapter, name: &str, entry: &MachineEntry) -> Checked {
    let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    if name.is_empty() || !name.chars().all(plain) {
        return Err(problem(format!("a machine's name is made of a-z, 0-9 and -, not '{name}'")));
    }
    if entry.count.is_some_and(|count| count > COUNT_MAX) {
        return Err(problem(format!("machine '{name}': a lab has at most {COUNT_MAX} machines")));
    }
    if let Some((kind, _)) = name.rsplit_once('-')
        && chapter.machine.get(kind).is_some_and(|kind| kind.count.is_some())
    {
        return Err(problem(format!(
            "'{name}' is what one of the machines of kind '{kind}' is called; choose another name"
        )));
    }
    let parts = [
        entry.lb.is_some(),
        entry.webserver.is_some(),
        entry.dbnode.is_some(),
        entry.redis.is_some(),
        entry.sentinel.is_some(),
    ];
    if !parts.contains(&true) {
        return Err(problem(format!("machine '{name}' has nothing on it; known are {PROGRAMS}")));
    }
    if let Some(lb) = &entry.lb {
        spanned_machine(chapter, &lb.upstreams)?;
        if lb.pair && entry.count != Some(2) {
            return Err(problem(format!("machine '{name}': a pair of balancers has count = 2")));
        }
    }
    if let Some(WebserverPart { db, redis, sentinels, sessions, cache, .. }) = &entry.webserver {
        has_part(chapter, name, db, "dbnode", |entry| entry.dbnode.is_some())?;
        if let Some(redis) = redis {
            has_part(chapter, name, redis, "redis", |entry| entry.redis.is_some())?;
        }
        if let Some(sentinels) = sentinels {
            has_part(chapter, name, sentinels, "sentinel", |entry| entry.sentinel.is_some())?;
        }
        let wants_redis = [sessions, cache].into_iter().flatten().any(|place| place == "redis");
        if wants_redis && redis.is_none() && sentinels.is_none() {
            return Err(problem(format!(
                "the web server on '{name}' keeps something in redis, but says neither redis nor sentinels"
            )));
        }
    }
    if let Some(primary) = entry.redis.as_ref().and_then(|redis| redis.replica_of.as_ref()) {
        has_part(chapter, name, primary, "redis", |entry| entry.redis.is_some())?;
    }
    if let Some(sentinel) = &entry.sentinel {
        has_part(chapter, name, &sentinel.watches, "redis", |entry| entry.redis.is_some())?;
    }
    Ok(())
}

/// Whether a machine that something on `user` needs has the part that is needed.
fn has_part(
    chapter: &Chapter,
    user: &str,
    wanted: &Spanned<String>,
    part: &str,
    has: impl Fn(&MachineEntry) -> bool,
) -> Checked {
    spanned_machine(chapter, wanted)?;
    if chapter.machine.get(wanted.as_ref()).is_some_and(has) {
        return Ok(());
    }
    let message = format!("machine '{}' has no {part} for '{user}'", wanted.as_ref());
    Err(Problem { span: Some(wanted.span()), message })
}

/// `so_far`: this step and those before it; a claim can speak of no other.
fn check_step(chapter: &Chapter, step: &Step, so_far: &[Step]) -> Checked {
    for traffic in step.load.keys().chain(step.send.keys()) {
        known_traffic(chapter, traffic.as_ref(), Some(traffic.span()))?;
    }
    if let Some((traffic, _)) = step.load.iter().find(|(_, rate)| !rate.is_possible()) {
        let message = "a rate is a number of requests a second, from 0 on".into();
        return Err(Problem { span: Some(traffic.span()), message });
    }
    for (traffic, batch) in &step.send {
        if batch.count == 0 || batch.count > BATCH_MAX || batch.rate.is_nan() || batch.rate <= 0.0 {
            let message = format!("a step sends 1 to {BATCH_MAX} requests, at a rate above 0");
            return Err(Problem { span: Some(traffic.span()), message });
        }
    }
    if !step.send.is_empty() && (step.measure.is_some() || step.until.is_some()) {
        return Err(problem(format!(
            "step '{}' has send, and measure or until besides; it can end in one way only",
            step.name
        )));
    }
    for target in step.kill.iter().filter(|target| !is_role(chapter, target)) {
        known_target(chapter, target)?;
        let machine = target.as_ref().split('/').next().unwrap_or_default();
        single_machine(chapter, machine, target.span())?;
    }
    let acted_on = [&step.freeze, &step.thaw, &step.restart].into_iter().flatten();
    let grouped = step.partition.iter().flatten();
    let acted_on = acted_on.chain(&step.remove).chain(grouped);
    for machine in acted_on.filter(|machine| !is_role(chapter, machine)) {
        single_machine(chapter, machine.as_ref(), machine.span())?;
    }
    for machine in step.fill.iter().chain(&step.empty) {
        check_disk(chapter, machine)?;
    }
    if let Some(kind) = &step.add {
        let counted = |entry: &MachineEntry| entry.count.is_some();
        if !chapter.machine.get(kind.as_ref()).is_some_and(counted) {
            let message =
                format!("'{}' is not a kind of machine with a count, so none can be added", kind.as_ref());
            return Err(Problem { span: Some(kind.span()), message });
        }
    }
    let plain = [&step.cut, &step.fail, &step.heal].into_iter().flatten();
    let slow = step.slow.iter().map(|slow| &slow.link);
    for (from, to) in plain.chain(slow).chain(step.flap.iter().map(|flap| &flap.link)) {
        known_link(chapter, from, to)?;
    }
    if let Some(search) = &step.capacity {
        check_search(chapter, search)?;
    }
    if let Some(until) = &step.until {
        check_until(chapter, until)?;
        if step.measure.is_some() {
            return Err(problem(format!(
                "step '{}' has both until and measure; it can end in one way only",
                step.name
            )));
        }
    }
    if let Some(read) = &step.read {
        single_machine(chapter, read.from.as_ref(), read.from.span())?;
    }
    if let Some(stock) = &step.take_stock {
        known_history(chapter, stock.history.as_ref(), Some(stock.history.span()))?;
        spanned_machine(chapter, &stock.from)?;
    }
    step.expect.iter().try_for_each(|expect| check_expect(chapter, expect, so_far))
}

/// Only a database asks its machine for room: a Redis writes to the disk of this computer.
fn check_disk(chapter: &Chapter, machine: &Spanned<String>) -> Checked {
    if !is_role(chapter, machine) {
        single_machine(chapter, machine.as_ref(), machine.span())?;
    }
    let name = machine.as_ref();
    let has_database = |entry: &MachineEntry| entry.dbnode.is_some();
    if chapter.machine.iter().any(|(kind, entry)| has_database(entry) && is_of_kind(name, kind)) {
        return Ok(());
    }
    let message = format!("machine '{name}' has no dbnode whose disk could be full");
    Err(Problem { span: Some(machine.span()), message })
}

fn check_search(chapter: &Chapter, search: &CapacitySearch) -> Checked {
    for traffic in &search.of {
        known_traffic(chapter, traffic.as_ref(), Some(traffic.span()))?;
    }
    if search.from.is_finite() && search.from > 0.0 {
        return Ok(());
    }
    let message = "the first rate that is tried is a number of requests a second, above 0".into();
    Err(Problem { span: search.of.first().map(Spanned::span), message })
}

fn check_until(chapter: &Chapter, until: &Until) -> Checked {
    let machines = [&until.gone, &until.ejected, &until.admitted, &until.took_over];
    let machines: Vec<_> = machines.into_iter().flatten().collect();
    if let Some(balancer) = &until.by {
        check_by(chapter, until, balancer)?;
    }
    let clusters: Vec<_> = [&until.elected, &until.converged].into_iter().flatten().collect();
    match (&machines[..], &clusters[..], &until.recovered) {
        ([machine], [], None) => single_machine(chapter, machine.as_ref(), machine.span()),
        ([], [kind], None) => {
            has_part(chapter, "until", kind, "dbnode", |entry| entry.dbnode.is_some() && entry.count.is_some())
        }
        ([], [], Some(traffic)) => known_traffic(chapter, traffic.as_ref(), Some(traffic.span())),
        _ => Err(problem(
            "until waits for exactly one of gone, ejected, admitted, took-over, recovered, elected, converged"
                .into(),
        )),
    }
}

fn check_by(chapter: &Chapter, until: &Until, balancer: &Spanned<String>) -> Checked {
    let here = |message| Problem { span: Some(balancer.span()), message };
    if until.ejected.is_none() && until.admitted.is_none() {
        return Err(here("by goes with ejected or admitted: it names the balancer that does it".into()));
    }
    let name = balancer.as_ref();
    single_machine(chapter, name, balancer.span())?;
    if chapter.machine.iter().any(|(kind, entry)| entry.lb.is_some() && is_of_kind(name, kind)) {
        return Ok(());
    }
    Err(here(format!("machine '{name}' has no lb that could eject or admit another")))
}

fn check_expect(chapter: &Chapter, expect: &Expect, so_far: &[Step]) -> Checked {
    let here = |message| Problem { span: Some(expect.measure.span()), message };
    expect.bound().map_err(here)?;
    check_expression(chapter, expect.measure.as_ref(), so_far).map_err(here)
}

/// Whether an expression is one, and measures what there is.
fn check_expression(chapter: &Chapter, text: &str, so_far: &[Step]) -> Result<(), String> {
    let expression = Expression::<MeasureCall>::parse(text)?;
    for call in expression.measures() {
        check_measure(chapter, call, so_far).map_err(|problem| problem.message)?;
    }
    Ok(())
}

fn check_measure(chapter: &Chapter, MeasureCall { measure, of }: &MeasureCall, so_far: &[Step]) -> Checked {
    let description = measure.description();
    let traffic = description.traffic.then_some(Of::Traffic);
    for (kind, name) in description.of.iter().chain(&traffic).zip(of) {
        match kind {
            Of::Step => known_step(so_far, name)?,
            Of::Traffic => known_traffic(chapter, name, None)?,
            Of::Machine => known_machine(chapter, name, None)?,
            Of::Program => known_target(chapter, &Spanned::new(0..0, name.clone()))?,
            Of::History => known_history(chapter, name, None)?,
            // Which counters there are is known when they are read.
            Of::Counter => {}
        }
    }
    Ok(())
}

fn known_step(so_far: &[Step], name: &str) -> Checked {
    known_name("step", name, so_far.iter().map(|step| step.name.as_str()), None)
}

fn known_traffic(chapter: &Chapter, name: &str, span: Option<Range<usize>>) -> Checked {
    known_name("traffic", name, chapter.traffic.keys().map(String::as_str), span)
}

fn known_history(chapter: &Chapter, name: &str, span: Option<Range<usize>>) -> Checked {
    let histories = chapter.traffic.values().filter_map(|traffic| traffic.history.as_ref());
    known_name("history", name, histories.map(|history| history.of.as_str()), span)
}

fn spanned_machine(chapter: &Chapter, name: &Spanned<String>) -> Checked {
    known_machine(chapter, name.as_ref(), Some(name.span()))
}

/// A machine by its role, of a database or of a pair: `db:primary`, `lb:active`.
fn is_role(chapter: &Chapter, name: &Spanned<String>) -> bool {
    let Some((kind, role)) = role::parse(name.as_ref()) else { return false };
    let Some(entry) = chapter.machine.get(kind) else { return false };
    let is_of_pair = entry.lb.as_ref().is_some_and(|lb| lb.pair) && role.is_of_pair();
    is_of_pair || entry.dbnode.is_some() && role.is_of_database()
}

/// One machine, not a kind of which there may be several.
fn single_machine(chapter: &Chapter, name: &str, span: Range<usize>) -> Checked {
    known_machine(chapter, name, Some(span.clone()))?;
    match chapter.machine.get(name) {
        Some(MachineEntry { count: Some(_), .. }) => Err(Problem {
            span: Some(span),
            message: format!("'{name}' is a kind of machine; name one of them, such as '{name}-1'"),
        }),
        _ => Ok(()),
    }
}

/// A machine's name, a kind's name, or a member of a kind: `web-3` where `web` has a count.
fn known_machine(chapter: &Chapter, name: &str, span: Option<Range<usize>>) -> Checked {
    let member = name.rsplit_once('-').is_some_and(|(kind, number)| {
        let counted = chapter.machine.get(kind).is_some_and(|entry| entry.count.is_some());
        counted && number.parse::<u32>().is_ok_and(|number| number > 0)
    });
    if member {
        return Ok(());
    }
    known_name("machine", name, chapter.machine.keys().map(String::as_str), span)
}

/// A machine, or a program on it: `app/dbnode`.
fn known_target(chapter: &Chapter, target: &Spanned<String>) -> Checked {
    let (machine, program) = match target.as_ref().split_once('/') {
        Some((machine, program)) => (machine, Some(program)),
        None => (target.as_ref().as_str(), None),
    };
    known_machine(chapter, machine, Some(target.span()))?;
    match program {
        None => Ok(()),
        Some(known) if PROGRAMS.split(", ").any(|program| program == known) => Ok(()),
        Some(other) => Err(Problem {
            span: Some(target.span()),
            message: format!("there is no program '{other}'; known are {PROGRAMS}"),
        }),
    }
}

/// Whether a name stands for machines of this kind: itself, one of them, or one by its role.
fn is_of_kind(name: &str, kind: &str) -> bool {
    name == kind
        || name.rsplit_once('-').is_some_and(|(of, _)| of == kind)
        || role::parse(name).is_some_and(|(of, _)| of == kind)
}

fn known_link(chapter: &Chapter, from: &Spanned<String>, to: &Spanned<String>) -> Checked {
    let declared = |(one, other): &(Spanned<String>, Spanned<String>)| {
        is_of_kind(from.as_ref(), one.as_ref()) && is_of_kind(to.as_ref(), other.as_ref())
    };
    let in_mesh = |kind: &Spanned<String>| {
        is_of_kind(from.as_ref(), kind.as_ref()) && is_of_kind(to.as_ref(), kind.as_ref())
    };
    if chapter.links.iter().any(declared) || chapter.mesh.iter().any(in_mesh) {
        return Ok(());
    }
    let message =
        format!("there is no link from '{}' to '{}'; declare it in links", from.as_ref(), to.as_ref());
    Err(Problem { span: Some(from.span()), message })
}

fn known_name<'a>(
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
    span: Option<Range<usize>>,
) -> Checked {
    if known.clone().any(|known| known == name) {
        return Ok(());
    }
    let known = known.collect::<Vec<_>>().join(", ");
    Err(Problem { span, message: format!("there is no {what} '{name}'; known are {known}") })
}

fn problem(message: String) -> Problem {
    Problem { span: None, message }
}
