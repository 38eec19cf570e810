//! Tests with a real directory that is closed and reopened, with crashes and damage in between.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;

use super::about::FORMAT;
use super::database::Database;
use super::slots::Slots;
use super::{Disk, OpenError, open};
use crate::replication::disk::{Ballot, Batch, Installation, Recovered};
use crate::replication::entry::{Change, Entry, Payload, Request, Stamp, Write};
use crate::replication::key::Key;
use crate::replication::life::Start;
use crate::replication::snapshot::Cursor;
use crate::replication::state::State;
use crate::storage::{Failure, Storage};
use dbclient::Version;

pub(super) fn put(index: u64, key: &str, value: &str) -> Entry {
    let change = Change::Put { value: Bytes::from(value.to_owned()), page: index - 1 };
    let write = Write { key: Key::new(key).unwrap(), change, request: None };
    Entry { index, term: 1, payload: Payload::Write(write) }
}

pub(super) fn some_entries(count: u64) -> Vec<Entry> {
    (1..=count).map(|index| put(index, &format!("key-{index}"), "some value or other")).collect()
}

pub(super) fn batch(entries: Vec<Entry>) -> Batch {
    Batch { entries, ..Batch::default() }
}

/// A closed directory with these entries.
async fn directory_with(entries: Vec<Entry>) -> TempDir {
    let directory = TempDir::new().unwrap();
    let (storage, _) = open(directory.path(), "db-1", None).await.unwrap();
    storage.persist(batch(entries)).await.unwrap();
    storage.close().await;
    directory
}

async fn reopen(directory: &Path) -> (Disk, State) {
    let (storage, recovered) = open(directory, "db-1", None).await.unwrap();
    (storage, state(recovered))
}

pub(super) fn state(recovered: Recovered) -> State {
    let mut state = recovered.snapshot;
    recovered.entries.iter().for_each(|entry| state.apply(entry));
    state
}

/// Flips one bit wherever this text occurs in a file. (Some places are unused: a page that was
/// split keeps a copy of what moved to the other one.)
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
    assert_eq!(recovered, Recovered { life: 2, entries: some_entries(3), ..Recovered::default() });
}

#[tokio::test]
async fn each_start_is_counted_and_a_missing_count_is_refused() {
    let directory = directory_with(some_entries(3)).await;
    for life in 2..5 {
        let (storage, recovered) = open(directory.path(), "db-1", None).await.unwrap();
        // The start counts even if the node is killed at once.
        drop(storage);
        assert_eq!(recovered.life, life);
    }
    fs::remove_file(directory.path().join("life")).unwrap();
    let refusal = refusal(directory.path(), "db-1").await;
    assert!(refusal.contains("life is damaged: it is gone"), "{refusal}");
}

#[tokio::test]
async fn a_directory_of_the_format_before_is_read_and_becomes_one_of_this_format() {
    let directory = directory_with(some_entries(3)).await;
    let (mut storage, _) = open(directory.path(), "db-1", None).await.unwrap();
    storage.snapshot.get_mut().write_as_of_format(2).await;
    storage.close().await;
    fs::remove_file(directory.path().join("life")).unwrap();
    let (storage, recovered) = open(directory.path(), "db-1", None).await.unwrap();
    assert_eq!((recovered.life, recovered.entries), (1, some_entries(3)));
    assert_eq!(storage.snapshot.lock().await.format(), FORMAT);
}

#[tokio::test]
async fn in_format_3_the_starts_had_no_ids_and_their_number_goes_on() {
    let directory = directory_with(some_entries(3)).await;
    let (mut storage, recovered) = open(directory.path(), "db-1", None).await.unwrap();
    storage.snapshot.get_mut().write_as_of_format(3).await;
    storage.close().await;
    drop(Slots::create(&directory.path().join("life"), &recovered.life).unwrap());
    let (storage, found) = open(directory.path(), "db-1", None).await.unwrap();
    assert_eq!((found.life, found.entries), (recovered.life + 1, some_entries(3)));
    assert_eq!(storage.snapshot.lock().await.format(), FORMAT);
    let third = storage.starts().newest();
    storage.close().await;
    let (storage, _) = open(directory.path(), "db-1", None).await.unwrap();
    assert!(storage.starts().include(third));
    assert_eq!(storage.starts().count(), third.number + 1);
    let first_in_this_format = Start { id: third.id ^ 1, ..third };
    assert!(!storage.starts().include(first_in_this_format), "from now on they have ids");
    storage.close().await;
    fs::remove_file(directory.path().join("life")).unwrap();
    let refusal = refusal(directory.path(), "db-1").await;
    assert!(refusal.contains("life is damaged: it is gone"), "{refusal}");
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
    let mut snapshot = Database::open(directory.path().join("snapshot.db")).await.unwrap();
    let newer = serde_json::json!({ "format": FORMAT + 1, "owner": { "node": "db-1" } });
    super::about::write(&mut snapshot.connection, &newer).await.unwrap();
    snapshot.close().await;
    let refusal = refusal(directory.path(), "db-1").await;
    assert!(refusal.contains(&format!("has format {}", FORMAT + 1)), "{refusal}");
}

#[tokio::test]
async fn every_flipped_bit_before_the_last_batch_is_refused_and_nothing_is_changed() {
    let directory = TempDir::new().unwrap();
    let (storage, _) = open(directory.path(), "db-1", None).await.unwrap();
    for entry in some_entries(20) {
        storage.persist(batch(vec![entry])).await.unwrap();
    }
    storage.close().await;
    let path = segment(directory.path());
    let whole = fs::read(&path).unwrap();
    // The last batch takes 64 bytes; damage to it looks like a crash.
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap();
    for place in (0..end - 128).step_by(41) {
        let mut bytes = whole.clone();
        bytes[place] ^= 1 << (place % 8);
        fs::write(&path, &bytes).unwrap();
        match open(directory.path(), "db-1", None).await {
            // The bytes that pad a record to a multiple of eight mean nothing.
            Ok((storage, recovered)) => {
                storage.close().await;
                assert_eq!((whole[place], recovered.entries), (0, some_entries(20)), "byte {place}");
            }
            Err(error) => {
                assert!(matches!(error, OpenError::Damaged { .. }), "byte {place}: {error}");
                assert_eq!(bytes, fs::read(&path).unwrap());
            }
        }
    }
}

#[tokio::test]
async fn a_ballot_a_cut_and_what_came_after_it_are_there_again() {
    let directory = TempDir::new().unwrap();
    let (storage, _) = open(directory.path(), "db-1", None).await.unwrap();
    let ballot = Ballot { term: 7, voted_for: Some("db-2".into()) };
    storage
        .persist(Batch { ballot: Some(ballot.clone()), committed: 2, ..batch(some_entries(5)) })
        .await
        .unwrap();
    let cut_off = some_entries(5).split_off(3);
    let entry = Entry { term: 7, ..put(4, "other", "value") };
    let cut = Batch { cut_after: Some(3), cut_off, entries: vec![entry.clone()], ..Batch::default() };
    storage.persist(cut).await.unwrap();
    storage.close().await;
    let (_, recovered) = open(directory.path(), "db-1", None).await.unwrap();
    let entries: Vec<_> = some_entries(3).into_iter().chain([entry]).collect();
    assert_eq!(
        recovered,
        Recovered { life: 2, ballot, snapshot: State::default(), entries, committed: 2, discarded: 2 }
    );
    let aside = fs::read_to_string(directory.path().join("discarded.jsonl")).unwrap();
    assert_eq!(aside.lines().count(), 2);
    assert!(aside.contains("\"key\":\"key-4\""), "{aside}");
}

#[tokio::test]
async fn a_long_log_goes_on_in_further_segments_and_old_ones_are_let_go() {
    let directory = TempDir::new().unwrap();
    let (mut storage, _) = open(directory.path(), "db-1", None).await.unwrap();
    let large = "x".repeat(1 << 17);
    let entries: Vec<_> = (1..=20).map(|index| put(index, "key", &large)).collect();
    for entry in &entries {
        storage.persist(batch(vec![entry.clone()])).await.unwrap();
    }
    assert_eq!(segments(directory.path()), 3);
    storage.close().await;
    let recovered;
    (storage, recovered) = open(directory.path(), "db-1", None).await.unwrap();
    assert_eq!(recovered.entries, entries);
    storage.compact(entries[..15].to_vec()).await.unwrap();
    assert_eq!(segments(directory.path()), 1);
    storage.close().await;
    let (_, recovered) = open(directory.path(), "db-1", None).await.unwrap();
    assert_eq!((recovered.snapshot.applied(), recovered.entries.len()), (15, 5));
}

/// This lets a node become the primary and answer reads while there is no space for another
/// segment.
#[tokio::test]
async fn the_end_of_a_segment_is_kept_for_batches_without_a_clients_write() {
    let (first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let write = |index| batch(vec![put(index, "key", &"x".repeat(4_000))]);
    let (storage, _) = open(first.path(), "db-1", None).await.unwrap();
    let mut fit = 0;
    while segments(first.path()) == 1 {
        fit += 1;
        storage.persist(write(fit)).await.unwrap();
    }
    let (storage, _) = open(second.path(), "db-1", None).await.unwrap();
    for index in 1..fit {
        storage.persist(write(index)).await.unwrap();
    }
    for term in 1..300 {
        let ballot = Some(Ballot { term, voted_for: Some("db-1".into()) });
        storage.persist(Batch { ballot, ..Batch::default() }).await.unwrap();
    }
    assert_eq!(segments(second.path()), 1);
}

#[tokio::test]
async fn a_snapshot_from_elsewhere_takes_the_place_of_everything() {
    let directory = TempDir::new().unwrap();
    let (storage, _) = open(directory.path(), "db-1", None).await.unwrap();
    let ballot = Ballot { term: 3, voted_for: None };
    storage.persist(Batch { ballot: Some(ballot.clone()), ..batch(some_entries(9)) }).await.unwrap();
    let mut elsewhere = State::default();
    (1..=30).for_each(|index| elsewhere.apply(&put(index, &format!("other-{index}"), "value")));
    let cut_off = some_entries(9)[7..].to_vec();
    storage.install(Installation { state: elsewhere.clone().into(), cut_off }).await.unwrap();
    storage.persist(batch(vec![put(31, "last", "value")])).await.unwrap();
    let mut chunk = storage.read_snapshot(Cursor::START, 64).await.unwrap();
    assert_eq!(chunk.from, Cursor::START);
    let mut records = chunk.records.len();
    while let Some(next) = chunk.next {
        chunk = storage.read_snapshot(next.clone(), 64).await.unwrap();
        assert_eq!(chunk.from, next);
        records += chunk.records.len();
    }
    assert_eq!(records, 30);
    storage.close().await;
    let (_, recovered) = open(directory.path(), "db-1", None).await.unwrap();
    assert_eq!((recovered.snapshot, recovered.entries.len()), (elsewhere, 1));
    assert_eq!((recovered.ballot, recovered.discarded), (ballot, 2));
    let aside = fs::read_to_string(directory.path().join("discarded.jsonl")).unwrap();
    assert_eq!(aside.lines().count(), 2);
}

#[tokio::test]
async fn a_chunk_of_remembered_writes_is_bounded_by_bytes_too() {
    let directory = TempDir::new().unwrap();
    let (storage, _) = open(directory.path(), "db-1", None).await.unwrap();
    let mut state = State::default();
    let mut next = |_| {
        let entry = next_entry(&state, 1, Some(1), true);
        state.apply(&entry);
        entry
    };
    let entries: Vec<_> = (1..=6).map(&mut next).collect();
    storage.persist(batch(entries.clone())).await.unwrap();
    storage.compact(entries).await.unwrap();
    let (mut from, mut sizes, mut versions) = (Some(Cursor::Requests(Version(0))), vec![], vec![]);
    while let Some(next) = from {
        // Each of them is counted with 35 bytes.
        let chunk = storage.read_snapshot(next, 40).await.unwrap();
        sizes.push(chunk.requests.len());
        versions.extend(chunk.requests.iter().map(|named| named.version));
        from = chunk.next;
    }
    assert_eq!(sizes, [2, 2, 2, 0]);
    assert_eq!(versions, (1..=6).map(|index| Version::of(1, index)).collect::<Vec<_>>());
}

/// The only segment of a log.
fn segment(data: &Path) -> PathBuf {
    data.join("log/00000000000000000001.log")
}

fn segments(data: &Path) -> usize {
    let names = fs::read_dir(data.join("log")).unwrap().map(|file| file.unwrap().file_name());
    names.filter(|name| name.to_str().unwrap().ends_with(".log")).count()
}

#[tokio::test]
async fn a_flipped_bit_in_a_record_is_refused() {
    let directory = TempDir::new().unwrap();
    let (storage, _) = open(directory.path(), "db-1", None).await.unwrap();
    storage.persist(batch(some_entries(100))).await.unwrap();
    storage.compact(some_entries(100)).await.unwrap();
    storage.close().await;
    damage(&directory.path().join("snapshot.db"), "some value");
    let refusal = refusal(directory.path(), "db-1").await;
    assert!(refusal.contains("snapshot.db is damaged"), "{refusal}");
}

#[tokio::test]
async fn a_file_that_is_not_ours_or_is_gone_is_refused() {
    let files = |data: &Path| [(segment(data), "snapshot"), (data.join("snapshot.db"), "log")];
    for which in 0..2 {
        let directory = directory_with(some_entries(1)).await;
        let (path, other) = &files(directory.path())[which];
        fs::write(path, "this is not what was written here, and long enough to see it").unwrap();
        let not_ours = refusal(directory.path(), "db-1").await;
        assert!(not_ours.contains("is damaged"), "{not_ours}");
        fs::remove_file(path).unwrap();
        let gone = refusal(directory.path(), "db-1").await;
        assert!(gone.contains(&format!("it is gone, and the {other} is not")), "{gone}");
    }
}

#[tokio::test]
async fn files_of_two_directories_do_not_go_together() {
    let (one, other) = (directory_with(some_entries(1)).await, directory_with(some_entries(1)).await);
    fs::copy(segment(one.path()), segment(other.path())).unwrap();
    let refusal = refusal(other.path(), "db-1").await;
    assert!(refusal.contains("not made together"), "{refusal}");
}

#[tokio::test]
async fn a_compaction_cut_short_before_the_log_let_go_is_finished_by_the_next_one() {
    let directory = TempDir::new().unwrap();
    let (storage, _) = open(directory.path(), "db-1", None).await.unwrap();
    storage.persist(batch(some_entries(10))).await.unwrap();
    storage.snapshot.lock().await.compact(&some_entries(6)).await.unwrap();
    storage.close().await;
    let (storage, recovered) = open(directory.path(), "db-1", None).await.unwrap();
    assert_eq!((recovered.snapshot.applied(), recovered.entries.len()), (6, 4));
    storage.compact(recovered.entries.clone()).await.unwrap();
    storage.close().await;
    let (_, again) = open(directory.path(), "db-1", None).await.unwrap();
    assert_eq!((again.snapshot.applied(), again.entries.len()), (10, 0));
    assert_eq!(state(again), state(recovered));
}

/// Files that were removed, moved or replaced can be written as long as they are open.
#[tokio::test]
async fn what_the_next_start_would_not_find_is_not_acknowledged() {
    type Loss = fn(&Path);
    let losses: [(&str, Loss); 4] = [
        ("removed", |data| fs::remove_dir_all(data).unwrap()),
        ("moved", |data| fs::rename(data, data.with_extension("old")).unwrap()),
        ("replaced", |data| {
            fs::rename(data, data.with_extension("old")).unwrap();
            super::trial::copy(&data.with_extension("old"), data);
        }),
        ("without its log", |data| fs::remove_dir_all(data.join("log")).unwrap()),
    ];
    for (name, lose) in losses {
        let directory = TempDir::new().unwrap();
        let data = directory.path().join("data");
        let (storage, _) = open(&data, "db-1", None).await.unwrap();
        storage.persist(batch(some_entries(3))).await.unwrap();
        lose(&data);
        let persisted = storage.persist(batch(vec![put(4, "key-4", "lost")])).await;
        assert!(matches!(persisted, Err(Failure::Broken(_))), "{name}: {persisted:?}");
    }
}

#[tokio::test]
async fn the_log_is_not_trimmed_for_a_snapshot_that_the_next_start_would_not_find() {
    let directory = TempDir::new().unwrap();
    let (storage, _) = open(directory.path(), "db-1", None).await.unwrap();
    storage.persist(batch(some_entries(10))).await.unwrap();
    let snapshot = directory.path().join("snapshot.db");
    fs::rename(&snapshot, directory.path().join("snapshot.old")).unwrap();
    fs::copy(directory.path().join("snapshot.old"), &snapshot).unwrap();
    let compacted = storage.compact(some_entries(6)).await;
    assert!(matches!(compacted, Err(Failure::Broken(_))), "{compacted:?}");
}

/// SQLite finds the disk full at a different point of each try, and sometimes rolls back by itself.
#[tokio::test]
async fn a_compaction_or_an_install_that_finds_no_room_changes_nothing_and_is_tried_again() {
    let directory = TempDir::new().unwrap();
    let (storage, _) = open(directory.path(), "db-1", None).await.unwrap();
    let entries: Vec<_> =
        (1..=1_200).map(|index| put(index, &format!("key-{index}"), &"some value".repeat(30))).collect();
    storage.persist(batch(entries.clone())).await.unwrap();
    storage.compact(entries[..100].to_vec()).await.unwrap();
    let mut elsewhere = State::default();
    let value = "value".repeat(30);
    (1..=3_000).for_each(|index| elsewhere.apply(&put(index, &format!("other-{index}"), &value)));
    let installation = Installation { state: elsewhere.clone().into(), cut_off: entries[1_190..].to_vec() };
    let pages: u32 = storage.snapshot.lock().await.ask("PRAGMA page_count").await.parse().unwrap();
    for room in 0..12 {
        storage.snapshot.lock().await.ask(&format!("PRAGMA max_page_count = {}", pages + room * 5)).await;
        let compacted = storage.compact(entries[100..].to_vec()).await;
        assert!(matches!(compacted, Err(Failure::Full)), "{room}: {compacted:?}");
        let installed = storage.install(installation.clone()).await;
        assert!(matches!(installed, Err(Failure::Full)), "{room}: {installed:?}");
        assert_eq!(storage.read_snapshot(Cursor::START, 1 << 20).await.unwrap().records.len(), 100);
    }
    assert!(segments(directory.path()) < 4, "each try takes room");
    assert_eq!(fs::read(directory.path().join("discarded.jsonl")).unwrap(), b"", "it was taken back");
    storage.snapshot.lock().await.ask("PRAGMA max_page_count = 100000").await;
    storage.compact(entries[100..].to_vec()).await.unwrap();
    storage.install(installation).await.unwrap();
    storage.close().await;
    let (_, recovered) = open(directory.path(), "db-1", None).await.unwrap();
    assert_eq!((recovered.snapshot, recovered.discarded), (elsewhere, 10));
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
    storage.persist(batch(vec![put(3, "c", "3")])).await.unwrap();
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

#[tokio::test]
async fn a_batch_cut_short_by_a_crash_is_as_if_it_never_was() {
    let directory = directory_with(some_entries(3)).await;
    let path = segment(directory.path());
    let whole = fs::read(&path).unwrap();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap();
    let (storage, _) = open(directory.path(), "db-1", None).await.unwrap();
    let acknowledged = fs::read(directory.path().join("acknowledged")).unwrap();
    storage.persist(batch(vec![put(4, "torn", &"some value".repeat(500))])).await.unwrap();
    storage.close().await;
    let with_it = fs::read(&path).unwrap();
    // It crashed before it noted that the batch was on disk.
    fs::write(directory.path().join("acknowledged"), acknowledged).unwrap();
    for torn_at in (end + 8..end + 5_000).step_by(613) {
        let mut bytes = with_it.clone();
        bytes[torn_at..].fill(0);
        fs::write(&path, bytes).unwrap();
        let (storage, found) = reopen(directory.path()).await;
        assert_eq!(found.len(), 3, "torn at byte {torn_at}");
        storage.close().await;
        assert!(fs::read(&path).unwrap() == whole, "nothing of it is left");
    }
}

/// The operations of a node, in any order, with compactions and restarts in between.
#[derive(Debug, Clone)]
enum Act {
    Write { key: u8, value: Option<u8>, named: bool },
    Compact { keep: usize },
    Restart,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let write = (0..8_u8, proptest::option::of(any::<u8>()), any::<bool>());
    let act = prop_oneof![
        8 => write.prop_map(|(key, value, named)| Act::Write { key, value, named }),
        1 => (0..4_usize).prop_map(|keep| Act::Compact { keep }),
        1 => Just(Act::Restart),
    ];
    proptest::collection::vec(act, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_restart_finds_what_was_written_however_it_was_compacted(acts in acts()) {
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
                storage.persist(batch(vec![entry])).await.unwrap();
            }
            Act::Compact { keep } => {
                let compacted: Vec<_> = log.drain(..log.len().saturating_sub(keep)).collect();
                storage.compact(compacted).await.unwrap();
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
    // The six newest writes with a request id are remembered.
    let forgets = Version::of(1, index.saturating_sub(6));
    let write = Write { key, change, request };
    let payload =
        if named { Payload::Named(write, Stamp { at: index, forgets }) } else { Payload::Write(write) };
    Entry { index, term: 1, payload }
}
