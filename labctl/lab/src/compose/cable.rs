//! The cable of a container: how it is on the lab's network. The engine gives whoever is connected without a
//! word some free address, and nobody looks for a machine there. Pure.
#![deny(clippy::disallowed_methods)]

use std::net::IpAddr;

use super::project;

/// Which container, on which network, and with which address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cable {
    /// What the engine calls the container.
    pub container: String,
    /// What it calls the network.
    pub network: String,
    /// The address that the machine has in the plan.
    pub address: IpAddr,
}

impl Cable {
    /// That of a machine of a lab with these addresses.
    pub fn of(network: [u8; 2], machine: &str, address: IpAddr) -> Self {
        Self {
            container: project::container_name(network, machine),
            network: project::name(network),
            address,
        }
    }

    /// What pulls it out.
    pub fn pull(&self) -> String {
        format!("docker network disconnect {} {}", self.network, self.container)
    }

    /// What puts it back.
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
