//! Resolves the names of the database's nodes: once at startup, and periodically from then on.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use machine::names::{Name, NameUnknown};
use machine::network::Network;
use tokio::time::timeout;

/// How long startup waits for the first name to be resolved. A name server that is gone does not answer.
const LIMIT: Duration = Duration::from_secs(5);

/// None of the database's names can be resolved.
#[derive(Debug, thiserror::Error)]
#[error("cannot find the database node '{node}'; correct it in --db")]
pub struct LookupError {
    node: String,
    source: Option<NameUnknown>,
}

/// Resolves the nodes, each given as `host:port`. One that is found is enough to start: the others may be
/// found later.
pub(super) async fn find(nodes: &[String], network: &Network) -> Result<Vec<Name>, LookupError> {
    let names: Vec<_> = nodes.iter().map(|node| network.name(node)).collect();
    let mut unknown = None;
    let finding = async {
        let mut answers: FuturesUnordered<_> = names.iter().map(Name::known).collect();
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(_) => return true,
                Err(error) => unknown = unknown.take().or(Some(error)),
            }
        }
        names.is_empty()
    };
    if timeout(LIMIT, finding).await.unwrap_or(false) {
        return Ok(names);
    }
    let node = unknown.as_ref().map(|unknown| &unknown.name).or(nodes.first()).cloned().unwrap_or_default();
    Err(LookupError { node, source: unknown })
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::SocketAddr;
    use std::sync::Barrier;

    use machine::names::Resolver;

    use super::*;

    const NOWHERE: &str = "database.invalid:7001";
    const SLOW: &str = "slow.invalid:7001";
    const HERE: &str = "database.lab:7001";

    fn address() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 7001))
    }

    async fn found(nodes: &[&str]) -> Result<Vec<Option<SocketAddr>>, String> {
        let network = Network::tcp().with_names(Resolver::new(|name| match name {
            HERE => Ok(vec![address()]),
            SLOW => {
                // There is no second party, so this blocks for ever.
                Barrier::new(2).wait();
                Ok(vec![])
            }
            _ => Err(io::Error::other("no such name")),
        }));
        let nodes: Vec<_> = nodes.iter().map(|node| (*node).to_owned()).collect();
        let found = find(&nodes, &network).await.map_err(|error| error.to_string())?;
        Ok(found.iter().map(Name::current).collect())
    }

    #[tokio::test]
    async fn one_that_is_found_is_enough_to_begin_with() {
        assert_eq!(found(&[NOWHERE, HERE]).await.unwrap()[1], Some(address()));
        assert_eq!(found(&["127.0.0.1:7001"]).await.unwrap(), [Some(address())]);
    }

    #[tokio::test]
    async fn one_that_is_not_found_yet_delays_no_other() {
        let finding = timeout(LIMIT / 2, found(&[SLOW, HERE])).await;
        assert_eq!(finding.expect("in time").unwrap(), [None, Some(address())]);
    }

    #[tokio::test]
    async fn none_that_is_found_is_an_error_with_its_name() {
        let told = format!("cannot find the database node '{NOWHERE}'; correct it in --db");
        assert_eq!(found(&[NOWHERE]).await.unwrap_err(), told);
    }
}
