//! What this prober counts of itself, for Prometheus and its like; nothing by service unless somebody scrapes it. How it
//! is scraped is `shared::metrics`'.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use chrono::Utc;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
        info::Info,
    },
    registry::{Registry, Unit},
};
use shared::{Check, Failure, Status};

use crate::{checker::Checker, journal::Journal};

/// Upper ends in seconds: of what services take, and of how late a turn may begin.
const RESPONSE_TIMES: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const LATENESS: [f64; 8] = [0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0];

/// What is counted. Cheap to clone; all clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Somebody scrapes it: each service is counted by itself.
    by_service: bool,
    checks: Family<OfCheck, Counter>,
    response_times: Family<OfService, Histogram, fn() -> Histogram>,
    lateness: Histogram,
    /// Turns that could not be taken.
    pub(crate) skipped: Counter,
    /// Checks that did not go well while this program stood still.
    pub(crate) of_a_standstill: Counter,
    /// Checks that were not held against their services, since no canary answered.
    pub(crate) undecided: Counter,
    /// Turns that nothing came of by a fault of ours.
    pub(crate) broken: Counter,
    services: Gauge,
    held: Gauge,
    probers: Gauge,
    /// Whether there is a connection to the database.
    pub(crate) connected: Gauge,
    /// Tries that the database refused or broke off.
    pub(crate) database_errors: Counter,
    recorded: Counter,
    last_recorded: Gauge<f64, AtomicU64>,
    /// Checks that the journal had no room for.
    pub(crate) dropped: Counter,
    /// Checks that the disk did not give back.
    pub(crate) spoiled: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCheck {
    service: String,
    status: &'static str,
    failure: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfService {
    service: String,
}

impl Metrics {
    /// Nothing is counted yet. `by_service`: whether somebody will want to know of each.
    pub fn new(by_service: bool) -> Metrics {
        Metrics {
            by_service,
            checks: Family::default(),
            response_times: Family::new_with_constructor(|| Histogram::new(RESPONSE_TIMES)),
            lateness: Histogram::new(LATENESS),
            skipped: Counter::default(),
            of_a_standstill: Counter::default(),
            undecided: Counter::default(),
            broken: Counter::default(),
            services: Gauge::default(),
            held: Gauge::default(),
            probers: Gauge::default(),
            connected: Gauge::default(),
            database_errors: Counter::default(),
            recorded: Counter::default(),
            last_recorded: Gauge::default(),
            dropped: Counter::default(),
            spoiled: Counter::default(),
        }
    }

    /// A check came out.
    pub(crate) fn measured(&self, check: &Check) {
        if !self.by_service {
            return;
        }
        let failure = check.error.as_deref().and_then(Failure::of_error);
        let of_check = OfCheck {
            service: check.service_id.clone(),
            status: check.status.as_str(),
            failure: failure.map_or("", Failure::as_str),
        };
        self.checks.get_or_create(&of_check).inc();
        if let Some(ms) = check.response_time_ms {
            let of_service = OfService { service: check.service_id.clone() };
            self.response_times.get_or_create(&of_service).observe(f64::from(ms) / 1000.0);
        }
    }

    /// A turn begins, so late.
    pub(crate) fn begins(&self, late: Duration) {
        self.lateness.observe(late.as_secs_f64());
    }

    /// So many probers share the services, and so many of these are checked here.
    pub(crate) fn share(&self, probers: usize, held: usize) {
        self.probers.set(whole(probers));
        self.held.set(whole(held));
    }

    /// So many checks are recorded.
    pub(crate) fn recorded(&self, count: usize) {
        self.recorded.inc_by(count as u64);
        self.last_recorded.set(Utc::now().timestamp_micros() as f64 / 1e6);
    }

    /// So many services are checked from now on.
    pub(crate) fn load(&self, services: usize) {
        self.services.set(whole(services));
    }

    /// A service is checked no more: what was counted of it is forgotten.
    pub(crate) fn forget(&self, id: &str) {
        for status in STATUSES {
            for failure in Failure::ALL.map(Failure::as_str).into_iter().chain([""]) {
                let service = id.to_owned();
                self.checks.remove(&OfCheck { service, status: status.as_str(), failure });
            }
        }
        self.response_times.remove(&OfService { service: id.into() });
    }

    /// All of it under its names, with what the journal and the checker tell when they are asked.
    pub(crate) fn registry(&self, journal: Arc<Journal>, checker: Checker) -> Registry {
        let mut all = Registry::with_prefix("status_prober");
        all.register(
            "build",
            "The version of this program",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        let seconds = || Unit::Seconds;
        all.register(
            "checks",
            "Checks that came out, by service, status and class of failure",
            self.checks.clone(),
        );
        let times = "How long the last try of each check took; a timeout as long as the timeout";
        all.register_with_unit("response_time", times, seconds(), self.response_times.clone());
        let late = "How late turns were taken";
        all.register_with_unit("turn_lateness", late, seconds(), self.lateness.clone());
        all.register("turns_skipped", "Turns that could not be taken", self.skipped.clone());
        let broken = "Turns that nothing came of by a fault of this program or machine";
        all.register("turns_broken", broken, self.broken.clone());
        let standstill = "Checks that did not go well while this program stood still, and are not recorded";
        all.register("checks_of_a_standstill", standstill, self.of_a_standstill.clone());
        let undecided = "Checks that were not recorded, since no canary answered";
        all.register("checks_undecided", undecided, self.undecided.clone());
        all.register("services", "Services in the services file", self.services.clone());
        all.register("services_held", "Those that this prober checks", self.held.clone());
        all.register("probers", "Probers that share the services, this one among them", self.probers.clone());
        all.register(
            "database_connected",
            "Whether there is a connection (1) or none (0)",
            self.connected.clone(),
        );
        let errors = "Times that the database could not be reached, or refused or broke off";
        all.register("database_errors", errors, self.database_errors.clone());
        all.register("checks_recorded", "Checks that are recorded", self.recorded.clone());
        let last = "When checks were recorded last, by the clock of this machine";
        all.register_with_unit("last_recorded_timestamp", last, seconds(), self.last_recorded.clone());
        let dropped = "Checks that are lost, since the journal was full";
        all.register("journal_dropped", dropped, self.dropped.clone());
        let spoiled = "Checks that are lost, since the disk did not give back what was written";
        all.register("journal_spoiled", spoiled, self.spoiled.clone());
        all.register_collector(Box::new(Standing { journal, checker }));
        all
    }
}

const STATUSES: [Status; 5] =
    [Status::Online, Status::Degraded, Status::Timeout, Status::Offline, Status::Unknown];

/// What is known without being counted.
#[derive(Debug)]
struct Standing {
    journal: Arc<Journal>,
    checker: Checker,
}

impl Collector for Standing {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let requests = self.checker.requests();
        for (name, help, value) in [
            ("journal_checks", "Checks that wait for the database", self.journal.unrecorded()),
            ("journal_disk_bytes", "What the journal takes on disk", self.journal.size()),
            ("requests_in_flight", "Requests on their way", requests.in_flight),
            ("requests_waiting", "Requests that wait for a place", requests.waiting),
        ] {
            let gauge = ConstGauge::new(whole(value));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
