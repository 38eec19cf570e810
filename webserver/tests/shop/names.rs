use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex};

use http::StatusCode;
use machine::names::Resolver;
use machine::network::Network;

use crate::database::Database;
use crate::redis::Redis;
use crate::shop::TestShop;
use crate::visitor::Visitor;
use crate::wait::until;

/// A name server. Each name resolves to `::1`, which refuses connections, and then to the real
/// address.
#[derive(Clone, Default)]
struct NameServer(Arc<(Mutex<bool>, Condvar)>);

impl NameServer {
    fn network(&self, names: &'static [&str], addresses: &[SocketAddr]) -> Network {
        let (server, addresses) = (self.clone(), addresses.to_vec());
        Network::tcp().with_names(Resolver::new(move |name| {
            let is_silent = server.0.0.lock().unwrap();
            drop(server.0.1.wait_while(is_silent, |is_silent| *is_silent).unwrap());
            let place = names.iter().position(|known| *known == name);
            let address = addresses[place.ok_or_else(|| io::Error::other("no such name"))?];
            Ok(vec![SocketAddr::from((Ipv6Addr::LOCALHOST, address.port())), address])
        }))
    }

    fn be_silent(&self) {
        *self.0.0.lock().unwrap() = true;
    }
}

#[tokio::test]
async fn what_is_called_localhost_is_reached_and_found_again_without_a_name_server() {
    let (database, mut redis) = (Database::start().await, Redis::start().await);
    let server = NameServer::default();
    let network = server.network(&["db.lab:1", "redis.lab:1"], &[database.address, redis.address]);
    let flags = ["--db", "db.lab:1", "--sessions", "redis", "--redis", "redis://redis.lab:1"];
    let shop = TestShop::open_in(network, &flags).await;
    let product = r#"{"name":"Lamp","price":1}"#;
    assert!(shop.put("/products/1", product).await.status.is_success());
    assert_eq!(shop.get("/products/1").await.text(), product);
    assert_eq!(Visitor::default().login(&shop, "ada").await.status, StatusCode::OK);
    server.be_silent();
    redis.kill();
    until("Redis is gone", async || Visitor::default().login(&shop, "ada").await.status != StatusCode::OK)
        .await;
    redis.restart().await;
    until("Redis is found", async || Visitor::default().login(&shop, "ada").await.status == StatusCode::OK)
        .await;
    assert_eq!(shop.get("/products/1").await.text(), product);
}

#[tokio::test]
async fn a_redis_whose_name_moves_is_followed_though_the_old_one_still_answers() {
    let (database, old, new) = (Database::start().await, Redis::start().await, Redis::start().await);
    let leads_to = Arc::new(Mutex::new(old.address));
    let now = Arc::clone(&leads_to);
    let names = Resolver::new(move |_| Ok(vec![*now.lock().unwrap()]));
    let db = database.address.to_string();
    let flags = ["--db", &db, "--sessions", "redis", "--redis", "redis://redis.lab:1"];
    let shop = TestShop::open_in(Network::tcp().with_names(names), &flags).await;
    assert_eq!(Visitor::default().login(&shop, "ada").await.status, StatusCode::OK);
    *leads_to.lock().unwrap() = new.address;
    until("sessions are kept in the new one", async || {
        let _either = Visitor::default().login(&shop, "ada").await;
        new.ask::<u64>(&redis::cmd("DBSIZE")).await.is_ok_and(|keys| keys > 0)
    })
    .await;
}
