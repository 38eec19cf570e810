//! The command line.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand};

use chapter::suggest;
use lab::interrupt::Interrupt;

use crate::commands;
pub use crate::commands::common::Common;
use crate::complete;
use crate::report::columns;
use crate::report::terminal::wrap;

/// The laboratory of "Scaling: build it yourself": real processes, real load, real faults, and a
/// verdict on what the article says.
#[derive(Debug, Parser)]
#[command(name = "labctl", version, help_template = "{about}\n\n{usage-heading} {usage}\n\n{after-help}")]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,

    /// Flags of every command.
    #[command(flatten)]
    pub common: Common,
}

/// The commands of labctl.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the chapters.
    List,
    /// Show a chapter: its machines, its steps and its claims.
    Show(commands::show::ShowArgs),
    /// Run a chapter from its first step to its verdict, or all of them.
    Run(commands::run::RunArgs),
    /// Start a chapter's machines and leave them running, to play with.
    Up(commands::up::UpArgs),
    /// Open the live page of the running lab.
    Open,
    /// Serve the live page of machines that labctl did not start, such as plain containers.
    Page(commands::page::PageArgs),
    /// End the running lab.
    Down,
    /// Show the state of the running lab.
    Status(commands::status::StatusArgs),
    /// Watch the running lab on the whole terminal, with the keys of its page.
    Watch,
    /// Print where Prometheus finds the running lab's metrics: a file for `file_sd_configs`.
    Targets,
    /// Show what happened in the running lab.
    Events,
    /// Act on the running lab.
    #[command(flatten)]
    Act(chapter::Act),
    /// Send requests to the running lab, at a rate.
    Load(commands::load::LoadArgs),
    /// Send single requests, and see which server each one gets.
    Step(commands::step::StepArgs),
    /// Find the highest rate that the running lab can sustain.
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
    /// Find the cheapest measured architecture that meets your needs.
    Advise(commands::advise::AdviseArgs),
    /// Solve a task with an architecture of your own: judged by price, capacity and faults.
    Challenge(commands::challenge::ChallengeArgs),
    /// Grade a part of your own, stage by stage: points, what was done, and what the part said meanwhile.
    Grade(commands::grade::GradeArgs),
    /// Serve small pages that say which server gave them, to develop a balancer with.
    Backend(commands::grade::BackendArgs),
    /// Show the programs that can stand in for the lab's own: where they are, and what they can do.
    Parts(commands::parts::PartsArgs),
    /// Show where requests spent their time, hop by hop, in a run or a lab that was started with --trace.
    Trace(commands::trace::TraceArgs),
    /// Show the logs of machines' programs.
    Logs(commands::logs::LogsArgs),
    /// Print a template to start from: a chapter, a balancer or a database.
    New(commands::new::NewArgs),
    /// Check chapter files without running them.
    Validate(commands::validate::ValidateArgs),
    /// Print the JSON Schema of a file that labctl reads or writes.
    Schema(commands::schema::SchemaArgs),
    /// Check whether this computer has what the lab needs.
    Doctor,
    /// Remove what is left of a lab and, with --runs, the results.
    Clean(commands::clean::CleanArgs),
    /// Write manual pages into a directory.
    Man(commands::man::ManArgs),
    /// Print completions for a shell.
    Completions(commands::completions::CompletionsArgs),
}

/// Performs a command. `more` holds the further machines of an act.
pub async fn perform(cli: Cli, more: &[String], interrupt: &Interrupt) -> commands::Performed {
    let common = &cli.common;
    match cli.command {
        Command::List => commands::list::list(common),
        Command::Show(args) => commands::show::show(&args, common),
        Command::Run(args) => commands::run::run(&args, common, interrupt).await,
        Command::Up(args) => commands::up::up(&args, common, interrupt).await,
        Command::Open => commands::open::open(common),
        Command::Page(args) => commands::page::page(&args, common, interrupt).await,
        Command::Down => commands::down::down(common).await,
        Command::Status(args) => commands::status::status(&args, common, interrupt).await,
        Command::Watch => commands::watch::watch(common, interrupt).await,
        Command::Targets => commands::targets::targets(common).await,
        Command::Events => commands::events::events(common).await,
        Command::Act(act) => commands::act::act(act, more, common).await,
        Command::Load(args) => commands::load::load(&args, common, interrupt).await,
        Command::Step(args) => commands::step::step(&args, common, interrupt).await,
        Command::Capacity(args) => commands::capacity::capacity(&args, common, interrupt).await,
        Command::Trace(args) => commands::trace::trace(&args, common, interrupt).await,
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
        Command::Grade(args) => commands::grade::grade(&args, common, interrupt).await,
        Command::Challenge(args) => commands::challenge::challenge(&args, common, interrupt).await,
        Command::Backend(args) => commands::grade::serve(&args, interrupt).await,
        Command::Parts(args) => commands::parts::parts(&args, common).await,
        Command::Schema(args) => commands::schema::schema(&args),
        Command::Doctor => commands::doctor::doctor(common).await,
        Command::Clean(args) => commands::clean::clean(&args, common).await,
        Command::Man(args) => commands::man::man(&args),
        Command::Completions(args) => commands::completions::completions(&args),
    }
}

/// Acts on one machine that accept several, one after another.
const OF_SEVERAL: [&str; 8] = ["kill", "stop", "freeze", "thaw", "restart", "fill", "empty", "remove"];

/// The commands grouped by purpose.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Learn", &["list", "show", "run", "replay", "claims"]),
    ("Play", &["up", "open", "page", "watch", "status", "events", "logs", "trace", "load", "step", "down"]),
    (
        "Break, and mend",
        &[
            "kill",
            "stop",
            "freeze",
            "thaw",
            "restart",
            "resize",
            "add",
            "remove",
            "roll",
            "fill",
            "empty",
            "slow",
            "cut",
            "fail",
            "flap",
            "partition",
            "heal",
            "heal-all",
        ],
    ),
    ("Measure", &["capacity", "audit", "table", "advise", "report", "compare", "targets"]),
    (
        "Make, and keep",
        &[
            "new",
            "validate",
            "schema",
            "parts",
            "challenge",
            "grade",
            "backend",
            "doctor",
            "clean",
            "completions",
            "man",
        ],
    ),
];

/// What one would type.
const EXAMPLES: [(&str, &str); 10] = [
    (
        "run",
        "labctl run one-machine\n  labctl run 10 --quick --predict\n  labctl run beyond --dry-run\n  labctl run all --junit results.xml",
    ),
    ("up", "labctl up server-failure\n  labctl up mine.toml --set machine.web.cores=2"),
    (
        "load",
        "labctl load --rps 250\n  labctl load --rps 50..130 --over 30s\n  labctl load --rps 20 --for 10s --path /healthz",
    ),
    (
        "kill",
        "labctl kill web-1\n  labctl kill web-1 web-2\n  labctl kill db:primary\n  labctl kill app/dbnode",
    ),
    ("slow", "labctl slow web-4 db 200ms"),
    (
        "challenge",
        "labctl challenge\n  labctl challenge first-shop --hint\n  labctl challenge first-shop mine.toml",
    ),
    (
        "grade",
        "labctl grade lb ./my-lb.py\n  labctl grade db ./my-db.py --stage 3 --hint\n  labctl grade db ./my-db.py --all --points points.csv",
    ),
    ("logs", "labctl logs -f\n  labctl logs lb web-1"),
    ("audit", "labctl audit replicated\n  labctl audit mine.toml --only lb"),
    ("report", "labctl report runs/cache/latest\n  labctl report        # a page of all runs"),
];

const EXIT_CODES: &str = "Exit codes: 0 every claim held, 1 a claim failed, 2 usage or an invalid chapter file, \
    3 inconclusive, 4 the environment is not ready, 5 the lab broke, 130/143 interrupted.";

/// Builds the command line with its help.
pub fn command() -> clap::Command {
    let mut command = Cli::command();
    let (groups, lab) = (grouped(&command), globals(&command));
    for verb in OF_SEVERAL {
        let more = Arg::new(MORE).value_name("NAME").num_args(0..).help("Further machines");
        command = command.mut_subcommand(verb, |verb| verb.arg(more));
    }
    command = complete::with_values(command, MORE);
    let names: Vec<_> = command.get_subcommands().map(|one| one.get_name().to_owned()).collect();
    for name in names {
        let examples = EXAMPLES.iter().find(|(of, _)| *of == name);
        let examples = examples.map_or(String::new(), |(_, text)| format!("Examples:\n  {text}\n\n"));
        let after = format!("{examples}{lab}");
        command = command.mut_subcommand(name, |one| one.after_help(after));
    }
    let begin =
        "Begin with `labctl list`, then `labctl run one-machine`. `labctl COMMAND --help` tells more.";
    let codes = wrap(EXIT_CODES, columns::prose()).join("\n");
    command.after_help(format!("{groups}\n{lab}\n\n{begin}\n{codes}"))
}

/// The id of the argument for further machines.
const MORE: &str = "more";

/// Parses the command line, and the further machines of an act.
pub fn parse() -> Result<(Cli, Vec<String>), clap::Error> {
    let matches = command().try_get_matches().map_err(with_suggestion)?;
    let of_verb =
        matches.subcommand().and_then(|(_, words)| words.try_get_many::<String>(MORE).ok().flatten());
    let more = of_verb.map(|names| names.cloned().collect()).unwrap_or_default();
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command()))?;
    Ok((cli, more))
}

/// Adds a suggestion to an unknown command, where clap found none.
fn with_suggestion(mistake: clap::Error) -> clap::Error {
    let is_suggested = mistake.get(ContextKind::SuggestedSubcommand).is_some();
    let typed = match mistake.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(typed)) if !is_suggested => typed.clone(),
        _ => return mistake,
    };
    let mut command = command();
    let names: Vec<_> = command.get_subcommands().map(|one| one.get_name().to_owned()).collect();
    let told = suggest::unknown("command", &typed, names.iter().map(String::as_str));
    command.error(ErrorKind::InvalidSubcommand, told)
}

/// Lists the commands with their descriptions, by group.
fn grouped(command: &clap::Command) -> String {
    const INDENT: usize = 14;
    let mut text = String::new();
    for (heading, names) in GROUPS {
        text += &format!("{heading}:\n");
        for name in names {
            let about = command.find_subcommand(name).and_then(|one| one.get_about());
            let about = about.map(ToString::to_string).unwrap_or_default();
            for (number, line) in wrap(&about, columns::prose().saturating_sub(INDENT)).iter().enumerate() {
                let before = if number == 0 { *name } else { "" };
                text += &format!("  {before:<width$}{line}\n", width = INDENT - 2);
            }
        }
        text.push('\n');
    }
    text.trim_end().to_owned() + "\n"
}

/// Lists the global flags in a line or two.
fn globals(command: &clap::Command) -> String {
    let flags = command.get_arguments().filter(|one| one.is_global_set()).filter_map(|one| {
        let value = one.get_value_names().and_then(|names| names.first());
        let is_switch = !one.get_action().takes_values();
        let value = value.filter(|_| !is_switch).map_or(String::new(), |value| format!(" {value}"));
        Some(format!("--{}{value}", one.get_long()?))
    });
    let flags = flags.collect::<Vec<_>>().join(", ");
    let line = format!("With every command: {flags}. docs/contract.md, under \"labctl\", explains them.");
    wrap(&line, columns::prose()).join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        let command = Cli::command();
        let mut grouped: Vec<_> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let mut all: Vec<_> = command.get_subcommands().map(clap::Command::get_name).collect();
        grouped.sort_unstable();
        all.sort_unstable();
        assert_eq!(grouped, all);
    }

    #[test]
    fn the_flags_of_every_command_are_documented() {
        let common = <Common as clap::Args>::augment_args(clap::Command::new("labctl"));
        documented::check_table("docs/contract.md", "flags of labctl", &documented::flags(&common));
    }

    #[test]
    fn the_command_line_is_sound_and_its_help_tells_the_flags_of_the_lab() {
        command().debug_assert();
        let mut command = command();
        command.build();
        let help = command.find_subcommand_mut("kill").expect("it is there").render_long_help().to_string();
        assert!(help.contains("--network") && help.contains("labctl kill web-1 web-2"), "{help}");
        assert!(!help.contains("First two bytes"), "in one line: {help}");
    }

    #[test]
    fn a_command_that_there_is_not_is_told_with_the_one_that_was_meant() {
        for (typed, meant) in [("rnu", "'run'"), ("runn", "'run'")] {
            let mistake = command().try_get_matches_from(["labctl", typed]).map_err(with_suggestion);
            let told = mistake.expect_err("there is none").to_string();
            assert!(told.contains(meant), "{told}");
        }
    }
}
