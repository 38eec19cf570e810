//! Who is where, to clients: each node says it when it connects.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::replication::member::Name;

/// Where clients reach each node. Cheap to clone; the clones are one.
#[derive(Debug, Clone, Default)]
pub struct Directory(Arc<Mutex<BTreeMap<Name, String>>>);

impl Directory {
    /// A node said where clients reach it.
    pub fn learn(&self, name: &Name, advertised: &str) {
        let mut known = self.0.lock();
        if known.get(name).is_none_or(|before| before != advertised) {
            known.insert(name.clone(), advertised.to_owned());
        }
    }

    /// Where clients reach it, if it ever said.
    pub fn find(&self, name: &Name) -> Option<String> {
        self.0.lock().get(name).cloned()
    }
}
