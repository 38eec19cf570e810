//! The cable of a container: its attachment to the lab's network. A container that is connected without an
//! explicit address gets any free one, where no machine expects it. Pure.
#![deny(clippy::disallowed_methods)]

use std::net::IpAddr;

use super::project;

/// A container, its network and its address there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cable {
    /// The container's name in the engine.
    pub container: String,
    /// The network's name in the engine.
    pub network: String,
    /// The machine's address in the plan.
    pub address: IpAddr,
}

impl Cable {
    /// Creates the cable of a machine in the lab with these first two address bytes.
    pub fn of(network: [u8; 2], machine: &str, address: IpAddr) -> Self {
        Self {
            container: project::container_name(network, machine),
            network: project::name(network),
            address,
        }
    }

    /// The command that disconnects it.
    pub fn pull(&self) -> String {
        format!("docker network disconnect {} {}", self.network, self.container)
    }

    /// The command that connects it again.
    pub fn plug(&self) -> String {
        format!("docker network connect --ip {} {} {}", self.address, self.network, self.container)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cable_is_named_as_the_engine_names_it() {
        let address = IpAddr::from([172, 28, 0, 5]);
        let cable = Cable::of([172, 28], "web-3", address);
        assert_eq!(cable.pull(), "docker network disconnect labctl web-3");
        assert_eq!(cable.plug(), "docker network connect --ip 172.28.0.5 labctl web-3");
        let cable = Cable::of([172, 29], "web-3", IpAddr::from([172, 29, 0, 5]));
        assert_eq!(cable.pull(), "docker network disconnect labctl-172-29 labctl-172-29-web-3");
    }
}
