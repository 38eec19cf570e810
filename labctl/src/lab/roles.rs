//! Which machine of a cluster is the primary. Names such as `db:primary` stand for a machine by what it
//! is at that moment.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::plan::Plan;
use super::{databases, pairs};

/// A machine by its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The one that takes writes.
    Primary,
    /// The first one that does not.
    Replica,
    /// The primary, or the active balancer, that something was last done to.
    Former,
    /// The balancer of a pair that has its address.
    Active,
    /// The one that would take it over.
    Standby,
    /// The first one that does not answer.
    Gone,
}

impl Role {
    /// Whether a database node can have it.
    pub fn is_of_database(self) -> bool {
        matches!(self, Self::Primary | Self::Replica | Self::Former | Self::Gone)
    }

    /// Whether one of a pair of balancers can have it.
    pub fn is_of_pair(self) -> bool {
        matches!(self, Self::Active | Self::Standby | Self::Former)
    }
}

/// What a name such as `db:primary` means: the kind of machine, and the role.
pub fn parse(name: &str) -> Option<(&str, Role)> {
    let (kind, role) = name.split_once(':')?;
    let role = match role {
        "primary" => Role::Primary,
        "replica" => Role::Replica,
        "former" => Role::Former,
        "active" => Role::Active,
        "standby" => Role::Standby,
        "gone" => Role::Gone,
        _ => return None,
    };
    Some((kind, role))
}

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
            return self.former.lock().get(kind).cloned();
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

    /// Something is done to the machine that a name means: if that is a primary, or the active one of a pair,
    /// it is the former one from now on.
    pub fn remember(&self, name: &str, meant: &str) {
        if let Some((kind, Role::Primary | Role::Active)) = parse(name) {
            self.former.lock().insert(kind.to_owned(), meant.to_owned());
        }
    }
}
