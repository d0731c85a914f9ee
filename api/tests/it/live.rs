//! The real status-api over a real PostgreSQL that holds what a snapshot says.

use chrono::Utc;
use shared::testing::Database;

use api::snapshot::{ServiceState, Snapshot};

use crate::{
    api::{Api, heartbeat},
    samples,
};

/// The page of a running api.
pub(crate) struct Live {
    database: Database,
    api: Option<Api>,
    address: String,
}

impl Live {
    /// An api that shows the services of this snapshot; the figures are those of one check each.
    pub(crate) fn showing(snapshot: &Snapshot) -> Live {
        let database = Database::migrated();
        // As if it had been heard in the future: it is not silent before the test is over.
        heartbeat(&mut database.connect(), "-1 hour");
        let api = Api::start(Some(&database.url), &["--title", "asimonson.com status"]);
        let live = Live { database, address: api.address.clone(), api: Some(api) };
        live.show(snapshot);
        live
    }

    /// The address of the page.
    pub(crate) fn url(&self) -> String {
        format!("{}/status", self.address)
    }

    /// Stores this instead, and waits until the api has seen it.
    pub(crate) fn show(&self, snapshot: &Snapshot) {
        self.store(&snapshot.services);
        let Some(api) = &self.api else { return };
        let word = |state: &ServiceState| (state.service.id.clone(), state.status.as_str().to_owned());
        let stored: Vec<_> = snapshot.services.iter().map(word).collect();
        api.status_when("what was stored", |status| {
            let services = status["services"].as_array().unwrap();
            let text = |service: &serde_json::Value, key: &str| service[key].as_str().unwrap().to_owned();
            services.iter().map(|s| (text(s, "id"), text(s, "status"))).eq(stored.iter().cloned())
        });
    }

    /// Kills the api.
    pub(crate) fn vanish(&mut self) {
        self.api = None;
    }

    /// Starts it again where it was.
    pub(crate) fn come_back(&mut self, snapshot: &Snapshot) {
        let listen = self.address.trim_start_matches("http://");
        self.api =
            Some(Api::start_on(listen, Some(&self.database.url), &["--title", "asimonson.com status"]));
        self.show(snapshot);
    }

    fn store(&self, services: &[ServiceState]) {
        let since_then = Utc::now() - samples::now();
        let mut client = self.database.connect();
        let mut transaction = client.transaction().unwrap();
        transaction.batch_execute("DELETE FROM service_checks; DELETE FROM status_services").unwrap();
        for (position, state) in (0i32..).zip(services) {
            let s = &state.service;
            let ms = |length: std::time::Duration| i64::try_from(length.as_millis()).unwrap();
            transaction
                .execute(
                    "INSERT INTO status_services VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                    &[
                        &s.id,
                        &position,
                        &s.name,
                        &s.group,
                        &s.link,
                        &ms(s.interval),
                        &ms(s.timeout),
                        &ms(s.slow_after),
                        &ms(s.tries_take),
                        &(s.beat + since_then),
                    ],
                )
                .unwrap();
            let Some(newest) = &state.newest else { continue };
            let error =
                newest.failure.map(|failure| format!("{failure}: <b>raw & secret</b>, after 2 tries"));
            transaction
                .execute(
                    "INSERT INTO service_checks (service_id, timestamp, status, response_time, status_code, error)
                     VALUES ($1, $2, $3, $4, $5, $6)",
                    &[
                        &s.id,
                        &(newest.timestamp + since_then),
                        &newest.status.as_str(),
                        &newest.response_time_ms,
                        &newest.status_code,
                        &error,
                    ],
                )
                .unwrap();
        }
        transaction.execute("UPDATE status_services_file SET revision = revision + 1", &[]).unwrap();
        transaction.commit().unwrap();
    }
}
