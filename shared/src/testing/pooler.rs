//! A PgBouncer before a cluster, in transaction mode: what many put between their programs and PostgreSQL.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use postgres::{Client, NoTls};

use super::{Cluster, eventually};

/// A running PgBouncer; killed when dropped.
pub struct Pooler {
    folder: PathBuf,
    port: u32,
    running: Option<(Child, ChildStdin)>,
}

impl Pooler {
    /// Starts one that shares `connections` to each database of the cluster among all its clients, as the superuser.
    /// It listens on a unix socket beside the cluster's own.
    pub fn start(cluster: &Cluster, connections: u32) -> Pooler {
        static NEXT: AtomicU32 = AtomicU32::new(6432);
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = cluster.folder.join("data");
        let configuration = format!(
            "[databases]\n* = host={0} port=5432 user=postgres\n\
             [pgbouncer]\nlisten_addr =\nlisten_port = {port}\nunix_socket_dir = {0}\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = {connections}\nlogfile = {0}/pgbouncer-{port}.log\n",
            folder.display()
        );
        cluster.put(&format!("pgbouncer-{port}.ini"), &configuration);
        let mut pooler = Pooler { folder, port, running: None };
        pooler.start_again();
        pooler
    }

    /// Kills it, if it runs, and starts it again at the same address.
    pub fn start_again(&mut self) {
        self.kill();
        let mut child = Command::new("sh")
            // It ends with the test, however that ends.
            .args(["-c", r#"trap : INT TERM HUP; "$@" & cat >/dev/null; kill -KILL $!; wait"#, "sh"])
            .args(self.as_the_owner())
            .args(["pgbouncer", "-q"])
            .arg(self.folder.join(format!("pgbouncer-{}.ini", self.port)))
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh");
        let stdin = child.stdin.take().expect("it is piped");
        self.running = Some((child, stdin));
        eventually("pgbouncer (deploy/test installs it) accepts connections", || {
            Client::connect(&self.url("postgres"), NoTls).is_ok()
        });
    }

    /// It refuses to run as root, and so does the server: both run as the same user.
    fn as_the_owner(&self) -> Vec<String> {
        let folder = fs::metadata(&self.folder).expect("the data folder");
        let above = fs::metadata(self.folder.parent().expect("it lies in one")).expect("the folder above");
        if folder.uid() == above.uid() {
            return Vec::new();
        }
        let (user, group) = (folder.uid().to_string(), folder.gid().to_string());
        ["setpriv", "--reuid", &user, "--regid", &group, "--clear-groups", "--"].map(str::to_owned).into()
    }

    /// Kills it: every connection ends at once.
    pub fn kill(&mut self) {
        if let Some((mut child, stdin)) = self.running.take() {
            drop(stdin);
            child.wait().expect("sh ends");
        }
    }

    /// The `DATABASE_URL` of a database behind it.
    pub fn url(&self, database: &str) -> String {
        let folder = self.folder.to_str().expect("a folder in UTF-8").replace('/', "%2F");
        format!("postgresql://postgres@{folder}:{}/{database}", self.port)
    }

    /// A connection through it.
    pub fn connect(&self, database: &str) -> Client {
        super::connect(&self.url(database))
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.kill();
    }
}
