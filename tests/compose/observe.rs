//! The profile `observe`: a real Prometheus scrapes the containers.

use std::time::Duration;

use serde_json::Value;
use tests::http::answer;
use tests::wait::until;

use crate::engine::{docker, try_docker, workspace};

const FILE: &str = "deploy/compose/split.yml";
const PROMETHEUS: &str = "127.0.0.1:9090";
const READY: Duration = Duration::from_secs(30);

struct Down;

impl Drop for Down {
    fn drop(&mut self) {
        compose(&["down", "--volumes", "--timeout", "5"]);
    }
}

fn compose(words: &[&str]) -> String {
    docker(&[&["compose", "--file", FILE, "--profile", "observe"], words].concat())
}

/// Queries Prometheus. The response may be chunked, so only the text between the outer braces is parsed.
fn ask(path: &str) -> Option<Value> {
    let answer = answer(PROMETHEUS, &format!("GET {path}"), "")?;
    let json = &answer[answer.find('{')?..=answer.rfind('}')?];
    serde_json::from_str(json).ok()
}

#[test]
#[ignore = "needs a Docker engine"]
fn prometheus_scrapes_the_containers_and_the_dashboards_have_data() {
    if !try_docker(&["image", "inspect", "scaling-lab-prometheus"]) {
        assert!(std::env::var_os("CI").is_none(), "scripts/images.sh --observe has to be called before");
        eprintln!("SKIPPED: there is no image scaling-lab-prometheus; scripts/images.sh --observe builds it");
        return;
    }
    let _down = Down;
    compose(&["up", "--detach", "--wait"]);
    let all_are_up = || {
        let targets = ask("/api/v1/targets?state=active")?;
        let targets = targets["data"]["activeTargets"].as_array()?.clone();
        let up = targets.iter().filter(|target| target["health"] == "up");
        (up.count() == 2 && targets.len() == 2).then_some(targets)
    };
    let (targets, took) = until("the web server and the database are up", READY, all_are_up);
    println!("scraped after {took:.1?}");
    let machines: Vec<_> = targets.iter().filter_map(|target| target["labels"]["machine"].as_str()).collect();
    assert!(machines.contains(&"web") && machines.contains(&"db"), "{targets:?}");
    let rules = ask("/api/v1/rules").expect("it answers");
    assert!(rules["data"]["groups"][0]["rules"].as_array().is_some_and(|rules| rules.len() >= 10), "{rules}");

    compose(&["run", "--rm", "--no-TTY", "load", "--rps", "40", "--for", "4s"]);
    for dashboard in ["web-servers", "database"] {
        let queries = queries_of(dashboard);
        assert!(queries.len() >= 3, "{dashboard} has queries");
        let with_data = queries.iter().filter(|query| returns_data(query));
        assert!(
            2 * with_data.count() >= queries.len(),
            "half of {dashboard}'s queries have data: {queries:?}"
        );
    }
}

/// A split stack has no Redis and no replicas, so some panels of a dashboard stay empty.
fn queries_of(dashboard: &str) -> Vec<String> {
    let file = workspace().join(format!("deploy/observability/dashboards/{dashboard}.json"));
    let text = std::fs::read_to_string(file).expect("the dashboard is there");
    let dashboard: Value = serde_json::from_str(&text).expect("it is JSON");
    let panels = dashboard["panels"].as_array().into_iter().flatten();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    // Grafana substitutes the interval.
    let expr = |target: &Value| Some(target["expr"].as_str()?.replace("$__rate_interval", "10s"));
    targets.filter_map(expr).collect()
}

fn returns_data(query: &str) -> bool {
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let answer = ask(&format!("/api/v1/query?query={encoded}")).unwrap_or_default();
    answer["data"]["result"].as_array().is_some_and(|result| !result.is_empty())
}
