//! At the end all nodes are identical: the same log applied, and the same records, on disk and in
//! memory.

use super::{Violation, violated};
use crate::node::Node;

/// Checks the nodes after the clients are gone and everything has had time to settle.
pub fn check(nodes: &[Node]) -> Result<(), Violation> {
    let ends: Vec<String> = nodes.iter().map(end).collect();
    let states: Vec<_> =
        nodes.iter().filter_map(|node| node.core.as_ref().map(|core| core.state())).collect();
    let all_up = states.len() == nodes.len();
    if all_up && states.iter().all(|state| *state == states[0]) && ends.iter().all(|end| *end == ends[0]) {
        return Ok(());
    }
    violated("replicas converge", ends.join("\n"))
}

/// A node's final position, for comparison.
fn end(node: &Node) -> String {
    let log = node
        .disk
        .stored()
        .entries
        .last()
        .map_or(node.disk.stored().snapshot.log_id(), |entry| entry.log_id());
    let memory = node.core.as_ref().map(|core| (core.state().log_id(), core.last_index()));
    format!("on disk up to {log:?}, in memory up to {memory:?}")
}
