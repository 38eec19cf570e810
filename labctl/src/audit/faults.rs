//! The faults of an architecture: every program, machine and link, and each fault that it can have. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;

use chapter::{Act, kind, role, suggest};
use lab::{MachinePlan, Plan, Program};

/// A component that can fail on its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Component {
    /// A program, named after its machine if it is alone there, or by its role in a cluster.
    Program {
        /// `web-1`, `app/dbnode`, `db:primary`.
        name: String,
        /// `webserver`.
        program: &'static str,
    },
    /// A machine with several programs on it.
    Machine {
        /// Its name.
        name: String,
    },
    /// The network path from one machine to another.
    Link {
        /// The machine that opens the connections.
        from: String,
        /// The machine at the other end.
        to: String,
    },
}

/// The kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The process is killed: connections are refused.
    Kill,
    /// The process is frozen: it accepts connections but answers nothing.
    Freeze,
    /// A network partition: packets are dropped silently, on one link or on every link of a machine.
    Cut,
    /// The machine is switched off and on again at once, faster than a failure detector reacts.
    Restart,
    /// The disk of its machine is full.
    Fill,
}

/// One fault of one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The component that fails.
    pub component: Component,
    /// The kind of fault.
    pub kind: FaultKind,
    /// All components that it represents: itself and, in a quick audit, everything like it.
    pub stands_for: Vec<String>,
}

/// How many of a set of identical machines are tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One of each set: the first of five web servers represents all.
    OneOfEach,
    /// Every machine.
    Everything,
}

/// Selects the faults of an audit.
#[derive(Debug, Clone)]
pub struct Selection {
    /// How many of a set of identical machines are tested.
    pub scope: Scope,
    /// Only components whose names begin with this.
    pub only: Option<String>,
    /// Whether only kills are injected.
    pub kills_only: bool,
    /// Which machines are restarted.
    pub restarts: Restarts,
    /// Whether disks are filled.
    pub fills: bool,
}

/// Selects the machines that are restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restarts {
    /// Every machine.
    Each,
    /// Only stateful ones. For the others a kill shows everything, because they are started again afterwards.
    OfWhatKeepsSomething,
}

impl Component {
    /// Returns its name.
    pub fn name(&self) -> String {
        match self {
            Self::Program { name, .. } | Self::Machine { name } => name.clone(),
            Self::Link { from, to } => format!("{from} → {to}"),
        }
    }

    /// Returns its type: a program's name, `machine` or `link`.
    pub fn what(&self) -> &'static str {
        match self {
            Self::Program { program, .. } => program,
            Self::Machine { .. } => "machine",
            Self::Link { .. } => "link",
        }
    }

    /// Returns the machine that it runs on or is, by name or by role. `None` for a link.
    pub fn machine(&self) -> Option<&str> {
        match self {
            Self::Program { name, .. } => Some(name.split_once('/').map_or(name, |(machine, _)| machine)),
            Self::Machine { name } => Some(name),
            Self::Link { .. } => None,
        }
    }

    /// True if it is named by a role in a cluster: `db:primary`.
    pub fn is_role(&self) -> bool {
        self.machine().is_some_and(|machine| role::parse(machine).is_some())
    }

    /// True if it is a link to or from this machine; a machine given by its role matches all of its kind.
    fn touches(&self, machine: &str) -> bool {
        let Self::Link { from, to } = self else { return false };
        let kind = role::parse(machine).map(|(kind, _)| kind);
        let is_it = |end: &String| end == machine || kind.is_some_and(|kind| kind::is_member(end, kind));
        is_it(from) || is_it(to)
    }

    /// True if a failure of this shows nothing beyond a failure of `program`: it is a machine with that
    /// program on it, or a link to that program's machine.
    pub fn is_told_by(&self, program: &str) -> bool {
        let program = Self::Program { name: program.to_owned(), program: "" };
        let Some(machine) = program.machine() else { return false };
        self.machine() == Some(machine) || self.touches(machine)
    }

    /// Returns the same component under its machine's own name, once its role is resolved.
    pub fn called(&self, name: String) -> Self {
        match self {
            Self::Program { program, .. } => Self::Program { name, program },
            other => other.clone(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.component.name(), self.happened())
    }
}

impl Fault {
    /// Describes what happened to it, in a word or two.
    pub fn happened(&self) -> &'static str {
        match (&self.component, self.kind) {
            (_, FaultKind::Kill) => "killed",
            (_, FaultKind::Freeze) => "frozen",
            (Component::Link { .. }, FaultKind::Cut) => "cut",
            (_, FaultKind::Cut) => "cut off",
            (_, FaultKind::Restart) => "restarted",
            (_, FaultKind::Fill) => "disk full",
        }
    }

    /// Returns the act that injects the fault.
    pub fn act(&self) -> Act {
        let name = self.component.name();
        match (&self.component, self.kind) {
            (Component::Link { from, to }, _) => Act::Cut { from: from.clone(), to: to.clone() },
            // Machines that are not named form the last group.
            (_, FaultKind::Cut) => Act::Partition { groups: vec![vec![name], vec![]] },
            (_, FaultKind::Freeze) => Act::Freeze { name },
            (_, FaultKind::Kill) => Act::Kill { name },
            (_, FaultKind::Restart) => Act::Restart { name },
            (_, FaultKind::Fill) => Act::Fill { name },
        }
    }

    /// Returns the act by which an operator would repair it.
    pub fn repair(&self) -> Act {
        let name = self.component.name();
        match (&self.component, self.kind) {
            (Component::Link { from, to }, _) => Act::Heal { from: from.clone(), to: to.clone() },
            (_, FaultKind::Cut) => Act::HealAll,
            (_, FaultKind::Freeze) => Act::Thaw { name },
            (_, FaultKind::Fill) => Act::Empty { name },
            // Starting a machine starts everything on it.
            (_, FaultKind::Kill | FaultKind::Restart) => {
                Act::Restart { name: self.component.machine().unwrap_or_default().to_owned() }
            }
        }
    }
}

/// Lists the selected faults of a plan's machines and links, in the plan's order. `Err` explains that there
/// are none.
pub fn faults(plan: &Plan, wanted: &Selection) -> Result<Vec<Fault>, String> {
    let found = components(plan);
    let is_wanted = |(_, component): &&(String, Component)| {
        wanted.only.as_ref().is_none_or(|only| component.name().starts_with(only))
    };
    let mut seen = HashSet::new();
    let first_of_its_kind = |(alike, component): &&(String, Component)| {
        let by_itself = wanted.scope == Scope::Everything && !component.is_role();
        seen.insert(if by_itself { component.name() } else { alike.clone() })
    };
    let chosen: Vec<_> = found.iter().filter(is_wanted).filter(first_of_its_kind).collect();
    let mut faults = Vec::new();
    for (alike, component) in chosen {
        let like_it = found.iter().filter(|(other, one)| match wanted.scope {
            Scope::OneOfEach => other == alike,
            // Components with the same role have the same name.
            Scope::Everything => one.name() == component.name(),
        });
        let stands_for = numbered(like_it.map(|(_, one)| one.name()));
        let kinds = kinds_of(plan, component).into_iter();
        faults.extend(kinds.filter(|kind| is_wanted_of(plan, wanted, component, *kind)).map(|kind| Fault {
            component: component.clone(),
            kind,
            stands_for: stands_for.clone(),
        }));
    }
    if faults.is_empty() {
        let mut known: Vec<_> = found.iter().map(|(_, component)| component.name()).collect();
        known.dedup();
        let can = if wanted.kills_only { "can be killed" } else { "can fail" };
        let only = wanted.only.as_ref().map_or(String::new(), |only| format!(" and is called '{only}'"));
        let meant =
            wanted.only.as_ref().and_then(|only| suggest::similar(only, known.iter().map(AsRef::as_ref)));
        let meant = meant.map_or(String::new(), |meant| format!("; did you mean '{meant}'?"));
        return Err(format!("there is nothing that {can}{only}{meant}; known are {}", known.join(", ")));
    }
    Ok(faults)
}

/// Numbers components that share a name because they share a role.
fn numbered(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut numbered: Vec<String> = Vec::new();
    for name in names {
        let before = numbered.iter().filter(|known| known.starts_with(&name)).count();
        let is_taken = numbered.contains(&name);
        numbered.push(if is_taken { format!("{name} {}", before + 1) } else { name });
    }
    numbered
}

/// Lists everything that can fail, each with a key that it shares with its equals.
fn components(plan: &Plan) -> Vec<(String, Component)> {
    let mut found: Vec<(String, Component)> = Vec::new();
    for machine in plan.to_start() {
        found.extend(components_of(plan, machine));
    }
    for link in &plan.links {
        let kind = |name: &str| plan.machines.get(name).map_or(name.to_owned(), |plan| plan.kind.clone());
        let role = |name: &str| plan.machines.get(name).and_then(|machine| role_of(plan, machine));
        // A link of the active machine matters and one of a standby does not, and these roles move.
        let alike = |name: &String| role(name).unwrap_or_else(|| kind(name));
        let end = |name: &String| role(name).unwrap_or_else(|| name.clone());
        let like_it = format!("{} → {}", alike(&link.from), alike(&link.to));
        found.push((like_it, Component::Link { from: end(&link.from), to: end(&link.to) }));
    }
    found
}

/// Names a machine by its initial role, if its kind has roles: `db:primary`.
fn role_of(plan: &Plan, machine: &MachinePlan) -> Option<String> {
    let kind = &machine.kind;
    let is_first = plan.of_kind(kind).next().is_some_and(|first| first.name == machine.name);
    let role = if machine.has(Program::Dbnode) && plan.of_kind(kind).count() > 1 {
        if is_first { "primary" } else { "replica" }
    } else if machine.has(Program::Lb) && plan.is_pair(kind) {
        // Balancers that are not a pair serve different users each.
        if is_first { "active" } else { "standby" }
    } else {
        return None;
    };
    Some(format!("{kind}:{role}"))
}

/// Lists what can fail on one machine, each with a key that it shares with its equals.
fn components_of(plan: &Plan, machine: &MachinePlan) -> Vec<(String, Component)> {
    let kind = &machine.kind;
    let alone = machine.programs.len() == 1;
    let mut components = Vec::new();
    for program in &machine.programs {
        let program = program.program;
        if let Some(name) = role_of(plan, machine).filter(|_| alone) {
            // Roles move between machines; what matters is the effect of losing a role.
            components.push((name.clone(), Component::Program { name, program: program.name() }));
            continue;
        }
        let name = if alone { machine.name.clone() } else { format!("{}/{}", machine.name, program.name()) };
        let alike = if alone { kind.clone() } else { format!("{kind}/{}", program.name()) };
        components.push((alike, Component::Program { name, program: program.name() }));
    }
    if !alone {
        components.push((kind.clone(), Component::Machine { name: machine.name.clone() }));
    }
    components
}

fn kinds_of(plan: &Plan, component: &Component) -> Vec<FaultKind> {
    let Some(machine) = component.machine() else { return vec![FaultKind::Cut] };
    let mut kinds = vec![FaultKind::Kill, FaultKind::Freeze];
    let kind = role::parse(machine).map_or_else(|| plan.machines[machine].kind.as_str(), |(kind, _)| kind);
    let is_whole = matches!(component, Component::Machine { .. }) || !component.name().contains('/');
    if is_whole && plan.of_kind(kind).all(|machine| can_be_cut_off(plan, machine)) {
        kinds.push(FaultKind::Cut);
    }
    if is_whole {
        kinds.push(FaultKind::Restart);
    }
    if is_whole && plan.of_kind(kind).all(has_a_disk_that_fills) {
        kinds.push(FaultKind::Fill);
    }
    kinds
}

/// Returns whether this fault of a component is selected.
fn is_wanted_of(plan: &Plan, wanted: &Selection, component: &Component, kind: FaultKind) -> bool {
    let keeps_something = || {
        let machine = component.machine().unwrap_or_default();
        let kind = role::parse(machine).map_or(machine, |(kind, _)| kind);
        let mut alike = plan.machines.values().filter(|one| one.name == machine || one.kind == kind);
        alike.any(|machine| machine.has(Program::Dbnode) || machine.has(Program::Redis))
    };
    match kind {
        FaultKind::Kill => true,
        _ if wanted.kills_only => false,
        FaultKind::Restart => wanted.restarts == Restarts::Each || keeps_something(),
        FaultKind::Fill => wanted.fills,
        FaultKind::Freeze | FaultKind::Cut => true,
    }
}

/// Returns whether the disk of a machine can be filled. A database asks its machine for space; a Redis writes
/// to this computer's disk directly.
fn has_a_disk_that_fills(machine: &MachinePlan) -> bool {
    machine.has(Program::Dbnode) && !machine.has(Program::Redis) && !machine.has(Program::Sentinel)
}

/// Returns whether all of a machine's traffic goes over links, so that it can be isolated. Users reach
/// balancers, and whatever is in front of them, without a link; a Redis with replicas and Sentinels has
/// connections of its own.
fn can_be_cut_off(plan: &Plan, machine: &MachinePlan) -> bool {
    let is_reached = plan.links.iter().any(|link| link.to == machine.name);
    let watched = plan.machines.values().any(|machine| machine.has(Program::Sentinel));
    let enclosed = |program| match program {
        Program::Lb | Program::Sentinel => false,
        Program::Redis => !watched,
        Program::Webserver | Program::Dbnode => true,
    };
    is_reached && machine.programs.iter().all(|program| enclosed(program.program))
}

/// Returns pairs of simultaneous faults: every combination of two kills, and each kill together with one of
/// an identical component.
pub fn pairs(single: &[Fault]) -> Vec<[Fault; 2]> {
    let killed = |fault: &&Fault| {
        fault.kind == FaultKind::Kill && !matches!(fault.component, Component::Machine { .. })
    };
    let killed: Vec<_> = single.iter().filter(killed).collect();
    let mut pairs = Vec::new();
    for (index, first) in killed.iter().enumerate() {
        pairs.extend(another(first).map(|second| [(*first).clone(), second]));
        pairs.extend(killed[index + 1..].iter().map(|second| [(*first).clone(), (*second).clone()]));
    }
    pairs
}

/// Returns the fault of an identical component. With a role, it hits the next holder after the first has lost
/// it.
fn another(fault: &Fault) -> Option<Fault> {
    let like_it = fault.stands_for.get(1)?;
    let component = match fault.component.is_role() {
        true => fault.component.clone(),
        false => fault.component.called(like_it.clone()),
    };
    Some(Fault { component, ..fault.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{library, paths};
    use lab::plan::Deployment;

    fn names(architecture: &str, scope: Scope) -> Vec<String> {
        let wanted =
            Selection { scope, only: None, kills_only: false, restarts: Restarts::Each, fills: true };
        faults(&plan(architecture), &wanted).unwrap().iter().map(ToString::to_string).collect()
    }

    fn plan(architecture: &str) -> Plan {
        let chapter = paths::prepared(&library::open(architecture).unwrap().chapter).unwrap();
        Plan::of(&chapter, Deployment::on_paper()).unwrap()
    }

    #[test]
    fn a_machine_with_two_programs_fails_program_by_program_and_as_a_whole() {
        let wanted = [
            "app/webserver killed",
            "app/webserver frozen",
            "app/dbnode killed",
            "app/dbnode frozen",
            "app killed",
            "app frozen",
            "app restarted",
            "app disk full",
        ];
        assert_eq!(names("single", Scope::Everything), wanted);
    }

    #[test]
    fn one_of_each_stands_for_what_is_like_it() {
        let quick = names("several", Scope::OneOfEach);
        let wanted = [
            "lb killed",
            "lb frozen",
            "lb restarted",
            "web-1 killed",
            "web-1 frozen",
            "web-1 cut off",
            "web-1 restarted",
            "db killed",
            "db frozen",
            "db cut off",
            "db restarted",
            "db disk full",
            "lb → web-1 cut",
            "web-1 → db cut",
        ];
        assert_eq!(quick, wanted);
        assert_eq!(names("several", Scope::Everything).len(), 3 + 4 * 5 + 5 + 5 + 5);
    }

    #[test]
    fn what_is_named_is_looked_at_even_when_another_would_stand_for_it() {
        let only = |only: &str, kills_only| {
            let wanted = Selection {
                scope: Scope::OneOfEach,
                only: Some(only.to_owned()),
                kills_only,
                restarts: Restarts::Each,
                fills: true,
            };
            faults(&plan("several"), &wanted)
        };
        let found: Vec<_> = only("web-2", true).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(found, ["web-2 killed"]);
        assert_eq!(
            only("wbe", false).unwrap_err().split("; ").next().unwrap(),
            "there is nothing that can fail and is called 'wbe'"
        );
        assert!(only("lb →", true).unwrap_err().contains("nothing that can be killed"));
    }

    #[test]
    fn a_link_of_whoever_has_a_role_fails_for_itself() {
        let quick = names("no-single-point", Scope::OneOfEach);
        let cut: Vec<_> = quick.iter().filter(|name| name.ends_with(" cut")).map(String::as_str).collect();
        let wanted = [
            "lb:active → web-1 cut",
            "lb:standby → web-1 cut",
            "web-1 → db:primary cut",
            "web-1 → db:replica cut",
            "db:primary → db:replica cut",
            "db:replica → db:primary cut",
            "db:replica → db:replica cut",
        ];
        assert_eq!(cut, wanted);
        let wanted = Selection {
            scope: Scope::OneOfEach,
            only: Some("web-1 → db".into()),
            kills_only: false,
            restarts: Restarts::Each,
            fills: true,
        };
        let stand_for = faults(&plan("no-single-point"), &wanted).unwrap();
        assert_eq!(stand_for.iter().map(|fault| fault.stands_for.len()).collect::<Vec<_>>(), [5, 10]);
    }

    #[test]
    fn a_disk_fills_where_a_database_is_and_no_redis() {
        let filled = |architecture: &str| {
            let all = names(architecture, Scope::OneOfEach);
            all.into_iter().filter(|name| name.ends_with("disk full")).collect::<Vec<_>>()
        };
        assert_eq!(filled("redis-cache"), ["db disk full"]);
        assert_eq!(filled("no-single-point"), ["db:primary disk full", "db:replica disk full"]);
    }

    #[test]
    fn of_what_keeps_nothing_a_restart_tells_nothing_new() {
        let restarts = Restarts::OfWhatKeepsSomething;
        let wanted =
            Selection { scope: Scope::OneOfEach, only: None, kills_only: false, restarts, fills: true };
        let faults = faults(&plan("no-single-point"), &wanted).unwrap();
        let restarted: Vec<_> = faults.iter().filter(|fault| fault.kind == FaultKind::Restart).collect();
        let restarted: Vec<_> = restarted.iter().map(|fault| fault.component.name()).collect();
        assert_eq!(restarted, ["db:primary", "db:replica", "redis", "redis-copy"]);
    }

    #[test]
    fn only_what_speaks_over_links_alone_can_be_cut_off() {
        let quick = names("no-single-point", Scope::OneOfEach);
        let cut_off: Vec<_> = quick.iter().filter(|name| name.ends_with("cut off")).collect();
        assert_eq!(cut_off, ["web-1 cut off", "db:primary cut off", "db:replica cut off"]);
    }

    #[test]
    fn a_machine_and_its_links_tell_nothing_more_than_a_program_on_it() {
        let link = |from: &str, to: &str| Component::Link { from: from.into(), to: to.into() };
        let machine = Component::Machine { name: "app".into() };
        assert!(machine.is_told_by("app/dbnode") && !machine.is_told_by("application"));
        assert!(link("web-1", "db").is_told_by("db") && !link("web-1", "db").is_told_by("web-2"));
        assert!(link("web-1", "db-2").is_told_by("db:primary"));
        assert!(!link("web-1", "db").is_told_by("db:primary"));
    }

    #[test]
    fn a_clusters_nodes_fail_by_their_role() {
        let quick = names("replicated", Scope::OneOfEach);
        assert!(quick.contains(&"db:primary killed".to_owned()), "{quick:?}");
        assert!(quick.contains(&"db:replica frozen".to_owned()), "{quick:?}");
        assert!(quick.contains(&"lb:active frozen".to_owned()), "{quick:?}");
        let all = names("replicated", Scope::Everything);
        let of_nodes = all.iter().filter(|name| name.starts_with("db:") && !name.contains('→'));
        assert_eq!(of_nodes.count(), 2 * 5, "{all:?}");
    }

    #[test]
    fn one_that_has_a_role_stands_for_all_that_have_it() {
        let wanted = Selection {
            scope: Scope::OneOfEach,
            only: Some("db:".into()),
            kills_only: true,
            restarts: Restarts::Each,
            fills: true,
        };
        let faults = faults(&plan("no-single-point"), &wanted).unwrap();
        let stand_for: Vec<_> = faults.iter().map(|fault| fault.stands_for.join(", ")).collect();
        assert_eq!(stand_for, ["db:primary", "db:replica, db:replica 2"]);
    }

    #[test]
    fn pairs_are_of_what_is_killed() {
        let kill = |names: &[&str]| Fault {
            component: Component::Program { name: names[0].into(), program: "lb" },
            kind: FaultKind::Kill,
            stands_for: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let several = kill(&["b-1", "b-2", "b-3"]);
        let role = kill(&["d:replica", "d:replica 2"]);
        let single = [kill(&["a"]), Fault { kind: FaultKind::Freeze, ..kill(&["a"]) }, several, role];
        let pairs: Vec<_> = pairs(&single)
            .iter()
            .map(|[one, other]| format!("{} {}", one.component.name(), other.component.name()))
            .collect();
        let wanted = ["a b-1", "a d:replica", "b-1 b-2", "b-1 d:replica", "d:replica d:replica"];
        assert_eq!(pairs, wanted);
    }
}
