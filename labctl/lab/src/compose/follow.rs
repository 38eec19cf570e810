//! Follows the engine's events (`docker events`, one JSON document per line), no matter who caused them.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::super::events::Clock;
use super::container::Container;
use super::engine::docker;
use super::inspect::Inspected;

/// Polling interval for the reports that machines write.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The pause before reconnecting to an engine that stopped sending events, and the time that it then gets to
/// deliver the events missed meanwhile.
const AGAIN: Duration = Duration::from_secs(1);

/// The lab's containers, by the machine's name.
pub(super) type Fleet = Arc<Mutex<HashMap<String, Arc<Container>>>>;

/// One event of the engine.
#[derive(Debug, PartialEq)]
struct Said {
    /// The container's id.
    id: String,
    /// The machine's name, if the event contains it.
    machine: Option<String>,
    what: What,
    /// Time of the event, in nanoseconds since 1970.
    nanos: u64,
}

#[derive(Debug, PartialEq)]
enum What {
    Created,
    Started,
    Ended {
        code: i32,
    },
    Frozen(bool),
    /// It was connected to the lab's network, or disconnected.
    Cable,
}

/// An event as the engine prints it.
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

/// Parses a line, if it is about a container of the lab.
fn understand(line: &str, project: &str) -> Option<Said> {
    let Line { kind, action, actor, nanos } = serde_json::from_str(line).ok()?;
    let attribute = |name: &str| actor.attributes.get(name).cloned();
    if kind == "network" {
        if !matches!(action.as_str(), "connect" | "disconnect") {
            return None;
        }
        let id = attribute("container").filter(|_| attribute("name").as_deref() == Some(project))?;
        return Some(Said { id, machine: None, what: What::Cable, nanos });
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
    Some(Said { id: actor.id, machine: attribute("com.docker.compose.service"), what, nanos })
}

/// Follows the engine's events since the start of the lab, and the machines' own reports, as long as it is
/// polled.
pub(super) fn follow(
    project: String,
    fleet: Fleet,
    clock: Clock,
) -> anyhow::Result<impl Future<Output = ()>> {
    let began = clock.wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let began = u64::try_from(began.as_nanos()).unwrap_or_default();
    let mut notes = Notes {
        project,
        fleet,
        clock,
        machines: HashMap::new(),
        asking: HashMap::new(),
        next: began,
        compare_at: None,
        deaf: false,
    };
    let mut engine = listen(notes.next).context("follow the docker engine's events")?;
    Ok(async move {
        loop {
            if let Some(words) = engine.stdout.take() {
                hear_both(words, &mut notes).await;
            }
            notes.fell_silent(engine).await;
            engine = loop {
                sleep(AGAIN).await;
                if let Ok(again) = listen(notes.next) {
                    break again;
                }
            };
            notes.compare_at = Some(Instant::now() + AGAIN);
        }
    })
}

/// Starts to listen to events from this moment on. The process is killed when its handle is dropped.
fn listen(since: u64) -> std::io::Result<Child> {
    let mut command = Command::new("docker");
    command.args(["events", "--since", &seconds(since), "--format", "{{json .}}"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true).spawn()
}

/// Formats a timestamp for `docker events --since`.
fn seconds(nanos: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    format!("{}.{:09}", nanos / SECOND, nanos % SECOND)
}

/// Returns when the engine's event stream ends.
async fn hear_both(words: ChildStdout, notes: &mut Notes) {
    let mut lines = BufReader::new(words).lines();
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            line = lines.next_line() => {
                let Ok(Some(line)) = line else { return };
                if let Some(said) = understand(&line, &notes.project) {
                    notes.take(said).await;
                }
            }
            _ = look.tick() => {
                notes.containers().iter().for_each(|container| container.read_reports());
                if notes.compare_at.is_some_and(|at| at <= Instant::now()) {
                    notes.compare().await;
                }
            }
        }
    }
}

/// The state of following.
struct Notes {
    project: String,
    fleet: Fleet,
    clock: Clock,
    /// Machines' names by their containers' ids.
    machines: HashMap<String, String>,
    /// Containers for which an inspection is under way.
    asking: HashMap<String, JoinHandle<()>>,
    /// The first moment for which no event has arrived yet, in nanoseconds since 1970.
    next: u64,
    /// When to compare the known state with the actual one, after the event stream was interrupted.
    compare_at: Option<Instant>,
    /// The event stream is interrupted, and a warning has been logged.
    deaf: bool,
}

impl Notes {
    async fn take(&mut self, said: Said) {
        self.next = self.next.max(said.nanos + 1);
        if let Some(machine) = said.machine {
            self.machines.insert(said.id.clone(), machine);
        }
        let machine = self.machines.get(&said.id);
        let Some(container) = machine.and_then(|machine| self.fleet.lock().get(machine).cloned()) else {
            return;
        };
        // Events of one container are handled in order; those of others need not wait.
        if let Some(asking) = self.asking.remove(&said.id) {
            let _ = asking.await;
        }
        let at = self.clock.of_unix_millis(said.nanos / 1_000_000);
        match said.what {
            What::Created => {}
            What::Started => {
                self.ask(said.id, move |found| {
                    container.started(found.map_or(0, |found| found.state.pid), at);
                    if let Some(found) = found.filter(|found| found.state.running) {
                        container.connected(found, at);
                    }
                });
            }
            What::Ended { code } => container.ended(code, at),
            What::Frozen(frozen) => container.frozen(frozen, at),
            // A container joins the network before its start is reported, and leaves it before or after its
            // end is: only for a running container is this news.
            What::Cable => {
                if container.life().is_on() {
                    self.ask(said.id, move |found| {
                        if let Some(found) = found.filter(|found| found.state.running) {
                            container.connected(found, at);
                        }
                    });
                }
            }
        }
    }

    /// Inspects a container, then handles the result.
    fn ask(&mut self, id: String, then: impl FnOnce(Option<&Inspected>) + Send + 'static) {
        let container = id.clone();
        let look = async move { then(Inspected::of(&container).await.ok().as_ref()) };
        self.asking.insert(id, tokio::spawn(look));
    }

    fn containers(&self) -> Vec<Arc<Container>> {
        self.fleet.lock().values().cloned().collect()
    }

    /// Events go unnoticed in the meantime.
    async fn fell_silent(&mut self, engine: Child) {
        let ended = timeout(AGAIN, engine.wait_with_output()).await;
        if !std::mem::replace(&mut self.deaf, true) {
            let said = ended.ok().and_then(Result::ok).map(|output| output.stderr).unwrap_or_default();
            let said = String::from_utf8_lossy(&said);
            let said = said.trim();
            tracing::warn!(
                said,
                "the docker engine's events have stopped; until they resume, nothing is noticed"
            );
        }
    }

    /// A restarted engine does not replay earlier events: the containers' actual state is inspected instead.
    async fn compare(&mut self) {
        let label = format!("label=com.docker.compose.project={}", self.project);
        let Ok(names) = docker(&["ps", "--all", "--filter", &label, "--format", "{{.Names}}"]).await else {
            self.compare_at = Some(Instant::now() + AGAIN);
            return;
        };
        for container in self.containers() {
            let at = self.clock.now();
            if !names.lines().any(|name| name == container.name()) {
                container.found(None, at);
            } else if let Ok(found) = Inspected::of(container.name()).await {
                container.found(Some(&found), at);
            }
        }
        self.compare_at = None;
        if std::mem::take(&mut self.deaf) {
            tracing::warn!("the docker engine's events have resumed");
        }
    }
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
        assert_eq!(said.nanos, 1_763_000_000_123_456_789);
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
        assert_eq!(said(&line("labctl")).unwrap().what, What::Cable);
        assert_eq!(said(&line("bridge")), None);
    }

    #[test]
    fn a_moment_is_written_as_the_engine_reads_it() {
        assert_eq!(seconds(1_763_000_000_023_456_789), "1763000000.023456789");
    }

    #[test]
    fn containers_of_others_are_nothing_of_the_lab() {
        assert_eq!(said(&container("start", "").replace("\"labctl\"", "\"shop\"")), None);
        assert_eq!(said("no JSON"), None);
    }
}
