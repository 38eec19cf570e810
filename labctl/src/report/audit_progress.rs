//! How far an audit has come.

use super::Progress;
use crate::audit::{Inspection, Told};

/// Shows how far an audit has come.
pub fn tell(progress: &Progress, inspection: &Inspection, told: Told<'_>) {
    let name = &inspection.source.name;
    match told {
        Told::Begins { faults, each_seconds } => progress.expect(faults as f64 * each_seconds),
        Told::Fault { title } => progress.doing(&format!("auditing {name}: {title}")),
        Told::Done { row, each_seconds } => {
            progress.done(each_seconds);
            progress.line(&format!("  {name}: {} → {}", row.title(), row.worst()));
        }
        Told::Note(text) => progress.line(text),
    }
}
