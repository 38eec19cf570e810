//! Scales measurement times: as the chapter says, shorter or longer.

use std::fmt;
use std::time::Duration;

/// Scaling of measurement times.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// Half as long: for tests.
    Quick,
    /// As the chapter says.
    #[default]
    Normal,
    /// Three times as long: for figures to be quoted.
    Full,
}

/// As it is written in a run's document.
impl fmt::Display for Pace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Quick => "quick",
            Self::Normal => "normal",
            Self::Full => "full",
        })
    }
}

impl Pace {
    /// Durations are not cut below this.
    const SHORTEST: Duration = Duration::from_secs(1);

    /// Scales a duration.
    pub fn of(self, length: Duration) -> Duration {
        match self {
            Self::Quick => (length / 2).max(length.min(Self::SHORTEST)),
            Self::Normal => length,
            Self::Full => length * 3,
        }
    }
}
