//! The way to PostgreSQL with `sslmode=verify-full`, as both programs go it: whom they refuse, and that they come back.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use shared::testing::{Cluster, eventually, free_port};

use crate::{
    api::Api,
    together::{Prober, services_file, try_to_migrate},
};

/// Who vouches for servers.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let (mut params, key) = (CertificateParams::default(), KeyPair::generate().unwrap());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// Gives the server a certificate for this name, good until the end of that year.
    fn vouch(&self, cluster: &Cluster, name: &str, until: i32) {
        let (mut params, key) =
            (CertificateParams::new([name.to_owned()]).unwrap(), KeyPair::generate().unwrap());
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(until, 12, 31));
        cluster.put("server.crt", &params.signed_by(&key, &self.issuer).unwrap().pem());
        cluster.put("server.key", &key.serialize_pem());
        cluster.connect("postgres").query("SELECT pg_reload_conf()", &[]).unwrap();
    }
}

const UNTRUSTED: &str =
    "the server's certificate is not trusted: check sslrootcert and sslmode in DATABASE_URL";
const OTHER_NAME: &str = "write the host in DATABASE_URL as the server's certificate does";
const EXPIRED: &str = "renew the server's certificate and reload the server";

#[test]
fn both_refuse_a_server_that_is_not_vouched_for_and_go_on_by_themselves_when_it_is() {
    let (ours, foreign) = (Authority::new("ours"), Authority::new("foreign"));
    let port = free_port();
    let mut cluster = Cluster::start(&["-c", "listen_addresses=localhost", "-c", &format!("port={port}")]);
    let mut client = cluster.connect("postgres");
    client.batch_execute("CREATE ROLE anna SUPERUSER LOGIN PASSWORD 's3cret'").unwrap();
    drop(client);
    foreign.vouch(&cluster, "localhost", 2999);
    cluster.start_again_with(&[
        "-c",
        "ssl=on",
        "-c",
        "ssl_cert_file=server.crt",
        "-c",
        "ssl_key_file=server.key",
    ]);
    let folder = tempfile::tempdir().unwrap();
    let authorities = folder.path().join("authorities.pem");
    std::fs::write(&authorities, &ours.pem).unwrap();
    let url = format!(
        "postgresql://anna:s3cret@localhost:{port}/postgres?sslmode=verify-full&sslrootcert={}",
        authorities.display()
    );

    let api = Api::start(Some(&url), &[]);
    let refuses = |why: &str| {
        let mut said = api.logged(why);
        eventually(why, || {
            let complaint = try_to_migrate(&url).unwrap_err();
            assert_eq!(complaint.lines().count(), 1, "{complaint}");
            said.push_str(&complaint);
            complaint.contains(why)
        });
        assert!(!said.contains("s3cret"), "{said}");
        assert_eq!(api.get("/status").status, 200);
    };
    refuses(UNTRUSTED);
    ours.vouch(&cluster, "elsewhere.example.org", 2999);
    refuses(OTHER_NAME);
    ours.vouch(&cluster, "localhost", 2020);
    refuses(EXPIRED);
    // It takes its turns all the same, and keeps what it measures.
    let prober = Prober::start(&services_file("1s", &[("main", "http://127.0.0.1:1/")]), &url);
    assert!(prober.logged(EXPIRED).contains("Checks go on"));

    ours.vouch(&cluster, "localhost", 2999);
    prober.logged("database: connected");
    api.status_when("it is read", |status| status["services"][0]["status"] == "offline");
    let encrypted = "SELECT count(*) = 3 AND bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                     WHERE application_name IN ('status-prober', 'status-prober upkeep', 'status-api')";
    let mut client = cluster.connect("postgres");
    eventually("all of them are encrypted", || client.query_one(encrypted, &[]).unwrap().get(0));
    let log = prober.end();
    assert!(log.iter().all(|line| !line.contains("s3cret")), "{log:#?}");
}
