//! Health and metrics: `GET /healthz` and `GET /metrics`, the same for every server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::{Metric, Registry};

/// A server's health and metrics. One per server, not one per process, so that a test can run
/// several servers.
#[derive(Debug)]
pub struct Vitals {
    fit: AtomicBool,
    registry: Mutex<Registry>,
}

impl Vitals {
    /// Creates vitals that are healthy and have no metrics. Every metric's name will begin with
    /// `prefix`.
    pub fn new(prefix: &str) -> Arc<Self> {
        Arc::new(Self { fit: AtomicBool::new(true), registry: Mutex::new(Registry::with_prefix(prefix)) })
    }

    /// Publishes a metric, and returns it for counting.
    pub fn register<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        self.registry.lock().register(name, help, metric.clone());
        metric
    }

    /// Publishes metrics that are collected when they are scraped.
    pub fn register_collector(&self, collector: impl Collector) {
        self.registry.lock().register_collector(Box::new(collector));
    }

    /// Makes `/healthz` answer 503 from now on, so that new requests go to other servers.
    pub fn say_unfit(&self) {
        self.fit.store(false, Ordering::Release);
    }

    /// True if `/healthz` answers 200.
    pub fn is_fit(&self) -> bool {
        self.fit.load(Ordering::Acquire)
    }

    /// Renders the metrics in Prometheus format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry.lock()).expect("writing to a string cannot fail");
        text
    }

    /// `/healthz` and `/metrics`.
    pub fn routes<S: Clone + Send + Sync + 'static>(self: &Arc<Self>) -> Router<S> {
        let (health, metrics) = (Arc::clone(self), Arc::clone(self));
        Router::new()
            .route(
                "/healthz",
                get(async move || {
                    if health.is_fit() {
                        (StatusCode::OK, "{\"status\":\"ok\"}\n").into_response()
                    } else {
                        (StatusCode::SERVICE_UNAVAILABLE, "{\"status\":\"draining\"}\n").into_response()
                    }
                }),
            )
            .route(
                "/metrics",
                get(async move || {
                    let format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                    ([(header::CONTENT_TYPE, format)], metrics.render())
                }),
            )
    }
}
