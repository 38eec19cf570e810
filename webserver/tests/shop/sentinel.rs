//! One Redis primary, one replica and three real Sentinels.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use http::StatusCode;
use redis::cmd;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::database::Database;
use crate::redis::{Redis, address, program};
use crate::shop::TestShop;
use crate::visitor::Visitor;
use crate::wait::until;

/// A Sentinel, killed when the test ends.
struct Sentinel {
    address: SocketAddr,
    process: Child,
    _directory: TempDir,
}

impl Sentinel {
    fn start(primary: SocketAddr) -> Self {
        let (address, directory) = (address(26379), TempDir::new().unwrap());
        let configuration = directory.path().join("sentinel.conf");
        let (ip, port) = (address.ip(), address.port());
        let text = format!(
            "bind {ip}\nport {port}\ndir {}\nsentinel announce-ip {ip}\n\
             sentinel monitor mymaster {} {} 2\n\
             sentinel down-after-milliseconds mymaster 500\nsentinel failover-timeout mymaster 3000\n",
            directory.path().display(),
            primary.ip(),
            primary.port(),
        );
        std::fs::write(&configuration, text).unwrap();
        let mut server = Command::new(program());
        server.arg(&configuration).arg("--sentinel").stdin(Stdio::null()).stdout(Stdio::null());
        let process = server.spawn().expect("a redis-server is also a Sentinel");
        Self { address, process, _directory: directory }
    }

    async fn knows_everybody(&self) -> bool {
        let Ok(client) = redis::Client::open(format!("redis://{}", self.address)) else { return false };
        let Ok(mut connection) = client.get_multiplexed_async_connection().await else { return false };
        let quorum: redis::RedisResult<String> =
            cmd("SENTINEL").arg("CKQUORUM").arg("mymaster").query_async(&mut connection).await;
        let enough = quorum.is_ok_and(|says| says.starts_with("OK 3 usable"));
        let replicas: redis::RedisResult<Vec<redis::Value>> =
            cmd("SENTINEL").arg("REPLICAS").arg("mymaster").query_async(&mut connection).await;
        enough && replicas.is_ok_and(|replicas| replicas.len() == 1)
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn sessions_survive_the_death_of_the_primary_and_logins_come_back_by_themselves() {
    let database = Database::start().await;
    database.put("product:7", "{}");
    let mut primary = Redis::start().await;
    let of = format!("{} {}", primary.address.ip(), primary.address.port());
    let replica = Redis::start_with(&["--replicaof", &of]).await;
    let up = async || {
        let info: String = replica.ask(cmd("INFO").arg("replication")).await.unwrap();
        info.contains("master_link_status:up")
    };
    until("the replica has its copy", up).await;
    let sentinels: Vec<_> = (0..3).map(|_| Sentinel::start(primary.address)).collect();
    for sentinel in &sentinels {
        until("the Sentinels know each other", async || sentinel.knows_everybody().await).await;
    }
    let nodes: Vec<_> = sentinels.iter().map(|sentinel| sentinel.address.to_string()).collect();
    let flags = ["--sessions", "redis", "--redis-sentinel", &nodes.join(",")];
    let shop = TestShop::open(database.address, &flags).await;

    let visitor = Visitor::logged_in(&shop).await;
    visitor.put_into_cart(&shop, "7", 2).await;
    let cart = visitor.get(&shop, "/cart").await.json();
    let copied = async || replica.ask::<i64>(&cmd("DBSIZE")).await.unwrap() == 1;
    until("the session is copied", copied).await;

    primary.kill();
    let killed = Instant::now();
    until("logins come back", async || {
        let (began, reply) = (Instant::now(), Visitor::default().login(&shop, "bob").await);
        assert!(began.elapsed() < Duration::from_secs(1), "a login hangs");
        match reply.status {
            StatusCode::OK => true,
            _ => {
                assert_eq!(reply.error(), (503, "sessions_unavailable".into()));
                tokio::time::sleep(Duration::from_millis(20)).await;
                false
            }
        }
    })
    .await;
    assert!(killed.elapsed() < Duration::from_secs(10), "{:?}", killed.elapsed());
    assert_eq!(visitor.get(&shop, "/cart").await.json(), cart);

    // The old primary comes back empty, and becomes a replica of the new one; no server takes it for the
    // primary.
    primary.restart().await;
    until("it is a copy now", async || {
        // The Sentinels close its connections when they reconfigure it.
        let Ok(role) = primary.ask::<Vec<redis::Value>>(&cmd("ROLE")).await else { return false };
        redis::from_redis_value_ref::<String>(&role[0]).unwrap() == "slave"
    })
    .await;
    assert_eq!(visitor.get(&shop, "/cart").await.json(), cart);
}

#[tokio::test]
async fn one_live_sentinel_of_three_is_enough_to_find_the_primary() {
    let (database, primary) = (Database::start().await, Redis::start().await);
    let mut sentinels: Vec<_> = (0..3).map(|_| Sentinel::start(primary.address)).collect();
    let answers = async |sentinel: &Sentinel| tokio::net::TcpStream::connect(sentinel.address).await.is_ok();
    for sentinel in &sentinels {
        until("the Sentinel answers", async || answers(sentinel).await).await;
    }
    let nodes: Vec<_> = sentinels.iter().map(|sentinel| sentinel.address.to_string()).collect();
    sentinels.truncate(1);
    let flags = ["--sessions", "redis", "--redis-sentinel", &nodes.join(",")];
    let shop = TestShop::open(database.address, &flags).await;
    until("logins work", async || Visitor::default().login(&shop, "ada").await.status == StatusCode::OK)
        .await;
}
