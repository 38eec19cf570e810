//! Manual actions of a student are noticed, attributed and recorded.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use nix::sys::signal::Signal;
use tests::{Lab, processes, wait};

const NOTICED: Duration = Duration::from_secs(1);

fn pid_of(lab: &Lab, machine: &str, program: &str) -> u32 {
    let machine = lab.machine(machine);
    let programs = machine["programs"].as_array().expect("programs are a list");
    let found = programs.iter().find(|found| found["program"] == program).expect("the program is there");
    u32::try_from(found["pid"].as_u64().expect("a pid is a number")).expect("pids are small")
}

/// Waits, for at most a second, until the lab has recorded an event with all of these words.
fn is_recorded(lab: &Lab, words: &[&str]) {
    wait::until_true(&format!("an event with {words:?}"), NOTICED, || {
        lab.succeed(&["events"]).lines().any(|line| words.iter().all(|word| line.contains(word)))
    });
}

#[test]
fn kill_9_of_each_kind_of_process_is_noticed_within_a_second() {
    let lab = Lab::new();
    lab.succeed(&["up", "server-failure"]);
    for (machine, program) in [("web-1", "webserver"), ("db", "dbnode"), ("lb", "lb")] {
        let pid = pid_of(&lab, machine, program);
        processes::signal(pid, Signal::SIGKILL);
        let name = format!("{machine}/{program} (pid {pid}) is gone: killed by signal 9, not by labctl");
        is_recorded(&lab, &[&name]);
    }
    let machine = lab.machine("web-2")["pid"].as_u64().expect("a pid is a number");
    processes::signal(u32::try_from(machine).expect("pids are small"), Signal::SIGKILL);
    is_recorded(&lab, &["web-2 (pid", "killed by signal 9", "not by labctl"]);
    is_recorded(&lab, &["web-2/webserver", "with its machine"]);
    lab.succeed(&["down"]);
    assert_eq!(lab.running(), vec![]);
}

#[test]
fn a_process_frozen_by_hand_is_noticed_and_so_is_its_thaw() {
    let lab = Lab::new();
    lab.succeed(&["up", "one-machine"]);
    let pid = pid_of(&lab, "app", "webserver");
    processes::signal(pid, Signal::SIGSTOP);
    is_recorded(&lab, &["app/webserver is frozen", "not by labctl"]);
    processes::signal(pid, Signal::SIGCONT);
    is_recorded(&lab, &["app/webserver goes on", "not by labctl"]);
    lab.succeed(&["down"]);
}

#[test]
fn after_labctl_froze_a_machine_a_kill_by_hand_is_still_told_apart() {
    let lab = Lab::new();
    lab.succeed(&["up", "one-machine"]);
    lab.succeed(&["freeze", "app"]);
    lab.succeed(&["thaw", "app"]);
    let pid = pid_of(&lab, "app", "webserver");
    processes::signal(pid, Signal::SIGKILL);
    is_recorded(&lab, &[&format!("app/webserver (pid {pid}) is gone: killed by signal 9, not by labctl")]);
    lab.succeed(&["kill", "app/dbnode"]);
    is_recorded(&lab, &["app/dbnode", "killed by signal 9, by labctl"]);
    lab.succeed(&["down"]);
}

#[test]
fn killing_a_machine_kills_what_is_on_it() {
    let lab = Lab::new();
    lab.succeed(&["up", "one-machine"]);
    let web = pid_of(&lab, "app", "webserver");
    let said = lab.succeed(&["kill", "app"]);
    assert!(said.starts_with("$ kill -9 -- -"), "{said}");
    wait::until_true("the web server's end", NOTICED, || !lab.running().iter().any(|(pid, _)| *pid == web));
    let refused = lab.run(&["kill", "app"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = lab.succeed(&["restart", "app"]);
    assert!(said.starts_with("app was started again, with its data and 1 core: webserver (pid "), "{said}");
    assert_eq!(lab.machine("app")["on"], true);
    lab.succeed(&["down"]);
    assert_eq!(lab.running(), vec![]);
}

#[test]
fn a_stopped_machine_ends_by_itself_and_is_started_again() {
    let lab = Lab::new();
    lab.succeed(&["up", "one-machine"]);
    let said = lab.succeed(&["stop", "app"]);
    assert!(said.starts_with("$ kill ") && said.lines().count() == 1, "it need not be killed: {said}");
    assert_eq!(lab.machine("app")["on"], false, "stop returns when it is off");
    is_recorded(&lab, &["app/webserver", "is gone: exit code 0, by labctl"]);
    is_recorded(&lab, &["app (pid", "by labctl"]);
    let refused = lab.run(&["stop", "app"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("`labctl restart app` starts it"));
    lab.succeed(&["restart", "app"]);
    lab.succeed(&["freeze", "app"]);
    lab.succeed(&["stop", "app"]);
    assert_eq!(lab.machine("app")["on"], false, "a frozen machine is let go on, and ends");
    lab.succeed(&["restart", "app"]);
    assert_eq!(lab.json(&["step", "--count", "1"])["steps"][0]["status"], "200 OK");
    lab.succeed(&["down"]);
    assert_eq!(lab.running(), vec![]);
}

#[test]
fn a_machine_that_cannot_end_is_killed_when_it_is_stopped() {
    let lab = Lab::new();
    lab.succeed(&["up", "one-machine"]);
    processes::signal(pid_of(&lab, "app", "dbnode"), Signal::SIGSTOP);
    let said = lab.succeed(&["stop", "app"]);
    assert_eq!(lab.machine("app")["on"], false, "{said}");
    lab.succeed(&["down"]);
    assert_eq!(lab.running(), vec![]);
}

#[test]
fn a_resized_machine_has_another_size_and_its_data() {
    let lab = Lab::new();
    lab.succeed(&["up", "one-machine"]);
    assert_eq!(asked(&lab, "PUT", "kept"), "HTTP/1.1 204 No Content");
    let size = |lab: &Lab| {
        let app = lab.machine("app");
        (app["cores"].as_u64(), app["usage"]["memory_limit"].as_u64())
    };
    let (cores, _) = size(&lab);
    let price = |lab: &Lab| lab.machine("app")["price"].as_f64().expect("it has a price");
    let before = price(&lab);
    lab.succeed(&["resize", "app", "--cores", "2"]);
    let told = lab.succeed(&["events"]);
    assert!(told.contains("app resized: 2 cores, "), "{told}");
    assert_eq!(price(&lab), 2.0 * before, "twice the size is twice the price");
    lab.succeed(&["resize", "app", "--cores", "1"]);
    lab.succeed(&["resize", "app", "--memory", "2GiB"]);
    assert_eq!(size(&lab), (cores, Some(2 << 30)));
    lab.succeed(&["resize", "app", "--cores", "7"]);
    assert_eq!(size(&lab), (Some(7), Some(2 << 30)), "what is not named stays as it is");
    assert_eq!(asked(&lab, "GET", ""), "HTTP/1.1 200 OK");
    lab.succeed(&["restart", "app"]);
    assert_eq!(size(&lab), (Some(7), Some(2 << 30)), "a restart keeps the size");
    for words in
        [&["resize", "app"][..], &["resize", "app", "--memory", "1"], &["resize", "ap", "--cores", "2"]]
    {
        assert_eq!(lab.run(words).status.code(), Some(2), "{words:?}");
    }
    lab.succeed(&["down"]);
    assert_eq!(lab.running(), vec![]);
}

#[test]
fn a_frozen_machine_answers_again_when_it_is_thawed() {
    let lab = Lab::new();
    lab.succeed(&["up", "one-machine"]);
    lab.succeed(&["freeze", "app"]);
    is_recorded(&lab, &["app/webserver is frozen", "by labctl"]);
    lab.succeed(&["thaw", "app"]);
    let answered = lab.json(&["step", "--count", "1"]);
    assert_eq!(answered["steps"][0]["status"], "200 OK", "{answered}");
    lab.succeed(&["down"]);
}

/// Sends a request to the database of `one-machine`, and returns the response's first line.
fn asked(lab: &Lab, method: &str, body: &str) -> String {
    let machine = lab.machine("app");
    let programs = machine["programs"].as_array().expect("programs are a list");
    let database = programs.iter().find(|program| program["program"] == "dbnode").expect("there is one");
    let address = database["address"].as_str().expect("an address is a text");
    let mut connection = TcpStream::connect(address).expect("it listens");
    let length = body.len();
    let head = format!(
        "{method} /kv/x HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}"
    );
    write!(connection, "{head}\r\n\r\n{body}").expect("it reads");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("it answers");
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_full_disk_takes_no_writes_and_is_read_until_it_is_emptied() {
    let lab = Lab::new();
    lab.succeed(&["up", "one-machine"]);
    assert_eq!(asked(&lab, "PUT", "before"), "HTTP/1.1 204 No Content");
    assert_eq!(lab.succeed(&["fill", "app"]).trim(), "$ labctl fill app");
    is_recorded(&lab, &["there is no room left on app's disk"]);
    assert_eq!(asked(&lab, "PUT", "meanwhile"), "HTTP/1.1 503 Service Unavailable");
    assert_eq!(asked(&lab, "GET", ""), "HTTP/1.1 200 OK");
    assert!(lab.succeed(&["status"]).contains("disk full"));
    lab.succeed(&["empty", "app"]);
    is_recorded(&lab, &["there is room on app's disk again"]);
    wait::until_true("a write that is taken", Duration::from_secs(10), || {
        asked(&lab, "PUT", "after").contains("204")
    });
    lab.succeed(&["down"]);
}

#[test]
fn a_full_disk_stays_full_when_its_machine_is_restarted() {
    let lab = Lab::new();
    lab.succeed(&["up", "replication"]);
    lab.succeed(&["fill", "quorum-2"]);
    lab.succeed(&["restart", "quorum-2"]);
    assert_eq!(lab.machine("quorum-2")["usage"]["disk_full"], true);
    lab.succeed(&["kill", "quorum-2"]);
    lab.succeed(&["empty", "quorum-2"]);
    lab.succeed(&["restart", "quorum-2"]);
    assert_eq!(lab.machine("quorum-2")["usage"]["disk_full"], false);
    let refused = lab.run(&["fill", "web-quorum"]);
    assert_eq!(refused.status.code(), Some(2), "a web server keeps nothing on its disk");
    lab.succeed(&["down"]);
}

#[test]
fn servers_join_and_leave_by_hand_and_the_steps_show_whose_turn_it_is() {
    let lab = Lab::new();
    lab.succeed(&["up", "more-servers"]);
    lab.succeed(&["add", "web"]);
    lab.succeed(&["add", "web"]);
    let steps = lab.json(&["step", "--count", "6"]);
    let servers: Vec<_> = steps["steps"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|step| step["server"].as_str().unwrap())
        .collect();
    assert_eq!(servers[..3], servers[3..], "round robin repeats itself: {servers:?}");
    let mut turn = servers[..3].to_vec();
    turn.sort_unstable();
    assert_eq!(turn, ["web-1", "web-2", "web-3"]);
    lab.succeed(&["remove", "web-2"]);
    let steps = lab.succeed(&["step", "--count", "4"]);
    assert!(!steps.contains("web-2"), "{steps}");
    lab.succeed(&["down"]);
    assert_eq!(lab.running(), vec![]);
}

#[test]
fn round_robin_is_exact_over_three_thousand_requests() {
    let lab = Lab::new();
    lab.succeed(&["up", "server-failure", "--set", "machine.web.count=3", "--set", "machine.web.cores=16"]);
    let summed = lab.json(&["load", "--rps", "600", "--for", "5s", "--constant"]);
    let served = summed["served_by"].as_object().expect("a table");
    let total: u64 = served.values().filter_map(serde_json::Value::as_u64).sum();
    assert_eq!(summed["failed"], 0, "{summed}");
    assert_eq!(served.len(), 3, "{summed}");
    for (server, count) in served {
        let count = count.as_u64().expect("a count");
        assert!(count.abs_diff(total / 3) <= 1, "{server} got {count} of {total}");
    }
    lab.succeed(&["down"]);
}

#[test]
fn logs_are_kept_per_process() {
    let lab = Lab::new();
    lab.succeed(&["up", "one-machine"]);
    assert!(!lab.succeed(&["logs", "app/dbnode"]).is_empty());
    let unknown = lab.run(&["logs", "ap"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there are logs of: app"));
    lab.succeed(&["down"]);
    assert!(!lab.succeed(&["logs", "app/webserver"]).is_empty(), "logs outlive their lab");
}
