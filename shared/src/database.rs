//! The way to PostgreSQL: what `DATABASE_URL` means, a bounded connect, and one way to explain an error.
//! What is asked of the database stands in the `store.rs` of each program.

mod explain;
mod tls;

use std::{
    env, fmt, fs,
    net::Ipv6Addr,
    path::PathBuf,
    str::FromStr,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use postgres::{
    Client, Config, NoTls,
    config::{Host, SslMode},
};
use url::form_urlencoded;

use crate::printable::printable;

pub use explain::explain;
use tls::Verify;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// From the first packet to the server's readiness, TLS and authentication included.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A peer that does not acknowledge for this long is gone; `statement_timeout` bounds one that does.
const PEER_GONE_AFTER: Duration = Duration::from_secs(30);
const FORM: &str = "write postgresql://user:password@host:5432/database, \
                    with @ : / ? # % in the password as %40 %3A %2F %3F %23 %25";

/// Where the database is and how to get there; shown without the password.
#[derive(Clone)]
pub struct Database {
    config: Config,
    verify: Verify,
    root_certificates: Option<PathBuf>,
    /// An attempt that got no answer in time is waited for again by the next: there is never a second beside it.
    unanswered: Arc<Mutex<Option<Attempt>>>,
}

type Attempt = Receiver<Result<Client, String>>;

/// A `DATABASE_URL` that nothing can be done with. Never holds a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DATABASE_URL {}", self.0)
    }
}

impl std::error::Error for Malformed {}

impl Database {
    /// The database that `DATABASE_URL` names, or the credential `database-url` that systemd hands over
    /// (`LoadCredential=`, in `$CREDENTIALS_DIRECTORY`); `None` where neither is set.
    ///
    /// # Errors
    /// Where the value is malformed or the credential can't be read.
    pub fn from_environment(application: &str) -> Result<Option<Database>, Malformed> {
        let url = match env::var("DATABASE_URL") {
            Ok(url) => url,
            Err(env::VarError::NotUnicode(_)) => return Err(Malformed("is not UTF-8".into())),
            Err(env::VarError::NotPresent) => match env::var_os("CREDENTIALS_DIRECTORY") {
                None => return Ok(None),
                Some(folder) => match fs::read_to_string(PathBuf::from(folder).join("database-url")) {
                    Ok(url) => url,
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                    Err(error) => {
                        return Err(Malformed(format!(
                            "can't be read from the credential database-url: {error}"
                        )));
                    }
                },
            },
        };
        let url = url.trim();
        if url.is_empty() { Ok(None) } else { Database::parse(url, application).map(Some) }
    }

    /// Reads a URL as libpq does, with sslmode disable, prefer, require, verify-ca, verify-full and sslrootcert.
    /// `application` is the name that the server's `pg_stat_activity` shows.
    ///
    /// # Errors
    /// Where the URL is malformed; the message holds no part of it.
    pub fn parse(url: &str, application: &str) -> Result<Database, Malformed> {
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let Some(rest) = ["postgresql://", "postgres://"].iter().find_map(|form| address.strip_prefix(form))
        else {
            return Err(Malformed(format!("does not begin with postgresql://; {FORM}")));
        };
        // A password with a @ or / in it: what follows would be read as a host, a socket's folder or a database, and shown.
        let (server, name) = rest.split_once('/').unwrap_or((rest, ""));
        if server.matches('@').count() > 1 || name.contains('@') {
            return Err(Malformed(format!("is malformed; {FORM}")));
        }
        let mut options = form_urlencoded::Serializer::new(String::new());
        let (mut mode, mut root_certificates, mut by_system) = ("prefer".to_owned(), None, false);
        // A plus is a plus here, not a space as in forms.
        for (key, value) in form_urlencoded::parse(query.replace('+', "%2B").as_bytes()) {
            match &*key {
                "sslmode" => mode = value.into_owned(),
                "sslrootcert" if value == "system" => by_system = true,
                "sslrootcert" => root_certificates = Some(PathBuf::from(&*value)),
                _ => drop(options.append_pair(&key, &value)),
            }
        }
        // As in libpq, the system's authorities vouch for anybody: only the name makes it the right one.
        let mode = if by_system && mode != "disable" { "verify-full".to_owned() } else { mode };
        let verify = Verify::of_sslmode(&mode, root_certificates.is_some()).ok_or_else(|| {
            Malformed(
                "has an unknown sslmode; write disable, prefer, require, verify-ca or verify-full".into(),
            )
        })?;
        // The driver reads percent-encoding but no plus for a space.
        let options = options.finish().replace('+', "%20");
        let mut config = Config::from_str(&format!("{address}?{options}"))
            .map_err(|_| Malformed(format!("is malformed; {FORM}")))?;
        if !config.get_hosts().iter().all(is_plausible) {
            return Err(Malformed(format!("is malformed; {FORM}")));
        }
        if config.get_hosts().is_empty() {
            config.host_path("/var/run/postgresql");
        }
        if config.get_application_name().is_none() {
            config.application_name(application);
        }
        config
            .connect_timeout(config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT))
            .keepalives_idle(PEER_GONE_AFTER / 2)
            .tcp_user_timeout(PEER_GONE_AFTER);
        let local = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
        config.ssl_mode(match verify {
            _ if local => SslMode::Disable,
            Verify::Disable => SslMode::Disable,
            Verify::Prefer => SslMode::Prefer,
            _ => SslMode::Require,
        });
        Ok(Database { config, verify, root_certificates, unanswered: Arc::default() })
    }

    /// Opens one connection, for the calling thread, within 10 s. Must not be called, nor its client dropped, on an async
    /// thread: the driver would panic.
    ///
    /// # Errors
    /// One line that says what failed and what to do ([`explain`]).
    pub fn connect(&self) -> Result<Client, String> {
        let mut unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        let attempt = match unanswered.take() {
            Some(attempt) => attempt,
            None => self.attempt().map_err(|error| format!("the system gives no thread: {error}"))?,
        };
        match attempt.recv_timeout(ANSWER_WITHIN) {
            Ok(connected) => connected,
            Err(RecvTimeoutError::Disconnected) => {
                Err("connecting failed by a mistake in this program".into())
            }
            Err(RecvTimeoutError::Timeout) => {
                *unanswered = Some(attempt);
                Err(format!(
                    "the server accepts connections and does not answer within {ANSWER_WITHIN:?}; is it frozen, or gone \
                     from behind a proxy?"
                ))
            }
        }
    }

    /// Connects on a thread of its own, since the driver's bound covers no more than the socket.
    fn attempt(&self) -> std::io::Result<Attempt> {
        let (tell, told) = mpsc::channel();
        let database = self.clone();
        thread::Builder::new().name("connect".into()).spawn(move || {
            // Nobody listens where the program ended meanwhile.
            tell.send(database.connect_without_bound()).ok();
        })?;
        Ok(told)
    }

    fn connect_without_bound(&self) -> Result<Client, String> {
        let connected = if self.config.get_ssl_mode() == SslMode::Disable {
            self.config.connect(NoTls)
        } else {
            let connector = tls::connector(self.verify, self.root_certificates.as_deref())?;
            self.config.connect(connector)
        };
        connected.map_err(|error| explain(&error))
    }
}

/// An unescaped character of a password makes what follows it look like a host.
fn is_plausible(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            let address = name.split('%').next().unwrap_or_default();
            !name.contains(['@', '/']) && (!name.contains(':') || address.parse::<Ipv6Addr>().is_ok())
        }
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports = self.config.get_ports();
        for (n, host) in self.config.get_hosts().iter().enumerate() {
            let port = ports.get(n).or(ports.first()).copied().unwrap_or(5432);
            let comma = if n > 0 { "," } else { "" };
            match host {
                Host::Tcp(name) => write!(f, "{comma}{}:{port}", printable(name))?,
                Host::Unix(folder) => {
                    write!(f, "{comma}{}/.s.PGSQL.{port}", printable(&folder.to_string_lossy()))?;
                }
            }
        }
        match self.config.get_dbname() {
            Some(name) => write!(f, ", database {}", printable(name)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Database, Malformed> {
        Database::parse(url, "test")
    }

    #[test]
    fn a_database_is_shown_without_its_password() {
        let database = parse("postgresql://anna:s3cret@db.example.org:6432/status?sslmode=require").unwrap();
        assert_eq!(database.to_string(), "db.example.org:6432, database status");
        assert!(!format!("{database:?}").contains("s3cret"));
        for raw in ["postgresql://a%1B/b", "postgresql://a/b%1B", "postgresql://%2Fa%1B/b"] {
            assert!(!parse(raw).unwrap().to_string().contains(char::is_control), "{raw}");
        }
    }

    #[test]
    fn a_malformed_url_is_explained_without_a_part_of_it() {
        for url in [
            "s3cret",
            "mysql://u:s3cret@h/db",
            "postgresql://u:s3cret?x@h/db",
            "postgresql://u@h:s3cret/db",
            "postgresql://u@h/db?sslmode=s3cret",
            "postgresql://u@h/db?s3cret=1",
            "postgresql://u:p@s3cret@h/db",
            "postgresql://u:p@%2Fs3cret@h/db",
            "postgresql://u:1/s3cret@h/db",
            "postgresql://u:p@%2Fs3cret,h@h/db",
        ] {
            let message = parse(url).unwrap_err().to_string();
            assert!(message.starts_with("DATABASE_URL ") && message.contains("; write "), "{message}");
            assert!(!message.contains("s3cret"), "{message}");
        }
    }

    #[test]
    fn the_verifying_modes_of_libpq_are_understood() {
        for (mode, expected) in [
            ("disable", Verify::Disable),
            ("prefer", Verify::Prefer),
            ("require", Verify::Require),
            ("verify-ca", Verify::Authority),
            ("verify-full", Verify::Full),
        ] {
            let database = parse(&format!("postgresql://h/db?sslmode={mode}&connect_timeout=3")).unwrap();
            assert_eq!(database.verify, expected);
        }
        let with_root = parse("postgresql://h/db?sslmode=require&sslrootcert=%2Fetc%2Fca.pem").unwrap();
        assert_eq!(
            with_root.verify,
            Verify::Authority,
            "as in libpq, a root certificate makes require verify"
        );
        assert_eq!(with_root.root_certificates, Some(PathBuf::from("/etc/ca.pem")));
    }

    #[test]
    fn the_authorities_of_the_system_vouch_for_a_name_only() {
        for mode in ["", "&sslmode=require", "&sslmode=verify-ca"] {
            let database = parse(&format!("postgresql://h/db?sslrootcert=system{mode}")).unwrap();
            assert_eq!((database.verify, database.root_certificates), (Verify::Full, None), "{mode}");
        }
    }

    #[test]
    fn addresses_of_both_kinds_are_hosts() {
        for host in ["[2a01:4f8:c0c:1234:5678:9abc:def0:1234]", "[::1]", "127.0.0.1", "a,b"] {
            assert!(parse(&format!("postgresql://u@{host}:5432/db")).is_ok(), "{host}");
        }
    }

    #[test]
    fn unix_sockets_are_found_in_host_query_and_by_default() {
        for url in ["postgresql://u@%2Frun%2Fpg/db", "postgresql:///db?host=/run/pg"] {
            assert_eq!(parse(url).unwrap().to_string(), "/run/pg/.s.PGSQL.5432, database db");
        }
        assert_eq!(
            parse("postgresql:///db").unwrap().to_string(),
            "/var/run/postgresql/.s.PGSQL.5432, database db"
        );
    }
}
