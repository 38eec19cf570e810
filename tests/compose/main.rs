//! The lab in containers. Tests that need an engine are ignored unless they are asked for, so that they are
//! counted where there is none; `scripts/test.sh` asks for them where there is one.

mod alone;
mod bad_environment;
mod by_hand;
mod engine;
mod files;
mod observe;
mod swarm;
mod verdicts;
