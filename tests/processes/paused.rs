//! A computer that is suspended for a while: a closed laptop, a migrated virtual machine, Ctrl-Z. That must not count
//! as a failure of the lab.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{Lab, processes};

/// A machine that dies if it gets more than a dozen concurrent requests.
const FRAGILE: &str = r#"
number = 1
title = "A fragile machine"
question = "Does it live?"

[machine.app]
memory = "32MiB"
webserver = { db = "app", page-cost = "6ms", request-memory = "2MiB" }
dbnode = { query-cost = "4ms", products = 10 }

[traffic.shoppers]
to = "app"
path = "/products/{key}"
keys = 10
arrivals = "constant"

[[step]]
name = "before"
say = "Half of what it can do."
load = { shoppers = 50 }
measure = "500ms"

[[step]]
name = "pause"
say = "And on."
measure = "4s"

[[step.expect]]
claim = "Nothing fails."
measure = "failed(pause)"
equals = 0

[[step.expect]]
claim = "It does not run out of memory."
measure = "out_of_memory(app)"
equals = 0
"#;

const PAUSE: Duration = Duration::from_millis(1_500);

#[test]
fn a_pause_of_everything_is_nobodys_failure() {
    let lab = Lab::new();
    std::fs::write(lab.path().join("fragile.toml"), FRAGILE).expect("it can be written");
    let mut labctl = lab.plain_labctl();
    labctl.args(["run", "fragile.toml"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut labctl = labctl.spawn().expect("labctl can be started");
    let mut told = BufReader::new(labctl.stdout.take().expect("it is piped"));
    let mut line = String::new();
    while !line.contains("[2/2]") {
        line.clear();
        assert!(told.read_line(&mut line).expect("it is text") > 0, "it ended before its second step");
    }
    // labctl is stopped first and resumed last, so that no machine looks frozen by itself.
    let machines: Vec<_> =
        lab.running().into_iter().map(|(pid, _)| pid).filter(|pid| *pid != labctl.id()).collect();
    processes::signal(labctl.id(), Signal::SIGSTOP);
    machines.iter().for_each(|pid| processes::signal(*pid, Signal::SIGSTOP));
    std::thread::sleep(PAUSE);
    machines.iter().for_each(|pid| processes::signal(*pid, Signal::SIGCONT));
    processes::signal(labctl.id(), Signal::SIGCONT);

    let mut rest = String::new();
    told.read_to_string(&mut rest).expect("it is text");
    let code = labctl.wait().expect("it ends").code();
    assert!(matches!(code, Some(0 | 3)), "{code:?}: {rest}");
    assert!(!rest.contains("out of memory:"), "what was missed came as a burst: {rest}");
    let runs = std::fs::read_dir(lab.path().join("runs/fragile")).expect("there are runs").flatten();
    let summaries = runs.filter_map(|run| std::fs::read(run.path().join("summary.json")).ok());
    let mut disturbances = summaries.flat_map(|text| {
        let summary: Value = serde_json::from_slice(&text).expect("it is JSON");
        summary["disturbances"].as_array().expect("a list").clone()
    });
    assert!(disturbances.any(|one| one.to_string().contains("the computer stood still")), "{rest}");
}
