//! No process outlives its machine, not even one that was being started when the machine was killed.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const TIMES: u32 = 100;
const LIMIT: Duration = Duration::from_secs(5);

/// Starts a program that does not know about machines, as Redis does, and that a test recognizes by
/// its arguments.
fn machine_with(words: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_machine"));
    command.args(["--name", "m", "--", "sleep=/bin/sleep", words]).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("the machine can be started")
}

/// Returns the first child of a process, once it has one.
fn first_child(of: u32) -> u32 {
    let path = format!("/proc/{of}/task/{of}/children");
    let deadline = Instant::now() + LIMIT;
    loop {
        let children = fs::read_to_string(&path).unwrap_or_default();
        if let Some(pid) = children.split_whitespace().next() {
            return pid.parse().expect("a pid is a number");
        }
        assert!(Instant::now() < deadline, "the machine started nothing");
    }
}

fn is_there(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_program_dies_with_a_machine_that_is_killed_while_it_starts_it() {
    let words = format!("{}.25", std::process::id());
    let mut left = Vec::new();
    for time in 0..TIMES {
        let mut machine = machine_with(&words);
        let program = first_child(machine.id());
        // From the moment of its birth to some milliseconds later.
        sleep(Duration::from_micros(u64::from(time % 10) * 100));
        machine.kill().expect("it is there");
        machine.wait().expect("it ends");
        let deadline = Instant::now() + LIMIT;
        while is_there(program) && Instant::now() < deadline {
            sleep(Duration::from_millis(1));
        }
        if is_there(program) {
            left.push(program);
            let _ = Command::new("kill").args(["-9", &program.to_string()]).status();
        }
    }
    assert!(left.is_empty(), "{} of {TIMES} were left", left.len());
}

#[test]
fn what_a_program_starts_is_not_taken_for_one_that_was_left() {
    // The shell's child has another parent than the one that the machine names to the shell.
    let mut command = Command::new(env!("CARGO_BIN_EXE_machine"));
    let become_it = "exec \"$0\" --become /bin/true; true";
    command.args(["--name", "m", "--", "shell=/bin/sh", "-c"]);
    command.arg(format!("(sh -c '{become_it}' \"$0\") && exit 7")).arg(env!("CARGO_BIN_EXE_machine"));
    let ended = command.stdout(Stdio::null()).status().expect("the machine can be started");
    assert_eq!(ended.code(), Some(7));
}
