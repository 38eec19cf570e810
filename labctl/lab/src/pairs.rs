//! Asks the balancers of a pair which of them holds the shared address.

use std::time::Duration;

use futures_util::future::join_all;
use hyper::Method;
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::plan::Plan;

/// Timeout for one balancer's answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long a pair may take to agree on who holds the address, and the polling interval.
const AGREED_MAX: Duration = Duration::from_secs(5);
const ASKED_EVERY: Duration = Duration::from_millis(20);

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

/// Waits until every pair has an active balancer: each first listens for the other before it takes the
/// address, and until then nothing answers there. A pair that does not agree in time is left for the chapter
/// to judge. External programs without a `/pair` are not waited for.
pub(super) async fn until_active(plan: &Plan) {
    let agreed = async |kind: &str| {
        loop {
            let pair = statuses(plan, kind).await;
            if pair.is_empty() || pair.iter().any(|(_, is_active)| *is_active) {
                break;
            }
            sleep(ASKED_EVERY).await;
        }
    };
    let _ = timeout(AGREED_MAX, join_all(plan.pair_kinds().map(agreed))).await;
}
