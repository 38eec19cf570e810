//! Resolves roles: a name such as `db:primary` stands for the machine that has the role at that moment.

use std::collections::HashMap;

use parking_lot::Mutex;

use chapter::role::{Role, parse};

use super::plan::Plan;
use super::{databases, pairs};

/// Resolves roles, and remembers the former primary and the former active balancer of each kind.
#[derive(Debug, Default)]
pub struct Roles {
    former: Mutex<HashMap<String, String>>,
}

impl Roles {
    /// The machine that a name stands for now. A name without a role stands for itself. `None` if no machine has the
    /// role.
    pub async fn resolve(&self, name: &str, plan: &Plan) -> Option<String> {
        let Some((kind, role)) = parse(name) else { return Some(name.to_owned()) };
        if role == Role::Former {
            return self.former(kind);
        }
        if let Role::Active | Role::Standby = role {
            let wanted = role == Role::Active;
            let pair = pairs::statuses(plan, kind).await;
            return pair.into_iter().find(|(_, is_active)| *is_active == wanted).map(|(name, _)| name);
        }
        let statuses = databases::statuses(plan, kind).await;
        if role == Role::Gone {
            let answers = |name: &String| statuses.iter().any(|(other, _)| other == name);
            return plan.of_kind(kind).map(|machine| machine.name.clone()).find(|name| !answers(name));
        }
        let (primaries, replicas): (Vec<_>, Vec<_>) =
            statuses.into_iter().partition(|(_, status)| status.is_primary());
        if role == Role::Replica {
            return replicas.into_iter().next().map(|(name, _)| name);
        }
        // A primary that was cut off may not know that it was replaced; the one with the latest term is
        // right.
        primaries.into_iter().max_by_key(|(_, status)| status.term).map(|(name, _)| name)
    }

    /// The machine of a kind that was acted on last while it was the primary, or the active balancer.
    pub fn former(&self, kind: &str) -> Option<String> {
        self.former.lock().get(kind).cloned()
    }

    /// Remembers that the machine a name resolved to is acted on. If it was a primary, or the active one of a
    /// pair, it is the former one from now on.
    pub fn remember(&self, name: &str, meant: &str) {
        if let Some((kind, Role::Primary | Role::Active)) = parse(name) {
            self.former.lock().insert(kind.to_owned(), meant.to_owned());
        }
    }
}
