//! A lab with its live page.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tests::{Lab, http};

/// A lab for one test, with a page on its own port.
#[derive(Debug)]
pub struct PageLab {
    /// The lab.
    pub lab: Lab,
    /// The page's URL, with the token.
    pub url: String,
    /// The page's address.
    pub address: SocketAddr,
    /// The token for programs.
    pub token: String,
}

impl PageLab {
    /// Starts the lab of a chapter.
    pub fn up(chapter: &str) -> Self {
        Self::up_with(Lab::new(), chapter, &[])
    }

    /// Starts it in a lab's directory that may already have content, and with more flags.
    pub fn up_with(lab: Lab, chapter: &str, flags: &[&str]) -> Self {
        let told = lab.succeed(&[&["up", chapter, "--page", "127.0.0.1:0"], flags].concat());
        let first = told.lines().next().unwrap_or_default();
        let url = first.strip_prefix("The live page: ").unwrap_or_else(|| panic!("no URL first: {told}"));
        let url = url.to_owned();
        let page = Self::of(lab).expect("the page is recorded");
        assert_eq!(url, page.url);
        page
    }

    /// The lab whose page is recorded in its directory. `Err` returns the lab if there is no page yet.
    pub fn of(lab: Lab) -> Result<Self, Lab> {
        let record = std::fs::read_to_string(lab.path().join(".lab/page.json"));
        let Some(record) = record.ok().and_then(|text| serde_json::from_str::<Value>(&text).ok()) else {
            return Err(lab);
        };
        let text = |name: &str| record[name].as_str().expect("the record is complete").to_owned();
        let address = text("address").parse().expect("it is an address");
        Ok(Self { url: text("url"), address, token: text("token"), lab })
    }

    /// Sends a request to the page, as a program would.
    pub fn ask(&self, request: &str) -> Value {
        let headers = format!("authorization: Bearer {}\r\n", self.token);
        let answer = http::answer(&self.address.to_string(), request, &headers);
        let answer = answer.unwrap_or_else(|| panic!("{request}: no answer"));
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{request}: {error}: {answer}"))
    }

    /// Returns the PID of a machine.
    pub fn pid_of(&self, machine: &str) -> i32 {
        let pid = self.lab.machine(machine)["pid"].as_i64().expect("a pid is a number");
        i32::try_from(pid).expect("pids are small")
    }

    /// Sends a signal to a process, as a student would.
    pub fn signal(pid: i32, signal: Signal) {
        kill(Pid::from_raw(pid), signal).expect("the process is there");
    }

    /// Returns the PID of the process that keeps the lab and serves its page.
    pub fn keeper(&self) -> i32 {
        let state = std::fs::read_to_string(self.lab.path().join(".lab/state.json")).expect("the lab runs");
        let state: Value = serde_json::from_str(&state).expect("the state is JSON");
        i32::try_from(state["keeper"]["pid"].as_i64().expect("a pid is a number")).expect("pids are small")
    }

    /// Returns the CPU time that a process has used, in seconds.
    pub fn cpu_seconds(pid: i32) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is there");
        let rest = stat.rsplit_once(") ").expect("it has a name").1;
        let fields: Vec<_> = rest.split(' ').collect();
        let ticks = fields[11].parse::<f64>().unwrap_or(0.0) + fields[12].parse::<f64>().unwrap_or(0.0);
        ticks / 100.0
    }

    /// Shuts the lab down.
    pub fn down(self) {
        self.end();
    }

    /// Shuts the lab down, and returns its directory for another one.
    pub fn end(self) -> Lab {
        self.lab.succeed(&["down"]);
        assert_eq!(self.lab.running(), vec![]);
        self.lab
    }
}

/// Returns the accessibility checker's source, if a Python wheel with it is installed: `PAGE_AXE` names its file.
pub fn axe() -> Option<String> {
    let path = std::env::var("PAGE_AXE").ok();
    assert!(
        path.is_some() || std::env::var_os("CI").is_none(),
        "axe-core is required here: scripts/test.sh installs it and sets PAGE_AXE"
    );
    let Some(path) = path else {
        println!("SKIPPED: axe-core (set PAGE_AXE to axe.min.js), so nothing was checked for accessibility");
        return None;
    };
    Some(std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")))
}

/// Runs curl, as the contract's examples do, and returns the response.
pub fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl").args(["--silent", "--max-time", "5"]).args(arguments).output();
    String::from_utf8_lossy(&output.expect("curl can be started").stdout).into_owned()
}

/// Returns whether the computer is idle enough for a lab and a browser: otherwise time limits mean nothing.
pub fn is_calm() -> bool {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = text.split(' ').next().and_then(|load| load.parse::<f64>().ok()).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
    load <= 3.0 * cores
}

/// Checks a duration against its limit; on a busy computer it only prints a note.
pub fn assert_within(what: &str, took: Duration, limit: Duration) {
    println!("{what}: {took:?}, at most {limit:?}");
    match is_calm() {
        true => assert!(took <= limit, "{what}: {took:?}, and should take at most {limit:?}"),
        false if took > limit => println!("INCONCLUSIVE: {what}: the computer is too busy to say"),
        false => {}
    }
}
