//! The listening sockets: one per thread, all on the same address (`SO_REUSEPORT`). The kernel spreads connections
//! over them, so threads do not compete for the next one.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;

use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::mpsc;

/// Length of a listener's accept queue.
const BACKLOG: i32 = 4096;

/// A command to a thread about its listener.
#[derive(Debug)]
pub enum ListenerCommand {
    /// Accept connections on this socket.
    Listen(TcpListener),
    /// Stop accepting; new connections wait in the accept queue.
    Pause,
    /// Close the listener; open connections, and those in the accept queue, are still served.
    Close,
    /// Close the listener, and cut open connections.
    Abort,
}

/// The channels to the threads that accept connections.
#[derive(Debug)]
pub struct ListenerHandles {
    /// One per thread.
    pub workers: Vec<mpsc::UnboundedSender<ListenerCommand>>,
}

impl ListenerHandles {
    /// Sends the same command to all threads.
    pub fn tell_all(&self, command: impl Fn() -> ListenerCommand) {
        for worker in &self.workers {
            // A thread that has ended needs no commands.
            let _ = worker.send(command());
        }
    }
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another process listens on it.
    #[error("{address} is already in use; stop what listens there or choose another {flag}")]
    InUse {
        /// The address.
        address: SocketAddr,
        /// The flag it was given with.
        flag: &'static str,
    },
    /// It is not an address of this machine.
    #[error("{address} is not an address of this machine; choose another {flag}")]
    NotHere {
        /// The address.
        address: SocketAddr,
        /// The flag it was given with.
        flag: &'static str,
    },
    /// The operating system reported another error.
    #[error("cannot listen on {address}; choose another {flag}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// The flag it was given with.
        flag: &'static str,
        /// The error.
        source: io::Error,
    },
}

impl ListenError {
    /// Interprets the operating system's error for the flag that the address was given with.
    pub fn new(address: SocketAddr, flag: &'static str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address, flag },
            io::ErrorKind::AddrNotAvailable => Self::NotHere { address, flag },
            _ => Self::Other { address, flag, source },
        }
    }
}

/// Listens on an address with this many sockets. With port 0, all get the port that the system chose for the
/// first.
pub fn listen(address: SocketAddr, sockets: usize) -> Result<Vec<TcpListener>, ListenError> {
    make_sure_nobody_listens(address).map_err(|source| ListenError::new(address, "--listen", source))?;
    join(address, sockets)
}

/// Listens on an address that another process of the same user may still listen on, because it is about to stop.
pub fn join(address: SocketAddr, sockets: usize) -> Result<Vec<TcpListener>, ListenError> {
    let error = |source| ListenError::new(address, "--listen", source);
    let first = bind(address).map_err(error)?;
    let address = first.local_addr().map_err(error)?;
    let mut listeners = vec![first];
    for _ in 1..sockets {
        listeners.push(bind(address).map_err(error)?);
    }
    Ok(listeners)
}

/// `SO_REUSEPORT` alone would let a second balancer on the same address quietly take half of the connections. A
/// socket without the option is refused instead, so this binds one first.
fn make_sure_nobody_listens(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Steers new connections to the sockets that joined the address after the first `ours`: to the balancer that
/// takes over. Without this, the kernel would keep spreading connections over sockets that are about to close, and
/// reset those that arrive between the last look into the queue and the close.
///
/// The program is classic BPF, which needs no privilege. It returns the index of a socket, in the order in which
/// the sockets began to listen. If there is no such socket, or a socket with a lower index has closed and this one
/// has taken its place, the kernel spreads as before.
pub fn steer_to_successor(listener: impl AsFd, ours: usize) -> io::Result<()> {
    let Ok(first_of_theirs) = u32::try_from(ours) else { return Ok(()) };
    #[expect(clippy::cast_possible_truncation, reason = "the code of `return` is a small constant")]
    let code = (libc::BPF_RET | libc::BPF_K) as u16;
    let mut say_index = libc::sock_filter { code, jt: 0, jf: 0, k: first_of_theirs };
    let program = libc::sock_fprog { len: 1, filter: &raw mut say_index };
    Ok(setsockopt(&listener, sockopt::AttachReusePortCbpf, &program)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sockets_share_the_port_that_was_chosen() {
        let listeners = listen("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let ports: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        assert!(ports[0] > 0 && ports.iter().all(|port| *port == ports[0]), "{ports:?}");
    }

    #[test]
    fn an_address_is_not_shared_with_another_process() {
        let ours = listen("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let address = ours[0].local_addr().unwrap();
        let error = listen(address, 1).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("{address} is already in use; stop what listens there or choose another --listen")
        );
    }

    #[test]
    fn whoever_knocks_during_a_handover_comes_to_the_successor() {
        let ours = listen("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let address = ours[0].local_addr().unwrap();
        let theirs = join(address, 2).unwrap();
        for listener in &ours {
            steer_to_successor(listener, 2).unwrap();
        }
        let mut clients: Vec<_> = (0..50).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        for listener in ours {
            assert!(listener.accept().is_err(), "one came to a socket that is about to close");
            drop(listener);
            clients.extend((0..50).map(|_| std::net::TcpStream::connect(address).unwrap()));
        }
        let taken_in = theirs.iter().map(|listener| std::iter::from_fn(|| listener.accept().ok()).count());
        assert_eq!(taken_in.sum::<usize>(), clients.len());
    }
}
