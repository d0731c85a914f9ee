//! What systemd is told by a running api, and what ends its patience.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use shared::testing::{
    Cluster, Database,
    systemd::{Halted, Notified},
};

use crate::{
    api::{Api, heartbeat, publish_service},
    clients::listen,
};

fn start(notified: &Notified, database_url: Option<&str>, watchdog: Option<Duration>) -> Api {
    let mut command = Command::new(env!("CARGO_BIN_EXE_status-api"));
    command.args(["--listen", "127.0.0.1:0"]).env_clear().env("NOTIFY_SOCKET", notified.path());
    if let Some(url) = database_url {
        command.env("DATABASE_URL", url);
    }
    if let Some(watchdog) = watchdog {
        command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
    }
    Api::of(command.stdin(Stdio::null()))
}

const OFTEN: Option<Duration> = Some(Duration::from_millis(600));

#[test]
fn it_is_told_when_the_api_is_ready_what_it_serves_and_when_it_ends() {
    let database = Database::migrated();
    let mut client = database.connect();
    heartbeat(&mut client, "-1 hour");
    publish_service(&mut client, "main", 0);
    let notified = Notified::listen();
    let mut api = start(&notified, Some(&database.url), OFTEN);
    assert_eq!(notified.next(), "READY=1\n");
    let status = notified.next_with("STATUS=serving 1 service as of ");
    assert!(status.ends_with(" UTC; 0 pages listening\n"), "{status}");
    notified.next_with("WATCHDOG=1");
    let _stream = listen(&api, &[]);
    notified.next_with("; 1 page listening");
    client.batch_execute("DROP TABLE status_probers, status_services CASCADE").unwrap();
    notified.next_with("STATUS=not ready: ");
    api.signal("TERM");
    notified.next_with("STOPPING=1");
    assert!(api.wait().success());
}

#[test]
fn without_a_watchdog_nothing_is_fed_and_without_a_database_it_says_so() {
    let notified = Notified::listen();
    let _api = start(&notified, None, None);
    notified.next_with("STATUS=not ready: DATABASE_URL is not set; serving 0 services as of ");
    notified.silence("WATCHDOG", Duration::from_secs(2));
}

#[test]
fn while_a_worker_or_the_publisher_stands_still_the_watchdog_is_not_fed() {
    let notified = Notified::listen();
    let api = start(&notified, None, OFTEN);
    for part in ["actix-rt", "publisher"] {
        notified.next_with("WATCHDOG=1");
        let halted = Halted::threads(api.process(), part);
        // All workers but one answer.
        notified.silence("WATCHDOG", Duration::from_secs(3));
        api.logged("stands still");
        drop(halted);
        notified.next_with("WATCHDOG=1");
    }
    assert_eq!(api.get("/status").status, 200);
}

#[test]
fn a_frozen_database_is_no_reason_to_end_the_api() {
    let cluster = Cluster::start(&[]);
    let database = cluster.encoded("UTF8");
    let notified = Notified::listen();
    let api = start(&notified, Some(&database.url), OFTEN);
    notified.next_with("STATUS=serving");
    let _frozen = cluster.freeze();
    notified.next_with("STATUS=not ready: ");
    notified.next_with("WATCHDOG=1");
    notified.next_with("WATCHDOG=1");
    assert_eq!(api.get("/status").status, 200);
}
