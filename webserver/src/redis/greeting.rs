//! The greeting on a new connection: authenticates, and finds out what the other end is.
//!
//! The library's own greeting hides why Redis rejects a user. `HELLO` is open to every user, whatever its
//! permissions, and its reply contains the role; `ROLE` needs admin permissions. So `ROLE` is used only if there
//! is no `HELLO`. A server that does not report its role is taken for a primary: if it takes no writes, the probe
//! finds out.

use std::collections::HashMap;

use ::redis::{FromRedisValue, RedisConnectionInfo, Value, cmd};

use super::primary::{Connected, NoPrimary};

/// What the other end of a connection reports about itself.
#[derive(Debug, Default)]
pub(super) struct Greeting {
    /// `master`, `replica` or `slave`; `None` if it is not reported.
    role: Option<String>,
    /// `standalone`, `cluster` or `sentinel`.
    mode: Option<String>,
}

impl Greeting {
    /// Returns the role, if it is not that of a primary.
    pub(super) fn role_but_primary(self) -> Option<String> {
        self.role.filter(|role| role != "master").map(|role| role.replace("slave", "replica"))
    }

    /// True if it is a member of a cluster, which holds only a part of the keys.
    pub(super) fn is_in_a_cluster(&self) -> bool {
        self.mode.as_deref() == Some("cluster")
    }
}

/// Authenticates, and selects the database.
pub(super) async fn greet(connected: &Connected, login: &RedisConnectionInfo) -> Result<Greeting, NoPrimary> {
    let mut hello = cmd("HELLO");
    hello.arg(2);
    if let Some(password) = login.password() {
        hello.arg("AUTH").arg(login.username().unwrap_or("default")).arg(password);
    }
    let greeting = match connected.ask::<HashMap<String, Value>>(&hello).await {
        Ok(fields) => {
            let text =
                |field: &str| fields.get(field).and_then(|value| String::from_redis_value_ref(value).ok());
            Greeting { role: text("role"), mode: text("mode") }
        }
        Err(NoPrimary::Refused { refusal, .. }) if ["UNKNOWN", "NOPROTO"].contains(&refusal.word) => {
            greet_without_hello(connected, login).await?
        }
        Err(error) => return Err(error),
    };
    if login.db() != 0 {
        let () = connected.ask(cmd("SELECT").arg(login.db())).await?;
    }
    Ok(greeting)
}

/// The greeting before Redis 6, or if `HELLO` is disabled.
async fn greet_without_hello(
    connected: &Connected,
    login: &RedisConnectionInfo,
) -> Result<Greeting, NoPrimary> {
    if let Some(password) = login.password() {
        let mut auth = cmd("AUTH");
        if let Some(user) = login.username() {
            auth.arg(user);
        }
        let () = connected.ask(auth.arg(password)).await?;
    }
    // The rest of the reply is about replication, and differs by role.
    match connected.ask::<Vec<Value>>(&cmd("ROLE")).await {
        Ok(role) => {
            let role = role.first().and_then(|role| String::from_redis_value_ref(role).ok());
            Ok(Greeting { role, mode: None })
        }
        Err(NoPrimary::Refused { refusal, .. }) if ["UNKNOWN", "NOPERM"].contains(&refusal.word) => {
            Ok(Greeting::default())
        }
        Err(error) => Err(error),
    }
}
