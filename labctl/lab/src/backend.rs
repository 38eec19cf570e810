//! The backends of a lab: processes or containers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The backend of a lab: what its machines run as.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// Processes on this computer, with loopback addresses.
    #[default]
    Process,
    /// Containers, one per machine, on a network of their own.
    Compose,
}

impl Backend {
    /// The first two bytes of the machines' addresses by default.
    pub fn network(self) -> [u8; 2] {
        match self {
            Self::Process => [127, 77],
            Self::Compose => [172, 28],
        }
    }

    /// True if machines are containers: they have program names and addresses of their own, on a network that
    /// other processes of this computer can reach too.
    pub fn is_containers(self) -> bool {
        match self {
            Self::Process => false,
            Self::Compose => true,
        }
    }

    /// The longest a lab may take to come up. With containers this includes pulling images and creating
    /// networks.
    pub fn ready_max(self) -> Duration {
        match self {
            Self::Process => Duration::from_secs(60),
            Self::Compose => Duration::from_secs(15 * 60),
        }
    }

    /// The longest a lab may take to shut down.
    pub fn end_max(self) -> Duration {
        match self {
            Self::Process => Duration::from_secs(15),
            Self::Compose => Duration::from_secs(4 * 60),
        }
    }
}
