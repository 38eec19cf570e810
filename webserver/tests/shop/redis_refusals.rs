//! Redis answers but refuses. All servers notice within a second, none serves a value that was written over,
//! visitors stay logged in, and the log gives the reason, once.

use std::time::Duration;

use http::StatusCode;
use redis::cmd;
use tokio::time::Instant;

use crate::database::Database;
use crate::log::Log;
use crate::redis::Redis;
use crate::shop::TestShop;
use crate::visitor::Visitor;
use crate::wait::until;

const OLD: &str = r#"{"name":"Lamp","price":1}"#;
const NEW: &str = r#"{"name":"Lamp","price":2}"#;
const REFUSED: &str = r#"webserver_redis_writes{state="refused"}"#;
const ACCEPTED: &str = r#"webserver_redis_writes{state="accepted"}"#;

/// Within a second, plus what a busy host adds.
const KNOWN_WITHIN: Duration = Duration::from_secs(5);

async fn open(database: &Database, url: &str) -> TestShop {
    database.put("product:1", OLD);
    database.put("product:2", OLD);
    let flags = ["--sessions", "redis", "--cache", "redis", "--redis", url];
    TestShop::open(database.address, &flags).await
}

/// Logs a visitor in, as soon as that is possible.
async fn logged_in(shop: &TestShop) -> Visitor {
    let mut visitor = Visitor::default();
    until("she is logged in", async || visitor.login(shop, "ada").await.status == StatusCode::OK).await;
    visitor
}

/// How Redis comes to refuse writes, and to accept them again.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    Misconf,
    NoReplicas,
    NoPerm,
    /// A cluster that has lost slots, and still answers reads.
    ClusterDown,
    /// It runs a script that does not end.
    Busy,
}

impl Trouble {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::ClusterDown => &["--cluster-enabled", "yes", "--cluster-allow-reads-when-down", "yes"],
            _ => &[],
        }
    }

    async fn prepare(self, redis: &Redis) {
        if matches!(self, Self::ClusterDown) {
            let () = redis.ask(cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(0).arg(16_383)).await.unwrap();
            let is_up = async || {
                redis.ask::<String>(cmd("CLUSTER").arg("INFO")).await.unwrap().contains("cluster_state:ok")
            };
            until("the cluster is up", is_up).await;
        }
    }

    async fn begin(self, redis: &Redis) {
        match self {
            Self::Misconf => {
                redis.configure("save", "3600 1").await;
                // The snapshot cannot be written where a directory is.
                std::fs::create_dir(redis.file("dump.rdb")).unwrap();
                save(redis, "err").await;
            }
            Self::NoReplicas => redis.configure("min-replicas-to-write", "1").await,
            Self::NoPerm => redis.user("default", "nopass ~* &* +@all -@write").await,
            Self::ClusterDown => {
                let () = redis.ask(cmd("CLUSTER").arg("DELSLOTS").arg(3)).await.unwrap();
                let is_down = async || {
                    redis
                        .ask::<String>(cmd("CLUSTER").arg("INFO"))
                        .await
                        .unwrap()
                        .contains("cluster_state:fail")
                };
                until("the cluster is down", is_down).await;
            }
            Self::Busy => {
                redis.configure("lua-time-limit", "10").await;
                let url = redis.url();
                tokio::spawn(async move {
                    let client = redis::Client::open(url).unwrap();
                    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
                    let mut script = cmd("EVAL");
                    let _: redis::RedisResult<()> =
                        script.arg("while true do end").arg(0).query_async(&mut connection).await;
                });
                let is_busy = async || {
                    let refused = redis.ask::<()>(&cmd("DBSIZE")).await.err();
                    refused.is_some_and(|error| error.code() == Some("BUSY"))
                };
                until("Redis is busy", is_busy).await;
            }
        }
    }

    async fn end(self, redis: &Redis) {
        match self {
            Self::Misconf => {
                std::fs::remove_dir(redis.file("dump.rdb")).unwrap();
                save(redis, "ok").await;
            }
            Self::NoReplicas => redis.configure("min-replicas-to-write", "0").await,
            Self::NoPerm => redis.user("default", "nopass ~* &* +@all").await,
            Self::ClusterDown => {
                let () = redis.ask(cmd("CLUSTER").arg("ADDSLOTS").arg(3)).await.unwrap();
            }
            Self::Busy => {
                let () = redis.ask(cmd("SCRIPT").arg("KILL")).await.unwrap();
            }
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Misconf => "MISCONF",
            Self::NoReplicas => "NOREPLICAS",
            Self::NoPerm => "can't run this command",
            Self::ClusterDown => "while the cluster is down",
            Self::Busy => "BUSY",
        }
    }

    /// Returns whether existing data can still be read.
    fn can_be_read(self) -> bool {
        !matches!(self, Self::Busy)
    }
}

async fn save(redis: &Redis, outcome: &str) {
    let () = redis.ask(&cmd("BGSAVE")).await.unwrap();
    let said = format!("rdb_last_bgsave_status:{outcome}");
    let is_saved =
        async || redis.ask::<String>(cmd("INFO").arg("persistence")).await.unwrap().contains(&said);
    until("it has tried to save", is_saved).await;
}

async fn known_by(shops: &[&TestShop], state: &str) {
    let began = Instant::now();
    for shop in shops {
        until("it is known", async || shop.counted(state).await == 1).await;
    }
    assert!(began.elapsed() < KNOWN_WITHIN, "{:?}", began.elapsed());
}

async fn refuses_and_takes_again(trouble: Trouble) {
    let log = Log::collect();
    let (database, redis) = (Database::start().await, Redis::start_with(trouble.flags()).await);
    trouble.prepare(&redis).await;
    let (shop, other) = (open(&database, &redis.url()).await, open(&database, &redis.url()).await);
    let visitor = logged_in(&shop).await;
    assert_eq!(visitor.put_into_cart(&other, "2", 1).await.status, StatusCode::OK);
    shop.get("/products/1").await;
    assert_eq!(
        (other.get("/products/1").await.cache(), other.get("/products/1").await.text()),
        ("HIT", OLD.into())
    );

    trouble.begin(&redis).await;
    // Acknowledged means acknowledged: no server serves the old value, not even one that did not know yet.
    assert_eq!(shop.put("/products/1", NEW).await.status, StatusCode::OK);
    for server in [&other, &shop] {
        let reply = server.get("/products/1").await;
        assert_eq!((reply.cache(), reply.text()), ("BYPASS", NEW.into()), "{trouble:?}");
    }
    known_by(&[&shop, &other], REFUSED).await;
    // Nor later. And writers are no longer delayed; otherwise each of them would take a second.
    let began = Instant::now();
    for price in 3..20 {
        let product = format!(r#"{{"name":"Lamp","price":{price}}}"#);
        assert_eq!(shop.put("/products/1", &product).await.status, StatusCode::OK);
        assert_eq!(other.get("/products/1").await.text(), product);
    }
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(shop.put("/products/1", NEW).await.status, StatusCode::OK);
    // Visitors stay logged in.
    let expected = if trouble.can_be_read() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    for path in ["/me", "/cart"] {
        assert_eq!(visitor.get(&other, path).await.status, expected, "{trouble:?}: {path}");
    }
    let refused = Visitor::default().login(&other, "bob").await;
    assert_eq!(refused.error(), (503, "sessions_unavailable".into()), "{trouble:?}");

    trouble.end(&redis).await;
    // From the first moment on.
    let began = Instant::now();
    let is_hit = async || {
        let reply = other.get("/products/1").await;
        assert_eq!(
            reply.text(),
            NEW,
            "{trouble:?}: {} {:?} after it takes writes again",
            reply.cache(),
            began.elapsed()
        );
        reply.cache() == "HIT"
    };
    until("copies are used again", is_hit).await;
    known_by(&[&shop, &other], ACCEPTED).await;
    assert_eq!(visitor.get(&shop, "/cart").await.json()["pieces"], 1);
    assert_eq!(Visitor::default().login(&other, "bob").await.status, StatusCode::OK);

    // Two servers, one line each; unless this host was frozen for so long that they lost the connection.
    let (said, all) = (log.with(&["WARN", trouble.word()]), log.with(&["WARN"]));
    if log.with(&["WARN", "lost"]).is_empty() {
        assert_eq!(said.len(), 2, "{said:#?}");
        assert_eq!(all.len(), 2 + log.with(&["does not follow"]).len(), "{all:#?}");
        assert_eq!(log.with(&["INFO", "takes everything again"]).len(), 2);
    }
}

#[tokio::test]
async fn its_disk_is_full() {
    refuses_and_takes_again(Trouble::Misconf).await;
}

#[tokio::test]
async fn it_lacks_replicas() {
    refuses_and_takes_again(Trouble::NoReplicas).await;
}

#[tokio::test]
async fn the_right_to_write_is_taken_away() {
    refuses_and_takes_again(Trouble::NoPerm).await;
}

#[tokio::test]
async fn its_cluster_is_down() {
    refuses_and_takes_again(Trouble::ClusterDown).await;
}

#[tokio::test]
async fn it_is_busy_with_a_script() {
    refuses_and_takes_again(Trouble::Busy).await;
}

#[tokio::test]
async fn every_server_knows_that_it_refuses_also_without_requests() {
    let (database, redis) = (Database::start().await, Redis::start().await);
    let (shop, other) = (open(&database, &redis.url()).await, open(&database, &redis.url()).await);
    Trouble::NoReplicas.begin(&redis).await;
    known_by(&[&shop, &other], REFUSED).await;
    Trouble::NoReplicas.end(&redis).await;
    known_by(&[&shop, &other], ACCEPTED).await;
}

#[tokio::test]
async fn one_that_is_full_says_so_and_its_copies_are_used() {
    let log = Log::collect();
    let (database, redis) = (Database::start().await, Redis::start().await);
    let shop = open(&database, &redis.url()).await;
    shop.get("/products/1").await;
    redis.set_full(true).await;
    known_by(&[&shop], r#"webserver_redis_writes{state="full"}"#).await;
    assert_eq!(shop.get("/products/1").await.cache(), "HIT");
    assert_eq!(Visitor::default().login(&shop, "bob").await.error(), (503, "sessions_unavailable".into()));
    redis.set_full(false).await;
    known_by(&[&shop], ACCEPTED).await;
    assert_eq!((log.with(&["WARN", "OOM"]).len(), log.with(&["WARN"]).len()), (1, 1));
    assert_eq!(log.with(&["INFO", "takes everything again"]).len(), 1);
}

#[tokio::test]
async fn a_shop_that_opens_while_it_refuses_reads_sessions_and_no_copies() {
    let (database, redis) = (Database::start().await, Redis::start().await);
    let shop = open(&database, &redis.url()).await;
    let visitor = logged_in(&shop).await;
    shop.get("/products/1").await;
    Trouble::NoReplicas.begin(&redis).await;
    let late = open(&database, &redis.url()).await;
    assert_eq!(late.counted(REFUSED).await, 1);
    assert_eq!(late.get("/products/1").await.cache(), "BYPASS");
    assert_eq!(visitor.get(&late, "/me").await.status, StatusCode::OK);
}

/// Logs in, fills a cart, logs in again and out; reads a product twice, and once more after a write.
async fn works(shop: &TestShop) -> bool {
    let mut visitor = Visitor::default();
    visitor.login(shop, "ada").await.status == StatusCode::OK
        && visitor.put_into_cart(shop, "1", 1).await.status == StatusCode::OK
        && visitor.login(shop, "ada").await.status == StatusCode::OK
        && visitor.logout(shop).await.status == StatusCode::NO_CONTENT
        && shop.get("/products/1").await.status == StatusCode::OK
        && shop.get("/products/1").await.cache() == "HIT"
        && shop.put("/products/1", NEW).await.status == StatusCode::OK
        && shop.get("/products/1").await.text() == NEW
        && shop.counted(ACCEPTED).await == 1
}

#[tokio::test]
async fn little_is_enough() {
    let (database, redis) = (Database::start().await, Redis::start().await);
    let documented = documented_rights();
    for rights in [
        "~* +@all",
        "~* +@all -@dangerous",
        "~* +@all -@admin",
        "~* +@all -@dangerous -@admin",
        "~* +@read +@write +@scripting +@connection +time",
        "~session:* ~copy:* +@all",
        "~session:* ~copy:* +@all -@dangerous",
        &documented,
    ] {
        redis.user("shop", rights).await;
        let shop = open(&database, &format!("redis://shop:hunter2@{}/1", redis.address)).await;
        until(rights, async || works(&shop).await).await;
    }
}

/// The permissions that docs/contract.md documents as sufficient.
fn documented_rights() -> String {
    let contract = include_str!("../../../docs/contract.md");
    let line = contract.lines().find(|line| line.contains("ACL SETUSER shop"));
    let rights = line.unwrap().split(">PASSWORD").nth(1).unwrap();
    rights.to_owned()
}

#[tokio::test]
async fn each_right_that_is_missing_is_named() {
    let (database, redis) = (Database::start().await, Redis::start().await);
    let rights = documented_rights();
    for right in rights.split_whitespace().filter(|right| right.starts_with('+') && *right != "+select") {
        let log = Log::collect();
        let fewer: Vec<_> = rights.split_whitespace().filter(|other| *other != right).collect();
        redis.user("shop", &fewer.join(" ")).await;
        let () = redis.ask(cmd("SCRIPT").arg("FLUSH")).await.unwrap();
        let shop = open(&database, &format!("redis://shop:hunter2@{}", redis.address)).await;
        until(right, async || shop.counted(REFUSED).await == 1).await;
        let said = log.with(&["WARN", "refuses"]);
        let command = right.trim_start_matches('+');
        assert!(said.len() == 1 && said[0].to_lowercase().contains(command), "{right}: {said:#?}");
        assert!(said[0].contains("docs/contract.md"), "{said:#?}");
    }
}

/// Starts a Redis with these flags, opens a shop, and returns its first warning.
async fn first_warning(
    flags: &[&str],
    password: Option<&str>,
    url: impl Fn(&Redis) -> String,
) -> (TestShop, Database, Redis, String) {
    let log = Log::collect();
    let (database, redis) = (Database::start().await, Redis::start_with(flags).await);
    if let Some(password) = password {
        redis.configure("requirepass", password).await;
    }
    let shop = open(&database, &url(&redis)).await;
    let said = log.with(&["WARN"]);
    assert!(said.len() <= 1, "one clear sentence: {said:#?}");
    (shop, database, redis, said.into_iter().next().unwrap_or_default())
}

#[tokio::test]
async fn commands_that_tell_the_role_are_not_needed() {
    for taken in [&["ROLE"][..], &["HELLO"], &["HELLO", "ROLE"]] {
        let flags: Vec<_> = taken.iter().flat_map(|command| ["--rename-command", command, ""]).collect();
        let (shop, _database, _redis, said) = first_warning(&flags, None, Redis::url).await;
        until(&format!("it works without {taken:?}"), async || works(&shop).await).await;
        assert_eq!(said, "", "{taken:?}");
    }
}

#[tokio::test]
async fn a_replica_is_known_also_where_it_does_not_tell() {
    for taken in [&[][..], &["HELLO"], &["HELLO", "ROLE"]] {
        let flags = taken.iter().flat_map(|command| ["--rename-command", command, ""]);
        let flags: Vec<_> = ["--replicaof", "127.0.0.1 1"].into_iter().chain(flags).collect();
        let (shop, _database, _redis, said) = first_warning(&flags, None, Redis::url).await;
        assert!(said.contains("is not a primary now, but a replica") || said.contains("READONLY"), "{said}");
        assert_eq!(shop.get("/products/1").await.cache(), "BYPASS");
    }
}

#[tokio::test]
async fn without_scripts_one_clear_sentence_says_so() {
    for command in ["EVALSHA", "SCRIPT"] {
        let (shop, _database, _redis, said) =
            first_warning(&["--rename-command", command, ""], None, Redis::url).await;
        assert!(said.contains(&format!("ERR unknown command '{command}'")), "{said}");
        assert!(said.contains("rename-command") && !said.contains("args beginning"), "{said}");
        assert_eq!(shop.counted(REFUSED).await, 1);
        assert_eq!(shop.get("/products/1").await.cache(), "BYPASS");
    }
}

#[tokio::test]
async fn why_it_lets_nobody_in_is_said_in_its_own_words() {
    let with_password = |redis: &Redis| format!("redis://:wrong@{}", redis.address);
    for flags in [&[][..], &["--rename-command", "HELLO", ""]] {
        let (.., said) = first_warning(flags, Some("hunter2"), with_password).await;
        assert!(said.contains("WRONGPASS") && said.contains("--redis"), "{said}");
        assert!(!said.contains("hunter2") && !said.contains("wrong@"), "{said}");
        let (.., said) = first_warning(flags, Some("hunter2"), Redis::url).await;
        assert!(said.contains("NOAUTH"), "{said}");
    }
    let (.., said) = first_warning(&[], None, |redis| format!("redis://{}/99", redis.address)).await;
    assert!(said.contains("DB index is out of range"), "{said}");
}

#[tokio::test]
async fn that_it_takes_no_more_clients_is_said_in_its_own_words() {
    let (database, redis) = (Database::start().await, Redis::start().await);
    redis.configure("maxclients", "2").await;
    let client = redis::Client::open(redis.url()).unwrap();
    let _first = client.get_multiplexed_async_connection().await.unwrap();
    let _second = client.get_multiplexed_async_connection().await.unwrap();
    let log = Log::collect();
    let shop = open(&database, &redis.url()).await;
    let said = log.with(&["WARN"]);
    assert!(said.len() == 1 && said[0].contains("max number of clients reached"), "{said:#?}");
    assert_eq!(shop.get("/products/1").await.cache(), "BYPASS");
}

#[tokio::test]
async fn a_request_that_alone_is_refused_is_told_of_once_and_costs_the_others_nothing() {
    let (database, redis) = (Database::start().await, Redis::start().await);
    let log = Log::collect();
    let shop = open(&database, &redis.url()).await;
    let () = redis.ask(cmd("SET").arg("copy:product:1").arg("a stranger's")).await.unwrap();
    let junk = &["fresh", "soon", "useful", "later"];
    let () = redis.ask(cmd("HSET").arg("copy:product:3").arg(junk)).await.unwrap();
    database.put("product:3", OLD);
    shop.get("/products/2").await;
    for _ in 0..20 {
        assert_eq!(shop.get("/products/1").await.text(), OLD);
        assert_eq!(shop.get("/products/3").await.text(), OLD);
    }
    until("it is told of", async || log.with(&["WARN"]).len() == 2).await;
    let said = log.with(&["WARN"]);
    assert!(said[0].contains("WRONGTYPE") && said[1].contains("user_script"), "{said:#?}");
    assert_eq!(shop.counted(ACCEPTED).await, 1);
    assert_eq!(shop.get("/products/2").await.cache(), "HIT");
    // A write cleans up at once.
    let began = Instant::now();
    assert_eq!(shop.put("/products/3", NEW).await.status, StatusCode::OK);
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    assert_eq!(
        (shop.get("/products/3").await.text(), shop.get("/products/3").await.cache()),
        (NEW.into(), "HIT")
    );
}

#[tokio::test]
async fn shops_with_another_prefix_share_a_redis_and_see_nothing_of_each_other() {
    let redis = Redis::start().await;
    let () = redis.ask(cmd("SET").arg("copy:product:1").arg("a stranger's")).await.unwrap();
    let (one, two) = (Database::start().await, Database::start().await);
    one.put("product:1", OLD);
    two.put("product:1", NEW);
    let url = redis.url();
    let flags = |prefix| {
        ["--sessions", "redis", "--cache", "redis", "--redis", &url, "--redis-prefix", prefix]
            .map(str::to_owned)
    };
    let open = async |database: &Database, prefix| {
        let flags = flags(prefix);
        TestShop::open(database.address, &flags.each_ref().map(String::as_str)).await
    };
    let (first, second, beside) =
        (open(&one, "one:").await, open(&two, "two:").await, open(&one, "one:").await);
    let visitor = logged_in(&first).await;
    assert_eq!(first.get("/products/1").await.text(), OLD);
    let reply = second.get("/products/1").await;
    assert_eq!((reply.cache(), reply.text()), ("MISS", NEW.into()));
    assert_eq!(visitor.get(&second, "/me").await.error(), (401, "unknown_session".into()));
    // Another server of the same shop sees everything.
    assert_eq!(beside.get("/products/1").await.cache(), "HIT");
    assert_eq!(visitor.get(&beside, "/me").await.status, StatusCode::OK);
    let mut keys: Vec<String> = redis.ask(cmd("KEYS").arg("*")).await.unwrap();
    keys.retain(|key| !key.starts_with("one:") && !key.starts_with("two:"));
    assert_eq!(keys, ["copy:product:1"]);
    let () = redis.ask(cmd("DEL").arg("copy:product:1")).await.unwrap();
}
