//! The acts that can be done to a lab: by a chapter's step, by a labctl command, or from the page.
//!
//! A new verb is one variant of [`Act`]. Its name is the labctl command and the key in a chapter's step, its
//! fields are the arguments of both, and its doc comments are the help and the table in `docs/chapters.md`
//! (`verbs.rs` derives these). The compiler then asks for two match arms: what the act names, in
//! [`Act::targets`], and what it does, in the lab. Steps run verbs in the order of the variants.

use std::time::Duration;

use bytesize::ByteSize;
use clap::{Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use super::{MEMORY_MIN, Span, closed};

/// How a machine that is replaced ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RollHow {
    /// SIGKILL: it is gone at once.
    Kill,
    /// SIGTERM: it finishes its requests. With a drain delay it goes on serving for that long, while its
    /// health check already fails.
    Stop,
    /// Its balancers drain it first: they send it nothing new, and once its last request is answered it gets
    /// SIGTERM.
    TellFirst,
}

/// The longest that a replaced machine may be off.
const INSTALL_MAX: Duration = Duration::from_secs(60);

fn two_seconds() -> Span {
    Span(Duration::from_secs(2))
}

/// Something that can be done to a lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Subcommand)]
#[serde(rename_all = "kebab-case", tag = "act", deny_unknown_fields)]
pub enum Act {
    /// Kill a machine, or one program on it: SIGKILL.
    Kill {
        /// The machine, as `labctl status` calls it, or by its role: `db:primary`; or one program on it:
        /// `app/dbnode`.
        name: String,
    },
    /// Stop a machine: SIGTERM, then SIGKILL for what has not ended after 15 s.
    Stop {
        /// The machine, as `labctl status` calls it, or by its role: `db:primary`.
        name: String,
    },
    /// Freeze a machine: SIGSTOP. It still accepts connections, and answers nothing.
    Freeze {
        /// The machine, as `labctl status` calls it, or by its role: `db:primary`.
        name: String,
    },
    /// Resume a frozen machine: SIGCONT.
    Thaw {
        /// The machine, as `labctl status` calls it, or by its role: `db:primary`.
        name: String,
    },
    /// Start a machine again, with its data. One that is still running is killed first.
    Restart {
        /// The machine, as `labctl status` calls it, or by its role: `db:primary`.
        name: String,
    },
    /// Stop a machine, and start it again with another size, keeping its data.
    Resize {
        /// The machine, as `labctl status` calls it, or by its role: `db:primary`.
        name: String,
        /// Its new number of cores.
        #[arg(long, required_unless_present = "memory", value_parser = clap::value_parser!(u32).range(1..=1024))]
        #[serde(
            default,
            deserialize_with = "closed::changed_cores",
            skip_serializing_if = "Option::is_none"
        )]
        cores: Option<u32>,
        /// Its new memory: `1GiB`.
        #[arg(long)]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        memory: Option<ByteSize>,
    },
    /// Fill the disk of a database's machine: writes are refused, reads go on.
    ///
    /// It stays full when the machine is restarted.
    Fill {
        /// The machine, as `labctl status` calls it, or by its role: `db:primary`.
        name: String,
    },
    /// Empty the disk of a machine again: writes are accepted.
    Empty {
        /// The machine, as `labctl status` calls it, or by its role: `db:primary`.
        name: String,
    },
    /// Add a machine of a kind, behind its balancer.
    Add {
        /// The kind, as the chapter calls it: `web`.
        kind: String,
    },
    /// Drain a machine at its balancer, and stop it for good.
    Remove {
        /// The machine, as `labctl status` calls it.
        name: String,
    },
    /// Replace the machines of a kind one by one, as a deploy does.
    ///
    /// Each one ends, is off for as long as installing a new version takes, and starts again. The next one
    /// follows once the balancers send this one requests.
    Roll {
        /// The kind, as the chapter calls it: `web`.
        kind: String,
        /// How each of them ends.
        #[arg(long, value_enum)]
        how: RollHow,
        /// How long installing a new version takes.
        #[arg(long, default_value = "2s")]
        #[serde(default = "two_seconds")]
        install: Span,
    },
    /// Delay the link between two machines.
    Slow {
        /// The machine that connects.
        from: String,
        /// The machine that it connects to.
        to: String,
        /// Delay added to each round trip, half of it in each direction.
        #[arg(default_value = "2s")]
        by: Span,
    },
    /// Cut the link between two machines: nothing passes.
    Cut {
        /// The machine that connects.
        from: String,
        /// The machine that it connects to.
        to: String,
    },
    /// Answer 500 to every request over a link, in place of its far end.
    Fail {
        /// The machine that connects.
        from: String,
        /// The machine that it connects to.
        to: String,
    },
    /// Break a link and restore it, over and over.
    Flap {
        /// The machine that connects.
        from: String,
        /// The machine that it connects to.
        to: String,
        /// How long it is broken, and how long it is whole.
        #[arg(default_value = "1s")]
        every: Span,
    },
    /// Cut every link between groups of machines.
    Partition {
        /// The groups, each of machines with commas between them: `db-1 db-2,db-3`. A machine that is not named
        /// is in the last group.
        #[arg(required = true, num_args = 2.., value_parser = group)]
        groups: Vec<Group>,
    },
    /// Restore every link, and reconnect every container that was disconnected.
    #[command(hide = true)]
    HealAll,
    /// Restore a link; without names, every link.
    ///
    /// Without names, containers that were disconnected are reconnected, too.
    Heal {
        /// The machine that connects.
        #[arg(requires = "to", default_value = EVERY, hide_default_value = true)]
        from: String,
        /// The machine that it connects to.
        #[arg(default_value = EVERY, hide_default_value = true)]
        to: String,
    },
}

/// Machines that still reach one another in a partition.
pub type Group = Vec<String>;

/// The default machine names of `heal`: every link.
const EVERY: &str = "every machine";

/// A name in an act, so that it can be checked before anything starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A machine, to be started, stopped or frozen.
    Machine(&'a str),
    /// A machine, or one program on it: `app/dbnode`.
    Program(&'a str),
    /// The disk of a machine with a database.
    Disk(&'a str),
    /// A kind of machine with a count, to which one can be added.
    Kind(&'a str),
    /// A kind with two or more machines.
    Several(&'a str),
    /// A link between two machines, or between all of two kinds.
    Link(&'a str, &'a str),
    /// A machine in a group of a partition. Nothing happens to the machine itself.
    Member(&'a str),
}

impl Act {
    /// The names in the act.
    pub fn targets(&self) -> Vec<Target<'_>> {
        match self {
            Self::Kill { name } => vec![Target::Program(name)],
            Self::Stop { name }
            | Self::Freeze { name }
            | Self::Thaw { name }
            | Self::Restart { name }
            | Self::Resize { name, .. }
            | Self::Remove { name } => vec![Target::Machine(name)],
            Self::Fill { name } | Self::Empty { name } => vec![Target::Disk(name)],
            Self::Add { kind } => vec![Target::Kind(kind)],
            Self::Roll { kind, .. } => vec![Target::Several(kind)],
            Self::Slow { from, to, .. }
            | Self::Cut { from, to }
            | Self::Fail { from, to }
            | Self::Flap { from, to, .. }
            | Self::Heal { from, to } => vec![Target::Link(from, to)],
            Self::Partition { groups } => groups.iter().flatten().map(|name| Target::Member(name)).collect(),
            Self::HealAll => vec![],
        }
    }

    /// The mistake in its fields, if they alone reveal one.
    pub fn mistake(&self) -> Option<String> {
        match self {
            Self::Flap { every: Span(Duration::ZERO), .. } => Some("every must be longer than 0s".into()),
            Self::Roll { install, .. } if install.0 > INSTALL_MAX => {
                Some(format!("installing a new version takes {INSTALL_MAX:?} at most, not {install}"))
            }
            Self::Resize { name, cores: None, memory: None } => {
                Some(format!("'{name}' gets no new size: give its cores, its memory, or both"))
            }
            Self::Resize { memory: Some(memory), .. } if *memory < MEMORY_MIN => {
                Some(format!("memory is at least {MEMORY_MIN}, not {memory}"))
            }
            _ => None,
        }
    }

    /// Converts a typed command to the act meant: `labctl heal` without names heals everything.
    pub fn as_typed(self) -> Self {
        match self {
            Self::Heal { from, .. } if from == EVERY => Self::HealAll,
            act => act,
        }
    }
}

/// Parses a group as typed: `db-2,db-3`.
#[allow(clippy::unnecessary_wraps, reason = "clap wants a parser that may fail")]
fn group(text: &str) -> Result<Group, std::convert::Infallible> {
    Ok(text.split(',').map(str::to_owned).collect())
}
