//! The figures of a span of time: all requests that were *meant* to be sent in it.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::{CacheMark, Latencies, Moment, Outcome, Sample};

/// The largest share of unsent requests with which the figures still count.
const MISSING_MAX: f64 = 0.1;

/// A late request delays those after it until this many times its lateness has passed: a target with a
/// quarter of its time to spare has then worked off what came at once.
const MADE_UP_IN: u32 = 4;

/// The requests meant for one span of time.
#[derive(Debug, Clone)]
pub struct Window {
    /// The first moment in the window.
    pub from: Moment,
    /// The first moment after the window.
    pub to: Moment,
    /// Requests without an outcome when the window was taken. They are in none of the figures.
    pub unfinished: usize,
    /// The requests that were sent.
    samples: Vec<Sample>,
    /// The requests that the generator could not send. They are in none of the figures, since nothing is
    /// known about them.
    unsent: Vec<Sample>,
    successful: Latencies,
    all: Latencies,
    lags: Latencies,
}

impl Window {
    /// Builds the window over these samples.
    pub fn new(from: Moment, to: Moment, samples: Vec<Sample>, unfinished: usize) -> Self {
        let lags = samples.iter().map(|sample| sample.lag).collect();
        let (unsent, samples): (Vec<_>, Vec<_>) =
            samples.into_iter().partition(|sample| sample.outcome.is_the_generators());
        let successful = samples.iter().filter(|sample| sample.outcome.is_success());
        Self {
            from,
            to,
            unfinished,
            successful: successful.map(|sample| sample.latency).collect(),
            all: samples.iter().map(|sample| sample.latency).collect(),
            lags,
            samples,
            unsent,
        }
    }

    /// Joins several streams' windows of the same span, as if they were one stream.
    pub fn joined(from: Moment, to: Moment, windows: Vec<Self>) -> Self {
        let unfinished = windows.iter().map(|window| window.unfinished).sum();
        let both = |window: Self| window.samples.into_iter().chain(window.unsent);
        let mut samples: Vec<_> = windows.into_iter().flat_map(both).collect();
        samples.sort_by_key(|sample| sample.intended);
        Self::new(from, to, samples, unfinished)
    }

    /// The samples of the requests that were sent, by intended moment.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The number of requests that were sent and have an outcome.
    pub fn requests(&self) -> usize {
        self.samples.len()
    }

    /// The number of requests that the generator could not send.
    pub fn unsent(&self) -> usize {
        self.unsent.len()
    }

    /// The number of successful requests, stale answers included.
    pub fn ok(&self) -> usize {
        self.successful.len()
    }

    /// The number of attempts of all requests, retries included.
    pub fn attempts(&self) -> u64 {
        self.samples.iter().map(|sample| u64::from(sample.attempts)).sum()
    }

    /// Attempts per request: 1 without retries.
    pub fn amplification(&self) -> f64 {
        if self.samples.is_empty() { 0.0 } else { self.attempts() as f64 / self.samples.len() as f64 }
    }

    /// The number of failed requests, whatever the reason.
    pub fn failed(&self) -> usize {
        self.requests() - self.ok()
    }

    /// Failed requests as a share of all, from 0 to 1; 0 if there were none.
    pub fn error_rate(&self) -> f64 {
        ratio(self.failed(), self.requests())
    }

    /// The number of requests with this outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.outcomes().get(&outcome).copied().unwrap_or(0)
    }

    /// Requests by outcome, unsent ones included; outcomes that did not occur are absent.
    pub fn outcomes(&self) -> BTreeMap<Outcome, usize> {
        tally(self.samples.iter().chain(&self.unsent).map(|sample| sample.outcome))
    }

    /// Answers by cache status; those without one are absent.
    pub fn cache_marks(&self) -> BTreeMap<CacheMark, usize> {
        tally(self.samples.iter().map(|sample| sample.cache).filter(|mark| *mark != CacheMark::None))
    }

    /// Answers by server, for those that named one.
    pub fn served(&self) -> BTreeMap<Arc<str>, usize> {
        tally(self.samples.iter().filter_map(|sample| sample.served_by.clone()))
    }

    /// This server's share of the answers that named one, from 0 to 1.
    pub fn share(&self, server: &str) -> f64 {
        let served = self.served();
        ratio(served.get(server).copied().unwrap_or(0), served.values().sum())
    }

    /// The rate of requests, per second.
    pub fn rate(&self) -> f64 {
        self.per_second(self.requests())
    }

    /// The rate of successful requests, per second.
    pub fn goodput(&self) -> f64 {
        self.per_second(self.ok())
    }

    /// The latency that `percent` % of the successful requests did not exceed.
    pub fn percentile(&self, percent: f64) -> Option<Duration> {
        self.successful.percentile(percent)
    }

    /// The latencies of the successful requests.
    pub fn latencies(&self) -> &Latencies {
        &self.successful
    }

    /// The latencies of all requests sent, failed ones included: a refusal is quick, and a timeout took at
    /// least its limit.
    pub fn all_latencies(&self) -> &Latencies {
        &self.all
    }

    /// The latencies of the requests with this outcome.
    pub fn latencies_of(&self, outcome: Outcome) -> Latencies {
        let of_outcome = self.samples.iter().filter(|sample| sample.outcome == outcome);
        of_outcome.map(|sample| sample.latency).collect()
    }

    /// The latencies of the successful requests with this cache status.
    pub fn latencies_marked(&self, mark: CacheMark) -> Latencies {
        let marked = self.samples.iter().filter(|sample| sample.outcome.is_success() && sample.cache == mark);
        marked.map(|sample| sample.latency).collect()
    }

    /// The time from the first failed request to the first successful one after the last failed one, or to
    /// the window's end if there is none. Zero if nothing failed.
    pub fn outage(&self) -> Duration {
        let failed = |sample: &&Sample| !sample.outcome.is_success();
        let Some(first) = self.samples.iter().find(failed) else { return Duration::ZERO };
        let last = self.samples.iter().rposition(|sample| failed(&sample)).unwrap_or_default();
        let good_again = self.samples.get(last + 1).map_or(self.to, |sample| sample.intended);
        good_again.saturating_sub(first.intended)
    }

    /// The longest time without a successful answer, from the start of the window to its end.
    pub fn silence(&self) -> Duration {
        self.silences().into_iter().max().unwrap_or_default()
    }

    /// True if the longest silence lasted until the end of the window, so that it may have been longer.
    pub fn ends_in_silence(&self) -> bool {
        let silences = self.silences();
        silences.last() == silences.iter().max()
    }

    /// The times between good answers, from the beginning of the window to its end.
    fn silences(&self) -> Vec<Duration> {
        let good = self.samples.iter().filter(|sample| sample.outcome.is_success());
        let mut answered: Vec<_> = good.map(|sample| sample.intended + sample.latency).collect();
        answered.retain(|at| *at <= self.to);
        answered.extend([self.from, self.to]);
        answered.sort_unstable();
        answered.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    /// True if one of the last `count` requests failed.
    pub fn is_failing(&self, count: usize) -> bool {
        self.samples.iter().rev().take(count).any(|sample| !sample.outcome.is_success())
    }

    /// True if the last `count` requests succeeded after an earlier failure. The failure is in this window or
    /// in `before`, the one before it: an outage that ended early may have left no failure in this one. Only
    /// for a window without unfinished requests.
    pub fn has_recovered(&self, count: usize, before: &Self) -> bool {
        let good = self.samples.iter().rev().take_while(|sample| sample.outcome.is_success()).count();
        good >= count && (good < self.samples.len() || before.is_failing(count))
    }

    /// The window as it would have been if every request had been sent on time and the host had not paused: a
    /// request that was late, or waited through a pause, takes that much less. A late request also delays
    /// those after it for a while.
    #[must_use]
    pub fn as_if_on_time(&self, pauses: &[Range<Moment>]) -> Self {
        let mut samples = self.samples.clone();
        let mut in_the_way = (Moment::ZERO, Duration::ZERO);
        for sample in &mut samples {
            let (since, by) = in_the_way;
            let still = by.saturating_sub(sample.intended.saturating_sub(since) / MADE_UP_IN);
            let lag = still.max(sample.lag);
            if sample.lag >= still {
                in_the_way = (sample.intended + sample.lag, sample.lag);
            }
            let during = sample.intended..sample.intended + sample.latency;
            let paused = pauses.iter().map(|pause| overlap(pause, &during)).sum::<Duration>();
            sample.latency = sample.latency.saturating_sub(lag.max(paused));
            sample.lag = Duration::ZERO;
        }
        samples.extend(self.unsent.iter().cloned());
        Self::new(self.from, self.to, samples, self.unfinished)
    }

    /// The largest lag of a request that was sent.
    pub fn lag_max(&self) -> Duration {
        self.samples.iter().map(|sample| sample.lag).max().unwrap_or_default()
    }

    /// The p99 of the generator's lag.
    pub fn lag_p99(&self) -> Duration {
        self.lags.percentile(99.0).unwrap_or_default()
    }

    /// The reason why these figures say more about the load generator than about the servers, if they do. Its
    /// lag (p99) was above 5 ms and above 10 % of the latency objective, too many requests were not sent, or
    /// some have no outcome.
    pub fn generator_fell_behind(&self, objective: Duration) -> Option<String> {
        self.incomplete().or_else(|| self.late(objective))
    }

    /// The reason why not even counts can be trusted, if any: too many requests were not sent, or some have
    /// no outcome.
    pub fn incomplete(&self) -> Option<String> {
        let unknown = || format!("{} requests have no outcome", self.unfinished);
        let many = self.unsent() as f64 > MISSING_MAX * (self.requests() + self.unsent()) as f64;
        self.not_sent().filter(|_| many).or_else(|| (self.unfinished > 0).then(unknown))
    }

    /// The reason why some requests were not sent, if any.
    pub fn not_sent(&self) -> Option<String> {
        let (unsent, due) = (self.unsent(), self.requests() + self.unsent());
        (unsent > 0).then(|| format!("the load generator could not send {unsent} of {due} in time"))
    }

    /// The reason why requests were sent too late, if they were.
    pub fn late(&self, objective: Duration) -> Option<String> {
        let (lag, limit) = (self.lag_p99(), Duration::from_millis(5).max(objective / 10));
        (lag > limit).then(|| format!("the load generator was {lag:.1?} late (p99; limit {limit:.1?})"))
    }

    fn per_second(&self, count: usize) -> f64 {
        let seconds = self.to.saturating_sub(self.from).as_secs_f64();
        if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
    }
}

fn overlap(one: &Range<Moment>, other: &Range<Moment>) -> Duration {
    one.end.min(other.end).saturating_sub(one.start.max(other.start))
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn tally<T: Ord>(things: impl Iterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    things.for_each(|thing| *counts.entry(thing).or_default() += 1);
    counts
}

#[cfg(test)]
mod tests {
    use super::super::StreamId;
    use super::*;

    fn sample(outcome: Outcome, latency_ms: u64, server: Option<&str>) -> Sample {
        Sample {
            stream: StreamId::default(),
            intended: Duration::ZERO,
            lag: Duration::from_millis(latency_ms / 10),
            latency: Duration::from_millis(latency_ms),
            outcome,
            status: 0,
            served_by: server.map(Arc::from),
            cache: CacheMark::None,
            attempts: 1,
        }
    }

    fn window(samples: Vec<Sample>) -> Window {
        Window::new(Duration::ZERO, Duration::from_secs(2), samples, 0)
    }

    #[test]
    fn nothing_has_no_percentile() {
        let empty = window(vec![]);
        assert_eq!((empty.percentile(99.0), empty.latencies().mean()), (None, None));
        assert_eq!((empty.error_rate(), empty.rate(), empty.share("web-1")), (0.0, 0.0, 0.0));
    }

    #[test]
    fn failures_are_counted_and_kept_out_of_the_percentiles_of_success() {
        let window = window(vec![
            sample(Outcome::Ok, 10, None),
            sample(Outcome::Stale, 20, None),
            sample(Outcome::Timeout, 5_000, None),
            sample(Outcome::Refused, 1, None),
        ]);
        assert_eq!((window.requests(), window.ok(), window.failed()), (4, 2, 2));
        assert_eq!((window.rate(), window.goodput(), window.error_rate()), (2.0, 1.0, 0.5));
        assert_eq!(window.percentile(100.0), Some(Duration::from_millis(20)));
        assert_eq!(window.all_latencies().max(), Some(Duration::from_secs(5)));
        assert_eq!(window.latencies_of(Outcome::Refused).len(), 1);
        assert_eq!(window.outcomes()[&Outcome::Timeout], 1);
    }

    #[test]
    fn shares_are_of_the_answers_that_name_a_server() {
        let ok = |server| sample(Outcome::Ok, 1, server);
        let window = window(vec![ok(Some("web-1")), ok(Some("web-2")), ok(Some("web-1")), ok(None)]);
        assert_eq!(window.share("web-1"), 2.0 / 3.0);
        assert_eq!(window.share("web-3"), 0.0);
    }

    #[test]
    fn an_outage_lasts_from_the_first_failure_to_the_first_good_answer_after_the_last() {
        let at = |ms, outcome| Sample { intended: Duration::from_millis(ms), ..sample(outcome, 1, None) };
        let good = |ms| at(ms, Outcome::Ok);
        let bad = |ms| at(ms, Outcome::Refused);
        assert_eq!(window(vec![good(0), good(10)]).outage(), Duration::ZERO);
        let with_a_gap = window(vec![good(0), bad(10), good(20), bad(30), good(45), good(50)]);
        assert_eq!(with_a_gap.outage(), Duration::from_millis(35));
        let to_the_end = window(vec![good(0), bad(500)]);
        assert_eq!(to_the_end.outage(), to_the_end.to - Duration::from_millis(500));
    }

    #[test]
    fn a_traffic_has_recovered_when_it_failed_before_it_was_answered_well() {
        let of = |outcomes: &str| {
            let outcome = |letter| if letter == 'x' { Outcome::Refused } else { Outcome::Ok };
            window(outcomes.chars().map(|letter| sample(outcome(letter), 1, None)).collect())
        };
        let recovered = |before: &str, after: &str| of(after).has_recovered(3, &of(before));
        assert!(recovered("...", "x..x..."));
        assert!(!recovered("...", "x..x.."), "not so many yet");
        assert!(!recovered("...", "......"), "nothing had failed");
        assert!(!recovered("", "......"), "nothing is known of before");
        // The failures may have ended before the next request.
        assert!(recovered("xxx", "..."));
        assert!(recovered("..x.", "...") && !recovered("x...", "..."), "the last ones before count");
    }

    #[test]
    fn what_was_sent_late_or_waited_through_a_pause_took_less() {
        let sent = |at, lag, latency| Sample {
            intended: Duration::from_millis(at),
            lag: Duration::from_millis(lag),
            ..sample(Outcome::Ok, latency, None)
        };
        let window = window(vec![sent(0, 0, 10), sent(100, 40, 55), sent(180, 0, 50), sent(1_500, 0, 520)]);
        let pause = Duration::from_millis(1_510)..Duration::from_millis(2_010);
        let on_time = window.as_if_on_time(&[pause]);
        let took: Vec<_> = on_time.samples().iter().map(|sample| sample.latency.as_millis()).collect();
        // 40 ms after the late one was sent, 30 of its 40 ms are still in the way.
        assert_eq!(took, [10, 15, 20, 20]);
        assert_eq!((window.lag_max(), on_time.lag_max()), (Duration::from_millis(40), Duration::ZERO));
    }

    #[test]
    fn what_could_not_be_sent_is_in_no_figure() {
        let mut samples = vec![sample(Outcome::Ok, 10, None); 90];
        samples.extend(vec![sample(Outcome::NotSent, 900, None); 10]);
        let few = window(samples.clone());
        assert_eq!((few.requests(), few.failed(), few.unsent(), few.outage()), (90, 0, 10, Duration::ZERO));
        assert!(few.not_sent().is_some() && few.incomplete().is_none());
        samples.push(sample(Outcome::NotSent, 900, None));
        assert!(window(samples).incomplete().unwrap().contains("11 of 101"));
    }

    #[test]
    fn silence_is_the_longest_time_without_a_good_answer() {
        let good = |ms, latency| Sample {
            intended: Duration::from_millis(ms),
            ..sample(Outcome::Ok, latency, None)
        };
        let bad = Sample { intended: Duration::from_millis(900), ..sample(Outcome::Refused, 1, None) };
        let answered = window(vec![good(0, 10), good(500, 10), bad, good(1_000, 490), good(1_600, 1)]);
        assert_eq!(answered.silence(), Duration::from_millis(980));
        assert!(!answered.ends_in_silence());
        assert!(window(vec![good(0, 10), good(500, 10)]).ends_in_silence());
        assert_eq!(window(vec![]).silence(), Duration::from_secs(2), "nobody was answered at all");
        let late = window(vec![good(100, 10_000)]);
        assert_eq!(late.silence(), Duration::from_secs(2), "an answer after the end is none");
    }

    #[test]
    fn a_generator_that_fell_behind_says_so() {
        let calm = window(vec![sample(Outcome::Ok, 40, None)]);
        assert_eq!(calm.generator_fell_behind(Duration::from_millis(10)), None);
        let late = window(vec![sample(Outcome::Ok, 100, None)]);
        assert!(late.generator_fell_behind(Duration::from_millis(10)).unwrap().contains("10.0ms late"));
        assert_eq!(late.generator_fell_behind(Duration::from_secs(1)), None);
        let full = window(vec![sample(Outcome::Ok, 1, None), sample(Outcome::Cancelled, 0, None)]);
        assert!(full.generator_fell_behind(Duration::from_secs(1)).unwrap().contains("1 of 2"));
    }
}
