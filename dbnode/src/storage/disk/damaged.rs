//! Files that are truncated, blank or outdated although they were synced: the node refuses to open
//! them, and leaves them unchanged.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::open;
use super::tests::{batch, put, some_entries, state};
use super::trial::copy;
use crate::replication::entry::Entry;
use crate::replication::state::State;
use crate::storage::Storage;

/// A copy of a directory in use, as SIGKILL would leave it.
fn killed(data: &Path) -> TempDir {
    let directory = TempDir::new().unwrap();
    copy(data, directory.path());
    directory
}

fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = ["", "log"].map(|inside| fs::read_dir(directory.join(inside)).unwrap());
    let paths = paths.into_iter().flatten().map(|entry| entry.unwrap().path());
    let files = paths.filter(|path| path.is_file() && !path.ends_with("lock") && !path.ends_with("reserve"));
    // SQLite's thread may be removing an empty file.
    let files = files.filter_map(|path| fs::read(&path).ok().map(|bytes| (path, bytes)));
    files.filter(|(_, bytes)| !bytes.is_empty()).collect()
}

/// Asserts that opening fails with these words and changes nothing. A refused open keeps its files
/// open, so it is given a copy.
async fn assert_refused(directory: &Path, words: &str) {
    let copy = killed(directory);
    let directory = copy.path();
    let before = files(directory);
    let refusal = open(directory, "db-1", None).await.map(drop).unwrap_err().to_string();
    assert!(refusal.contains(words), "{refusal}");
    assert!(refusal.ends_with("nothing was changed"), "{refusal}");
    let after = files(directory);
    for (path, bytes) in before {
        assert!(after.get(&path) == Some(&bytes), "{} was changed: {refusal}", path.display());
    }
}

fn segment(data: &Path, number: u64) -> PathBuf {
    data.join(format!("log/{number:020}.log"))
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn used(path: &Path) -> usize {
    fs::read(path).unwrap().iter().rposition(|byte| *byte != 0).unwrap() + 1
}

/// Twenty batches of one entry each, closed or killed.
async fn twenty(is_killed: bool) -> TempDir {
    let directory = TempDir::new().unwrap();
    let (storage, _) = open(directory.path(), "db-1", None).await.unwrap();
    for entry in some_entries(20) {
        storage.persist(batch(vec![entry])).await.unwrap();
    }
    if is_killed {
        return killed(directory.path());
    }
    storage.close().await;
    directory
}

#[tokio::test]
async fn a_segment_of_another_size_is_refused() {
    for length in [0, 20, 1_000, (1 << 20) - 1, (1 << 20) + 1] {
        let directory = twenty(true).await;
        let path = segment(directory.path(), 1);
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
        assert_refused(directory.path(), &format!("it is {length} bytes long, and was made with 1048576"))
            .await;
    }
}

#[tokio::test]
async fn a_blank_end_and_a_flipped_bit_of_the_last_record_are_refused() {
    for is_killed in [true, false] {
        let directory = twenty(is_killed).await;
        let path = segment(directory.path(), 1);
        let (end, whole) = (used(&path), fs::read(&path).unwrap());
        for blank in [1, 60, 500, 800] {
            change(&path, |bytes| bytes[end - blank..].fill(0));
            assert_refused(directory.path(), "they were acknowledged").await;
            fs::write(&path, &whole).unwrap();
        }
        change(&path, |bytes| bytes[end - 3] ^= 4);
        assert_refused(directory.path(), "are missing or not as they were written").await;
    }
}

#[tokio::test]
async fn a_record_of_whom_nobody_was_told_may_be_missing() {
    let directory = twenty(true).await;
    // The note covers what was on disk before the last batch.
    let (storage, _) = open(directory.path(), "db-1", None).await.unwrap();
    let before = fs::read(directory.path().join("acknowledged")).unwrap();
    storage.persist(batch(vec![put(21, "uncertain", "value")])).await.unwrap();
    let directory = killed(directory.path());
    fs::write(directory.path().join("acknowledged"), before).unwrap();
    let path = segment(directory.path(), 1);
    let end = used(&path);
    change(&path, |bytes| bytes[end - 5..].fill(0));
    let (_, recovered) = open(directory.path(), "db-1", None).await.unwrap();
    assert_eq!(recovered.entries, some_entries(20));
}

#[tokio::test]
async fn more_than_a_batch_behind_the_last_record_is_refused() {
    let directory = twenty(true).await;
    let path = segment(directory.path(), 1);
    let end = used(&path).next_multiple_of(8);
    change(&path, |bytes| bytes[end + 9..end + 600_000].fill(7));
    assert_refused(directory.path(), "more than one batch").await;
    change(&path, |bytes| bytes[end + 9 + 100_000..].fill(0));
    let (_, recovered) = open(directory.path(), "db-1", None).await.unwrap();
    assert_eq!(recovered.entries, some_entries(20));
    assert_eq!(used(&path).next_multiple_of(8), end, "what a crash left is cleared away");
}

#[tokio::test]
async fn what_a_failed_write_left_is_not_met_behind_the_next_record() {
    let directory = TempDir::new().unwrap();
    let (storage, _) = open(directory.path(), "db-1", None).await.unwrap();
    storage.persist(batch(vec![put(1, "a", "value")])).await.unwrap();
    storage.log.run(|log| log.write_halfway(&[7; 600_000])).await;
    storage.persist(batch(vec![put(2, "b", "value")])).await.unwrap();
    let killed = killed(directory.path());
    assert!(used(&segment(killed.path(), 1)) < 1_000);
    assert_eq!(open(killed.path(), "db-1", None).await.unwrap().1.entries.len(), 2);
}

/// Three segments; the last one has no batch yet after this number of entries.
async fn three_segments(count: u64) -> (TempDir, Vec<Entry>) {
    let directory = TempDir::new().unwrap();
    let (storage, _) = open(directory.path(), "db-1", None).await.unwrap();
    let large = "x".repeat(300 << 10);
    let entries: Vec<_> = (1..=count).map(|index| put(index, "key", &large)).collect();
    for entry in &entries {
        storage.persist(batch(vec![entry.clone()])).await.unwrap();
    }
    (killed(directory.path()), entries)
}

#[tokio::test]
async fn a_segment_that_is_gone_is_refused_whichever_it_is() {
    for (gone, words) in [
        (1, "entry 4 follows entry 0"),
        (2, "segment 2, which comes before it, is missing"),
        (3, "segment 3 is missing, and batches in it were acknowledged"),
    ] {
        let (directory, _) = three_segments(7).await;
        fs::remove_file(segment(directory.path(), gone)).unwrap();
        let words =
            if gone == 1 { "the log follows entry 3, and the snapshot ends with entry 0" } else { words };
        assert_refused(directory.path(), words).await;
    }
}

/// This holds even if nothing follows it yet.
#[tokio::test]
async fn a_blank_end_of_a_segment_before_the_last_is_refused() {
    let directory = TempDir::new().unwrap();
    let (storage, _) = open(directory.path(), "db-1", None).await.unwrap();
    storage.persist(batch(some_entries(9))).await.unwrap();
    // It begins a segment and then fails; the snapshot is unchanged.
    storage.log.run(|log| log.begin_new_log().map(drop)).await.unwrap();
    let directory = killed(directory.path());
    let path = segment(directory.path(), 1);
    let end = used(&path);
    change(&path, |bytes| bytes[end - 100..].fill(0));
    assert_refused(directory.path(), "the next segment says that they end at byte").await;
}

#[tokio::test]
async fn an_older_snapshot_or_write_ahead_log_is_refused() {
    let directory = TempDir::new().unwrap();
    let (storage, _) = open(directory.path(), "db-1", None).await.unwrap();
    let entries = some_entries(1_000);
    storage.persist(batch(entries.clone())).await.unwrap();
    let mut ages = Vec::new();
    for (from, to) in [(0, 500), (500, 520), (520, 800), (800, 1_000)] {
        storage.compact(entries[from..to].to_vec()).await.unwrap();
        ages.push(killed(directory.path()));
    }
    let (last, earlier) = ages.split_last().unwrap();
    let mut expected = State::default();
    entries.iter().for_each(|entry| expected.apply(entry));
    for old in earlier {
        for names in [&["snapshot.db"][..], &["snapshot.db-wal"], &["snapshot.db", "snapshot.db-wal"]] {
            let directory = killed(last.path());
            for name in names {
                fs::copy(old.path().join(name), directory.path().join(name)).unwrap();
            }
            let before = files(directory.path());
            match open(directory.path(), "db-1", None).await {
                Err(error) => {
                    assert!(error.to_string().contains("damaged"), "{names:?}: {error}");
                    assert!(before == files(directory.path()), "{names:?} were changed: {error}");
                }
                // Opening may succeed if every outdated page is also in the write-ahead log.
                Ok((_, recovered)) => assert_eq!(state(recovered), expected, "{names:?}"),
            }
        }
    }
    let directory = killed(last.path());
    fs::copy(earlier[2].path().join("snapshot.db"), directory.path().join("snapshot.db")).unwrap();
    fs::remove_file(directory.path().join("snapshot.db-wal")).unwrap();
    assert_refused(directory.path(), "it is an old one, or misses its newest part").await;
}

/// Each row is intact, but one of them is from an earlier time.
#[tokio::test]
async fn a_snapshot_of_rows_of_different_ages_is_refused() {
    let directory = TempDir::new().unwrap();
    let (storage, _) = open(directory.path(), "db-1", None).await.unwrap();
    let entries: Vec<_> = (1..=40).map(|index| put(index, &format!("key-{}", index % 20), "value")).collect();
    storage.persist(batch(entries.clone())).await.unwrap();
    storage.compact(entries[..20].to_vec()).await.unwrap();
    fs::copy(directory.path().join("snapshot.db"), directory.path().join("old.db")).unwrap();
    let old = directory.path().join("old.db");
    storage.compact(entries[20..].to_vec()).await.unwrap();
    {
        let mut snapshot = storage.snapshot.lock().await;
        snapshot.ask(&format!("ATTACH '{}' AS old", old.display())).await;
        snapshot.ask("REPLACE INTO records SELECT * FROM old.records WHERE key = 'key-3'").await;
    }
    storage.close().await;
    fs::remove_file(old).unwrap();
    assert_refused(directory.path(), "its table of records is put together from parts of different ages")
        .await;
}

#[tokio::test]
async fn what_is_gone_beside_the_log_is_refused() {
    for (name, words) in [
        ("acknowledged", "acknowledged is damaged: it is gone"),
        ("life", "life is damaged: it is gone"),
        ("snapshot.db", "snapshot.db is damaged: it is gone"),
    ] {
        let directory = twenty(true).await;
        fs::remove_file(directory.path().join(name)).unwrap();
        assert_refused(directory.path(), words).await;
        fs::write(directory.path().join(name), "").unwrap();
        assert_refused(directory.path(), &format!("{name} is damaged: it is ")).await;
    }
}
