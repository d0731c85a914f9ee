//! What this api counts of itself, for Prometheus and its like; nothing of requests unless somebody scrapes it. How it is
//! scraped is `shared::metrics`'.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use actix_web::{HttpRequest, http::StatusCode};
use chrono::{DateTime, Utc};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        MetricType,
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
        info::Info,
    },
    registry::{Registry, Unit},
};
use shared::Status;

use crate::publish::Latest;

/// Upper ends in seconds of what publishing takes.
const COSTS: [f64; 10] = [0.000_1, 0.000_25, 0.001, 0.002_5, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5];

/// What is counted.
#[derive(Debug)]
pub struct Metrics {
    is_scraped: AtomicBool,
    requests: Family<OfRequest, Counter>,
    published: Histogram,
    as_of: Gauge<f64, AtomicU64>,
    /// Times that the database could not be read for the page.
    pub(crate) database_errors: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRequest {
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStatus {
    status: &'static str,
}

impl Default for Metrics {
    /// Nothing is counted yet.
    fn default() -> Metrics {
        Metrics {
            is_scraped: AtomicBool::new(false),
            requests: Family::default(),
            published: Histogram::new(COSTS),
            as_of: Gauge::default(),
            database_errors: Counter::default(),
        }
    }
}

impl Metrics {
    /// A request was answered: it is told by the pattern that its path matches, without the base path.
    pub(crate) fn answered(&self, request: &HttpRequest, base_path: &str, status: StatusCode) {
        if !self.is_scraped.load(Ordering::Relaxed) {
            return;
        }
        let pattern = request.match_pattern().unwrap_or_else(|| "none".into());
        let route = pattern.strip_prefix(base_path).unwrap_or(&pattern).to_owned();
        self.requests.get_or_create(&OfRequest { route, status: status.as_u16() }).inc();
    }

    /// A snapshot was published, and cost so much.
    pub(crate) fn published(&self, as_of: DateTime<Utc>, cost: Duration) {
        self.published.observe(cost.as_secs_f64());
        self.as_of.set(as_of.timestamp_millis() as f64 / 1e3);
    }
}

/// All that is counted, and what is known without, under its names. From now on requests are counted.
pub fn registry(latest: Arc<Latest>) -> Registry {
    let metrics = &latest.metrics;
    metrics.is_scraped.store(true, Ordering::Relaxed);
    let mut all = Registry::with_prefix("status_api");
    all.register("build", "The version of this program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
    all.register("requests", "Requests answered, by route and HTTP status", metrics.requests.clone());
    let cost = "What it takes to draw, compress and publish a snapshot";
    all.register_with_unit("publishing", cost, Unit::Seconds, metrics.published.clone());
    let as_of = "The instant that the snapshot is as of, by the clock of this machine";
    all.register_with_unit("snapshot_timestamp", as_of, Unit::Seconds, metrics.as_of.clone());
    let errors = "Times that the database could not be read for the page";
    all.register("database_errors", errors, metrics.database_errors.clone());
    all.register_collector(Box::new(Standing(latest)));
    all
}

/// What is known without being counted.
#[derive(Debug)]
struct Standing(Arc<Latest>);

impl Collector for Standing {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let snapshot = Arc::clone(&self.0.published().snapshot);
        for (name, help, value) in [
            (
                "ready",
                "Whether the database was read within ten seconds (1) or not (0)",
                usize::from(self.0.ready().is_ok()),
            ),
            ("event_clients", "Clients that listen to changes", self.0.events.listeners()),
            (
                "services_stale",
                "Services without a recent check",
                snapshot.services.iter().filter(|state| state.stale).count(),
            ),
        ] {
            let gauge = whole(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        let help = "Services by what the page shows of them";
        let mut family = encoder.encode_descriptor("services", help, None, MetricType::Gauge)?;
        for status in [Status::Online, Status::Degraded, Status::Timeout, Status::Offline, Status::Unknown] {
            let count = snapshot.services.iter().filter(|state| state.status == status).count();
            whole(count).encode(family.encode_family(&OfStatus { status: status.as_str() })?)?;
        }
        Ok(())
    }
}

fn whole(count: usize) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX))
}
