//! How a lab's machines are, for people who ask.

use machine::capacity::Usage;
use serde::{Deserialize, Serialize};

use super::machine::RunningMachine;
use super::plan::Program;

/// One machine, for people who ask how it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MachineStatus {
    /// Its name.
    pub name: String,
    /// The process that stands for it; killing it kills all that is on it.
    pub pid: u32,
    /// Whether it is switched on.
    pub on: bool,
    /// Whether it is on the lab's network, with its own address.
    pub connected: bool,
    /// What is on it.
    pub programs: Vec<ProgramStatus>,
    /// Its figures, when it is on and answers.
    pub usage: Option<Usage>,
    /// Whether it is well and has no figures: nothing on it counts any.
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
    /// What it is.
    pub program: Program,
    /// Where it answers.
    pub address: std::net::SocketAddr,
    /// Where its health and its metrics are asked for.
    pub health: std::net::SocketAddr,
    /// Its process id.
    pub pid: u32,
    /// Whether it is there.
    pub alive: bool,
    /// Whether it is stopped.
    pub frozen: bool,
}

impl MachineStatus {
    /// Asks a machine how it is.
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
