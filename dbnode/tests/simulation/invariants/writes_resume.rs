//! Within ten election timeouts after all faults are repaired, the cluster accepts writes again.

use std::time::Duration;

use super::{Violation, violated};

/// Checks the time from the repair to the acknowledgement of the first write sent after it.
pub fn check(first: Option<Duration>, limit: Duration) -> Result<(), Violation> {
    match first {
        Some(first) if first <= limit => Ok(()),
        first => {
            violated("writes resume", format!("within {limit:?} of healing; the first came after {first:?}"))
        }
    }
}
