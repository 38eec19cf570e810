//! `labctl kill`, `stop`, `slow` and the other verbs: each acts once on the running lab, and prints the
//! commands that would have done the same. [`Act`] defines the verbs with their arguments.

use super::common::Common;
use super::{Performed, running, say, say_document};
use chapter::Act;
use lab::MachineStatus;
use lab::control::{ControlRequest, ControlResponse};
use lab::error::LabError;

/// Returns the same act for another machine.
fn of_another(act: &Act, name: &str) -> Result<Act, LabError> {
    let mut document = serde_json::to_value(act).map_err(anyhow::Error::from)?;
    document["name"] = name.into();
    Ok(serde_json::from_value(document).map_err(anyhow::Error::from)?)
}

/// Carries out an act, and the same act on further machines.
pub async fn act(act: Act, more: &[String], common: &Common) -> Performed {
    let others = more.iter().map(|name| of_another(&act, name)).collect::<Result<Vec<_>, _>>()?;
    let mut commands = Vec::new();
    let mut performed = Ok(0);
    for act in std::iter::once(act).chain(others) {
        match running::ask(common, &ControlRequest::Act(act.as_typed())).await {
            Ok(ControlResponse::Done(done)) => commands.extend(done),
            Ok(_) => performed = Ok(5),
            Err(error) => performed = Err(error),
        }
        if !matches!(performed, Ok(0)) {
            break;
        }
    }
    // What was done is told even if one of several failed.
    let told = tell(&commands, performed.is_err(), common).await;
    performed.and_then(|code| told.map(|()| code))
}

/// Prints the equivalent commands, and what was started again. After an error, JSON is that of the error.
async fn tell(commands: &[String], is_cut_short: bool, common: &Common) -> Result<(), LabError> {
    if common.json && is_cut_short {
        return Ok(());
    }
    if common.json {
        say_document("did", serde_json::json!({ "did": commands }))?;
    } else {
        let restarted: Vec<_> = commands.iter().filter_map(|command| command.strip_prefix(RESTART)).collect();
        let typed = commands.iter().filter(|command| !command.starts_with(RESTART));
        typed.for_each(|command| say(format!("$ {command}")));
        if !restarted.is_empty() {
            let (_, _, machines) = running::status(common).await?;
            let started = machines.iter().filter(|machine| restarted.contains(&machine.name.as_str()));
            started.for_each(|machine| say(back(machine)));
        }
    }
    Ok(())
}

/// A restart has no equivalent command but labctl's own, which names the machine, however it was named.
const RESTART: &str = "labctl restart ";

/// Describes a machine that was started again.
fn back(machine: &MachineStatus) -> String {
    let (name, cores) = (&machine.name, machine.cores);
    let programs = machine
        .programs
        .iter()
        .map(|one| format!("{} (pid {}) at {}", one.program.name(), one.pid, one.address));
    let programs = programs.collect::<Vec<_>>().join(", ");
    let cores = if cores == 1 { "1 core".into() } else { format!("{cores} cores") };
    format!("{name} was started again, with its data and {cores}: {programs}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_done_to_another_machine() {
        let kill = Act::Kill { name: "web-1".into() };
        assert_eq!(of_another(&kill, "web-2").unwrap(), Act::Kill { name: "web-2".into() });
    }
}
