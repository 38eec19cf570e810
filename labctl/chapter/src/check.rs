//! Checks that everything a chapter names exists.

use std::ops::Range;
use std::time::Duration;

use super::act::{Act, Target};
use super::expression::Expression;
use super::limits::{self, takes_time};
use super::machines::{MACHINES_MAX, WebserverPart};
use super::measures::{MeasureCall, Of};
use super::mistake::{Mistake, Place};
use super::step::{CapacitySearch, Step, Until};
use super::table::MEASURE;
use super::traffic::{Draw, Retry, Traffic};
use super::{
    Chapter, Chart, MachineEntry, Spanned, ZIPF_KEYS_MAX, chart, kind, map, measurable, role, suggest,
};

pub(crate) type Checked = Result<(), Mistake>;

/// The mistakes found so far.
pub(crate) struct Found(Vec<Mistake>);

impl Found {
    /// Notes a mistake, if there is one: at its own place if it has one, else at this key.
    pub(crate) fn note(&mut self, key: &[&str], checked: Checked) {
        if let Err(mut mistake) = checked {
            let here = || Place::Key(key.iter().map(|word| (*word).to_owned()).collect());
            mistake.place = mistake.place.or_else(|| Some(here()));
            self.0.push(mistake);
        }
    }
}

/// The programs that a machine can run.
const PROGRAMS: &str = "lb, webserver, dbnode, redis, sentinel";

/// The methods that a request can have.
const METHODS: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"];

/// The most retries of a request.
const RETRIES_MAX: u32 = 20;

/// The longest pause before a retry.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(60);

/// Finds every mistake in a chapter. If it is incomplete, because parts could not be parsed, its claims are
/// not checked for whether they can be measured.
pub(super) fn check(chapter: &Chapter, is_complete: bool) -> Vec<Mistake> {
    let mut found = Found(Vec::new());
    limits::check(chapter, &mut found);
    for (name, entry) in &chapter.machine {
        check_machine(chapter, name, entry, &mut found);
    }
    for end in chapter.links.iter().flat_map(|(from, to)| [from, to]) {
        found.note(&["links"], spanned_machine(chapter, end));
    }
    found.note(&["map"], map::check(chapter));
    for kind in &chapter.mesh {
        if chapter.machine.get(kind.as_ref()).and_then(|entry| entry.count).is_none() {
            let message = format!("'{}' is not a kind of machine with a count", kind.as_ref());
            found.note(&["mesh"], Err(at(kind.span(), message)));
        }
    }
    for (name, traffic) in &chapter.traffic {
        check_traffic(chapter, name, traffic, &mut found);
    }
    for (index, step) in chapter.step.iter().enumerate() {
        let number = index.to_string();
        if chapter.step[..index].iter().any(|other| other.name == step.name) {
            let twice = problem(format!("there are two steps called '{}'", step.name));
            found.note(&["step", &number, "name"], Err(twice));
        }
        check_step(chapter, step, &number, &mut found);
        check_claims(chapter, index, is_complete, &mut found);
    }
    check_ids(chapter, &mut found);
    for chart in &chapter.chart {
        found.note(&["chart"], chart::check(chapter, chart));
    }
    for expression in chapter.chart.iter().flat_map(Chart::expressions) {
        let checked = check_expression(chapter, expression.as_ref(), &chapter.step, is_complete);
        found.note(&["chart"], checked.map_err(|message| at(expression.span(), message)));
    }
    for (number, table) in chapter.table.iter().enumerate() {
        if table.title.contains(MEASURE) && table.measured(chapter).is_none() {
            let message = format!("the title says {MEASURE}, and no step of the table has measure");
            found.note(&["table", &number.to_string(), "title"], Err(problem(message)));
        }
        let cells = table.cells().collect::<Vec<_>>();
        let checked = cells.iter().try_for_each(|cell| {
            check_expression(chapter, cell, &chapter.step, is_complete)
                .map_err(|message| at(table.measure.span(), message))
        });
        found.note(&["table"], checked);
    }
    found.0
}

/// Checks that the ids of claims are unique.
fn check_ids(chapter: &Chapter, found: &mut Found) {
    let mut seen = std::collections::HashSet::new();
    for (index, step) in chapter.step.iter().enumerate() {
        for (number, expect) in step.expect.iter().enumerate() {
            let Some(id) = expect.id.as_ref().filter(|id| !seen.insert(id.as_str())) else { continue };
            let place = ["step", &index.to_string(), "expect", &number.to_string(), "id"];
            found.note(&place, Err(problem(format!("there are two claims with the id '{id}'"))));
        }
    }
}

fn check_traffic(chapter: &Chapter, name: &str, traffic: &Traffic, found: &mut Found) {
    let key = |key| ["traffic", name, key];
    if !is_role(chapter, traffic.to.as_ref()) {
        found.note(&key("to"), known_target(chapter, traffic.to.as_ref(), &traffic.to.span()));
    }
    if !METHODS.contains(&traffic.method.as_str()) {
        found.note(&key("method"), Err(problem(suggest::unknown("method", &traffic.method, METHODS))));
    }
    if traffic.draw == Draw::Zipf && traffic.keys > ZIPF_KEYS_MAX {
        let message = format!("there are at most {ZIPF_KEYS_MAX} Zipf keys");
        found.note(&key("keys"), Err(problem(message)));
    }
    if let Some(dice) = &traffic.dice {
        found.note(&key("dice"), known_traffic(chapter, dice.as_ref(), Some(dice.span())));
    }
    if !traffic.path.starts_with('/') {
        let message = format!("the path '{}' does not begin with /", traffic.path);
        found.note(&key("path"), Err(problem(message)));
    }
    if let Some(retry) = &traffic.retry {
        found.note(&key("retry"), check_retry(traffic, retry));
    }
}

fn check_machine(chapter: &Chapter, name: &str, entry: &MachineEntry, found: &mut Found) {
    let key = ["machine", name];
    let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    if name.is_empty() || !name.chars().all(plain) {
        let message = format!("a machine's name is made of a-z, 0-9 and -, not '{name}'");
        found.note(&key, Err(problem(message)));
    }
    if entry.count.is_some_and(|count| count as usize > MACHINES_MAX) {
        let message = format!("machine '{name}': a lab has at most {MACHINES_MAX} machines");
        found.note(&["machine", name, "count"], Err(problem(message)));
    }
    if let Some((kind, _)) = name.rsplit_once('-')
        && chapter.machine.get(kind).is_some_and(|kind| kind.count.is_some())
    {
        let message =
            format!("'{name}' is what one of the machines of kind '{kind}' is called; choose another name");
        found.note(&key, Err(problem(message)));
    }
    if !PROGRAMS.split(", ").any(|program| has_program(entry, program)) {
        let message = format!("machine '{name}' has nothing on it; known are {PROGRAMS}");
        found.note(&key, Err(problem(message)));
    }
    if let Some(lb) = &entry.lb {
        found.note(&key, spanned_machine(chapter, &lb.upstreams));
        if lb.pair && entry.count != Some(2) {
            let message = format!("machine '{name}': a pair of balancers has count = 2");
            found.note(&["machine", name, "lb", "pair"], Err(problem(message)));
        }
    }
    if let Some(webserver) = &entry.webserver {
        check_webserver(chapter, name, entry, webserver, found);
    }
    if let Some(primary) = entry.redis.as_ref().and_then(|redis| redis.replica_of.as_ref()) {
        found.note(&key, has_part(chapter, name, primary, "redis"));
    }
    if let Some(sentinel) = &entry.sentinel {
        found.note(&key, has_part(chapter, name, &sentinel.watches, "redis"));
    }
}

fn check_webserver(
    chapter: &Chapter,
    name: &str,
    entry: &MachineEntry,
    webserver: &WebserverPart,
    found: &mut Found,
) {
    let key = ["machine", name, "webserver"];
    let WebserverPart { db, redis, sentinels, sessions, cache, resident_memory, .. } = webserver;
    found.note(&key, has_part(chapter, name, db, "dbnode"));
    if let Some(redis) = redis {
        found.note(&key, has_part(chapter, name, redis, "redis"));
    }
    if let Some(sentinels) = sentinels {
        found.note(&key, has_part(chapter, name, sentinels, "sentinel"));
    }
    let wants_redis = [sessions, cache].into_iter().flatten().any(|place| place == "redis");
    if wants_redis && redis.is_none() && sentinels.is_none() {
        let message = format!(
            "the web server on '{name}' keeps something in redis, but names neither redis nor sentinels"
        );
        found.note(&key, Err(problem(message)));
    }
    if let Some(resident) = resident_memory.filter(|resident| *resident > entry.memory) {
        let message =
            format!("machine '{name}' has {}, and its web server alone takes {resident}", entry.memory);
        found.note(&["machine", name, "webserver", "resident-memory"], Err(problem(message)));
    }
}

/// True if a machine runs a program.
fn has_program(entry: &MachineEntry, program: &str) -> bool {
    match program {
        "lb" => entry.lb.is_some(),
        "webserver" => entry.webserver.is_some(),
        "dbnode" => entry.dbnode.is_some(),
        "redis" => entry.redis.is_some(),
        "sentinel" => entry.sentinel.is_some(),
        _ => false,
    }
}

/// Checks that the machine which a program on `user` needs runs the `program` needed.
fn has_part(chapter: &Chapter, user: &str, wanted: &Spanned<String>, program: &str) -> Checked {
    spanned_machine(chapter, wanted)?;
    if chapter.machine.get(wanted.as_ref()).is_some_and(|entry| has_program(entry, program)) {
        return Ok(());
    }
    Err(at(wanted.span(), format!("machine '{}' has no {program} for '{user}'", wanted.as_ref())))
}

/// Checks a step. `number` is its index among the steps.
fn check_step(chapter: &Chapter, step: &Step, number: &str, found: &mut Found) {
    let key = ["step", number];
    for traffic in step.load.keys().chain(step.send.keys()) {
        found.note(&key, known_traffic(chapter, traffic.as_ref(), Some(traffic.span())));
    }
    check_end(step, number, found);
    for act in &step.acts {
        found.note(&key, check_act(chapter, act.as_ref(), &act.span()));
    }
    if let Some(search) = &step.capacity {
        found.note(&key, check_search(chapter, search));
        found.note(&["step", number, "capacity", "probe"], takes_time("probe", Some(search.probe)));
    }
    if let Some(until) = &step.until {
        found.note(&["step", number, "until"], check_until(chapter, until));
        found.note(&["step", number, "until", "within"], takes_time("within", Some(until.within)));
    }
    if let Some(read) = &step.read {
        found.note(&key, single_machine(chapter, read.from.as_ref(), read.from.span()));
    }
    if let Some(stock) = &step.take_stock {
        found.note(&key, known_history(chapter, stock.history.as_ref(), Some(stock.history.span())));
        found.note(&key, spanned_machine(chapter, &stock.from));
    }
}

/// Checks the end of a step: there is only one, and it does not come at once.
fn check_end(step: &Step, number: &str, found: &mut Found) {
    let key = ["step", number];
    if !step.send.is_empty() && (step.measure.is_some() || step.until.is_some()) {
        found.note(
            &key,
            Err(problem(format!(
                "step '{}' has send, and measure or until besides; it can end in one way only",
                step.name
            ))),
        );
    }
    if step.until.is_some() && step.measure.is_some() {
        let message = format!("step '{}' has both until and measure; it can end in one way only", step.name);
        found.note(&key, Err(problem(message)));
    }
    found.note(&["step", number, "measure"], takes_time("measure", step.measure));
}

fn check_act(chapter: &Chapter, act: &Act, span: &Range<usize>) -> Checked {
    match act.mistake() {
        Some(message) => Err(at(span.clone(), message)),
        None => act.targets().into_iter().try_for_each(|target| check_target(chapter, target, span)),
    }
}

fn check_target(chapter: &Chapter, target: Target<'_>, span: &Range<usize>) -> Checked {
    match target {
        Target::Machine(name) | Target::Program(name) | Target::Member(name) if is_role(chapter, name) => {
            Ok(())
        }
        Target::Machine(name) | Target::Member(name) => single_machine(chapter, name, span.clone()),
        Target::Program(name) => {
            known_target(chapter, name, span)?;
            single_machine(chapter, name.split('/').next().unwrap_or_default(), span.clone())
        }
        Target::Disk(name) => check_disk(chapter, name, span),
        Target::Kind(kind) if chapter.machine.get(kind).is_some_and(|entry| entry.count.is_some()) => Ok(()),
        Target::Kind(kind) => {
            let message = format!("'{kind}' is not a kind of machine with a count, so none can be added");
            Err(at(span.clone(), message))
        }
        Target::Several(kind) => check_several(chapter, kind, span),
        Target::Link(from, to) => known_link(chapter, from, to, span),
    }
}

/// Checks that a kind can be rolled: with only one machine nothing would serve while it is replaced.
fn check_several(chapter: &Chapter, kind: &str, span: &Range<usize>) -> Checked {
    known_machine(chapter, kind, Some(span.clone()))?;
    if chapter.machine.get(kind).and_then(|entry| entry.count).is_some_and(|count| count >= 2) {
        return Ok(());
    }
    let message = format!(
        "'{kind}' is one machine: a roll replaces the machines of a kind one by one while the others go on, so the kind needs a count of 2 or more"
    );
    Err(at(span.clone(), message))
}

/// Checks a retry policy. Without a limit, a lasting failure would be retried for ever.
fn check_retry(traffic: &Traffic, spanned: &Spanned<Retry>) -> Checked {
    let here = |message| Err(at(spanned.span(), message));
    let Retry { times, pause, budget } = spanned.as_ref();
    match times {
        None => return here("a retry needs a limit: say how often, such as times = 3".into()),
        Some(times) if !(1..=RETRIES_MAX).contains(times) => {
            return here(format!("a request is repeated 1 to {RETRIES_MAX} times, not {times}"));
        }
        Some(_) => {}
    }
    if pause.0 > RETRY_PAUSE_MAX {
        return here(format!("a pause before a retry is {RETRY_PAUSE_MAX:?} at most, not {pause}"));
    }
    if budget.is_some_and(|budget| !(budget > 0.0 && budget <= 1.0)) {
        return here("a retry budget is a share of the requests, above 0 and up to 1, such as 0.1".into());
    }
    if traffic.history.is_some() {
        return here(
            "a traffic with a history cannot retry: a write that is repeated may have happened twice, and the history could not tell".into(),
        );
    }
    Ok(())
}

/// Checks an act on a disk: only a database asks its machine for disk space; Redis writes to this computer's
/// disk.
fn check_disk(chapter: &Chapter, name: &str, span: &Range<usize>) -> Checked {
    if !is_role(chapter, name) {
        single_machine(chapter, name, span.clone())?;
    }
    let has_database = |entry: &MachineEntry| entry.dbnode.is_some();
    if chapter.machine.iter().any(|(kind, entry)| has_database(entry) && is_of_kind(name, kind)) {
        return Ok(());
    }
    Err(at(span.clone(), format!("machine '{name}' has no dbnode whose disk could be full")))
}

fn check_search(chapter: &Chapter, search: &CapacitySearch) -> Checked {
    search.of.iter().try_for_each(|traffic| known_traffic(chapter, traffic.as_ref(), Some(traffic.span())))
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
            has_part(chapter, "until", kind, "dbnode")?;
            match chapter.machine.get(kind.as_ref()).and_then(|entry| entry.count) {
                Some(_) => Ok(()),
                None => Err(at(kind.span(), format!("'{}' is a single machine, not a cluster", kind.as_ref()))),
            }
        }
        ([], [], Some(traffic)) => known_traffic(chapter, traffic.as_ref(), Some(traffic.span())),
        _ => Err(problem(
            "until waits for exactly one of gone, ejected, admitted, took-over, recovered, elected, converged"
                .into(),
        )),
    }
}

fn check_by(chapter: &Chapter, until: &Until, balancer: &Spanned<String>) -> Checked {
    let here = |message| at(balancer.span(), message);
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

/// Checks the claims of one step. A claim can refer to its own step and to those before it.
fn check_claims(chapter: &Chapter, index: usize, is_complete: bool, found: &mut Found) {
    let so_far = &chapter.step[..=index];
    for (number, expect) in chapter.step[index].expect.iter().enumerate() {
        let place = ["step", &index.to_string(), "expect", &number.to_string()];
        found.note(&place, expect.bound().map(|_| ()).map_err(problem));
        let checked = check_expression(chapter, expect.measure.as_ref(), so_far, is_complete);
        found.note(&place, checked.map_err(|message| at(expect.measure.span(), message)));
    }
}

/// Checks that an expression is valid, and measures things that exist and can be measured.
fn check_expression(chapter: &Chapter, text: &str, so_far: &[Step], is_complete: bool) -> Result<(), String> {
    let expression = Expression::<MeasureCall>::parse(text)?;
    limits::check_divisors(&expression)?;
    for call in expression.measures() {
        check_measure(chapter, call, so_far).map_err(|mistake| mistake.message)?;
        if is_complete {
            measurable::check(chapter, call, so_far)?;
        }
    }
    Ok(())
}

fn check_measure(chapter: &Chapter, MeasureCall { measure, of }: &MeasureCall, so_far: &[Step]) -> Checked {
    let description = measure.description();
    let traffic = description.traffic.then_some(Of::Traffic);
    for (kind, name) in description.of.iter().chain(&traffic).zip(of) {
        match kind {
            Of::Step => known_step(chapter, so_far, name)?,
            Of::Traffic => known_traffic(chapter, name, None)?,
            Of::Machine => known_machine(chapter, name, None)?,
            Of::Program => known_target(chapter, name, &(0..0))?,
            Of::History => known_history(chapter, name, None)?,
            // The available counters are known only when they are read.
            Of::Counter => {}
        }
    }
    Ok(())
}

fn known_step(chapter: &Chapter, so_far: &[Step], name: &str) -> Checked {
    let is_it = |step: &Step| step.name == name;
    if !so_far.iter().any(is_it) && chapter.step[so_far.len()..].iter().any(is_it) {
        return Err(problem(format!(
            "step '{name}' comes later; a claim speaks of its own step, or of one before it"
        )));
    }
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

/// True for a machine's role in a database or a pair: `db:primary`, `lb:active`.
fn is_role(chapter: &Chapter, name: &str) -> bool {
    let Some((kind, role)) = role::parse(name) else { return false };
    let Some(entry) = chapter.machine.get(kind) else { return false };
    let is_of_pair = entry.lb.as_ref().is_some_and(|lb| lb.pair) && role.is_of_pair();
    is_of_pair || entry.dbnode.is_some() && role.is_of_database()
}

/// Checks that a name is one machine, not a kind with a count.
fn single_machine(chapter: &Chapter, name: &str, span: Range<usize>) -> Checked {
    known_machine(chapter, name, Some(span.clone()))?;
    match chapter.machine.get(name) {
        Some(MachineEntry { count: Some(_), .. }) => {
            Err(at(span, format!("'{name}' is a kind of machine; name one of them, such as '{name}-1'")))
        }
        _ => Ok(()),
    }
}

/// Checks the name of a machine, of a kind, or of a member of a kind: `web-3` if `web` has a count.
fn known_machine(chapter: &Chapter, name: &str, span: Option<Range<usize>>) -> Checked {
    let member = kind::split(name).and_then(|(kind, number)| {
        let count = chapter.machine.get(kind)?.count?;
        Some((kind, count, number))
    });
    if let Some((kind, count, number)) = member {
        let is_added = |act: &Act| matches!(act, Act::Add { kind: added } if added.as_str() == kind);
        let added = chapter.step.iter().flat_map(Step::acts).filter(|act| is_added(act)).count();
        let most = count + u32::try_from(added).unwrap_or(u32::MAX - count);
        return match number <= most {
            true => Ok(()),
            false => Err(Mistake {
                place: span.map(Place::Span),
                message: format!("there is no machine '{name}': the last of its kind is '{kind}-{most}'"),
            }),
        };
    }
    known_name("machine", name, chapter.machine.keys().map(String::as_str), span)
}

/// Checks the name of a machine or of a program on it: `app/dbnode`.
fn known_target(chapter: &Chapter, target: &str, span: &Range<usize>) -> Checked {
    let (machine, program) = match target.split_once('/') {
        Some((machine, program)) => (machine, Some(program)),
        None => (target, None),
    };
    known_machine(chapter, machine, Some(span.clone()))?;
    let Some(program) = program else { return Ok(()) };
    if !PROGRAMS.split(", ").any(|known| known == program) {
        return Err(at(span.clone(), suggest::unknown("program", program, PROGRAMS.split(", "))));
    }
    let has_it =
        |(kind, entry): (&String, &MachineEntry)| is_of_kind(machine, kind) && has_program(entry, program);
    if chapter.machine.iter().any(has_it) {
        return Ok(());
    }
    Err(at(span.clone(), format!("machine '{machine}' has no {program}")))
}

/// True if a name stands for machines of this kind: the kind itself, one of them, or a role.
fn is_of_kind(name: &str, kind: &str) -> bool {
    kind::is_of(name, kind) || role::parse(name).is_some_and(|(of, _)| of == kind)
}

fn known_link(chapter: &Chapter, from: &str, to: &str, span: &Range<usize>) -> Checked {
    let declared = |(one, other): &(Spanned<String>, Spanned<String>)| {
        is_of_kind(from, one.as_ref()) && is_of_kind(to, other.as_ref())
    };
    let in_mesh = |kind: &Spanned<String>| is_of_kind(from, kind.as_ref()) && is_of_kind(to, kind.as_ref());
    if chapter.links.iter().any(declared) || chapter.mesh.iter().any(in_mesh) {
        return Ok(());
    }
    Err(at(span.clone(), format!("there is no link from '{from}' to '{to}'; declare it in links")))
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
    Err(Mistake { place: span.map(Place::Span), message: suggest::unknown(what, name, known) })
}

pub(crate) fn at(span: Range<usize>, message: String) -> Mistake {
    Mistake { place: Some(Place::Span(span)), message }
}

/// A mistake at the place that is being checked.
pub(crate) fn problem(message: String) -> Mistake {
    Mistake { place: None, message }
}
