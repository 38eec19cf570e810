//! A step that searches for capacities.

use std::collections::HashMap;

use futures_util::future::try_join_all;

use super::{EventKind, Pace, Run};
use crate::testbed::stream_of;
use chapter::step::CapacitySearch;
use lab::error::LabError;
use load::{CapacityEstimate, Objective, find_capacity};

impl Run<'_> {
    /// Searches for the capacities of several targets concurrently.
    pub(super) async fn search_capacities(
        &self,
        search: &CapacitySearch,
    ) -> Result<(HashMap<String, CapacityEstimate>, Option<String>), LabError> {
        let objective = objective(search, self.pace);
        let searches = search.of.iter().map(|name| async {
            let name = name.as_ref();
            let stream = stream_of(name, &self.bed.chapter.traffic[name], &self.bed.lab.plan(), self.seed)?;
            let mix = vec![(stream, 1.0)];
            let found = find_capacity(&self.bed.generator, mix, search.from, &objective, |rate, trial| {
                self.emitter.emit(EventKind::Tried { traffic: name, rate, tried: trial });
            });
            let found = found.await.map_err(|error| LabError::Usage(error.to_string()))?;
            Ok::<_, LabError>((name.to_owned(), found))
        });
        let limit = 24 * (search.probe.0 + search.p99.0);
        let found =
            self.watching("searching for the highest good rate", limit, try_join_all(searches)).await?;
        let distrust = found.iter().find_map(|(_, (_, distrust))| distrust.clone());
        Ok((found.into_iter().map(|(name, (estimate, _))| (name, estimate)).collect(), distrust))
    }
}

/// Returns a chapter's objective. It tolerates one miss, which may be due to the host or to a queue left by
/// an earlier trial: a rate that was found too high once is never tried again.
fn objective(search: &CapacitySearch, pace: Pace) -> Objective {
    Objective { misses: 2, ..Objective::new(search.p99.0, pace.of(search.probe.0)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_miss_does_not_cap_a_capacity() {
        let search = toml::from_str("of = ['a']\nfrom = 80\np99 = '60ms'\nprobe = '2s'").unwrap();
        assert!(objective(&search, Pace::Normal).misses > 1);
    }
}
