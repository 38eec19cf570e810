//! The wires of the picture: which machine connects to which. Pure.
#![deny(clippy::disallowed_methods)]

use chapter::{Chapter, MachineEntry};
use lab::{MachinePlan, Plan};
use schemars::JsonSchema;
use serde::Serialize;

/// A wire between two machines. `from` is `clients` for what comes from outside.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct Wire {
    /// The machine that connects.
    pub from: String,
    /// The machine that it connects to, or the kind if any machine of it will do.
    pub to: String,
    /// What it carries.
    pub carries: Carries,
}

/// What a wire carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Carries {
    /// A traffic of the chapter.
    Traffic,
    /// Requests that a balancer forwards.
    Requests,
    /// Queries from a web server to the database.
    Queries,
    /// Calls from a web server to Redis.
    Cache,
    /// Replication of a database or of Redis.
    Copies,
}

/// Returns every wire of a plan in its current state.
pub(crate) fn wires(chapter: &Chapter, plan: &Plan) -> Vec<Wire> {
    let mut wires: Vec<Wire> = Vec::new();
    let mut add = |from: &str, to: &str, carries| {
        let wire = Wire { from: from.into(), to: to.into(), carries };
        if from != to && !wires.contains(&wire) {
            wires.push(wire);
        }
    };
    for traffic in chapter.traffic.values() {
        add(CLIENTS, &target(chapter, plan, traffic.to.as_ref()), Carries::Traffic);
    }
    for machine in plan.machines.values().filter(|machine| !machine.removed) {
        let Some(entry) = chapter.machine.get(&machine.kind) else { continue };
        for (to, carries) in from_machine(chapter, plan, machine, entry) {
            add(&machine.name, &to, carries);
        }
    }
    wires
}

/// The name under which clients outside the lab appear.
pub(crate) const CLIENTS: &str = "clients";

/// Returns the target of a traffic. A pair of balancers, or a role, is shown as its kind.
fn target(chapter: &Chapter, plan: &Plan, to: &str) -> String {
    let name = to.split(['/', ':']).next().unwrap_or(to);
    match plan.machines.contains_key(name) || chapter.machine.contains_key(name) {
        true => name.to_owned(),
        false => to.to_owned(),
    }
}

fn from_machine(
    chapter: &Chapter,
    plan: &Plan,
    machine: &MachinePlan,
    entry: &MachineEntry,
) -> Vec<(String, Carries)> {
    let mut to = Vec::new();
    if let Some(lb) = &entry.lb {
        let upstreams = members(plan, lb.upstreams.as_ref());
        to.extend(upstreams.into_iter().map(|name| (name, Carries::Requests)));
    }
    if let Some(webserver) = &entry.webserver {
        to.push((webserver.db.as_ref().clone(), Carries::Queries));
        let redis = webserver.redis.as_ref().map(|redis| redis.as_ref().clone());
        let watched = || {
            let sentinels = chapter.machine.get(webserver.sentinels.as_ref()?.as_ref())?;
            Some(sentinels.sentinel.as_ref()?.watches.as_ref().clone())
        };
        to.extend(redis.or_else(watched).map(|name| (name, Carries::Cache)));
    }
    if let Some(primary) = entry.redis.as_ref().and_then(|redis| redis.replica_of.as_ref()) {
        to.push((primary.as_ref().clone(), Carries::Copies));
    }
    if entry.dbnode.is_some() && entry.webserver.is_none() {
        let others = plan.of_kind(&machine.kind).filter(|other| other.name > machine.name);
        to.extend(others.map(|other| (other.name.clone(), Carries::Copies)));
    }
    to
}

fn members(plan: &Plan, name: &str) -> Vec<String> {
    match plan.machines.get(name) {
        Some(machine) => vec![machine.name.clone()],
        None => plan.of_kind(name).map(|machine| machine.name.clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chapter::Source;
    use lab::plan::Deployment;

    fn of(name: &str) -> Vec<String> {
        let chapter = Source::open(name, &[]).unwrap().chapter;
        let plan = Plan::of(&chapter, Deployment::on_paper()).unwrap();
        wires(&chapter, &plan).iter().map(|wire| format!("{}>{}", wire.from, wire.to)).collect()
    }

    #[test]
    fn wires_lead_from_the_clients_to_the_disk() {
        let wires = of("server-failure");
        for wire in ["clients>lb", "clients>careful", "lb>web-5", "web-3>db", "retries>shop-6"] {
            assert!(wires.iter().any(|known| known == wire), "{wire}: {wires:?}");
        }
        assert!(!wires.iter().any(|wire| wire == "lb>shop-1"), "{wires:?}");
    }

    #[test]
    fn a_cluster_is_reached_as_a_kind_and_copies_to_itself() {
        let wires = of("primary-failure");
        for wire in ["clients>web", "clients>db", "web>db", "db-1>db-2", "db-2>db-3"] {
            assert!(wires.iter().any(|known| known == wire), "{wire}: {wires:?}");
        }
    }

    #[test]
    fn one_machine_has_no_wire_to_itself() {
        assert_eq!(of("one-machine"), ["clients>app"]);
    }
}
