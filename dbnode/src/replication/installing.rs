//! Installing a snapshot received from the primary, in place of the local state and log.

#![deny(clippy::disallowed_methods)]

use std::sync::Arc;

use super::Core;
use super::disk::Installation;
use super::disk_state::DiskState;
use super::effect::Effect;
use super::entry::Entry;
use super::log::Log;
use super::member::Name;
use super::message::Message;
use super::snapshot::Receipt;
use super::state::State;

/// A snapshot that will replace the state and the log.
#[derive(Debug)]
pub(super) struct Installing {
    installation: Installation,
    /// The primary that sent the snapshot, and the confirmation it waits for.
    receipt: Option<(Name, Receipt)>,
    /// True once the snapshot has been given to the disk.
    begun: bool,
}

impl DiskState {
    /// Installs a snapshot as soon as the disk is free.
    fn install(&mut self, installation: Installation, receipt: Option<(Name, Receipt)>) {
        self.installing = Some(Installing { installation, receipt, begun: false });
    }

    /// Gives the snapshot to the disk, which must not be compacting meanwhile.
    pub(super) fn begin_installing(&mut self) -> Option<Effect> {
        let installing = self.installing.as_mut().filter(|it| !it.begun)?;
        if self.compaction.is_in_progress() {
            return None;
        }
        installing.begun = true;
        Some(Effect::Install(installing.installation.clone()))
    }
}

impl Core {
    /// Installs a snapshot as soon as the disk is free.
    pub(super) fn install(&mut self, from: Name, receipt: Receipt, state: State) {
        let cut_off = self.missing_in(&state);
        let installation = Installation { state: Arc::new(state), cut_off };
        self.disk.install(installation, Some((from, receipt)));
    }

    /// Starts over with an empty state as soon as the disk is free.
    pub(super) fn install_nothing(&mut self) {
        let installation = Installation { state: Arc::default(), cut_off: Vec::new() };
        self.disk.install(installation, None);
    }

    /// The writes in this log that are not known to be in a snapshot: those after the last one that
    /// is. Everything before that one is in the snapshot, too (the Log Matching property).
    fn missing_in(&self, state: &State) -> Vec<Entry> {
        let is_there = |entry: &Entry| {
            let write = entry.write()?;
            let record = state.get(write.key.as_str()).map(|record| record.version);
            let request = write.request.as_ref().and_then(|request| state.requests().get(&request.id));
            let known = [record, request.map(|request| request.written.version)];
            known.contains(&Some(entry.version())).then_some(())
        };
        let log = (self.log.committed() + 1..=self.log.last()).rev().map_while(|index| self.log.get(index));
        let mut missing: Vec<_> = log.take_while(|entry| is_there(entry).is_none()).cloned().collect();
        missing.retain(|entry| entry.write().is_some());
        missing.reverse();
        missing
    }

    /// Handles a snapshot that has replaced the state and the log.
    pub(super) fn on_installed(&mut self, effects: &mut Vec<Effect>) {
        let Some(Installing { installation, receipt, .. }) = self.disk.installing.take() else { return };
        let Installation { state, cut_off } = installation;
        let place = state.log_id();
        self.discarded.kept_aside(&cut_off);
        self.applied.replaced_by_snapshot(Arc::unwrap_or_clone(state));
        match receipt {
            Some(_) => self.log.replaced_by_snapshot(place),
            None => self.log = Log::recovered(place, Vec::new(), 0),
        }
        self.forget_earlier_starts();
        self.show();
        if let Some((from, receipt)) = receipt {
            self.send(&from, Message::InstallSnapshotResponse(receipt), effects);
        }
    }

    /// Handles a snapshot that was not installed because the disk is full.
    pub(super) fn on_not_installed(&mut self, effects: &mut Vec<Effect>) {
        self.disk.installing = None;
        for name in self.setup.others() {
            self.send(&name, Message::NoRoom, effects);
        }
    }
}
