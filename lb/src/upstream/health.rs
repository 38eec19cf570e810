//! Active health checks: an upstream's state as its checks see it.
//!
//! ```text
//!                    fall failures in a row
//!         Up ────────────────────────────────────▶ Down
//!         ▲ ▲                                       │ ▲
//!         │ └───────────────────────────────────────┘ │
//!   first │           rise passes in a row            │ fall failures
//!    pass │                                           │ in a row
//!         └──────────────── Unknown ──────────────────┘
//! ```
//!
//! An upstream given at startup begins as Up: it is presumed healthy, so that the balancer serves
//! from its first moment. One added later begins as Unknown and joins with its first pass, so that
//! no request meets a server that is not ready yet.
#![deny(clippy::disallowed_methods)]

/// How many results in a row change an upstream's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Failures in a row that take an upstream out.
    pub fall: u32,
    /// Passes in a row that bring it back.
    pub rise: u32,
}

/// An upstream's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It takes requests.
    Up,
    /// It takes none.
    Down,
    /// It takes none yet: no check has passed.
    Unknown,
}

/// A state change caused by a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Out of rotation.
    Ejected {
        /// Failed checks in a row.
        failures: u32,
    },
    /// Into rotation.
    Admitted {
        /// Passed checks in a row.
        passes: u32,
    },
}

/// The state machine of one upstream's checks.
#[derive(Debug, Clone, Copy)]
pub struct Health {
    rules: Rules,
    standing: Standing,
    /// The current run of equal results; one of the two is 0.
    passes: u32,
    failures: u32,
}

impl Health {
    /// Creates a state that is Up until checks fail.
    pub fn presumed_up(rules: Rules) -> Self {
        Self { rules, standing: Standing::Up, passes: 0, failures: 0 }
    }

    /// Creates a state that is out of rotation until the first check passes.
    pub fn unknown(rules: Rules) -> Self {
        Self { standing: Standing::Unknown, ..Self::presumed_up(rules) }
    }

    /// The current state.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Records a check that passed.
    pub fn pass(&mut self) -> Option<Change> {
        self.failures = 0;
        self.passes = self.passes.saturating_add(1);
        let needed = match self.standing {
            Standing::Up => return None,
            Standing::Unknown => 1,
            Standing::Down => self.rules.rise,
        };
        (self.passes >= needed).then(|| {
            self.standing = Standing::Up;
            Change::Admitted { passes: self.passes }
        })
    }

    /// Records a check that failed.
    pub fn fail(&mut self) -> Option<Change> {
        self.passes = 0;
        self.failures = self.failures.saturating_add(1);
        if self.standing == Standing::Down || self.failures < self.rules.fall {
            return None;
        }
        self.standing = Standing::Down;
        Some(Change::Ejected { failures: self.failures })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: Rules = Rules { fall: 3, rise: 2 };

    /// Plays results, `+` for a pass and `-` for a failure, and returns the changes.
    fn play(mut health: Health, results: &str) -> Vec<Option<Change>> {
        results.chars().map(|result| if result == '+' { health.pass() } else { health.fail() }).collect()
    }

    #[test]
    fn three_failures_in_a_row_eject() {
        let ejected = Some(Change::Ejected { failures: 3 });
        assert_eq!(play(Health::presumed_up(RULES), "---"), [None, None, ejected]);
        assert_eq!(play(Health::presumed_up(RULES), "--+--"), [None; 5]);
    }

    #[test]
    fn two_passes_in_a_row_admit_again() {
        let changes = play(Health::presumed_up(RULES), "---+-++");
        assert_eq!(changes[3..], [None, None, None, Some(Change::Admitted { passes: 2 })]);
    }

    #[test]
    fn the_first_pass_admits_a_newcomer() {
        let health = Health::unknown(RULES);
        assert_eq!(health.standing(), Standing::Unknown);
        assert_eq!(play(health, "-+"), [None, Some(Change::Admitted { passes: 1 })]);
    }

    proptest! {
        /// The state always agrees with a naive count of the latest run of equal results.
        #[test]
        fn agrees_with_counting_the_latest_results(
            results in prop::collection::vec(any::<bool>(), 1..60), fall in 1u32..5, rise in 1u32..5,
        ) {
            let mut health = Health::presumed_up(Rules { fall, rise });
            let mut up = true;
            for end in 1..=results.len() {
                let last = results[end - 1];
                let run = results[..end].iter().rev().take_while(|result| **result == last).count() as u32;
                let change = if last { health.pass() } else { health.fail() };
                let turns = if up { !last && run == fall } else { last && run == rise };
                prop_assert_eq!(change.is_some(), turns);
                up ^= turns;
                prop_assert_eq!(health.standing() == Standing::Up, up);
            }
        }
    }
}
