//! A real Prometheus scrapes a lab: every panel of the dashboards has data, and every rule is evaluated.
//!
//! `scripts/needs.sh` installs it. Without it the test prints a note and passes, except in CI.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{Lab, http, processes, project};

/// Scrapes happen once a second, and a rate needs two of them.
const PATIENCE: Duration = Duration::from_secs(40);

/// A chapter with at least one of everything that the dashboards show.
const CHAPTER: &str = r#"
number = 1
title = "Everything that shows metrics"
question = "Does it show?"

[machine.lb]
lb = { upstreams = "web", retries = 1 }

[machine.web]
count = 2
webserver = { db = "db", cache = "local" }

[machine.db]
count = 3
dbnode = { replication = "quorum", products = 100 }

[traffic.readers]
to = "lb"
path = "/products/{key}"

[traffic.writers]
to = "lb"
method = "PUT"
path = "/products/{key}"
body = '{"name": "thing {key}", "price": 5}'
"#;

/// A Prometheus that ends with the test.
struct Prometheus {
    child: Child,
    address: SocketAddr,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// Starts one with the project's own configuration.
    fn start(lab: &Lab) -> Self {
        let copied = lab.path().join("observability");
        copy(&project().join("deploy/observability"), &copied);
        std::fs::write(copied.join("targets/lab.json"), lab.succeed(&["targets"]))
            .expect("it can be written");
        let address = format!("{}.250.1:9090", lab.network());
        let log = std::fs::File::create(lab.path().join("prometheus.log")).expect("it can be made");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", copied.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", lab.path().join("tsdb").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus can be started");
        Self { child, address: address.parse().expect("it is an address") }
    }

    /// Queries its API. `None`: it does not answer yet.
    fn ask(&self, path: &str) -> Option<Value> {
        let answer =
            http::answer(&self.address.to_string(), &format!("GET {path}"), "accept-encoding: identity\r\n")?;
        serde_json::from_str(&http::body(&answer)?).ok()
    }

    /// Returns how many series a query has, or what is wrong with it.
    fn series(&self, query: &str) -> Result<usize, String> {
        let answer = self.ask(&format!("/api/v1/query?query={}", encoded(query))).ok_or("no answer")?;
        match answer["status"].as_str() {
            Some("success") => Ok(answer["data"]["result"].as_array().map_or(0, Vec::len)),
            _ => Err(answer.to_string()),
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("it can be made");
    for entry in std::fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("it can be read");
        match entry.file_type().expect("it has one").is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).expect("it can be copied")),
        }
    }
}

fn encoded(query: &str) -> String {
    query.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Returns the dashboards' queries, each with its panel's name.
fn queries() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for entry in std::fs::read_dir(project().join("deploy/observability/dashboards")).expect("it is there") {
        let text = std::fs::read(entry.expect("it can be read").path()).expect("it can be read");
        let board: Value = serde_json::from_slice(&text).expect("a dashboard is JSON");
        for panel in board["panels"].as_array().expect("panels are a list") {
            let name = format!("{}: {}", board["title"], panel["title"]);
            for target in panel["targets"].as_array().expect("targets are a list") {
                let query = target["expr"].as_str().expect("a query").replace("$__rate_interval", "5s");
                queries.push((name.clone(), query));
            }
        }
    }
    assert!(queries.len() > 30, "{} queries are all there are", queries.len());
    queries
}

#[expect(clippy::print_stderr, reason = "what is left out is said")]
fn there_is_prometheus() -> bool {
    let there =
        Command::new("prometheus").arg("--version").stderr(Stdio::null()).stdout(Stdio::null()).status();
    let there = there.is_ok_and(|status| status.success());
    assert!(
        there || std::env::var_os("CI").is_none(),
        "prometheus is missing, and CI needs it: scripts/needs.sh"
    );
    if !there {
        eprintln!("SKIPPED: there is no prometheus (apt-get install prometheus)");
    }
    there
}

/// Polls a list until it is empty.
fn wait_until_none<T: std::fmt::Debug>(what: &str, mut left: impl FnMut() -> Vec<T>) {
    let until = Instant::now() + PATIENCE;
    loop {
        let rest = left();
        if rest.is_empty() {
            return;
        }
        assert!(Instant::now() < until, "{what}: {rest:#?}");
        std::thread::sleep(Duration::from_millis(250));
    }
}

#[test]
fn every_panel_shows_data_of_a_lab_and_a_dead_server_raises_an_alert() {
    if !there_is_prometheus() {
        return;
    }
    let lab = Lab::new();
    std::fs::write(lab.path().join("observed.toml"), CHAPTER).expect("it can be written");
    lab.succeed(&["up", "observed.toml"]);
    let prometheus = Prometheus::start(&lab);
    let load = |traffic: &str| {
        let mut load = lab.plain_labctl();
        load.args(["load", "--traffic", traffic, "--rps", "20", "--for", "60s"]);
        load.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("labctl can be started")
    };
    let mut loads = [load("readers"), load("writers")];

    let mut left = queries();
    wait_until_none("panels that show nothing", || {
        left.retain(|(_, query)| !matches!(prometheus.series(query), Ok(1..)));
        left.clone()
    });

    let pid = lab.machine("web-1")["pid"].as_u64().expect("a pid is a number");
    processes::signal(u32::try_from(pid).expect("pids are small"), Signal::SIGKILL);
    let mut alerts = vec!["ProgramDown", "UpstreamOut"];
    wait_until_none("alerts that are not raised", || {
        let firing =
            |name: &str| prometheus.series(&format!("ALERTS{{alertname=\"{name}\",alertstate=\"firing\"}}"));
        alerts.retain(|name| !matches!(firing(name), Ok(1..)));
        alerts.clone()
    });
    let rules = prometheus.ask("/api/v1/rules").expect("it answers");
    let rules = rules["data"]["groups"][0]["rules"].as_array().expect("rules are a list");
    assert!(rules.len() >= 10 && rules.iter().all(|rule| rule["health"] == "ok"), "{rules:#?}");
    for load in &mut loads {
        let _ = load.kill();
        let _ = load.wait();
    }
    drop(prometheus);
    lab.succeed(&["down"]);
}
