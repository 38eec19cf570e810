//! The interface that both kinds of grade implement: starting the programs of a stage, acting on them, and collecting
//! what they leave behind.

use std::path::Path;
use std::time::Duration;

use crate::act::Stop;
use crate::field::Place;
use crate::stage::Stage;

/// What a stage leaves behind for debugging.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traces {
    /// The equivalent commands of all acts.
    pub did: Vec<String>,
    /// The end of the part's output.
    pub said: String,
}

/// The programs of one stage. Dropping it kills whatever is still running.
pub(crate) trait Ground: Sized {
    /// One act of a stage.
    type Act;

    /// Starts a stage's programs, including the part. The inner error says what the part did wrong.
    async fn start(
        place: &Place,
        number: usize,
        stage: &Stage<Self::Act>,
        program: &Path,
    ) -> anyhow::Result<Result<Self, (String, Self)>>;

    /// Carries out a stage until an expectation is not met.
    async fn carry_out(&mut self, number: usize, stage: &Stage<Self::Act>) -> Option<Stop>;

    /// Returns the acts so far, and the part's output.
    fn traces(&self) -> Traces;

    /// Returns how long the part has waited for a core.
    fn waited(&self) -> Duration;

    /// Kills all programs, and waits until they are gone.
    async fn end(&mut self);
}

/// Combines the result of an act with the part's own misbehaviour, which explains a failure that it caused.
pub(crate) fn explained(done: Result<(), Stop>, own: Option<String>) -> Option<Stop> {
    match (done, own) {
        (Ok(()), None) => None,
        (Ok(()), Some(own)) => Some(Stop::Wrong(own)),
        (Err(Stop::Failed(sentence) | Stop::Wrong(sentence)), Some(own)) => {
            Some(Stop::Wrong(format!("{own}; what was seen: {sentence}")))
        }
        (Err(stop), _) => Some(stop),
    }
}
