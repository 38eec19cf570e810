//! Shell completion: chapters, machines of the running lab, stored runs. The shell calls labctl itself
//! (`COMPLETE=bash labctl` prints the script), so candidates are always current.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter};

use crate::audit::library as architectures;
use crate::challenge::Task;
use crate::cli;
use crate::results::stored;
use chapter::Source;
use chapter::library::{self, Group};
use lab::plan::Deployment;
use lab::{Plan, control, state};

/// The kinds of values that can be completed.
#[derive(Debug, Clone, Copy)]
enum What {
    Chapter,
    Chapters,
    Architecture,
    Challenge,
    Machine,
    Kind,
    Traffic,
    Run,
}

/// Where: the command, its argument, and what goes there.
const PLACES: [(&str, &str, What); 31] = [
    ("run", "chapters", What::Chapters),
    ("up", "chapter", What::Chapter),
    ("show", "chapter", What::Chapter),
    ("audit", "architecture", What::Architecture),
    ("challenge", "name", What::Challenge),
    ("challenge", "architecture", What::Architecture),
    ("report", "directory", What::Run),
    ("compare", "first", What::Run),
    ("compare", "second", What::Run),
    ("replay", "directory", What::Run),
    ("logs", "names", What::Machine),
    ("load", "traffic", What::Traffic),
    ("capacity", "traffic", What::Traffic),
    ("kill", "name", What::Machine),
    ("stop", "name", What::Machine),
    ("freeze", "name", What::Machine),
    ("thaw", "name", What::Machine),
    ("restart", "name", What::Machine),
    ("resize", "name", What::Machine),
    ("fill", "name", What::Machine),
    ("empty", "name", What::Machine),
    ("remove", "name", What::Machine),
    ("add", "kind", What::Kind),
    ("roll", "kind", What::Kind),
    ("slow", "from", What::Machine),
    ("slow", "to", What::Machine),
    ("cut", "from", What::Machine),
    ("cut", "to", What::Machine),
    ("fail", "from", What::Machine),
    ("fail", "to", What::Machine),
    ("heal", "from", What::Machine),
];

/// Answers a completion request from a shell, and then exits.
pub fn answer_a_shell() {
    CompleteEnv::with_factory(cli::command).complete();
}

/// Attaches completers to the arguments of the command line.
pub(crate) fn with_values(mut command: Command, more: &'static str) -> Command {
    for (verb, argument, what) in PLACES {
        let is_meant = |id: &str| id == argument || argument == "name" && id == more;
        let with_value = |one: clap::Arg| match is_meant(one.get_id().as_str()) {
            true => one.add(ArgValueCompleter::new(move |current: &OsStr| what.candidates(current))),
            false => one,
        };
        command = command.mut_subcommand(verb, |verb| verb.mut_args(with_value));
    }
    command
}

impl What {
    fn candidates(self, current: &OsStr) -> Vec<CompletionCandidate> {
        let words = match self {
            Self::Chapter => library::names().map(str::to_owned).collect(),
            Self::Chapters => {
                let groups = Group::ALL.into_iter().map(Group::name);
                let all = library::names().chain(groups).chain(["all"]);
                all.map(str::to_owned).collect()
            }
            Self::Architecture => architectures::names().map(str::to_owned).collect(),
            Self::Challenge => Task::all().map(|task| task.name.to_owned()).collect(),
            Self::Machine => of_the_lab(|_, plan| plan.machines.keys().cloned().collect()),
            Self::Kind => of_the_lab(|source, _| {
                let kinds = source.chapter.machine.iter().filter(|(_, entry)| entry.count.is_some());
                kinds.map(|(name, _)| name.clone()).collect()
            }),
            Self::Traffic => of_the_lab(|source, _| source.chapter.traffic.keys().cloned().collect()),
            Self::Run => runs(&directory("--runs-dir", "LABCTL_RUNS_DIR", "runs")),
        };
        let mut found = beginning_with(words, &current.to_string_lossy());
        // A chapter may also be a file of the user's own.
        if matches!(self, Self::Chapter | Self::Chapters | Self::Architecture) {
            let is_toml = |path: &Path| path.is_dir() || path.extension().is_some_and(|end| end == "toml");
            found.extend(PathCompleter::any().filter(is_toml).complete(current));
        }
        found
    }
}

fn beginning_with(words: Vec<String>, current: &str) -> Vec<CompletionCandidate> {
    words.into_iter().filter(|word| word.starts_with(current)).map(CompletionCandidate::new).collect()
}

/// Returns values from the running lab; nothing if none is running.
fn of_the_lab(what: impl Fn(&Source, &Plan) -> Vec<String>) -> Vec<String> {
    let lab_dir = directory("--lab-dir", "LABCTL_LAB_DIR", ".lab");
    let read = || {
        control::running(&lab_dir).ok()?;
        let source = Source::open(&state::chapter_file(&lab_dir).to_string_lossy(), &[]).ok()?;
        let plan = Plan::of(&source.chapter, Deployment::on_paper()).ok()?;
        Some(what(&source, &plan))
    };
    read().unwrap_or_default()
}

/// Returns the newest run of each chapter, followed by all runs.
fn runs(runs: &Path) -> Vec<String> {
    let all = stored::all(runs);
    let mut latest: Vec<_> = all.iter().filter_map(|run| Some(run.parent()?.join("latest"))).collect();
    latest.dedup();
    latest.iter().chain(&all).map(|run| run.to_string_lossy().into_owned()).collect()
}

/// Returns a directory from the typed flag, from the environment, or the default.
fn directory(flag: &str, variable: &str, otherwise: &str) -> PathBuf {
    typed(std::env::args(), flag)
        .or_else(|| std::env::var(variable).ok())
        .map_or_else(|| otherwise.into(), PathBuf::from)
}

/// Returns the value of a flag on a possibly incomplete command line.
fn typed(words: impl Iterator<Item = String>, flag: &str) -> Option<String> {
    let words: Vec<_> = words.collect();
    let with_value = words.iter().find_map(|word| word.strip_prefix(flag)?.strip_prefix('='));
    let before = || words.iter().zip(words.iter().skip(1)).find(|(word, _)| *word == flag);
    with_value.map(str::to_owned).or_else(|| before().map(|(_, value)| value.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(what: What, current: &str) -> Vec<String> {
        let found = what.candidates(OsStr::new(current));
        found.iter().map(|one| one.get_value().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn chapters_and_groups_are_known() {
        assert_eq!(words(What::Chapter, "server-f"), ["server-failure"]);
        assert_eq!(words(What::Chapters, "bey"), ["beyond"]);
        assert_eq!(words(What::Architecture, "redis-"), ["redis-cache"]);
    }

    #[test]
    fn every_place_is_on_the_command_line() {
        let command = cli::command();
        for (verb, argument, _) in PLACES {
            let verb = command.find_subcommand(verb).expect(verb);
            let one = verb.get_arguments().find(|one| one.get_id() == argument).expect(argument);
            assert!(one.get::<ArgValueCompleter>().is_some(), "{} {argument}", verb.get_name());
        }
    }

    #[test]
    fn kept_runs_are_found_with_the_newest_first() {
        let kept = tempfile::tempdir().unwrap();
        for run in ["cache/2026-01-01", "cache/2026-02-02", "split/2026-01-01"] {
            std::fs::create_dir_all(kept.path().join(run)).unwrap();
            std::fs::write(kept.path().join(run).join("summary.json"), "{}").unwrap();
        }
        let found = runs(kept.path());
        let ends: Vec<_> = found.iter().map(|run| run.rsplit('/').next().unwrap()).collect();
        assert_eq!(ends, ["latest", "latest", "2026-02-02", "2026-01-01", "2026-01-01"]);
    }

    #[test]
    fn directories_are_those_that_were_typed() {
        let of = |line: &str| typed(line.split(' ').map(str::to_owned), "--lab-dir");
        assert_eq!(of("labctl kill --lab-dir /a web").as_deref(), Some("/a"));
        assert_eq!(of("labctl --lab-dir=/b kill").as_deref(), Some("/b"));
        assert_eq!(of("labctl kill --lab-dir"), None);
    }
}
