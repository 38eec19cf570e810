//! `labctl targets`: prints the running lab's metrics endpoints for Prometheus.

use serde::Serialize;

use super::common::Common;
use super::{Performed, running, say_json};
use lab::MachineStatus;

/// One program that exposes metrics, in the format of Prometheus' `file_sd_configs`.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Target {
    targets: [String; 1],
    labels: Labels,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Labels {
    /// The program: `lb`, `webserver`, `dbnode`.
    job: &'static str,
    machine: String,
}

/// Prints the targets of the running lab, including those on machines that are off.
pub async fn targets(common: &Common) -> Performed {
    let (_, _, machines) = running::status(common).await?;
    say_json(&targets_of(&machines))?;
    Ok(0)
}

/// Returns every program with metrics. Redis exposes none itself.
fn targets_of(machines: &[MachineStatus]) -> Vec<Target> {
    let programs = machines.iter().flat_map(|machine| machine.programs.iter().map(move |it| (machine, it)));
    let measured = programs.filter(|(_, program)| !program.program.is_redis());
    let target = |(machine, program): (&MachineStatus, &lab::ProgramStatus)| Target {
        targets: [program.health.to_string()],
        labels: Labels { job: program.program.name(), machine: machine.name.clone() },
    };
    measured.map(target).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::{Program, ProgramStatus};

    #[test]
    fn every_program_with_metrics_is_a_target() {
        let program = |program, health: &str| ProgramStatus {
            program,
            address: "127.77.0.1:1".parse().expect("an address"),
            health: health.parse().expect("an address"),
            pid: 1,
            alive: true,
            frozen: false,
        };
        let machine = MachineStatus {
            name: "all".into(),
            pid: 1,
            on: true,
            connected: true,
            programs: vec![
                program(Program::Lb, "127.77.0.1:8081"),
                program(Program::Dbnode, "127.77.0.1:7001"),
                program(Program::Redis, "127.77.0.1:6379"),
            ],
            usage: None,
            unmeasured: false,
            price: 1.0,
            cores: 1,
        };
        let text = serde_json::to_string(&targets_of(&[machine])).expect("it is data");
        let wanted = r#"[{"targets":["127.77.0.1:8081"],"labels":{"job":"lb","machine":"all"}},{"targets":["127.77.0.1:7001"],"labels":{"job":"dbnode","machine":"all"}}]"#;
        assert_eq!(text, wanted);
    }
}
