//! Plain Compose, without labctl on the host: load and the live page run in containers of the stack.

use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use tests::http::{answer, ask};
use tests::wait::{until, until_true};

use crate::engine::{docker, left_of, workspace};

/// One of the smaller architectures: the tested behaviour is the same in all of them.
const FILE: &str = "deploy/compose/more-servers.yml";
const PROJECT: &str = "scaling-lab";
const PAGE: &str = "127.0.0.1:7780";
/// How soon the page should notice manual changes.
const NOTICED: Duration = Duration::from_secs(1);
/// The hard limit, for a busy computer.
const NOTICED_MAX: Duration = Duration::from_secs(5);
const READY: Duration = Duration::from_secs(20);

/// The stack, which is taken down when the test ends, however it ends.
struct Stack {
    token: String,
}

impl Stack {
    fn up() -> Self {
        // Created first, so that it is taken down whatever happens next.
        let mut stack = Self { token: String::new() };
        compose(&["up", "--detach", "--wait"]);
        let url = || {
            let log = compose(&["logs", "--no-log-prefix", "page"]);
            log.lines().find_map(|line| Some(line.split_once("token=")?.1.trim().to_owned()))
        };
        stack.token = until("the page's log has its URL", READY, url).0;
        stack
    }

    fn get(&self, path: &str) -> Option<Value> {
        body(&answer(PAGE, &format!("GET {path}"), &self.bearer())?)
    }

    fn post(&self, path: &str, body_of_it: &str) -> (u16, Value) {
        let answer =
            answer(PAGE, &format!("POST {path}\n{body_of_it}"), &self.bearer()).expect("it is answered");
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("it has a status"), body(&answer).unwrap_or_default())
    }

    fn bearer(&self) -> String {
        format!("authorization: Bearer {}\r\n", self.token)
    }

    /// Returns the page's word for the state of a machine.
    fn word(&self, machine: &str) -> Option<String> {
        let state = self.get("/api/state")?;
        let machines = state["machines"].as_array()?;
        let found = machines.iter().find(|known| known["name"] == machine)?;
        Some(found["word"].as_str()?.to_owned())
    }

    /// Waits until the page shows this word, and returns how long that took.
    fn until_word(&self, machine: &str, word: &str) -> Duration {
        until_true(&format!("the page says that {machine} is {word}"), READY, || {
            self.word(machine).as_deref() == Some(word)
        })
    }

    fn events(&self) -> String {
        let events = self.get("/api/events").expect("there are events");
        let events = events.as_array().expect("it is a list").iter();
        events.filter_map(|event| event["text"].as_str().map(str::to_owned)).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        compose(&["down", "--volumes", "--timeout", "5"]);
    }
}

fn body(answer: &str) -> Option<Value> {
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

fn compose(words: &[&str]) -> String {
    docker(&[&["compose", "--file", FILE], words].concat())
}

fn run_compose(words: &[&str]) -> Output {
    let output = Command::new("docker").arg("compose").args(words).current_dir(workspace()).output();
    output.expect("docker can be started")
}

#[test]
#[ignore = "needs a Docker engine"]
fn compose_alone_loads_shows_and_notices() {
    let stack = Stack::up();
    for machine in ["lb", "web-1", "web-2", "web-3", "web-4", "web-5", "db"] {
        stack.until_word(machine, "up");
    }
    strangers_get_nothing(&stack);
    load_is_sent_from_inside(&stack);
    load_by_a_container();
    println!("noticed after: {}", what_is_done_by_hand_is_noticed(&stack));
    a_second_architecture_is_refused();
    drop(stack);
    assert_eq!(left_of(PROJECT), "");
}

fn strangers_get_nothing(stack: &Stack) {
    assert_eq!(ask(PAGE, "GET /api/state"), Some(401), "without the token");
    let rebound = answer(PAGE, "GET /api/state", "host: evil.example\r\n").expect("it is answered");
    assert!(rebound.starts_with("HTTP/1.1 40"), "{rebound}");
    let foreign = format!("{}origin: http://evil.example\r\n", stack.bearer());
    let foreign = answer(PAGE, "POST /api/load\n{\"rate\":1}", &foreign).expect("it is answered");
    assert!(foreign.starts_with("HTTP/1.1 403"), "{foreign}");
    // Another container reaches it by name, and that must not count as this computer.
    let by_name = "exec 3<>/dev/tcp/page/7780; printf 'GET /api/state HTTP/1.1\\r\\nhost: page:7780\\r\\nconnection: close\\r\\n\\r\\n' >&3; head -1 <&3";
    let told = docker(&["exec", "web-1", "bash", "-c", by_name]);
    assert!(told.contains("403"), "{told}");
}

fn load_is_sent_from_inside(stack: &Stack) {
    let (status, told) = stack.post("/api/load", "{\"rate\":50}");
    assert_eq!(status, 200, "{told}");
    assert_eq!(told["command"], format!("docker compose -f {FILE} run --rm load --rps 50"));
    let all_five_serve = || {
        let state = stack.get("/api/state")?;
        let served = state["traffics"][0]["served"].as_object()?.len();
        (state["totals"]["good"].as_f64()? > 25.0 && served == 5).then_some(())
    };
    until("five servers answer half of 50 requests a second", READY, all_five_serve);
    let works = || {
        let state = stack.get("/api/state")?;
        let web = state["machines"].as_array()?.iter().find(|one| one["name"] == "web-1")?.clone();
        (web["cpu"].as_f64()? > 0.0).then_some(())
    };
    until("web-1 is seen to work, at its socket", READY, works);
    let (_, stopped) = stack.post("/api/load", "{\"rate\":0}");
    assert_eq!(stopped["command"], Value::Null, "Ctrl-C ends a load generator");
    let (status, told) = stack.post("/api/policy", "{\"to\":\"lb\",\"policy\":\"least-busy\"}");
    assert_eq!(status, 200, "{told}");
    typed(&told);
    let (_, step) = stack.post("/api/step", "{\"to\":\"lb\"}");
    assert!(step["server"].as_str().is_some_and(|server| server.starts_with("web-")), "{step}");
    let (_, found) = stack.post("/api/lookup", "{\"to\":\"lb\",\"id\":\"7\"}");
    assert_eq!(found["status"], 200, "{found}");
    let (_, deposit) = stack.post("/api/read", "{\"to\":\"lb\",\"account\":\"ada\"}");
    assert!(deposit["nodes"]["db"].is_object(), "{deposit}");
}

/// Types the command that the page shows.
fn typed(told: &Value) {
    let command = told["command"].as_str().unwrap_or_else(|| panic!("no command: {told}"));
    let output = Command::new("sh").args(["-c", command]).current_dir(workspace()).output();
    let output = output.expect("sh can be started");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !said.contains("\"error\""), "{command}: {output:?}");
}

fn load_by_a_container() {
    let output = run_compose(&[
        "--file", FILE, "run", "--rm", "--no-TTY", "load", "--rps", "40", "--for", "2s", "--json",
    ]);
    let text = String::from_utf8_lossy(&output.stdout);
    // Exit code 3: this computer was too busy for the figures to be trusted.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}");
    let summary: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(summary["ok"].as_u64().is_some_and(|ok| ok > 20), "{summary}");
    assert!(summary["served_by"]["web-1"].is_u64(), "{summary}");
    let refused = run_compose(&["--file", FILE, "run", "--rm", "--no-TTY", "load", "--rps", "1000000"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let endless =
        run_compose(&["--file", FILE, "run", "--rm", "--no-TTY", "load", "--rps", "5", "--for", "1h"]);
    assert_eq!(endless.status.code(), Some(2), "{endless:?}");
    // Ctrl-C, as a terminal sends it.
    compose(&["run", "--detach", "--name", "ctrl-c", "load", "--rps", "20"]);
    let is_served = |line: &str| line.contains(" s | ") && !line.contains(" 0 ok");
    until_true("requests are answered", READY, || docker(&["logs", "ctrl-c"]).lines().any(is_served));
    docker(&["kill", "--signal", "INT", "ctrl-c"]);
    let code = docker(&["wait", "ctrl-c"]);
    let log = docker(&["logs", "ctrl-c"]);
    docker(&["rm", "ctrl-c"]);
    assert!(matches!(code.as_str(), "0" | "3"), "{code}: {log}");
    assert!(log.contains("good answers took"), "{log}");
}

/// Returns a summary of how long each change took to be noticed.
fn what_is_done_by_hand_is_noticed(stack: &Stack) -> String {
    let (status, told) = stack.post("/api/act", "{\"act\":\"kill\",\"name\":\"web-2\"}");
    assert_eq!((status, &told["command"]), (409, &Value::from("docker kill web-2")), "{told}");
    assert_eq!(stack.word("web-2").as_deref(), Some("up"), "the page cannot kill");

    compose(&["kill", "web-2"]);
    let killed = stack.until_word("web-2", "down");
    docker(&["pause", "web-4"]);
    let paused = stack.until_word("web-4", "frozen");
    docker(&["network", "disconnect", PROJECT, "web-5"]);
    let cut_off = stack.until_word("web-5", "cut off");
    let mut notes = Vec::new();
    for (what, took) in [("kill", killed), ("pause", paused), ("disconnect", cut_off)] {
        assert!(took < NOTICED_MAX, "{what} was noticed after {took:?}");
        let busy = if took > NOTICED { " (this computer is busy)" } else { "" };
        notes.push(format!("{what} {took:.2?}{busy}"));
    }
    let events = stack.events();
    assert!(events.contains("web-2 is gone: its container was stopped or killed, not by labctl"), "{events}");
    assert!(events.contains("web-4 is frozen, not by labctl"), "{events}");
    // The page queries the balancer with its token, and the balancer itself needs three checks.
    until_true("lb takes web-2 out", READY, || stack.events().contains("lb took web-2 out"));

    // The command that the page suggests repairs it.
    let (_, told) = stack.post("/api/act", "{\"act\":\"heal-all\"}");
    let connect = told["command"].as_str().expect("there is a command").to_owned();
    docker(&connect.split(' ').skip(1).collect::<Vec<_>>());
    docker(&["unpause", "web-4"]);
    docker(&["start", "web-2"]);
    for machine in ["web-2", "web-4", "web-5"] {
        until_true(&format!("{machine} is back"), READY, || {
            stack.word(machine).is_some_and(|word| word == "up" || word == "ejected")
        });
    }
    notes.join(", ")
}

fn a_second_architecture_is_refused() {
    let before = docker(&["ps", "--all", "--format", "{{.Names}}"]);
    let second = run_compose(&["--file", "deploy/compose/split.yml", "up", "--detach"]);
    assert!(!second.status.success(), "{second:?}");
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("scaling-lab") && said.contains("more-servers"), "{said}");
    assert_eq!(docker(&["ps", "--all", "--format", "{{.Names}}"]), before, "{said}");
}
