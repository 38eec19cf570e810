//! The simulated clients: each performs one operation after the other, tries node after node until
//! one accepts it, and records the outcome.

use std::time::Duration;

use bytes::Bytes;
use dbclient::Condition;
use dbnode::replication::effect::RejectReason;
use dbnode::replication::input;
use dbnode::replication::key::Key;
use history::{Answer, At, Operation, Outcome, Read};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// How long a client retries with the same request id; request ids are remembered longer than that.
const ASKS_AGAIN: Duration = Duration::from_millis(1_700);

/// How many nodes a client asks before it gives up.
const TRIES: u32 = 4;

/// One attempt at an operation; answers to earlier attempts are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt {
    /// The client that made it.
    pub client: usize,
    /// Its number, counted over all operations of the client.
    pub number: u64,
}

/// A node's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The operation succeeded.
    Done(Answer),
    /// The operation failed, or its outcome is unknown.
    Refused(RejectReason),
    /// The connection was refused; the request was not sent.
    NobodyThere,
    /// The connection broke after the request was sent.
    Reset,
}

/// A simulated client.
#[derive(Debug)]
pub struct Client {
    id: usize,
    /// The node it asks first.
    believed: usize,
    attempts: u64,
    operations: u64,
    tries: u32,
    asked: Option<Operation>,
    /// A write with a request id whose outcome is unknown, to be retried, and when it was first
    /// sent.
    again: Option<(Duration, Operation)>,
    /// When the current operation was first sent.
    first_asked: Duration,
}

impl Client {
    /// A client that has not sent anything yet.
    pub fn new(id: usize) -> Self {
        Self {
            id,
            believed: id,
            attempts: 0,
            operations: 0,
            tries: 0,
            asked: None,
            again: None,
            first_asked: Duration::ZERO,
        }
    }

    /// Begins an operation, and returns the node to ask.
    pub fn begin(&mut self, now: Duration, nodes: usize, dice: &mut ChaCha8Rng) -> usize {
        self.operations += 1;
        self.tries = 0;
        let invoked_at = at(now);
        let again = self.again.take().filter(|(first, _)| dice.random() && now < *first + ASKS_AGAIN);
        let (first_asked, operation) = again.unwrap_or_else(|| (now, self.new_operation(dice)));
        self.first_asked = first_asked;
        self.asked = Some(Operation { invoked_at, returned_at: None, ..operation });
        self.believed %= nodes;
        if dice.random_range(0..4) == 0 { dice.random_range(0..nodes) } else { self.believed }
    }

    fn new_operation(&self, dice: &mut ChaCha8Rng) -> Operation {
        use history::Action;
        let value = format!("{}.{}", self.id, self.operations);
        let (key, action) = match dice.random_range(0..100) {
            0..45 => {
                (*pick(&["register-1", "register-2", "counter"], dice), Action::Get { read: Read::Latest })
            }
            45..70 => (*pick(&["register-1", "register-2"], dice), Action::Put { value: value.clone() }),
            70..75 => (*pick(&["register-1", "register-2"], dice), Action::Delete),
            _ => ("counter", Action::Add { by: 1 + i64::from(dice.random::<bool>()) }),
        };
        let is_write = !matches!(action, Action::Get { .. });
        Operation {
            session: format!("client-{}", self.id),
            key: key.into(),
            action,
            request: (is_write && dice.random()).then(|| format!("request-{value}")),
            node: None,
            invoked_at: At(0),
            returned_at: None,
            outcome: Outcome::Unknown("still waiting".into()),
        }
    }

    /// Begins the next attempt; returns it with its deadline.
    pub fn attempt(&mut self, now: Duration) -> (Attempt, Duration) {
        self.attempts += 1;
        self.tries += 1;
        (Attempt { client: self.id, number: self.attempts }, now + PATIENCE)
    }

    /// The current operation.
    pub fn asked(&self) -> Option<&Operation> {
        self.asked.as_ref()
    }

    /// True if the client waits for this attempt.
    pub fn waits_for(&self, attempt: Attempt) -> bool {
        self.asked.is_some() && self.attempts == attempt.number
    }

    /// Handles an answer. Returns the node to ask next and the pause before that, or the operation
    /// if it is over.
    pub fn hear(
        &mut self,
        now: Duration,
        from: usize,
        reply: Reply,
        names: &[dbnode::replication::member::Name],
        dice: &mut ChaCha8Rng,
    ) -> Result<(usize, Duration), Box<Operation>> {
        let outcome = match reply {
            Reply::Done(answer) => {
                self.believed = from;
                Outcome::Ok(answer)
            }
            Reply::Reset => Outcome::Unknown("the connection broke".into()),
            Reply::Refused(refusal @ RejectReason::OutcomeUnknown) => Outcome::Unknown(refusal.to_string()),
            Reply::Refused(RejectReason::NotPrimary(name)) if self.tries < TRIES => {
                self.believed = names.iter().position(|other| *other == name).unwrap_or(from);
                return Ok((self.believed, Duration::ZERO));
            }
            Reply::NobodyThere | Reply::Refused(_) if self.tries < TRIES => {
                let pause = Duration::from_millis(dice.random_range(5..100));
                return Ok((dice.random_range(0..names.len()), pause));
            }
            Reply::NobodyThere => Outcome::Failed("nobody listens there".into()),
            Reply::Refused(refusal) => Outcome::Failed(refusal.to_string()),
        };
        Err(Box::new(self.finish(now, names.get(from).map(ToString::to_string), outcome)))
    }

    /// Ends the operation after its deadline.
    pub fn give_up(&mut self, now: Duration) -> Operation {
        self.finish(now, None, Outcome::Unknown("no answer in time".into()))
    }

    fn finish(&mut self, now: Duration, node: Option<String>, outcome: Outcome) -> Operation {
        let asked = self.asked.take().expect("only what was asked can be over");
        let over = Operation { returned_at: Some(at(now)), node, outcome, ..asked };
        if matches!(over.outcome, Outcome::Unknown(_)) && over.request.is_some() {
            self.again = Some((self.first_asked, over.clone()));
        }
        over
    }
}

/// The write that a node is asked for; `None` for a read.
pub fn write(operation: &Operation) -> Option<input::Write> {
    let action = match &operation.action {
        history::Action::Put { value } => input::Action::Put(Bytes::from(value.clone())),
        history::Action::Add { by } => input::Action::Add(*by),
        history::Action::Delete => input::Action::Delete,
        history::Action::Get { .. } => return None,
    };
    let key = Key::new(&operation.key).expect("the clients' keys are keys");
    let request = operation.request.as_deref().map(Into::into);
    Some(input::Write { key, action, condition: Condition::Always, request })
}

/// The world's time, as recorded in a history.
pub fn at(now: Duration) -> At {
    At(u64::try_from(now.as_nanos()).expect("a simulation lasts less than centuries"))
}

fn pick<'a, T>(some: &'a [T], dice: &mut ChaCha8Rng) -> &'a T {
    &some[dice.random_range(0..some.len())]
}
