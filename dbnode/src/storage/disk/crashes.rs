//! Crash tests: after each file system step, the power fails or the process is killed, and
//! everything acknowledged by then must be found again. And each step fails for lack of space or
//! descriptors, which must not stop the node.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use parking_lot::Mutex;
use tempfile::TempDir;

use super::files::Step;
use super::tests::{batch, put, some_entries, state};
use super::trial::Trial;
use super::{Disk, OpenError, open};
use crate::replication::disk::{Ballot, Batch, Installation};
use crate::replication::entry::Entry;
use crate::replication::state::State;
use crate::storage::{Failure, Storage};

/// What has been acknowledged to clients or confirmed to other nodes.
#[derive(Debug, Clone, Default)]
struct Acknowledged {
    /// True once the directory has been opened.
    opened: bool,
    life: u64,
    term: u64,
    /// The state as of the last acknowledged entry.
    state: State,
    /// The number of truncated writes that were kept aside.
    aside: usize,
}

/// What a crash left on disk, and what had been acknowledged before it.
struct Image {
    /// The step after which it crashed.
    after: String,
    directory: PathBuf,
    acknowledged: Acknowledged,
}

/// Does what a node does, and records what is acknowledged. Operations that fail for lack of a
/// resource are retried.
struct Story {
    disk: Disk,
    acknowledged: Arc<Mutex<Acknowledged>>,
    entries: Vec<Entry>,
    failures: usize,
}

impl Story {
    async fn begin(directory: &Path, acknowledged: &Arc<Mutex<Acknowledged>>) -> Self {
        let mut failures = 0;
        let (disk, recovered) = loop {
            match open(directory, "db-1", None).await {
                Ok(opened) => break opened,
                Err(error) => {
                    assert!(matches!(error, OpenError::Directory { .. }), "{error:?}");
                    failures += 1;
                    assert!(failures < 3, "{error:?}");
                }
            }
        };
        let mut known = acknowledged.lock();
        (known.opened, known.life) = (true, recovered.life);
        drop(known);
        Self { disk, acknowledged: Arc::clone(acknowledged), entries: recovered.entries, failures: 0 }
    }

    async fn persist(&mut self, batch: Batch) {
        while let Err(failure) = self.disk.persist(batch.clone()).await {
            self.may_be_tried_again(&failure);
        }
        if let Some(after) = batch.cut_after {
            self.entries.retain(|entry| entry.index <= after);
        }
        self.entries.extend(batch.entries.clone());
        let mut known = self.acknowledged.lock();
        known.term = batch.ballot.map_or(known.term, |ballot| ballot.term);
        known.aside += batch.cut_off.len();
        batch.entries.iter().filter(|_| batch.cut_after.is_none()).for_each(|entry| known.state.apply(entry));
    }

    async fn compact(&mut self, count: usize) {
        let compacted: Vec<_> = self.entries[..count].to_vec();
        while let Err(failure) = self.disk.compact(compacted.clone()).await {
            self.may_be_tried_again(&failure);
        }
        self.entries.drain(..count);
    }

    async fn install(&mut self, state: State, cut_off: Vec<Entry>) {
        let installation = Installation { state: state.clone().into(), cut_off: cut_off.clone() };
        while let Err(failure) = self.disk.install(installation.clone()).await {
            self.may_be_tried_again(&failure);
        }
        self.entries.clear();
        let mut known = self.acknowledged.lock();
        known.state = state;
        known.aside += cut_off.len();
    }

    fn may_be_tried_again(&mut self, failure: &Failure) {
        assert!(!matches!(failure, Failure::Broken(_)), "{failure:?}");
        self.failures += 1;
        assert!(self.failures < 9, "it fails again and again: {failure:?}");
    }
}

/// Performs every operation that a node asks of its disk.
async fn tell(directory: &Path, acknowledged: &Arc<Mutex<Acknowledged>>) -> Disk {
    let mut story = Story::begin(directory, acknowledged).await;
    let ballot = |term| Batch { ballot: Some(Ballot { term, voted_for: None }), ..Batch::default() };
    story.persist(ballot(1)).await;
    for entry in some_entries(4) {
        story.persist(batch(vec![entry])).await;
    }
    let tail = vec![put(5, "uncertain", "value"), put(6, "uncertain", "value")];
    // Written but not acknowledged: these entries are truncated.
    while let Err(failure) = story.disk.persist(batch(tail.clone())).await {
        story.may_be_tried_again(&failure);
    }
    let cut = Batch { cut_after: Some(4), cut_off: tail, ..ballot(2) };
    story.persist(cut).await;
    story.compact(2).await;
    story.persist(batch(vec![put(5, "next", "value")])).await;
    story.disk.close().await;
    let mut story = Story::begin(directory, acknowledged).await;
    story.persist(ballot(3)).await;
    let mut elsewhere = State::default();
    (1..=9).for_each(|index| elsewhere.apply(&put(index, &format!("other-{index}"), "value")));
    story.install(elsewhere, vec![put(5, "next", "value")]).await;
    story.persist(batch(vec![put(10, "after", "value")])).await;
    story.persist(batch(vec![put(11, "after", "value 2")])).await;
    story.compact(1).await;
    story.disk
}

/// Fills two segments, compacts them, and has them removed.
async fn fill_segments(disk: Disk, acknowledged: &Arc<Mutex<Acknowledged>>) {
    let first = acknowledged.lock().state.applied() + 1;
    let entries = vec![put(first - 1, "after", "value 2")];
    let mut story = Story { disk, acknowledged: Arc::clone(acknowledged), entries, failures: 0 };
    let large = "x".repeat(400 << 10);
    for index in first..first + 5 {
        story.persist(batch(vec![put(index, "large", &large)])).await;
    }
    story.compact(6).await;
    story.persist(batch(vec![put(first + 5, "last", "value")])).await;
    story.disk.close().await;
}

/// Takes images of what a crash would leave after each step.
#[derive(Clone, Default)]
struct Watch {
    acknowledged: Arc<Mutex<Acknowledged>>,
    images: Arc<Mutex<Vec<Image>>>,
}

impl Watch {
    fn over(&self, data: &Path, images: &Path) -> Arc<Trial> {
        let (watch, images) = (self.clone(), images.to_owned());
        let look = move |trial: &Trial, step: Step, path: &Path| {
            // These steps leave nothing that is ever read, and neither does a spare file.
            let says_nothing = matches!(step, Step::Open | Step::Allocate | Step::Resize);
            if !says_nothing && !path.ends_with("spare") && !path.ends_with("reserve") {
                watch.look(trial, &images, &format!("{step:?} of {}", path.display()));
            }
        };
        Trial::watched(data, Some(Box::new(look)))
    }

    fn look(&self, trial: &Trial, directory: &Path, step: &str) {
        let mut images = self.images.lock();
        let number = images.len();
        let image = |kind: &str| Image {
            after: format!("{kind} after {step}"),
            directory: directory.join(format!("{kind}-{number}")),
            acknowledged: self.acknowledged.lock().clone(),
        };
        let (power, kill) = (image("power failure"), image("kill"));
        trial.after_power_failure(&power.directory);
        trial.after_kill(&kill.directory);
        images.extend([power, kill]);
    }
}

/// Checks that a node that starts from the image has everything that was acknowledged.
async fn check(image: &Image) {
    let Image { after, directory, acknowledged } = image;
    let opened = open(directory, "db-1", None).await;
    let (disk, recovered) = opened.unwrap_or_else(|error| panic!("{after}: {error}"));
    assert!(recovered.life > acknowledged.life, "{after}: it lives the life {} again", recovered.life);
    assert!(recovered.ballot.term >= acknowledged.term, "{after}: the ballot is forgotten");
    let found = state(recovered);
    assert!(
        found.applied() >= acknowledged.state.applied(),
        "{after}: it ends with entry {}",
        found.applied()
    );
    for (key, record) in acknowledged.state.scan("", "") {
        let now = found.get(key.as_str());
        let newer = now.is_some_and(|now| now.version >= record.version);
        // An installed snapshot replaces everything.
        assert!(newer || found.get("other-1").is_some(), "{after}: {key:?} is {now:?}");
    }
    let aside = fs::read_to_string(directory.join("discarded.jsonl")).unwrap_or_default();
    assert!(aside.lines().count() >= acknowledged.aside, "{after}: what was cut off is not kept aside");
    disk.close().await;
}

#[tokio::test]
async fn whatever_step_a_crash_follows_what_was_acknowledged_is_found_again() {
    let (directory, images) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let data = directory.path().join("data");
    let watch = Watch::default();
    let trial = watch.over(&data, images.path());
    let disk = tell(&data, &watch.acknowledged).await;
    fill_segments(disk, &watch.acknowledged).await;
    drop(trial);
    let images = std::mem::take(&mut *watch.images.lock());
    assert!(images.len() > 80, "{} crashes are few", images.len());
    for image in images.iter().filter(|image| image.acknowledged.opened) {
        check(image).await;
    }
}

/// Runs the story on a disk where `count` steps fail from step `after` on, and restarts afterwards.
/// Returns the steps there were, and which one failed.
async fn tell_with(after: usize, count: usize, with: Errno) -> (Vec<Step>, Option<Step>) {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let trial = Trial::of(&data);
    trial.fail(after, count, with);
    let acknowledged = Arc::default();
    let disk = tell(&data, &acknowledged).await;
    let failed = trial.heal();
    disk.close().await;
    let what = format!("{with} at step {after}, {failed:?}");
    let (_, recovered) = open(&data, "db-1", None).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    let known = acknowledged.lock().clone();
    assert_eq!((recovered.ballot.term, recovered.life > known.life), (known.term, true), "{what}");
    assert_eq!(state(recovered), known.state, "{what}");
    let aside = fs::read_to_string(data.join("discarded.jsonl")).unwrap();
    assert_eq!(aside.lines().count(), known.aside, "{what}");
    (trial.steps().into_iter().map(|(step, _)| step).filter(|step| !is_sync(*step)).collect(), failed)
}

fn is_sync(step: Step) -> bool {
    matches!(step, Step::Sync | Step::SyncDirectory)
}

#[tokio::test]
async fn no_step_that_finds_no_room_or_no_descriptor_ends_the_node() {
    let (steps, _) = tell_with(usize::MAX, 0, Errno::ENOSPC).await;
    assert!(steps.len() > 40, "{} steps are few", steps.len());
    let mut failed = BTreeSet::new();
    for (after, step) in steps.iter().enumerate() {
        // A segment is zeroed in eight equal writes; testing one of them is enough.
        if *step == Step::Write && after > 0 && steps[after - 1] == Step::Write && after % 8 != 0 {
            continue;
        }
        let with = if *step == Step::Open { Errno::EMFILE } else { Errno::ENOSPC };
        let (_, which) = tell_with(after, 1, with).await;
        failed.extend(which.map(|step| format!("{step:?}")));
    }
    let kinds = ["Allocate", "Open", "Remove", "Rename", "Resize", "Write"];
    assert_eq!(failed, kinds.map(String::from).into());
}

#[tokio::test]
async fn the_snapshots_database_syncs_each_commit() {
    let directory = TempDir::new().unwrap();
    let (disk, _) = open(directory.path(), "db-1", None).await.unwrap();
    // 2 is FULL: with less, the write-ahead log is not synced by a commit.
    assert_eq!(disk.snapshot.lock().await.ask("PRAGMA synchronous").await, "2");
    assert_eq!(disk.snapshot.lock().await.ask("PRAGMA journal_mode").await, "wal");
    assert_eq!(disk.snapshot.lock().await.ask("PRAGMA wal_autocheckpoint").await, "0");
}
