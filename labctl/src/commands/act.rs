//! `labctl kill`, `stop`, `slow` and the other verbs: each acts once on the running lab, and prints the
//! commands that would have done the same. [`Act`] defines the verbs with their arguments.

use super::common::Common;
use super::{Performed, running, say, say_document};
use chapter::Act;
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
    for act in std::iter::once(act).chain(others) {
        match running::ask(common, &ControlRequest::Act(act.as_typed())).await? {
            ControlResponse::Done(done) => commands.extend(done),
            _ => return Ok(5),
        }
    }
    if common.json {
        say_document("did", serde_json::json!({ "did": commands }))?;
    } else {
        commands.iter().for_each(|command| say(format!("$ {command}")));
    }
    Ok(0)
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
