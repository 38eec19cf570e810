//! The size of a machine.

use std::time::Duration;

use bytesize::ByteSize;
use clap::{Args, ValueEnum};

/// The size of one emulated machine: what a student can buy more of, and what no money can buy.
#[derive(Debug, Clone, Args, serde::Serialize, serde::Deserialize, PartialEq)]
pub struct MachineSpec {
    /// Cores: how many requests make progress at the same instant.
    #[arg(long, env = "MACHINE_CORES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub cores: u32,

    /// Memory, shared by what requests hold and by the page cache, which gets the rest.
    #[arg(long, env = "MACHINE_MEMORY", value_name = "SIZE", default_value = "512MiB")]
    pub memory: ByteSize,

    /// Operations per second of the one disk, which no money makes faster.
    #[arg(long, env = "MACHINE_DISK_IOPS", value_name = "OPERATIONS", default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..))]
    pub disk_iops: u32,

    /// Share of each piece of CPU work (0 to 0.99) during which no other job on the machine may run,
    /// as under a global lock. It bends the curve of vertical scaling (Amdahl 1967: capacity on n
    /// cores is n / (1 + share × (n − 1))).
    #[arg(long, env = "MACHINE_EXCLUSIVE", value_name = "SHARE", default_value_t = 0.0, value_parser = parse_share)]
    pub exclusive: f64,

    /// Order in which waiting jobs get a core.
    #[arg(long, env = "MACHINE_QUEUE", value_enum, value_name = "ORDER", default_value_t = QueueOrder::OldestFirst)]
    #[serde(default)]
    pub queue: QueueOrder,

    /// Memory that one page of the page cache takes.
    #[arg(long, env = "MACHINE_PAGE_SIZE", value_name = "SIZE", default_value = "256KiB", value_parser = parse_page_size)]
    pub page_size: ByteSize,
}

/// The order in which waiting jobs get a core.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueueOrder {
    /// First in, first out: fair, but in an overload all jobs wait equally long.
    #[default]
    OldestFirst,
    /// Last in, first out: in an overload the newest jobs are served in time. Those that have waited
    /// longest, whose clients have probably given up, are served last.
    NewestFirst,
}

impl QueueOrder {
    /// The value of the flag.
    pub fn name(self) -> &'static str {
        match self {
            Self::OldestFirst => "oldest-first",
            Self::NewestFirst => "newest-first",
        }
    }
}

impl MachineSpec {
    /// The duration of one disk operation.
    pub fn disk_operation(&self) -> Duration {
        Duration::from_secs(1) / self.disk_iops.max(1)
    }
}

impl Default for MachineSpec {
    fn default() -> Self {
        Self {
            cores: 1,
            memory: ByteSize::mib(512),
            disk_iops: 400,
            exclusive: 0.0,
            queue: QueueOrder::default(),
            page_size: ByteSize::kib(256),
        }
    }
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=0.99).contains(&share) => Ok(share),
        _ => Err(format!("'{text}' is not a share between 0 and 0.99")),
    }
}

fn parse_page_size(text: &str) -> Result<ByteSize, String> {
    match text.parse::<ByteSize>() {
        Ok(size) if size.as_u64() > 0 => Ok(size),
        Ok(_) => Err("a page takes at least one byte".into()),
        Err(error) => Err(error),
    }
}
