//! Both programs with 500 services every 10 s for five minutes: is every turn kept and recorded, and what do they
//! weigh? Run with `cargo build --release && cargo bench -p prober --bench turns` (`-- SERVICES MINUTES` for others).
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{
    fmt::Write as _,
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use shared::testing::{Cluster, free_port};

const INTERVAL: Duration = Duration::from_secs(10);

/// When each request came in, by the number in its path.
type Seen = Arc<Mutex<Vec<Vec<Instant>>>>;

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let (services, minutes) = (numbers.first().copied().unwrap_or(500), numbers.get(1).copied().unwrap_or(5));
    let (address, seen) = target(services);
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(&[]);
    let url = cluster.url(&cluster.empty().name, "postgres");

    let few = [start_prober(&folder, &address, 5, &url), start_api(&url)];
    std::thread::sleep(Duration::from_secs(15));
    let idle = few.each_ref().map(resident_mib);
    few.into_iter().for_each(end);
    seen.lock().unwrap().iter_mut().for_each(Vec::clear);

    let began = Instant::now();
    let many = [start_prober(&folder, &address, services, &url), start_api(&url)];
    std::thread::sleep(Duration::from_secs(60 * minutes as u64));
    let loaded = many.each_ref().map(resident_mib);
    let processor = many.each_ref().map(processor_seconds);
    many.into_iter().for_each(end);
    let wall = began.elapsed();

    let seen = seen.lock().unwrap();
    let checks: usize = seen.iter().map(Vec::len).sum();
    let recorded = connect(&url)
        .query_one(
            "SELECT count(*) FROM service_checks WHERE timestamp >= now() - $1::text::interval",
            &[&format!("{} s", wall.as_secs_f64())],
        )
        .unwrap();
    let late = lateness(&seen);
    let due: usize = seen.iter().map(|turns| turns_due(turns, began + wall)).sum();
    println!(
        "{services} services every {INTERVAL:?} for {minutes} min on {} processors",
        std::thread::available_parallelism().unwrap()
    );
    println!("turns due {due}, checks seen by the target {checks}, recorded {}", recorded.get::<_, i64>(0));
    println!(
        "start off the beat at the target: p50 {:?}, p99 {:?}, most {:?}",
        late[late.len() / 2],
        late[late.len() * 99 / 100],
        late[late.len() - 1]
    );
    println!(
        "resident MiB: status-prober {:.1} with 5 services, {:.1} here; status-api {:.1}, {:.1}",
        idle[0], loaded[0], idle[1], loaded[1]
    );
    println!(
        "processor seconds: status-prober {:.1}, status-api {:.1} of {:.0} s",
        processor[0],
        processor[1],
        wall.as_secs_f64()
    );
    assert!(checks >= due, "a turn was missed");
}

fn target(services: usize) -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let seen: Seen = Arc::new(Mutex::new(vec![Vec::new(); services]));
    let log = Arc::clone(&seen);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let at = Instant::now();
            let mut head = [0; 1024];
            let length = stream.read(&mut head).unwrap_or(0);
            let path = String::from_utf8_lossy(&head[..length]);
            if let Some(n) =
                path.split('/').nth(1).and_then(|rest| rest.split(' ').next()?.parse::<usize>().ok())
            {
                log.lock().unwrap()[n].push(at);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok();
        }
    });
    (address, seen)
}

fn start_prober(folder: &tempfile::TempDir, address: &str, services: usize, url: &str) -> Child {
    let mut text = format!("interval = \"{}s\"\ntimeout = \"4s\"\n", INTERVAL.as_secs());
    for n in 0..services {
        write!(text, "[[services]]\nid = \"s{n}\"\nname = \"Service {n}\"\nurl = \"http://{address}/{n}\"\n")
            .unwrap();
    }
    let file = folder.path().join("services.toml");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_status-prober"));
    command.arg("run").arg("--config").arg(file);
    start(command, url)
}

fn start_api(url: &str) -> Child {
    let program = Path::new(env!("CARGO_BIN_EXE_status-prober")).with_file_name("status-api");
    assert!(program.exists(), "{} is missing: cargo build --release", program.display());
    let mut command = Command::new(program);
    command.arg("--listen").arg(format!("127.0.0.1:{}", free_port()));
    start(command, url)
}

fn start(mut command: Command, url: &str) -> Child {
    command.env_clear().env("DATABASE_URL", url).env("RUST_LOG", "warn").stdin(Stdio::null()).spawn().unwrap()
}

fn end(mut child: Child) {
    Command::new("kill").arg(child.id().to_string()).status().unwrap();
    child.wait().unwrap();
}

fn connect(url: &str) -> postgres::Client {
    postgres::Client::connect(url, postgres::NoTls).unwrap()
}

fn resident_mib(child: &Child) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap() / 1024.0
}

fn processor_seconds(child: &Child) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // utime and stime, in hundredths of a second.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// How far each request lay from its service's beat, sorted. The first sets the beat.
fn lateness(seen: &[Vec<Instant>]) -> Vec<Duration> {
    let mut late: Vec<Duration> = seen
        .iter()
        .filter_map(|turns| Some((turns.first()?, turns)))
        .flat_map(|(first, turns)| {
            turns.iter().zip(0..).map(move |(at, n)| {
                at.saturating_duration_since(*first + INTERVAL * n)
                    .max((*first + INTERVAL * n).saturating_duration_since(*at))
            })
        })
        .collect();
    late.sort();
    late
}

/// The turns that lie between a service's first and the end, but for one that the end may have cut off.
fn turns_due(turns: &[Instant], end: Instant) -> usize {
    let first = turns.first().copied().unwrap_or(end);
    ((end - Duration::from_secs(6)).saturating_duration_since(first).as_secs() / INTERVAL.as_secs()) as usize
        + 1
}
