//! Traffic to a shop outside any lab, such as one of plain containers, of which only the URL is known.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use http::uri::Authority;
use tokio::time::timeout;

use super::by_hand::ByHand;
use lab::error::LabError;
use load::{Keys, RequestMix, Stream};

/// Maximum duration of the traffic.
pub(super) const LENGTH_MAX: Duration = Duration::from_secs(10 * 60);
/// Timeout of a DNS lookup.
const LOOK_UP_MAX: Duration = Duration::from_secs(10);
/// Default path.
const PATH: &str = "/products/{key}";
/// The lab's shop has a hundred products.
const KEYS: u64 = 100;
const HTTP_PORT: u16 = 80;

/// The target of the requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// `HOST:PORT`.
    host: String,
    /// The URL's path, if it has one.
    path: Option<String>,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mistake = || format!("'{text}' is not the URL of a shop, such as http://lb:8080");
        // The path may contain `{key}`, which is not valid in a URL.
        let rest = text.strip_prefix("http://").ok_or_else(mistake)?;
        let end = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let authority: Authority = authority.parse().map_err(|_| mistake())?;
        if authority.host().is_empty() || authority.as_str().contains('@') {
            return Err(mistake());
        }
        let port = match &authority.as_str()[authority.host().len()..] {
            "" => HTTP_PORT,
            port => port.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or_else(mistake)?,
        };
        let host = format!("{}:{port}", authority.host());
        Ok(Self { host, path: (path.len() > 1).then(|| path.to_owned()) })
    }
}

/// Builds GET requests for one path, from clients without a session.
pub(super) async fn traffic(target: &Target, path: Option<&String>, seed: u64) -> Result<ByHand, LabError> {
    let path = path.or(target.path.as_ref()).map_or(PATH, String::as_str);
    let requests = RequestMix::get(path, Keys::Uniform { count: KEYS });
    let mut stream = Stream::new("load", find(&target.host).await?, requests);
    stream.seed = seed;
    Ok(ByHand { stream, introduction: None, users: 0 })
}

/// Resolves a name once: a shared address, or that of a balancer, does not move.
async fn find(host: &str) -> Result<SocketAddr, LabError> {
    let name = host.to_owned();
    let looking = tokio::task::spawn_blocking(move || machine::names::find(&name));
    let unknown = |why: String| {
        LabError::not_ready(format!("--url: '{host}' cannot be resolved ({why}); is the shop up?"))
    };
    match timeout(LOOK_UP_MAX, looking).await {
        Ok(Ok(Ok(found))) => found.first().copied().ok_or_else(|| unknown("it has no address".into())),
        Ok(Ok(Err(error))) => Err(unknown(error.to_string())),
        Ok(Err(error)) => Err(unknown(error.to_string())),
        Err(_) => Err(unknown(format!("no name server answered within {LOOK_UP_MAX:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_host_a_port_and_perhaps_a_path() {
        let parsed = |text: &str| text.parse::<Target>().map(|target| (target.host, target.path));
        assert_eq!(parsed("http://lb:8080"), Ok(("lb:8080".into(), None)));
        assert_eq!(parsed("http://lb/"), Ok(("lb:80".into(), None)));
        assert_eq!(parsed("http://[::1]:9/me"), Ok(("[::1]:9".into(), Some("/me".into()))));
        let keyed = Ok(("lb:8080".into(), Some("/products/{key}?latest=1".into())));
        assert_eq!(parsed("http://lb:8080/products/{key}?latest=1"), keyed);
        for wrong in ["lb:8080", "https://lb:8080", "http://", "http://:80", "http://a@lb:80", "http://lb:x"]
        {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
