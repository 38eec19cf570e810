//! The laboratory: it starts the stack, loads it, breaks it, measures it, and says which of the
//! article's sentences hold.

/// What each fault does to an architecture.
pub mod audit;
/// Tasks to solve with an architecture of one's own.
pub mod challenge;
/// The article, sentence by sentence.
pub mod claims;
/// The command line.
pub mod cli;
/// The commands, one per file.
pub mod commands;
/// What a shell offers when somebody presses Tab.
pub mod complete;
/// What the words mean that students meet.
pub mod glossary;
/// Numbers as people read them.
mod numbers;
/// Standard output, whatever becomes of it.
pub mod output;
/// What people and programs read of a run.
pub mod report;
/// Results on the disk: written, and read again.
pub mod results;
/// One run of a chapter, from its first step to its verdict.
pub mod runner;
/// The schemas of what labctl reads and writes.
pub mod schemas;
/// The article's table, measured.
pub mod table;
/// Machines that run, with traffic ready to be sent to them.
pub mod testbed;
pub mod watch;
