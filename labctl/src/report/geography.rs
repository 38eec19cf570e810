//! Lays out places on a flat map from their mutual distances alone. Pure.
#![deny(clippy::disallowed_methods)]

/// Number of relaxation rounds.
const ROUNDS: usize = 2000;
/// Step width, as a share of the remaining error.
const STEP: f64 = 0.05;

/// Places with the distances between them. An unknown distance means no route.
#[derive(Debug, Clone, PartialEq)]
pub struct Geography {
    /// The places' names, and what runs there.
    pub places: Vec<(String, String)>,
    /// Routes between two places, by index, with their length in milliseconds.
    pub ways: Vec<(usize, usize, f64)>,
}

impl Geography {
    /// Computes the position of each place, so that a route's length on the map is its latency. The longest
    /// route is horizontal, and all coordinates are non-negative. Distances that fit no flat map are
    /// approximated.
    pub fn positions(&self) -> Vec<(f64, f64)> {
        let count = self.places.len().max(1) as f64;
        let farthest = self.ways.iter().map(|(.., way)| *way).fold(1.0, f64::max);
        // On a circle no two places coincide, so there is a direction to move each pair in.
        let angle = |place: usize| place as f64 / count * std::f64::consts::TAU;
        let mut at: Vec<_> = (0..self.places.len())
            .map(|place| (angle(place).cos() * farthest / 2.0, angle(place).sin() * farthest / 2.0))
            .collect();
        for _ in 0..ROUNDS {
            for (one, other, way) in &self.ways {
                let (dx, dy) = (at[*other].0 - at[*one].0, at[*other].1 - at[*one].1);
                let now = dx.hypot(dy).max(1e-6);
                let by = STEP * (now - way) / now;
                at[*one] = (at[*one].0 + by * dx, at[*one].1 + by * dy);
                at[*other] = (at[*other].0 - by * dx, at[*other].1 - by * dy);
            }
        }
        self.level(&mut at);
        let least = |figure: fn(&(f64, f64)) -> f64| at.iter().map(figure).fold(f64::INFINITY, f64::min);
        let (left, top) = (least(|place| place.0), least(|place| place.1));
        at.iter().map(|(x, y)| (x - left, y - top)).collect()
    }

    /// Rotates the map until its longest route is horizontal.
    fn level(&self, at: &mut [(f64, f64)]) {
        let longest = self.ways.iter().max_by(|one, other| one.2.total_cmp(&other.2));
        let Some((one, other, _)) = longest else { return };
        let (from, to) = (at[*one], at[*other]);
        let (sin, cos) = (-(to.1 - from.1).atan2(to.0 - from.0)).sin_cos();
        for place in at {
            *place = (place.0 * cos - place.1 * sin, place.0 * sin + place.1 * cos);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(ways: &[(usize, usize, f64)], count: usize) -> Geography {
        let places = (0..count).map(|place| (format!("place {place}"), String::new())).collect();
        Geography { places, ways: ways.to_vec() }
    }

    #[test]
    fn ways_are_as_long_as_they_are_slow() {
        let ways = [(0, 1, 80.0), (0, 2, 200.0), (1, 2, 140.0)];
        let at = map(&ways, 3).positions();
        for (one, other, way) in ways {
            let drawn = (at[one].0 - at[other].0).hypot(at[one].1 - at[other].1);
            assert!((drawn - way).abs() < way * 0.02, "{one} to {other}: {drawn} for {way}");
        }
        assert!((at[0].1 - at[2].1).abs() < 1.0, "the longest way is level: {at:?}");
        assert!(at.iter().all(|(x, y)| *x >= 0.0 && *y >= 0.0));
    }

    #[test]
    fn a_map_of_one_place_or_of_an_impossible_triangle_is_drawn_all_the_same() {
        assert_eq!(map(&[], 1).positions(), [(0.0, 0.0)]);
        let at = map(&[(0, 1, 10.0), (1, 2, 10.0), (0, 2, 100.0)], 3).positions();
        assert!(at.iter().all(|(x, y)| x.is_finite() && y.is_finite()), "{at:?}");
    }
}
