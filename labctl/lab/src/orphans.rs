//! Programs of a lab that outlived their machine. Every program is bound to its machine's life by itself; this
//! is the net below, for one that a signal missed. A pid alone says nothing, so they are known by two things: a
//! program that labs start, and a working directory within the lab's data, which nobody else's Redis has.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;

use super::process;

/// What the kernel calls the programs that go to their data directory and know no machine.
const NAMES: [&str; 3] = ["redis-server", "valkey-server", "redis-sentinel"];

/// Kills those of a lab, given the directory with its data, and names them.
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
