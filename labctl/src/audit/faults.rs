//! What can go wrong with an architecture: every program, machine and link, and each fault that it can
//! have. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;

use crate::lab::{Act, MachinePlan, Plan, Program};

/// Something that can fail by itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Component {
    /// A program: by its machine's name, where it is alone there; by its role in a cluster.
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
    /// What leads from one machine to another.
    Link {
        /// Who speaks.
        from: String,
        /// To whom.
        to: String,
    },
}

/// What happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// It is killed: who connects is refused.
    Kill,
    /// It is frozen: it accepts connections, and answers nothing.
    Freeze,
    /// Nothing passes, and nobody is told.
    Cut,
}

/// One fault of one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Of what.
    pub component: Component,
    /// What happens to it.
    pub kind: FaultKind,
    /// All that it stands for: itself, and in a quick audit everything that is like it.
    pub stands_for: Vec<String>,
}

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Of what is alike, one: the first of five web servers stands for all.
    OneOfEach,
    /// Everything.
    Everything,
}

impl Component {
    /// What it is called.
    pub fn name(&self) -> String {
        match self {
            Self::Program { name, .. } | Self::Machine { name } => name.clone(),
            Self::Link { from, to } => format!("{from} → {to}"),
        }
    }

    /// What kind of thing it is.
    pub fn what(&self) -> &'static str {
        match self {
            Self::Program { program, .. } => program,
            Self::Machine { .. } => "machine",
            Self::Link { .. } => "link",
        }
    }

    /// The same one by its machine's own name, once it is known who has the role.
    pub fn called(&self, name: String) -> Self {
        match self {
            Self::Program { program, .. } => Self::Program { name, program },
            other => other.clone(),
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Kill => "killed",
            Self::Freeze => "frozen",
            Self::Cut => "cut",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.component.name(), self.kind)
    }
}

impl Fault {
    /// What makes it happen.
    pub fn act(&self) -> Act {
        let name = self.component.name();
        match (&self.component, self.kind) {
            (Component::Link { from, to }, _) => Act::Cut { from: from.clone(), to: to.clone() },
            (_, FaultKind::Freeze) => Act::Freeze { name },
            _ => Act::Kill { name },
        }
    }

    /// What a person would do about it.
    pub fn repair(&self) -> Act {
        let name = self.component.name();
        match (&self.component, self.kind) {
            (Component::Link { from, to }, _) => Act::Heal { from: from.clone(), to: to.clone() },
            (_, FaultKind::Freeze) => Act::Thaw { name },
            // A machine is started with everything on it.
            _ => Act::Restart { name: name.split('/').next().unwrap_or_default().to_owned() },
        }
    }
}

/// Every fault that a plan's machines and links can have, in the plan's order.
pub fn faults(plan: &Plan, scope: Scope) -> Vec<Fault> {
    let mut found: Vec<(String, Component)> = Vec::new();
    for machine in plan.to_start() {
        found.extend(components_of(plan, machine));
    }
    for link in &plan.links {
        let kind = |name: &str| plan.machines.get(name).map_or(name.to_owned(), |plan| plan.kind.clone());
        let alike = format!("{} → {}", kind(&link.from), kind(&link.to));
        found.push((alike, Component::Link { from: link.from.clone(), to: link.to.clone() }));
    }
    let mut seen = HashSet::new();
    let first_of_its_kind = |(alike, component): &&(String, Component)| {
        let by_itself = scope == Scope::Everything && !component.name().contains(':');
        seen.insert(if by_itself { component.name() } else { alike.clone() })
    };
    let chosen: Vec<_> = found.iter().filter(first_of_its_kind).cloned().collect();
    let each = chosen.into_iter().flat_map(|(alike, component)| {
        let like_it = found.iter().filter(|(other, _)| *other == alike).map(|(_, one)| one.name());
        let mut stands_for = match scope {
            Scope::OneOfEach => like_it.collect(),
            Scope::Everything => vec![component.name()],
        };
        stands_for.dedup();
        let fault = move |kind| Fault { component: component.clone(), kind, stands_for: stands_for.clone() };
        kinds_of(&fault(FaultKind::Kill).component).iter().map(move |kind| fault(*kind))
    });
    each.collect()
}

/// What can fail on one machine, each with a name that it shares with what is like it.
fn components_of(plan: &Plan, machine: &MachinePlan) -> Vec<(String, Component)> {
    let kind = &machine.kind;
    let alone = machine.programs.len() == 1;
    let mut components = Vec::new();
    for program in &machine.programs {
        let program = program.program;
        let is_several = plan.of_kind(kind).count() > 1;
        let roles = match program {
            Program::Dbnode if is_several => Some(["primary", "replica"]),
            // Of several balancers that are no pair each has users of its own.
            Program::Lb if is_several && plan.is_pair(kind) => Some(["active", "standby"]),
            _ => None,
        };
        if let Some(roles) = roles.filter(|_| alone) {
            // Who has a role changes; what matters is what it does to lose one.
            for role in roles {
                let name = format!("{kind}:{role}");
                components.push((name.clone(), Component::Program { name, program: program.name() }));
            }
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

fn kinds_of(component: &Component) -> &'static [FaultKind] {
    match component {
        Component::Link { .. } => &[FaultKind::Cut],
        Component::Program { .. } | Component::Machine { .. } => &[FaultKind::Kill, FaultKind::Freeze],
    }
}

/// Pairs of faults that happen together: of everything that can be killed, each with each other one.
pub fn pairs(single: &[Fault]) -> Vec<[Fault; 2]> {
    let killed = |fault: &&Fault| {
        fault.kind == FaultKind::Kill && !matches!(fault.component, Component::Machine { .. })
    };
    let killed: Vec<_> = single.iter().filter(killed).collect();
    let mut pairs = Vec::new();
    for (index, first) in killed.iter().enumerate() {
        pairs.extend(killed[index + 1..].iter().map(|second| [(*first).clone(), (*second).clone()]));
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{library, paths};
    use crate::lab::Backend;
    use crate::lab::plan::Place;

    fn names(architecture: &str, scope: Scope) -> Vec<String> {
        let chapter = paths::prepared(&library::open(architecture).unwrap().chapter).unwrap();
        let place = Place {
            backend: Backend::Process,
            network: [127, 77],
            port_shift: 0,
            data: "/data".into(),
            redis_url: None,
        };
        let plan = Plan::of(&chapter, place).unwrap();
        faults(&plan, scope).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_machine_with_two_programs_has_three_ways_to_fail() {
        let wanted = [
            "app/webserver killed",
            "app/webserver frozen",
            "app/dbnode killed",
            "app/dbnode frozen",
            "app killed",
            "app frozen",
        ];
        assert_eq!(names("single", Scope::Everything), wanted);
    }

    #[test]
    fn one_of_each_stands_for_what_is_like_it() {
        let quick = names("several", Scope::OneOfEach);
        let wanted = [
            "lb killed",
            "lb frozen",
            "web-1 killed",
            "web-1 frozen",
            "db killed",
            "db frozen",
            "lb → web-1 cut",
            "web-1 → db cut",
        ];
        assert_eq!(quick, wanted);
        assert_eq!(names("several", Scope::Everything).len(), 2 * (1 + 5 + 1) + 5 + 5);
    }

    #[test]
    fn a_clusters_nodes_fail_by_their_role() {
        let quick = names("replicated", Scope::OneOfEach);
        assert!(quick.contains(&"db:primary killed".to_owned()), "{quick:?}");
        assert!(quick.contains(&"db:replica frozen".to_owned()), "{quick:?}");
        assert!(quick.contains(&"lb:active frozen".to_owned()), "{quick:?}");
        let all = names("replicated", Scope::Everything);
        assert_eq!(all.iter().filter(|name| name.starts_with("db:")).count(), 4, "{all:?}");
    }

    #[test]
    fn pairs_are_of_what_is_killed() {
        let kill = |name: &str| Fault {
            component: Component::Program { name: name.into(), program: "lb" },
            kind: FaultKind::Kill,
            stands_for: vec![],
        };
        let single = [kill("a"), Fault { kind: FaultKind::Freeze, ..kill("a") }, kill("b"), kill("c")];
        let pairs: Vec<_> = pairs(&single).iter().map(|[one, other]| format!("{one}, {other}")).collect();
        assert_eq!(pairs, ["a killed, b killed", "a killed, c killed", "b killed, c killed"]);
    }
}
