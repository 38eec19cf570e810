//! `labctl events`: shows what happened in the running lab.

use super::common::Common;
use super::{Performed, running, say, say_document};
use lab::control::{ControlRequest, ControlResponse};

/// Prints the events of the running lab.
pub async fn events(common: &Common) -> Performed {
    if let ControlResponse::Events(events) = running::ask(common, &ControlRequest::Events(0)).await? {
        if common.json {
            say_document("events", serde_json::json!({ "events": events }))?;
        } else {
            events.iter().for_each(say);
        }
    }
    Ok(0)
}
