//! Running machines with their traffic ready to be sent: the common base of a run, an audit and the table.

mod histories;
mod last_values;
#[allow(clippy::module_inception, reason = "the module is named after its main type")]
mod testbed;
mod traffic;

pub use histories::Histories;
pub use last_values::last_values;
pub use testbed::{ClaimedSite, Opening, Testbed};
pub use traffic::{add_streams, stream_of};
