//! What a request costs beside nginx, which serves a file of the same bytes: interleaved pairs, while fifty
//! checks a second arrive and the bytes change each second. Both have one processor, and the other is shared by wrk and
//! PostgreSQL. Then what the api weighs after a minute of load.
//! Run with `cargo build --release && cargo bench -p api --bench serving` (`-- CHECKS` for another history than ten
//! thousand checks; `-- writers` for five minutes beside two writers at full speed, and whether a count was lost);
//! needs what `deploy/packages --apt "nginx wrk"` installs.
// A benchmark writes what the api reads.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::print_stdout)]

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{JoinHandle, sleep},
    time::{Duration, Instant},
};

use chrono::Utc;
use postgres::{Client, NoTls};
use shared::testing::{
    Cluster,
    bench::{Figures, machine, resident_mib},
    eventually, free_port,
    history::{History, add_check},
    migrate,
};
use tempfile::TempDir;

const PAIRS: usize = 5;
/// Of one server in one pair.
const TURN: Duration = Duration::from_secs(5);
const CONNECTIONS: usize = 64;
/// How long the api is under load before it is weighed.
const WEIGHED_AFTER: Duration = Duration::from_secs(60);

/// Fifty checks a second.
const BEAT: Duration = Duration::from_millis(20);

/// The processor of the api and of nginx, and that of everybody else.
const SERVERS: &str = "0";
const OTHERS: &str = "1";

/// What is asked for, and how.
struct Case {
    services: u32,
    path: &'static str,
    encoding: &'static str,
}

const CASES: [Case; 3] = [
    Case { services: 50, path: "/api/status", encoding: "identity" },
    Case { services: 100, path: "/status", encoding: "identity" },
    Case { services: 100, path: "/status", encoding: "br" },
];

/// What wrk measured in one turn.
struct Measured {
    per_second: f64,
    p99_ms: f64,
    p999_ms: f64,
    /// Of the server's processor time, publishing included: it tells more where others use the machine too.
    request_us: f64,
    /// Nothing, or what went wrong.
    errors: String,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let checks = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(10_000);
    println!("{}", machine());
    pin_this_process();
    let cluster = Cluster::start(&[]);
    if arguments.iter().any(|argument| argument == "writers") {
        return beside_writers(&cluster, checks);
    }
    for case in CASES {
        let history = History { checks, services: case.services, beat: Duration::from_secs(60) };
        compare(&cluster, &case, history);
    }
    for services in [50, 10_000] {
        // Hours enough to fill the longest window.
        let history =
            History { checks: u64::from(services) * 750, services, beat: Duration::from_secs(3600) };
        weigh(&cluster, history);
    }
}

fn compare(cluster: &Cluster, case: &Case, history: History) {
    let monitored = Monitored::start(cluster, history, &[probe]);
    let (api, nginx) = servers(&monitored, case);
    let pairs = pairs(&api, &nginx, case, PAIRS, TURN);
    println!(
        "\nGET {} {}, {} services, {} checks, {CONNECTIONS} connections",
        case.path, case.encoding, case.services, history.checks
    );
    show(&pairs);
    println!("  resident {:.1} MiB", resident_mib(api.process.id()));
}

fn servers(monitored: &Monitored, case: &Case) -> (Api, Nginx) {
    let api = Api::start(&monitored.url);
    api.shows(case.services);
    let body = api.get(case.path, case.encoding).1;
    println!("\n{} bytes", body.len());
    (api, Nginx::start(case, &body))
}

fn pairs(api: &Api, nginx: &Nginx, case: &Case, count: usize, turn: Duration) -> Vec<(Measured, Measured)> {
    let pair = |_| {
        let before = api.get(case.path, case.encoding).0;
        let ours = load(&api.process, &api.address, case.path, case.encoding, turn);
        assert_ne!(api.get(case.path, case.encoding).0, before, "the bytes change");
        // It does not publish on nginx's processor.
        api.signal("STOP");
        let theirs = load(&nginx.process, &nginx.address, case.path, case.encoding, turn);
        api.signal("CONT");
        sleep(Duration::from_secs(1));
        (ours, theirs)
    };
    (0..count).map(pair).collect()
}

fn show(pairs: &[(Measured, Measured)]) {
    for (ours, theirs) in pairs {
        println!("  ours {}   nginx {}", told(ours), told(theirs));
    }
    let ratio = |of: fn(&Measured) -> f64| {
        Figures::new(pairs.iter().map(|(ours, theirs)| of(ours) / of(theirs)).collect())
    };
    println!("  ours/nginx: rate {}, p99 {}", ratio(|m| m.per_second), ratio(|m| m.p99_ms));
    println!("  ours/nginx: p99.9 {}, processor {}", ratio(|m| m.p999_ms), ratio(|m| m.request_us));
}

fn weigh(cluster: &Cluster, history: History) {
    let services = history.services;
    let monitored = Monitored::start(cluster, history, &[probe]);
    let api = Api::start(&monitored.url);
    api.shows(services);
    let turn = WEIGHED_AFTER / 4;
    for (path, encoding) in
        [("/status", "identity"), ("/api/status", "identity"), ("/status", "gzip"), ("/api/status", "gzip")]
    {
        let measured = load(&api.process, &api.address, path, encoding, turn);
        println!(
            "{services} services, {path} {encoding}, {} bytes: {:.0}/s, resident {:.1} MiB{}",
            api.get(path, encoding).1.len(),
            measured.per_second,
            resident_mib(api.process.id()),
            measured.errors
        );
    }
}

/// Five minutes of requests beside two writers that write the same services in opposite orders.
fn beside_writers(cluster: &Cluster, checks: u64) {
    let [case, ..] = CASES;
    let history = History { checks, services: case.services, beat: Duration::from_secs(60) };
    let monitored = Monitored::start(cluster, history, &[write_up, write_down]);
    let (api, nginx) = servers(&monitored, &case);
    let pairs = pairs(&api, &nginx, &case, 10, Duration::from_secs(15));
    println!("\nGET {} beside two writers, {CONNECTIONS} connections", case.path);
    show(&pairs);
    let url = monitored.url.clone();
    drop(monitored);
    let counted =
        "SELECT (SELECT count(*) FROM service_checks), (SELECT sum(total)::bigint FROM status_rollups),
                          (SELECT sum(total)::bigint FROM status_totals)";
    let row = Client::connect(&url, NoTls).unwrap().query_one(counted, &[]).unwrap();
    let (raw, rollups, totals): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    println!("{raw} checks at the end, counted by the hour {rollups}, in all {totals}");
    assert_eq!((raw, raw), (rollups, totals), "a count was lost");
    eventually("the api shows every one", || {
        let status = String::from_utf8(api.get("/api/status", "identity").1).unwrap();
        let totals = status.split("\"total_checks\":").skip(1);
        totals.map(|rest| rest.split(',').next().unwrap().parse::<i64>().unwrap()).sum::<i64>() == raw
    });
}

/// What wrk does not say by itself.
const REPORT: &str =
    "done = function(_, latency, _) io.write('99.9% ', latency:percentile(99.9) / 1000, '\\n') end";

fn load(server: &Child, address: &str, path: &str, encoding: &str, time: Duration) -> Measured {
    let before = processor_seconds(server);
    let mut report = tempfile::NamedTempFile::new().unwrap();
    report.write_all(REPORT.as_bytes()).unwrap();
    let output = Command::new("wrk")
        .args(["-t1", "--latency", "--timeout", "30s", "-s"])
        .arg(report.path())
        .args(["-c", &CONNECTIONS.to_string(), "-d", &format!("{}s", time.as_secs())])
        .args(["-H", &format!("Accept-Encoding: {encoding}"), &format!("{address}{path}")])
        .output()
        .unwrap_or_else(|error| panic!("wrk: {error}; deploy/packages --apt wrk installs it"));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!said.contains("Non-2xx"), "{said}");
    let after = |label: &str| {
        let line = said.lines().find_map(|line| line.trim().strip_prefix(label));
        line.unwrap_or_else(|| panic!("no {label} in {said}")).trim().to_owned()
    };
    let errors = said.lines().find(|line| line.contains("Socket errors")).unwrap_or_default().to_owned();
    let requests =
        said.lines().find_map(|line| line.split_once(" requests in")?.0.trim().parse::<f64>().ok());
    Measured {
        per_second: after("Requests/sec:").parse().unwrap(),
        p99_ms: milliseconds(&after("99%")),
        p999_ms: after("99.9%").parse().unwrap(),
        request_us: (processor_seconds(server) - before) * 1e6 / requests.unwrap(),
        errors,
    }
}

/// Of all its threads, in user and system mode.
fn processor_seconds(server: &Child) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // In hundredths of a second.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// What wrk writes as `1.94ms`, `812.00us` or `1.20s`.
fn milliseconds(text: &str) -> f64 {
    let (number, factor) = [("us", 0.001), ("ms", 1.0), ("s", 1_000.0)]
        .into_iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))
        .unwrap();
    number.parse::<f64>().unwrap() * factor
}

fn told(Measured { per_second, p99_ms, p999_ms, request_us, errors }: &Measured) -> String {
    format!("{per_second:>8.0}/s p99 {p99_ms:>6.2} p99.9 {p999_ms:>6.2} ms, {request_us:>5.1} µs{errors}")
}

/// A database with a history, to which checks are added.
struct Monitored {
    url: String,
    ended: Arc<AtomicBool>,
    writers: Vec<JoinHandle<()>>,
}

type Writer = fn(&mut Client, u32, &AtomicBool);

impl Monitored {
    /// The writers write until it is dropped.
    fn start(cluster: &Cluster, history: History, writers: &[Writer]) -> Monitored {
        let url = cluster.url(&cluster.empty().name, "postgres");
        let mut client = Client::connect(&url, NoTls).unwrap();
        history.copy(&mut client, Utc::now());
        history.index(&mut client);
        migrate(&mut client);
        history.publish(&mut client);
        client.batch_execute("ANALYZE").unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let start = |writer: &Writer| {
            let (writer, ended) = (*writer, Arc::clone(&ended));
            let mut client = Client::connect(&url, NoTls).unwrap();
            std::thread::spawn(move || writer(&mut client, history.services, &ended))
        };
        let writers = writers.iter().map(start).collect();
        Monitored { url, ended, writers }
    }
}

impl Drop for Monitored {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        self.writers.drain(..).for_each(|writer| writer.join().unwrap());
    }
}

/// One check after the other, each [`BEAT`] one, from service to service.
fn probe(client: &mut Client, services: u32, ended: &AtomicBool) {
    let began = Instant::now();
    for turn in 0u32.. {
        if ended.load(Ordering::Relaxed) {
            return;
        }
        add_check(client, &History::id(turn % services));
        sleep((began + BEAT * (turn + 1)).saturating_duration_since(Instant::now()));
    }
}

fn write_up(client: &mut Client, services: u32, ended: &AtomicBool) {
    write(client, &(0..services).map(History::id).collect::<Vec<_>>(), ended);
}

fn write_down(client: &mut Client, services: u32, ended: &AtomicBool) {
    write(client, &(0..services).rev().map(History::id).collect::<Vec<_>>(), ended);
}

/// Batches of 500 checks as fast as they go.
fn write(client: &mut Client, ids: &[String], ended: &AtomicBool) {
    let batch: Vec<&String> = ids.iter().cycle().take(500).collect();
    while !ended.load(Ordering::Relaxed) {
        client
            .execute(
                "INSERT INTO service_checks (service_id, timestamp, status, response_time, status_code)
                 SELECT id, clock_timestamp(), 'online', 143, 200 FROM unnest($1::text[]) AS id",
                &[&batch],
            )
            .unwrap();
    }
}

struct Api {
    process: Child,
    address: String,
}

impl Api {
    fn start(url: &str) -> Api {
        let program = Path::new(env!("CARGO_BIN_EXE_status-api"));
        let port = free_port();
        let mut command = server();
        command.arg(program).args(["--listen", &format!("127.0.0.1:{port}")]);
        let command = command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        let process = command.env("DATABASE_URL", url).env("RUST_LOG", "warn").spawn().unwrap();
        Api { process, address: listening(port) }
    }

    fn shows(&self, services: u32) {
        let last = format!("\"id\":\"{}\"", History::id(services - 1));
        eventually("every service is shown", || {
            String::from_utf8(self.get("/api/status", "identity").1).unwrap().contains(&last)
        });
    }

    /// The tag and the bytes as they come.
    fn get(&self, path: &str, encoding: &str) -> (String, Vec<u8>) {
        let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
        let request = agent.get(format!("{}{path}", self.address)).header("Accept-Encoding", encoding);
        let mut answer = request.call().unwrap();
        let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
        (tag, answer.body_mut().with_config().limit(u64::MAX).read_to_vec().unwrap())
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// nginx as fast as it goes: the bytes as a plain file, which it keeps open.
struct Nginx {
    process: Child,
    address: String,
    _folder: TempDir,
}

impl Nginx {
    fn start(case: &Case, body: &[u8]) -> Nginx {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let at = folder.path().display();
        let file = folder.path().join(case.path.trim_start_matches('/'));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, body).unwrap();
        let (kind, coding) = match (case.path, case.encoding) {
            ("/status", "identity") => ("text/html", ""),
            ("/status", _) => ("text/html", "add_header Content-Encoding br;"),
            _ => ("application/json", ""),
        };
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {at}/{kind};\n"))
            .concat();
        let text = format!(
            "daemon off; master_process off; worker_processes 1; pid {at}/pid; error_log {at}/log;
             events {{ worker_connections 512; }}
             http {{
                 access_log off; sendfile on; keepalive_requests 100000000; open_file_cache max=10 inactive=1h;
                 open_file_cache_valid 1h; default_type {kind};
                 {temporary}
                 server {{
                     listen 127.0.0.1:{port}; root {at};
                     add_header Cache-Control public,max-age=1; add_header Vary Accept-Encoding; {coding}
                 }}
             }}"
        );
        let configuration = folder.path().join("nginx.conf");
        fs::write(&configuration, text).unwrap();
        let mut command = server();
        command.args(["nginx", "-e"]).arg(folder.path().join("log")).arg("-c").arg(configuration);
        let process = command.spawn().unwrap();
        Nginx { process, address: listening(port), _folder: folder }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// A command on the servers' processor.
fn server() -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", SERVERS]).stdin(Stdio::null());
    command
}

/// This process, and PostgreSQL and wrk, which it starts, leave the servers' processor to them.
fn pin_this_process() {
    let pid = std::process::id().to_string();
    let pinned = Command::new("taskset").args(["-cp", OTHERS, &pid]).stdout(Stdio::null()).status().unwrap();
    assert!(pinned.success(), "this needs two processors");
}

fn listening(port: u16) -> String {
    eventually("the server listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    format!("http://127.0.0.1:{port}")
}
