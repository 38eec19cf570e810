//! Maps actions of the page to the equivalent labctl command, and faults to the action that undoes them. Pure.
#![deny(clippy::disallowed_methods)]

use chapter::act::RollHow;
use chapter::{Act, Span};
use lab::Happening;
use serde::Serialize;

/// An action that undoes a fault.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Undo {
    /// The body to post to `/api/act`.
    pub act: Act,
    /// The equivalent command.
    pub command: String,
}

/// Returns the arguments of the equivalent labctl command.
pub(crate) fn command_of(act: &Act) -> String {
    match act {
        Act::Kill { name } => format!("kill {name}"),
        Act::Stop { name } => format!("stop {name}"),
        Act::Freeze { name } => format!("freeze {name}"),
        Act::Thaw { name } => format!("thaw {name}"),
        Act::Restart { name } => format!("restart {name}"),
        Act::Resize { name, cores, memory } => {
            let cores = cores.map_or(String::new(), |cores| format!(" --cores {cores}"));
            let memory =
                memory.map_or(String::new(), |memory| format!(" --memory {}MiB", memory.as_u64() >> 20));
            format!("resize {name}{cores}{memory}")
        }
        Act::Fill { name } => format!("fill {name}"),
        Act::Empty { name } => format!("empty {name}"),
        Act::Add { kind } => format!("add {kind}"),
        Act::Remove { name } => format!("remove {name}"),
        Act::Roll { kind, how, install } => {
            let how = match how {
                RollHow::Kill => "kill",
                RollHow::Stop => "stop",
                RollHow::TellFirst => "tell-first",
            };
            format!("roll {kind} --how {how} --install {}", plain(*install))
        }
        Act::Slow { from, to, by } => format!("slow {from} {to} {}", plain(*by)),
        Act::Cut { from, to } => format!("cut {from} {to}"),
        Act::Fail { from, to } => format!("fail {from} {to}"),
        Act::Flap { from, to, every } => format!("flap {from} {to} {}", plain(*every)),
        Act::Partition { groups } => {
            let groups: Vec<_> = groups.iter().map(|group| group.join(",")).collect();
            format!("partition {}", groups.join(" "))
        }
        Act::HealAll => "heal".into(),
        Act::Heal { from, to } => format!("heal {from} {to}"),
    }
}

/// Formats a duration as one word.
pub(crate) fn plain(span: Span) -> String {
    span.to_string().replace(' ', "")
}

/// Returns the action that undoes an event, if there is one.
pub(crate) fn undo(what: &Happening) -> Option<Act> {
    let machine_of = |name: &str| name.split('/').next().unwrap_or(name).to_owned();
    match what {
        Happening::MachineEnded { machine, .. } => Some(Act::Restart { name: machine.clone() }),
        Happening::ProgramEnded { program, .. } => Some(Act::Restart { name: machine_of(program) }),
        Happening::Frozen { name, .. } => Some(Act::Thaw { name: name.clone() }),
        Happening::DiskFull { machine } => Some(Act::Empty { name: machine.clone() }),
        Happening::Disconnected { .. } => Some(Act::HealAll),
        Happening::Link { from, to, now } if now != "healed" => {
            Some(Act::Heal { from: from.clone(), to: to.clone() })
        }
        _ => None,
    }
}

/// Returns whether an event is a fault: failures are counted from the latest one on.
pub(crate) fn is_fault(what: &Happening) -> bool {
    matches!(what, Happening::OutOfMemory { .. }) || undo(what).is_some()
}

/// Returns the machine or link that an event concerns, by its name on the page.
pub(crate) fn subject(what: &Happening) -> Option<&str> {
    match what {
        Happening::MachineStarted { machine, .. }
        | Happening::MachineReady { machine }
        | Happening::MachineEnded { machine, .. }
        | Happening::OutOfMemory { machine, .. }
        | Happening::DiskFull { machine }
        | Happening::DiskEmptied { machine }
        | Happening::Resized { machine, .. }
        | Happening::BecamePrimary { machine, .. }
        | Happening::SteppedDown { machine, .. }
        | Happening::Disconnected { machine, .. }
        | Happening::Connected { machine }
        | Happening::Elsewhere { machine, .. } => Some(machine),
        Happening::ProgramStarted { program: name, .. }
        | Happening::ProgramEnded { program: name, .. }
        | Happening::Frozen { name, .. }
        | Happening::Thawed { name, .. } => name.split('/').next(),
        Happening::Ejected { upstream, .. } | Happening::Admitted { upstream, .. } => Some(upstream),
        Happening::TookOver { balancer }
        | Happening::StoodDown { balancer }
        | Happening::TakeoverBlocked { balancer } => Some(balancer),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::events::Hand;

    #[test]
    fn a_command_reads_as_it_is_typed() {
        let name = || "web-2".to_owned();
        let by = Span(std::time::Duration::from_millis(1050));
        assert_eq!(command_of(&Act::Kill { name: name() }), "kill web-2");
        assert_eq!(command_of(&Act::Slow { from: "lb".into(), to: name(), by }), "slow lb web-2 1s50ms");
        assert_eq!(command_of(&Act::HealAll), "heal");
        let size = Act::Resize { name: name(), cores: Some(2), memory: None };
        assert_eq!(command_of(&size), "resize web-2 --cores 2");
        let groups = vec![vec!["a".to_owned(), "b".to_owned()], vec!["c".to_owned()]];
        assert_eq!(command_of(&Act::Partition { groups }), "partition a,b c");
    }

    #[test]
    fn faults_have_an_undo_and_what_mends_them_has_none() {
        let frozen = Happening::Frozen { name: "app/dbnode".into(), by: Hand::Labctl };
        assert_eq!(undo(&frozen), Some(Act::Thaw { name: "app/dbnode".into() }));
        let link = |now: &str| Happening::Link { from: "lb".into(), to: "web-1".into(), now: now.into() };
        assert!(is_fault(&link("cut")) && !is_fault(&link("healed")));
        assert!(!is_fault(&Happening::MachineReady { machine: "web-1".into() }));
    }
}
