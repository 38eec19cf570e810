//! The laboratory: it starts the stack, loads it, breaks it, measures it, and says which of the
//! article's sentences hold.

/// What each fault does to an architecture.
pub mod audit;
/// A chapter as written: machines, traffic, steps, claims.
pub mod chapter;
/// The article, sentence by sentence.
pub mod claims;
/// The command line.
pub mod cli;
/// The commands, one per file.
pub mod commands;
/// How labctl ends when it cannot do what it was asked, and its exit codes.
pub mod error;
/// Ctrl-C and SIGTERM.
pub mod interrupt;
/// The machines of a chapter as running processes, and what can be done to them.
pub mod lab;
/// Open-loop traffic, and what became of every request.
pub mod load;
/// What people and programs read of a run.
pub mod report;
/// One run of a chapter, from its first step to its verdict.
pub mod runner;
/// The article's table, measured.
pub mod table;
