//! What machines are made of.

use serde::{Deserialize, Serialize};

/// What a lab's machines are made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
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
}
