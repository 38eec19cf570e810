//! What every kind of grade has: programs that are started for a stage, what is done with them, and what is left of it.

use std::path::Path;
use std::time::Duration;

use crate::act::Stop;
use crate::field::Place;
use crate::stage::Stage;

/// What a stage leaves for whoever looks into it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traces {
    /// What was done, as somebody could type it.
    pub did: Vec<String>,
    /// The end of what the part printed.
    pub said: String,
}

/// One stage's programs. Whatever is still there is killed when this is dropped.
pub(crate) trait Ground: Sized {
    /// One thing that a stage does.
    type Act;

    /// Starts a stage's programs, the part among them. The inner error is what the part did wrong.
    async fn start(
        place: &Place,
        number: usize,
        stage: &Stage<Self::Act>,
        program: &Path,
    ) -> anyhow::Result<Result<Self, (String, Self)>>;

    /// Does what a stage does, until something is not as wanted.
    async fn carry_out(&mut self, number: usize, stage: &Stage<Self::Act>) -> Option<Stop>;

    /// What was done, and what the part said.
    fn traces(&self) -> Traces;

    /// How long the part has waited for cores.
    fn waited(&self) -> Duration;

    /// Kills everything, and waits until it is gone.
    async fn end(&mut self);
}

/// Joins what an act came to with what the part did by itself, which explains what was missed because of it.
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
