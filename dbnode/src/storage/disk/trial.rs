//! A test file system for the files of one directory: steps fail, and the power is cut.
//!
//! The simulated disk is as strict as a file system may be. After a power failure a file has the
//! content it had when it was last synced, under the names its directory had when that was last
//! synced. SQLite does not go through this module; its files are taken as they are, and another
//! test checks that it syncs.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use nix::errno::Errno;
use parking_lot::Mutex;

use super::files::Step;

static TRIALS: Mutex<Vec<Weak<Trial>>> = Mutex::new(Vec::new());

type Look = Box<dyn Fn(&Trial, Step, &Path) + Send + Sync>;

/// A directory under test, until this is dropped.
pub(crate) struct Trial {
    root: PathBuf,
    durable: Mutex<Durable>,
    failing: Mutex<Option<Failing>>,
    steps: Mutex<Vec<(Step, PathBuf)>>,
    look: Option<Look>,
}

/// What survives a power failure.
#[derive(Debug, Default)]
struct Durable {
    contents: HashMap<u64, Vec<u8>>,
    /// For each synced directory: its names, and the inodes they refer to.
    names: HashMap<PathBuf, BTreeMap<OsString, u64>>,
}

#[derive(Debug)]
struct Failing {
    /// The number of steps that succeed first.
    after: usize,
    /// The number of steps that fail then.
    count: usize,
    with: Errno,
    failed: Option<Step>,
}

impl Trial {
    /// Puts a directory under test.
    pub(crate) fn of(root: &Path) -> Arc<Self> {
        Self::watched(root, None)
    }

    /// Puts a directory under test, and calls `look` after each step.
    pub(crate) fn watched(root: &Path, look: Option<Look>) -> Arc<Self> {
        let (durable, failing, steps) = <(Mutex<Durable>, Mutex<_>, Mutex<_>)>::default();
        let trial = Arc::new(Self { root: root.to_owned(), durable, failing, steps, look });
        TRIALS.lock().push(Arc::downgrade(&trial));
        trial
    }

    /// Lets `count` steps fail after `after` more have succeeded. Syncs do not count.
    pub(crate) fn fail(&self, after: usize, count: usize, with: Errno) {
        *self.failing.lock() = Some(Failing { after, count, with, failed: None });
    }

    /// Lets no further step fail. Returns the last step that failed, if any.
    pub(crate) fn heal(&self) -> Option<Step> {
        self.failing.lock().take().and_then(|failing| failing.failed)
    }

    /// The steps so far.
    pub(crate) fn steps(&self) -> Vec<(Step, PathBuf)> {
        self.steps.lock().clone()
    }

    /// Creates a directory with what a power failure now would leave.
    pub(crate) fn after_power_failure(&self, into: &Path) {
        let durable = self.durable.lock();
        fs::create_dir_all(into).unwrap();
        let Some(root) = durable.names.get(&self.root) else { return };
        for (directory, names) in &durable.names {
            let inside = directory.strip_prefix(&self.root).unwrap();
            if !inside.as_os_str().is_empty() && !root.contains_key(inside.as_os_str()) {
                continue;
            }
            fs::create_dir_all(into.join(inside)).unwrap();
            let files = names.iter().filter(|(name, _)| !directory.join(name).is_dir() && !is_sqlites(name));
            for (name, inode) in files {
                let content = durable.contents.get(inode).map_or(&[][..], |content| content);
                write_sparse(&into.join(inside).join(name), content);
            }
        }
        for entry in fs::read_dir(&self.root).unwrap().map(Result::unwrap) {
            if is_sqlites(&entry.file_name()) {
                fs::copy(entry.path(), into.join(entry.file_name())).unwrap();
            }
        }
    }

    /// Creates a directory with what killing the process now would leave.
    pub(crate) fn after_kill(&self, into: &Path) {
        copy(&self.root, into);
    }

    fn before(&self, step: Step) -> io::Result<()> {
        let mut failing = self.failing.lock();
        let Some(failing) = failing.as_mut().filter(|_| !is_sync(step)) else { return Ok(()) };
        if failing.after > 0 {
            failing.after -= 1;
            return Ok(());
        }
        if failing.count == 0 {
            return Ok(());
        }
        failing.count -= 1;
        failing.failed = Some(step);
        Err(failing.with.into())
    }

    fn after(&self, step: Step, path: &Path) {
        {
            let mut durable = self.durable.lock();
            match step {
                Step::Sync => {
                    let inode = fs::metadata(path).unwrap().ino();
                    durable.contents.insert(inode, fs::read(path).unwrap());
                }
                Step::SyncDirectory => {
                    let entries = fs::read_dir(path).unwrap().map(Result::unwrap);
                    let names = entries.map(|entry| (entry.file_name(), entry.metadata().unwrap().ino()));
                    durable.names.insert(path.to_owned(), names.collect());
                }
                _ => {}
            }
        }
        self.steps.lock().push((step, path.to_owned()));
        if let Some(look) = &self.look {
            look(self, step, path);
        }
    }
}

/// Called before a step.
pub(super) fn before(step: Step, path: &Path) -> io::Result<()> {
    trial_of(path).map_or(Ok(()), |trial| trial.before(step))
}

/// Called after a step.
pub(super) fn after(step: Step, path: &Path) {
    if let Some(trial) = trial_of(path) {
        trial.after(step, path);
    }
}

fn trial_of(path: &Path) -> Option<Arc<Trial>> {
    let mut trials = TRIALS.lock();
    trials.retain(|trial| trial.strong_count() > 0);
    trials.iter().filter_map(Weak::upgrade).find(|trial| path.starts_with(&trial.root))
}

fn is_sync(step: Step) -> bool {
    matches!(step, Step::Sync | Step::SyncDirectory)
}

fn is_sqlites(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("snapshot.db"))
}

/// Copies a directory. Zeros at the end of a file become a hole.
pub(crate) fn copy(from: &Path, into: &Path) {
    fs::create_dir_all(into).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = into.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => write_sparse(&to, &fs::read(entry.path()).unwrap()),
        }
    }
}

fn write_sparse(path: &Path, bytes: &[u8]) {
    const PAGE: usize = 4_096;
    let used = bytes.chunks(PAGE).rposition(|page| page != &[0; PAGE][..page.len()]);
    let used = used.map_or(0, |page| ((page + 1) * PAGE).min(bytes.len()));
    let file = fs::File::create(path).unwrap();
    file.write_all_at(&bytes[..used], 0).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
}
