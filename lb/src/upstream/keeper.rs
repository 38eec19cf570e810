//! Advances the table when no health check does: when requests have failed, when an ejection is
//! over, or when a slow start takes its next step.

use std::sync::Arc;
use std::time::Instant;

use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use super::table::Table;

/// Keeps the table up to date until the process ends.
pub fn keep(table: Arc<Table>, over: CancellationToken) {
    tokio::spawn(async move {
        let _ = over.run_until_cancelled(keep_up_to_date(&table)).await;
    });
}

async fn keep_up_to_date(table: &Table) -> std::convert::Infallible {
    loop {
        let due = table.advance(Instant::now());
        let time_passes = async {
            match due {
                Some(due) => sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = table.called() => {}
            () = time_passes => {}
        }
    }
}
