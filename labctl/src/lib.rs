//! The lab controller: starts the stack, loads it, breaks it, measures it, and judges which of the article's
//! sentences hold.

/// Fault injection: what each fault does to an architecture.
pub mod audit;
/// Tasks to solve with an architecture of one's own.
pub mod challenge;
/// The article, sentence by sentence.
pub mod claims;
/// The command line.
pub mod cli;
/// The commands, one per file.
pub mod commands;
/// Shell completion.
pub mod complete;
/// The glossary: the terms that students meet, explained.
pub mod glossary;
/// Numbers formatted for people.
mod numbers;
/// Standard output that survives a closed pipe or a full disk.
pub mod output;
/// Reports of a run, for people and for programs.
pub mod report;
/// Results on disk: writing them and reading them back.
pub mod results;
/// One run of a chapter, from its first step to its verdict.
pub mod runner;
/// The JSON schemas of the files that labctl reads and writes.
pub mod schemas;
/// The article's table, measured.
pub mod table;
/// Running machines with their traffic ready to be sent.
pub mod testbed;
pub mod watch;
