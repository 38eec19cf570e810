//! One request to a database, and what is known of its outcome: done, certainly not done, or unknown.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::client::{self, Answered};

use super::ledger::Became;

/// The number of redirects that a request follows.
const REDIRECTS_MAX: usize = 3;
/// Timeout of a write in a batch.
pub const WRITE_MAX: Duration = Duration::from_millis(1500);

/// A request.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// The method.
    pub method: &'static str,
    /// The path with its query.
    pub path: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

impl Call {
    /// Reads a record.
    pub fn get(key: &str) -> Self {
        Self { method: "GET", path: format!("/kv/{key}"), ..Self::default() }
    }

    /// Reads a node's local copy of a record.
    pub fn get_local(key: &str) -> Self {
        Self { method: "GET", path: format!("/kv/{key}?read=local"), ..Self::default() }
    }

    /// Writes a record.
    pub fn put(key: &str, value: &str) -> Self {
        Self { method: "PUT", path: format!("/kv/{key}"), body: value.to_owned(), ..Self::default() }
    }

    /// Deletes a record.
    pub fn delete(key: &str) -> Self {
        Self { method: "DELETE", path: format!("/kv/{key}"), ..Self::default() }
    }

    /// Adds to a record.
    pub fn add(key: &str, by: i64) -> Self {
        let (path, body) = (format!("/kv/{key}/add"), format!("{{\"by\":{by}}}"));
        Self { method: "POST", path, body, ..Self::default() }
    }

    /// Adds a header.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Formats the request as a curl command.
    pub fn typed(&self, to: SocketAddr) -> String {
        let mut typed = format!("curl -i -L -X {} 'http://{to}{}'", self.method, self.path);
        self.headers.iter().for_each(|(name, value)| typed += &format!(" -H '{name}: {value}'"));
        if !self.body.is_empty() {
            let body: String = self.body.chars().take(60).collect();
            typed += &format!(" --data-binary '{body}'");
        }
        typed
    }
}

/// The outcome of a request.
#[derive(Debug, Clone)]
pub enum Ended {
    /// This node answered it: 2xx, or 404 if there is no record.
    Done(Answered, SocketAddr),
    /// It certainly was not done, for this reason.
    Refused(String),
    /// It may have been done, or may still be.
    Unknown(String),
}

impl Ended {
    /// Returns the outcome as that of a write.
    pub fn became(&self) -> Became {
        match self {
            Self::Done(..) => Became::Done,
            Self::Refused(_) => Became::Refused,
            Self::Unknown(_) => Became::Unknown,
        }
    }

    /// Says why it was not done.
    pub fn why(&self) -> &str {
        match self {
            Self::Done(..) => "it was done",
            Self::Refused(why) | Self::Unknown(why) => why,
        }
    }
}

/// Sends a request once, as it is, without following redirects.
pub async fn send(to: SocketAddr, call: &Call, limit: Duration) -> anyhow::Result<Answered> {
    let request = client::request(to, call.method, &call.path, call.headers.iter().cloned(), &call.body)?;
    client::send(to, request, limit).await
}

/// Sends a request, and follows redirects among these nodes.
pub async fn call(to: SocketAddr, nodes: &[SocketAddr], call: &Call, limit: Duration) -> Ended {
    let mut to = to;
    for _ in 0..=REDIRECTS_MAX {
        let answered = match send(to, call, limit).await {
            Ok(answered) => answered,
            // Only a refused connection is an error of the operating system.
            Err(error) if error.is::<std::io::Error>() => return Ended::Refused(format!("{error:#}")),
            Err(error) => return Ended::Unknown(format!("{error:#}")),
        };
        match answered.status {
            200..=299 => return Ended::Done(answered, to),
            404 if ["GET", "DELETE"].contains(&call.method) => return Ended::Done(answered, to),
            307 => match leads_to(&answered, nodes) {
                Some(there) => to = there,
                None => return Ended::Refused("answered 307 without a Location that is a node's".into()),
            },
            503 | 400..=499 => return Ended::Refused(format!("answered {}", answered.status)),
            status => return Ended::Unknown(format!("answered {status}")),
        }
    }
    Ended::Refused(format!("it was sent on more than {REDIRECTS_MAX} times"))
}

/// Returns the node that a redirect leads to.
pub fn leads_to(answered: &Answered, nodes: &[SocketAddr]) -> Option<SocketAddr> {
    let rest = answered.header("location")?.strip_prefix("http://")?;
    let address: SocketAddr = rest.split('/').next()?.parse().ok()?;
    nodes.contains(&address).then_some(address)
}

/// A client that knows all nodes, and remembers which one last carried out a request.
#[derive(Debug, Clone)]
pub struct Caller {
    nodes: Arc<[SocketAddr]>,
    at: usize,
}

impl Caller {
    /// Creates a client that begins with the node at this index.
    pub fn new(nodes: Arc<[SocketAddr]>, at: usize) -> Self {
        Self { at: at % nodes.len().max(1), nodes }
    }

    /// Sends a request. If it is not done, the next request goes to another node.
    pub async fn call(&mut self, request: &Call, limit: Duration) -> Ended {
        let ended = call(self.nodes[self.at], &self.nodes, request, limit).await;
        self.at = match &ended {
            Ended::Done(_, by) => self.nodes.iter().position(|node| node == by).unwrap_or(self.at),
            Ended::Refused(_) | Ended::Unknown(_) => (self.at + 1) % self.nodes.len(),
        };
        ended
    }

    /// Sends the next request to the node at this index.
    pub fn move_to(&mut self, at: usize) {
        self.at = at % self.nodes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_leads_to_a_node_or_nowhere() {
        let node = SocketAddr::from(([127, 0, 0, 1], 7001));
        let answered = |location: &str| {
            let headers = [(http::header::LOCATION, location.parse().unwrap())].into_iter().collect();
            Answered { status: 307, headers, body: bytes::Bytes::new() }
        };
        assert_eq!(leads_to(&answered("http://127.0.0.1:7001/kv/a"), &[node]), Some(node));
        assert_eq!(leads_to(&answered("http://127.0.0.1:7002/kv/a"), &[node]), None);
        assert_eq!(leads_to(&answered("/kv/a"), &[node]), None);
    }

    #[test]
    fn what_is_typed_does_the_same() {
        let typed = Call::add("n", 50).with("Idempotency-Key", "a-1").typed(([127, 0, 0, 1], 80).into());
        let wanted = "curl -i -L -X POST 'http://127.0.0.1:80/kv/n/add' -H 'Idempotency-Key: a-1' --data-binary '{\"by\":50}'";
        assert_eq!(typed, wanted);
    }
}
