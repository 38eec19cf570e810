//! A measured figure with its uncertainty.
#![deny(clippy::disallowed_methods)]

/// A figure, and the interval that contains the true one if the measurement was disturbed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// As measured.
    pub figure: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
}

impl Reading {
    /// An undisturbed figure.
    pub fn exact(figure: f64) -> Self {
        Self { figure, low: figure, high: figure }
    }

    /// A figure, and another one that is equally plausible.
    pub fn between(figure: f64, other: f64) -> Self {
        Self { figure, low: figure.min(other), high: figure.max(other) }
    }

    /// A figure that may be off by this much in either direction; no figure of the lab is below 0.
    pub fn give_or_take(figure: f64, by: f64) -> Self {
        Self { figure, low: (figure - by).max(0.0), high: figure + by }
    }

    /// The width of the interval, as a share of the figure.
    pub fn blur(self) -> f64 {
        if self.low == self.high { 0.0 } else { (self.high - self.low) / self.figure.abs() }
    }

    /// Combines two readings with an operator that takes its extremes at the ends of their intervals.
    pub(crate) fn join(self, other: Self, join: impl Fn(f64, f64) -> f64) -> Self {
        let corners = [
            join(self.low, other.low),
            join(self.low, other.high),
            join(self.high, other.low),
            join(self.high, other.high),
        ];
        Self::around(join(self.figure, other.figure), &corners)
    }

    /// The quotient by a figure that is not 0. If the divisor's interval contains 0, it may be anything.
    pub(crate) fn over(self, other: Self) -> Self {
        let divided = self.join(other, |one, other| one / other);
        if other.low < other.high && other.low <= 0.0 && other.high >= 0.0 {
            return Self { low: f64::NEG_INFINITY, high: f64::INFINITY, ..divided };
        }
        divided
    }

    /// Combines several readings.
    pub(crate) fn together(readings: &[Self], together: impl Fn(&[f64]) -> f64) -> Self {
        let of = |end: &dyn Fn(usize, &Self) -> f64| {
            together(&readings.iter().enumerate().map(|(at, reading)| end(at, reading)).collect::<Vec<_>>())
        };
        let figure = of(&|_, reading| reading.figure);
        let ends = 1_u32 << readings.len().min(CORNERS_OF_MAX);
        let corner = |ends: u32| {
            of(&|at, reading| if ends >> (at % CORNERS_OF_MAX) & 1 == 0 { reading.low } else { reading.high })
        };
        Self::around(figure, &(0..ends).map(corner).collect::<Vec<_>>())
    }

    fn around(figure: f64, ends: &[f64]) -> Self {
        // NaN stays NaN, which satisfies no bound.
        let low = ends.iter().copied().fold(figure, f64::min);
        let high = ends.iter().copied().fold(figure, f64::max);
        if figure.is_nan() { Self::exact(figure) } else { Self { figure, low, high } }
    }
}

/// With more readings than this, those this many places apart share their ends.
const CORNERS_OF_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_joined_as_figures_are() {
        let (one, other) = (Reading { figure: 3.0, low: 2.0, high: 4.0 }, Reading::exact(2.0));
        let ends = |reading: Reading| (reading.low, reading.figure, reading.high);
        assert_eq!(ends(one.join(other, |one, other| one - other)), (0.0, 1.0, 2.0));
        assert_eq!(ends(other.over(one)), (0.5, 2.0 / 3.0, 1.0));
        assert_eq!(ends(Reading::together(&[one, other], |values| values[0] * values[1])), (4.0, 6.0, 8.0));
    }

    #[test]
    fn what_may_be_divided_by_nothing_may_be_anything() {
        let about_nothing = Reading::give_or_take(0.5, 1.0);
        let quotient = Reading::exact(1.0).over(about_nothing);
        assert_eq!((quotient.figure, quotient.high), (2.0, f64::INFINITY));
    }
}
