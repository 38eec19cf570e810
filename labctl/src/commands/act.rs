//! `labctl kill`, `freeze`, `thaw`, `restart`, `fill`, `empty`, `add`, `remove`, `slow`, `cut`, `fail`,
//! `flap`, `partition`, `heal`: each does one thing to the lab that is running, and says what could have been typed instead.

use clap::Args;

use super::{Performed, running, say, say_document};
use crate::cli::Common;
use chapter::Act;
use lab::control::{Answer, Question};

/// A machine.
#[derive(Debug, Args)]
pub struct NameArgs {
    /// The machine, as `labctl status` calls it, or by its role: `db:primary`; for `kill` also one
    /// program on it: `app/dbnode`.
    pub name: String,
}

/// A kind of machine.
#[derive(Debug, Args)]
pub struct KindArgs {
    /// The kind, as the chapter calls it: `web`.
    pub kind: String,
}

/// A link.
#[derive(Debug, Args)]
pub struct LinkArgs {
    /// Who connects.
    pub from: String,
    /// To whom.
    pub to: String,
}

/// A link, and how slow.
#[derive(Debug, Args)]
pub struct SlowArgs {
    /// Who connects.
    pub from: String,
    /// To whom.
    pub to: String,
    /// What is added to each round trip.
    #[arg(default_value = "2s")]
    pub by: humantime::Duration,
}

/// A link, and how fast it comes and goes.
#[derive(Debug, Args)]
pub struct FlapArgs {
    /// Who connects.
    pub from: String,
    /// To whom.
    pub to: String,
    /// How long it is broken, and how long it is whole.
    #[arg(default_value = "1s")]
    pub every: humantime::Duration,
}

/// Groups of machines.
#[derive(Debug, Args)]
pub struct GroupArgs {
    /// The groups, each of machines with commas between them: db-1 db-2,db-3. Whoever is not named is
    /// with the last.
    #[arg(required = true, num_args = 2..)]
    pub groups: Vec<String>,
}

/// A link, or all of them.
#[derive(Debug, Args)]
pub struct HealArgs {
    /// Who connects.
    #[arg(requires = "to")]
    pub from: Option<String>,
    /// To whom.
    pub to: Option<String>,
}

impl GroupArgs {
    /// What it asks for.
    pub fn act(self) -> Act {
        let names = |group: String| group.split(',').map(str::to_owned).collect();
        Act::Partition { groups: self.groups.into_iter().map(names).collect() }
    }
}

impl HealArgs {
    /// What it asks for.
    pub fn act(self) -> Act {
        match (self.from, self.to) {
            (Some(from), Some(to)) => Act::Heal { from, to },
            _ => Act::HealAll,
        }
    }
}

impl SlowArgs {
    /// What it asks for.
    pub fn act(self) -> Act {
        Act::Slow { from: self.from, to: self.to, by_ms: millis(self.by) }
    }
}

impl FlapArgs {
    /// What it asks for.
    pub fn act(self) -> Act {
        Act::Flap { from: self.from, to: self.to, every_ms: millis(self.every) }
    }
}

fn millis(duration: humantime::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Does one thing.
pub async fn act(act: Act, common: &Common) -> Performed {
    let Answer::Done(commands) = running::ask(common, &Question::Act(act)).await? else { return Ok(5) };
    if common.json {
        say_document("did", serde_json::json!({ "did": commands }))?;
    } else {
        commands.iter().for_each(|command| say(format!("$ {command}")));
    }
    Ok(0)
}
