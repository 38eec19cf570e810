//! Probes whether Redis can do what the shop needs, with a key beside those of the shop.

use ::redis::Script;
use ::redis::aio::MultiplexedConnection;
use futures_util::future::join_all;
use tokio::time::timeout;

use super::RESPONSE_LIMIT;
use super::failure::{Blame, Failure, judge};
use super::refusal::{Meaning, Refusal};
use super::writes::Probe;

/// The time between two probes.
pub(super) const PROBE_EVERY: std::time::Duration = std::time::Duration::from_millis(300);

/// Tries every command of the shop's scripts.
pub(super) struct Prober {
    script: Script,
    /// One key for each kind of keys that the shop has, because permissions may depend on the key.
    keys: Vec<String>,
}

impl Prober {
    pub(super) fn new(keys: Vec<String>) -> Self {
        Self { script: Script::new(include_str!("scripts/probe.lua")), keys }
    }

    pub(super) fn script(&self) -> Script {
        self.script.clone()
    }

    /// Returns what Redis refuses now; the error tells why the probe failed, and what that reveals
    /// about the connection.
    pub(super) async fn try_all(
        &self,
        connection: &MultiplexedConnection,
    ) -> Result<Probe, (Failure, Blame)> {
        let tried = join_all(self.keys.iter().map(|key| self.try_at(key, connection.clone())));
        let Ok(tried) = timeout(RESPONSE_LIMIT, tried).await else {
            return Err((Failure::Unanswered, Blame::Silent));
        };
        let mut worst = Probe { clock: 0, refused: None };
        for probe in tried {
            let Probe { clock, refused } = probe?;
            let is_full = |refusal: &Refusal| refusal.meaning == Meaning::Full;
            worst.clock = worst.clock.max(clock);
            if worst.refused.as_ref().is_none_or(is_full) {
                worst.refused = refused.or(worst.refused);
            }
        }
        Ok(worst)
    }

    async fn try_at(
        &self,
        key: &str,
        mut connection: MultiplexedConnection,
    ) -> Result<Probe, (Failure, Blame)> {
        let answer = self.script.key(key).invoke_async(&mut connection).await;
        let (clock, command, said): (u64, String, String) = match answer {
            Ok(answer) => answer,
            Err(error) => match judge(&error) {
                (Failure::Refused(refusal), Blame::None) => {
                    return Ok(Probe { clock: 0, refused: Some(refusal) });
                }
                other => return Err(other),
            },
        };
        if said.is_empty() {
            return Ok(Probe { clock, refused: None });
        }
        let refusal = Refusal::of_command(&command, &said);
        match refusal.meaning {
            Meaning::WrongServer => Err((Failure::Refused(refusal), Blame::Lost)),
            _ => Ok(Probe { clock, refused: Some(refusal) }),
        }
    }
}
