//! The snapshot: the records as of some entry, and the named writes up to it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::{Connection, Executor};

use super::about::{self, About};
use super::database::Database;
use super::error::OpenError;
use super::tables::{self, TABLES};
use crate::replication::entry::{Change, Entry, Place, Write};
use crate::replication::key::Key;
use crate::replication::state::State;

/// What the snapshot says about itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct AboutSnapshot {
    #[serde(flatten)]
    about: About,
    /// The last entry it contains, and that entry's term.
    folded: u64,
    term: u64,
    /// How many pages of data there have been.
    pages: u64,
}

/// The snapshot's database.
#[derive(Debug)]
pub(super) struct SnapshotFile {
    database: Database,
    about: Option<AboutSnapshot>,
}

impl SnapshotFile {
    pub(super) async fn open(mut database: Database, id: &str) -> Result<Self, OpenError> {
        let about = about::read(&mut database, id).await?;
        Ok(Self { database, about })
    }

    /// There is nothing in it.
    pub(super) fn is_new(&self) -> bool {
        self.about.is_none()
    }

    pub(super) fn about(&self) -> &About {
        &self.known().about
    }

    pub(super) fn damaged(&self, what: &str) -> OpenError {
        self.database.damaged(what)
    }

    /// Makes the tables and fills them.
    pub(super) async fn create(&mut self, about: &About, state: &State) -> Result<(), OpenError> {
        let (folded, term, pages) = (state.applied(), state.place().term, state.pages());
        let about = AboutSnapshot { about: about.clone(), folded, term, pages };
        self.write_first(about, state).await.map_err(|error| self.database.error(error))
    }

    /// All in one step: whoever is killed meanwhile begins again.
    async fn write_first(&mut self, about: AboutSnapshot, state: &State) -> Result<(), sqlx::Error> {
        let mut transaction = self.database.connection.begin_with("BEGIN IMMEDIATE").await?;
        for table in TABLES {
            transaction.execute(table).await?;
        }
        let records: Vec<_> = state.scan("", "").collect();
        tables::put_records(&mut transaction, &records).await?;
        about::write(&mut transaction, &about).await?;
        transaction.commit().await?;
        self.about = Some(about);
        Ok(())
    }

    /// Everything in it, checked.
    pub(super) async fn read(&mut self) -> Result<State, OpenError> {
        let records = tables::read_records(&mut self.database).await?;
        let requests = tables::read_requests(&mut self.database).await?;
        let AboutSnapshot { folded, term, pages, .. } = *self.known();
        Ok(State::recovered(records, requests, Place { term, index: folded }, pages, None))
    }

    fn known(&self) -> &AboutSnapshot {
        self.about.as_ref().expect("a snapshot is created before it is used")
    }

    /// Brings the snapshot forward by these entries, which follow it.
    pub(super) async fn fold(&mut self, entries: &[Entry]) -> Result<(), sqlx::Error> {
        let about = self.known().after(entries);
        let mut newest: BTreeMap<&Key, &Entry> = BTreeMap::new();
        let mut requests = Vec::new();
        for entry in entries {
            let Some(write) = entry.write() else { continue };
            newest.insert(&write.key, entry);
            requests.extend(write.request.as_ref().map(|request| (entry.version().0, request)));
        }
        let mut transaction = self.database.connection.begin_with("BEGIN IMMEDIATE").await?;
        tables::apply(&mut transaction, &newest).await?;
        tables::put_requests(&mut transaction, &requests).await?;
        about::write(&mut transaction, &about).await?;
        transaction.commit().await?;
        self.about = Some(about);
        self.database.checkpoint().await
    }

    pub(super) async fn close(self) {
        self.database.close().await;
    }
}

impl AboutSnapshot {
    fn after(&self, entries: &[Entry]) -> Self {
        let mut about = self.clone();
        for entry in entries {
            (about.folded, about.term) = (entry.index, entry.term);
            if let Some(Write { change: Change::Put { page, .. }, .. }) = entry.write() {
                about.pages = about.pages.max(page + 1);
            }
        }
        about
    }
}
