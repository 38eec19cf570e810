//! Searches for the highest rate that meets an objective: doubling, then bisection. It proposes rates and
//! takes in the results; how a rate is tried is up to the caller.
#![deny(clippy::disallowed_methods)]

/// A search for a capacity, in requests per second.
///
/// ```text
///   met ──> double ──> met ──> double ──> missed      between the two:
///   missed ──> half ──> missed ──> half ──> met         the geometric middle, until ±2.5 %
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    start: f64,
    floor: f64,
    ceiling: f64,
    precision: f64,
    /// The factor between two rates until the capacity is bracketed.
    stride: f64,
    /// The highest rate that met the objective.
    met: Option<f64>,
    /// The lowest rate that missed it.
    missed: Option<f64>,
}

/// The result of a search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CapacityEstimate {
    /// The highest rate that met the objective, in requests per second. `None` if not even the lowest one
    /// tried did.
    pub low: Option<f64>,
    /// The lowest rate that missed it, in requests per second. `None` if not even the highest one tried did.
    pub high: Option<f64>,
}

impl Search {
    /// The largest distance of the true capacity from the middle of the estimate, as a share of the middle.
    pub const PRECISION: f64 = 0.025;

    /// Starts at this rate, and stays between `floor` and `ceiling`.
    pub fn new(start: f64, floor: f64, ceiling: f64) -> Self {
        let floor = floor.max(f64::MIN_POSITIVE);
        let ceiling = ceiling.max(floor);
        let (start, precision) = (start.clamp(floor, ceiling), Self::PRECISION);
        Self { start, floor, ceiling, precision, stride: 2.0, met: None, missed: None }
    }

    /// Ends at this precision rather than at [`Self::PRECISION`].
    pub fn to_within(self, precision: f64) -> Self {
        Self { precision, ..self }
    }

    /// Starts with the knowledge that this rate is too high.
    pub fn below(self, missed: f64) -> Self {
        Self { missed: Some(missed), start: self.start.min(missed), ..self }
    }

    /// Goes up and down by this factor rather than by two, for a start that is a good guess.
    pub fn in_strides_of(self, stride: f64) -> Self {
        Self { stride: stride.max(1.01), ..self }
    }

    /// The next rate to try. `None` if the search is over.
    pub fn next_rate(&self) -> Option<f64> {
        match (self.met, self.missed) {
            (None, None) => Some(self.start),
            (Some(met), None) => (met < self.ceiling).then(|| (met * self.stride).min(self.ceiling)),
            (None, Some(missed)) if self.start < missed => Some(self.start),
            (None, Some(missed)) => (missed > self.floor).then(|| (missed / self.stride).max(self.floor)),
            // The geometric middle: after a doubling it takes one trial less than the arithmetic one.
            (Some(met), Some(missed)) => (!self.is_close(met, missed)).then(|| (met * missed).sqrt()),
        }
    }

    /// Takes in the result at the proposed rate.
    pub fn report(&mut self, rate: f64, verdict: Trial) {
        match verdict {
            Trial::Met => self.met = Some(self.met.map_or(rate, |met| met.max(rate))),
            Trial::Missed => self.missed = Some(self.missed.map_or(rate, |missed| missed.min(rate))),
        }
    }

    fn is_close(&self, met: f64, missed: f64) -> bool {
        (missed - met) / 2.0 <= self.precision * (missed + met) / 2.0
    }

    /// The result so far.
    pub fn result(&self) -> CapacityEstimate {
        CapacityEstimate { low: self.met, high: self.missed }
    }
}

/// The result of trying a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// It did.
    Met,
    /// It did not.
    Missed,
}

impl CapacityEstimate {
    /// The estimate as one number: the middle of the two bounds, or `low` if no rate missed the objective. 0
    /// if none met it.
    pub fn rate(&self) -> f64 {
        match (self.low, self.high) {
            (Some(low), Some(high)) => (low + high) / 2.0,
            (Some(low), None) => low,
            (None, _) => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn search(start: f64, truth: f64) -> (CapacityEstimate, u32) {
        let mut search = Search::new(start, 1.0, 10_000.0);
        let mut trials = 0;
        while let Some(rate) = search.next_rate() {
            search.report(rate, if rate <= truth { Trial::Met } else { Trial::Missed });
            trials += 1;
        }
        (search.result(), trials)
    }

    proptest! {
        #[test]
        fn it_comes_within_five_percent_from_any_start(start in 0.0..20_000.0f64, truth in 1.0..9_999.0f64) {
            let (estimate, trials) = search(start, truth);
            prop_assert!((estimate.rate() / truth - 1.0).abs() <= 0.05 / 0.95, "{estimate:?}");
            prop_assert!(estimate.low <= Some(truth) && estimate.high.is_none_or(|high| high > truth));
            prop_assert!(trials <= 20, "{trials}");
        }
    }

    #[test]
    fn a_good_guess_takes_six_trials() {
        assert_eq!(search(60.0, 100.0).1, 6);
    }

    #[test]
    fn a_very_good_guess_takes_short_strides() {
        let mut search = Search::new(100.0, 1.0, 10_000.0).in_strides_of(1.25);
        let mut trials = Vec::new();
        while let Some(rate) = search.next_rate() {
            search.report(rate, if rate <= 104.0 { Trial::Met } else { Trial::Missed });
            trials.push(rate.round() as u32);
        }
        assert_eq!(trials, [100, 125, 112, 106, 103]);
    }

    #[test]
    fn what_is_known_to_be_too_much_is_not_tried() {
        let mut search = Search::new(50.0, 1.0, 10_000.0).below(100.0).to_within(0.1);
        let mut trials = Vec::new();
        while let Some(rate) = search.next_rate() {
            search.report(rate, if rate <= 90.0 { Trial::Met } else { Trial::Missed });
            trials.push(rate.round() as u32);
        }
        assert_eq!(trials, [50, 71, 84]);
        assert_eq!(search.result().high, Some(100.0));
    }

    #[test]
    fn a_rougher_search_takes_fewer_trials() {
        let mut rough = Search::new(60.0, 1.0, 10_000.0).to_within(0.1);
        let mut trials = 0;
        while let Some(rate) = rough.next_rate() {
            rough.report(rate, if rate <= 100.0 { Trial::Met } else { Trial::Missed });
            trials += 1;
        }
        assert_eq!(trials, 4);
        assert!((rough.result().rate() / 100.0 - 1.0).abs() <= 0.15);
    }

    #[test]
    fn a_server_that_never_copes_has_no_capacity() {
        let (estimate, _) = search(100.0, 0.0);
        assert_eq!(estimate, CapacityEstimate { low: None, high: Some(1.0) });
        assert_eq!(estimate.rate(), 0.0);
    }

    #[test]
    fn a_server_that_always_copes_is_known_to_the_ceiling() {
        let (estimate, _) = search(100.0, f64::INFINITY);
        assert_eq!(estimate, CapacityEstimate { low: Some(10_000.0), high: None });
    }
}
