//! Which balancer of a pair has the shared address, asked of the balancers themselves.

use hyper::Method;
use serde::Deserialize;

use super::plan::Plan;

const PATIENCE: std::time::Duration = std::time::Duration::from_millis(500);

#[derive(Deserialize)]
struct Status {
    role: String,
}

/// The balancers of a kind that answer, each with whether it is active.
pub(super) async fn statuses(plan: &Plan, kind: &str) -> Vec<(String, bool)> {
    let mut statuses = Vec::new();
    for machine in plan.of_kind(kind) {
        let Some(admin) = plan.admin_of(&machine.name) else { continue };
        let Ok(answer) = admin.ask(Method::GET, "/pair", None, PATIENCE).await else { continue };
        let Ok(status) = serde_json::from_slice::<Status>(&answer.body) else { continue };
        statuses.push((machine.name.clone(), status.role.eq_ignore_ascii_case("active")));
    }
    statuses
}
