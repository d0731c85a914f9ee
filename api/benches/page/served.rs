//! A real status-api that shows ninety varied days, adopted, counted and summarised by the real prober.

use std::{
    fs,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use chrono::Utc;
use postgres::{Client, NoTls};
use shared::testing::{
    Cluster, Log,
    history::{self, History},
    within,
};

/// Long enough for ninety days, and for some hours before the first of them.
const DAYS: u64 = 91;
/// From one check of a service to its next.
const BEAT: Duration = Duration::from_secs(600);

/// The prober's own service, which nobody is shown.
const SERVICES_FILE: &str = "[[services]]\nid = 'own'\nname = 'own'\nurl = 'http://127.0.0.1:1/'\n";

/// Whether the response times of every hour that is over are summarised.
const SUMMARISED: &str = "
    SELECT COALESCE(bool_and(summarised OR hour >= date_trunc('hour', now() - INTERVAL '2 minutes')), FALSE)
    FROM status_rollups";

/// As upkeep does once a service was checked on the day after.
const PACK: &str = "SELECT status_pack(1000000)";

/// A running status-api, its database and its log; killed when dropped.
pub(crate) struct Served {
    pub(crate) process: Child,
    pub(crate) address: String,
    pub(crate) url: String,
    pub(crate) client: Client,
    log: Log,
}

impl Served {
    pub(crate) fn start(cluster: &Cluster, services: u32) -> Served {
        let url = cluster.url(&cluster.empty().name, "postgres");
        let mut client = Client::connect(&url, NoTls).unwrap();
        let checks = DAYS * 86_400 / BEAT.as_secs() * u64::from(services);
        let history = History { checks, services, beat: BEAT };
        history.copy(&mut client, Utc::now());
        history.index(&mut client);
        keep_up(&url, &mut client);
        client.batch_execute("DELETE FROM status_services; DELETE FROM status_probers").unwrap();
        history.publish(&mut client);
        (0..services).for_each(|n| history::add_check(&mut client, &History::id(n)));
        client.query_one(PACK, &[]).unwrap();
        let mut api = program("status-api", &url);
        let mut process =
            api.args(["--listen", "127.0.0.1:0"]).env("RUST_LOG", "info,api=debug").spawn().unwrap();
        let log = Log::of(process.stderr.take().unwrap());
        let address = log.line_with("listening on ").split("listening on ").nth(1).unwrap().to_owned();
        let served = Served { process, address, url, client, log };
        served.log.line_with(&format!(" {services} services rendered"));
        served
    }

    /// The address of the page.
    pub(crate) fn page(&self) -> String {
        format!("{}/status", self.address)
    }

    /// Records one check more of the n-th service, now.
    pub(crate) fn add_check(&mut self, n: u32) {
        history::add_check(&mut self.client, &History::id(n));
    }

    /// Of all its threads, in user and system mode.
    pub(crate) fn processor_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        // In hundredths of a second.
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
    }

    pub(crate) fn terminate(&self) {
        let sent = Command::new("kill").arg(self.process.id().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// Ends it, and gives all that it said.
    pub(crate) fn end(mut self) -> (ExitStatus, Vec<String>) {
        self.terminate();
        let ended = self.process.wait().unwrap();
        (ended, self.log.to_the_end())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Lets a prober adopt the history, and summarise its hours as it does when they are over.
fn keep_up(url: &str, client: &mut Client) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("services.toml");
    fs::write(&file, SERVICES_FILE).unwrap();
    let mut prober =
        program("status-prober", url).arg("--config").arg(file).env("RUST_LOG", "error").spawn().unwrap();
    within(Duration::from_secs(600), "every hour is summarised", || {
        client.query_one(SUMMARISED, &[]).is_ok_and(|row| row.get(0))
    });
    Command::new("kill").arg(prober.id().to_string()).status().unwrap();
    assert!(prober.wait().unwrap().success());
}

fn program(name: &str, url: &str) -> Command {
    let path = Path::new(env!("CARGO_BIN_EXE_status-api")).with_file_name(name);
    assert!(path.exists(), "{} is missing: cargo build --release", path.display());
    let mut command = Command::new(path);
    command.env_clear().env("DATABASE_URL", url).stdin(Stdio::null()).stderr(Stdio::piped());
    command
}
