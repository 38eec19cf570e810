//! The driver: it feeds the core with inputs and carries out its effects. It is one loop over one
//! closed enum, and makes no decisions itself.

use std::collections::{HashMap, VecDeque};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use machine::Machine;
use machine::capacity::DiskFull;
use parking_lot::RwLock;
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::work::Work;
use super::{Answer, Asked, INBOX_MAX};
use crate::metrics::{Metrics, Timed};
use crate::peers::Peers;
use crate::replication::Core;
use crate::replication::effect::{Effect, Halt, Notice, RejectReason, Written};
use crate::replication::input::{Input, Moment, Ticket};
use crate::replication::member::Name;
use crate::replication::role::Role;
use crate::replication::snapshot::{Chunk, Cursor};
use crate::storage::{Failure, Storage};

/// The interval of the core's timer ticks.
const TICK: Duration = Duration::from_millis(20);

/// Maximum number of times the inbox is polled before a batch begins.
const GATHER_MAX: usize = 8;

/// Runs a node: the event loop around the core.
pub struct Driver<S> {
    core: Arc<RwLock<Core>>,
    inbox: mpsc::Receiver<Asked>,
    storage: Arc<S>,
    machine: Machine,
    metrics: Metrics,
    started: Instant,
    ticks: Interval,
    next_ticket: u64,
    writers: HashMap<Ticket, Answer<Written>>,
    readers: HashMap<Ticket, Answer<()>>,
    persisting: Work<Result<(), Failure>>,
    compacting: Work<(u64, Result<(), Failure>)>,
    installing: Work<Result<(), Failure>>,
    reading: Work<(Name, Result<Chunk, Failure>)>,
    /// Snapshot chunks that are yet to be read.
    to_read: VecDeque<(Name, Cursor, usize)>,
    room: Room,
    role: (Role, u64),
    closed: bool,
}

/// Why the node has stopped. Nothing was acknowledged since.
#[derive(Debug, thiserror::Error)]
pub enum Halted {
    /// The disk failed.
    #[error(
        "the disk failed, so this node can guarantee nothing any more; check the disk, then start the node again"
    )]
    Disk {
        /// The disk's error.
        source: Failure,
    },
    /// The core has found a contradiction.
    #[error(transparent)]
    Core(Halt),
}

/// An event for the loop.
enum Event {
    /// Requests of clients.
    Asked(Vec<Asked>),
    /// Messages of other nodes, and changes of connections.
    Heard(Vec<Input>),
    /// A batch was written, or failed.
    Persisted(Result<(), Failure>),
    /// The entries up to this one were compacted, or failed to be.
    Compacted(u64, Result<(), Failure>),
    /// A snapshot was installed, or failed to be.
    Installed(Result<(), Failure>),
    /// A snapshot chunk was read, or failed to be.
    Read(Name, Result<Chunk, Failure>),
    /// A timer tick.
    TimePassed,
    /// The inbox is closed and empty.
    Closed,
}

impl Event {
    /// The event's name in the step statistics.
    fn name(&self) -> &'static str {
        match self {
            Self::Asked(_) => "what clients want",
            Self::Heard(_) => "what the others said",
            Self::Persisted(_) => "a batch on disk",
            Self::Compacted(..) => "a compacted log",
            Self::Installed(_) => "a snapshot taken over",
            Self::Read(..) => "a piece of the snapshot",
            Self::TimePassed => "a tick",
            Self::Closed => "the end",
        }
    }
}

/// A simulated machine's full disk is handled like a real one.
impl From<DiskFull> for Failure {
    fn from(DiskFull: DiskFull) -> Self {
        Self::Full
    }
}

/// Whether there was room on the disk at the last write.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Room {
    Enough,
    None,
    /// Something other than disk space had run out.
    Short(String),
}

impl Room {
    fn short_of(failure: &Failure) -> Self {
        match failure {
            Failure::Short(error) => Self::Short(error.to_string()),
            _ => Self::None,
        }
    }
}

impl<S: Storage> Driver<S> {
    pub(super) fn new(
        core: Arc<RwLock<Core>>,
        started: Instant,
        inbox: mpsc::Receiver<Asked>,
        storage: S,
        machine: Machine,
        metrics: Metrics,
    ) -> Self {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let role = (core.read().role(), core.read().term());
        Self {
            core,
            inbox,
            storage: Arc::new(storage),
            machine,
            metrics,
            started,
            ticks,
            next_ticket: 0,
            writers: HashMap::new(),
            readers: HashMap::new(),
            persisting: Work::default(),
            compacting: Work::default(),
            installing: Work::default(),
            reading: Work::default(),
            to_read: VecDeque::new(),
            room: Room::Enough,
            role,
            closed: false,
        }
    }

    /// Runs until `stop`, and then until every accepted request is answered, or until the disk
    /// fails.
    pub async fn run(mut self, mut peers: Peers, stop: CancellationToken) -> Result<(), Halted> {
        let steps = self.metrics.steps.clone();
        while !(self.closed && self.is_idle()) {
            let mut event = steps.watch("work for the disk", self.next_event(&mut peers, &stop)).await;
            if let Event::Asked(asked) = &mut event {
                self.coalesce_requests(asked).await;
            }
            steps.time(event.name(), || self.handle(event, &peers))?;
        }
        let storage = Arc::into_inner(self.storage).expect("no work is under way any more");
        storage.close().await;
        Ok(())
    }

    fn is_idle(&self) -> bool {
        self.persisting.is_idle()
            && self.compacting.is_idle()
            && self.installing.is_idle()
            && self.reading.is_idle()
    }

    async fn next_event(&mut self, peers: &mut Peers, stop: &CancellationToken) -> Event {
        let (mut asked, mut heard) = (Vec::new(), Vec::new());
        let stopping = self.inbox.is_closed();
        tokio::select! {
            biased;
            outcome = self.persisting.finished() => Event::Persisted(outcome),
            (up_to, outcome) = self.compacting.finished() => Event::Compacted(up_to, outcome),
            outcome = self.installing.finished() => Event::Installed(outcome),
            (peer, outcome) = self.reading.finished() => Event::Read(peer, outcome),
            _ = self.ticks.tick() => Event::TimePassed,
            () = peers.hear(&mut heard) => Event::Heard(heard),
            count = self.inbox.recv_many(&mut asked, INBOX_MAX), if !self.closed => {
                if count == 0 { Event::Closed } else { Event::Asked(asked) }
            }
            // Requests already in the inbox are still received.
            () = cancelled(stop, stopping) => {
                self.inbox.close();
                Event::TimePassed
            }
        }
    }

    /// Group commit: collects further requests that are ready, so that they share one disk sync and
    /// one message to each replica. It does not wait for any; each round only polls the sockets
    /// once.
    async fn coalesce_requests(&mut self, asked: &mut Vec<Asked>) {
        for _ in 0..GATHER_MAX {
            let before = asked.len();
            yield_now().await;
            while let Ok(another) = self.inbox.try_recv() {
                asked.push(another);
            }
            if asked.len() == before {
                break;
            }
        }
    }

    fn handle(&mut self, event: Event, peers: &Peers) -> Result<(), Halted> {
        let inputs = match event {
            Event::Asked(asked) => asked.into_iter().map(|asked| self.admit(asked)).collect(),
            Event::Heard(inputs) => inputs,
            Event::Persisted(Ok(())) => {
                self.metrics.syncs.inc();
                self.say_room(Room::Enough);
                vec![Input::Persisted]
            }
            Event::Persisted(Err(failure @ (Failure::Full | Failure::Short(_)))) => {
                self.say_room(Room::short_of(&failure));
                vec![Input::DiskFull]
            }
            Event::Compacted(up_to, Ok(())) => vec![Input::Compacted { up_to }],
            Event::Compacted(_, Err(Failure::Full | Failure::Short(_))) => vec![Input::NotCompacted],
            Event::Installed(Ok(())) => {
                tracing::info!("installed the primary's snapshot");
                vec![Input::Installed]
            }
            Event::Installed(Err(failure @ (Failure::Full | Failure::Short(_)))) => {
                tracing::warn!(error = %failure, "the primary's snapshot could not be installed; trying again");
                vec![Input::NotInstalled]
            }
            Event::Read(peer, Ok(chunk)) => vec![Input::SnapshotRead { peer, chunk: Some(chunk) }],
            Event::Read(peer, Err(Failure::Full | Failure::Short(_))) => {
                vec![Input::SnapshotRead { peer, chunk: None }]
            }
            Event::Persisted(Err(source))
            | Event::Compacted(_, Err(source))
            | Event::Installed(Err(source))
            | Event::Read(_, Err(source)) => {
                let _ = self.step(vec![Input::DiskFailed], peers);
                return Err(Halted::Disk { source });
            }
            Event::TimePassed => {
                let is_short = self.storage.is_short_of_room();
                vec![Input::Room { is_short }, Input::TimePassed]
            }
            Event::Closed => {
                self.closed = true;
                Vec::new()
            }
        };
        self.step(inputs, peers)?;
        self.read_next();
        Ok(())
    }

    fn admit(&mut self, asked: Asked) -> Input {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        match asked {
            Asked::Write(write, answer) => {
                self.writers.insert(ticket, answer);
                Input::ClientWrites { ticket, write }
            }
            Asked::Read(answer) => {
                self.readers.insert(ticket, answer);
                Input::ClientReads { ticket }
            }
            Asked::HandOver => Input::HandOver,
        }
    }

    /// Applies several inputs under one lock, so that readers see either none or all of their
    /// consequences.
    fn step(&mut self, inputs: Vec<Input>, peers: &Peers) -> Result<(), Halted> {
        let now = Moment(self.started.elapsed());
        let (effects, role) = {
            let mut core = self.core.write();
            let effects = core.steps(now, inputs);
            (effects, (core.role(), core.term()))
        };
        self.say_role(role);
        for effect in effects {
            match effect {
                Effect::Halt(why) => return Err(Halted::Core(why)),
                effect => self.carry_out(effect, peers),
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect, peers: &Peers) {
        match effect {
            Effect::Persist(batch) => {
                let (storage, machine) = (Arc::clone(&self.storage), self.machine.clone());
                let seconds = self.metrics.sync_seconds.clone();
                self.persisting.begin(async move {
                    let _timed = Timed::begin(&seconds);
                    machine.write(1).await?;
                    storage.persist(batch).await
                });
            }
            Effect::Send { to, envelope } => peers.send(&to, envelope),
            Effect::Compact(entries) => {
                let (storage, machine) = (Arc::clone(&self.storage), self.machine.clone());
                let up_to = entries.last().map_or(0, |entry| entry.index);
                self.compacting.begin(async move {
                    let compacted = async {
                        machine.write(0).await?;
                        storage.compact(entries).await
                    };
                    (up_to, compacted.await)
                });
            }
            Effect::Install(installation) => {
                let (storage, machine) = (Arc::clone(&self.storage), self.machine.clone());
                self.installing.begin(async move {
                    let pages = installation.state.pages();
                    machine.write(0).await?;
                    storage.install(installation).await?;
                    // What was just written is in the page cache, as it is after a start.
                    machine.warm(0..pages);
                    Ok(())
                });
            }
            Effect::ReadSnapshot { peer, from, bytes_max } => {
                self.to_read.push_back((peer, from, bytes_max));
            }
            Effect::Acknowledge { ticket, written } => {
                self.metrics.writes.inc();
                self.answer_writer(ticket, Ok(written));
            }
            Effect::Reject { ticket, refusal } => match self.readers.remove(&ticket) {
                // The client may have gone.
                Some(reader) => drop(reader.send(Err(refusal))),
                None => self.answer_writer(ticket, Err(refusal)),
            },
            Effect::ReadReady { ticket } => {
                let reader = self.readers.remove(&ticket).expect("each ticket is answered once");
                let _ = reader.send(Ok(()));
            }
            Effect::Tell(notice) => say_notice(&notice),
            // The caller has handled this.
            Effect::Halt(_) => {}
        }
    }

    fn answer_writer(&mut self, ticket: Ticket, answer: Result<Written, RejectReason>) {
        let writer = self.writers.remove(&ticket).expect("each ticket is answered once");
        let _ = writer.send(answer);
    }

    /// Several replicas may need snapshot chunks; they are read one at a time.
    fn read_next(&mut self) {
        if !self.reading.is_idle() {
            return;
        }
        if let Some((peer, from, bytes_max)) = self.to_read.pop_front() {
            let storage = Arc::clone(&self.storage);
            self.reading.begin(async move { (peer, storage.read_snapshot(from, bytes_max).await) });
        }
    }

    /// Logs a change of the disk's state once, not for each write.
    fn say_room(&mut self, room: Room) {
        match &room {
            room if *room == self.room => {}
            Room::Short(error) => {
                tracing::warn!(
                    error,
                    "this node is short of files, memory or threads: writes are refused until that changes"
                );
            }
            Room::None => tracing::warn!("the disk is full: writes are refused until there is room"),
            Room::Enough => tracing::info!("the disk can be written again: writes are accepted"),
        }
        self.room = room;
    }

    fn say_role(&mut self, (role, term): (Role, u64)) {
        if self.role.0 != role {
            match role {
                Role::Primary => tracing::info!(term, "this node is the primary"),
                Role::Replica => tracing::info!(term, "this node is a replica"),
                Role::Candidate => {
                    tracing::info!(term, "no primary has been heard from: asking for an election")
                }
                Role::Stopped => tracing::error!("this node has stopped"),
            }
        }
        self.role = (role, term);
    }
}

/// Logs a notice; only those that need attention are warnings.
fn say_notice(notice: &Notice) {
    match notice {
        Notice::MemberHasRoom(_) => tracing::info!("{notice}"),
        _ => tracing::warn!("{notice}"),
    }
}

async fn cancelled(stop: &CancellationToken, already_heard: bool) {
    if already_heard {
        pending::<()>().await;
    }
    stop.cancelled().await;
}
