//! What a request costs beside nginx, which serves a file of the same bytes: interleaved pairs, while fifty
//! checks a second arrive and the bytes change each second. Both have one processor, and the other is shared by wrk and
//! PostgreSQL. Then what the api weighs after a minute of load.
//! Run with `cargo build --release && cargo bench -p api --bench serving` (`-- ROWS` for another history than ten
//! thousand checks); needs what `deploy/packages --apt "nginx wrk"` installs.
// A benchmark writes what the api reads.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::print_stdout)]

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{JoinHandle, sleep},
    time::{Duration, Instant},
};

use postgres::{Client, NoTls};
use shared::testing::{Cluster, eventually, free_port, migrate};
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
    services: usize,
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
    /// Of the server's processor time, publishing included: it tells more where others use the machine too.
    request_us: f64,
    /// Nothing, or what went wrong.
    errors: String,
}

fn main() {
    let rows = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(10_000);
    println!("{}", machine());
    pin_this_process();
    let cluster = Cluster::start(&[]);
    for case in CASES {
        compare(&cluster, &case, rows);
    }
    for services in [50, 10_000] {
        weigh(&cluster, services, rows);
    }
}

fn compare(cluster: &Cluster, case: &Case, rows: usize) {
    let monitored = Monitored::start(cluster, case.services, rows);
    let api = Api::start(&monitored.url);
    api.shows(case.services);
    let body = api.get(case.path, case.encoding).1;
    let nginx = Nginx::start(case, &body);
    let mut pairs = Vec::new();
    for _ in 0..PAIRS {
        let before = api.get(case.path, case.encoding).0;
        let ours = load(&api.process, &api.address, case.path, case.encoding, TURN);
        assert_ne!(api.get(case.path, case.encoding).0, before, "the bytes change");
        // It does not publish on nginx's processor.
        api.signal("STOP");
        let theirs = load(&nginx.process, &nginx.address, case.path, case.encoding, TURN);
        api.signal("CONT");
        sleep(Duration::from_secs(1));
        pairs.push((ours, theirs));
    }
    println!(
        "\nGET {} {}, {} services, {} bytes, {rows} rows, {CONNECTIONS} connections",
        case.path,
        case.encoding,
        case.services,
        body.len()
    );
    for (ours, theirs) in &pairs {
        println!("  ours {}   nginx {}", told(ours), told(theirs));
    }
    println!("  rate {}", ratios(&pairs, |measured| measured.per_second));
    println!("  p99  {}", ratios(&pairs, |measured| measured.p99_ms));
    println!("  processor per request {}", ratios(&pairs, |measured| measured.request_us));
    println!("  resident {:.1} MiB", api.mebibytes("VmRSS:"));
}

fn weigh(cluster: &Cluster, services: usize, rows: usize) {
    let monitored = Monitored::start(cluster, services, rows);
    let api = Api::start(&monitored.url);
    api.shows(services);
    let turn = WEIGHED_AFTER / 4;
    for (path, encoding) in
        [("/status", "identity"), ("/api/status", "identity"), ("/status", "gzip"), ("/api/status", "gzip")]
    {
        let measured = load(&api.process, &api.address, path, encoding, turn);
        println!(
            "{services} services, {path} {encoding}, {} bytes: {:.0}/s, resident {:.1} MiB, most {:.1} MiB{}",
            api.get(path, encoding).1.len(),
            measured.per_second,
            api.mebibytes("VmRSS:"),
            api.mebibytes("VmHWM:"),
            measured.errors
        );
    }
}

fn load(server: &Child, address: &str, path: &str, encoding: &str, time: Duration) -> Measured {
    let before = processor_seconds(server);
    let output = Command::new("wrk")
        .args(["-t1", "--latency", "--timeout", "30s"])
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

fn told(Measured { per_second, p99_ms, request_us, errors }: &Measured) -> String {
    format!("{per_second:>8.0}/s p99 {p99_ms:>6.2} ms {request_us:>5.1} µs{errors}")
}

/// The median of ours to theirs, and between which it lies.
fn ratios(pairs: &[(Measured, Measured)], of: impl Fn(&Measured) -> f64) -> String {
    let mut ratios: Vec<f64> = pairs.iter().map(|(ours, theirs)| of(ours) / of(theirs)).collect();
    ratios.sort_by(f64::total_cmp);
    format!(
        "ours/nginx: median {:.2} ({:.2}..{:.2})",
        ratios[ratios.len() / 2],
        ratios[0],
        ratios[ratios.len() - 1]
    )
}

/// A database with a history, to which checks are added.
struct Monitored {
    url: String,
    ended: Arc<AtomicBool>,
    prober: Option<JoinHandle<()>>,
}

impl Monitored {
    fn start(cluster: &Cluster, services: usize, rows: usize) -> Monitored {
        let url = cluster.url(&cluster.empty().name, "postgres");
        let mut client = Client::connect(&url, NoTls).unwrap();
        migrate(&mut client);
        fill(&mut client, services, rows);
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let prober = Some(std::thread::spawn(move || probe(&mut client, services, &end)));
        Monitored { url, ended, prober }
    }
}

impl Drop for Monitored {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        self.prober.take().into_iter().for_each(|prober| prober.join().unwrap());
    }
}

/// Services, and checks of them from forty days ago to now, one in a thousand of which failed.
fn fill(client: &mut Client, services: usize, rows: usize) {
    client
        .execute(
            "INSERT INTO status_services (id, position, name, group_name, link, interval_ms, timeout_ms,
                                          slow_after_ms, tries_take_ms, beat)
             SELECT 's' || n, n, 'Service ' || n, NULL, 'https://s' || n || '.example.org', 3600000, 10000, 5000,
                    22000, now()
             FROM generate_series(0, $1::int - 1) AS n",
            &[&(services as i32)],
        )
        .unwrap();
    client
        .execute(
            "INSERT INTO service_checks (service_id, timestamp, status, response_time, status_code)
             SELECT 's' || n % $1::int, now() - INTERVAL '40 days' * n / $2::int,
                    CASE WHEN n % 1000 = 0 THEN 'offline' ELSE 'online' END, 20 + n % 300, 200
             FROM generate_series(0, $2::int - 1) AS n",
            &[&(services as i32), &(rows as i32)],
        )
        .unwrap();
    client.batch_execute("UPDATE status_services_file SET revision = revision + 1; ANALYZE").unwrap();
}

/// One check after the other, each [`BEAT`] one, from service to service; and the heartbeat.
fn probe(client: &mut Client, services: usize, ended: &AtomicBool) {
    let began = Instant::now();
    for turn in 0u32.. {
        if ended.load(Ordering::Relaxed) {
            return;
        }
        let id = format!("s{}", turn as usize % services);
        client
            .execute(
                "INSERT INTO service_checks (service_id, timestamp, status, response_time, status_code)
                 VALUES ($1, clock_timestamp(), 'online', $2, 200)",
                &[&id, &(20 + (turn % 300) as i32)],
            )
            .unwrap();
        client
            .batch_execute(
                "INSERT INTO status_probers (id, version) VALUES ('00000000-0000-0000-0000-000000000001', 'bench')
                 ON CONFLICT (id) DO UPDATE SET heartbeat_at = clock_timestamp()",
            )
            .unwrap();
        sleep((began + BEAT * (turn + 1)).saturating_duration_since(Instant::now()));
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

    fn shows(&self, services: usize) {
        let last = format!("\"id\":\"s{}\"", services - 1);
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

    fn mebibytes(&self, key: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse::<f64>().ok());
        kib.unwrap() / 1024.0
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

fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1)).unwrap_or("?");
    let cores = std::thread::available_parallelism().unwrap();
    format!("{model}, {cores} cores, Linux {}", read("/proc/sys/kernel/osrelease").trim())
}
