//! The seam between a lab and its backends: creates machines from the lab's plan.

use std::path::Path;

use futures_util::future::join_all;

use super::backend::Backend;
use super::compose::{self, Project, Whose};
use super::events::Events;
use super::machine::RunningMachine;
use super::plan::{MachinePlan, Plan};
use super::ports;
use super::process_machine;
use super::redis;
use super::site::Site;
use crate::error::LabError;
use crate::interrupt::Interrupt;

/// This computer, for processes, or a Docker engine, for containers.
#[derive(Debug)]
pub(super) enum Host {
    Processes,
    Containers(Project),
}

/// Proof that everything a plan needs is available.
#[derive(Debug)]
pub(super) struct Checked {
    /// The cores that a container may be given.
    cores: u32,
}

/// What starting a machine needs besides its plan.
pub(super) struct Around<'a> {
    pub(super) site: &'a Site,
    pub(super) logs: &'a Path,
    pub(super) events: &'a Events,
}

impl Host {
    /// Checks that everything the plan needs is available.
    pub(super) async fn check(plan: &Plan, site: &Site, interrupt: &Interrupt) -> Result<Checked, LabError> {
        site.check_sockets(plan)?;
        let cores = match plan.deployment().backend {
            Backend::Compose => interrupt.unless(compose::check(plan, site)).await?,
            Backend::Process => {
                redis::check(plan)?;
                Site::check_ports(plan)?;
                0
            }
        };
        Ok(Checked { cores })
    }

    /// Creates what has to exist before any machine is started.
    pub(super) async fn prepare(plan: &Plan, checked: Checked, around: Around<'_>) -> Result<Self, LabError> {
        match plan.deployment().backend {
            Backend::Process => Ok(Self::Processes),
            Backend::Compose => {
                let Around { site, logs, events } = around;
                let project = Project::create(plan, site, logs, events, checked.cores).await?;
                Ok(Self::Containers(project))
            }
        }
    }

    /// True if data has to exist before the machines are created, not only before they are started.
    pub(super) fn makes_machines_first(plan: &Plan) -> bool {
        plan.deployment().backend == Backend::Compose
    }

    /// Removes what was prepared, perhaps in part.
    pub(super) async fn abandon(plan: &Plan) -> Result<(), LabError> {
        match plan.deployment().backend {
            Backend::Process => Ok(()),
            Backend::Compose => compose::remove(plan).await,
        }
    }

    /// Starts a machine. Its programs are not ready yet.
    pub(super) async fn start(
        &self,
        machine: MachinePlan,
        plan: &Plan,
        around: Around<'_>,
    ) -> Result<RunningMachine, LabError> {
        match self {
            Self::Processes => {
                let Around { site, logs, events } = around;
                // It may be restarted just after it was killed.
                ports::until_free(plan.own_addresses(&machine)).await;
                Ok(process_machine::start(machine, site, logs, events)?)
            }
            Self::Containers(project) => project.start(machine, plan).await,
        }
    }

    /// Removes what is left of a machine that will not be started again.
    pub(super) async fn forget(&self, name: &str) {
        if let Self::Containers(project) = self {
            project.forget(name).await;
        }
    }

    /// Reconnects every machine that was taken off the network. Returns the equivalent shell commands.
    pub(super) async fn plug_all_in(&self) -> Result<Vec<String>, LabError> {
        match self {
            Self::Processes => Ok(vec![]),
            Self::Containers(project) => project.plug_all_in().await,
        }
    }

    /// Ends all machines: they are asked first, then killed.
    pub(super) async fn end<M: AsRef<RunningMachine>>(
        &self,
        machines: &[M],
        plan: &Plan,
    ) -> Result<(), LabError> {
        match self {
            Self::Processes => {
                join_all(machines.iter().map(|machine| machine.as_ref().end())).await;
                // So that the next lab finds the ports free.
                ports::until_free(machines.iter().flat_map(|machine| machine.as_ref().plan.addresses()))
                    .await;
                Ok(())
            }
            Self::Containers(project) => project.down(plan).await,
        }
    }

    /// Removes what a lab left behind, apart from processes, when its labctl was killed. Returns what was
    /// removed.
    pub(super) fn sweep(
        backend: Backend,
        lab_directory: &Path,
        network: [u8; 2],
    ) -> Result<Vec<String>, LabError> {
        match backend {
            Backend::Process => Ok(vec![]),
            Backend::Compose => compose::sweep(Whose::Lab(lab_directory, network)),
        }
    }
}
