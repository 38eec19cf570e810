//! What the page shows: a lab that labctl keeps, or a stack started by other means, which can only be watched.

use std::sync::Arc;

use chapter::Act;
use indexmap::IndexMap;
use lab::error::LabError;
use lab::{Events, Laboratory, MachineStatus, Plan, Stack};

use crate::deeds;

/// What the page shows.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    /// The log of events.
    pub events: Events,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Lab(Arc<Laboratory>),
    Stack(Arc<Stack>),
}

/// Why an action was not carried out.
#[derive(Debug)]
pub(crate) enum NotDone {
    /// It is impossible, or it failed.
    Refused(LabError),
    /// The page cannot do it; this command can.
    ByHand(String),
}

impl Running {
    /// Shows a lab that labctl keeps.
    pub(crate) fn lab(lab: &Arc<Laboratory>) -> Self {
        Self { events: lab.events.clone(), what: What::Lab(Arc::clone(lab)) }
    }

    /// Shows a stack that labctl does not keep.
    pub(crate) fn stack(stack: &Arc<Stack>) -> Self {
        Self { events: stack.events.clone(), what: What::Stack(Arc::clone(stack)) }
    }

    /// Returns whether the page can carry out actions.
    pub(crate) fn can_act(&self) -> bool {
        matches!(self.what, What::Lab(_))
    }

    /// Returns, by machine, the commands for actions that the page cannot carry out: `kill` is `docker kill web-2`.
    /// None if the page can carry out all of them.
    pub(crate) fn by_hand(&self) -> Option<IndexMap<String, IndexMap<&'static str, String>>> {
        match &self.what {
            What::Lab(_) => None,
            What::Stack(stack) => Some(stack.by_hand()),
        }
    }

    /// Returns the current plan.
    pub(crate) fn plan(&self) -> Plan {
        match &self.what {
            What::Lab(lab) => lab.plan(),
            What::Stack(stack) => stack.plan(),
        }
    }

    /// Returns the status of every machine.
    pub(crate) async fn status(&self) -> Vec<MachineStatus> {
        match &self.what {
            What::Lab(lab) => lab.status().await,
            What::Stack(stack) => stack.status(),
        }
    }

    /// Resolves a name such as `db:primary` to the machine that has the role now.
    pub(crate) async fn resolve(&self, name: &str) -> Result<String, LabError> {
        match &self.what {
            What::Lab(lab) => lab.resolve(name).await,
            What::Stack(stack) => stack.resolve(name).await,
        }
    }

    /// Carries out an action. Returns the equivalent commands.
    pub(crate) async fn act(&self, act: &Act) -> Result<Vec<String>, NotDone> {
        let stack = match &self.what {
            What::Lab(lab) => return lab.act(act).await.map_err(NotDone::Refused),
            What::Stack(stack) => stack,
        };
        if let Some(done) = stack.act(act).await {
            return done.map_err(NotDone::Refused);
        }
        Err(match stack.command(act) {
            Ok(command) => NotDone::ByHand(command),
            Err(why) => NotDone::Refused(LabError::Usage(why)),
        })
    }

    /// Returns the command that prints the token of the balancers' admin interfaces, if they require one.
    pub(crate) fn admin_token_command(&self) -> Option<String> {
        match &self.what {
            What::Lab(lab) => Some(format!("cat {}", lab.plan().deployment().admin_token_file()?.display())),
            What::Stack(stack) => stack.admin_token_command(),
        }
    }

    /// Returns the equivalent command of an action.
    pub(crate) fn command(&self, labctl: &str, act: &Act) -> String {
        match &self.what {
            What::Lab(_) => format!("{labctl} {}", deeds::command_of(act)),
            What::Stack(stack) => stack.command(act).unwrap_or_else(|why| why),
        }
    }
}
