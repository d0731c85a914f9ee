//! For tests only: a private PostgreSQL, started by the same `deploy/postgres` as `./deploy/run` uses, and a
//! fresh database per test. Nothing here is part of a program. Failures panic: a test can't go on without.

pub mod bench;
pub mod history;

use std::{
    cell::{Cell, RefCell},
    fs,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, ChildStdin, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
        mpsc::{self, Receiver},
    },
    time::{Duration, Instant},
};

use postgres::{Client, NoTls};
use tempfile::TempDir;

mod apart;
mod pooler;
pub mod systemd;

pub use apart::{SmallDisk, apart, lay_over};
pub use pooler::Pooler;

/// What makes a throw-away cluster quick. A test of durability starts its own without these.
const QUICK: [&str; 8] = [
    "-c",
    "fsync=off",
    "-c",
    "full_page_writes=off",
    "-c",
    "synchronous_commit=off",
    "-c",
    "max_connections=200",
];

/// As a server that keeps what it acknowledged: for benchmarks of writing.
pub const DURABLE: [&str; 6] = ["-c", "fsync=on", "-c", "full_page_writes=on", "-c", "synchronous_commit=on"];

/// The table as the program before this one makes it, with its index.
pub const ORIGINAL: &str = "
    CREATE TABLE service_checks (
        id SERIAL PRIMARY KEY,
        service_id VARCHAR(50) NOT NULL,
        timestamp TIMESTAMPTZ NOT NULL DEFAULT NOW(),
        status VARCHAR(20) NOT NULL,
        response_time INTEGER,
        status_code INTEGER,
        error TEXT
    );
    CREATE INDEX idx_service_checks_service_timestamp ON service_checks (service_id, timestamp DESC);";

/// The root of the checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

/// A PostgreSQL of the test's own, which it may stop, freeze and kill.
pub struct Cluster {
    folder: PathBuf,
    /// The folder of the cluster that this one follows.
    primary: Option<PathBuf>,
    options: Vec<String>,
    running: Option<(Child, ChildStdin)>,
    disk: Option<SmallDisk>,
    remove: Option<TempDir>,
}

impl Cluster {
    /// Starts a fresh one; `options` are those of `postgres`, like `["-c", "max_connections=10"]`.
    pub fn start(options: &[&str]) -> Cluster {
        let folder = temporary_folder();
        Cluster::start_in(folder.path().to_owned(), Some(folder), None, options)
    }

    /// Starts a fresh one in so many MiB. For a test that is [`apart`].
    pub fn start_on_a_disk_of(mebibytes: u32, options: &[&str]) -> Cluster {
        let folder = temporary_folder();
        let disk = SmallDisk::at(folder.path(), mebibytes);
        let mut cluster = Cluster::start_in(folder.path().to_owned(), Some(folder), None, options);
        cluster.disk = Some(disk);
        cluster
    }

    /// The disk that it was started on, if it was started so.
    ///
    /// # Panics
    /// Where it is on the machine's own, which nobody should fill.
    pub fn disk(&self) -> &SmallDisk {
        self.disk.as_ref().expect("a disk of its own")
    }

    /// Starts a hot standby that follows this one; `options` are those of `postgres`, like
    /// `["-c", "max_standby_streaming_delay=0"]`.
    pub fn standby(&self, options: &[&str]) -> Cluster {
        let folder = temporary_folder();
        Cluster::start_in(folder.path().to_owned(), Some(folder), Some(self.folder.clone()), options)
    }

    /// Without a folder to remove, its script removes what it made when this process ends: for statics.
    fn start_in(
        folder: PathBuf,
        remove: Option<TempDir>,
        primary: Option<PathBuf>,
        options: &[&str],
    ) -> Cluster {
        let options = QUICK.iter().chain(options).map(ToString::to_string).collect();
        let mut cluster = Cluster { folder, primary, options, running: None, disk: None, remove };
        cluster.start_again();
        cluster
    }

    /// Starts it again after [`Cluster::stop`] or a kill; the data is what it was.
    pub fn start_again(&mut self) {
        self.stop();
        let keep = r#"exec "$0" "$@""#;
        let remove = r#"trap : INT TERM HUP; "$0" "$@"; rm -rf "$2""#;
        let mut child = Command::new("sh")
            .args(["-c", if self.remove.is_some() { keep } else { remove }])
            .arg(root().join("deploy/postgres"))
            .arg(if self.primary.is_some() { "standby" } else { "run" })
            .arg(&self.folder)
            .args(&self.primary)
            .args(&self.options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh");
        let mut ready = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut ready).expect("the line of deploy/postgres");
        assert!(
            ready.starts_with("postgresql://"),
            "deploy/postgres did not start a server, see its message above"
        );
        let stdin = child.stdin.take().expect("it is piped");
        self.running = Some((child, stdin));
    }

    /// Starts it again with further options of `postgres`.
    pub fn start_again_with(&mut self, options: &[&str]) {
        self.options.extend(options.iter().map(ToString::to_string));
        self.start_again();
    }

    /// Puts a file into the data folder, readable by the server alone, and gives its name there.
    pub fn put<'a>(&self, name: &'a str, content: &str) -> &'a str {
        let folder = self.folder.join("data");
        fs::write(folder.join(name), content).expect("a file in the data folder");
        let owner = fs::metadata(&folder).expect("the data folder").uid();
        std::os::unix::fs::chown(folder.join(name), Some(owner), None).expect("the right to give it away");
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o600))
            .expect("the right to close it");
        name
    }

    /// What the server has written into its log so far.
    pub fn log(&self) -> String {
        let log = fs::read(self.folder.join("log")).expect("the log of the server");
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Stops it in order, by the end of the script's standard input.
    pub fn stop(&mut self) {
        if let Some((mut child, stdin)) = self.running.take() {
            drop(stdin);
            child.wait().expect("deploy/postgres ends");
        }
    }

    /// Stops it without any order: connections break, and it has to recover when it starts again.
    pub fn kill(&mut self) {
        let sent = Command::new("kill").args(["-s", "QUIT", &self.postmaster().to_string()]).status();
        assert!(sent.expect("kill").success());
        if let Some((mut child, _stdin)) = self.running.take() {
            child.wait().expect("deploy/postgres ends");
        }
    }

    /// Kills every process of it at once, none of which has time to end in order.
    pub fn tear_off(&mut self) {
        let mut frozen = self.freeze();
        let processes = std::mem::take(&mut frozen.0);
        std::mem::forget(frozen);
        signal("KILL", &processes);
        if let Some((mut child, _stdin)) = self.running.take() {
            child.wait().expect("deploy/postgres ends");
        }
    }

    /// The `DATABASE_URL` of a database of this cluster.
    pub fn url(&self, database: &str, user: &str) -> String {
        let mut url = String::new();
        let mut script = Command::new(root().join("deploy/postgres"))
            .arg("url")
            .arg(&self.folder)
            .args([database, user])
            .stdout(Stdio::piped())
            .spawn()
            .expect("deploy/postgres");
        script.stdout.take().expect("it is piped").read_to_string(&mut url).expect("the URL");
        script.wait().expect("deploy/postgres ends");
        url.trim().to_owned()
    }

    /// Stops every process of the server where it stands, until the answer is dropped.
    pub fn freeze(&self) -> Frozen {
        Frozen::freeze(self.postmaster())
    }

    /// The process id of the postmaster, to freeze or kill it.
    pub fn postmaster(&self) -> u32 {
        let lock = fs::read_to_string(self.folder.join("data/postmaster.pid")).expect("a running server");
        lock.lines().next().and_then(|line| line.parse().ok()).expect("a process id")
    }

    /// A connection of the superuser.
    pub fn connect(&self, database: &str) -> Client {
        connect(&self.url(database, "postgres"))
    }

    /// A new, empty database.
    pub fn empty(&self) -> Database {
        self.create("template0")
    }

    /// A new database with every migration applied, in this encoding of PostgreSQL, like `LATIN1`.
    pub fn encoded(&self, encoding: &str) -> Database {
        let database = self.create(&format!("template0 ENCODING '{encoding}' LOCALE 'C'"));
        migrate(&mut database.connect());
        database
    }

    fn create(&self, template: &str) -> Database {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.connect("postgres")
            .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}"))
            .expect("a new database");
        Database { url: self.url(&name, "postgres"), name }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Every process of a server, stopped until this is dropped.
pub struct Frozen(Vec<String>);

impl Frozen {
    fn freeze(postmaster: u32) -> Frozen {
        let mut frozen = Frozen(vec![postmaster.to_string()]);
        // The postmaster first, so that it starts no further process.
        signal("STOP", &frozen.0);
        let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"))
            .expect("the processes of the server");
        frozen.0.extend(children.split_whitespace().map(str::to_owned));
        signal("STOP", &frozen.0);
        frozen
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        signal("CONT", &self.0);
    }
}

fn signal(name: &str, processes: &[String]) {
    Command::new("kill").args(["-s", name]).args(processes).status().expect("kill");
}

/// A database of one test.
pub struct Database {
    /// Its `DATABASE_URL`, as the superuser.
    pub url: String,
    /// Its name.
    pub name: String,
}

impl Database {
    /// A new, empty database.
    pub fn empty() -> Database {
        shared_cluster().empty()
    }

    /// A new database with every migration applied, by plain SQL.
    pub fn migrated() -> Database {
        static TEMPLATE: OnceLock<String> = OnceLock::new();
        let template = TEMPLATE.get_or_init(|| {
            let database = Database::empty();
            migrate(&mut database.connect());
            database.name
        });
        shared_cluster().create(template)
    }

    /// A connection of the superuser.
    pub fn connect(&self) -> Client {
        connect(&self.url)
    }

    /// The `DATABASE_URL` for another role.
    pub fn url_of(&self, user: &str) -> String {
        self.url.replacen("postgres@", &format!("{user}@"), 1)
    }

    /// Creates a login role of a unique name, without any right, and gives its name.
    pub fn create_role(&self) -> String {
        let role = format!("role_of_{}", self.name);
        self.connect().batch_execute(&format!("CREATE ROLE {role} LOGIN")).expect("a new role");
        role
    }
}

/// Applies every file of `migrations/` in order, as one transaction each.
pub fn migrate(client: &mut Client) {
    let mut files: Vec<PathBuf> = fs::read_dir(root().join("migrations"))
        .expect("migrations/")
        .map(|entry| entry.expect("an entry of migrations/").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "sql"))
        .collect();
    files.sort();
    for file in files {
        let sql = fs::read_to_string(&file).expect("a migration");
        let mut transaction = client.transaction().expect("a transaction");
        transaction.batch_execute(&sql).unwrap_or_else(|error| panic!("{}: {error:?}", file.display()));
        transaction.commit().expect("a migrated database");
    }
}

/// What a program says on standard error, line by line.
pub struct Log {
    incoming: Receiver<String>,
    lines: RefCell<Vec<String>>,
    /// So many of them `next_line_with` has passed.
    passed: Cell<usize>,
}

impl Log {
    /// Reads along from now on.
    pub fn of(stderr: ChildStderr) -> Log {
        let (lines, incoming) = mpsc::channel();
        let mut said = BufReader::new(stderr).lines().map_while(Result::ok);
        std::thread::spawn(move || said.try_for_each(|line| lines.send(line)));
        Log { incoming, lines: RefCell::default(), passed: Cell::default() }
    }

    /// The first line that contains `text`; waits for it for at most a minute.
    pub fn line_with(&self, text: &str) -> String {
        let found = self.wait_for(text, 0);
        self.lines.borrow()[found].clone()
    }

    /// The same after the line that this gave last.
    pub fn next_line_with(&self, text: &str) -> String {
        let found = self.wait_for(text, self.passed.get());
        self.passed.set(found + 1);
        self.lines.borrow()[found].clone()
    }

    fn wait_for(&self, text: &str, from: usize) -> usize {
        let mut lines = self.lines.borrow_mut();
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(found) = (from..lines.len()).find(|place| lines[*place].contains(text)) {
                return found;
            }
            match self.incoming.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => lines.push(line),
                Err(_) => panic!("no line with {text:?} in the log, only: {lines:#?}"),
            }
        }
    }

    /// Every line that is there by now.
    pub fn so_far(&self) -> Vec<String> {
        let mut lines = self.lines.borrow_mut();
        lines.extend(self.incoming.try_iter());
        lines.clone()
    }

    /// Every line, to the end of the program.
    pub fn to_the_end(&self) -> Vec<String> {
        let mut lines = self.lines.borrow_mut();
        lines.extend(self.incoming.iter());
        lines.clone()
    }
}

/// A port of 127.0.0.1 that nobody listens on now.
pub fn free_port() -> u16 {
    /// Below those that the system gives out by itself: there nobody takes one by chance before it is used.
    const PORTS: std::ops::Range<u32> = 15_000..32_000;
    static ASKED: AtomicU32 = AtomicU32::new(0);
    // Another process begins elsewhere, and each port is given once.
    let first = std::process::id().wrapping_mul(61);
    let next = || {
        first.wrapping_add(ASKED.fetch_add(1, Ordering::Relaxed)) % (PORTS.end - PORTS.start) + PORTS.start
    };
    let ports = std::iter::repeat_with(next).take(1_000).filter_map(|port| u16::try_from(port).ok());
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.into_iter().find(free).expect("a free port")
}

/// Waits until `condition` holds, looking every 10 ms, for at most a minute; then the test fails with `what`.
pub fn eventually(what: &str, condition: impl FnMut() -> bool) {
    within(Duration::from_secs(60), what, condition);
}

/// The same within a time that users are promised.
pub fn within(time: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + time;
    while !condition() {
        assert!(Instant::now() < end, "not within {time:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn connect(url: &str) -> Client {
    Client::connect(url, NoTls)
        .unwrap_or_else(|error| panic!("no connection to the test's database: {error:?}"))
}

/// The cluster that all tests of one binary share. It ends, and its folder goes, with the process that started
/// it, however that ends: a static is never dropped, so the script removes what it made.
pub fn shared_cluster() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| Cluster::start_in(temporary_folder().keep(), None, None, &[]))
}

/// A primary and its hot standby that all tests of one binary share. The standby lets no reader hold it up: whoever
/// reads what the primary has removed is cancelled at once.
pub fn shared_replication() -> &'static (Cluster, Cluster) {
    static SHARED: OnceLock<(Cluster, Cluster)> = OnceLock::new();
    SHARED.get_or_init(|| {
        // What is committed is on its way at once.
        let at_once = ["-c", "synchronous_commit=on"];
        let primary = Cluster::start_in(temporary_folder().keep(), None, None, &at_once);
        let follow = ["-c", "max_standby_streaming_delay=0", "-c", "hot_standby_feedback=off"];
        let folder = temporary_folder().keep();
        let standby = Cluster::start_in(folder, None, Some(primary.folder.clone()), &follow);
        (primary, standby)
    })
}

/// Servers that root starts run as somebody else: he may go through, not look around.
fn temporary_folder() -> TempDir {
    tempfile::Builder::new()
        .prefix("status-test-")
        .permissions(fs::Permissions::from_mode(0o711))
        .tempdir()
        .expect("a temporary folder")
}
