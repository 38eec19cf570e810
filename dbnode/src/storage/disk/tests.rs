//! A real directory, closed and opened again; with what crashes and damage do to it.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;

use super::database::Database;
use super::{OpenError, Sqlite, open};
use crate::replication::entry::{Change, Entry, Payload, Request};
use crate::replication::key::Key;
use crate::replication::state::State;
use crate::storage::{Failure, Recovered, Storage};

fn put(index: u64, key: &str, value: &str) -> Entry {
    let change = Change::Put { value: Bytes::from(value.to_owned()), page: index - 1 };
    Entry { index, term: 1, payload: Payload { key: Key::new(key).unwrap(), change, request: None } }
}

fn some_entries(count: u64) -> Vec<Entry> {
    (1..=count).map(|index| put(index, &format!("key-{index}"), "some value or other")).collect()
}

/// A directory with these entries, closed.
async fn directory_with(entries: Vec<Entry>) -> TempDir {
    let directory = TempDir::new().unwrap();
    let (storage, _) = open(directory.path(), "db-1", None).await.unwrap();
    storage.append(entries).await.unwrap();
    storage.close().await;
    directory
}

async fn reopen(directory: &Path) -> (Sqlite, State) {
    let (storage, recovered) = open(directory, "db-1", None).await.unwrap();
    (storage, state(recovered))
}

fn state(recovered: Recovered) -> State {
    let mut state = recovered.snapshot;
    recovered.entries.iter().for_each(|entry| state.apply(entry));
    state
}

/// Flips one bit wherever this stands in a file. (Some places are not in use: a page that was
/// split keeps what moved to the other one.)
fn damage(path: &Path, text: &str) {
    let mut bytes = fs::read(path).unwrap();
    let is_there = |place: &usize| bytes[*place..].starts_with(text.as_bytes());
    let places: Vec<_> = (0..bytes.len()).filter(is_there).collect();
    assert!(!places.is_empty());
    places.into_iter().for_each(|place| bytes[place] ^= 1);
    fs::write(path, bytes).unwrap();
}

async fn refusal(directory: &Path, id: &str) -> String {
    open(directory, id, None).await.map(drop).unwrap_err().to_string()
}

#[tokio::test]
async fn what_was_appended_is_there_when_it_is_opened_again() {
    let directory = directory_with(some_entries(3)).await;
    let (_, recovered) = open(directory.path(), "db-1", None).await.unwrap();
    assert_eq!(recovered, Recovered { snapshot: State::default(), entries: some_entries(3) });
}

#[tokio::test]
async fn a_batch_without_room_leaves_nothing_behind_and_there_may_be_room_later() {
    let directory = TempDir::new().unwrap();
    let (storage, _) = open(directory.path(), "db-1", None).await.unwrap();
    storage.append(some_entries(1)).await.unwrap();
    let limit = async |pages: &'static str| {
        let mut log = storage.log.lock().await;
        sqlx::query(pages).execute(&mut log.database().connection).await.unwrap();
    };
    limit("PRAGMA max_page_count = 8").await;
    let large = || (2..200).map(|index| put(index, "key", &"some value".repeat(100))).collect::<Vec<_>>();
    assert!(matches!(storage.append(large()).await, Err(Failure::Full)));
    limit("PRAGMA max_page_count = 1000000").await;
    storage.append(vec![put(2, "other", "value")]).await.unwrap();
    storage.close().await;
    let (_, state) = reopen(directory.path()).await;
    assert_eq!((state.applied(), state.len()), (2, 2));
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let directory = TempDir::new().unwrap();
    let _first = open(directory.path(), "db-1", None).await.unwrap();
    assert!(matches!(open(directory.path(), "db-1", None).await, Err(OpenError::InUse { .. })));
}

#[tokio::test]
async fn another_nodes_directory_is_refused() {
    let directory = directory_with(some_entries(1)).await;
    let refusal = refusal(directory.path(), "db-2").await;
    assert!(refusal.contains("belongs to node 'db-1', not to 'db-2'"), "{refusal}");
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let directory = directory_with(some_entries(1)).await;
    let mut log = Database::open(directory.path().join("log.db")).await.unwrap();
    let newer = serde_json::json!({ "format": 2, "owner": { "node": "db-1" } });
    super::about::write(&mut log.connection, &newer).await.unwrap();
    log.close().await;
    let refusal = refusal(directory.path(), "db-1").await;
    assert!(refusal.contains("has format 2"), "{refusal}");
}

#[tokio::test]
async fn a_flipped_bit_in_an_entry_is_refused_and_nothing_is_changed() {
    let directory = directory_with(some_entries(100)).await;
    let path = directory.path().join("log.db");
    damage(&path, "some value");
    let before = fs::read(&path).unwrap();
    let refusal = refusal(directory.path(), "db-1").await;
    assert!(refusal.contains("log.db is damaged"), "{refusal}");
    assert_eq!(before, fs::read(&path).unwrap());
}

#[tokio::test]
async fn a_flipped_bit_in_a_record_is_refused() {
    let directory = TempDir::new().unwrap();
    let (storage, _) = open(directory.path(), "db-1", None).await.unwrap();
    storage.append(some_entries(100)).await.unwrap();
    storage.fold(some_entries(100)).await.unwrap();
    storage.close().await;
    damage(&directory.path().join("snapshot.db"), "some value");
    let refusal = refusal(directory.path(), "db-1").await;
    assert!(refusal.contains("snapshot.db is damaged"), "{refusal}");
}

#[tokio::test]
async fn a_file_that_is_no_database_or_is_gone_is_refused() {
    for (name, other) in [("log.db", "snapshot"), ("snapshot.db", "log")] {
        let directory = directory_with(some_entries(1)).await;
        fs::write(directory.path().join(name), "this is no database, and long enough to see it").unwrap();
        let no_database = refusal(directory.path(), "db-1").await;
        assert!(no_database.contains("is damaged"), "{no_database}");
        fs::remove_file(directory.path().join(name)).unwrap();
        let gone = refusal(directory.path(), "db-1").await;
        assert!(gone.contains(&format!("it is gone, and the {other} is not")), "{gone}");
    }
}

#[tokio::test]
async fn files_of_two_directories_do_not_go_together() {
    let (one, other) = (directory_with(some_entries(1)).await, directory_with(some_entries(1)).await);
    fs::copy(one.path().join("log.db"), other.path().join("log.db")).unwrap();
    let refusal = refusal(other.path(), "db-1").await;
    assert!(refusal.contains("not made together"), "{refusal}");
}

#[tokio::test]
async fn entries_missing_in_the_middle_are_noticed() {
    let directory = directory_with(some_entries(9)).await;
    let mut log = Database::open(directory.path().join("log.db")).await.unwrap();
    sqlx::query("DELETE FROM log WHERE idx = 5").execute(&mut log.connection).await.unwrap();
    log.close().await;
    let refusal = refusal(directory.path(), "db-1").await;
    assert!(refusal.contains("entry 6 follows entry 4"), "{refusal}");
}

#[tokio::test]
async fn a_fold_cut_short_before_the_log_let_go_is_finished_by_the_next_one() {
    let directory = TempDir::new().unwrap();
    let (storage, _) = open(directory.path(), "db-1", None).await.unwrap();
    storage.append(some_entries(10)).await.unwrap();
    storage.snapshot.lock().await.fold(&some_entries(6)).await.unwrap();
    storage.close().await;
    let (storage, recovered) = open(directory.path(), "db-1", None).await.unwrap();
    assert_eq!((recovered.snapshot.applied(), recovered.entries.len()), (6, 4));
    storage.fold(recovered.entries.clone()).await.unwrap();
    storage.close().await;
    let (_, again) = open(directory.path(), "db-1", None).await.unwrap();
    assert_eq!((again.snapshot.applied(), again.entries.len()), (10, 0));
    assert_eq!(state(again), state(recovered));
}

#[tokio::test]
async fn an_import_happens_at_the_first_start_only() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("products.jsonl");
    fs::write(&file, "{\"key\":\"a\",\"value\":\"1\"}\n\n{\"key\":\"b\",\"value\":\"2\"}\n").unwrap();
    let data = directory.path().join("deep/data");
    let (storage, recovered) = open(&data, "db-1", Some(&file)).await.unwrap();
    assert_eq!(recovered.snapshot.len(), 2);
    assert_eq!((recovered.snapshot.applied(), recovered.snapshot.pages()), (2, 2));
    storage.append(vec![put(3, "c", "3")]).await.unwrap();
    storage.close().await;
    fs::write(&file, "no longer what it was").unwrap();
    let (_, recovered) = open(&data, "db-1", Some(&file)).await.unwrap();
    assert_eq!(state(recovered).len(), 3);
}

#[tokio::test]
async fn an_import_that_failed_is_begun_again() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("products.jsonl");
    fs::write(&file, "{\"key\":\"a\",\"value\":\"1\"}\n{\"key\":\"\",\"value\":\"2\"}\n").unwrap();
    let data = directory.path().join("data");
    let refusal = open(&data, "db-1", Some(&file)).await.map(drop).unwrap_err().to_string();
    assert!(refusal.contains("line 2: a key has at least one character"), "{refusal}");
    fs::write(&file, "{\"key\":\"a\",\"value\":\"1\"}\n").unwrap();
    let (_, recovered) = open(&data, "db-1", Some(&file)).await.unwrap();
    assert_eq!(recovered.snapshot.len(), 1);
}

/// The write-ahead log as a crash leaves it: copied while the database is open.
async fn crashed_with(batches: u64) -> TempDir {
    let directory = TempDir::new().unwrap();
    let (storage, _) = open(directory.path(), "db-1", None).await.unwrap();
    for index in 1..=batches {
        storage.append(vec![put(index, &format!("key-{index}"), &"some value".repeat(50))]).await.unwrap();
    }
    let copy = TempDir::new().unwrap();
    for file in fs::read_dir(directory.path()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

#[tokio::test]
async fn what_was_appended_before_a_crash_is_there() {
    let (_, state) = reopen(crashed_with(20).await.path()).await;
    assert_eq!(state.len(), 20);
}

#[tokio::test]
async fn a_batch_cut_off_by_a_crash_is_as_if_it_never_was() {
    let directory = crashed_with(20).await;
    let wal = directory.path().join("log.db-wal");
    let bytes = fs::read(&wal).unwrap();
    fs::write(&wal, &bytes[..bytes.len() - 100]).unwrap();
    let (_, state) = reopen(directory.path()).await;
    assert_eq!(state.len(), 19);
}

#[tokio::test]
async fn a_flipped_bit_before_later_batches_is_refused_in_the_write_ahead_log_too() {
    let directory = crashed_with(20).await;
    let wal = directory.path().join("log.db-wal");
    let whole = fs::read(&wal).unwrap();
    // A batch takes up to three pages here; damage to the last one looks like a crash.
    let last_batch = whole.len() - 3 * (24 + 4096);
    for place in (0..last_batch).step_by(97) {
        let mut bytes = whole.clone();
        bytes[place] ^= 1 << (place % 8);
        fs::write(&wal, bytes).unwrap();
        let opened = open(directory.path(), "db-1", None).await;
        assert!(matches!(opened, Err(OpenError::Damaged { .. })), "byte {place} was changed: {opened:?}");
    }
}

/// What a node writes, in any order, with folds and restarts in between.
#[derive(Debug, Clone)]
enum Act {
    Write { key: u8, value: Option<u8>, named: bool },
    Fold { keep: usize },
    Restart,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let write = (0..8_u8, proptest::option::of(any::<u8>()), any::<bool>());
    let act = prop_oneof![
        8 => write.prop_map(|(key, value, named)| Act::Write { key, value, named }),
        1 => (0..4_usize).prop_map(|keep| Act::Fold { keep }),
        1 => Just(Act::Restart),
    ];
    proptest::collection::vec(act, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_restart_finds_what_was_written_however_it_was_folded(acts in acts()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(follow(acts));
    }
}

async fn follow(acts: Vec<Act>) {
    let directory = TempDir::new().unwrap();
    let mut storage = open(directory.path(), "db-1", None).await.unwrap().0;
    let (mut expected, mut log) = (State::default(), Vec::new());
    for act in acts {
        match act {
            Act::Write { key, value, named } => {
                let entry = next_entry(&expected, key, value, named);
                expected.apply(&entry);
                log.push(entry.clone());
                storage.append(vec![entry]).await.unwrap();
            }
            Act::Fold { keep } => {
                let folded: Vec<_> = log.drain(..log.len().saturating_sub(keep)).collect();
                storage.fold(folded).await.unwrap();
            }
            Act::Restart => {
                storage.close().await;
                let recovered;
                (storage, recovered) = reopen(directory.path()).await;
                assert_eq!(recovered, expected);
            }
        }
    }
    storage.close().await;
    assert_eq!(reopen(directory.path()).await.1, expected);
}

fn next_entry(state: &State, key: u8, value: Option<u8>, named: bool) -> Entry {
    let index = state.applied() + 1;
    let key = Key::new(&format!("key-{key}")).unwrap();
    let page = state.get(key.as_str()).map_or(state.pages(), |record| record.page);
    let change = value.map_or(Change::Delete, |value| Change::Put { value: vec![value].into(), page });
    let sum = value.map(i64::from);
    let request = named.then(|| Request { id: format!("r-{index}").into(), fingerprint: index << 40, sum });
    Entry { index, term: 1, payload: Payload { key, change, request } }
}
