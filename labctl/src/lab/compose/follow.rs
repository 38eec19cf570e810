//! What the engine says has happened, by whose hand does not matter: `docker events`, a JSON document a
//! line.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::super::events::Clock;
use super::container::Container;
use super::engine::docker;

/// How often reports are looked for that machines have written.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The lab's containers, by the machine's name.
pub(super) type Fleet = Arc<Mutex<HashMap<String, Arc<Container>>>>;

/// One thing that the engine says.
#[derive(Debug, PartialEq)]
struct Said {
    /// The container's id.
    id: String,
    /// The machine's name, where the engine says it.
    machine: Option<String>,
    what: What,
    /// When, in milliseconds since 1970.
    unix_millis: u64,
}

#[derive(Debug, PartialEq)]
enum What {
    Created,
    Started,
    Ended { code: i32 },
    Frozen(bool),
    Connected(bool),
}

/// The engine's own words.
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(rename = "Action")]
    action: String,
    #[serde(rename = "Actor")]
    actor: Actor,
    #[serde(rename = "timeNano")]
    nanos: u64,
}

#[derive(Deserialize)]
struct Actor {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Attributes", default)]
    attributes: HashMap<String, String>,
}

/// Understands a line, if it is about a container of the lab.
fn understand(line: &str, project: &str) -> Option<Said> {
    let Line { kind, action, actor, nanos } = serde_json::from_str(line).ok()?;
    let attribute = |name: &str| actor.attributes.get(name).cloned();
    let unix_millis = nanos / 1_000_000;
    if kind == "network" {
        let connected = match action.as_str() {
            "connect" => true,
            "disconnect" => false,
            _ => return None,
        };
        let id = attribute("container").filter(|_| attribute("name").as_deref() == Some(project))?;
        return Some(Said { id, machine: None, what: What::Connected(connected), unix_millis });
    }
    if kind != "container" || attribute("com.docker.compose.project").as_deref() != Some(project) {
        return None;
    }
    let what = match action.as_str() {
        "create" => What::Created,
        "start" => What::Started,
        "die" => What::Ended { code: attribute("exitCode")?.parse().ok()? },
        "pause" => What::Frozen(true),
        "unpause" => What::Frozen(false),
        _ => return None,
    };
    Some(Said { id: actor.id, machine: attribute("com.docker.compose.service"), what, unix_millis })
}

/// Follows the engine's words since the lab began, and the machines' own, for as long as this is polled.
pub(super) fn follow(
    project: String,
    fleet: Fleet,
    clock: Clock,
) -> anyhow::Result<impl Future<Output = ()>> {
    let since = clock.wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let since = format!("{:.3}", since.as_secs_f64());
    let mut command = Command::new("docker");
    command.args(["events", "--since", &since, "--format", "{{json .}}"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn().context("follow the docker engine's events")?;
    let words = child.stdout.take().context("its standard output is piped")?;
    Ok(async move {
        hear_both(words, project, fleet, clock).await;
        // Dropped here, and with it killed, when nobody polls any more.
        drop(child);
    })
}

async fn hear_both(words: ChildStdout, project: String, fleet: Fleet, clock: Clock) {
    let mut lines = BufReader::new(words).lines();
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut notes = Notes { project, fleet, clock, machines: HashMap::new(), starting: HashMap::new() };
    loop {
        tokio::select! {
            line = lines.next_line() => match line {
                Ok(Some(line)) => {
                    if let Some(said) = understand(&line, &notes.project) {
                        notes.take(said).await;
                    }
                }
                _ => {
                    tracing::warn!("the docker engine says nothing any more; what is done by hand is not seen");
                    return;
                }
            },
            _ = look.tick() => {
                let containers: Vec<_> = notes.fleet.lock().values().cloned().collect();
                containers.iter().for_each(|container| container.hear());
            }
        }
    }
}

/// What following takes.
struct Notes {
    project: String,
    fleet: Fleet,
    clock: Clock,
    /// Machines' names by their containers' ids.
    machines: HashMap<String, String>,
    /// Containers that were started, and whose process is being asked for.
    starting: HashMap<String, JoinHandle<()>>,
}

impl Notes {
    async fn take(&mut self, said: Said) {
        if let Some(machine) = said.machine {
            self.machines.insert(said.id.clone(), machine);
        }
        let machine = self.machines.get(&said.id);
        let Some(container) = machine.and_then(|machine| self.fleet.lock().get(machine).cloned()) else {
            return;
        };
        // One thing after the other for one container; others need not wait for it.
        if let Some(starting) = self.starting.remove(&said.id) {
            let _ = starting.await;
        }
        let at = self.clock.of_unix_millis(said.unix_millis);
        match said.what {
            What::Created => {}
            What::Started => {
                let id = said.id.clone();
                let start = async move { container.started(pid_of(&id).await, at) };
                self.starting.insert(said.id, tokio::spawn(start));
            }
            What::Ended { code } => container.ended(code, at),
            What::Frozen(frozen) => container.frozen(frozen, at),
            // A container that ends leaves the network as well, which is nothing new.
            What::Connected(false) if !container.life().is_on() => {}
            What::Connected(connected) => container.life().is_connected(connected, at),
        }
    }
}

/// A container's first process, as this computer numbers it.
async fn pid_of(container: &str) -> u32 {
    let said = docker(&["inspect", "--format", "{{.State.Pid}}", container]).await;
    said.ok().and_then(|said| said.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Option<Said> {
        understand(line, "labctl")
    }

    fn container(action: &str, more: &str) -> String {
        format!(
            r#"{{"status":"{action}","id":"abc","from":"scaling-lab","Type":"container","Action":"{action}","Actor":{{"ID":"abc","Attributes":{{"com.docker.compose.project":"labctl","com.docker.compose.service":"web-1","name":"web-1"{more}}}}},"scope":"local","time":1763000000,"timeNano":1763000000123456789}}"#
        )
    }

    #[test]
    fn a_killed_container_is_understood() {
        let said = said(&container("die", r#","exitCode":"137""#)).unwrap();
        assert_eq!((said.machine.as_deref(), said.what), (Some("web-1"), What::Ended { code: 137 }));
        assert_eq!(said.unix_millis, 1_763_000_000_123);
    }

    #[test]
    fn freezing_and_starting_are_understood() {
        let what = |action| said(&container(action, "")).map(|said| said.what);
        assert_eq!(what("pause"), Some(What::Frozen(true)));
        assert_eq!(what("unpause"), Some(What::Frozen(false)));
        assert_eq!(what("start"), Some(What::Started));
        assert_eq!(what("exec_create: sh"), None);
    }

    #[test]
    fn a_pulled_cable_is_understood() {
        let line = |network: &str| {
            format!(
                r#"{{"Type":"network","Action":"disconnect","Actor":{{"ID":"n","Attributes":{{"container":"abc","name":"{network}","type":"bridge"}}}},"scope":"local","time":1,"timeNano":1000000}}"#
            )
        };
        assert_eq!(said(&line("labctl")).unwrap().what, What::Connected(false));
        assert_eq!(said(&line("bridge")), None);
    }

    #[test]
    fn containers_of_others_are_nothing_of_the_lab() {
        assert_eq!(said(&container("start", "").replace("\"labctl\"", "\"shop\"")), None);
        assert_eq!(said("no JSON"), None);
    }
}
