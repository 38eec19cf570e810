//! The ladder of architectures: audits find the known weaknesses, and the table, advice and claims are consistent.

use serde_json::Value;
use tests::Lab;
use tests::lab::shown;

use super::points::TWO_OF_EVERYTHING;

/// Audits the components of an architecture that match this name.
fn audited(architecture: &str, only: &str) -> Value {
    let lab = Lab::new();
    std::fs::write(lab.path().join("mine.toml"), architecture).expect("it can be written");
    let words = ["audit", "mine.toml", "--quick", "--kills-only", "--only", only, "--json"];
    let output = lab.run(&words);
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    assert_eq!(lab.running(), vec![], "the audit left something running");
    serde_json::from_slice(&output.stdout).expect("an audit is a document")
}

/// Returns whether killing a component takes the path down.
fn takes_down(audit: &Value, component: &str, path: &str) -> bool {
    let rows = audit["rows"].as_array().expect("rows are a list");
    let row = rows.iter().find(|row| row["faults"][0]["component"]["name"] == component);
    let row = row.unwrap_or_else(|| panic!("no {component}: {audit}"));
    row["cells"][path]["down"].as_bool().expect("each cell says whether it is down")
}

#[test]
fn a_redis_that_all_sessions_are_in_is_found() {
    let hidden = TWO_OF_EVERYTHING.replace("sentinels = \"sentinel\"", "redis = \"redis\"");
    let hidden = hidden.split("[machine.redis-copy]").next().expect("there is something before it");
    let audit = audited(hidden, "redis");
    assert!(takes_down(&audit, "redis", "login") && takes_down(&audit, "redis", "session"));
    assert!(!takes_down(&audit, "redis", "read"));
}

#[test]
fn a_replica_that_every_write_waits_for_is_found() {
    let hidden = TWO_OF_EVERYTHING.replace("\"quorum\"", "\"sync\"");
    let audit = audited(&hidden, "db:replica");
    assert!(takes_down(&audit, "db:replica", "write") && !takes_down(&audit, "db:replica", "cached"));
}

#[test]
fn a_copy_that_cannot_be_promoted_is_found() {
    let hidden = TWO_OF_EVERYTHING.replace("[machine.db]\ncount = 3", "[machine.db]\ncount = 2");
    let audit = audited(&hidden, "db:primary");
    assert!(takes_down(&audit, "db:primary", "write") && !takes_down(&audit, "db:primary", "login"));
}

#[test]
fn a_balancer_that_stands_alone_is_found() {
    let hidden = TWO_OF_EVERYTHING
        .replace("count = 2\nlb = { upstreams = \"web\", pair = true }", "lb = { upstreams = \"web\" }");
    let audit = audited(&hidden, "lb");
    assert!(takes_down(&audit, "lb", "read") && takes_down(&audit, "lb", "login"));
}

#[test]
fn a_machine_that_two_parts_share_is_found() {
    let shared =
        "[machine.both]\nwebserver = { db = \"db\" }\nlb = { upstreams = \"both\" }\n\n[machine.web]";
    let hidden = TWO_OF_EVERYTHING.replace("[machine.web]", shared);
    let hidden = hidden
        .replace("count = 2\nlb = { upstreams = \"web\", pair = true }", "lb = { upstreams = \"both\" }");
    let audit = audited(&hidden, "both");
    assert!(takes_down(&audit, "both", "read"), "the machine");
    assert!(takes_down(&audit, "both/webserver", "read"), "the web server on it");
}

#[test]
fn a_machine_of_which_only_the_whole_is_missed_is_found() {
    // Each of the two programs on it has a twin elsewhere, but two of three Sentinels must agree, and two of them share
    // the machine of the first Redis.
    let shared =
        "[machine.redis]\nredis = {}\nsentinel = { watches = \"redis\", quorum = 2, down-after = \"1s\" }\n";
    let hidden = TWO_OF_EVERYTHING
        .replace("[machine.redis]\nredis = {}\n", shared)
        .replace("[machine.sentinel]\ncount = 3", "[machine.sentinel]\ncount = 1");
    let lab = Lab::new();
    std::fs::write(lab.path().join("mine.toml"), hidden).expect("it can be written");
    let words = ["audit", "mine.toml", "--quick", "--kills-only", "--only", "redis", "--allow", "0"];
    let output = lab.run(&words);
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("1 single point of failure: redis."), "{said}");
}

#[test]
fn two_of_everything_goes_on_whatever_is_killed_of_its_database() {
    let audit = audited(TWO_OF_EVERYTHING, "db");
    for (component, path) in [("db:primary", "write"), ("db:primary", "read"), ("db:replica", "write")] {
        assert!(!takes_down(&audit, component, path), "{component} took {path} down");
    }
}

#[test]
fn an_architecture_that_never_becomes_steady_is_inconclusive() {
    let lab = Lab::new();
    // Sessions in memory behind round robin: two of three visits reach a server that does not know the session.
    let forgetful = "number = 1\ntitle = 't'\nquestion = 'q'\n\n[machine.lb]\nlb = { upstreams = 'web' }\n\n\
                     [machine.web]\ncount = 3\nwebserver = { db = 'db' }\n\n[machine.db]\ndbnode = { products = 20 }\n";
    std::fs::write(lab.path().join("mine.toml"), forgetful).expect("it can be written");
    let output = lab.run(&["audit", "mine.toml", "--quick"]);
    assert_eq!(output.status.code(), Some(3), "{}", shown(&output));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("'mine' does not become steady") && said.contains("'session read' fail"), "{said}");
    assert_eq!(lab.running(), vec![]);
}

#[test]
fn a_table_is_measured_judged_and_advised_from() {
    let lab = Lab::new();
    let table = lab.json(&["table", "--quick", "--only", "single,separated"]);
    let ratio = table["rows"][1]["ratio"].as_f64().expect("it was measured");
    assert!((2.4..=3.6).contains(&ratio), "three times from two machines: {ratio}");
    assert_eq!(table["rows"][0]["single_points"].as_array().map(Vec::len), Some(2), "{table}");
    assert_eq!(table["rows"][1]["cells"]["monthly cost"]["says"], "confirmed");

    let advice = lab.json(&["advise", "--rps", "60", "--p99", "100ms"]);
    assert_eq!(advice["architecture"], "separated");
    let survive = lab.run(&["advise", "--rps", "60", "--p99", "100ms", "--survive", "1"]);
    assert_eq!(survive.status.code(), Some(1), "{}", shown(&survive));

    let claims = lab.json(&["claims"]);
    let claims = claims["claims"].as_array().expect("claims are a list");
    let standing =
        |id: &str| claims.iter().find(|claim| claim["id"] == id).map(|claim| claim["standing"].clone());
    // The article's claims are about its whole table, which was not measured here.
    assert_eq!(standing("table-separated-cost").expect("there is one"), "not_measured");
    assert_eq!(standing("no-ceiling").expect("there is one"), "not_measured");
    let page = lab.path().join("runs/table/latest/report.html");
    assert!(std::fs::read_to_string(page).expect("there is a page").contains("Single server"));
}
