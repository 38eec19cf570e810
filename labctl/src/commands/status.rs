//! `labctl status`: shows the machines of the running lab.

use std::time::{Duration, Instant};

use clap::Args;
use comfy_table::Table;
use hyper::Method;

use super::common::Common;
use super::{Performed, running, say, say_document};
use crate::output;
use crate::report::columns;
use crate::watch::{Health, Machine, ProgramView, State, Wire};
use lab::http::Client;
use lab::interrupt::Interrupt;
use lab::{MachineStatus, Program, ProgramStatus};

/// How to show the state.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Refresh every second, until Ctrl-C.
    #[arg(long)]
    watch: bool,
}

/// Refresh interval of a watched status.
const EVERY: Duration = Duration::from_secs(1);
/// How long the first status waits for what is known only after two samples: rates and roles.
const SAMPLED_WITHIN: Duration = Duration::from_millis(1500);
/// Interval at which it asks again. It is also the time over which rates are measured.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// Timeout for the lab's page to report its state.
const PATIENCE: Duration = Duration::from_secs(5);
/// Clears the terminal and moves the cursor to the top.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Shows the machines of the running lab with their programs.
pub async fn status(args: &StatusArgs, common: &Common, interrupt: &Interrupt) -> Performed {
    let (chapter, logs, machines) = running::status(common).await?;
    if common.json {
        say_document(
            "status",
            serde_json::json!({ "chapter": chapter, "logs": logs, "machines": machines }),
        )?;
        return Ok(0);
    }
    if !args.watch {
        say(format!("{chapter}: {} machines; logs in {}", machines.len(), logs.display()));
        shown(common, &machines).await.into_iter().for_each(say);
        return Ok(0);
    }
    loop {
        let (_, _, machines) = running::status(common).await?;
        let lines = shown(common, &machines).await;
        say(format!("{CLEAR}{chapter}; Ctrl-C ends this view, not the lab\n{}", lines.join("\n")));
        let pause = async {
            tokio::time::sleep(EVERY).await;
            Ok(())
        };
        if output::is_gone() || interrupt.unless(pause).await.is_err() {
            return Ok(0);
        }
    }
}

/// Renders the machines as a table, with details from the lab's page if it has one.
async fn shown(common: &Common, machines: &[MachineStatus]) -> Vec<String> {
    match sampled_state(common).await {
        Some(state) => rich_lines(&state, columns::width()),
        None => plain_lines(machines, columns::width()),
    }
}

/// Asks the lab for its state until it has rates and roles, or for as long as that may take. Nobody has
/// looked at a lab that was just started, so its first state lacks them.
async fn sampled_state(common: &Common) -> Option<State> {
    let begun = Instant::now();
    let mut last = state(common).await?;
    while !is_sampled(&last) && begun.elapsed() + ASK_EVERY <= SAMPLED_WITHIN {
        tokio::time::sleep(ASK_EVERY).await;
        last = state(common).await?;
    }
    Some(last)
}

/// Returns whether every rate and every role that will ever be known is known.
fn is_sampled(state: &State) -> bool {
    let answers = |name: &str| {
        state.machines.iter().any(|machine| machine.name == name && machine.health != Health::Down)
    };
    let has_role =
        |name: &str| state.machines.iter().all(|machine| machine.name != name || machine.role.is_some());
    state.wires.iter().filter(|wire| answers(&wire.from)).all(|wire| match wire.carries.as_str() {
        "requests" | "queries" => wire.rps.is_some(),
        "copies" => {
            let of_a_database = state.machines.iter().any(|machine| {
                machine.name == wire.from && machine.programs.iter().any(|one| one.program == "dbnode")
            });
            !of_a_database || has_role(&wire.from)
        }
        _ => true,
    })
}

async fn state(common: &Common) -> Option<State> {
    let found = page::find(&common.site.lab_dir)?;
    let client = Client::with_token(&found.token);
    let answer = client.ask(found.address, Method::GET, "/api/state", None, PATIENCE).await.ok()?;
    serde_json::from_slice(&answer.body).ok()
}

/// The columns that a narrow terminal lacks, the least useful first: nobody types addresses, and a machine's
/// name mostly says which programs it has. Process ids stay, because they can be killed.
const RICH_YIELD: [usize; 4] = [8, 1, 5, 4];

fn rich_lines(state: &State, width: usize) -> Vec<String> {
    let mut table = rich_table(state);
    if state.machines.iter().all(|machine| machine.role.is_none()) {
        columns::hide(&mut table, ROLE);
    }
    columns::fitting_lines(table, width, &RICH_YIELD)
}

/// Index of the column of roles, which most chapters do not have.
const ROLE: usize = 3;

/// A row per machine: its programs, its state with the reason, and its utilisation.
fn rich_table(state: &State) -> Table {
    let header = ["machine", "program", "state", "role", "cpu", "memory", "req/s", "pid", "address"];
    let mut table = columns::table(header);
    for machine in &state.machines {
        let joined = |figure: fn(&ProgramView) -> String| {
            machine.programs.iter().map(figure).collect::<Vec<_>>().join(", ")
        };
        let memory = machine.memory_held.zip(machine.memory_limit);
        table.add_row([
            machine.name.clone(),
            joined(|one| one.program.clone()),
            condition(machine, &state.wires),
            machine.role.clone().unwrap_or_default(),
            machine.cpu.map_or("–".into(), |share| format!("{:.0} %", 100.0 * share)),
            memory.map_or("–".into(), |(held, limit)| format!("{}/{} MiB", held >> 20, limit >> 20)),
            requests(&machine.name, &state.wires).map_or("–".into(), |rps| format!("{rps:.0}")),
            joined(|one| one.pid.to_string()),
            joined(|one| one.address.clone()),
        ]);
    }
    table
}

/// Describes a machine's state, the reason, and which balancers have ejected it.
fn condition(machine: &Machine, wires: &[Wire]) -> String {
    let mut words = machine.word.clone();
    if let Some(reason) = &machine.reason {
        words += &format!(" ({reason})");
    }
    let out_of: Vec<_> = wires
        .iter()
        .filter(|wire| wire.ejected && wire.to == machine.name)
        .map(|wire| wire.from.as_str())
        .collect();
    if !out_of.is_empty() {
        words += &format!(", out of rotation at {}", out_of.join(", "));
    }
    words
}

/// Returns the requests per second that reach a machine, where they are counted.
fn requests(machine: &str, wires: &[Wire]) -> Option<f64> {
    let counted = wires.iter().filter(|wire| wire.to == machine).filter_map(|wire| wire.rps);
    counted.reduce(|sum, more| sum + more)
}

/// The columns that a narrow terminal lacks, the least useful first: jobs that wait, cores, memory. Addresses
/// and process ids are there to be typed.
const PLAIN_YIELD: [usize; 4] = [5, 3, 4, 6];

/// Renders a row per program, within a width.
pub(super) fn plain_lines(machines: &[MachineStatus], width: usize) -> Vec<String> {
    columns::fitting_lines(table(machines), width, &PLAIN_YIELD)
}

/// A row per program: what a student needs to see and to type.
fn table(machines: &[MachineStatus]) -> Table {
    let mut table =
        columns::table(["machine", "program", "state", "cores", "memory", "waiting", "address", "pid"]);
    for machine in machines {
        for (index, program) in machine.programs.iter().enumerate() {
            let mut row =
                vec![machine.name.clone(), program.program.name().into(), state_of(machine, program).into()];
            row.extend(if index == 0 { figures(machine) } else { vec![String::new(); 3] });
            row.extend([program.address.to_string(), program.pid.to_string()]);
            table.add_row(row);
        }
    }
    table
}

fn state_of(machine: &MachineStatus, program: &ProgramStatus) -> &'static str {
    match program {
        _ if !machine.on => "off",
        _ if !machine.connected => "off the network",
        ProgramStatus { alive: false, .. } => "dead",
        ProgramStatus { frozen: true, .. } => "frozen",
        ProgramStatus { program: Program::Dbnode, .. }
            if machine.usage.is_some_and(|usage| usage.disk_full) =>
        {
            "disk full"
        }
        _ => "up",
    }
}

fn figures(machine: &MachineStatus) -> Vec<String> {
    let Some(usage) = machine.usage else {
        return vec![machine.cores.to_string(), "–".into(), "–".into()];
    };
    let mib = |bytes: u64| bytes >> 20;
    vec![
        machine.cores.to_string(),
        format!("{} of {} MiB", mib(usage.memory_held), mib(usage.memory_limit)),
        usage.cpu_waiting.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        serde_json::from_str(
            r#"{"machines": [
                {"name": "lb", "programs": [{"program": "lb", "address": "127.0.0.1:8080", "pid": 7}],
                 "word": "up", "reason": null, "role": "active", "cpu": 0.25, "memory_held": 1048576, "memory_limit": 536870912},
                {"name": "web-1", "programs": [{"program": "webserver", "address": "127.0.0.2:9001", "pid": 8}],
                 "word": "off", "reason": "out of memory", "role": null, "cpu": null, "memory_held": null, "memory_limit": null}],
              "wires": [{"from": "clients", "to": "lb", "rps": 40.0, "ejected": false},
                        {"from": "lb", "to": "web-1", "rps": null, "ejected": true}]}"#,
        )
        .unwrap()
    }

    #[test]
    fn a_machine_is_shown_with_its_role_its_load_and_why_it_is_out() {
        let shown = rich_lines(&state(), 160).join("\n");
        for part in ["active", "25 %", "1/512 MiB", "40", "off (out of memory), out of rotation at lb"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }

    #[test]
    fn no_row_is_wider_than_the_terminal() {
        for width in [60, 80, 120] {
            let lines = rich_lines(&state(), width);
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{width}: {lines:#?}");
            assert_eq!(lines[0].contains("address"), width == 120, "{width}: {lines:#?}");
            assert!(lines[0].contains("pid"), "it can be killed at {width}: {lines:#?}");
        }
    }

    #[test]
    fn a_state_is_sampled_once_it_has_the_rates_of_what_answers() {
        let mut state = state();
        assert!(!is_sampled(&with_carries(&state, "requests")), "lb has no rate yet");
        state.wires[1].rps = Some(0.0);
        assert!(is_sampled(&with_carries(&state, "requests")));
        state.wires[1].rps = None;
        state.machines[0].health = Health::Down;
        assert!(is_sampled(&with_carries(&state, "requests")), "there is nothing to wait for");
    }

    #[test]
    fn a_database_is_sampled_once_it_has_a_role() {
        let mut state = with_carries(&state(), "copies");
        state.machines[0].programs[0].program = "dbnode".into();
        assert!(is_sampled(&state));
        state.machines[0].role = None;
        assert!(!is_sampled(&state));
    }

    /// The same state, with something else on the wire from `lb`.
    fn with_carries(state: &State, carries: &str) -> State {
        let mut state = state.clone();
        state.wires[1].carries = carries.into();
        state
    }
}
