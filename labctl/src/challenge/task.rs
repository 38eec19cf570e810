//! The requirements of each challenge, read from a TOML file. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;

use chapter::{Span, suggest};
use serde::{Deserialize, Serialize};

const TASKS: [(&str, &str); 8] = [
    ("first-shop", include_str!("../../challenges/first-shop.toml")),
    ("black-friday", include_str!("../../challenges/black-friday.toml")),
    ("nobody-notices", include_str!("../../challenges/nobody-notices.toml")),
    ("nothing-lost", include_str!("../../challenges/nothing-lost.toml")),
    ("shared-machines", include_str!("../../challenges/shared-machines.toml")),
    ("stay-logged-in", include_str!("../../challenges/stay-logged-in.toml")),
    ("enough-left", include_str!("../../challenges/enough-left.toml")),
    ("really-none", include_str!("../../challenges/really-none.toml")),
];

/// A task, and what an architecture must do to solve it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Task {
    /// Its short name, such as `first-shop`.
    #[serde(skip)]
    pub name: &'static str,
    /// Its title.
    pub title: String,
    /// The requirements in plain words, as shown to students.
    pub task: String,
    /// Requests a second that the architecture has to carry.
    pub rate: f64,
    /// Requests a second that it still has to carry with any one program dead.
    pub rate_after_kill: Option<f64>,
    /// The latency that 99 % of the answers must not exceed.
    pub p99: Span,
    /// Maximum cost, in dollars a month.
    pub budget: f64,
    /// The faults that may take no path down.
    #[serde(default)]
    pub survives: Survives,
    /// What none of those faults may lose.
    #[serde(default)]
    pub keeps: BTreeSet<Kept>,
    /// Hints; each gives away more than the one before.
    pub hints: Vec<String>,
    /// A command that explains what the task is about.
    pub read: String,
    /// Cost of the cheapest known solution, in dollars a month.
    pub reference: f64,
}

/// The faults that every path has to survive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Survives {
    /// No fault.
    #[default]
    Nothing,
    /// The death of any one program or machine.
    AnyKill,
    /// Any one fault that `labctl audit` tries.
    AnyFault,
}

/// What an architecture can lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kept {
    /// Acknowledged deposits.
    Writes,
    /// Sessions of users who are logged in.
    Sessions,
}

impl Task {
    /// Returns all tasks, from the easiest to the hardest.
    pub fn all() -> impl Iterator<Item = Self> {
        TASKS.iter().map(|(name, text)| {
            let task: Self = toml::from_str(text).expect("a test reads every task");
            Self { name, ..task }
        })
    }

    /// Finds a task by its name. The error names the known ones.
    pub fn find(name: &str) -> Result<Self, String> {
        let names = TASKS.iter().map(|(name, _)| *name);
        Self::all().find(|task| task.name == name).ok_or_else(|| suggest::unknown("challenge", name, names))
    }

    /// Returns the requirements in a few words each, in the order in which they are checked.
    pub fn wanted(&self) -> Vec<String> {
        let p99 = self.p99.0.as_secs_f64() * 1e3;
        let mut wanted = vec![
            format!("costs at most ${:.0} a month", self.budget),
            format!("carries {:.0} requests a second, 99 % of them within {p99:.0} ms", self.rate),
        ];
        wanted.extend(
            self.rate_after_kill
                .map(|rate| format!("carries {rate:.0} requests a second with any one program dead")),
        );
        match self.survives {
            Survives::Nothing => {}
            Survives::AnyKill => wanted.push("no kill of one program or machine takes a path down".into()),
            Survives::AnyFault => wanted.push("no single fault takes a path down".into()),
        }
        wanted.extend(self.keeps.iter().map(|kept| format!("no {} lost", kept.name())));
        wanted
    }
}

impl Kept {
    /// Returns the subject and verb of the sentence "no … lost".
    pub fn name(self) -> &'static str {
        match self {
            Self::Writes => "acknowledged deposit is",
            Self::Sessions => "session is",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_can_be_read_and_its_reference_is_within_its_budget() {
        assert_eq!(Task::all().count(), TASKS.len());
        for task in Task::all() {
            assert!(task.reference <= task.budget, "{}", task.name);
            assert!(task.hints.len() >= 2, "{}", task.name);
            assert!(task.survives != Survives::Nothing || task.keeps.is_empty(), "{}", task.name);
        }
    }

    #[test]
    fn an_unknown_task_is_refused_with_the_known_ones() {
        let error = Task::find("first-shoq").expect_err("there is none");
        assert!(error.contains("first-shop"), "{error}");
    }
}
