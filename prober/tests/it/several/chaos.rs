//! Three probers, of whom one at a time is killed, frozen or cut off from the database, by chance. Who asked, and when,
//! the server wrote down.

use std::{
    collections::HashMap,
    fs, io,
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use percent_encoding::percent_decode_str;
use shared::testing::{Cluster, eventually};
use tempfile::TempDir;

use super::{SERVICES, services};
use crate::{
    daemon::{OK, count},
    process::{Daemon, Setup},
    servers::Server,
};

const INTERVAL: Duration = Duration::from_secs(2);
/// Who died is missed after 15 s, and looked for every 5.
const UNCHECKED: Duration = Duration::from_secs(30);
/// Two checks of a service this close are one turn.
const ONE_TURN: Duration = Duration::from_millis(900);

/// When each service was asked for, and by which prober.
type Asked = Arc<Mutex<HashMap<String, Vec<(Instant, String)>>>>;

/// One of the three, with a way to the database that can be cut.
struct Prober {
    setup: Setup,
    way: Way,
    name: &'static str,
    daemon: Daemon,
}

/// What a prober is made to suffer, and until when it may check beside its substitute.
struct Fault {
    whom: &'static str,
    began: Instant,
    over: Instant,
}

impl Prober {
    fn start(text: &str, name: &'static str, url: &str) -> Prober {
        let (setup, way) = (Setup::of(text), Way::to(url));
        let daemon = run(&setup, &way, name);
        Prober { setup, way, name, daemon }
    }

    fn is_killed_for(&mut self, pause: Duration) {
        self.daemon.kill();
        thread::sleep(pause);
        self.daemon = run(&self.setup, &self.way, self.name);
    }

    fn is_frozen_for(&self, pause: Duration) {
        self.daemon.freeze();
        thread::sleep(pause);
        self.daemon.thaw();
    }

    fn is_cut_off_for(&self, pause: Duration) {
        self.way.cut();
        thread::sleep(pause);
        self.way.heal();
    }
}

fn run(setup: &Setup, way: &Way, name: &str) -> Daemon {
    let mut command = setup.command(&["run"]);
    command.arg("--state-dir").arg(setup.state_dir());
    command.env("DATABASE_URL", &way.url).env("PROBER", name);
    Daemon::start(command)
}

/// A socket that leads to the database's.
struct Way {
    url: String,
    is_cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<UnixStream>>>,
    _folder: TempDir,
}

impl Way {
    fn to(url: &str) -> Way {
        let folder = tempfile::tempdir().unwrap();
        let encoded = url.split(['@', ':', '/']).nth(4).unwrap();
        let database = percent_decode_str(encoded).decode_utf8().unwrap();
        let target = fs::read_dir(&*database).unwrap().map(|entry| entry.unwrap().path());
        let target = target.into_iter().find(|path| is_socket(path)).unwrap();
        let listener = UnixListener::bind(folder.path().join(target.file_name().unwrap())).unwrap();
        let (is_cut, open) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let url = url.replace(encoded, &folder.path().to_str().unwrap().replace('/', "%2F"));
        let (cut, streams) = (Arc::clone(&is_cut), Arc::clone(&open));
        thread::spawn(move || {
            for near in listener.incoming().map(Result::unwrap) {
                if !cut.load(Ordering::SeqCst) {
                    let far = UnixStream::connect(&target).unwrap();
                    streams.lock().unwrap().extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
                    carry(&near, &far);
                    carry(&far, &near);
                }
            }
        });
        Way { url, is_cut, open, _folder: folder }
    }

    fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        for stream in self.open.lock().unwrap().drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    fn heal(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
    }
}

fn is_socket(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    name.starts_with(".s.PGSQL.") && !name.ends_with(".lock")
}

fn carry(from: &UnixStream, to: &UnixStream) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    thread::spawn(move || {
        io::copy(&mut from, &mut to).ok();
        to.shutdown(Shutdown::Both).ok();
    });
}

/// Numbers by chance, the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

fn writing_down(asked: &Asked) -> Server {
    let asked = Arc::clone(asked);
    Server::answering(move |_, head| {
        let path = head.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with("x-prober:")).unwrap();
        let who = line.split(' ').nth(1).unwrap().trim().to_owned();
        asked.lock().unwrap().entry(path).or_default().push((Instant::now(), who));
        OK.into()
    })
}

/// A services file of which each request says who asks.
fn told_by_whom(server: &Server) -> String {
    services(server, SERVICES).replace("name =", "headers = { X-Prober = \"${PROBER}\" }\nname =")
}

/// Pairs of checks of one turn, by two of whom neither was cut off then, with the time since the start.
fn doubled(asked: &HashMap<String, Vec<(Instant, String)>>, cuts: &[Fault], start: Instant) -> Vec<String> {
    let mut doubled = Vec::new();
    for (service, times) in asked {
        for pair in times.windows(2) {
            let [(first, one), (second, other)] = pair else { unreachable!() };
            let excused = |cut: &Fault| {
                (cut.whom == one || cut.whom == other) && *second > cut.began && *first < cut.over
            };
            if one != other && *second - *first < ONE_TURN && !cuts.iter().any(excused) {
                let (at, later) = (*first - start, *second - *first);
                doubled.push(format!("{service}: {one} at {at:.1?}, {later:.3?} later {other}"));
            }
        }
    }
    doubled
}

#[test]
fn whoever_is_killed_frozen_or_cut_off_nothing_is_unchecked_for_long_and_nothing_doubled() {
    let seed = std::env::var("STATUS_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("STATUS_TEST_SEED={seed}");
    let (mut chance, asked) = (Chance(seed), Asked::default());
    let text = told_by_whom(&writing_down(&asked));
    let cluster = Cluster::start(&[]);
    let name = cluster.empty().name;
    let url = cluster.url(&name, "postgres");
    let first = Prober::start(&text, "a", &url);
    first.daemon.logged("s11: unknown -> online");
    let mut probers = [first, Prober::start(&text, "b", &url), Prober::start(&text, "c", &url)];
    probers[2].daemon.logged("3 probers share the services: ");

    let start = Instant::now();
    let end = start + Duration::from_secs(if super::long() { 600 } else { 40 });
    let (mut kills, mut cuts) = (0, Vec::new());
    while Instant::now() < end {
        let prober = &mut probers[chance.below(3) as usize];
        let pause = Duration::from_millis(500 + chance.below(30_000));
        let began = Instant::now();
        let what = chance.below(3);
        let said = ["killed", "frozen", "cut off"][what as usize];
        println!("{:.1?}: {} {said} for {pause:?}", began - start, prober.name);
        match what {
            0 => {
                kills += 1;
                prober.is_killed_for(pause);
            }
            1 => prober.is_frozen_for(pause),
            _ => {
                prober.is_cut_off_for(pause);
                prober.daemon.then_logged("Checks go on, ");
                prober.daemon.then_logged("database: connected");
                let over = Instant::now() + Duration::from_secs(2);
                cuts.push(Fault { whom: prober.name, began, over });
            }
        }
        thread::sleep(Duration::from_millis(5_000 + chance.below(20_000)));
    }
    let before = asked.lock().unwrap().values().map(Vec::len).sum::<usize>();
    eventually("checks go on", || {
        asked.lock().unwrap().values().map(Vec::len).sum::<usize>() > before + 3 * SERVICES
    });
    let ended = Instant::now();
    for prober in &mut probers {
        assert_eq!(prober.daemon.stop().code(), Some(0));
        println!("{}:\n{}", prober.name, prober.daemon.rest_of_log().join("\n"));
    }

    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), SERVICES);
    for (service, times) in asked.iter() {
        let times: Vec<Instant> = times.iter().map(|(at, _)| *at).chain([ended]).collect();
        let longest = times.windows(2).map(|pair| pair[1].saturating_duration_since(pair[0])).max().unwrap();
        assert!(longest < INTERVAL + UNCHECKED, "{service}: {longest:?}");
    }
    assert_eq!(doubled(&asked, &cuts, start), [""; 0]);
    // A kill costs what was on its way, and one flush.
    let missing = asked.values().map(Vec::len).sum::<usize>() as i64
        - count(&mut cluster.connect(&name), "service_checks");
    assert!((0..=kills * SERVICES as i64).contains(&missing), "{missing}");
}

/// One of three is frozen until the others have taken over, and thawed a moment after they took a turn of all.
fn no_turn_is_taken_again_by_one_that_was_frozen(meanwhile: impl FnOnce(&mut [Prober; 3]), left: &str) {
    let asked = Asked::default();
    let text = told_by_whom(&writing_down(&asked));
    let cluster = Cluster::start(&[]);
    let url = cluster.url(&cluster.empty().name, "postgres");
    let first = Prober::start(&text, "a", &url);
    first.daemon.logged("s11: unknown -> online");
    let mut probers = [first, Prober::start(&text, "b", &url), Prober::start(&text, "c", &url)];
    for prober in &probers {
        prober.daemon.then_logged("3 probers share the services: ");
    }
    let start = Instant::now();
    probers[2].daemon.freeze();
    meanwhile(&mut probers);
    probers[0].daemon.then_logged(left);
    let turns = || asked.lock().unwrap().values().map(Vec::len).min().unwrap();
    let before = turns();
    eventually("the others take its turns", || turns() >= before + 2);
    probers[2].daemon.thaw();
    probers[0].daemon.then_logged(" probers share the services: ");
    drop(probers);
    assert_eq!(doubled(&asked.lock().unwrap(), &[], start), [""; 0]);
}

/// That it can't ask at once is no leave to go on as before.
#[test]
fn who_stood_still_and_lost_the_connection_asks_before_it_takes_a_turn() {
    let cut = |probers: &mut [Prober; 3]| {
        probers[2].way.cut();
        probers[2].way.heal();
    };
    no_turn_is_taken_again_by_one_that_was_frozen(cut, "2 probers share the services: ");
}

/// What is its own by the members that are left was somebody's all the same.
#[test]
fn who_stood_still_while_another_died_asks_before_it_takes_a_turn() {
    let kill = |probers: &mut [Prober; 3]| probers[1].daemon.kill();
    no_turn_is_taken_again_by_one_that_was_frozen(kill, "no other prober is there: all 12");
}
