//! A shop in this process, called as a service, without sockets between the test and it.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use clap::Parser;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use machine::Machine;
use machine::network::Network;
use machine::vitals::Vitals;
use tower::ServiceExt;
use webserver::{Args, Config, Shop, app};

#[derive(Clone)]
pub(crate) struct TestShop {
    pub(crate) shop: Arc<Shop>,
    app: Router,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The configuration for these flags, with a free port and this database.
pub(crate) fn config(database: SocketAddr, flags: &[&str]) -> Config {
    let database = database.to_string();
    let always = ["webserver", "--listen", "127.0.0.1:0", "--db", &database];
    Config::check(Args::parse_from([&always, flags].concat())).unwrap()
}

impl TestShop {
    pub(crate) async fn open(database: SocketAddr, flags: &[&str]) -> Self {
        Self::open_on(Machine::unlimited(), database, flags).await
    }

    pub(crate) async fn open_on(machine: Machine, database: SocketAddr, flags: &[&str]) -> Self {
        let vitals = Vitals::new("webserver");
        let shop = Shop::open(config(database, flags), machine, Network::tcp(), &vitals).await.unwrap();
        Self { app: app::app(Arc::clone(&shop), &vitals), shop }
    }

    /// Opens a shop with only these flags, in this network.
    pub(crate) async fn open_in(network: Network, flags: &[&str]) -> Self {
        let vitals = Vitals::new("webserver");
        let args = Args::parse_from([&["webserver", "--listen", "127.0.0.1:0"], flags].concat());
        let config = Config::check(args).unwrap();
        let shop = Shop::open(config, Machine::unlimited(), network, &vitals).await.unwrap();
        Self { app: app::app(Arc::clone(&shop), &vitals), shop }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn put(&self, path: &str, product: &str) -> Reply {
        self.send(Method::PUT, path, Some("application/json"), Body::from(product.to_owned())).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, kind: Option<&str>, body: Body) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        self.ask(request.body(body).unwrap()).await
    }

    pub(crate) async fn ask(&self, request: Request<Body>) -> Reply {
        Reply::read(self.app.clone().oneshot(request).await.unwrap()).await
    }

    /// The value of a counter, with its labels as they are printed.
    pub(crate) async fn counted(&self, counter: &str) -> u64 {
        let metrics = self.get("/metrics").await.text();
        let line = metrics.lines().find_map(|line| line.strip_prefix(counter)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }
}

impl Reply {
    pub(crate) async fn read(response: http::Response<Body>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self { status: head.status, headers: head.headers, body }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn cache(&self) -> &str {
        self.header("x-cache")
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Returns the status and code of an error, which must also have a sentence.
    pub(crate) fn error(&self) -> (u16, String) {
        let json = self.json();
        assert!(!json["detail"].as_str().unwrap().is_empty(), "an error without a sentence: {json}");
        assert_eq!(self.header("content-type"), "application/json");
        (self.status.as_u16(), json["error"].as_str().unwrap().to_owned())
    }
}
