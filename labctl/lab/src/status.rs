//! The state of a lab's machines, for display.

use machine::capacity::Usage;
use serde::{Deserialize, Serialize};

use super::machine::RunningMachine;
use super::plan::Program;

/// The state of one machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MachineStatus {
    /// Its name.
    pub name: String,
    /// The process that represents it: killing it kills everything on it.
    pub pid: u32,
    /// True while it is switched on.
    pub on: bool,
    /// True while it is on the lab's network with its own address.
    pub connected: bool,
    /// The programs on it.
    pub programs: Vec<ProgramStatus>,
    /// Its usage, while it is on and answers.
    pub usage: Option<Usage>,
    /// True if it is healthy but has no usage, because nothing on it measures any.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unmeasured: bool,
    /// Dollars a month.
    pub price: f64,
    /// Its cores.
    pub cores: u32,
}

/// One program on a machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProgramStatus {
    /// The kind of program.
    pub program: Program,
    /// The address on which it serves.
    pub address: std::net::SocketAddr,
    /// The address of its health check and its metrics.
    pub health: std::net::SocketAddr,
    /// Its process id.
    pub pid: u32,
    /// True while it is running.
    pub alive: bool,
    /// True while it is stopped.
    pub frozen: bool,
}

impl MachineStatus {
    /// Asks a machine for its state.
    pub(super) async fn of(machine: &RunningMachine) -> Self {
        let lives = machine.programs();
        let programs = machine.plan.programs.iter().map(|plan| {
            let life = lives.get(plan.program.name());
            ProgramStatus {
                program: plan.program,
                address: plan.address,
                health: plan.health,
                pid: life.map_or(0, |life| machine.pid_of(life)),
                alive: life.is_some_and(|life| life.alive),
                frozen: life.is_some_and(|life| life.frozen),
            }
        });
        MachineStatus {
            name: machine.plan.name.clone(),
            pid: machine.pid(),
            on: machine.is_on(),
            connected: machine.is_connected(),
            programs: programs.collect(),
            usage: machine.usage_unless_frozen().await,
            unmeasured: false,
            price: machine.plan.price,
            cores: machine.plan.spec.cores,
        }
    }
}
