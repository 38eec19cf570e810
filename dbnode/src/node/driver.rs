//! The driver: it tells the core what happens and does what the core decides. One loop over one
//! closed enum; it decides nothing itself.

use std::collections::HashMap;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use machine::Machine;
use parking_lot::RwLock;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Answer, Asked, INBOX_MAX};
use crate::metrics::Metrics;
use crate::replication::Core;
use crate::replication::effect::{Effect, Refusal, Written};
use crate::replication::input::{Input, Moment, Ticket};
use crate::storage::{Failure, Storage};

/// How often the core is told that time passes.
const TICK: Duration = Duration::from_millis(50);

/// What makes a node work.
pub struct Driver<S> {
    core: Arc<RwLock<Core>>,
    inbox: mpsc::Receiver<Asked>,
    storage: Arc<S>,
    machine: Machine,
    metrics: Metrics,
    started: Instant,
    ticks: Interval,
    next_ticket: u64,
    waiting: HashMap<Ticket, Answer>,
    persisting: Work,
    folding: Work,
    room: Room,
    closed: bool,
}

/// The disk failed, and the node has stopped: nothing was acknowledged since.
#[derive(Debug, thiserror::Error)]
#[error("the disk failed, so nothing can be promised any more; check the disk, then start this node again")]
pub struct Halted {
    source: Failure,
}

/// Something happened.
enum Event {
    /// Clients want something written.
    Asked(Vec<Asked>),
    /// The batch up to this entry was given to the disk.
    #[allow(dead_code)]
    Persisted(u64, Result<(), Failure>),
    /// The entries up to this one were given to the snapshot.
    Folded(u64, Result<(), Failure>),
    /// Some time went by.
    TimePassed,
    /// Nobody can ask any more.
    Closed,
}

/// Work under way on the disk, up to an entry.
type Work = Option<Pin<Box<dyn Future<Output = (u64, Result<(), Failure>)> + Send>>>;

/// Whether there was room on the disk when it was last written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    Enough,
    None,
}

impl<S: Storage> Driver<S> {
    pub(super) fn new(
        core: Arc<RwLock<Core>>,
        inbox: mpsc::Receiver<Asked>,
        storage: S,
        machine: Machine,
        metrics: Metrics,
    ) -> Self {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            core,
            inbox,
            storage: Arc::new(storage),
            machine,
            metrics,
            started: Instant::now(),
            ticks,
            next_ticket: 0,
            waiting: HashMap::new(),
            persisting: None,
            folding: None,
            room: Room::Enough,
            closed: false,
        }
    }

    /// Works until `stop`, and then until everything taken is answered, or until the disk fails.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Halted> {
        self.work(stop).await?;
        let storage = Arc::into_inner(self.storage).expect("no work is under way any more");
        storage.close().await;
        Ok(())
    }

    async fn work(&mut self, stop: CancellationToken) -> Result<(), Halted> {
        while !(self.closed && self.persisting.is_none() && self.folding.is_none()) {
            match self.next_event(&stop).await {
                Event::Asked(asked) => {
                    let inputs = asked.into_iter().map(|asked| self.admit(asked)).collect();
                    self.step(inputs);
                }
                Event::Persisted(_, Ok(())) => {
                    self.metrics.syncs.inc();
                    self.say_room(Room::Enough);
                    self.step(vec![Input::Persisted]);
                }
                Event::Persisted(_, Err(Failure::Full)) => {
                    self.say_room(Room::None);
                    self.step(vec![Input::DiskFull]);
                }
                Event::Folded(up_to, Ok(())) => self.step(vec![Input::Folded { up_to }]),
                Event::Folded(_, Err(Failure::Full)) => {
                    tracing::debug!("no room on the disk to fold the log");
                    self.step(vec![Input::NotFolded]);
                }
                Event::Persisted(_, Err(source)) | Event::Folded(_, Err(source)) => {
                    self.step(vec![Input::DiskFailed]);
                    return Err(Halted { source });
                }
                Event::TimePassed => self.step(vec![Input::TimePassed]),
                Event::Closed => self.closed = true,
            }
        }
        Ok(())
    }

    /// Says it once, not for each write.
    fn say_room(&mut self, room: Room) {
        match room {
            _ if room == self.room => {}
            Room::None => tracing::warn!("the disk is full: writes are refused until there is room"),
            Room::Enough => tracing::info!("there is room on the disk again: writes are taken"),
        }
        self.room = room;
    }

    async fn next_event(&mut self, stop: &CancellationToken) -> Event {
        let mut asked = Vec::new();
        tokio::select! {
            biased;
            (up_to, outcome) = finished(&mut self.persisting) => Event::Persisted(up_to, outcome),
            (up_to, outcome) = finished(&mut self.folding) => Event::Folded(up_to, outcome),
            _ = self.ticks.tick() => Event::TimePassed,
            count = self.inbox.recv_many(&mut asked, INBOX_MAX), if !self.closed => {
                if count == 0 { Event::Closed } else { Event::Asked(asked) }
            }
            // What has been taken into the inbox is still received.
            () = stop.cancelled(), if !self.inbox.is_closed() => {
                self.inbox.close();
                Event::TimePassed
            }
        }
    }

    fn admit(&mut self, asked: Asked) -> Input {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.waiting.insert(ticket, asked.answer);
        Input::ClientWrites { ticket, write: asked.write }
    }

    /// Readers see either nothing of these inputs or all that they led to.
    fn step(&mut self, inputs: Vec<Input>) {
        let now = Moment(self.started.elapsed());
        let mut effects = Vec::new();
        {
            let mut core = self.core.write();
            for input in inputs {
                effects.extend(core.step(now, input));
            }
        }
        for effect in effects {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Persist(batch) => {
                let entries = batch.entries;
                let (storage, machine) = (Arc::clone(&self.storage), self.machine.clone());
                let up_to = entries.last().map_or(0, |entry| entry.index);
                self.persisting = Some(Box::pin(async move {
                    machine.disk(1).await;
                    (up_to, storage.append(entries).await)
                }));
            }
            Effect::Fold(entries) => {
                let storage = Arc::clone(&self.storage);
                let up_to = entries.last().map_or(0, |entry| entry.index);
                self.folding = Some(Box::pin(async move { (up_to, storage.fold(entries).await) }));
            }
            Effect::Acknowledge { ticket, written } => {
                self.metrics.writes.inc();
                self.answer(ticket, Ok(written));
            }
            Effect::Reject { ticket, refusal } => self.answer(ticket, Err(refusal)),
            // The loop ends with the event that led to it.
            Effect::Halt => {}
            // There are no other nodes.
            _ => {}
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: Result<Written, Refusal>) {
        let waiting = self.waiting.remove(&ticket).expect("each ticket is answered once");
        // The client may have gone.
        let _ = waiting.send(answer);
    }
}

/// Waits for work to finish; for ever, when there is none.
async fn finished(work: &mut Work) -> (u64, Result<(), Failure>) {
    let Some(under_way) = work else { return pending().await };
    let outcome = under_way.await;
    *work = None;
    outcome
}
