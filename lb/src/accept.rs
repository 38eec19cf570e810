//! Accepts connections: each thread has its own listener, and serves the connections that it accepts.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::listen::{self, ListenerCommand};
use crate::proxy::connection;
use crate::proxy::local_reply::LocalReply;
use crate::proxy::shed;
use crate::proxy::worker::{Shared, Worker};
use crate::shortage::Shortage;

/// How long a client whose connection was accepted just before the listener closed may take to send its first
/// request.
const FIRST_REQUEST_GRACE: Duration = Duration::from_millis(50);

/// How long the kernel may take to complete a handshake that the client already counts as complete.
const HANDSHAKE_GRACE: Duration = Duration::from_millis(20);

/// How long to wait before accepting again after a failed `accept`.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Accepts and serves as commanded until the stop; then drains: requests in flight may finish within the drain
/// timeout.
pub async fn run(
    shared: Shared,
    mut orders: mpsc::UnboundedReceiver<ListenerCommand>,
) -> std::io::Result<()> {
    let stop = shared.stop.clone();
    let acceptor = Acceptor {
        room: Arc::clone(&shared.room),
        turned_away: Arc::new(Semaphore::new(shed::AT_ONCE_MAX)),
        inside: TaskTracker::new(),
        worker: Rc::new(Worker::new(shared)),
    };
    tokio::task::spawn_local(Rc::clone(&acceptor.worker).keep_watch());

    let (mut listener, mut open) = (None, true);
    loop {
        let accepting = async {
            match &listener {
                Some(listener) if open => acceptor.accept(listener).await,
                _ => std::future::pending().await,
            }
        };
        let order = tokio::select! {
            biased;
            // Commands sent before the stop come first: a socket listens from the moment it is created, and
            // the clients in its queue must be served.
            Some(order) = orders.recv() => order,
            () = stop.cancelled() => break,
            never = accepting => match never {},
        };
        match order {
            ListenerCommand::Listen(socket) => {
                (listener, open) = (Some(TcpListener::from_std(socket)?), true)
            }
            ListenerCommand::Pause => open = false,
            ListenerCommand::Close => {
                if let Some(listener) = listener.take() {
                    acceptor.drain_accept_queue(listener).await;
                }
            }
            ListenerCommand::Abort => {
                listener = None;
                acceptor.worker.watchdog.cut_all();
            }
        }
    }
    if let Some(listener) = listener {
        acceptor.drain_accept_queue(listener).await;
    }
    sleep(FIRST_REQUEST_GRACE).await;
    acceptor.worker.watchdog.ask_all_to_leave();

    acceptor.inside.close();
    if timeout(acceptor.worker.config.drain_timeout, acceptor.inside.wait()).await.is_err() {
        tracing::warn!(connections = acceptor.inside.len(), "the drain took too long; cutting what is left");
    }
    Ok(())
}

/// Accepts the connections of one thread.
struct Acceptor {
    worker: Rc<Worker>,
    /// Shared by all threads, because the kernel does not spread connections evenly.
    room: Arc<Semaphore>,
    turned_away: Arc<Semaphore>,
    /// The open connections of this thread.
    inside: TaskTracker,
}

impl Acceptor {
    async fn accept(&self, listener: &TcpListener) -> std::convert::Infallible {
        loop {
            // Accept only when a client over the limit could be shed; the others wait in the accept queue.
            let turn = Arc::clone(&self.turned_away).acquire_owned();
            let turn = turn.await.expect("the semaphore is never closed");
            match listener.accept().await {
                Ok((stream, peer)) => {
                    self.until_there_are_files(&stream).await;
                    match Arc::clone(&self.room).try_acquire_owned() {
                        Ok(place) => self.serve(stream, peer, place),
                        Err(_) => self.turn_away(stream, turn),
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot accept a connection");
                    self.wait_for_room(Shortage::of(&error, None)).await;
                }
            }
        }
    }

    /// Holds a client that got one of the reserved file descriptors, and all clients behind it, until another
    /// descriptor is free.
    async fn until_there_are_files(&self, stream: &TcpStream) {
        let mut free = self.worker.may_use_file(stream);
        while !free {
            self.wait_for_room(Some(Shortage::Files)).await;
            let next = stream.as_fd().try_clone_to_owned();
            free = next.is_ok_and(|next| self.worker.may_use_file(&next));
        }
    }

    /// Waits: open connections go on, and each one that closes makes room.
    async fn wait_for_room(&self, shortage: Option<Shortage>) {
        self.worker.accept_failures.fetch_add(1, Ordering::Relaxed);
        if let Some(shortage) = shortage {
            self.worker.shortages.note(shortage, "accept a client's connection");
        }
        sleep(ACCEPT_AGAIN).await;
    }

    /// The kernel has completed these connections, or is about to, and closing the listener would reset them.
    /// New connections go to the balancer that takes over, if there is one.
    async fn drain_accept_queue(&self, listener: TcpListener) {
        if let Err(error) = listen::steer_to_successor(&listener, self.worker.config.threads) {
            tracing::debug!(%error, "cannot steer new connections to the balancer that takes over");
        }
        let _ = timeout(HANDSHAKE_GRACE, self.accept(&listener)).await;
        let Ok(listener) = listener.into_std() else { return };
        while let Ok(place) = Arc::clone(&self.room).try_acquire_owned()
            && let Ok((stream, peer)) = listener.accept()
            && stream.set_nonblocking(true).is_ok()
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            self.serve(stream, peer, place);
        }
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit) {
        let serving = connection::serve(Rc::clone(&self.worker), stream, peer);
        tokio::task::spawn_local(self.inside.track_future(async move {
            serving.await;
            drop(place);
        }));
    }

    fn turn_away(&self, stream: TcpStream, turn: OwnedSemaphorePermit) {
        self.worker.refused.count(LocalReply::Overloaded);
        tokio::task::spawn_local(async move {
            shed::shed(stream).await;
            drop(turn);
        });
    }
}
