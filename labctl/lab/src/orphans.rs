//! Programs of a lab that outlived their machine. Every program is already tied to its machine's life; this
//! is the safety net for one that missed the signal. A pid alone proves nothing, so an orphan is recognised
//! by two things: a program name that labs start, and a working directory within the lab's data, which no
//! other Redis has.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;

use super::process;

/// Kernel names of the programs that change into their data directory and know nothing about a machine.
const NAMES: [&str; 3] = ["redis-server", "valkey-server", "redis-sentinel"];

/// Kills the orphans of the lab with this data directory, and returns their names.
pub(super) fn kill_in(data: &Path) -> Vec<String> {
    let Ok(data) = data.canonicalize() else { return vec![] };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let process = Path::new("/proc").join(pid.to_string());
        let name = fs::read_to_string(process.join("comm")).ok()?;
        let directory = fs::read_link(process.join("cwd")).ok()?;
        let is_one = NAMES.contains(&name.trim()) && directory.starts_with(&data);
        (is_one && process::signal(pid, Signal::SIGKILL)).then(|| format!("{} (pid {pid})", name.trim()))
    })
    .collect()
}
