//! The lab in containers. Tests that need an engine are marked as ignored, so that they are still counted where there
//! is none; `scripts/test.sh` runs them where there is one.

mod alone;
mod bad_environment;
mod by_hand;
mod engine;
mod files;
mod observe;
mod swarm;
mod verdicts;
