//! Timeouts for each phase of a client's connection.
//!
//! ```text
//!   open ─▶ Head ─▶ Upload ─▶ Waiting ─▶ Download ─▶ Idle ─▶ Head …
//! ```
//!
//! One sweep over all connections of a thread, a few times a second, replaces a timer for each
//! request: a request only notes the deadline of its current phase. The price is that a timeout is
//! noticed late by up to an eighth of the shortest limit; it is never noticed early.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// The time limits.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Opening a connection to an upstream.
    pub connect: Duration,
    /// From the end of a request to the head of its response, over all attempts.
    pub request: Duration,
    /// The same for one attempt.
    pub attempt: Duration,
    /// Receiving a request's head, and between two pieces of its body.
    pub header: Duration,
    /// Between two requests of a client, and between two pieces of a response.
    pub idle: Duration,
    /// An unused connection to an upstream.
    pub upstream_idle: Duration,
}

/// A sweep that comes this late means that the process, or the whole machine, was frozen.
const AWAY_MIN: Duration = Duration::from_millis(500);

/// What a client's connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It is idle between two requests.
    Idle,
    /// The client sends a request's head.
    Head,
    /// The client sends a request's body.
    Upload,
    /// The upstream has the whole request, and the response has not begun.
    Waiting,
    /// The response is being passed on.
    Download,
    /// The protocol was switched.
    Tunnel,
}

/// The phase of one connection, and its deadline.
#[derive(Debug)]
pub struct Watch {
    clock: Rc<Clock>,
    phase: Cell<Phase>,
    deadline: Cell<Instant>,
    /// When the response to the current request must have begun, whatever its source.
    answer_by: Cell<Instant>,
    /// True while the current attempt has less time than the limit for one attempt.
    cut_short: Cell<bool>,
    expired: Cell<bool>,
    leaving: Cell<bool>,
    cut: Cell<bool>,
    task: RefCell<Option<Waker>>,
}

/// The time as of the last sweep, which costs no system call, and the limits.
#[derive(Debug)]
struct Clock {
    /// The time of the last sweep.
    now: Cell<Instant>,
    tick: Duration,
    timeouts: Timeouts,
}

/// Watches all connections of one thread.
#[derive(Debug)]
pub struct Watchdog {
    clock: Rc<Clock>,
    watched: RefCell<Vec<Rc<Watch>>>,
    leaving: Cell<bool>,
}

impl Watchdog {
    /// Creates a watchdog without connections.
    pub fn new(timeouts: Timeouts, now: Instant) -> Self {
        let shortest = timeouts.header.min(timeouts.idle).min(timeouts.attempt).min(timeouts.request);
        let shortest = shortest.min(timeouts.upstream_idle);
        let tick = (shortest / 8).clamp(Duration::from_millis(5), Duration::from_millis(250));
        let clock = Rc::new(Clock { now: Cell::new(now), tick, timeouts });
        Self { clock, watched: RefCell::default(), leaving: Cell::new(false) }
    }

    /// Watches a connection that has just been opened.
    pub fn watch(&self) -> Rc<Watch> {
        let watch = Rc::new(Watch {
            clock: Rc::clone(&self.clock),
            phase: Cell::new(Phase::Head),
            deadline: Cell::new(self.clock.deadline(Phase::Head)),
            answer_by: Cell::new(self.clock.now.get()),
            cut_short: Cell::new(false),
            expired: Cell::new(false),
            leaving: Cell::new(self.leaving.get()),
            cut: Cell::new(false),
            task: RefCell::default(),
        });
        self.watched.borrow_mut().push(Rc::clone(&watch));
        watch
    }

    /// How often [`sweep`](Self::sweep) must be called.
    pub fn tick(&self) -> Duration {
        self.clock.tick
    }

    /// The time of the last sweep.
    pub fn now(&self) -> Instant {
        self.clock.now.get()
    }

    /// Advances the time, wakes connections that have exceeded a limit, and drops those that have
    /// closed. If the process was frozen, the deadlines are extended by that time: responses that
    /// arrived meanwhile must still be read.
    pub fn sweep(&self, now: Instant) {
        let since = now.saturating_duration_since(self.clock.now.get());
        let away = Some(since.saturating_sub(self.clock.tick)).filter(|away| *away >= AWAY_MIN);
        self.clock.now.set(now);
        self.watched.borrow_mut().retain(|watch| {
            if let Some(away) = away {
                watch.deadline.set(watch.deadline.get() + away);
                watch.answer_by.set(watch.answer_by.get() + away);
            }
            if now >= watch.deadline.get() && !watch.expired.replace(true) {
                watch.wake();
            }
            Rc::strong_count(watch) > 1
        });
    }

    /// Asks all connections, present and future, to close after their current request.
    pub fn ask_all_to_leave(&self) {
        self.leaving.set(true);
        for watch in self.watched.borrow().iter() {
            watch.leaving.set(true);
            watch.wake();
        }
    }

    /// Closes all connections at once, even in the middle of a request.
    pub fn cut_all(&self) {
        for watch in self.watched.borrow().iter() {
            watch.cut.set(true);
            watch.wake();
        }
    }
}

impl Watch {
    /// True if the connection must be closed at once, even in the middle of a request.
    pub fn is_cut(&self) -> bool {
        self.cut.get()
    }

    /// Enters a phase, or restarts its limit because there was progress.
    pub fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.expired.set(false);
        self.deadline.set(self.clock.deadline(phase));
        if phase == Phase::Waiting {
            self.answer_by.set(self.clock.answer_by());
            self.cut_short.set(false);
        }
    }

    /// Limits the current phase to this much more time.
    pub fn shorten(&self, left: Duration) {
        let until = self.clock.now.get() + left + self.clock.tick;
        self.deadline.set(self.deadline.get().min(until));
    }

    /// Notes progress, which restarts the limit of a download or a tunnel.
    pub fn note_progress(&self) {
        if let phase @ (Phase::Download | Phase::Tunnel) = self.phase.get() {
            self.enter(phase);
        }
    }

    /// Starts another attempt. It has the time of one attempt, but no more than is left for the
    /// response. Returns false if nothing is left.
    pub fn try_again(&self) -> bool {
        if self.phase.get() == Phase::Waiting {
            self.expired.set(false);
            let (whole, left) = (self.clock.deadline(Phase::Waiting), self.answer_by.get());
            self.deadline.set(whole.min(left));
            self.cut_short.set(left < whole);
        }
        self.phase.get() == Phase::Upload || self.clock.now.get() < self.answer_by.get()
    }

    /// True if the current attempt had less time than the limit for one attempt.
    pub fn was_cut_short(&self) -> bool {
        self.cut_short.get()
    }

    /// The current phase.
    pub fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// True if the current phase has lasted too long, until another phase is entered.
    pub fn is_expired(&self) -> bool {
        self.expired.get()
    }

    /// True if the connection must close after its current request.
    pub fn is_leaving(&self) -> bool {
        self.leaving.get()
    }

    /// Remembers the task to wake.
    pub fn remember(&self, task: &Waker) {
        let mut known = self.task.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(task)) {
            *known = Some(task.clone());
        }
    }

    fn wake(&self) {
        if let Some(task) = &*self.task.borrow() {
            task.wake_by_ref();
        }
    }
}

impl Clock {
    /// `now` may be a tick old, so a tick is added: no limit ever ends early.
    fn deadline(&self, phase: Phase) -> Instant {
        let limit = match phase {
            Phase::Head | Phase::Upload => self.timeouts.header,
            Phase::Waiting => self.timeouts.attempt.min(self.timeouts.request),
            Phase::Download | Phase::Idle | Phase::Tunnel => self.timeouts.idle,
        };
        self.now.get() + limit + self.tick
    }

    fn answer_by(&self) -> Instant {
        self.now.get() + self.timeouts.request + self.tick
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn watchdog(start: Instant) -> Watchdog {
        let timeouts = Timeouts {
            connect: SECOND,
            request: 40 * SECOND,
            attempt: 30 * SECOND,
            header: 10 * SECOND,
            idle: 60 * SECOND,
            upstream_idle: 4 * SECOND,
        };
        Watchdog::new(timeouts, start)
    }

    impl Watchdog {
        /// Sweeps once per tick, up to this time.
        fn advance(&self, until: Instant) {
            while self.now() < until {
                self.sweep((self.now() + self.tick()).min(until));
            }
        }
    }

    #[test]
    fn each_state_has_its_own_limit() {
        for (phase, seconds) in [(Phase::Head, 10), (Phase::Waiting, 30), (Phase::Idle, 60)] {
            let start = Instant::now();
            let dog = watchdog(start);
            let watch = dog.watch();
            watch.enter(phase);
            dog.advance(start + seconds * SECOND);
            assert!(!watch.is_expired(), "{phase:?} is never cut early");
            dog.advance(start + (seconds + 1) * SECOND);
            assert!(watch.is_expired(), "{phase:?}");
        }
    }

    #[test]
    fn tries_share_the_time_for_the_answer() {
        let start = Instant::now();
        let dog = watchdog(start);
        let watch = dog.watch();
        watch.enter(Phase::Waiting);
        dog.advance(start + 31 * SECOND);
        assert!(watch.is_expired());
        assert!(!watch.was_cut_short());
        assert!(watch.try_again() && !watch.is_expired());
        assert!(watch.was_cut_short(), "nine of thirty seconds are left");
        dog.advance(start + 40 * SECOND);
        assert!(!watch.is_expired());
        dog.advance(start + 41 * SECOND);
        assert!(watch.is_expired() && !watch.try_again(), "nothing is left");
        watch.enter(Phase::Waiting);
        assert!(!watch.was_cut_short(), "the next request has all of its time");
    }

    #[test]
    fn whatever_moves_gets_more_time() {
        let start = Instant::now();
        let dog = watchdog(start);
        let watch = dog.watch();
        for second in 1..100 {
            watch.enter(Phase::Upload);
            dog.advance(start + second * SECOND);
        }
        assert!(!watch.is_expired());
    }

    #[test]
    fn a_state_can_be_shortened_and_not_be_lengthened() {
        let start = Instant::now();
        let dog = watchdog(start);
        let watch = dog.watch();
        watch.enter(Phase::Upload);
        watch.shorten(20 * SECOND);
        dog.advance(start + 11 * SECOND);
        assert!(watch.is_expired());
        watch.enter(Phase::Upload);
        watch.shorten(2 * SECOND);
        dog.advance(start + 14 * SECOND);
        assert!(watch.is_expired());
    }

    #[test]
    fn no_limit_runs_while_the_process_is_frozen() {
        let (start, minute) = (Instant::now(), 60 * SECOND);
        let dog = watchdog(start);
        let watch = dog.watch();
        watch.enter(Phase::Waiting);
        dog.advance(start + 20 * SECOND);
        dog.sweep(start + 20 * SECOND + minute);
        assert!(!watch.is_expired(), "ten of thirty seconds are left");
        dog.advance(start + minute + 31 * SECOND);
        assert!(watch.is_expired());
        assert!(watch.try_again(), "nine of forty seconds are left");
        dog.advance(start + minute + 41 * SECOND);
        assert!(watch.is_expired() && !watch.try_again());
    }

    #[test]
    fn connections_that_have_gone_are_forgotten() {
        let start = Instant::now();
        let dog = watchdog(start);
        let (watch, kept) = (dog.watch(), dog.watch());
        drop(watch);
        dog.sweep(start);
        assert_eq!(dog.watched.borrow().len(), 1);
        dog.ask_all_to_leave();
        assert!(kept.is_leaving() && dog.watch().is_leaving());
    }
}
