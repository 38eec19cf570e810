//! The command line.

use clap::{Parser, Subcommand};

use crate::commands;
pub use crate::commands::common::Common;

/// The laboratory of "Scaling: build it yourself": real processes, real load, real faults, and a
/// verdict on what the article says.
#[derive(Debug, Parser)]
#[command(
    name = "labctl",
    version,
    after_help = "Begin with `labctl list`, then `labctl run one-machine`.\n\
                  Exit codes: 0 every claim held, 1 a claim failed, 2 usage or an invalid chapter file, \
                  3 inconclusive, 4 the environment is not ready, 5 the lab broke, 130/143 interrupted."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Flags of every command.
    #[command(flatten)]
    pub common: Common,
}

/// What labctl can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The chapters there are.
    List,
    /// A chapter: its machines, its steps, what it claims.
    Show(commands::show::ShowArgs),
    /// Run a chapter from its first step to its verdict, or all of them.
    Run(commands::run::RunArgs),
    /// Start a chapter's machines and leave them running, to play with.
    Up(commands::up::UpArgs),
    /// Open the live page of the lab that is running.
    Open,
    /// End the lab that is running.
    Down,
    /// How the lab that is running is.
    Status,
    /// Print where Prometheus finds the running lab's metrics: a file for `file_sd_configs`.
    Targets,
    /// What happened in the lab that is running.
    Events,
    /// What can be done to the lab that is running.
    #[command(flatten)]
    Act(chapter::Act),
    /// Send requests to the lab that is running, at a rate.
    Load(commands::load::LoadArgs),
    /// Send single requests, and see which server each one gets.
    Step(commands::step::StepArgs),
    /// Find the highest rate that the lab that is running can bear.
    Capacity(commands::capacity::CapacityArgs),
    /// What each fault does to an architecture: its single points of failure.
    Audit(commands::audit::AuditArgs),
    /// The article's table, measured: capacity, single points of failure, cost.
    Table(commands::table::TableArgs),
    /// A page of a run that was kept: one HTML file.
    Report(commands::report::ReportArgs),
    /// Two runs of a chapter beside each other.
    Compare(commands::report::CompareArgs),
    /// Run a chapter again as it was run: the same file, the same seed, the same arrivals.
    Replay(commands::replay::ReplayArgs),
    /// The article, sentence by sentence: what is confirmed, what refuted, and what depends.
    Claims(commands::claims::ClaimsArgs),
    /// The cheapest measured architecture that does what is needed.
    Advise(commands::advise::AdviseArgs),
    /// Show the programs that can stand in for the lab's own: real ones, where they are, what they can.
    Parts(commands::parts::PartsArgs),
    /// Show where requests spent their time, hop by hop: of a run or a lab that was started with --trace.
    Trace(commands::trace::TraceArgs),
    /// What a machine's programs have written.
    Logs(commands::logs::LogsArgs),
    /// Print something to begin with: a chapter with comments.
    New(commands::new::NewArgs),
    /// Check chapter files without running them.
    Validate(commands::validate::ValidateArgs),
    /// Print the JSON Schema of a file that labctl reads or writes.
    Schema(commands::schema::SchemaArgs),
    /// Whether this computer has what the lab needs.
    Doctor,
    /// Remove results, and what is left of a lab.
    Clean,
    /// Write manual pages into a directory.
    Man(commands::man::ManArgs),
    /// Completions for a shell.
    Completions(commands::completions::CompletionsArgs),
}
