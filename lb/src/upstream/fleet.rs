//! The upstreams together with their active health checks and events.

use std::sync::Arc;
use std::time::Duration;

use machine::names::Resolver;
use rand::RngExt;
use tokio_util::sync::CancellationToken;

use super::Address;
use super::health::Rules;
use super::prober::{self, Checks};
use super::table::{InitialState, NameTaken, PoolOptions, Table};
use crate::events::Events;
use crate::shortage::Shortages;

/// The upstreams, their checks and their events.
#[derive(Debug)]
pub struct Fleet {
    /// The table of upstreams.
    pub table: Arc<Table>,
    /// The event log.
    pub events: Arc<Events>,
    /// Shortages of local resources that checks have met.
    pub shortages: Arc<Shortages>,
    checks: Option<Checks>,
    over: CancellationToken,
}

impl Fleet {
    /// Creates an empty fleet, whose upstreams will be checked until `over`, unless checks are off.
    pub fn new(
        options: PoolOptions,
        checks: Option<Checks>,
        names: Resolver,
        over: CancellationToken,
    ) -> Self {
        let events = Arc::new(Events::default());
        let table = Arc::new(Table::new(options, Arc::clone(&events)).with_names(names));
        Self { table, events, shortages: Arc::default(), checks, over }
    }

    /// Adds an upstream that is known at startup. Its first check is delayed by a random time, so
    /// that the upstreams are not checked all at once, round after round.
    pub fn begin_with(&self, address: Address) -> Result<(), NameTaken> {
        let spread = self.checks.as_ref().map_or(Duration::ZERO, |checks| checks.interval / 10);
        self.take_in(address, InitialState::PresumedUp, spread.mul_f64(rand::rng().random::<f64>()))
    }

    /// Adds an upstream while requests flow. It is checked at once, and takes requests when that
    /// check has passed.
    pub fn join(&self, address: Address) -> Result<(), NameTaken> {
        self.take_in(address, InitialState::Unknown, Duration::ZERO)
    }

    fn take_in(&self, address: Address, initial: InitialState, delay: Duration) -> Result<(), NameTaken> {
        let Some(checks) = &self.checks else {
            self.table.add(address, InitialState::PresumedUp, Rules { fall: 1, rise: 1 })?;
            return Ok(());
        };
        let (upstream, removed) = self.table.add(address, initial, checks.rules)?;
        let (table, shortages) = (Arc::clone(&self.table), Arc::clone(&self.shortages));
        prober::watch(table, shortages, upstream, checks.clone(), delay, removed, self.over.clone());
        Ok(())
    }
}
