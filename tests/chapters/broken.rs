//! Every claim can fail. Each chapter is run in set-ups that are broken on purpose, and every one
//! of its claims has to fail in at least one of them: a claim that survives all of them would be
//! true whatever the lab does.

use std::collections::BTreeSet;

use chapter::Source;
use tests::Lab;
use tests::lab::shown;

/// A claim: the step it belongs to, and its words.
type Claim = (String, String);

/// How often a broken set-up is run again when the host disturbed a measurement in it.
const ATTEMPTS: u32 = 4;

/// Runs a broken set-up once, and returns its claims with what became of them.
fn claims_of(chapter: &str, broken: &[&str]) -> Vec<serde_json::Value> {
    let lab = Lab::new();
    let mut words = vec!["run", chapter, "--quick", "--json"];
    words.extend(broken.iter().flat_map(|setting| ["--set", setting]));
    let output = lab.run(&words);
    let code = output.status.code();
    assert!(matches!(code, Some(1 | 3)), "a broken {chapter} should fail: {}", shown(&output));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("--json prints JSON");
    summary["runs"][0]["claims"].as_array().expect("claims are a list").clone()
}

/// The claims of one verdict that were measured: a claim about nothing fails as well, but that says
/// nothing of its bounds.
fn measured_with(verdict: &str, claims: &[serde_json::Value]) -> BTreeSet<Claim> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let those = claims.iter().filter(|claim| claim["verdict"] == verdict && claim["measured"].is_number());
    those.map(|claim| (text(&claim["step"]), text(&claim["claim"]))).collect()
}

/// Runs all broken set-ups of a chapter, and checks that no claim survived them all. A set-up in which
/// the host disturbed just those measurements that matter is run again: what is inconclusive has
/// neither failed nor held.
fn every_claim_fails_once(chapter: &str, set_ups: &[&[&str]]) {
    let source = Source::open(chapter, &[]).expect("the chapter is valid");
    let claims = source
        .chapter
        .step
        .iter()
        .flat_map(|step| step.expect.iter().map(|expect| (step.name.clone(), expect.claim.clone())));
    let mut survived: BTreeSet<Claim> = claims.collect();
    let mut last_words = String::new();
    for broken in set_ups {
        for _ in 0..ATTEMPTS {
            let told = claims_of(chapter, broken);
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
    every_claim_fails_once(
        "one-machine",
        &[
            // Four times as fast, and memory without end: it does not queue and does not die.
            &["machine.app.memory=\"64GiB\"", "machine.app.cores=4", "step.beyond.until.within=\"1s\""],
            // The web server dies long before the database.
            &[
                "step.half.kill=[\"app/webserver\"]",
                "step.busy.kill=[\"app/dbnode\"]",
                "step.beyond.until.within=\"1s\"",
            ],
            // Half load is more than it can do.
            &[
                "machine.app.memory=\"64GiB\"",
                "step.half.load.shoppers=115",
                "step.beyond.until.within=\"1s\"",
            ],
        ],
    );
}

#[test]
fn every_claim_of_bigger_machine_can_fail() {
    every_claim_fails_once(
        "bigger-machine",
        &[
            // The small machine is the large one, the one with more cores has none, and more memory
            // comes with more cores.
            &[
                "machine.x1.cores=4",
                "machine.x1.memory=\"1GiB\"",
                "machine.x2.cores=1",
                "machine.x2.memory=\"52MiB\"",
                "machine.ram16.cores=4",
                "step.killed.kill=[\"x4\"]",
            ],
            // The largest shares hardly anything among its cores, and the second doubling comes cheap.
            &["machine.x8.exclusive=0.01", "machine.x4.price=600"],
        ],
    );
}

#[test]
fn every_claim_of_split_can_fail() {
    every_claim_fails_once(
        "split",
        &[
            // The combined machine has cores to spare, the flood goes to the separated database, and
            // that one is killed.
            &[
                "machine.app.cores=8",
                "traffic.flood-separated.to=\"db\"",
                "traffic.flood-separated.path=\"/kv/product:{key}\"",
                "step.flood.load.flood-separated=400",
                "step.web-dies.kill=[\"db\"]",
                "step.db-dies.kill=[\"app\"]",
            ],
            // The web server survives, the orders are looked for in the wrong database, the wrong web
            // server has the cache, and the wrong machine is killed.
            &[
                "step.web-dies.kill=[\"plain\"]",
                "step.web-dies.read.from=\"app\"",
                "step.cached.restart=[\"web\", \"plain\"]",
                "machine.web.webserver.cache=\"none\"",
                "machine.plain.webserver.cache=\"local\"",
                "step.db-dies.kill=[\"web\"]",
            ],
        ],
    );
}

#[test]
fn every_claim_of_more_servers_can_fail() {
    every_claim_fails_once(
        "more-servers",
        &[
            // Hardly any traffic, new servers go to another balancer, and one server alone has the
            // cores of four.
            &[
                "step.one.load.shoppers=20",
                "step.two.add=\"a\"",
                "step.three.add=\"a\"",
                "step.four.add=\"a\"",
                "step.leaves.remove=\"a-4\"",
                "machine.a.cores=2",
            ],
            // The database is dead.
            &[
                "step.two.kill=[\"db\"]",
                "step.capacities.capacity.from=6",
                "step.capacities.capacity.probe=\"200ms\"",
            ],
        ],
    );
}

#[test]
fn every_claim_of_server_failure_can_fail() {
    every_claim_fails_once(
        "server-failure",
        &[
            // Nobody looks after the servers, and others die than the one that is spoken of.
            &[
                "machine.lb.lb.fall=1000",
                "step.flowing.kill=[\"web-2\"]",
                "step.crash.kill=[\"web-3\"]",
                "step.crash.until.within=\"2s\"",
                "step.returns.until.within=\"2s\"",
            ],
            // The balancer itself dies.
            &[
                "step.crash.kill=[\"lb\"]",
                "step.crash.until.within=\"2s\"",
                "step.returns.until.within=\"2s\"",
            ],
            // The balancer takes its time. The others do not look closely, nobody tries elsewhere,
            // and more dies than is spoken of.
            &[
                "machine.lb.lb.fall=6",
                "machine.careful.lb.retries=0",
                "step.healthy.kill=[\"shop-6\"]",
                "step.killed.kill=[\"shop-1\", \"shop-4\"]",
                "machine.connects.lb.fall=6",
                "machine.asks.lb.fall=8",
                "machine.passive.lb.passive-fall=0",
                "machine.retries.lb.retries=0",
                "machine.retries.lb.health=\"off\"",
                "machine.retries.lb.passive-fall=0",
                "step.frozen.measure=\"8s\"",
                "step.black-hole.measure=\"8s\"",
            ],
            // The balancer believes a single check. One that should only connect asks, and counts; one that
            // should count only asks; and what is slow is slower than anybody waits.
            &[
                "machine.lb.lb.fall=1",
                "machine.careful.lb.passive-fall=0",
                "machine.connects.lb.health=\"on\"",
                "machine.connects.lb.fall=1",
                "machine.connects.lb.passive-fall=1",
                "step.slow.slow=[{link=[\"unchecked\",\"shop-4\"],by=\"1s\"},{link=[\"connects\",\"shop-4\"],by=\"1s\"},{link=[\"asks\",\"shop-4\"],by=\"1s\"},{link=[\"passive\",\"shop-4\"],by=\"1s\"},{link=[\"retries\",\"shop-4\"],by=\"1s\"}]",
            ],
        ],
    );
}

#[test]
fn every_claim_of_load_balancer_can_fail() {
    every_claim_fails_once(
        "load-balancer",
        &[
            // Servers are dead that should take turns.
            &[
                "step.walk.kill=[\"web-1\", \"web-3\"]",
                "step.crash.until.within=\"2s\"",
                "step.single.kill=[\"web-2\"]",
                "step.single.load.readers=600",
                "step.takeover.kill=[\"pair:active\", \"pair:standby\"]",
                "step.takeover.until.within=\"1s\"",
                "step.comeback.restart=[]",
                "step.frozen.freeze=[]",
                "step.frozen.until.within=\"1s\"",
                "step.fenced.kill=[]",
                "step.fenced.until.within=\"1s\"",
            ],
            // Another one dies than is spoken of; and the pair is slow to notice.
            &[
                "step.crash.kill=[\"web-1\"]",
                "step.crash.until.within=\"2s\"",
                "step.returns.restart=[]",
                "step.returns.until.within=\"1s\"",
                "machine.pair.lb.pair-advert=\"600ms\"",
                "step.frozen.freeze=[]",
                "step.frozen.until.within=\"1s\"",
                "step.fenced.kill=[\"pair:active\"]",
            ],
            // A server dies instead of its balancer, fewer come than are counted with, and one that is said to be
            // frozen is dead.
            &[
                "step.single.kill=[\"web-2\"]",
                "step.single.load.readers=600",
                "step.pair.kill=[\"web-3\"]",
                "step.takeover.load={ shoppers = 100 }",
                "step.frozen.freeze=[]",
                "step.frozen.kill=[\"pair:active\"]",
                "step.fenced.kill=[]",
                "step.fenced.until.within=\"1s\"",
            ],
        ],
    );
}

#[test]
fn every_claim_of_sessions_can_fail() {
    every_claim_fails_once(
        "sessions",
        &[
            // Each server's memory is a wall where it should not be, and none where it should.
            &[
                "machine.memory.webserver.sessions=\"redis\"",
                "machine.memory.webserver.redis=\"redis\"",
                "machine.shared.webserver.sessions=\"memory\"",
                "machine.lb-sticky.lb.policy=\"round-robin\"",
                "machine.guarded.webserver.sessions=\"memory\"",
                "step.redis-dies.kill=[\"db\"]",
            ],
            // Nobody can be reached, or the wrong one is killed; servers hang instead of saying no; and
            // the Sentinels take their time.
            &[
                "step.logged-in.kill=[\"lb-memory\"]",
                "step.sticky-lost.kill=[\"lb-sticky\"]",
                "step.redis-dies.freeze=[\"shared-2\"]",
                "step.redis-returns.kill=[\"shared-2\", \"shared-3\"]",
                "machine.sentinel.sentinel.down-after=\"30s\"",
                "step.guarded-crash.until.within=\"12s\"",
            ],
            // Redis is not killed after all, so that nothing is lost.
            &["step.redis-dies.kill=[\"db\"]", "step.redis-returns.restart=[\"shared-1\"]"],
        ],
    );
}

#[test]
fn every_claim_of_cache_can_fail() {
    every_claim_fails_once(
        "cache",
        &[
            // There is no cache where there should be one, and one where there should be none.
            &[
                "machine.climb.webserver.cache=\"local\"",
                "machine.none.webserver.cache=\"local\"",
                "machine.shared.webserver.cache=\"local\"",
                "machine.local.webserver.cache=\"none\"",
                "machine.uniform.webserver.cache=\"none\"",
                "machine.zipf.webserver.cache=\"none\"",
            ],
            // The load does not follow the servers, hardly any products are read, the database is
            // quick, the web servers are slow, and in the end nobody can be reached.
            &[
                "step.three.load.climbers=60",
                "step.five.load.climbers=60",
                "traffic.reads-uniform.keys=20",
                "machine.db.dbnode.query-cost=\"5ms\"",
                "machine.shared.webserver.page-cost=\"10ms\"",
                "step.stampede.kill=[\"lb-shared\"]",
            ],
            // The database serves everybody by itself.
            &["machine.shared.webserver.cache=\"none\""],
        ],
    );
}

/// A database that waits for nobody, and a primary that is not killed but cut off from the others, with
/// customers beside it.
const LOSE_QUORUM: [&str; 5] = [
    "machine.quorum.dbnode.replication=\"async\"",
    "step.quorum-dies.kill=[]",
    "step.quorum-dies.cut=[[\"quorum:primary\",\"quorum\"],[\"quorum\",\"quorum:primary\"]]",
    "step.quorum-stock.restart=[]",
    "step.quorum-stock.heal-all=true",
];

#[test]
fn every_claim_of_replication_can_fail() {
    every_claim_fails_once(
        "replication",
        &[
            // The modes are not what they are called; nobody reads copies where it matters, and there are
            // others who do not die.
            &[
                "machine.merge.dbnode.replication=\"sync\"",
                "step.merge-dies.load.deposit-merge=0",
                "step.merge-elects.kill=[]",
                "step.merge-elects.cut=[]",
                "step.merge-elects.until.within=\"1s\"",
                "machine.strict.dbnode.replication=\"async\"",
                "step.strict.slow=[{link=[\"strict:primary\",\"strict\"],by=\"1s\"}]",
                "step.strict-dies.kill=[]",
                "step.strict-dies.until.within=\"1s\"",
                "machine.quorum.dbnode.replication=\"sync\"",
                "step.quorum-dies.kill=[]",
                "traffic.deposit-quorum.history.by=25",
            ],
            // Merge without a slow wire, and nobody reads a copy of it.
            &[
                "step.merge.slow=[]",
                "step.merge.load.read-merge-1=0",
                "step.merge.load.read-merge-2=0",
                "step.merge.load.read-merge-3=0",
                "step.merge-settles.kill=[\"merge:replica\"]",
                "step.merge-settles.until.within=\"1s\"",
                "step.merge-elects.until.within=\"1s\"",
                "step.merge-returns.until.within=\"1s\"",
                "step.strict.kill=[\"strict:replica\"]",
                "step.strict.load.read-strict-1=0",
                "step.strict.load.read-strict-2=0",
                "step.strict.load.read-strict-3=0",
                "step.strict-down.kill=[\"web-strict\"]",
                "step.strict-whole.restart=[]",
                "step.strict-whole.until.within=\"1s\"",
                "step.strict-dies.until.within=\"1s\"",
                "step.strict-stock.until.within=\"1s\"",
                "step.quorum.kill=[\"web-quorum\"]",
                "step.quorum-whole.restart=[]",
                "step.quorum-whole.until.within=\"1s\"",
                "step.quorum-stock.until.within=\"1s\"",
            ],
            // Deposits that were acknowledged are lost where they should not be.
            &[
                &LOSE_QUORUM[..],
                &[
                    "traffic.own-merge.path=\"/accounts/{key}?replica=merge-2\"",
                    "step.strict-down.kill=[]",
                    "step.strict-down.heal-all=false",
                    "step.strict-whole.restart=[]",
                    "step.strict-whole.until.within=\"1s\"",
                    "step.merge-returns.restart=[]",
                    "step.merge-returns.until.within=\"2s\"",
                ],
            ]
            .concat(),
            // And the same of the other two.
            &[
                "traffic.own-merge.path=\"/accounts/{key}?replica=merge-3\"",
                "machine.strict.dbnode.replication=\"async\"",
                "step.strict-whole.until.within=\"1s\"",
                "step.quorum-down.heal-all=false",
                "step.quorum-down.slow=[{link=[\"quorum:primary\",\"quorum\"],by=\"1s\"}]",
                "step.strict-whole.slow=[{link=[\"strict:primary\",\"strict\"],by=\"1s\"}]",
                "step.strict-dies.cut=[[\"strict:former\",\"strict\"]]",
                "step.strict-stock.heal-all=true",
            ],
        ],
    );
}

#[test]
fn every_claim_of_primary_failure_can_fail() {
    every_claim_fails_once(
        "primary-failure",
        &[
            // Nobody dies who should, and others do.
            &[
                "step.flowing.kill=[\"db:primary\"]",
                "step.killed-1.kill=[]",
                "step.killed-2.kill=[]",
                "step.killed-3.kill=[]",
                "step.frozen.freeze=[]",
                "step.cut-off.partition=[]",
                "step.healed.kill=[\"db-1\"]",
                "step.healed.until.within=\"1s\"",
                "traffic.deposits.history.by=25",
            ],
            // A primary that waits for nobody, cut off or not; and no way to the others.
            &["machine.db.dbnode.replication=\"async\"", "step.back-1.kill=[\"web\"]"],
        ],
    );
}

#[test]
fn every_claim_of_split_brain_can_fail() {
    every_claim_fails_once(
        "split-brain",
        &[
            // Who should wait for a majority does not, and who should not does.
            &[
                "machine.merge.dbnode.replication=\"quorum\"",
                "machine.quorum.dbnode.replication=\"async\"",
                "step.whole.kill=[\"web-quorum\"]",
                "step.merge-healed.kill=[\"merge-1\"]",
                "step.merge-healed.until.within=\"1s\"",
            ],
            // Nobody is cut off.
            &[
                "step.split.partition=[]",
                "step.apart.kill=[\"web-merge\"]",
                "step.one-way.cut=[]",
                "traffic.outside-quorum.history.by=25",
            ],
            // Those who are cut off are very patient.
            &["machine.merge.dbnode.election-timeout=\"10s\""],
            // The wire is not mended.
            &[
                "step.merge-healed.heal-all=false",
                "step.merge-healed.until.within=\"1s\"",
                "step.quorum-healed.until.within=\"1s\"",
            ],
        ],
    );
}
