//! A node's own clock: it starts anywhere, and runs too fast or too slow. It never runs backwards.

use std::time::Duration;

use dbnode::replication::input::Moment;

/// A node's own clock, as a function of the world's.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    world: Duration,
    own: Duration,
    percent: u32,
}

impl Clock {
    /// A clock that is set at a moment of the world's.
    pub fn set(world: Duration, own: Duration) -> Self {
        Self { world, own, percent: 100 }
    }

    /// What it shows.
    pub fn show(&self, world: Duration) -> Moment {
        Moment(self.own + world.saturating_sub(self.world) * self.percent / 100)
    }

    /// How much time of the world's passes while this much passes on it.
    pub fn world_time(&self, own: Duration) -> Duration {
        own * 100 / self.percent
    }

    /// From now on it runs at this rate, in percent of the world's.
    pub fn run_at(&mut self, world: Duration, percent: u32) {
        let Moment(own) = self.show(world);
        *self = Self { world, own, percent };
    }
}
