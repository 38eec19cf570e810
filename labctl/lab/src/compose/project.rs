//! From a plan to the project that `docker compose` runs: one service per machine, with the addresses, flags
//! and paths that it would have as a process. Written as JSON, which every YAML parser reads. Pure.
#![deny(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::super::backend::Backend;
use super::super::plan::{MachinePlan, Plan, Program, products_file, secret_file};

/// The image of the lab's own programs.
pub(super) const IMAGE: &str = "scaling-lab:latest";
/// The image of Redis.
pub(super) const REDIS_IMAGE: &str = "redis:7";
/// The label that says which lab a container belongs to.
pub(super) const LABEL: &str = "scaling-lab.lab";

/// The programs' own memory, on top of what the emulated machine accounts for.
const MEMORY_MIN: u64 = 256 << 20;
const PROCESSES_MAX: u32 = 512;
const ROOT: (u32, u32) = (0, 0);

/// The name of a lab's project and of its network: `docker network disconnect labctl web-1`. Labs beside one
/// another have networks of their own, and names derived from them.
pub(super) fn name([first, second]: [u8; 2]) -> String {
    match [first, second] == Backend::Compose.network() {
        true => "labctl".into(),
        false => format!("labctl-{first}-{second}"),
    }
}

/// A machine's name in the engine: `docker kill web-1`.
pub(super) fn container_name(network: [u8; 2], machine: &str) -> String {
    match network == Backend::Compose.network() {
        true => machine.to_owned(),
        false => format!("{}-{machine}", name(network)),
    }
}

/// The facts about this computer that a project depends on.
#[derive(Debug, Clone)]
pub(super) struct Ground {
    /// The lab's directory, which identifies the owner of the containers.
    pub(super) lab_directory: PathBuf,
    /// The parent of each machine's directory for its socket and its reports.
    pub(super) sockets: PathBuf,
    /// The parent of each machine's log directory.
    pub(super) logs: PathBuf,
    /// The user and group that containers run as.
    pub(super) user: (u32, u32),
    /// Cores of this computer: the engine refuses a higher limit.
    pub(super) cores: u32,
}

impl Ground {
    /// The directory of a machine's socket and reports.
    pub(super) fn socket_directory(&self, machine: &str) -> PathBuf {
        self.sockets.join(machine)
    }

    /// The socket on which a machine answers for its usage.
    pub(super) fn socket(&self, machine: &str) -> PathBuf {
        self.socket_directory(machine).join("machine.sock")
    }

    /// The starts and ends of programs on a machine, one JSON document per line.
    pub(super) fn reports(&self, machine: &str) -> PathBuf {
        self.socket_directory(machine).join("reports.jsonl")
    }
}

/// The whole project, for `docker compose --file`.
pub(super) fn project(plan: &Plan, ground: &Ground) -> Value {
    let [first, second] = plan.deployment().network;
    let services = plan.to_start().filter(|machine| !machine.removed);
    let services = services.map(|machine| (machine.name.clone(), service(machine, plan, ground)));
    let subnet = json!({
        "subnet": format!("{first}.{second}.0.0/16"),
        "gateway": plan.deployment().gateway().to_string(),
        // A container that is connected by hand does not get a machine's address.
        "ip_range": format!("{first}.{second}.200.0/24"),
    });
    json!({
        "name": name([first, second]),
        "services": services.collect::<serde_json::Map<_, _>>(),
        "networks": { "lab": { "name": name([first, second]), "ipam": { "config": [subnet] } } },
    })
}

/// The service of one machine.
pub(super) fn service(machine: &MachinePlan, plan: &Plan, ground: &Ground) -> Value {
    let redis = machine.programs.iter().all(|program| program.program.is_redis());
    let moves_an_address = moves_an_address(machine);
    let (user, group) = if moves_an_address { ROOT } else { ground.user };
    // To add the address and announce it to the neighbours. Root has no other capability.
    let rights: &[&str] = if moves_an_address { &["NET_ADMIN", "NET_RAW"] } else { &[] };
    let address = plan.ip_of(&machine.name).map(|address| address.to_string());
    let words = if redis { redis_words(machine, ground) } else { machine_words(machine, ground) };
    without_variables(json!({
        "image": if redis { REDIS_IMAGE } else { IMAGE },
        "container_name": container_name(plan.deployment().network, &machine.name),
        "hostname": machine.name,
        "command": words,
        "user": format!("{user}:{group}"),
        "read_only": true,
        "tmpfs": ["/tmp"],
        "cap_drop": ["ALL"],
        "cap_add": rights,
        "security_opt": ["no-new-privileges:true"],
        "pids_limit": PROCESSES_MAX,
        "mem_limit": machine.spec.memory.as_u64().max(MEMORY_MIN).to_string(),
        "cpus": machine.spec.cores.min(ground.cores),
        "stop_grace_period": "15s",
        "networks": { "lab": { "ipv4_address": address } },
        "volumes": volumes(machine, plan, ground),
        "labels": { LABEL: ground.lab_directory.display().to_string() },
    }))
}

/// In a Compose file, `$` introduces a variable in every string; `$$` is a literal `$`.
fn without_variables(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace('$', "$$")),
        Value::Array(values) => values.into_iter().map(without_variables).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, without_variables(value))).collect()
        }
        other => other,
    }
}

/// True if it is one of a pair of balancers, whose address moves between them. That takes a capability that
/// containers lack by default, and that the engine grants to root only.
pub(super) fn moves_an_address(machine: &MachinePlan) -> bool {
    has_flag(machine, "--takeover")
}

/// True if it is a member of a cluster.
fn knows_the_secret(machine: &MachinePlan) -> bool {
    ["--pair-secret-file", "--sticky-secret-file", "--secret-file"].iter().any(|flag| has_flag(machine, flag))
}

fn has_flag(machine: &MachinePlan, flag: &str) -> bool {
    machine.programs.iter().any(|program| program.flags.iter().any(|word| word == flag))
}

/// The arguments of the image's entry point, `machine`.
fn machine_words(machine: &MachinePlan, ground: &Ground) -> Vec<String> {
    let mut words = machine.flags();
    let mut path = |flag: &str, path: &Path| words.extend([format!("--{flag}"), path.display().to_string()]);
    path("socket", &ground.socket(&machine.name));
    path("reports", &ground.reports(&machine.name));
    path("log-dir", &ground.logs.join(&machine.name));
    for program in &machine.programs {
        words.extend(["--".into(), program.program.name().into()]);
        words.extend(program.flags.iter().cloned());
    }
    words
}

/// Redis' own image contains no `machine`: there the container itself is the machine.
fn redis_words(machine: &MachinePlan, ground: &Ground) -> Vec<String> {
    let mut words = vec!["redis-server".to_owned()];
    for program in &machine.programs {
        let log = ground.logs.join(&machine.name).join(program.program.name()).with_extension("log");
        words.extend(program.flags.iter().cloned());
        words.extend(["--logfile".into(), log.display().to_string()]);
        // In protected mode it would refuse clients outside its container. The network is the lab's own.
        words.extend(["--protected-mode".into(), "no".into()]);
    }
    words
}

/// The mounts that give a machine the same paths that a process would have.
fn volumes(machine: &MachinePlan, plan: &Plan, ground: &Ground) -> Vec<Value> {
    let bind = |path: &Path, read_only: bool| json!({ "type": "bind", "source": path, "target": path, "read_only": read_only });
    let mut volumes = vec![
        bind(&ground.socket_directory(&machine.name), false),
        bind(&ground.logs.join(&machine.name), false),
    ];
    if machine.has(Program::Lb) {
        volumes.extend(plan.deployment().admin_token_file().map(|token| bind(&token, true)));
    }
    if knows_the_secret(machine) {
        volumes.push(bind(&secret_file(&plan.deployment().data), true));
    }
    for program in &machine.programs {
        let Some(data) = &program.data else { continue };
        volumes.push(bind(data, false));
        if program.program == Program::Dbnode && program.products > 0 {
            volumes.push(bind(&products_file(data), true));
        }
    }
    volumes
}

#[cfg(test)]
mod tests {
    use super::super::super::plan::Deployment;
    use super::*;
    use chapter::Source;

    fn ground() -> Ground {
        let [lab_directory, sockets, logs] = ["/lab", "/sockets", "/logs"].map(PathBuf::from);
        Ground { lab_directory, sockets, logs, user: (65534, 65534), cores: 2 }
    }

    fn made_of(chapter: &str) -> Value {
        let deployment = Deployment {
            backend: Backend::Compose,
            network: Backend::Compose.network(),
            data: "/lab/data".into(),
            ..Deployment::on_paper()
        };
        project(&Plan::of(&Source::open(chapter, &[]).unwrap().chapter, deployment).unwrap(), &ground())
    }

    #[test]
    fn every_machine_is_a_container_that_may_do_nothing() {
        let project = made_of("sessions");
        for (name, service) in project["services"].as_object().unwrap() {
            assert_eq!(service["container_name"], **name);
            assert_eq!(service["user"], "65534:65534", "{name}");
            assert_eq!(service["read_only"], true, "{name}");
            assert_eq!(service["cap_drop"], json!(["ALL"]), "{name}");
            assert_eq!(service["security_opt"], json!(["no-new-privileges:true"]), "{name}");
            assert!(service.get("ports").is_none(), "{name}");
            assert!(service["pids_limit"].is_number() && service["mem_limit"].is_string(), "{name}");
            assert!(service["cpus"].as_u64().unwrap() <= 2, "{name}");
        }
    }

    #[test]
    fn only_a_pair_of_balancers_may_do_more() {
        let project = made_of("load-balancer");
        for (name, service) in project["services"].as_object().unwrap() {
            let is_one = name.starts_with("pair-");
            assert_eq!(service["user"] == "0:0", is_one, "{name}");
            let rights = if is_one { json!(["NET_ADMIN", "NET_RAW"]) } else { json!([]) };
            assert_eq!((&service["cap_add"], &service["cap_drop"]), (&rights, &json!(["ALL"])), "{name}");
        }
    }

    #[test]
    fn a_machine_is_told_what_a_process_would_be() {
        let project = made_of("split");
        let words = project["services"]["db"]["command"].as_array().unwrap();
        let words: Vec<_> = words.iter().map(|word| word.as_str().unwrap()).collect();
        let text = words.join(" ");
        assert!(text.starts_with("--name db --cores "), "{text}");
        assert!(text.contains(" -- dbnode --id db --listen 172.28.0."), "{text}");
        let volumes = project["services"]["db"]["volumes"].as_array().unwrap();
        assert!(volumes.iter().any(|volume| volume["target"] == "/lab/data/db"), "{volumes:?}");
    }

    #[test]
    fn redis_comes_from_its_own_image() {
        let project = made_of("cache");
        assert_eq!(project["services"]["redis"]["image"], REDIS_IMAGE);
        assert_eq!(project["services"]["redis"]["command"][0], "redis-server");
    }

    #[test]
    fn a_dollar_in_a_path_is_no_variable() {
        let deployment = Deployment {
            backend: Backend::Compose,
            network: Backend::Compose.network(),
            data: "/a$HOME/.lab/data".into(),
            ..Deployment::on_paper()
        };
        let [lab_directory, sockets, logs] = ["/a$HOME/.lab", "/b$c", "/a${x/logs"].map(PathBuf::from);
        let ground = Ground { lab_directory, sockets, logs, user: (65534, 65534), cores: 2 };
        let project =
            project(&Plan::of(&Source::open("split", &[]).unwrap().chapter, deployment).unwrap(), &ground);
        let text = project.to_string().replace("$$", "");
        assert!(!text.contains('$'), "{text}");
        let data = &project["services"]["db"]["volumes"][2];
        assert_eq!(data["source"], "/a$$HOME/.lab/data/db");
    }
}
