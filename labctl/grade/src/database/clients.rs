//! Clients that read and write the same records through all nodes, and record a history of operations and responses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use history::{Action, Answer, At, History, Operation, Outcome, Read};
use parking_lot::Mutex;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::act::sum;
use super::call::{Call, Caller, Ended};
use super::writers::next_value;

/// Timeout of an operation. If it takes longer, its outcome is unknown.
const OPERATION_MAX: Duration = Duration::from_millis(1000);
/// The pause of a client between two operations.
const REST: Duration = Duration::from_millis(10);
/// How long the same records are used: the cost of judging grows with the number of operations on a record.
const ROUND: Duration = Duration::from_millis(500);
/// Timeout of the final reads.
const LAST_READ_MAX: Duration = Duration::from_secs(3);

/// Background operations for the linearizability check.
#[derive(Debug)]
pub(super) struct Clients {
    begin: Instant,
    ends: Arc<AtomicBool>,
    operations: Arc<Mutex<Vec<Operation>>>,
    tasks: JoinSet<()>,
}

struct Client {
    number: usize,
    /// The logical process (Jepsen): a client whose operation may still take effect continues as a new one.
    life: usize,
    dice: ChaCha8Rng,
    caller: Caller,
    records: usize,
    nodes: usize,
    begin: Instant,
}

impl Clients {
    /// Starts the clients.
    pub(super) fn start(count: usize, records: usize, nodes: &Arc<[SocketAddr]>) -> Self {
        let mut clients = Self {
            begin: Instant::now(),
            ends: Arc::default(),
            operations: Arc::default(),
            tasks: JoinSet::new(),
        };
        for number in 0..count {
            let mut client = Client {
                number,
                life: 0,
                dice: ChaCha8Rng::seed_from_u64(number as u64),
                caller: Caller::new(Arc::clone(nodes), number),
                records,
                nodes: nodes.len(),
                begin: clients.begin,
            };
            let (ends, operations) = (Arc::clone(&clients.ends), Arc::clone(&clients.operations));
            clients.tasks.spawn(async move {
                while !ends.load(Ordering::Acquire) {
                    let operation = client.act().await;
                    operations.lock().push(operation);
                    sleep(REST).await;
                }
            });
        }
        clients
    }

    /// Stops the clients, reads every record once more, and returns the recorded history.
    pub(super) async fn finish(mut self, caller: &mut Caller) -> History {
        self.ends.store(true, Ordering::Release);
        while self.tasks.join_next().await.is_some() {}
        let mut history = History::new(std::mem::take(&mut *self.operations.lock()));
        let keys: Vec<_> = history.by_key().into_keys().map(str::to_owned).collect();
        let deadline = Instant::now() + LAST_READ_MAX;
        for key in keys {
            if Instant::now() > deadline {
                break;
            }
            let action = Action::Get { read: Read::Latest };
            history.operations.push(operate("the end", &key, action, caller, self.begin).await);
        }
        history
    }
}

impl Client {
    async fn act(&mut self) -> Operation {
        let round = self.begin.elapsed().as_millis() / ROUND.as_millis();
        let record = self.dice.random_range(0..self.records);
        let chance = self.dice.random_range(0..100);
        // Half of the records are counters; the others are registers whose values are all distinct.
        let is_number = record % 2 == 1;
        let action = match chance {
            0..50 => Action::Get { read: Read::Latest },
            50..55 => Action::Delete,
            _ if is_number => Action::Add { by: 1 },
            _ => Action::Put { value: next_value() },
        };
        if self.dice.random_bool(0.5) {
            self.caller.move_to(self.dice.random_range(0..self.nodes));
        }
        let (session, key) = (format!("{}.{}", self.number, self.life), format!("r-{round}-{record}"));
        let operation = operate(&session, &key, action, &mut self.caller, self.begin).await;
        if matches!(operation.outcome, Outcome::Unknown(_)) {
            self.life += 1;
        }
        operation
    }
}

async fn operate(session: &str, key: &str, action: Action, caller: &mut Caller, begin: Instant) -> Operation {
    let call = match &action {
        Action::Get { .. } => Call::get(key),
        Action::Put { value } => Call::put(key, value),
        Action::Delete => Call::delete(key),
        Action::Add { by } => Call::add(key, *by),
    };
    let now = || At(u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX));
    let invoked_at = now();
    let ended = caller.call(&call, OPERATION_MAX).await;
    let outcome = outcome(&action, ended);
    Operation {
        session: session.to_owned(),
        key: key.to_owned(),
        returned_at: matches!(outcome, Outcome::Ok(_)).then(now),
        action,
        request: None,
        node: None,
        invoked_at,
        outcome,
    }
}

fn outcome(action: &Action, ended: Ended) -> Outcome {
    let answered = match ended {
        Ended::Done(answered, _) => answered,
        Ended::Refused(why) => return Outcome::Failed(why),
        Ended::Unknown(why) => return Outcome::Unknown(why),
    };
    match action {
        Action::Get { .. } if answered.status == 404 => Outcome::Ok(Answer::Absent),
        Action::Get { .. } => {
            let value = String::from_utf8_lossy(&answered.body).into_owned();
            Outcome::Ok(Answer::Found { value, version: None })
        }
        Action::Put { .. } | Action::Delete => Outcome::Ok(Answer::Done { version: None }),
        Action::Add { .. } => match sum(&answered) {
            Some(value) => Outcome::Ok(Answer::Sum { value, version: None }),
            None => Outcome::Unknown("the answer has no value".into()),
        },
    }
}
