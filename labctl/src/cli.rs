//! The command line.

use clap::{Parser, Subcommand};

use lab::interrupt::Interrupt;

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
    /// List the chapters.
    List,
    /// Show a chapter: its machines, its steps, what it claims.
    Show(commands::show::ShowArgs),
    /// Run a chapter from its first step to its verdict, or all of them.
    Run(commands::run::RunArgs),
    /// Start a chapter's machines and leave them running, to play with.
    Up(commands::up::UpArgs),
    /// Open the live page of the running lab.
    Open,
    /// End the running lab.
    Down,
    /// Show the state of the running lab.
    Status,
    /// Show what happened in the running lab.
    Events,
    /// What can be done to the running lab.
    #[command(flatten)]
    Act(chapter::Act),
    /// Send requests to the running lab, at a rate.
    Load(commands::load::LoadArgs),
    /// Send single requests, and see which server each one gets.
    Step(commands::step::StepArgs),
    /// Find the highest rate that the running lab can bear.
    Capacity(commands::capacity::CapacityArgs),
    /// Try every fault on an architecture and find its single points of failure.
    Audit(commands::audit::AuditArgs),
    /// Measure the article's table: capacity, single points of failure, cost.
    Table(commands::table::TableArgs),
    /// Write the page of a run: one HTML file.
    Report(commands::report::ReportArgs),
    /// Compare two runs of a chapter.
    Compare(commands::report::CompareArgs),
    /// Run a chapter again as it was run: the same file, the same seed, the same arrivals.
    Replay(commands::replay::ReplayArgs),
    /// Check the article sentence by sentence: what is confirmed, what is refuted, what depends.
    Claims(commands::claims::ClaimsArgs),
    /// Find the cheapest measured architecture that does what is needed.
    Advise(commands::advise::AdviseArgs),
    /// Show the programs that can stand in for the lab's own: real ones, where they are, what they can.
    Parts(commands::parts::PartsArgs),
    /// Show the logs of a machine's programs.
    Logs(commands::logs::LogsArgs),
    /// Print something to begin with: a chapter with comments.
    New(commands::new::NewArgs),
    /// Check chapter files without running them.
    Validate(commands::validate::ValidateArgs),
    /// Check whether this computer has what the lab needs.
    Doctor,
    /// Remove results, and what is left of a lab.
    Clean,
    /// Print completions for a shell.
    Completions(commands::completions::CompletionsArgs),
}

/// Does what was asked.
pub async fn perform(cli: Cli, interrupt: &Interrupt) -> commands::Performed {
    let common = &cli.common;
    match cli.command {
        Command::List => commands::list::list(common),
        Command::Show(args) => commands::show::show(&args, common),
        Command::Run(args) => commands::run::run(&args, common, interrupt).await,
        Command::Up(args) => commands::up::up(&args, common, interrupt).await,
        Command::Open => commands::open::open(common),
        Command::Down => commands::down::down(common).await,
        Command::Status => commands::status::status(common).await,
        Command::Events => commands::events::events(common).await,
        Command::Act(act) => commands::act::act(act, common).await,
        Command::Load(args) => commands::load::load(&args, common, interrupt).await,
        Command::Step(args) => commands::step::step(&args, common, interrupt).await,
        Command::Capacity(args) => commands::capacity::capacity(&args, common, interrupt).await,
        Command::Logs(args) => commands::logs::logs(&args, common, interrupt).await,
        Command::Report(args) => commands::report::report(&args, common),
        Command::Compare(args) => commands::report::compare(&args, common),
        Command::Replay(args) => commands::replay::replay(&args, common, interrupt).await,
        Command::Claims(args) => commands::claims::claims(&args, common),
        Command::Table(args) => commands::table::table(&args, common, interrupt).await,
        Command::Advise(args) => commands::advise::advise(&args, common),
        Command::Audit(args) => commands::audit::audit(&args, common, interrupt).await,
        Command::Validate(args) => commands::validate::validate(&args, common),
        Command::New(args) => commands::new::new(&args),
        Command::Parts(args) => commands::parts::parts(&args, common).await,
        Command::Doctor => commands::doctor::doctor(common).await,
        Command::Clean => commands::clean::clean(common).await,
        Command::Completions(args) => commands::completions::completions(&args),
    }
}
