//! The lab's event log: what happened and when, no matter who caused it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::timeout;

/// One event, with its time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// When, in seconds since the lab began.
    #[serde(serialize_with = "as_seconds")]
    pub at: Duration,
    /// What happened.
    #[serde(flatten)]
    pub what: Happening,
}

/// The kind of an event, with its details.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Happening {
    /// A machine was switched on.
    MachineStarted {
        /// Its name.
        machine: String,
        /// Its process id.
        pid: u32,
    },
    /// Everything on a machine answers.
    MachineReady {
        /// Its name.
        machine: String,
    },
    /// A machine is gone.
    MachineEnded {
        /// Its name.
        machine: String,
        /// Its process id.
        pid: u32,
        /// How it ended: "killed by signal 9", "exit code 137".
        how: String,
        /// Who caused it.
        by: Hand,
    },
    /// A machine ran out of memory.
    OutOfMemory {
        /// Its name.
        machine: String,
        /// Bytes in use.
        held: u64,
        /// Bytes available.
        limit: u64,
    },
    /// A program was started.
    ProgramStarted {
        /// The program, with its machine: `app/dbnode`.
        program: String,
        /// Its process id.
        pid: u32,
    },
    /// A program is gone.
    ProgramEnded {
        /// The program, with its machine.
        program: String,
        /// Its process id.
        pid: u32,
        /// How it ended: its exit code, or the signal.
        how: String,
        /// Who caused it.
        by: Hand,
    },
    /// A process was frozen (SIGSTOP).
    Frozen {
        /// The machine, or the program on it.
        name: String,
        /// Who caused it.
        by: Hand,
    },
    /// A frozen process was resumed (SIGCONT).
    Thawed {
        /// The machine, or the program on it.
        name: String,
        /// Who caused it.
        by: Hand,
    },
    /// There is no room left on a machine's disk.
    DiskFull {
        /// The machine.
        machine: String,
    },
    /// There is room on a machine's disk again.
    DiskEmptied {
        /// The machine.
        machine: String,
    },
    /// A machine is back with another size.
    Resized {
        /// The machine.
        machine: String,
        /// Its cores.
        cores: u32,
        /// Its memory, in bytes.
        memory: u64,
    },
    /// labctl did something that a student could have typed.
    Did {
        /// The equivalent shell command.
        command: String,
    },
    /// A balancer took a server out of rotation.
    Ejected {
        /// The balancer.
        balancer: String,
        /// The server.
        upstream: String,
    },
    /// A balancer put a server into rotation.
    Admitted {
        /// The balancer.
        balancer: String,
        /// The server.
        upstream: String,
    },
    /// A balancer of a pair took over the shared address.
    TookOver {
        /// The balancer.
        balancer: String,
    },
    /// A balancer of a pair released the shared address.
    StoodDown {
        /// The balancer.
        balancer: String,
    },
    /// A balancer of a pair should take over the shared address, and cannot.
    TakeoverBlocked {
        /// The balancer.
        balancer: String,
    },
    /// A database node became the primary.
    BecamePrimary {
        /// The machine it is on.
        machine: String,
        /// The term of the election that it won.
        term: u64,
    },
    /// A database node is the primary no longer.
    SteppedDown {
        /// The machine it is on.
        machine: String,
        /// The term in which it had been the primary.
        term: u64,
    },
    /// A machine was taken off the lab's network.
    Disconnected {
        /// The machine.
        machine: String,
        /// The command that puts it back.
        back: String,
    },
    /// A machine is on the lab's network again.
    Connected {
        /// The machine.
        machine: String,
    },
    /// A machine is on the lab's network, but not with its own address.
    Elsewhere {
        /// The machine.
        machine: String,
        /// The address.
        address: String,
        /// The commands that give it its own address.
        back: String,
    },
    /// A link was changed.
    Link {
        /// The machine that connects.
        from: String,
        /// The machine at the other end.
        to: String,
        /// The link's new state: "slow by 2s", "cut", "healed".
        now: String,
    },
}

/// The cause of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hand {
    /// labctl, on purpose.
    Labctl,
    /// The machine itself, or the machine that the program ran on.
    Machine,
    /// Anything else: a student's `kill -9`, or a crash.
    SomebodyElse,
}

/// The lab's event log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Events {
    clock: Clock,
    written: Arc<Mutex<Vec<Event>>>,
    count: Arc<watch::Sender<usize>>,
}

/// The start of the lab, on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Monotonic clock, for measuring.
    pub origin: Instant,
    /// Wall clock, for people, and for events that other processes stamped.
    pub wall: SystemTime,
}

impl Clock {
    /// Starts the clock now.
    pub fn start() -> Self {
        Self { origin: Instant::now(), wall: SystemTime::now() }
    }

    /// Time since the start of the lab.
    pub fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Converts a timestamp in milliseconds since 1970 to lab time.
    pub fn of_unix_millis(&self, millis: u64) -> Duration {
        let stamp = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        stamp.duration_since(self.wall).unwrap_or_default()
    }
}

impl Events {
    /// Creates an empty log.
    pub fn new(clock: Clock) -> Self {
        Self { clock, written: Arc::default(), count: Arc::new(watch::Sender::new(0)) }
    }

    /// The clock that stamps the events.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Records an event that has just happened.
    pub fn record(&self, what: Happening) {
        self.record_at(self.clock.now(), what);
    }

    /// Records an event that another process stamped.
    pub fn record_at(&self, at: Duration, what: Happening) {
        self.written.lock().push(Event { at, what });
        self.count.send_modify(|count| *count += 1);
    }

    /// All events from number `first` on.
    pub fn since(&self, first: usize) -> Vec<Event> {
        self.written.lock().get(first..).unwrap_or_default().to_vec()
    }

    /// The number of events so far.
    pub fn count(&self) -> usize {
        self.written.lock().len()
    }

    /// Changes whenever an event is recorded; the value is the number of events.
    pub fn watch(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// Returns the first wanted event from number `first` on, as soon as there is one. `None` at the limit.
    pub async fn wait_for(
        &self,
        mut first: usize,
        limit: Duration,
        wanted: impl Fn(&Happening) -> bool,
    ) -> Option<Event> {
        let mut count = self.count.subscribe();
        let search = async {
            loop {
                let new = self.since(first);
                first += new.len();
                if let Some(event) = new.into_iter().find(|event| wanted(&event.what)) {
                    return event;
                }
                count.changed().await.expect("the sender lives as long as these events");
            }
        };
        timeout(limit, search).await.ok()
    }
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:7.3} s  {}", self.at.as_secs_f64(), self.what)
    }
}

impl fmt::Display for Happening {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MachineStarted { machine, pid } => {
                write!(formatter, "{machine} is switched on{}", Pid(*pid))
            }
            Self::MachineReady { machine } => write!(formatter, "{machine} is ready"),
            Self::MachineEnded { machine, pid, how, by } => {
                write!(formatter, "{machine}{} is gone: {how}{by}", Pid(*pid))
            }
            Self::OutOfMemory { machine, held, limit } => {
                let mib = |bytes: &u64| bytes >> 20;
                write!(formatter, "{machine} ran out of memory: {} of {} MiB held", mib(held), mib(limit))
            }
            Self::ProgramStarted { program, pid } => write!(formatter, "{program} is started (pid {pid})"),
            Self::ProgramEnded { program, pid, how, by } => {
                write!(formatter, "{program} (pid {pid}) is gone: {how}{by}")
            }
            Self::Frozen { name, by } => write!(formatter, "{name} is frozen{by}"),
            Self::Thawed { name, by } => write!(formatter, "{name} goes on{by}"),
            Self::DiskFull { machine } => write!(formatter, "there is no room left on {machine}'s disk"),
            Self::DiskEmptied { machine } => write!(formatter, "there is room on {machine}'s disk again"),
            Self::Resized { machine, cores, memory } => {
                let cores = if *cores == 1 { "1 core".into() } else { format!("{cores} cores") };
                write!(formatter, "{machine} resized: {cores}, {} MiB", memory >> 20)
            }
            Self::Did { command } => write!(formatter, "labctl did: {command}"),
            Self::Ejected { balancer, upstream } => write!(formatter, "{balancer} took {upstream} out"),
            Self::Admitted { balancer, upstream } => write!(formatter, "{balancer} took {upstream} in"),
            Self::TookOver { balancer } => write!(formatter, "{balancer} took the shared address over"),
            Self::StoodDown { balancer } => write!(formatter, "{balancer} gave the shared address up"),
            Self::TakeoverBlocked { balancer } => {
                write!(formatter, "{balancer} cannot take the shared address: it is still held")
            }
            Self::BecamePrimary { machine, term } => {
                write!(formatter, "{machine} is the primary of term {term}")
            }
            Self::SteppedDown { machine, term } => {
                write!(formatter, "{machine} is not the primary of term {term} any more")
            }
            Self::Disconnected { machine, back } => {
                write!(formatter, "{machine} is taken off the network; `{back}` puts it back")
            }
            Self::Connected { machine } => write!(formatter, "{machine} is on the network again"),
            Self::Elsewhere { machine, address, back } => write!(
                formatter,
                "{machine} is on the network as {address}, where nobody looks for it; `{back}` gives it its own address"
            ),
            Self::Link { from, to, now } => write!(formatter, "the link {from} to {to} is {now}"),
        }
    }
}

/// A process id in brackets, if it is known: there is none for what somebody else started.
struct Pid(u32);

impl fmt::Display for Pid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            pid => write!(formatter, " (pid {pid})"),
        }
    }
}

impl fmt::Display for Hand {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Labctl => ", by labctl",
            Self::Machine => ", with its machine",
            Self::SomebodyElse => ", not by labctl",
        })
    }
}

fn as_seconds<S: serde::Serializer>(at: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(at.as_secs_f64())
}
