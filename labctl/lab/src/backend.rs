//! What machines are made of.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a lab's machines are made of.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// Processes of this computer, on loopback addresses.
    #[default]
    Process,
    /// Containers, one for each machine, on a network of their own.
    Compose,
}

impl Backend {
    /// The first two bytes of the addresses that machines get when nothing else is asked for.
    pub fn network(self) -> [u8; 2] {
        match self {
            Self::Process => [127, 77],
            Self::Compose => [172, 28],
        }
    }

    /// Whether machines are containers: on a network that others on this computer can reach too, with names of
    /// programs and addresses of their own.
    pub fn is_containers(self) -> bool {
        match self {
            Self::Process => false,
            Self::Compose => true,
        }
    }

    /// The longest that a lab may take until it is up. Of containers also images come, and networks are made.
    pub fn ready_max(self) -> Duration {
        match self {
            Self::Process => Duration::from_secs(60),
            Self::Compose => Duration::from_secs(15 * 60),
        }
    }

    /// The longest that a lab may take to end.
    pub fn end_max(self) -> Duration {
        match self {
            Self::Process => Duration::from_secs(15),
            Self::Compose => Duration::from_secs(4 * 60),
        }
    }
}
