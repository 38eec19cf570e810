//! The client addresses of all nodes. Each node announces its own when it connects.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::replication::member::Name;

/// The client addresses of all nodes. Cheap to clone; the clones share their content.
#[derive(Debug, Clone, Default)]
pub struct Directory(Arc<Mutex<BTreeMap<Name, String>>>);

impl Directory {
    /// Records the address that a node announced.
    pub fn learn(&self, name: &Name, advertised: &str) {
        let mut known = self.0.lock();
        if known.get(name).is_none_or(|before| before != advertised) {
            known.insert(name.clone(), advertised.to_owned());
        }
    }

    /// The client address of a node, if it has announced one.
    pub fn find(&self, name: &Name) -> Option<String> {
        self.0.lock().get(name).cloned()
    }
}
