//! Checks that every claim can fail. Each chapter is run in set-ups that are broken on purpose, and every one of its
//! claims must fail in at least one of them: a claim that survives all of them would be true whatever the lab does. The
//! set-ups are in `broken/CHAPTER.toml`.

use std::collections::BTreeSet;
use std::path::Path;

use chapter::Source;
use serde::Deserialize;
use tests::Lab;
use tests::lab::shown;

/// The broken set-ups of one chapter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Broken {
    set_up: Vec<SetUp>,
}

/// One broken set-up.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SetUp {
    /// What is broken in it.
    #[expect(dead_code, reason = "for those who read the file")]
    why: String,
    /// The changes to the chapter, as for `--set`.
    set: Vec<String>,
}

fn set_ups(chapter: &str) -> Vec<SetUp> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("chapters/broken");
    let text = std::fs::read_to_string(directory.join(format!("{chapter}.toml"))).expect("it is there");
    toml::from_str::<Broken>(&text).unwrap_or_else(|error| panic!("{chapter}: {error}")).set_up
}

/// A claim: its step, and its text.
type Claim = (String, String);

/// How often a broken set-up is run if the host keeps disturbing a measurement in it.
const ATTEMPTS: u32 = 4;

/// Runs a broken set-up once, and returns its claims with their verdicts.
fn claims_of(chapter: &str, broken: &[String]) -> Vec<serde_json::Value> {
    let lab = Lab::new();
    // This test decides whether to repeat a run, so each run gets one attempt.
    let mut words = vec!["run", chapter, "--quick", "--json", "--attempts", "1"];
    words.extend(broken.iter().flat_map(|setting| ["--set", setting.as_str()]));
    let output = lab.run(&words);
    let code = output.status.code();
    assert!(matches!(code, Some(1 | 3)), "a broken {chapter} should fail: {}", shown(&output));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("--json prints JSON");
    summary["runs"][0]["claims"].as_array().expect("claims are a list").clone()
}

/// Returns the claims with a verdict that were measured: a claim without a measurement fails as well, but that says
/// nothing about its bounds.
fn measured_with(verdict: &str, claims: &[serde_json::Value]) -> BTreeSet<Claim> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let those = claims.iter().filter(|claim| claim["verdict"] == verdict && claim["measured"].is_number());
    those.map(|claim| (text(&claim["step"]), text(&claim["claim"]))).collect()
}

/// Runs all broken set-ups of a chapter, and checks that no claim survives all of them. A set-up is repeated if the
/// host disturbed the very measurements that matter: an inconclusive claim has neither failed nor held.
fn every_claim_fails_once(chapter: &str) {
    let source = Source::open(chapter, &[]).expect("the chapter is valid");
    let claims = source
        .chapter
        .step
        .iter()
        .flat_map(|step| step.expect.iter().map(|expect| (step.name.clone(), expect.claim.clone())));
    let mut survived: BTreeSet<Claim> = claims.collect();
    let mut last_words = String::new();
    for SetUp { set, .. } in set_ups(chapter) {
        for _ in 0..ATTEMPTS {
            let told = claims_of(chapter, &set);
            let failed = measured_with("fails", &told);
            survived.retain(|claim| !failed.contains(claim));
            if measured_with("inconclusive", &told).is_disjoint(&survived) {
                break;
            }
            last_words = format!("{told:#?}");
        }
    }
    assert!(
        survived.is_empty(),
        "{chapter}: these claims held in every broken set-up: {survived:#?}\nthe last run that was disturbed: {last_words}"
    );
}

#[test]
fn every_claim_of_one_machine_can_fail() {
    every_claim_fails_once("one-machine");
}

#[test]
fn every_claim_of_bigger_machine_can_fail() {
    every_claim_fails_once("bigger-machine");
}

#[test]
fn every_claim_of_split_can_fail() {
    every_claim_fails_once("split");
}

#[test]
fn every_claim_of_more_servers_can_fail() {
    every_claim_fails_once("more-servers");
}

#[test]
fn every_claim_of_server_failure_can_fail() {
    every_claim_fails_once("server-failure");
}

#[test]
fn every_claim_of_load_balancer_can_fail() {
    every_claim_fails_once("load-balancer");
}

#[test]
fn every_claim_of_sessions_can_fail() {
    every_claim_fails_once("sessions");
}

#[test]
fn every_claim_of_cache_can_fail() {
    every_claim_fails_once("cache");
}

#[test]
fn every_claim_of_replication_can_fail() {
    every_claim_fails_once("replication");
}

#[test]
fn every_claim_of_primary_failure_can_fail() {
    every_claim_fails_once("primary-failure");
}

#[test]
fn every_claim_of_split_brain_can_fail() {
    every_claim_fails_once("split-brain");
}

#[test]
fn every_claim_of_sinkhole_can_fail() {
    every_claim_fails_once("sinkhole");
}

#[test]
fn every_claim_of_busy_can_fail() {
    every_claim_fails_once("busy");
}

#[test]
fn every_claim_of_deep_checks_can_fail() {
    every_claim_fails_once("deep-checks");
}

#[test]
fn every_claim_of_deploy_can_fail() {
    every_claim_fails_once("deploy");
}

#[test]
fn every_claim_of_regions_can_fail() {
    every_claim_fails_once("regions");
}

#[test]
fn every_claim_of_retry_storm_can_fail() {
    every_claim_fails_once("retry-storm");
}
