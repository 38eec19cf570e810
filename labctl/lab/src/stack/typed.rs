//! The commands to type for acts that only the engine can do. Pure.
#![deny(clippy::disallowed_methods)]

use std::net::IpAddr;

use chapter::Act;
use indexmap::IndexMap;

use super::Where;

/// Machines that do not answer, each with the address that it had.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// Those that are not on the network.
    pub cut_off: Vec<(String, Option<IpAddr>)>,
    /// Those without a socket: they were killed, or are not on the network.
    pub unclear: Vec<(String, Option<IpAddr>)>,
}

/// The command that does this to a stack, or a sentence that says why there is none.
pub(super) fn command(act: &Act, place: &Where, lost: &Lost) -> Result<String, String> {
    let Where { network, compose, .. } = place;
    let of_machine = |words: &str, name: &str| match name.split_once('/') {
        None => Ok(format!("docker {words} {name}")),
        Some((machine, program)) => Err(format!(
            "one program of a container cannot be told apart from outside: what ends {program} ends {machine}, such as docker {words} {machine}"
        )),
    };
    let to_cut = |name: &str| {
        Err(format!(
            "there is no link that could be changed here; docker network disconnect {network} {name} takes {name} off the network"
        ))
    };
    match act {
        Act::Kill { name } => of_machine("kill", name),
        Act::Stop { name } => of_machine("stop", name),
        Act::Freeze { name } => of_machine("pause", name),
        Act::Thaw { name } => of_machine("unpause", name),
        // Whether it was killed or taken off the network cannot be told; this undoes both.
        Act::Restart { name } if lost.unclear.iter().any(|(unclear, _)| unclear == name) => {
            let address = lost.unclear.iter().find_map(|(unclear, at)| at.filter(|_| unclear == name));
            Ok(format!("{}; docker start {name}", connect(network, name, address)))
        }
        Act::Restart { name } => of_machine("restart", name),
        Act::HealAll => {
            let lost: Vec<_> = lost.cut_off.iter().chain(&lost.unclear).collect();
            let commands = lost.iter().map(|(name, address)| connect(network, name, *address));
            match lost.is_empty() {
                true => Err("every machine is on the network".into()),
                false => Ok(commands.collect::<Vec<_>>().join("; ")),
            }
        }
        Act::Cut { to, .. }
        | Act::Slow { to, .. }
        | Act::Fail { to, .. }
        | Act::Flap { to, .. }
        | Act::Heal { to, .. } => to_cut(to),
        Act::Partition { .. } => to_cut("NAME"),
        Act::Resize { name, .. } => Err(format!(
            "change --cores and --memory of {name} in the compose file, then type: {compose} up --detach {name}"
        )),
        Act::Add { kind } => Err(format!(
            "in the compose file, copy a {kind} under a new name, and name it where the others are named (--upstream, --peer); then type: {compose} up --detach"
        )),
        Act::Remove { name } => of_machine("stop", name),
        Act::Roll { .. } => Err("replace one after the other: docker restart NAME".into()),
        Act::Fill { name } | Act::Empty { name } => {
            Err(format!("{name} has no machine that could be told so"))
        }
    }
}

/// The commands to type for one machine, by their effect.
pub(super) fn commands(name: &str, network: &str, address: Option<IpAddr>) -> IndexMap<&'static str, String> {
    IndexMap::from([
        ("kill", format!("docker kill {name}")),
        ("freeze", format!("docker pause {name}")),
        ("thaw", format!("docker unpause {name}")),
        ("restart", format!("docker restart {name}")),
        ("cut off", format!("docker network disconnect {network} {name}")),
        ("reconnect", connect(network, name, address)),
    ])
}

/// The command that puts a machine back on the network, at its earlier address, by which others may know it.
pub(super) fn connect(network: &str, name: &str, address: Option<IpAddr>) -> String {
    let at = address.map_or(String::new(), |address| format!("--ip {address} "));
    format!("docker network connect {at}{network} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_page_cannot_do_can_be_typed() {
        let place = Where {
            sockets: None,
            shared: None,
            network: "scaling-lab".into(),
            compose: "docker compose -f split.yml".into(),
            admin_token_file: None,
        };
        let lost = Lost {
            cut_off: vec![("web-1".into(), "172.30.1.2".parse().ok())],
            unclear: vec![("lb-2".into(), "172.30.0.92".parse().ok())],
        };
        let typed = |act| command(&act, &place, &lost);
        assert_eq!(typed(Act::Kill { name: "web-2".into() }).unwrap(), "docker kill web-2");
        assert_eq!(typed(Act::Freeze { name: "db-1".into() }).unwrap(), "docker pause db-1");
        let [web, lb] = ["172.30.1.2 scaling-lab web-1", "172.30.0.92 scaling-lab lb-2"]
            .map(|rest| format!("docker network connect --ip {rest}"));
        assert_eq!(typed(Act::HealAll).unwrap(), format!("{web}; {lb}"));
        assert_eq!(typed(Act::Restart { name: "lb-2".into() }).unwrap(), format!("{lb}; docker start lb-2"));
        assert_eq!(typed(Act::Restart { name: "web-1".into() }).unwrap(), "docker restart web-1");
        assert!(command(&Act::HealAll, &place, &Lost::default()).is_err());
        let added = typed(Act::Add { kind: "web".into() }).unwrap_err();
        assert!(added.ends_with("docker compose -f split.yml up --detach"), "{added}");
        let shown = commands("web-2", "scaling-lab", None);
        assert_eq!(shown["kill"], typed(Act::Kill { name: "web-2".into() }).unwrap());
        assert_eq!(shown["thaw"], typed(Act::Thaw { name: "web-2".into() }).unwrap());
        let of_program = typed(Act::Kill { name: "app/dbnode".into() }).unwrap_err();
        assert!(of_program.contains("docker kill app"), "{of_program}");
        let cut = typed(Act::Cut { from: "lb-1".into(), to: "web-2".into() }).unwrap_err();
        assert!(cut.contains("docker network disconnect scaling-lab web-2"), "{cut}");
    }
}
