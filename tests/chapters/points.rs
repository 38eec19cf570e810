//! Single points of failure hidden in architectures that seem to have two of everything: each is found, and a sound
//! architecture is called sound, whatever the random seed.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tests::Lab;
use tests::lab::shown;

/// Two of everything, without a hidden single point.
pub(crate) const TWO_OF_EVERYTHING: &str = r#"
number = 1
title = "Two of everything"
question = "What is hidden here?"

[machine.lb]
count = 2
lb = { upstreams = "web", pair = true }

[machine.web]
count = 2
webserver = { db = "db", sessions = "redis", cache = "redis", sentinels = "sentinel" }

[machine.db]
count = 3
dbnode = { products = 20, replication = "quorum" }

[machine.redis]
redis = {}

[machine.redis-copy]
redis = { replica-of = "redis" }

[machine.sentinel]
count = 3
sentinel = { watches = "redis", quorum = 2, down-after = "1s" }
"#;

/// Parts of [`TWO_OF_EVERYTHING`] to be replaced.
const LB: &str = "lb = { upstreams = \"web\", pair = true }";
const WEB: &str =
    "webserver = { db = \"db\", sessions = \"redis\", cache = \"redis\", sentinels = \"sentinel\" }";
const DB: &str = "count = 3\ndbnode = { products = 20, replication = \"quorum\" }";
const REDIS: &str = "[machine.redis]\nredis = {}\n";
const SENTINELS: &str = "[machine.sentinel]\ncount = 3";

/// No audit here takes this long.
const PATIENCE: Duration = Duration::from_secs(280);
/// The exit code of an audit for which the computer was too busy.
const INCONCLUSIVE: i32 = 3;
/// How often such an audit is tried.
const ATTEMPTS: usize = 3;

/// Returns [`TWO_OF_EVERYTHING`] with replacements.
fn with(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(TWO_OF_EVERYTHING.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "there is no {from}");
        text.replace(from, to)
    })
}

/// The same without Redis: each session is in one server's memory, and the balancers know which (sticky).
fn without_redis(lb: &str, web: &str, db: &str) -> String {
    let text = with(&[(LB, lb), (WEB, web), (DB, db)]);
    text.split("[machine.redis]").next().expect("there is something before it").to_owned()
}

/// Audits the components of an architecture that match this name.
fn audited(architecture: &str, only: &str, words: &[&str]) -> Value {
    let lab = Lab::new();
    std::fs::write(lab.path().join("mine.toml"), architecture).expect("it can be written");
    let mut command = vec!["audit", "mine.toml", "--quick", "--only", only, "--json"];
    command.extend(words);
    for _ in 0..ATTEMPTS {
        let output = lab.labctl().timeout(PATIENCE).args(&command).output().expect("labctl can be started");
        assert_eq!(lab.running(), vec![], "the audit left something running");
        if output.status.code() != Some(INCONCLUSIVE) {
            assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
            return serde_json::from_slice(&output.stdout).expect("an audit is a document");
        }
    }
    panic!("the computer was too busy {ATTEMPTS} times to say anything");
}

fn points(audit: &Value) -> BTreeSet<String> {
    let points = audit["single_points"].as_array().expect("it says which there are").iter();
    points.map(|name| name.as_str().expect("a name is a text").to_owned()).collect()
}

/// Checks which single points an audit of these components finds, for each seed.
fn hidden(seeds: &[u64], architecture: &str, only: &str, words: &[&str], wanted: &[&str]) {
    let wanted: BTreeSet<_> = wanted.iter().map(|name| (*name).to_owned()).collect();
    for seed in seeds {
        let seed = seed.to_string();
        let audit = audited(architecture, only, &[words, &["--seed", &seed]].concat());
        assert_eq!(points(&audit), wanted, "seed {seed}: {:#}", audit["rows"]);
    }
}

fn lost_sessions(audit: &Value) -> u64 {
    let rows = audit["rows"].as_array().expect("rows are a list");
    rows.iter().filter_map(|row| row["cells"]["session"]["lost"].as_u64()).sum()
}

const KILLS: &[&str] = &["--kills-only"];

/// Each case with one seed.
mod once {
    use super::*;

    #[test]
    fn half_of_the_requests_failing_for_good_is_a_single_point() {
        let blind = with(&[(LB, "lb = { upstreams = \"web\", pair = true, health = \"off\" }")]);
        let audit = audited(&blind, "web", KILLS);
        assert_eq!(points(&audit), ["web-1", "web-2"].map(str::to_owned).into());
        for (path, impact) in audit["rows"][0]["cells"].as_object().expect("cells are by path") {
            assert_eq!(impact["class"], "partial_outage", "{path}: {impact}");
        }
    }

    #[test]
    fn what_recovers_and_cannot_carry_the_load_is_a_single_point() {
        let tight = with(&[("webserver = { ", "webserver = { page-cost = \"140ms\", ")]);
        let audit = audited(&tight, "web", KILLS);
        assert_eq!(points(&audit), ["web-1", "web-2"].map(str::to_owned).into());
        let overload = &audit["rows"][0]["cells"]["cached"]["overload"];
        assert_eq!(overload["machine"], "web-2", "{audit:#}");
        let times = overload["times"].as_f64().expect("it is a number");
        assert!((1.1..=1.8).contains(&times), "{overload}");
        let said = audit["rows"][0]["remarks"][0].as_str().expect("it is said");
        assert!(said.contains("cannot carry the load: web-2 is asked for 1."), "{said}");
    }

    #[test]
    fn a_quick_restart_of_a_redis_without_a_disk_loses_every_session_and_says_why() {
        let without = with(&[
            (REDIS, "[machine.redis]\nredis = { append-only = false }\n"),
            ("replica-of", "append-only = false, replica-of"),
        ]);
        let audit = audited(&without, "redis", &[]);
        let rows = audit["rows"].as_array().expect("rows are a list");
        let row = rows.iter().find(|row| {
            row["faults"][0]["kind"] == "restart" && row["faults"][0]["component"]["name"] == "redis"
        });
        let row = row.expect("a restart is among the faults");
        assert_eq!(row["cells"]["session"]["class"], "data_loss", "{row:#}");
        let said = row["remarks"][0].as_str().expect("it is said");
        assert!(said.contains("before a Sentinel missed it"), "{said}");
    }

    #[test]
    fn a_database_that_stands_alone_takes_no_writes_when_its_disk_is_full_and_is_read_on() {
        let alone = with(&[(DB, "dbnode = { products = 20 }")]);
        let audit = audited(&alone, "db", &[]);
        let rows = audit["rows"].as_array().expect("rows are a list");
        let full =
            rows.iter().find(|row| row["faults"][0]["kind"] == "fill").expect("it is among the faults");
        assert_eq!(full["cells"]["write"]["class"], "outage", "{full:#}");
        assert_eq!(full["cells"]["read"]["class"], "ok", "{full:#}");
        let copies = rows[0]["remarks"][0].as_str().expect("a killed database leaves copies");
        assert!(copies.contains("'cached read' lives on copies that nobody renews"), "{copies}");
    }

    #[test]
    fn an_audit_says_once_how_many_single_points_there_are_and_what_each_takes_down() {
        let lab = Lab::new();
        let pinned = with(&[("sentinels = \"sentinel\"", "redis = \"redis\"")]);
        std::fs::write(lab.path().join("mine.toml"), pinned).expect("it can be written");
        let said = lab.succeed(&["audit", "mine.toml", "--quick", "--kills-only", "--only", "redis"]);
        assert!(said.contains("1 single point of failure: redis.\n"), "{said}");
        assert!(said.contains("redis takes down: login, session read."), "{said}");
        assert_eq!(said.matches("single point").count(), 1, "{said}");
    }
}

/// Each case with five seeds.
mod five_times {
    use super::*;

    const SEEDS: &[u64] = &[1, 2, 3, 4, 5];

    #[test]
    fn too_little_capacity_without_one() {
        let tight = with(&[("webserver = { ", "webserver = { page-cost = \"130ms\", ")]);
        hidden(SEEDS, &tight, "web", KILLS, &["web-1", "web-2"]);
    }

    #[test]
    fn a_balancer_that_does_not_look() {
        let blind = with(&[(LB, "lb = { upstreams = \"web\", pair = true, health = \"off\" }")]);
        hidden(SEEDS, &blind, "web", KILLS, &["web-1", "web-2"]);
    }

    #[test]
    fn one_redis() {
        let one = with(&[("sentinels = \"sentinel\"", "redis = \"redis\"")]);
        let one = one.split("[machine.redis-copy]").next().expect("there is something before it");
        hidden(SEEDS, one, "redis", KILLS, &["redis"]);
    }

    #[test]
    fn copies_that_expire() {
        let copies = "webserver = { db = \"db\", cache = \"local\", cache-ttl = \"3s\", stale-for = \"1s\" }";
        let text = without_redis(
            "lb = { upstreams = \"web\", pair = true, policy = \"sticky\" }",
            copies,
            "dbnode = { products = 20 }",
        );
        for seed in SEEDS {
            let audit = audited(&text, "db", &["--kills-only", "--seed", &seed.to_string()]);
            assert_eq!(
                audit["single_points_of"]["cached"],
                serde_json::json!(["db"]),
                "seed {seed}: {audit:#}"
            );
        }
    }

    #[test]
    fn one_web_server() {
        let one = with(&[("[machine.web]\ncount = 2", "[machine.web]")]);
        hidden(SEEDS, &one, "web", KILLS, &["web"]);
    }

    #[test]
    fn a_disk_that_is_full() {
        let alone = with(&[(DB, "dbnode = { products = 20 }")]);
        for seed in SEEDS {
            let audit = audited(&alone, "db", &["--seed", &seed.to_string()]);
            let rows = audit["rows"].as_array().expect("rows are a list");
            let full = rows.iter().find(|row| row["faults"][0]["kind"] == "fill").expect("it is a fault");
            assert_eq!(full["cells"]["write"]["down"], true, "seed {seed}: {full:#}");
        }
    }

    #[test]
    fn a_secret_that_each_balancer_has_for_itself() {
        let lb =
            |more: &str| format!("lb = {{ upstreams = \"web\", pair = true, policy = \"sticky\"{more} }}");
        let text = |more: &str| without_redis(&lb(more), "webserver = { db = \"db\" }", DB);
        for seed in SEEDS {
            let words = ["--kills-only", "--seed", &seed.to_string()];
            let own = audited(&text(", sticky-secret = \"own\""), "lb:active", &words);
            assert!(lost_sessions(&own) > 0, "seed {seed}: {own:#}");
            let said = own["rows"][0]["remarks"][0].as_str().expect("it is said why");
            assert!(said.contains("a secret of its own"), "{said}");
            let shared = audited(&text(""), "lb:active", &words);
            assert_eq!(lost_sessions(&shared), 0, "seed {seed}: {shared:#}");
        }
    }

    #[test]
    fn a_majority_of_two() {
        let two = with(&[(DB, "count = 2\ndbnode = { products = 20, replication = \"quorum\" }")]);
        hidden(SEEDS, &two, "db", KILLS, &["db:primary", "db:replica"]);
    }

    #[test]
    fn two_of_three_sentinels_on_one_machine() {
        let shared = "[machine.redis]\nredis = {}\nsentinel = { watches = \"redis\", quorum = 2, down-after = \"1s\" }\n";
        let text = with(&[(REDIS, shared), (SENTINELS, "[machine.sentinel]\ncount = 1")]);
        hidden(SEEDS, &text, "redis", KILLS, &["redis"]);
    }

    #[test]
    fn a_primary_that_the_servers_are_pinned_to() {
        let pinned = with(&[("sentinels = \"sentinel\"", "redis = \"redis\"")]);
        hidden(SEEDS, &pinned, "redis", KILLS, &["redis"]);
    }

    #[test]
    fn a_replica_that_every_write_waits_for() {
        let sync = with(&[("\"quorum\"", "\"sync\"")]);
        hidden(SEEDS, &sync, "db:replica", KILLS, &["db:replica", "db:replica 2"]);
    }

    #[test]
    fn two_of_everything_is_sound() {
        hidden(SEEDS, TWO_OF_EVERYTHING, "web", &[], &[]);
    }

    #[test]
    fn a_pair_of_balancers_is_sound_when_one_is_killed() {
        hidden(SEEDS, TWO_OF_EVERYTHING, "lb", KILLS, &[]);
    }

    #[test]
    fn a_majority_of_three_is_sound() {
        hidden(SEEDS, TWO_OF_EVERYTHING, "db", KILLS, &[]);
    }

    #[test]
    fn a_redis_with_a_copy_and_sentinels_is_sound() {
        hidden(SEEDS, TWO_OF_EVERYTHING, "redis", KILLS, &[]);
    }

    #[test]
    fn enough_capacity_without_one_is_sound() {
        let enough = with(&[("webserver = { ", "webserver = { page-cost = \"60ms\", ")]);
        hidden(SEEDS, &enough, "web", KILLS, &[]);
    }

    #[test]
    fn three_web_servers_that_need_two_are_sound() {
        let three = with(&[
            ("webserver = { ", "webserver = { page-cost = \"130ms\", "),
            ("[machine.web]\ncount = 2", "[machine.web]\ncount = 3"),
        ]);
        hidden(SEEDS, &three, "web", KILLS, &[]);
    }

    #[test]
    fn a_balancer_that_only_sees_what_requests_tell_it_is_sound() {
        let passive = "lb = { upstreams = \"web\", pair = true, health = \"off\", passive-fall = 3 }";
        hidden(SEEDS, &with(&[(LB, passive)]), "web", KILLS, &[]);
    }

    #[test]
    fn a_database_that_copies_in_the_background_is_sound() {
        hidden(SEEDS, &with(&[("\"quorum\"", "\"async\"")]), "db", KILLS, &[]);
    }

    #[test]
    fn sessions_in_memory_are_lost_and_no_single_point() {
        let sticky = "lb = { upstreams = \"web\", pair = true, policy = \"sticky\" }";
        let text = without_redis(sticky, "webserver = { db = \"db\" }", DB);
        hidden(SEEDS, &text, "web", KILLS, &[]);
    }

    #[test]
    fn copies_that_are_renewed_are_sound() {
        let copies = "webserver = { db = \"db\", cache = \"local\", cache-ttl = \"3s\", stale-for = \"1s\" }";
        let sticky = "lb = { upstreams = \"web\", pair = true, policy = \"sticky\" }";
        hidden(SEEDS, &without_redis(sticky, copies, DB), "db", KILLS, &[]);
    }
}
