//! `labctl kill`, `stop`, `slow` and all other verbs: each does one thing to the lab that is running, and prints
//! what could have been typed instead. [`Act`] defines them with their arguments.

use super::common::Common;
use super::{Performed, running, say, say_document};
use chapter::Act;
use lab::control::{Answer, Question};

/// Does one thing.
pub async fn act(act: Act, common: &Common) -> Performed {
    let Answer::Done(commands) = running::ask(common, &Question::Act(act.as_typed())).await? else {
        return Ok(5);
    };
    if common.json {
        say_document("did", serde_json::json!({ "did": commands }))?;
    } else {
        commands.iter().for_each(|command| say(format!("$ {command}")));
    }
    Ok(0)
}
