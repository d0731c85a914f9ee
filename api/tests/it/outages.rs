//! The database stopped, killed, frozen or locked while visitors come all the time: no request fails, the page and
//! the JSON say as of when, figures go on ageing, and all is fresh again soon after its return.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use postgres::Client;
use serde_json::Value;
use shared::testing::{Cluster, Database, within};

use crate::api::{Api, check, heartbeat, publish_service};

/// Ten seconds without a read, and one to publish it and to be asked.
const MARKED_WITHIN: Duration = Duration::from_secs(11);
const FRESH_WITHIN: Duration = Duration::from_secs(5);

/// How a database goes away, and how it comes back.
type Outage = fn(&mut Cluster, &Database) -> Return;
type Return = Box<dyn FnOnce(&mut Cluster)>;

const OUTAGES: [(&str, Outage); 4] =
    [("stopped", stop), ("killed", kill), ("frozen", freeze), ("locked", lock)];

fn stop(cluster: &mut Cluster, _: &Database) -> Return {
    cluster.stop();
    Box::new(Cluster::start_again)
}

fn kill(cluster: &mut Cluster, _: &Database) -> Return {
    cluster.kill();
    Box::new(Cluster::start_again)
}

fn freeze(cluster: &mut Cluster, _: &Database) -> Return {
    let frozen = cluster.freeze();
    Box::new(|_| drop(frozen))
}

fn lock(_: &mut Cluster, database: &Database) -> Return {
    let mut locker = database.connect();
    let lock = "BEGIN; LOCK TABLE service_checks, status_services_file IN ACCESS EXCLUSIVE MODE";
    locker.batch_execute(lock).unwrap();
    Box::new(|_| drop(locker))
}

/// All at once, since each is a wait.
#[test]
fn however_the_database_goes_away_no_request_fails_and_figures_age_until_it_is_back() {
    std::thread::scope(|scope| {
        for (name, begin) in OUTAGES {
            let thread = std::thread::Builder::new().name(format!("a database that is {name}"));
            thread.spawn_scoped(scope, move || outage(begin)).unwrap();
        }
    });
}

/// From the begin of an outage to its end, a minute later under `./deploy/test --long`.
fn outage(begin: Outage) {
    // What is committed must outlive a kill.
    let mut cluster = Cluster::start(&["-c", "synchronous_commit=on"]);
    let database = cluster.empty();
    let mut client = database.connect();
    shared::testing::migrate(&mut client);
    // As if it had been heard in the future: it is not silent before the test is over.
    heartbeat(&mut client, "-1 hour");
    publish_service(&mut client, "main", 0);
    // Every second, tries of 4 s: stale after 7 s.
    client.batch_execute("UPDATE status_services SET interval_ms = 1000, tries_take_ms = 4000").unwrap();
    let api = Api::start(Some(&database.url), &[]);
    let load = Load::on(&api.address);

    check(&mut client, "main", "25 hours", "online");
    check(&mut client, "main", "23:59:45", "offline");
    check(&mut client, "main", "0 s", "online");
    drop(client);
    api.status_when("the checks", |status| {
        status["services"][0]["uptime"]["24h"] == 50.0 && status["services"][0]["status"] == "online"
    });
    let come_back = begin(&mut cluster, &database);
    let since = Instant::now();
    let away = is_marked(&api);
    figures_age(&api, &away);
    if std::env::var_os("STATUS_TEST_LONG").is_some() {
        std::thread::sleep(Duration::from_secs(60).saturating_sub(since.elapsed()));
    }

    come_back(&mut cluster);
    within(FRESH_WITHIN, "it is fresh", || {
        let status = api.status();
        status["source"] == "live" && status["as_of"] != away["as_of"] && api.get("/readyz").status == 200
    });
    is_followed(&api, &mut database.connect());
    load.finish();
}

/// The page, the JSON and `/readyz` say that the database is away; gives the JSON.
fn is_marked(api: &Api) -> Value {
    let mut away = Value::Null;
    within(MARKED_WITHIN, "it says that the database is away", || {
        away = api.status();
        away["source"] == "away" && api.get("/readyz").status == 503
    });
    assert_eq!(api.get("/healthz").status, 200);
    let page = api.get("/status").body;
    let notice = page.split("id=\"source\"").nth(1).unwrap().split("</p>").next().unwrap();
    assert!(!notice.starts_with(" hidden"), "{notice}");
    assert!(notice.contains(&away["as_of"].as_str().unwrap()[11..16]), "as of when: {notice}");
    away
}

/// What is known goes on to grow old, and is shown as of the last read.
fn figures_age(api: &Api, away: &Value) {
    let aged = api.status_when("stale, and what failed a day ago has left the window", |status| {
        let service = &status["services"][0];
        service["stale"] == true && service["uptime"]["24h"] == 100.0
    });
    let service = &aged["services"][0];
    assert_eq!((&service["status"], &service["last_status"]), (&"unknown".into(), &"online".into()));
    assert_eq!((&aged["source"], &aged["as_of"]), (&"away".into(), &away["as_of"]));
    assert_eq!(service["total_checks"], 3);
}

fn is_followed(api: &Api, client: &mut Client) {
    check(client, "main", "0 s", "degraded");
    within(FRESH_WITHIN, "a new check is shown", || {
        let status = api.status();
        status["services"][0]["status"] == "degraded" && status["services"][0]["total_checks"] == 4
    });
}

/// Visitors who ask for the page and the JSON all the time.
struct Load {
    over: Arc<AtomicBool>,
    visitors: Vec<JoinHandle<Result<u64, String>>>,
}

impl Load {
    fn on(address: &str) -> Load {
        let over = Arc::new(AtomicBool::new(false));
        let visitors = ["/status", "/api/status", "/status", "/api/status"].map(|path| {
            let (url, over) = (format!("{address}{path}"), Arc::clone(&over));
            std::thread::spawn(move || visit(&url, &over))
        });
        Load { over, visitors: visitors.into() }
    }

    /// Every request was answered.
    fn finish(self) {
        self.over.store(true, Ordering::Relaxed);
        for visitor in self.visitors {
            let answered = visitor.join().unwrap().unwrap();
            assert!(answered > 100, "{answered} answers only");
        }
    }
}

/// Asks again and again over one connection; the first request that fails ends it.
fn visit(url: &str, over: &AtomicBool) -> Result<u64, String> {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(5))).proxy(None).build().into();
    let mut answered = 0;
    while !over.load(Ordering::Relaxed) {
        let answer = agent.get(url).call().and_then(|mut answer| answer.body_mut().read_to_string());
        answer.map_err(|error| format!("{url}, after {answered} answers: {error}"))?;
        answered += 1;
        // Tests beside this one want the processor too.
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(answered)
}
