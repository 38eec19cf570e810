//! A node's own clock: it starts anywhere, and runs too fast or too slow, but never backwards.

use std::time::Duration;

use dbnode::replication::input::Moment;

/// A node's own clock, as a function of the world's time.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    world: Duration,
    own: Duration,
    percent: u32,
}

impl Clock {
    /// A clock that is set at this moment of the world's time.
    pub fn set(world: Duration, own: Duration) -> Self {
        Self { world, own, percent: 100 }
    }

    /// The time it shows.
    pub fn show(&self, world: Duration) -> Moment {
        Moment(self.own + world.saturating_sub(self.world) * self.percent / 100)
    }

    /// How much of the world's time passes during this much of its own.
    pub fn world_time(&self, own: Duration) -> Duration {
        own * 100 / self.percent
    }

    /// Changes its rate, in percent of the world's.
    pub fn run_at(&mut self, world: Duration, percent: u32) {
        let Moment(own) = self.show(world);
        *self = Self { world, own, percent };
    }
}
