//! The engine's view of one container at this moment.

use std::collections::HashMap;

use serde::Deserialize;

use super::cable::Cable;
use super::engine::{Refused, docker};

/// A container that exists.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected {
    /// Its run state.
    pub(super) state: State,
    network_settings: Settings,
}

/// The run state of a container.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct State {
    /// It has a process, which may be paused.
    pub(super) running: bool,
    /// It is paused.
    pub(super) paused: bool,
    /// Its first process, as numbered by this computer. 0 if there is none.
    pub(super) pid: u32,
    /// The exit code of its last run.
    pub(super) exit_code: i32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Settings {
    networks: Option<HashMap<String, Endpoint>>,
}

#[derive(Debug, Deserialize)]
struct Endpoint {
    #[serde(rename = "IPAddress", default)]
    address: String,
    #[serde(rename = "IPAMConfig", default)]
    wanted: Option<Wanted>,
}

/// The endpoint settings requested when it was connected.
#[derive(Debug, Deserialize)]
struct Wanted {
    #[serde(rename = "IPv4Address", default)]
    address: String,
}

impl Inspected {
    /// Inspects a container, by its name or its id.
    pub(super) async fn of(container: &str) -> Result<Self, Refused> {
        let said = docker(&["container", "inspect", "--format", "{{json .}}", container]).await?;
        serde_json::from_str(&said).map_err(|error| Refused::of("container inspect", error.to_string()))
    }

    /// True if it is on its network, with whatever address.
    pub(super) fn is_on(&self, cable: &Cable) -> bool {
        self.endpoint(cable).is_some()
    }

    /// True if it has its own address there, or will get it when it is started.
    pub(super) fn is_plugged(&self, cable: &Cable) -> bool {
        let wanted = self.endpoint(cable).and_then(|endpoint| endpoint.wanted.as_ref());
        wanted.is_some_and(|wanted| wanted.address == cable.address.to_string())
    }

    /// The address that it has there instead of its own, if any.
    pub(super) fn elsewhere(&self, cable: &Cable) -> Option<&str> {
        let address = self.endpoint(cable).map(|endpoint| endpoint.address.as_str())?;
        (!address.is_empty() && address != cable.address.to_string()).then_some(address)
    }

    fn endpoint(&self, cable: &Cable) -> Option<&Endpoint> {
        self.network_settings.networks.as_ref()?.get(&cable.network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(networks: &str) -> Inspected {
        let text = format!(
            r#"{{"Id":"abc","State":{{"Status":"running","Running":true,"Paused":false,"Pid":7,"ExitCode":0}},"NetworkSettings":{{"Networks":{networks}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn cable() -> Cable {
        Cable::of([172, 28], "web-1", [172, 28, 0, 2].into())
    }

    #[test]
    fn a_container_with_its_own_address_is_plugged_in() {
        let own = said(r#"{"labctl":{"IPAMConfig":{"IPv4Address":"172.28.0.2"},"IPAddress":"172.28.0.2"}}"#);
        assert!(own.is_on(&cable()) && own.is_plugged(&cable()));
        assert_eq!(own.elsewhere(&cable()), None);
        let not_started = said(r#"{"labctl":{"IPAMConfig":{"IPv4Address":"172.28.0.2"},"IPAddress":""}}"#);
        assert!(not_started.is_plugged(&cable()));
        assert_eq!(not_started.elsewhere(&cable()), None);
    }

    #[test]
    fn a_pulled_cable_and_another_address_are_told_apart() {
        let pulled = said(r#"{"bridge":{"IPAMConfig":null,"IPAddress":"172.17.0.2"}}"#);
        assert!(!pulled.is_on(&cable()) && !pulled.is_plugged(&cable()));
        assert!(!said("null").is_on(&cable()));
        let moved = said(r#"{"labctl":{"IPAMConfig":null,"IPAddress":"172.28.200.0"}}"#);
        assert!(moved.is_on(&cable()) && !moved.is_plugged(&cable()));
        assert_eq!(moved.elsewhere(&cable()), Some("172.28.200.0"));
    }
}
