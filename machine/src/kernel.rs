//! The event loop that owns a machine's model, its clock and its sockets.
//!
//! It uses threads, not async tasks: a grant is due at an exact time, and a thread that waits on a
//! channel with a timeout wakes within tens of microseconds, whereas an async timer rounds up to
//! the next millisecond.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::capacity::{Capacity, Completion, Demand, DiskFull, Moment, OutOfMemory, Ticket};
use crate::protocol::{FromMachine, ToMachine};
use crate::spec::MachineSpec;

/// A wake-up this late means that the machine was frozen (SIGSTOP), not that the host was busy.
const FROZEN: Duration = Duration::from_secs(1);

/// An input of the kernel.
#[derive(Debug)]
pub enum Input {
    /// A process opened a connection.
    Joined(u64, Sender<FromMachine>),
    /// A process sent a request, at this time.
    Said(u64, Instant, ToMachine),
    /// A process closed its connection, or died.
    Left(u64),
    /// The last process has exited, so the machine has nothing left to do.
    Off,
}

/// Why a kernel ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ending {
    /// A process asked for more memory than there is.
    OutOfMemory(OutOfMemory),
    /// It was switched off.
    Off,
}

/// Accepts connections from processes. Each connection has one thread to read it and one to write
/// it, so a process that stops reading does not hold up the others.
pub fn listen(listener: UnixListener, inputs: Sender<Input>) {
    thread::spawn(move || {
        for (connection, stream) in (1..).zip(listener.incoming()) {
            let Ok(stream) = stream else { continue };
            if let Err(error) = join(connection, stream, inputs.clone()) {
                tracing::warn!(%error, "a process could not join the machine");
            }
        }
    });
}

fn join(connection: u64, stream: UnixStream, inputs: Sender<Input>) -> std::io::Result<()> {
    let writer = stream.try_clone()?;
    let (answers, outbox) = mpsc::channel();
    thread::spawn(move || write_answers(writer, &outbox));
    // The kernel may have ended; then the machine is about to exit.
    let _ = inputs.send(Input::Joined(connection, answers));
    thread::spawn(move || {
        read_requests(connection, stream, &inputs);
        let _ = inputs.send(Input::Left(connection));
    });
    Ok(())
}

fn read_requests(connection: u64, stream: UnixStream, inputs: &Sender<Input>) {
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        let Ok(request) = serde_json::from_str(&line) else {
            tracing::warn!(line, "a process sent an unknown request; closing its connection");
            return;
        };
        if inputs.send(Input::Said(connection, Instant::now(), request)).is_err() {
            return;
        }
    }
}

fn write_answers(stream: UnixStream, outbox: &Receiver<FromMachine>) {
    let mut writer = BufWriter::new(stream);
    while let Ok(first) = outbox.recv() {
        for answer in std::iter::once(first).chain(outbox.try_iter()) {
            let line = serde_json::to_string(&answer).expect("numbers always serialize");
            if writeln!(writer, "{line}").is_err() {
                return;
            }
        }
        if writer.flush().is_err() {
            return;
        }
    }
}

/// The state of a running machine.
struct Kernel {
    capacity: Capacity,
    connections: HashMap<u64, Sender<FromMachine>>,
    switched_on: Instant,
    late_max: Duration,
}

/// Runs a machine until it dies or is switched off.
pub fn run(spec: &MachineSpec, inputs: &Receiver<Input>) -> Ending {
    let mut kernel = Kernel {
        capacity: Capacity::new(spec),
        connections: HashMap::new(),
        switched_on: Instant::now(),
        late_max: Duration::ZERO,
    };
    loop {
        let input = match kernel.wait(inputs) {
            Ok(input) => input,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return Ending::Off,
        };
        match input {
            Input::Joined(connection, answers) => {
                kernel.connections.insert(connection, answers);
            }
            Input::Left(connection) => {
                kernel.connections.remove(&connection);
                kernel.capacity.forget(connection);
            }
            Input::Said(connection, at, request) => {
                if let Err(out_of_memory) = kernel.hear(connection, at, request) {
                    return Ending::OutOfMemory(out_of_memory);
                }
            }
            Input::Off => return Ending::Off,
        }
    }
}

impl Kernel {
    /// Returns the next input, or a timeout, after granting what was due.
    fn wait(&mut self, inputs: &Receiver<Input>) -> Result<Input, RecvTimeoutError> {
        let Some(due) = self.capacity.next_completion() else {
            return inputs.recv().map_err(|_| RecvTimeoutError::Disconnected);
        };
        let input = inputs.recv_timeout(due.saturating_sub(self.now()));
        self.make_up_for_a_freeze(due);
        self.grant_due(self.now());
        input
    }

    fn now(&self) -> Moment {
        self.switched_on.elapsed()
    }

    fn hear(&mut self, connection: u64, at: Instant, request: ToMachine) -> Result<(), OutOfMemory> {
        let ticket = |request| Ticket { connection, request };
        match request {
            ToMachine::Cpu { id, nanos } => {
                self.submit(at, ticket(id), Demand::Cpu(Duration::from_nanos(nanos)));
            }
            ToMachine::Write { id, operations } => self.submit(at, ticket(id), Demand::Write(operations)),
            ToMachine::Page { id, page } => self.submit(at, ticket(id), Demand::Page(page)),
            ToMachine::Warm { from, to } => self.capacity.warm(from..to),
            ToMachine::Hold { bytes } => self.capacity.hold(connection, bytes)?,
            ToMachine::Usage { id } => {
                let late_micros_max = u64::try_from(self.late_max.as_micros()).unwrap_or(u64::MAX);
                self.late_max = Duration::ZERO;
                let usage = self.capacity.usage();
                self.answer(connection, FromMachine::Usage { id, usage, late_micros_max });
            }
            ToMachine::Fill { id, full } => {
                self.capacity.fill_disk(full);
                self.answer(connection, FromMachine::Granted { id });
            }
        }
        Ok(())
    }

    /// Work begins when it was requested, not when the kernel got to it.
    fn submit(&mut self, asked: Instant, ticket: Ticket, demand: Demand) {
        let at = asked.saturating_duration_since(self.switched_on);
        self.grant_due(at);
        match self.capacity.submit(at, ticket, demand) {
            Ok(Some(done)) => self.grant(done),
            Ok(None) => {}
            Err(DiskFull) => self.answer(ticket.connection, FromMachine::DiskFull { id: ticket.request }),
        }
    }

    fn grant_due(&mut self, now: Moment) {
        for completion in self.capacity.advance(now) {
            self.late_max = self.late_max.max(self.now().saturating_sub(completion.at));
            self.grant(completion);
        }
    }

    fn grant(&self, completion: Completion) {
        let Ticket { connection, request } = completion.ticket;
        self.answer(connection, FromMachine::Granted { id: request });
    }

    fn answer(&self, connection: u64, answer: FromMachine) {
        if let Some(answers) = self.connections.get(&connection) {
            // If the process is gone, `Input::Left` will follow.
            let _ = answers.send(answer);
        }
    }

    /// A frozen machine did no work, so its clock is set back by that time.
    fn make_up_for_a_freeze(&mut self, due: Moment) {
        let late = self.now().saturating_sub(due);
        self.late_max = self.late_max.max(late);
        if late > FROZEN {
            self.switched_on += late;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(connection: u64, request: ToMachine) -> Input {
        Input::Said(connection, Instant::now(), request)
    }

    #[test]
    fn work_is_granted_when_it_has_been_done() {
        let (inputs, inbox) = mpsc::channel();
        let (answers, outbox) = mpsc::channel();
        let started = Instant::now();
        inputs.send(Input::Joined(1, answers)).unwrap();
        inputs.send(said(1, ToMachine::Cpu { id: 7, nanos: 20_000_000 })).unwrap();
        inputs.send(said(1, ToMachine::Cpu { id: 8, nanos: 20_000_000 })).unwrap();
        let kernel = thread::spawn(move || run(&MachineSpec::default(), &inbox));
        assert_eq!(outbox.recv_timeout(Duration::from_secs(5)), Ok(FromMachine::Granted { id: 7 }));
        assert_eq!(outbox.recv_timeout(Duration::from_secs(5)), Ok(FromMachine::Granted { id: 8 }));
        assert!(started.elapsed() >= Duration::from_millis(40), "granted early: {:?}", started.elapsed());
        inputs.send(Input::Off).unwrap();
        assert_eq!(kernel.join().unwrap(), Ending::Off);
    }

    #[test]
    fn a_full_disk_refuses_writes_and_is_read_until_it_is_emptied() {
        let (inputs, inbox) = mpsc::channel();
        let (answers, outbox) = mpsc::channel();
        inputs.send(Input::Joined(1, answers)).unwrap();
        let kernel = thread::spawn(move || run(&MachineSpec::default(), &inbox));
        let answer = |request| {
            inputs.send(said(1, request)).unwrap();
            outbox.recv_timeout(Duration::from_secs(5)).unwrap()
        };
        assert_eq!(answer(ToMachine::Write { id: 1, operations: 1 }), FromMachine::Granted { id: 1 });
        assert_eq!(answer(ToMachine::Fill { id: 2, full: true }), FromMachine::Granted { id: 2 });
        assert_eq!(answer(ToMachine::Write { id: 3, operations: 1 }), FromMachine::DiskFull { id: 3 });
        assert_eq!(answer(ToMachine::Write { id: 4, operations: 0 }), FromMachine::DiskFull { id: 4 });
        assert_eq!(answer(ToMachine::Page { id: 5, page: 7 }), FromMachine::Granted { id: 5 });
        assert_eq!(answer(ToMachine::Fill { id: 6, full: false }), FromMachine::Granted { id: 6 });
        assert_eq!(answer(ToMachine::Write { id: 7, operations: 0 }), FromMachine::Granted { id: 7 });
        inputs.send(Input::Off).unwrap();
        assert_eq!(kernel.join().unwrap(), Ending::Off);
    }

    #[test]
    fn a_machine_dies_when_more_is_held_than_there_is() {
        let (inputs, inbox) = mpsc::channel();
        let limit = MachineSpec::default().memory.as_u64();
        inputs.send(said(1, ToMachine::Hold { bytes: 1 })).unwrap();
        inputs.send(said(2, ToMachine::Hold { bytes: limit.cast_signed() })).unwrap();
        let died = OutOfMemory { held: 1, limit, asked: limit };
        assert_eq!(run(&MachineSpec::default(), &inbox), Ending::OutOfMemory(died));
    }
}
