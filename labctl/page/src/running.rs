//! What the page shows: a lab that labctl keeps, or a stack that somebody else keeps, which can only be watched.

use std::sync::Arc;

use chapter::Act;
use indexmap::IndexMap;
use lab::error::LabError;
use lab::{Events, Laboratory, MachineStatus, Plan, Stack};

use crate::deeds;

/// What the page shows.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    /// What happened.
    pub events: Events,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Lab(Arc<Laboratory>),
    Stack(Arc<Stack>),
}

/// Why something was not done.
#[derive(Debug)]
pub(crate) enum NotDone {
    /// It cannot be done, or failed.
    Refused(LabError),
    /// The page cannot do it; this command does.
    ByHand(String),
}

impl Running {
    /// A lab that labctl keeps.
    pub(crate) fn lab(lab: &Arc<Laboratory>) -> Self {
        Self { events: lab.events.clone(), what: What::Lab(Arc::clone(lab)) }
    }

    /// A stack that somebody else keeps.
    pub(crate) fn stack(stack: &Arc<Stack>) -> Self {
        Self { events: stack.events.clone(), what: What::Stack(Arc::clone(stack)) }
    }

    /// Whether everything that labctl does can be done to it from here.
    pub(crate) fn can_act(&self) -> bool {
        matches!(self.what, What::Lab(_))
    }

    /// What to type for what cannot be done from here, by machine: `kill` is `docker kill web-2`. None where everything
    /// can be done.
    pub(crate) fn by_hand(&self) -> Option<IndexMap<String, IndexMap<&'static str, String>>> {
        match &self.what {
            What::Lab(_) => None,
            What::Stack(stack) => Some(stack.by_hand()),
        }
    }

    /// The plan as it is now.
    pub(crate) fn plan(&self) -> Plan {
        match &self.what {
            What::Lab(lab) => lab.plan(),
            What::Stack(stack) => stack.plan(),
        }
    }

    /// How every machine is.
    pub(crate) async fn status(&self) -> Vec<MachineStatus> {
        match &self.what {
            What::Lab(lab) => lab.status().await,
            What::Stack(stack) => stack.status(),
        }
    }

    /// The machine that a name such as `db:primary` means now.
    pub(crate) async fn who_is(&self, name: &str) -> Result<String, LabError> {
        match &self.what {
            What::Lab(lab) => lab.who_is(name).await,
            What::Stack(stack) => stack.who_is(name).await,
        }
    }

    /// Does something to it. Returns what was done, as it could have been typed.
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

    /// What to type for this.
    pub(crate) fn command(&self, labctl: &str, act: &Act) -> String {
        match &self.what {
            What::Lab(_) => format!("{labctl} {}", deeds::command_of(act)),
            What::Stack(stack) => stack.command(act).unwrap_or_else(|why| why),
        }
    }
}
