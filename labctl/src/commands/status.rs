//! `labctl status`

use comfy_table::Table;

use super::common::Common;
use super::{Performed, running, say, say_document};
use crate::report::columns;
use lab::{MachineStatus, Program, ProgramStatus};

/// Shows the machines of the lab that is running, and what is on them.
pub async fn status(common: &Common) -> Performed {
    let (chapter, logs, machines) = running::status(common).await?;
    if common.json {
        say_document(
            "status",
            serde_json::json!({ "chapter": chapter, "logs": logs, "machines": machines }),
        )?;
        return Ok(0);
    }
    say(format!("{chapter}: {} machines; logs in {}", machines.len(), logs.display()));
    columns::lines(table(&machines), columns::width()).into_iter().for_each(say);
    Ok(0)
}

/// A row per program: what a student needs to see and to type.
pub(super) fn table(machines: &[MachineStatus]) -> Table {
    let mut table =
        columns::table(["machine", "program", "state", "cores", "memory", "waiting", "address", "pid"]);
    for machine in machines {
        for (index, program) in machine.programs.iter().enumerate() {
            let mut row =
                vec![machine.name.clone(), program.program.name().into(), state(machine, program).into()];
            row.extend(if index == 0 { figures(machine) } else { vec![String::new(); 3] });
            row.extend([program.address.to_string(), program.pid.to_string()]);
            table.add_row(row);
        }
    }
    table
}

fn state(machine: &MachineStatus, program: &ProgramStatus) -> &'static str {
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
