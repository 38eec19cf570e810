//! Where the database's nodes are: their names, looked up again and again. A container that comes
//! back may have another address, and one that is down has none at all.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;

use crate::lookup::look_up;

/// How often names are looked up again.
const LOOKUP_EVERY: Duration = Duration::from_secs(2);

/// None of the database's names leads anywhere.
#[derive(Debug, thiserror::Error)]
#[error("cannot find the database node '{node}'; correct it in --db")]
pub struct LookupError {
    node: String,
    source: std::io::Error,
}

/// The nodes' names, and where they were found last.
#[derive(Debug)]
pub(super) struct Names {
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    name: String,
    address: Option<SocketAddr>,
}

impl Names {
    /// Of these nodes, each as `host:port`.
    pub(super) fn of(nodes: &[String]) -> Self {
        let node = |name: &String| Node { name: name.clone(), address: None };
        Self { nodes: nodes.iter().map(node).collect() }
    }

    /// True when one of them is a name, which may lead elsewhere later.
    pub(super) fn may_move(&self) -> bool {
        self.nodes.iter().any(|node| node.name.parse::<SocketAddr>().is_err())
    }

    /// Where they are now. Of one that cannot be found now, where it was last; it is left out when it
    /// never was found, as long as another one was.
    pub(super) async fn look_up(&mut self) -> Result<Vec<SocketAddr>, LookupError> {
        let answers = join_all(self.nodes.iter().map(|node| look_up(&node.name))).await;
        let mut missing = None;
        for (node, answer) in self.nodes.iter_mut().zip(answers) {
            match answer {
                Ok(address) => node.address = Some(address),
                Err(source) => {
                    tracing::debug!(node = node.name, %source, "the name leads nowhere now");
                    missing.get_or_insert(LookupError { node: node.name.clone(), source });
                }
            }
        }
        let found: Vec<_> = self.nodes.iter().filter_map(|node| node.address).collect();
        match missing {
            Some(error) if found.is_empty() => Err(error),
            _ => Ok(found),
        }
    }

    /// Tells where they are, each time that has changed since they were `last` looked up.
    pub(super) async fn follow(mut self, mut last: Vec<SocketAddr>, mut moved: impl FnMut(Vec<SocketAddr>)) {
        loop {
            sleep(LOOKUP_EVERY).await;
            if let Ok(nodes) = self.look_up().await
                && nodes != last
            {
                last.clone_from(&nodes);
                moved(nodes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No such name will ever be (RFC 6761, section 6.4).
    const NOWHERE: &str = "database.invalid:7001";

    #[tokio::test]
    async fn one_that_is_found_is_enough_to_begin_with() {
        let mut names = Names::of(&[NOWHERE.to_owned(), "127.0.0.1:7001".to_owned()]);
        assert!(names.may_move());
        assert_eq!(names.look_up().await.unwrap(), ["127.0.0.1:7001".parse().unwrap()]);
    }

    #[tokio::test]
    async fn none_that_is_found_is_an_error_with_its_name() {
        let error = Names::of(&[NOWHERE.to_owned()]).look_up().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("cannot find the database node '{NOWHERE}'; correct it in --db")
        );
    }

    #[tokio::test]
    async fn one_that_is_not_found_any_more_stays_where_it_was() {
        let address = "127.0.0.9:7001".parse().unwrap();
        let mut names = Names { nodes: vec![Node { name: NOWHERE.to_owned(), address: Some(address) }] };
        assert_eq!(names.look_up().await.unwrap(), [address]);
    }

    #[test]
    fn addresses_do_not_move() {
        assert!(!Names::of(&["127.0.0.1:7001".to_owned()]).may_move());
    }
}
