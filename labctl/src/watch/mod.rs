//! `labctl watch`: a running lab in the terminal, with the same keys as its page. The screen is a function of
//! one value ([`View`]). A key changes that value or produces a wish; `commands/watch.rs` carries wishes out.
//!
//! ```text
//!  keys ──> View::press ──> Wish ──> commands/watch.rs ──> the lab, its page
//!                │                                             │
//!  terminal <── draw <───────────── View <── state, events ────┘
//! ```

mod draw;
mod lines;
mod paint;
mod state;
mod view;

pub use draw::draw;
pub use paint::{Line, painted};
pub use state::{Health, Hello, Machine, ProgramView, State, Told, Wire};
pub use view::{Key, View, Wish};
