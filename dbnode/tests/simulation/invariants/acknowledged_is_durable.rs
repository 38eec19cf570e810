//! When a write is acknowledged, it is on the disks that the mode promises.

use dbnode::replication::durability::Mode;
use dbnode::replication::effect::Written;

use super::{Violation, violated};
use crate::node::Node;

/// Checks a write at the moment a node acknowledges it.
pub fn check(mode: Mode, nodes: &[Node], by: usize, written: &Written) -> Result<(), Violation> {
    let (term, index) = (written.version.term(), written.version.index());
    let on_disk = nodes.iter().filter(|node| node.disk.has(term, index)).count();
    let enough = match mode {
        Mode::Async => nodes[by].disk.has(term, index) || on_disk > nodes.len() / 2,
        Mode::Quorum => on_disk > nodes.len() / 2,
        Mode::Sync => on_disk == nodes.len(),
    };
    if enough {
        return Ok(());
    }
    let seen = format!(
        "db-{} acknowledged entry {index} of term {term} in {} mode, and it is on {on_disk} of {} disks",
        by + 1,
        mode.name(),
        nodes.len()
    );
    violated("acknowledged is durable", seen)
}
