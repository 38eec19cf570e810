//! Which machine of a cluster is the primary. Names such as `db:primary` stand for a machine by what it
//! is at that moment.

use std::collections::HashMap;

use parking_lot::Mutex;

use chapter::role::{Role, parse};

use super::plan::Plan;
use super::{databases, pairs};

/// Remembers which machine was meant.
#[derive(Debug, Default)]
pub struct Roles {
    former: Mutex<HashMap<String, String>>,
}

impl Roles {
    /// The machine that a name means now. A name without a role means itself. `None`: no machine has
    /// this role.
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
        // One that was cut off may still think so; the one of the latest term is right.
        primaries.into_iter().max_by_key(|(_, status)| status.term).map(|(name, _)| name)
    }

    /// The machine of a kind that something was last done to while it was the primary, or the active one.
    pub fn former(&self, kind: &str) -> Option<String> {
        self.former.lock().get(kind).cloned()
    }

    /// Something is done to the machine that a name means: if that is a primary, or the active one of a pair,
    /// it is the former one from now on.
    pub fn remember(&self, name: &str, meant: &str) {
        if let Some((kind, Role::Primary | Role::Active)) = parse(name) {
            self.former.lock().insert(kind.to_owned(), meant.to_owned());
        }
    }
}
