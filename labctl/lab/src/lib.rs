//! The running machines of a chapter, as processes on this computer or as containers.

pub mod backend;
pub mod balancers;
mod body;
pub mod cast;
mod claim;
pub mod compose;
pub mod control;
pub mod counters;
pub mod databases;
mod directories;
pub mod error;
pub mod events;
pub mod http;
pub mod interrupt;
pub mod link;
mod lock;
pub mod machine;
mod orphans;
mod pairs;
pub mod plan;
mod ports;
pub mod process;
pub mod ready;
pub mod redis;
pub mod roles;
pub mod site;
mod site_args;
mod sockets;
pub mod stack;
pub mod state;
pub mod status;
mod sweep;

mod host;
mod laboratory;
mod life;
mod process_machine;

pub use backend::Backend;
pub use events::{Event, Events, Happening};
pub use laboratory::Laboratory;
pub use plan::{MachinePlan, Plan, Program};
pub use site::Site;
pub use stack::Stack;
pub use status::{MachineStatus, ProgramStatus};
