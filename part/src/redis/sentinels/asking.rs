//! The client of a node's own Sentinel: which primary it names, and how healthy that primary looks.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, RedisError, cmd};
use anyhow::Context;

use super::lead::View;
use super::settings::DATABASE;

/// Timeout for connecting to a Sentinel, and for each of its answers.
const ANSWER_MAX: Duration = Duration::from_millis(300);

/// The primary's address, and the fields of `SENTINEL MASTER`.
type Answer = ((String, u16), HashMap<String, String>);

/// A client of this node's Sentinel, which connects on demand.
pub(super) struct Sentinel {
    client: Client,
    connection: Option<MultiplexedConnection>,
}

impl Sentinel {
    pub(super) fn at(listen: SocketAddr, password: &str) -> anyhow::Result<Self> {
        let client =
            Client::open(format!("redis://:{password}@{listen}/")).context("the address of a Sentinel")?;
        Ok(Self { client, connection: None })
    }

    /// Returns what the Sentinel knows. `None`: it does not answer.
    pub(super) async fn view(&mut self) -> Option<View> {
        let (address, known) = self.ask().await?;
        view(&address, &known)
    }

    /// Returns the number of other Sentinels that it knows.
    pub(super) async fn others(&mut self) -> Option<usize> {
        self.ask().await?.1.get("num-other-sentinels")?.parse().ok()
    }

    async fn ask(&mut self) -> Option<Answer> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.open().await.ok()?,
        };
        let answer = ask(connection.clone()).await.ok()?;
        // A connection that failed is not reused.
        self.connection = Some(connection);
        Some(answer)
    }

    async fn open(&self) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER_MAX))
            .set_response_timeout(Some(ANSWER_MAX));
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }
}

async fn ask(mut connection: MultiplexedConnection) -> Result<Answer, RedisError> {
    // The order matters: if a failover ends between the two commands, the new address is paired with the epoch of the
    // earlier failover.
    let mut known = cmd("SENTINEL");
    known.arg("MASTER").arg(DATABASE);
    let known: HashMap<String, String> = known.query_async(&mut connection).await?;
    // This command names the new primary as soon as a replica has been promoted; the other fields still describe the
    // old primary for a while.
    let mut address = cmd("SENTINEL");
    address.arg("GET-MASTER-ADDR-BY-NAME").arg(DATABASE);
    let address: (String, u16) = address.query_async(&mut connection).await?;
    Ok((address, known))
}

fn view(address: &(String, u16), known: &HashMap<String, String>) -> Option<View> {
    const ALARMS: [&str; 4] = ["s_down", "o_down", "failover_in_progress", "disconnected"];
    let value = |name: &str| known.get(name).map(String::as_str).unwrap_or_default();
    let is_of_this_one = value("ip") == address.0 && value("port") == address.1.to_string();
    let is_alarmed = value("flags").split(',').any(|flag| ALARMS.contains(&flag));
    Some(View {
        primary: SocketAddr::new(address.0.parse().ok()?, address.1),
        epoch: value("config-epoch").parse().ok()?,
        settled: is_of_this_one,
        calm: !(is_of_this_one && is_alarmed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_about_the_one_before_say_nothing_about_the_one_that_was_promoted() {
        let known = [("ip", "127.0.0.1"), ("port", "7104"), ("config-epoch", "3")];
        let mut known: HashMap<_, _> = known.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        known.insert("flags".into(), "master,s_down,o_down,failover_in_progress".into());
        let of = |ip: &str| view(&(ip.to_owned(), 7104), &known).unwrap();
        assert_eq!((of("127.0.0.1").calm, of("127.0.0.2").calm), (false, true));
        assert_eq!((of("127.0.0.1").settled, of("127.0.0.2").settled), (true, false));
        assert_eq!(
            (of("127.0.0.2").primary.to_string(), of("127.0.0.2").epoch),
            ("127.0.0.2:7104".into(), 3)
        );
    }
}
