//! The counters in Prometheus format. They are collected when they are scraped: counting itself
//! costs a request no more than a few additions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::pair::Handle;
use crate::pair::failover::Role;
use crate::proxy::counters::{Refused, Retried};
use crate::shortage::{Shortage, Shortages};
use crate::upstream::table::{Report, State, Table};
use crate::upstream::{Outcome, Upstream};

/// Collects all counters.
#[derive(Debug)]
pub struct Metrics {
    /// The upstreams.
    pub table: Arc<Table>,
    /// The local replies.
    pub refused: Arc<Refused>,
    /// The retries.
    pub retried: Arc<Retried>,
    /// Client connections that could not be accepted.
    pub accept_failures: Arc<AtomicU64>,
    /// Shortages of local resources.
    pub shortages: Arc<Shortages>,
    /// The handle to the pair, if this balancer has a peer.
    pub pair: Option<Arc<Handle>>,
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let reports = self.table.report();
        let mut requests = encoder.encode_descriptor(
            "requests",
            "Requests passed to an upstream, by how they ended",
            None,
            MetricType::Counter,
        )?;
        for Report { upstream, .. } in &reports {
            for outcome in Outcome::ALL {
                let labels = [("upstream", upstream.name.as_str()), ("outcome", outcome.label())];
                ConstCounter::new(upstream.ended(outcome)).encode(requests.encode_family(&labels)?)?;
            }
        }
        seconds(&mut encoder, &reports)?;
        let mut refused =
            encoder.encode_descriptor("refused", "The balancer's own answers", None, MetricType::Counter)?;
        for (code, count) in self.refused.by_code() {
            ConstCounter::new(count).encode(refused.encode_family(&[("error", code)])?)?;
        }
        counter(
            &mut encoder,
            &reports,
            "connect_failures",
            "Connections that an upstream refused",
            |upstream| upstream.ended(Outcome::ConnectFailed),
        )?;
        let retried = [
            ("retries", "Requests sent to another upstream after one had failed", self.retried.retries()),
            ("retries_denied", "Retries denied by the retry budget", self.retried.denied()),
        ];
        for (name, help, count) in retried {
            let value = ConstCounter::new(count);
            value.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        let failures = ConstCounter::new(self.accept_failures.load(Ordering::Relaxed));
        let help = "Client connections that could not be accepted, mostly for lack of file descriptors";
        failures.encode(encoder.encode_descriptor("accept_failures", help, None, MetricType::Counter)?)?;
        let mut shortages = encoder.encode_descriptor(
            "local_shortages",
            "How often this balancer lacked a resource for a connection",
            None,
            MetricType::Counter,
        )?;
        for shortage in Shortage::ALL {
            let count = ConstCounter::new(self.shortages.met(shortage));
            count.encode(shortages.encode_family(&[("kind", shortage.label())])?)?;
        }
        if let Some(pair) = &self.pair {
            let active = ConstGauge::new(i64::from(pair.status().role == Role::Active));
            let help = "1 while this balancer answers on the address that it shares";
            active.encode(encoder.encode_descriptor("pair_active", help, None, MetricType::Gauge)?)?;
            let takeovers = ConstCounter::new(pair.takeovers.load(Ordering::Relaxed));
            let help = "How often this balancer has taken the address that it shares";
            takeovers.encode(encoder.encode_descriptor("takeovers", help, None, MetricType::Counter)?)?;
        }
        let panic = ConstGauge::new(i64::from(self.table.snapshot().panic));
        let help = "1 in panic mode: too few upstreams are healthy, so the checks are ignored";
        panic.encode(encoder.encode_descriptor("panic", help, None, MetricType::Gauge)?)?;
        let ejected = "How often checks or failed requests took an upstream out";
        counter(&mut encoder, &reports, "ejections", ejected, Upstream::ejections)?;
        gauge(&mut encoder, &reports, "in_flight", "Requests not finished yet", |report| {
            i64::try_from(report.upstream.in_flight()).unwrap_or(i64::MAX)
        })?;
        gauge(&mut encoder, &reports, "upstream_up", "1 when the upstream takes requests", |report| {
            i64::from(report.state == State::Up)
        })
    }
}

/// Writes a histogram of request durations for each upstream and outcome that occurred.
fn seconds(encoder: &mut DescriptorEncoder<'_>, reports: &[Report]) -> Result<(), std::fmt::Error> {
    let help = "Time from choosing an upstream to its answer's last byte, by how that ended";
    let mut family = encoder.encode_descriptor("request_seconds", help, None, MetricType::Histogram)?;
    for Report { upstream, .. } in reports {
        for outcome in Outcome::ALL {
            let labels = [("upstream", upstream.name.as_str()), ("outcome", outcome.label())];
            if let Some(traced) = upstream.durations(outcome).traced() {
                traced.encode(family.encode_family(&labels)?)?;
                continue;
            }
            let Some((sum, buckets)) = upstream.durations(outcome).read() else { continue };
            let count = buckets.iter().map(|(_, count)| count).sum();
            let mut metric = family.encode_family(&labels)?;
            metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
    }
    Ok(())
}

fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    reports: &[Report],
    name: &str,
    help: &str,
    value: impl Fn(&Upstream) -> u64,
) -> Result<(), std::fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for Report { upstream, .. } in reports {
        let labels = [("upstream", upstream.name.as_str())];
        ConstCounter::new(value(upstream)).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    reports: &[Report],
    name: &str,
    help: &str,
    value: impl Fn(&Report) -> i64,
) -> Result<(), std::fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for report in reports {
        let labels = [("upstream", report.upstream.name.as_str())];
        ConstGauge::new(value(report)).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
