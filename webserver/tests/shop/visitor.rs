//! A visitor with a browser: keeps the cookie that any server sets.

use axum::body::Body;
use http::{Method, Request};
use serde_json::json;

use crate::shop::{Reply, TestShop};

#[derive(Debug, Clone, Default)]
pub(crate) struct Visitor {
    /// The session cookie as it is sent.
    pub(crate) cookie: Option<String>,
}

impl Visitor {
    /// Creates a visitor who has logged in.
    pub(crate) async fn logged_in(shop: &TestShop) -> Self {
        let mut visitor = Self::default();
        assert_eq!(visitor.login(shop, "ada").await.status, 200);
        visitor
    }

    pub(crate) async fn login(&mut self, shop: &TestShop, user: &str) -> Reply {
        let reply = self.ask(shop, Method::POST, "/login", Some(json!({ "user": user }))).await;
        let cookie = reply.header("set-cookie").split(';').next().unwrap().to_owned();
        self.cookie = (!cookie.is_empty()).then_some(cookie).or(self.cookie.take());
        reply
    }

    pub(crate) async fn get(&self, shop: &TestShop, path: &str) -> Reply {
        self.ask(shop, Method::GET, path, None).await
    }

    pub(crate) async fn put_into_cart(&self, shop: &TestShop, product: &str, quantity: i64) -> Reply {
        let item = json!({ "product": product, "quantity": quantity });
        self.ask(shop, Method::POST, "/cart/items", Some(item)).await
    }

    pub(crate) async fn logout(&self, shop: &TestShop) -> Reply {
        self.ask(shop, Method::POST, "/logout", None).await
    }

    pub(crate) async fn ask(
        &self,
        shop: &TestShop,
        method: Method,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        shop.ask(request.body(body).unwrap()).await
    }
}
