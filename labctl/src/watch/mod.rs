//! `labctl watch`: a running lab on the whole terminal, with the keys of its page. What is seen follows from one
//! value ([`View`]), and a key changes it or wishes for something; `commands/watch.rs` carries wishes out.
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
pub use state::{Hello, Machine, ProgramView, State, Told, Wire};
pub use view::{Key, View, Wish};
