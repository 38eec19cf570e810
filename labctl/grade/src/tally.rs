//! The results of many requests, checked against expectations. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use indexmap::IndexMap;

/// The result of one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// When it was sent, since the first one.
    pub at: Duration,
    /// How long it took.
    pub took: Duration,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// The server that answered.
    pub server: Option<String>,
}

/// The results of many requests.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// The results, in order of completion.
    pub sent: Vec<Sent>,
}

impl Tally {
    /// Returns the number of failures.
    pub fn failed(&self) -> usize {
        self.sent.iter().filter(|sent| sent.failure.is_some()).count()
    }

    /// Returns the number of requests that each server answered.
    pub fn shares(&self) -> BTreeMap<&str, usize> {
        let mut shares = BTreeMap::new();
        for server in self.sent.iter().filter_map(|sent| sent.server.as_deref()) {
            *shares.entry(server).or_insert(0) += 1;
        }
        shares
    }

    /// Returns the most frequent reason for failure, and how often it occurred.
    pub fn why(&self) -> Option<(&str, usize)> {
        let mut reasons = BTreeMap::new();
        for reason in self.sent.iter().filter_map(|sent| sent.failure.as_deref()) {
            *reasons.entry(reason).or_insert(0) += 1;
        }
        reasons.into_iter().max_by_key(|(_, count)| *count)
    }

    /// Returns the 99th percentile of the response times.
    pub fn p99(&self) -> Duration {
        let mut times: Vec<_> = self.sent.iter().map(|sent| sent.took).collect();
        times.sort();
        let at = (times.len() * 99).div_ceil(100).saturating_sub(1);
        times.get(at).copied().unwrap_or_default()
    }

    /// Checks the number of failures.
    pub fn check_failed(&self, at_most: usize) -> Result<(), String> {
        let (failed, of) = (self.failed(), self.sent.len());
        if failed <= at_most {
            return Ok(());
        }
        let wanted = if at_most == 0 { "none".into() } else { format!("at most {at_most}") };
        let why = self.why().map(|(why, count)| format!("; {count}×: {why}")).unwrap_or_default();
        Err(format!("{failed} of {of} requests failed, wanted {wanted}{why}"))
    }

    /// Checks that no request failed in the final period, which would mean that the disturbance is not over.
    pub fn check_quiet(&self, quiet: Duration, end: Duration) -> Result<(), String> {
        let late = self.sent.iter().filter(|sent| sent.failure.is_some());
        let late = late.filter(|sent| sent.at + quiet > end).count();
        match (quiet.is_zero(), late) {
            (true, _) | (_, 0) => Ok(()),
            (false, late) => {
                let why = self.why().map(|(why, _)| format!(" ({why})")).unwrap_or_default();
                Err(format!(
                    "requests were failing until the end: {late} of the last {quiet:?}{why}, wanted none"
                ))
            }
        }
    }

    /// Checks the 99th percentile.
    pub fn check_p99(&self, at_most: Option<Duration>) -> Result<(), String> {
        match at_most {
            Some(at_most) if self.p99() > at_most => Err(format!(
                "one request in a hundred took {:.1?} or longer, wanted at most {at_most:?}",
                self.p99()
            )),
            _ => Ok(()),
        }
    }

    /// Checks each server's share.
    pub fn check_shares(&self, wanted: &IndexMap<String, (usize, usize)>) -> Result<(), String> {
        let shares = self.shares();
        let share = |server: &str| shares.get(server).copied().unwrap_or(0);
        let wrong = wanted.iter().find(|(server, (low, high))| !(*low..=*high).contains(&share(server)));
        let Some((server, (low, high))) = wrong else { return Ok(()) };
        let all: Vec<_> = shares.iter().map(|(server, share)| format!("{server} {share}")).collect();
        let (all, of, share) = (all.join(", "), self.sent.len(), share(server));
        let wanted = if low == high { format!("{low}") } else { format!("{low} to {high}") };
        Err(format!("{server} answered {share} of {of} requests, wanted {wanted}; all: {all}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(at_ms: u64, failure: Option<&str>, server: &str) -> Sent {
        Sent {
            at: Duration::from_millis(at_ms),
            took: Duration::from_millis(at_ms),
            failure: failure.map(str::to_owned),
            server: Some(server.to_owned()),
        }
    }

    fn tally() -> Tally {
        Tally {
            sent: vec![sent(1, None, "web-1"), sent(2, Some("refused"), "web-2"), sent(3, None, "web-1")],
        }
    }

    #[test]
    fn failures_are_counted_and_the_most_frequent_is_told() {
        assert_eq!(tally().check_failed(1), Ok(()));
        let error = tally().check_failed(0).unwrap_err();
        assert_eq!(error, "1 of 3 requests failed, wanted none; 1×: refused");
    }

    #[test]
    fn a_failure_near_the_end_means_that_it_is_not_over() {
        let ms = Duration::from_millis;
        assert_eq!(tally().check_quiet(ms(10), ms(100)), Ok(()));
        assert_eq!(tally().check_quiet(ms(0), ms(3)), Ok(()), "nothing is wanted");
        assert!(
            tally().check_quiet(ms(10), ms(11)).unwrap_err().contains("until the end: 1 of the last 10ms")
        );
    }

    #[test]
    fn shares_are_held_against_what_is_wanted() {
        let wanted = |low, high| IndexMap::from([("web-1".to_owned(), (low, high))]);
        assert_eq!(tally().check_shares(&wanted(2, 2)), Ok(()));
        let error = tally().check_shares(&wanted(0, 1)).unwrap_err();
        assert_eq!(error, "web-1 answered 2 of 3 requests, wanted 0 to 1; all: web-1 2, web-2 1");
    }

    #[test]
    fn the_slowest_in_a_hundred() {
        let tally = Tally { sent: (1..=200).map(|ms| sent(ms, None, "web-1")).collect() };
        assert_eq!(tally.p99(), Duration::from_millis(198));
        assert!(tally.check_p99(Some(Duration::from_millis(100))).is_err());
        assert_eq!(tally.check_p99(Some(Duration::from_secs(1))), Ok(()));
    }
}
