//! The upstreams with their checks: which ones there are, and what happened to them.

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

/// The upstreams, their checks, and what happened to them.
#[derive(Debug)]
pub struct Fleet {
    /// Who is there.
    pub table: Arc<Table>,
    /// What happened.
    pub events: Arc<Events>,
    /// What this side lacks, as checks have met it.
    pub shortages: Arc<Shortages>,
    checks: Option<Checks>,
    over: CancellationToken,
}

impl Fleet {
    /// An empty one, whose upstreams are checked in this way, if at all, until `over`.
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

    /// Takes in an upstream that was known at the start. Its checks begin a little later than the
    /// others', so that not all of them are checked in the same instant for ever.
    pub fn begin_with(&self, address: Address) -> Result<(), NameTaken> {
        let spread = self.checks.as_ref().map_or(Duration::ZERO, |checks| checks.interval / 10);
        self.take_in(address, InitialState::PresumedUp, spread.mul_f64(rand::rng().random::<f64>()))
    }

    /// Takes in an upstream while requests flow: it is checked at once, and takes requests when
    /// that check has passed.
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
