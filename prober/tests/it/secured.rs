//! The way to PostgreSQL: a bound for servers that do not answer, and TLS with libpq's meanings of sslmode, against
//! real servers with real certificates.

use shared::{
    Database,
    testing::{Cluster, free_port},
};

use crate::servers::Identity;

struct Secured {
    _cluster: Cluster,
    folder: tempfile::TempDir,
    port: u16,
}

impl Secured {
    /// A server whose certificate is for `localhost`.
    fn start() -> Secured {
        let identity = Identity::issued("localhost", 2999);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("authority.pem"), identity.authority_pem()).unwrap();
        std::fs::write(folder.path().join("other.pem"), Identity::issued("localhost", 2999).authority_pem())
            .unwrap();
        std::fs::write(folder.path().join("empty.pem"), "").unwrap();
        let port = free_port();
        let mut cluster =
            Cluster::start(&["-c", "listen_addresses=localhost", "-c", &format!("port={port}")]);
        cluster.connect("postgres").batch_execute("CREATE ROLE anna LOGIN PASSWORD 'right'").unwrap();
        let (chain, key) = (
            cluster.put("server.crt", &identity.chain_pem()),
            cluster.put("server.key", &identity.key_pem()),
        );
        let options = ["ssl=on".to_owned(), format!("ssl_cert_file={chain}"), format!("ssl_key_file={key}")];
        let options: Vec<&str> = options.iter().flat_map(|option| ["-c", option]).collect();
        cluster.start_again_with(&options);
        Secured { _cluster: cluster, folder, port }
    }

    /// Whether the connection is encrypted, or why there is none.
    fn connect(&self, host: &str, mode: &str, authority: Option<&str>) -> Result<bool, String> {
        let authority =
            authority.map(|file| format!("&sslrootcert={}", self.folder.path().join(file).display()));
        let url = format!(
            "postgresql://anna:right@{host}:{}/postgres?sslmode={mode}{}",
            self.port,
            authority.unwrap_or_default()
        );
        let mut client = Database::parse(&url, "test").unwrap().connect()?;
        let ssl = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        Ok(client.query_one(ssl, &[]).unwrap().get(0))
    }
}

#[test]
fn every_sslmode_means_what_it_means_to_libpq() {
    let server = Secured::start();
    let good = Some("authority.pem");
    for (host, mode, authority, encrypted) in [
        ("localhost", "disable", None, false),
        ("localhost", "prefer", None, true),
        ("localhost", "require", None, true),
        ("localhost", "require", good, true),
        ("127.0.0.1", "verify-ca", good, true),
        ("localhost", "verify-full", good, true),
    ] {
        assert_eq!(server.connect(host, mode, authority), Ok(encrypted), "{host} {mode}");
    }
    for (host, mode, authority, said) in [
        ("127.0.0.1", "verify-full", good, "certificate"),
        ("localhost", "verify-full", None, "certificate"),
        ("localhost", "verify-full", Some("other.pem"), "check sslrootcert and sslmode in DATABASE_URL"),
        ("localhost", "verify-ca", Some("other.pem"), "certificate"),
        ("localhost", "require", Some("other.pem"), "certificate"),
        ("localhost", "verify-full", Some("empty.pem"), "it holds no certificate"),
        ("localhost", "verify-full", Some("missing.pem"), "can't be used"),
    ] {
        let refused = server.connect(host, mode, authority).unwrap_err();
        assert!(refused.contains(said), "{host} {mode} {authority:?}: {refused}");
    }
}

#[test]
fn a_server_without_tls_is_used_by_prefer_and_refused_by_require() {
    let port = free_port();
    let cluster = Cluster::start(&["-c", "listen_addresses=127.0.0.1", "-c", &format!("port={port}")]);
    cluster.connect("postgres").batch_execute("CREATE ROLE anna LOGIN PASSWORD 'right'").unwrap();
    let connect = |mode: &str| {
        let url = format!("postgresql://anna:right@127.0.0.1:{port}/postgres?sslmode={mode}");
        Database::parse(&url, "test").unwrap().connect().map(drop)
    };
    assert_eq!(connect("prefer"), Ok(()));
    for mode in ["require", "verify-ca", "verify-full"] {
        let refused = connect(mode).unwrap_err();
        assert!(refused.contains("the server offers no TLS"), "{mode}: {refused}");
    }
}

#[test]
fn a_frozen_server_is_given_up_in_time_and_found_again_by_the_same_attempt() {
    let cluster = Cluster::start(&[]);
    let database = Database::parse(&cluster.url("postgres", "postgres"), "test").unwrap();
    let postmaster = cluster.postmaster().to_string();
    let signal = |name| std::process::Command::new("kill").args(["-s", name, &postmaster]).status().unwrap();
    signal("STOP");
    let refused = database.connect().map(drop).unwrap_err();
    signal("CONT");
    assert!(refused.contains("does not answer within 10s"), "{refused}");
    let mut client = database.connect().unwrap();
    let ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'test'";
    assert_eq!(
        client.query_one(ours, &[]).unwrap().get::<_, i64>(0),
        1,
        "no second attempt was made beside it"
    );
}
