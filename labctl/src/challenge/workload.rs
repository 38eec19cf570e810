//! Gives every solution the same workload and the same usual machine, and computes what its machines cost. Pure.
#![deny(clippy::disallowed_methods)]

use bytesize::ByteSize;
use chapter::machines::{DbnodePart, MachineEntry, WebserverPart};
use chapter::{Source, Span};
use serde::{Deserialize, Serialize};

use crate::table::Prices;
use lab::Plan;

const WORKLOAD: &str = include_str!("../../challenges/workload.toml");

/// The top-level keys that a solution may have.
const TOP_LEVEL: [&str; 7] = ["number", "title", "question", "next", "machine", "links", "mesh"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Workload {
    machine: Size,
    webserver: WebserverCost,
    dbnode: DbnodeCost,
}

/// The size of the usual machine, which costs the list price once.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Size {
    cores: u32,
    memory: ByteSize,
    disk_iops: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WebserverCost {
    page_cost: Span,
    hit_cost: Span,
    request_memory: ByteSize,
    resident_memory: ByteSize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct DbnodeCost {
    query_cost: Span,
    products: u32,
    page_reads: bool,
}

impl Workload {
    fn given() -> Self {
        toml::from_str(WORKLOAD).expect("a test reads it")
    }
}

/// Applies the workload and the usual machine to a solution. The error lists everything that the solution must not set.
pub(super) fn given(mut solution: Source) -> Result<Source, Vec<String>> {
    let text: toml::Table =
        toml::from_str(&solution.text).map_err(|error| vec![error.message().to_owned()])?;
    let mut refused: Vec<String> = text
        .keys()
        .filter(|key| !TOP_LEVEL.contains(&key.as_str()))
        .map(|key| format!("[{key}]: a challenge is solved with machines alone, and brings its own traffic"))
        .collect();
    let workload = Workload::given();
    for (kind, entry) in &mut solution.chapter.machine {
        let is_written = |key: &str| {
            let machine = text.get("machine").and_then(|machines| machines.get(kind));
            machine.and_then(|machine| machine.get(key)).is_some()
        };
        workload.size(entry, is_written);
        let wrong = workload.wrong(entry).into_iter().chain(foreign(entry));
        refused.extend(wrong.map(|what| format!("machine.{kind}: {what}")));
    }
    if refused.is_empty() { Ok(solution) } else { Err(refused) }
}

/// Returns a complaint for each program that is not the lab's own. Those are for `labctl grade`: nothing makes them
/// spend what the workload prescribes.
fn foreign(entry: &MachineEntry) -> Vec<String> {
    let lb = entry.lb.as_ref().and_then(|lb| lb.program.as_ref());
    let dbnode = entry.dbnode.as_ref().and_then(|node| node.program.as_ref());
    let refused = |program: &String| {
        format!("program = \"{program}\": a challenge is solved with the lab's own programs")
    };
    lb.into_iter().chain(dbnode).map(refused).collect()
}

impl Workload {
    fn size(&self, entry: &mut MachineEntry, is_written: impl Fn(&str) -> bool) {
        if !is_written("cores") {
            entry.cores = self.machine.cores;
        }
        if !is_written("memory") {
            entry.memory = self.machine.memory;
        }
        if !is_written("disk-iops") {
            entry.disk_iops = self.machine.disk_iops;
        }
    }

    /// Sets the costs of the workload, and returns the keys that the solution must not set, or set to other values.
    fn wrong(&self, entry: &mut MachineEntry) -> Vec<String> {
        let mut wrong = Vec::new();
        if entry.exclusive > 0.0 {
            wrong.push("`exclusive` is not a challenge's: leave it out".into());
        }
        if let Some(web) = &mut entry.webserver {
            let WebserverCost { page_cost, hit_cost, request_memory, resident_memory } = &self.webserver;
            let WebserverPart { page_cost: page, hit_cost: hit, request_memory: request, .. } = web;
            give(page, *page_cost, "page-cost", &mut wrong);
            give(hit, *hit_cost, "hit-cost", &mut wrong);
            give(request, *request_memory, "request-memory", &mut wrong);
            give(&mut web.resident_memory, *resident_memory, "resident-memory", &mut wrong);
        }
        if let Some(node) = &mut entry.dbnode {
            self.wrong_node(node, &mut wrong);
        }
        wrong
    }

    fn wrong_node(&self, node: &mut DbnodePart, wrong: &mut Vec<String>) {
        let DbnodeCost { query_cost, products, page_reads } = &self.dbnode;
        give(&mut node.query_cost, *query_cost, "query-cost", wrong);
        if node.products != 0 && node.products != *products {
            wrong.push(format!("products is given: {products}"));
        }
        (node.products, node.page_reads) = (*products, *page_reads);
    }
}

/// Sets a key to its given value, and reports it as wrong if the solution had another one.
fn give<T: PartialEq + Shown>(written: &mut Option<T>, given: T, key: &str, wrong: &mut Vec<String>) {
    if written.as_ref().is_some_and(|written| *written != given) {
        wrong.push(format!("{key} is given: {}", given.shown()));
    }
    *written = Some(given);
}

/// Formats a given value as it is written in a file.
trait Shown {
    fn shown(&self) -> String;
}

impl Shown for Span {
    fn shown(&self) -> String {
        humantime::format_duration(self.0).to_string()
    }
}

impl Shown for ByteSize {
    fn shown(&self) -> String {
        self.to_string()
    }
}

/// The cost of the machines of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Item {
    /// The kind, such as `web`.
    pub kind: String,
    /// How many there are.
    pub count: usize,
    /// Dollars a month for each.
    pub each: f64,
    /// The size of each, as a multiple of the usual machine.
    pub size: f64,
}

/// Returns what an architecture costs, kind by kind. The error names a program without a price.
pub(super) fn bill(solution: &Source, plan: &Plan, prices: &Prices) -> Result<Vec<Item>, String> {
    let usual = Workload::given().machine;
    let item = |(kind, entry): (&String, &MachineEntry)| {
        let mut machines = plan.of_kind(kind).peekable();
        let Some(first) = machines.peek() else { return Ok(None) };
        let size = size(entry, &usual);
        let each = prices.of_machine(first)? * size;
        Ok(Some(Item { kind: kind.clone(), count: machines.count(), each, size }))
    };
    solution.chapter.machine.iter().filter_map(|kind| item(kind).transpose()).collect()
}

/// Returns the size that a machine is charged for, as a multiple of the usual one: the largest ratio of its cores,
/// memory and disk, and at least 1.
fn size(entry: &MachineEntry, usual: &Size) -> f64 {
    let cores = f64::from(entry.cores) / f64::from(usual.cores);
    let memory = entry.memory.as_u64() as f64 / usual.memory.as_u64() as f64;
    let disk = f64::from(entry.disk_iops) / f64::from(usual.disk_iops);
    cores.max(memory).max(disk).max(1.0)
}

/// Returns the total of a bill, in dollars a month.
pub fn total(bill: &[Item]) -> f64 {
    bill.iter().map(|item| item.count as f64 * item.each).sum()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::audit::library;
    use lab::plan::Deployment;

    fn solution(machines: &str) -> Source {
        let text = format!("number = 1\ntitle = \"t\"\nquestion = \"q\"\n{machines}");
        Source::parse(Path::new("mine.toml"), &text, &[]).expect("it is an architecture")
    }

    fn cost(machines: &str) -> f64 {
        let solution = given(solution(machines)).expect("nothing is refused");
        let plan = Plan::of(&solution.chapter, Deployment::on_paper()).expect("it can stand");
        total(&bill(&solution, &plan, &Prices::built_in()).expect("all have a price"))
    }

    const WEB: &str = "webserver = { db = \"db\" }";

    #[test]
    fn a_solution_gets_the_work_and_the_machines_of_the_challenge() {
        let solution =
            given(solution(&format!("[machine.web]\n{WEB}\n[machine.db]\ndbnode = {{}}"))).expect("fine");
        let web = &solution.chapter.machine["web"];
        assert_eq!((web.cores, web.memory, web.disk_iops), (1, ByteSize::mib(256), 31));
        assert!(web.webserver.as_ref().is_some_and(|web| web.page_cost.is_some() && web.hit_cost.is_some()));
        let node = solution.chapter.machine["db"].dbnode.as_ref().expect("there is one");
        assert!(node.page_reads && node.products == 800);
    }

    #[test]
    fn the_architectures_that_come_with_the_lab_are_solutions_as_they_are() {
        for name in library::names() {
            given(library::open(name).expect("it is known"))
                .unwrap_or_else(|refused| panic!("{name}: {refused:?}"));
        }
    }

    #[test]
    fn work_that_was_made_cheaper_is_refused_and_so_is_traffic_and_a_foreign_program() {
        let refused = |machines: &str| given(solution(machines)).expect_err("it cheats").join("; ");
        let cheap = "[machine.db]\ndbnode = { query-cost = \"1us\", products = 3 }\n[machine.web]\nwebserver = { db = \"db\", page-cost = \"1us\" }";
        assert_eq!(
            refused(cheap),
            "machine.db: query-cost is given: 2ms 500us; machine.db: products is given: 800; machine.web: page-cost is given: 8ms 750us"
        );
        let own = format!(
            "[machine.lb]\nlb = {{ upstreams = \"web\", program = \"haproxy\" }}\n[machine.web]\n{WEB}\n[machine.db]\ndbnode = {{}}"
        );
        assert!(refused(&own).contains("the lab's own programs"), "{}", refused(&own));
        let traffic = format!(
            "[machine.web]\n{WEB}\n[machine.db]\ndbnode = {{}}\n[traffic.read]\nto = \"web\"\npath = \"/healthz\""
        );
        assert!(refused(&traffic).starts_with("[traffic]: "), "{}", refused(&traffic));
    }

    #[test]
    fn a_larger_machine_costs_as_many_times_more_and_programs_that_share_one_cost_nothing() {
        assert_eq!(cost(&format!("[machine.web]\n{WEB}\n[machine.db]\ndbnode = {{}}")), 400.0);
        assert_eq!(cost("[machine.app]\nwebserver = { db = \"app\" }\ndbnode = {}"), 200.0);
        assert_eq!(
            cost("[machine.app]\nmemory = \"512MiB\"\nwebserver = { db = \"app\" }\ndbnode = {}"),
            400.0
        );
        assert_eq!(
            cost("[machine.app]\ncores = 2\ndisk-iops = 93\nwebserver = { db = \"app\" }\ndbnode = {}"),
            600.0
        );
        assert_eq!(
            cost("[machine.app]\nmemory = \"64MiB\"\nwebserver = { db = \"app\" }\ndbnode = {}"),
            200.0
        );
    }
}
