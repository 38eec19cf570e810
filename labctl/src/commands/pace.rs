//! Steps through round rates when an arrow key is pressed. Pure.
#![deny(clippy::disallowed_methods)]

use page::RATE_MAX;

/// Below this, rates change by five, fine enough to find a machine's limit.
const FINE: f64 = 100.0;

/// Returns the next round rate, up or down.
pub(crate) fn next(rate: f64, more: bool) -> f64 {
    // Going down from 100, the step width is that of the range below.
    let near = if more { rate } else { rate - 1e-6 };
    let step = if near < FINE { 5.0 } else { 10_f64.powf(near.log10().floor()) / 5.0 };
    let steps = rate / step;
    let next = if more { (steps + 1e-6).floor() + 1.0 } else { (steps - 1e-6).ceil() - 1.0 };
    (next * step).clamp(0.0, RATE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_go_up_and_down_by_round_figures() {
        for (rate, more, wanted) in [
            (0.0, true, 5.0),
            (0.0, false, 0.0),
            (5.0, false, 0.0),
            (9.0, true, 10.0),
            (97.0, true, 100.0),
            (97.0, false, 95.0),
            (100.0, true, 120.0),
            (100.0, false, 95.0),
            (250.0, true, 260.0),
            (250.0, false, 240.0),
            (1000.0, true, 1200.0),
            (1000.0, false, 980.0),
            (RATE_MAX, true, RATE_MAX),
        ] {
            assert_eq!(next(rate, more), wanted, "{rate}, {more}");
        }
    }
}
