//! Random damage to the files of a data directory. A node started from them either refuses and
//! changes nothing, or has everything that was acknowledged.
//!
//! `scripts/damage.sh` repeats this a thousand times.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use dbnode::replication::disk::{Ballot, Batch, Installation, Recovered};
use dbnode::replication::entry::{Change, Entry, Payload, Request, Write};
use dbnode::replication::key::Key;
use dbnode::replication::state::State;
use dbnode::storage::Storage;
use dbnode::storage::disk::{Disk, OpenError, open};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

/// How many times one directory is damaged before a new one is made.
const DAMAGES_EACH: u64 = 20;

/// The files of a directory and their content.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// The files of a killed node, and earlier copies of them.
struct Killed {
    files: Files,
    earlier: Vec<Files>,
    acknowledged: State,
    term: u64,
}

/// A disk in use, and what was acknowledged.
struct Life {
    data: TempDir,
    disk: Option<Disk>,
    acknowledged: State,
    /// The entries that are not in the snapshot.
    log: Vec<Entry>,
    term: u64,
}

impl Life {
    async fn begin() -> Self {
        let data = TempDir::new().unwrap();
        let (disk, _) = open(data.path(), "db-1", None).await.unwrap();
        Self { data, disk: Some(disk), acknowledged: State::default(), log: Vec::new(), term: 0 }
    }

    fn disk(&self) -> &Disk {
        self.disk.as_ref().unwrap()
    }

    /// Performs this many random operations, and kills the node at the end.
    async fn live(mut self, acts: usize, dice: &mut ChaCha8Rng) -> Killed {
        let mut earlier = Vec::new();
        for act in 0..acts {
            match dice.random_range(0..100) {
                0..72 => self.write(dice).await,
                72..84 => self.compact(dice).await,
                84..90 => self.vote().await,
                90..94 => self.cut(dice).await,
                94..96 => self.install(dice).await,
                _ => self.restart().await,
            }
            if act == acts / 3 || act == acts * 2 / 3 || act + 2 == acts {
                earlier.push(files(self.data.path()));
            }
        }
        // As SIGKILL would leave it.
        let files = files(self.data.path());
        Killed { files, earlier, acknowledged: self.acknowledged, term: self.term }
    }

    fn entry(&self, state: &State, dice: &mut ChaCha8Rng) -> Entry {
        let index = state.applied() + 1;
        let key = Key::new(&format!("key-{}", dice.random_range(0..40))).unwrap();
        let page = state.get(key.as_str()).map_or(state.pages(), |record| record.page);
        let length = if dice.random_ratio(1, 8) { 200_000 } else { 400 };
        let value: Vec<u8> = (0..dice.random_range(1..length)).map(|at| at as u8).collect();
        let change =
            if dice.random_ratio(1, 10) { Change::Delete } else { Change::Put { value: value.into(), page } };
        let named = dice.random_ratio(1, 5);
        let request =
            named.then(|| Request { id: format!("r-{index}").into(), fingerprint: index, sum: None });
        Entry { index, term: self.term, payload: Payload::Write(Write { key, change, request }) }
    }

    async fn persist(&mut self, batch: Batch) {
        self.disk().persist(batch).await.unwrap();
    }

    async fn write(&mut self, dice: &mut ChaCha8Rng) {
        let mut state = self.acknowledged.clone();
        let mut entries = Vec::new();
        for _ in 0..dice.random_range(1..12) {
            let entry = self.entry(&state, dice);
            state.apply(&entry);
            entries.push(entry);
        }
        let committed = self.acknowledged.applied();
        self.persist(Batch { entries: entries.clone(), committed, ..Batch::default() }).await;
        self.acknowledged = state;
        self.log.extend(entries);
    }

    /// Writes entries that are not acknowledged, and truncates them again.
    async fn cut(&mut self, dice: &mut ChaCha8Rng) {
        let uncertain = vec![self.entry(&self.acknowledged, dice)];
        self.persist(Batch { entries: uncertain.clone(), ..Batch::default() }).await;
        let cut_after = Some(self.acknowledged.applied());
        self.persist(Batch { cut_after, cut_off: uncertain, ..Batch::default() }).await;
    }

    async fn vote(&mut self) {
        self.term += 1;
        let ballot = Some(Ballot { term: self.term, voted_for: None });
        self.persist(Batch { ballot, ..Batch::default() }).await;
    }

    async fn compact(&mut self, dice: &mut ChaCha8Rng) {
        let count = dice.random_range(0..=self.log.len());
        let compacted: Vec<_> = self.log.drain(..count).collect();
        self.disk().compact(compacted).await.unwrap();
    }

    /// Installs another node's snapshot.
    async fn install(&mut self, dice: &mut ChaCha8Rng) {
        let mut state = self.acknowledged.clone();
        for _ in 0..30 {
            state.apply(&self.entry(&state, dice));
        }
        let installation = Installation { state: state.clone().into(), cut_off: Vec::new() };
        self.disk().install(installation).await.unwrap();
        self.acknowledged = state;
        self.log.clear();
    }

    async fn restart(&mut self) {
        self.disk.take().unwrap().close().await;
        let (disk, recovered) = open(self.data.path(), "db-1", None).await.unwrap();
        assert_eq!(state(recovered), self.acknowledged);
        self.disk = Some(disk);
    }
}

/// A kind of damage.
#[derive(Debug)]
enum Damage {
    Flip {
        byte: usize,
        bit: u8,
    },
    Truncate {
        length: usize,
    },
    Zero {
        from: usize,
        length: usize,
    },
    Garbage {
        from: usize,
        bytes: Vec<u8>,
    },
    Grow {
        by: usize,
    },
    Delete,
    /// Restores the file from this earlier copy.
    Old {
        copy: usize,
    },
}

impl Damage {
    fn draw(name: &Path, killed: &Killed, dice: &mut ChaCha8Rng) -> Self {
        let bytes = &killed.files[name];
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        // Mostly within the used part.
        let end = if dice.random_ratio(9, 10) { used } else { bytes.len() }.max(1);
        let from = dice.random_range(0..end);
        let lengths = [1, 8, 80, 512, 4_096, 65_536, bytes.len()];
        let length = (*lengths.choose(dice).unwrap()).min(bytes.len() - from.min(bytes.len()));
        let old = |copy: &usize| killed.earlier[*copy].get(name).is_some_and(|old| old != bytes);
        let old: Vec<_> = (0..killed.earlier.len()).filter(old).collect();
        match dice.random_range(0..8) {
            0 | 1 if !bytes.is_empty() => Self::Flip { byte: from, bit: dice.random_range(0..8) },
            2 => Self::Truncate { length: from },
            3 => Self::Zero { from, length },
            4 => Self::Garbage { from, bytes: (0..length.min(4_096)).map(|_| dice.random()).collect() },
            5 => Self::Grow { by: dice.random_range(1..9_000) },
            6 | 7 if !old.is_empty() => Self::Old { copy: *old.choose(dice).unwrap() },
            _ => Self::Delete,
        }
    }

    fn inflict(&self, name: &Path, killed: &Killed, files: &mut Files) {
        let file = files.get_mut(name).unwrap();
        match self {
            Self::Flip { byte, bit } => file[*byte] ^= 1 << bit,
            Self::Truncate { length } => file.truncate(*length),
            Self::Zero { from, length } => file[*from..from + length].fill(0),
            Self::Garbage { from, bytes } => file[*from..from + bytes.len()].copy_from_slice(bytes),
            Self::Grow { by } => file.resize(file.len() + by, 0),
            Self::Delete => drop(files.remove(name)),
            Self::Old { copy } => file.clone_from(&killed.earlier[*copy][name]),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Garbage { from, bytes } => write!(f, "{} random bytes from {from} on", bytes.len()),
            other => write!(f, "{other:?}"),
        }
    }
}

/// Damages one file, starts a node from it, and reports what is wrong, if anything.
async fn damage(killed: &Killed, dice: &mut ChaCha8Rng) -> Result<&'static str, String> {
    // Some files contain no information: they are damaged less often.
    let says_something =
        |name: &&PathBuf| !["lock", "spare", "reserve"].map(Path::new).iter().any(|it| name.ends_with(it));
    let names: Vec<_> = match dice.random_ratio(1, 20) {
        true => killed.files.keys().collect(),
        false => killed.files.keys().filter(says_something).collect(),
    };
    let name = *names.choose(dice).unwrap();
    let damage = Damage::draw(name, killed, dice);
    let mut before = killed.files.clone();
    damage.inflict(name, killed, &mut before);
    let data = directory_with(&before);
    let what = format!("{}: {damage}", name.display());
    let directory = data.path().to_owned();
    let opened = tokio::spawn(async move { open(&directory, "db-1", None).await });
    match opened.await.map_err(|panic| format!("{what}: {panic}"))? {
        Err(error) => refused(&error, &before, data.path()).map_err(|wrong| format!("{what}: {wrong}")),
        Ok((disk, recovered)) => {
            disk.close().await;
            started(recovered, killed).map_err(|wrong| format!("{what}: {wrong}"))
        }
    }
}

fn refused(error: &OpenError, before: &Files, data: &Path) -> Result<&'static str, String> {
    let known = matches!(
        error,
        OpenError::Damaged { .. } | OpenError::NewerFormat { .. } | OpenError::Database { .. }
    );
    if !known {
        return Err(format!("refused with {error:?}"));
    }
    let after = files(data);
    for (name, bytes) in before {
        // SQLite removes an empty write-ahead log.
        if !bytes.is_empty() && after.get(name) != Some(bytes) {
            return Err(format!("{} was changed by a start that refused: {error}", name.display()));
        }
    }
    Ok("refused")
}

fn started(recovered: Recovered, killed: &Killed) -> Result<&'static str, String> {
    if recovered.ballot.term != killed.term {
        return Err(format!("SILENT LOSS of a vote: term {} of {}", recovered.ballot.term, killed.term));
    }
    let found = state(recovered);
    if found != killed.acknowledged {
        let (found, acknowledged) = (found.applied(), killed.acknowledged.applied());
        return Err(format!("SILENT LOSS: it ends with entry {found} of {acknowledged}, or differs"));
    }
    Ok("has everything")
}

fn state(recovered: Recovered) -> State {
    let mut state = recovered.snapshot;
    recovered.entries.iter().for_each(|entry| state.apply(entry));
    state
}

fn directory_with(files: &Files) -> TempDir {
    let directory = TempDir::new().unwrap();
    for (name, bytes) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    directory
}

fn files(directory: &Path) -> Files {
    let mut found = BTreeMap::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(next) = directories.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            match entry.path().is_dir() {
                true => directories.push(entry.path()),
                false => {
                    let name = entry.path().strip_prefix(directory).unwrap().to_owned();
                    // SQLite's thread may be removing an empty file.
                    found.extend(fs::read(entry.path()).ok().map(|bytes| (name, bytes)));
                }
            }
        }
    }
    found
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |number| number.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_is_refused_or_nothing_is_missing() {
    let (seed, count) = (number("DAMAGE_SEED", rand::random_range(0..1 << 32)), number("DAMAGE_COUNT", 60));
    println!("seed: DAMAGE_SEED={seed} DAMAGE_COUNT={count}");
    // A refused directory keeps its files open, so that nothing in it changes.
    let (_, files_max) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, files_max, files_max).unwrap();
    let (mut outcomes, mut wrong) = (BTreeMap::<_, u64>::new(), Vec::new());
    for life in 0..count.div_ceil(DAMAGES_EACH) {
        let mut dice = ChaCha8Rng::seed_from_u64(seed.wrapping_add(life));
        let acts = dice.random_range(20..160);
        let killed = Life::begin().await.live(acts, &mut dice).await;
        for _ in 0..DAMAGES_EACH.min(count - life * DAMAGES_EACH) {
            match damage(&killed, &mut dice).await {
                Ok(outcome) => *outcomes.entry(outcome).or_default() += 1,
                Err(what) => wrong.push(format!("life {life}: {what}")),
            }
        }
    }
    println!("{outcomes:?}, wrong: {}", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
