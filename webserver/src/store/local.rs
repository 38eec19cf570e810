//! The cache in this process's memory: copies, recent failures, and the fills in progress.
//!
//! A fill may store its answer only while it is *the* fill of its key. A write detaches it, so a late
//! answer from before the write never overwrites the new value; its waiting readers asked before the
//! write was acknowledged, and may still get it.
//!
//! This module neither waits nor calls the database; the store does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use moka::sync::Cache;
use parking_lot::Mutex;

use super::fill::{Fill, Filler, Outcome};
use super::freshness::{REST, Rules, Times, Verdict};
use super::{Document, Source, StoreError};

/// Copies in this process's memory, and the fills in progress.
#[derive(Debug)]
pub(super) struct LocalCache {
    kept: Cache<String, Arc<Kept>>,
    /// Entries change only under this lock, so that both agree.
    fills: Mutex<HashMap<String, Fill>>,
    rules: Rules,
}

/// The entry of one key. A failed fill leaves the copy unchanged; a successful one clears the failure.
#[derive(Debug, Default)]
struct Kept {
    copy: Option<(Option<Document>, Times)>,
    failure: Option<Failure>,
}

/// A failed fill. If failures were not remembered, every reader of a key without a copy would query a
/// database that is gone.
#[derive(Debug)]
struct Failure {
    error: StoreError,
    /// Until then the database is left alone.
    rests_until: Instant,
}

/// What a lookup found.
#[derive(Debug)]
pub(super) enum Lookup {
    /// A copy that can be served, and how it is reported.
    Ready(Option<Document>, Source),
    /// There is no copy, and a fill has just failed.
    Failed(StoreError),
    /// The database must be queried.
    Wait {
        /// The fill to wait for.
        fill: Fill,
        /// Given to the one reader that must do the fill.
        filler: Option<Filler>,
        /// A stale copy, if there is one.
        copy: Option<Option<Document>>,
    },
}

impl LocalCache {
    /// Creates an empty cache.
    pub(super) fn new(entries: u64, rules: Rules) -> Self {
        // The rules decide about freshness; this only frees memory.
        let lives = rules.useful_for_max().max(REST);
        let kept = Cache::builder().max_capacity(entries).time_to_live(lives).build();
        Self { kept, fills: Mutex::default(), rules }
    }

    /// The freshness rules.
    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Looks up a key. Only one reader gets the filler.
    pub(super) fn look_up(&self, key: &str, now: Instant) -> Lookup {
        if let Some((found, Verdict::Fresh)) = self.kept(key).copy(now) {
            return Lookup::Ready(found, Source::Hit);
        }
        let mut fills = self.fills.lock();
        // Look again: a fill may have completed in between, and then there is none to wait for.
        let kept = self.kept(key);
        let copy = match kept.copy(now) {
            Some((found, Verdict::Fresh)) => return Lookup::Ready(found, Source::Hit),
            Some((found, Verdict::Stale)) => Some(found),
            Some((_, Verdict::Useless)) | None => None,
        };
        match (kept.failure(now), copy.clone()) {
            (Some(_), Some(found)) => return Lookup::Ready(found, Source::Stale),
            (Some(error), None) => return Lookup::Failed(error),
            (None, _) => {}
        }
        if let Some(fill) = fills.get(key).filter(|fill| fill.is_under_way()) {
            return Lookup::Wait { fill: fill.clone(), filler: None, copy };
        }
        let filler = Filler::begin(now);
        let fill = filler.fill.clone();
        fills.insert(key.to_owned(), fill.clone());
        Lookup::Wait { fill, filler: Some(filler), copy }
    }

    /// Ends a fill: stores its result, unless there was a write in the meantime, and delivers it to all
    /// waiting readers.
    pub(super) fn complete_fill(&self, key: &str, filler: Filler, outcome: Outcome, now: Instant, dice: f64) {
        let mut fills = self.fills.lock();
        if fills.get(key).is_some_and(|fill| fill.is(&filler.fill)) {
            fills.remove(key);
            self.keep(key, &outcome, filler.fill.began, now, dice);
        }
        drop(fills);
        filler.tell(outcome);
    }

    /// Removes the entry of a key, and detaches its fill in progress.
    pub(super) fn invalidate(&self, key: &str) {
        let mut fills = self.fills.lock();
        fills.remove(key);
        self.kept.invalidate(key);
    }

    fn kept(&self, key: &str) -> Arc<Kept> {
        self.kept.get(key).unwrap_or_default()
    }

    fn keep(&self, key: &str, outcome: &Outcome, asked: Instant, now: Instant, dice: f64) {
        let kept = match outcome {
            Ok(found) => {
                let times = self.rules.times(asked, found.is_some(), dice);
                Kept { copy: Some((found.clone(), times)), failure: None }
            }
            Err(error) => Kept {
                copy: self.kept(key).copy.clone(),
                failure: Some(Failure { error: error.clone(), rests_until: now + REST }),
            },
        };
        self.kept.insert(key.to_owned(), Arc::new(kept));
    }
}

impl Kept {
    fn copy(&self, now: Instant) -> Option<(Option<Document>, Verdict)> {
        let (found, times) = self.copy.as_ref()?;
        Some((found.clone(), times.judge(now)))
    }

    fn failure(&self, now: Instant) -> Option<StoreError> {
        let failure = self.failure.as_ref().filter(|failure| now < failure.rests_until)?;
        Some(failure.error.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use dbclient::Version;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::store::{Document, StoreError};

    const TTL: Duration = Duration::from_secs(30);

    fn cache() -> LocalCache {
        let rules =
            Rules { ttl: TTL, stale_after: Duration::from_millis(50), stale_for: Duration::from_secs(600) };
        LocalCache::new(100, rules)
    }

    fn document(text: &'static str) -> Option<Document> {
        Some(Document { body: Bytes::from_static(text.as_bytes()), version: Version(1), node: "db".into() })
    }

    /// Returns the filler that a reader of a cold or stale key gets.
    fn filler(cache: &LocalCache, now: Instant) -> Filler {
        match cache.look_up("key", now) {
            Lookup::Wait { filler: Some(filler), .. } => filler,
            other => panic!("expected to be told to fill, not {other:?}"),
        }
    }

    fn ready(cache: &LocalCache, now: Instant) -> Option<(Option<Document>, Source)> {
        match cache.look_up("key", now) {
            Lookup::Ready(found, source) => Some((found, source)),
            Lookup::Failed(_) | Lookup::Wait { .. } => None,
        }
    }

    #[test]
    fn only_the_first_reader_fills() {
        let (cache, now) = (cache(), Instant::now());
        let filler = filler(&cache, now);
        let Lookup::Wait { fill, filler: None, copy: None } = cache.look_up("key", now) else {
            panic!("the second one waits for the first one's fill");
        };
        assert!(fill.is(&filler.fill));
    }

    #[test]
    fn what_a_fill_brings_is_a_hit_for_the_next() {
        let (cache, now) = (cache(), Instant::now());
        cache.complete_fill("key", filler(&cache, now), Ok(document("1")), now, 0.0);
        assert_eq!(ready(&cache, now), Some((document("1"), Source::Hit)));
    }

    #[test]
    fn a_fill_that_a_write_overtook_keeps_nothing() {
        let (cache, now) = (cache(), Instant::now());
        let before_the_write = filler(&cache, now);
        cache.invalidate("key");
        cache.complete_fill("key", before_the_write, Ok(document("old")), now, 0.0);
        assert_eq!(ready(&cache, now), None);
    }

    #[test]
    fn a_reader_after_a_write_does_not_wait_for_a_fill_from_before_it() {
        let (cache, now) = (cache(), Instant::now());
        let before_the_write = filler(&cache, now);
        cache.invalidate("key");
        let after_the_write = filler(&cache, now);
        cache.complete_fill("key", after_the_write, Ok(document("new")), now, 0.0);
        cache.complete_fill("key", before_the_write, Ok(document("old")), now, 0.0);
        assert_eq!(ready(&cache, now), Some((document("new"), Source::Hit)));
    }

    #[test]
    fn after_a_failed_refill_the_stale_copy_is_served_at_once_for_a_second() {
        let (cache, now) = (cache(), Instant::now());
        cache.complete_fill("key", filler(&cache, now), Ok(document("1")), now, 0.0);
        let later = now + TTL;
        cache.complete_fill("key", filler(&cache, later), Err(StoreError::ReadGivenUp), later, 0.0);
        assert_eq!(ready(&cache, later), Some((document("1"), Source::Stale)));
        assert_eq!(ready(&cache, later + Duration::from_secs(1)), None);
    }

    /// Lets a fill fail, and returns the cache after that.
    fn cache_after_a_failure(now: Instant) -> LocalCache {
        let cache = cache();
        cache.complete_fill("key", filler(&cache, now), Err(StoreError::ReadGivenUp), now, 0.0);
        cache
    }

    fn has_failed(cache: &LocalCache, now: Instant) -> bool {
        matches!(cache.look_up("key", now), Lookup::Failed(StoreError::ReadGivenUp))
    }

    #[test]
    fn without_a_copy_a_failure_is_told_at_once_for_a_second_and_then_one_reader_asks_again() {
        let now = Instant::now();
        let cache = cache_after_a_failure(now);
        let almost = now + Duration::from_millis(999);
        assert!(has_failed(&cache, now) && has_failed(&cache, almost));
        let later = now + Duration::from_secs(1);
        let second = filler(&cache, later);
        assert!(matches!(cache.look_up("key", later), Lookup::Wait { filler: None, .. }));
        cache.complete_fill("key", second, Err(StoreError::ReadGivenUp), later, 0.0);
        assert!(has_failed(&cache, later));
    }

    #[test]
    fn a_write_forgets_a_failure() {
        let now = Instant::now();
        let cache = cache_after_a_failure(now);
        cache.invalidate("key");
        cache.complete_fill("key", filler(&cache, now), Ok(document("1")), now, 0.0);
        assert_eq!(ready(&cache, now), Some((document("1"), Source::Hit)));
    }

    #[test]
    fn a_failure_that_a_write_overtook_is_not_remembered() {
        let (cache, now) = (cache(), Instant::now());
        let before_the_write = filler(&cache, now);
        cache.invalidate("key");
        cache.complete_fill("key", before_the_write, Err(StoreError::ReadGivenUp), now, 0.0);
        assert!(!has_failed(&cache, now));
    }

    #[test]
    fn a_success_forgets_the_failure_before_it() {
        let now = Instant::now();
        let cache = cache_after_a_failure(now);
        let later = now + REST;
        cache.complete_fill("key", filler(&cache, later), Ok(document("1")), later, 0.0);
        // The copy has expired normally, not because of a failure.
        let stale = later + TTL;
        assert!(matches!(cache.look_up("key", stale), Lookup::Wait { filler: Some(_), copy: Some(_), .. }));
    }

    #[test]
    fn when_the_copy_becomes_useless_while_the_database_rests_the_failure_is_told() {
        let (cache, now) = (cache(), Instant::now());
        cache.complete_fill("key", filler(&cache, now), Ok(document("1")), now, 0.0);
        let useless = now + cache.rules().useful_for_max();
        let just_before = useless - Duration::from_millis(500);
        cache.complete_fill(
            "key",
            filler(&cache, just_before),
            Err(StoreError::ReadGivenUp),
            just_before,
            0.0,
        );
        assert_eq!(ready(&cache, just_before), Some((document("1"), Source::Stale)));
        assert!(has_failed(&cache, useless));
    }

    #[test]
    fn a_fill_whose_task_died_is_begun_anew() {
        let (cache, now) = (cache(), Instant::now());
        drop(filler(&cache, now));
        drop(filler(&cache, now));
    }

    /// Events that can happen in any order. Fills are numbered by age.
    #[derive(Debug, Clone)]
    enum Event {
        Reads,
        Lands(usize),
        Fails(usize),
        Commits,
        Acknowledges,
        TimePasses(u64),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            3 => Just(Event::Reads),
            3 => (0..4usize).prop_map(Event::Lands),
            1 => (0..4usize).prop_map(Event::Fails),
            1 => Just(Event::Commits),
            1 => Just(Event::Acknowledges),
            1 => (0..40u64).prop_map(Event::TimePasses),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn no_reader_ever_gets_what_an_acknowledged_write_replaced(events in vec(event(), 1..60)) {
            let (cache, mut now) = (cache(), Instant::now());
            let (mut committed, mut acknowledged) = (0, 0);
            let mut under_way = Vec::new();
            for event in events {
                match event {
                    Event::Reads => match cache.look_up("key", now) {
                        Lookup::Ready(found, _) | Lookup::Wait { copy: Some(found), filler: None, .. } => {
                            prop_assert!(found.unwrap().version >= Version(acknowledged));
                        }
                        Lookup::Failed(_) => {}
                        // The database is queried now, and its answer may take any time.
                        Lookup::Wait { filler: Some(filler), copy, .. } => {
                            prop_assert!(copy.flatten().is_none_or(|old| old.version >= Version(acknowledged)));
                            under_way.push((filler, committed));
                        }
                        Lookup::Wait { filler: None, copy: None, fill } => {
                            // A waiting reader gets the result of this fill.
                            let brings = under_way.iter().find(|(filler, _)| filler.fill.is(&fill));
                            prop_assert!(brings.expect("it is under way").1 >= acknowledged);
                        }
                    },
                    Event::Lands(which) if which < under_way.len() => {
                        let (filler, version) = under_way.remove(which);
                        let found = document("?").map(|old| Document { version: Version(version), ..old });
                        cache.complete_fill("key", filler, Ok(found), now, 0.5);
                    }
                    Event::Fails(which) if which < under_way.len() => {
                        let (filler, _) = under_way.remove(which);
                        cache.complete_fill("key", filler, Err(StoreError::ReadGivenUp), now, 0.5);
                    }
                    Event::Lands(_) | Event::Fails(_) => {}
                    Event::Commits => committed += 1,
                    Event::Acknowledges => {
                        cache.invalidate("key");
                        acknowledged = committed;
                    }
                    Event::TimePasses(seconds) => now += Duration::from_secs(seconds),
                }
            }
        }
    }
}
