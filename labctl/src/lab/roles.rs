//! Which machine of a cluster is the primary. Names such as `db:primary` stand for a machine by what it
//! is at that moment.

use std::collections::HashMap;
use std::time::Duration;

use hyper::Method;
use parking_lot::Mutex;
use serde::Deserialize;

use super::http;
use super::plan::{Plan, Program};

const PATIENCE: Duration = Duration::from_millis(500);

/// A machine by its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The one that takes writes.
    Primary,
    /// The first one that does not.
    Replica,
    /// The one that was last meant by `primary`.
    Former,
}

/// What a name such as `db:primary` means: the kind of machine, and the role.
pub fn parse(name: &str) -> Option<(&str, Role)> {
    let (kind, role) = name.split_once(':')?;
    let role = match role {
        "primary" => Role::Primary,
        "replica" => Role::Replica,
        "former" => Role::Former,
        _ => return None,
    };
    Some((kind, role))
}

/// Remembers which machine was meant.
#[derive(Debug, Default)]
pub struct Roles {
    former: Mutex<HashMap<String, String>>,
}

#[derive(Deserialize)]
struct Status {
    role: String,
    term: u64,
}

impl Roles {
    /// The machine that a name means now. A name without a role means itself. `None`: no machine has
    /// this role.
    pub async fn resolve(&self, name: &str, plan: &Plan) -> Option<String> {
        let Some((kind, role)) = parse(name) else { return Some(name.to_owned()) };
        if role == Role::Former {
            return self.former.lock().get(kind).cloned();
        }
        let mut primary: Option<(u64, String)> = None;
        let mut replicas = Vec::new();
        for machine in plan.of_kind(kind) {
            let Some(node) = machine.programs.iter().find(|plan| plan.program == Program::Dbnode) else {
                continue;
            };
            let Ok(answer) = http::ask(node.health, Method::GET, "/status", None, PATIENCE).await else {
                continue;
            };
            let Ok(status) = serde_json::from_slice::<Status>(&answer.body) else { continue };
            match status.role.as_str() {
                // One that was cut off may still think so; the one of the latest term is right.
                "primary" if primary.as_ref().is_none_or(|(term, _)| status.term > *term) => {
                    primary = Some((status.term, machine.name.clone()));
                }
                "primary" => {}
                _ => replicas.push(machine.name.clone()),
            }
        }
        if role == Role::Replica {
            return replicas.into_iter().next();
        }
        let (_, name) = primary?;
        self.former.lock().insert(kind.to_owned(), name.clone());
        Some(name)
    }
}
