//! A single lookup by the system's resolver (`/etc/hosts`, then a name server).
//!
//! It blocks for as long as a name server is silent, up to half a minute, so each lookup has its own thread,
//! and not one of the runtime's, whose shutdown would wait for it.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use tokio::sync::{Semaphore, oneshot};

/// Lookups at a time. A lookup whose name server is silent counts until it ends.
const AT_ONCE_MAX: usize = 32;

type Find = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// Looks names up on separate threads. Cheap to clone.
#[derive(Clone)]
pub(super) struct LookUp {
    find: Arc<Find>,
    places: Arc<Semaphore>,
}

impl fmt::Debug for LookUp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LookUp")
    }
}

/// Returns all addresses of a `HOST:PORT` by the system's resolver. Blocks.
pub fn find(name: &str) -> io::Result<Vec<SocketAddr>> {
    Ok(name.to_socket_addrs()?.collect())
}

impl LookUp {
    pub(super) fn new(find: Arc<Find>) -> Self {
        Self { find, places: Arc::new(Semaphore::new(AT_ONCE_MAX)) }
    }

    /// Looks a name up; the error says why it has no address.
    pub(super) async fn run(&self, name: &str) -> Result<Vec<SocketAddr>, String> {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is never closed");
        let (tell, told) = oneshot::channel();
        let (find, name) = (Arc::clone(&self.find), name.to_owned());
        let looking = std::thread::Builder::new().name("look-up".into()).spawn(move || {
            // The name may have been dropped in the meantime.
            let _ = tell.send(find(&name));
            drop(place);
        });
        looking.map_err(|error| format!("no thread to look it up: {error}"))?;
        match told.await {
            Ok(found) => found.map_err(|error| error.to_string()),
            Err(_) => Err("the look-up broke off".into()),
        }
    }
}
