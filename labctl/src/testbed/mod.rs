//! Machines that run, with traffic ready to be sent to them: what a run, an audit and the table all stand on.

pub mod capacity;
mod histories;
mod last_values;
mod traffic;

pub use histories::Histories;
pub use last_values::last_values;
pub use traffic::{add_streams, stream_of};
