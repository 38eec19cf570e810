//! The first words over a connection: who asks, and what the other end is.
//!
//! The library's own first words hide why Redis does not let somebody in. `HELLO` is open to every user, whatever
//! else they may do, and its answer has the role in it; `ROLE` is for administrators. It is asked for only where
//! there is no `HELLO`, and a server that does not tell its role is taken for a primary: that it takes no writes
//! shows when they are tried.

use std::collections::HashMap;

use ::redis::{FromRedisValue, RedisConnectionInfo, Value, cmd};

use super::primary::{Connected, NoPrimary};

/// What the other end of a connection says of itself.
#[derive(Debug, Default)]
pub(super) struct Greeting {
    /// `master`, `replica` or `slave`; none where it does not say.
    role: Option<String>,
    /// `standalone`, `cluster` or `sentinel`.
    mode: Option<String>,
}

impl Greeting {
    /// The role, when it is another than that of a primary.
    pub(super) fn role_but_primary(self) -> Option<String> {
        self.role.filter(|role| role != "master").map(|role| role.replace("slave", "replica"))
    }

    /// True when it is a member of a cluster: it has some keys, and others have the rest.
    pub(super) fn is_in_a_cluster(&self) -> bool {
        self.mode.as_deref() == Some("cluster")
    }
}

/// Says who asks, and chooses the database.
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

/// As before Redis 6, or where somebody has taken `HELLO` away.
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
    // The rest of the answer is about replication, and differs by role.
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
