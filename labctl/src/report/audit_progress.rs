//! How far an audit has come.

use super::Progress;
use crate::audit::{Inspection, Told};

/// Shows how far an audit has come that has the computer to itself.
pub fn tell(progress: &Progress, inspection: &Inspection, told: Told<'_>) {
    if let Told::Begins { faults, each_seconds } = told {
        progress.expect(faults as f64 * each_seconds);
    }
    tell_beside(progress, inspection, 1, told);
}

/// Shows how far one of several audits has come that go on side by side. All that they are to do is
/// expected already.
pub fn tell_beside(progress: &Progress, inspection: &Inspection, at_once: usize, told: Told<'_>) {
    let name = &inspection.source.name;
    match told {
        Told::Begins { .. } => {}
        Told::Fault { title } => progress.doing(&format!("auditing {name}: {title}")),
        Told::Done { row, each_seconds } => {
            progress.done(each_seconds / at_once as f64);
            progress.line(&format!("  {name}: {} → {}", row.title(), row.worst()));
        }
        Told::Note(text) => progress.line(text),
    }
}
