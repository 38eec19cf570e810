//! What the nodes of the lab's databases say of themselves: who is the primary, and in which term.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Deserialize;
use tokio::time::sleep;

use super::events::{Events, Happening};
use super::http::{self, KeptConnection};
use super::plan::{MachinePlan, Plan, Program};

const POLL: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_millis(500);

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NodeStatus {
    /// `primary`, `replica`, `candidate` or `stopped`.
    pub role: String,
    /// Which election it knows of last.
    pub term: u64,
    /// The last entry of its log.
    pub last_index: u64,
    /// The last entry that its readers see.
    pub applied_index: u64,
    /// Writes that were cut off its log, ever.
    #[serde(default)]
    pub discarded: u64,
}

impl NodeStatus {
    /// Asks a node. `None`: it does not answer.
    pub async fn of(node: SocketAddr) -> Option<Self> {
        Self::on(&mut http::Client::without_token().keep(node)).await
    }

    /// Asks a node on a connection that is kept. `None`: it does not answer.
    async fn on(node: &mut KeptConnection) -> Option<Self> {
        let answer = node.get("/status", PATIENCE).await.ok()?;
        serde_json::from_slice(&answer.body).ok()
    }

    /// Whether it takes writes.
    pub fn is_primary(&self) -> bool {
        self.role == "primary"
    }
}

/// Where a machine's database node answers.
pub fn node_on(machine: &MachinePlan) -> Option<SocketAddr> {
    let node = machine.programs.iter().find(|plan| plan.program == Program::Dbnode)?;
    Some(node.health)
}

/// Every node of a kind that answers, by the machine it is on.
pub async fn statuses(plan: &Plan, kind: &str) -> Vec<(String, NodeStatus)> {
    let nodes = plan.of_kind(kind).filter_map(|machine| Some((machine.name.clone(), node_on(machine)?)));
    let asking = nodes.map(|(name, node)| async move { Some((name, NodeStatus::of(node).await?)) });
    join_all(asking).await.into_iter().flatten().collect()
}

/// Whether every node of a kind answers, one is the primary, and all show the same.
pub fn have_converged(nodes: usize, statuses: &[(String, NodeStatus)]) -> bool {
    let same = |(_, one): &(String, NodeStatus)| (one.last_index, one.applied_index);
    let primaries = statuses.iter().filter(|(_, status)| status.is_primary()).count();
    let all_same =
        statuses.iter().all(|one| same(one) == same(&statuses[0]) && one.1.last_index == one.1.applied_index);
    statuses.len() == nodes && primaries == 1 && all_same
}

/// Writes down when a node becomes the primary and when it no longer is, for as long as this is
/// polled.
pub async fn follow(machine: String, node: SocketAddr, events: Events) {
    let (mut primary_in, mut connection) = (None::<u64>, http::Client::without_token().keep(node));
    loop {
        if let Some(status) = NodeStatus::on(&mut connection).await {
            let now = status.is_primary().then_some(status.term);
            match (primary_in, now) {
                (before, Some(term)) if before != Some(term) => {
                    events.record(Happening::BecamePrimary { machine: machine.clone(), term });
                }
                (Some(term), None) => {
                    events.record(Happening::SteppedDown { machine: machine.clone(), term });
                }
                _ => {}
            }
            primary_in = now;
        }
        sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(role: &str, last_index: u64, applied_index: u64) -> (String, NodeStatus) {
        ("db".into(), NodeStatus { role: role.into(), term: 3, last_index, applied_index, discarded: 0 })
    }

    #[test]
    fn nodes_have_converged_when_all_show_the_same() {
        let (primary, replica) = (node("primary", 7, 7), node("replica", 7, 7));
        assert!(have_converged(2, &[primary.clone(), replica.clone()]));
        assert!(!have_converged(3, &[primary.clone(), replica.clone()]), "one does not answer");
        assert!(!have_converged(2, &[primary.clone(), node("replica", 7, 6)]), "one has yet to apply");
        assert!(!have_converged(2, &[primary.clone(), node("replica", 9, 9)]), "one has more");
        assert!(!have_converged(2, &[replica.clone(), replica]), "nobody takes writes");
        assert!(!have_converged(2, &[primary.clone(), primary]), "two take writes");
    }
}
