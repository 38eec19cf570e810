//! Within ten election timeouts of healing the cluster takes writes again.

use std::time::Duration;

use super::{Violation, violated};

/// When the first write was acknowledged that was asked after healing, counted from there.
pub fn check(first: Option<Duration>, limit: Duration) -> Result<(), Violation> {
    match first {
        Some(first) if first <= limit => Ok(()),
        first => {
            violated("writes resume", format!("within {limit:?} of healing; the first came after {first:?}"))
        }
    }
}
