//! The known state of one machine: whether it is on, what runs on it, and who caused its changes. The watcher
//! of its process or container reports here.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use machine::protocol::MachineEvent;
use nix::sys::signal::Signal;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::timeout;

use super::events::{Events, Hand, Happening};

/// One machine's life. It may be switched on again after it has ended.
#[derive(Debug)]
pub(super) struct Life {
    machine: String,
    events: Events,
    power: watch::Sender<Power>,
    programs: Mutex<BTreeMap<String, ProgramLife>>,
    /// What labctl did on purpose, so that it is not taken for somebody else's doing.
    intent: Mutex<Intent>,
    out_of_memory: AtomicBool,
    frozen: AtomicBool,
    connected: AtomicBool,
}

/// Whether a machine is on, and how many times it has been switched on.
#[derive(Debug, Clone, Copy, Default)]
struct Power {
    on: bool,
    times: u32,
}

/// What labctl did to a machine on purpose.
#[derive(Debug, Default)]
struct Intent {
    /// It was told to end.
    end: bool,
    /// The last SIGSTOP or SIGCONT that labctl sent, with the program if it was sent to only one.
    last_pause: Option<(Signal, Option<u32>)>,
    /// The programs on it that labctl killed, by process id.
    killed: Vec<u32>,
}

/// The known state of one program.
#[derive(Debug, Clone, Copy)]
pub struct ProgramLife {
    /// Its process id.
    pub pid: u32,
    /// Whether it is running.
    pub alive: bool,
    /// Whether it is stopped.
    pub frozen: bool,
}

impl Life {
    /// Creates the state of a machine that has not been switched on yet.
    pub(super) fn new(machine: &str, events: &Events) -> Self {
        Self {
            machine: machine.to_owned(),
            events: events.clone(),
            power: watch::Sender::default(),
            programs: Mutex::default(),
            intent: Mutex::default(),
            out_of_memory: AtomicBool::new(false),
            frozen: AtomicBool::new(false),
            connected: AtomicBool::new(true),
        }
    }

    /// Records that it was switched on. Earlier state is reset.
    pub(super) fn begin(&self, pid: u32, at: Duration) {
        *self.intent.lock() = Intent::default();
        self.out_of_memory.store(false, Ordering::Release);
        self.frozen.store(false, Ordering::Release);
        self.events.record_at(at, Happening::MachineStarted { machine: self.machine.clone(), pid });
        self.power.send_modify(|power| *power = Power { on: true, times: power.times + 1 });
    }

    /// True while it is on.
    pub(super) fn is_on(&self) -> bool {
        self.power.borrow().on
    }

    /// The number of times it has been switched on.
    pub(super) fn times_on(&self) -> u32 {
        self.power.borrow().times
    }

    /// Waits until it has been switched on this many times, even if it has ended again since. False at the
    /// limit.
    pub(super) async fn wait_until_on(&self, times: u32, limit: Duration) -> bool {
        self.wait_for(limit, |power| power.times >= times).await
    }

    /// Waits until it has ended. False at the limit.
    pub(super) async fn wait_until_off(&self, limit: Duration) -> bool {
        self.wait_for(limit, |power| !power.on).await
    }

    async fn wait_for(&self, limit: Duration, wanted: impl Fn(&Power) -> bool) -> bool {
        let mut power = self.power.subscribe();
        let waited = timeout(limit, power.wait_for(wanted)).await;
        matches!(waited, Ok(Ok(_)))
    }

    /// Its programs, by name.
    pub(super) fn programs(&self) -> BTreeMap<String, ProgramLife> {
        self.programs.lock().clone()
    }

    /// The process id of a running program.
    pub(super) fn pid_of(&self, program: &str) -> Option<u32> {
        self.programs.lock().get(program).filter(|life| life.alive).map(|life| life.pid)
    }

    /// Records that labctl is about to send it this signal.
    pub(super) fn intend(&self, signal: Signal) {
        let mut intent = self.intent.lock();
        intent.end |= matches!(signal, Signal::SIGKILL | Signal::SIGTERM);
        if matches!(signal, Signal::SIGSTOP | Signal::SIGCONT) {
            intent.last_pause = Some((signal, None));
        }
    }

    /// Records that labctl is about to send this signal to one program on it.
    pub(super) fn intend_for(&self, pid: u32, signal: Signal) {
        let mut intent = self.intent.lock();
        match signal {
            Signal::SIGSTOP | Signal::SIGCONT => intent.last_pause = Some((signal, Some(pid))),
            _ => intent.killed.push(pid),
        }
    }

    /// Records the start of a program on it.
    pub(super) fn program_started(&self, program: &str, pid: u32) {
        self.events.record(Happening::ProgramStarted { program: self.full_name(program), pid });
        let life = ProgramLife { pid, alive: true, frozen: false };
        self.programs.lock().insert(program.to_owned(), life);
    }

    /// Records the machine's own report of what started or ended on it.
    pub(super) fn take_report(&self, report: MachineEvent) {
        match report {
            MachineEvent::Started { process, pid } => self.program_started(&process, pid),
            MachineEvent::Exited { process, pid, code, signal } => {
                if let Some(program) = self.programs.lock().get_mut(&process) {
                    program.alive = false;
                }
                let (program, how) = (self.full_name(&process), how_it_ended(code, signal));
                self.events.record(Happening::ProgramEnded { program, pid, how, by: self.who_ended(pid) });
            }
            MachineEvent::OutOfMemory { held, limit } => {
                self.out_of_memory.store(true, Ordering::Release);
                self.events.record(Happening::OutOfMemory { machine: self.machine.clone(), held, limit });
            }
        }
    }

    /// Records that it has ended, together with every program on it.
    pub(super) fn end(&self, pid: u32, how: String, at: Duration) {
        let by = self.who_ended_the_machine(pid);
        for (program, life) in self.programs.lock().iter_mut().filter(|(_, life)| life.alive) {
            life.alive = false;
            let program = self.full_name(program);
            let by = if by == Hand::Labctl { by } else { Hand::Machine };
            self.events
                .record_at(at, Happening::ProgramEnded { program, pid: life.pid, how: "killed".into(), by });
        }
        self.events.record_at(at, Happening::MachineEnded { machine: self.machine.clone(), pid, how, by });
        self.power.send_modify(|power| power.on = false);
    }

    /// Forgets its programs: the next ones are new processes, even if their names are the same.
    pub(super) fn forget_programs(&self) {
        self.programs.lock().clear();
    }

    /// Records that it was frozen or thawed, if that is a change.
    pub(super) fn record_frozen(&self, frozen: bool, at: Duration) {
        if self.frozen.swap(frozen, Ordering::AcqRel) != frozen {
            self.tell_frozen(self.machine.clone(), None, frozen, at);
        }
    }

    /// Records for each program on it whether it is frozen, from the state of its process.
    pub(super) fn look_for_frozen_programs(&self, is_frozen: impl Fn(&ProgramLife) -> bool) {
        for (program, life) in self.programs.lock().iter_mut().filter(|(_, life)| life.alive) {
            let frozen = is_frozen(life);
            if std::mem::replace(&mut life.frozen, frozen) != frozen {
                self.tell_frozen(self.full_name(program), Some(life.pid), frozen, self.events.clock().now());
            }
        }
    }

    /// True while everything on it is frozen.
    pub(super) fn is_frozen(&self) -> bool {
        self.frozen.load(Ordering::Acquire)
    }

    /// Records whether it is on the lab's network with its own address, if that is a change. `back` is the
    /// command that reconnects it.
    pub(super) fn record_connected(&self, connected: bool, back: &str, at: Duration) {
        if self.connected.swap(connected, Ordering::AcqRel) != connected {
            let machine = self.machine.clone();
            self.events.record_at(
                at,
                if connected {
                    Happening::Connected { machine }
                } else {
                    Happening::Disconnected { machine, back: back.to_owned() }
                },
            );
        }
    }

    /// Records that it is on the lab's network with an address that is not its own. `back` are the commands
    /// that correct it.
    pub(super) fn record_elsewhere(&self, address: String, back: String, at: Duration) {
        self.connected.store(false, Ordering::Release);
        self.events.record_at(at, Happening::Elsewhere { machine: self.machine.clone(), address, back });
    }

    /// True while it is on the lab's network with its own address.
    pub(super) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    fn full_name(&self, program: &str) -> String {
        format!("{}/{program}", self.machine)
    }

    fn tell_frozen(&self, name: String, pid: Option<u32>, frozen: bool, at: Duration) {
        let happening = match frozen {
            true => Happening::Frozen { name, by: self.who_sent(Signal::SIGSTOP, pid) },
            false => Happening::Thawed { name, by: self.who_sent(Signal::SIGCONT, pid) },
        };
        self.events.record_at(at, happening);
    }

    /// Who ended the machine, or a program on it.
    fn who_ended(&self, pid: u32) -> Hand {
        let intent = self.intent.lock();
        if self.out_of_memory.load(Ordering::Acquire) {
            Hand::Machine
        } else if intent.end || intent.killed.contains(&pid) {
            Hand::Labctl
        } else {
            Hand::SomebodyElse
        }
    }

    /// Who ended the machine itself, which also ends when its last program does.
    fn who_ended_the_machine(&self, pid: u32) -> Hand {
        let programs: Vec<_> = self.programs.lock().values().map(|life| life.pid).collect();
        let killed_all =
            !programs.is_empty() && programs.iter().all(|pid| self.intent.lock().killed.contains(pid));
        if killed_all { Hand::Labctl } else { self.who_ended(pid) }
    }

    /// Who stopped or continued the machine, or one program on it.
    fn who_sent(&self, pause: Signal, pid: Option<u32>) -> Hand {
        let mut intent = self.intent.lock();
        if pause == Signal::SIGCONT && intent.end {
            // An engine unpauses a frozen container before it ends it.
            return Hand::Labctl;
        }
        let last = intent.last_pause;
        match last {
            Some((sent, only)) if sent == pause && (only.is_none() || only == pid) => Hand::Labctl,
            Some((sent, only)) => {
                // Somebody undid what labctl did. If it is done once more, labctl is not the cause.
                if sent != pause && (only.is_none() || pid.is_none() || only == pid) {
                    intent.last_pause = None;
                }
                Hand::SomebodyElse
            }
            None => Hand::SomebodyElse,
        }
    }
}

/// Describes how a process ended.
pub(super) fn how_it_ended(code: Option<i32>, signal: Option<i32>) -> String {
    match (code, signal) {
        (_, Some(signal)) => format!("killed by signal {signal}"),
        (Some(code), _) => format!("exit code {code}"),
        (None, None) => "its end was not seen".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::events::Clock;
    use super::*;

    fn hands(events: &Events) -> Vec<Hand> {
        let events = events.since(0).into_iter();
        let hand = |happening| match happening {
            Happening::Frozen { by, .. } | Happening::Thawed { by, .. } => Some(by),
            _ => None,
        };
        events.filter_map(|event| hand(event.what)).collect()
    }

    #[test]
    fn a_freeze_of_labctls_is_its_own_once() {
        let events = Events::new(Clock::start());
        let life = Life::new("db", &events);
        life.begin(1, Duration::ZERO);
        life.intend(Signal::SIGSTOP);
        for frozen in [true, false, true] {
            life.record_frozen(frozen, Duration::ZERO);
        }
        assert_eq!(hands(&events), [Hand::Labctl, Hand::SomebodyElse, Hand::SomebodyElse]);
    }

    #[test]
    fn a_freeze_of_one_program_is_no_other_programs() {
        let events = Events::new(Clock::start());
        let life = Life::new("app", &events);
        life.begin(1, Duration::ZERO);
        life.program_started("dbnode", 2);
        life.program_started("webserver", 3);
        life.intend_for(3, Signal::SIGSTOP);
        life.look_for_frozen_programs(|_| true);
        assert_eq!(hands(&events), [Hand::SomebodyElse, Hand::Labctl]);
    }

    #[test]
    fn the_thaw_before_an_end_is_by_whoever_ends_it() {
        let events = Events::new(Clock::start());
        let life = Life::new("db", &events);
        life.begin(1, Duration::ZERO);
        life.record_frozen(true, Duration::ZERO);
        life.intend(Signal::SIGKILL);
        life.record_frozen(false, Duration::ZERO);
        assert_eq!(hands(&events), [Hand::SomebodyElse, Hand::Labctl]);
    }
}
