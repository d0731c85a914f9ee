//! The command line: what a person tries first, and the exit codes that scripts hold on to.

use serde_json::Value;

use crate::{process::Setup, servers::Server};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const BROKEN: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn once_prints_a_plain_table_into_a_pipe_and_exits_0_when_all_is_online() {
    let server = Server::saying(OK);
    let setup = Setup::every_second(&[("main", &server.url("/")), ("git", &server.url("/"))]);
    let output = setup.run(&["once"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let table = text(&output.stdout);
    assert!(table.starts_with("status") && table.ends_with("\n2 of 2 online\n"), "{table}");
    assert!(!table.contains('\x1b'), "no colours in a pipe");
}

#[test]
fn once_exits_1_when_a_service_is_not_online_and_says_why() {
    let (up, down) = (Server::saying(OK), Server::saying(BROKEN));
    let setup = Setup::every_second(&[("main", &up.url("/")), ("git", &down.url("/"))]);
    let output = setup.run(&["once"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("status: HTTP 503"), "{}", text(&output.stdout));
    let only_main = setup.run(&["once", "main"]);
    assert_eq!(only_main.status.code(), Some(0));
    assert!(text(&only_main.stdout).ends_with("\n1 of 1 online\n"));
}

#[test]
fn once_prints_json_for_programs() {
    let server = Server::saying(OK);
    let output = Setup::every_second(&[("main", &server.url("/"))]).run(&["once", "--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["services"][0]["id"], "main");
    assert_eq!(json["services"][0]["status"], "online");
    assert_eq!(json["services"][0]["status_code"], 200);
}

#[test]
fn once_refuses_an_id_that_no_service_has() {
    let setup = Setup::every_second(&[("main", "http://localhost/"), ("git", "http://localhost/")]);
    let output = setup.run(&["once", "gti"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stderr), "no service has the id \"gti\"; write one of: main, git\n");
}

#[test]
fn once_records_nothing() {
    let database = shared::testing::Database::migrated();
    let server = Server::saying(OK);
    let setup = Setup::every_second(&[("main", &server.url("/"))]);
    let output = setup.command(&["once"]).env("DATABASE_URL", &database.url).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let rows: i64 = database.connect().query_one("SELECT count(*) FROM service_checks", &[]).unwrap().get(0);
    assert_eq!(rows, 0);
}

#[test]
fn check_config_prints_what_would_be_checked() {
    let output = Setup::every_second(&[("main", "https://anna:s3cret@example.org/")]).run(&["check-config"]);
    assert_eq!(output.status.code(), Some(0));
    let plan = text(&output.stdout);
    assert!(
        plan.contains("main") && plan.contains("https://example.org/") && !plan.contains("s3cret"),
        "{plan}"
    );
}

#[test]
fn a_bad_services_file_is_exit_code_2_for_every_command() {
    let setup = Setup::of("interval = \"2 hours\"\n[[services]]\nid = \"main\"\n");
    for command in ["run", "check-config", "once"] {
        let output = setup.run(&[command]);
        assert_eq!(output.status.code(), Some(2), "{command}");
        let said = text(&output.stderr);
        assert!(said.contains("services.toml:1: ") && said.contains("services.toml:2: "), "{said}");
    }
}

#[test]
fn bad_usage_is_exit_code_2() {
    let setup = Setup::every_second(&[("main", "http://localhost/")]);
    for arguments in [&["twice"][..], &["run", "--nonsense"]] {
        assert_eq!(setup.run(arguments).status.code(), Some(2), "{arguments:?}");
    }
    assert_eq!(setup.run(&["--version"]).status.code(), Some(0));
}

#[test]
fn migrate_needs_a_database_and_says_so() {
    let setup = Setup::every_second(&[("main", "http://localhost/")]);
    let unset = setup.run(&["migrate"]);
    assert_eq!(unset.status.code(), Some(2));
    assert!(text(&unset.stderr).starts_with("DATABASE_URL is not set; write "));
    let malformed =
        setup.command(&["migrate"]).env("DATABASE_URL", "postgresql://u:s3cret@h:x/").output().unwrap();
    assert_eq!(malformed.status.code(), Some(2));
    assert!(!text(&malformed.stderr).contains("s3cret"));
    let refused = setup
        .command(&["migrate"])
        .env("DATABASE_URL", format!("postgresql://u:s3cret@{}/db", crate::servers::nobody()))
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(said.contains("refused") && said.contains("is PostgreSQL running there?"), "{said}");
    assert!(!said.contains("s3cret"));
}

#[test]
fn what_a_database_url_holds_reaches_nobody_raw_and_a_password_with_an_at_sign_in_no_part() {
    let setup = Setup::every_second(&[("main", "http://localhost/")]);
    let url = shared::testing::Database::empty().url;
    for control in [
        format!("{url}%1B%5B31m%0A%07"),
        url.replacen("postgres@", "no%1Bbody@", 1),
        "postgresql:///db%1B?host=/tmp/%07nowhere".into(),
        "postgresql://no\u{1b}where.invalid/db".into(),
        "postgresql://localhost/db?sslmode=verify-full&sslrootcert=/tmp/%1Bno.pem".into(),
    ] {
        let output = setup.command(&["migrate"]).env("DATABASE_URL", &control).output().unwrap();
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(said.lines().count(), 1, "{said:?}");
        let mut daemon = setup.start(Some(&control));
        daemon.logged("database: ");
        daemon.kill();
        let log = daemon.rest_of_log().concat();
        let shown = said.trim_end().to_owned() + &log;
        assert!(!shown.contains(char::is_control), "{shown:?}");
    }
    for secret in ["p@s3cret@127.0.0.1:1/db", "p@%2Fs3cret@127.0.0.1:1/db", "p@s3cret,127.0.0.1:1@h/db"] {
        let secret = format!("postgresql://anna:{secret}");
        let output = setup.command(&["migrate"]).env("DATABASE_URL", &secret).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let mut daemon = setup.start(Some(&secret));
        daemon.logged("nothing is recorded until a restart");
        daemon.kill();
        let said = format!("{}{}", text(&output.stderr), daemon.rest_of_log().concat());
        assert!(said.contains("DATABASE_URL is malformed; write ") && !said.contains("s3cret"), "{said}");
    }
}

#[test]
fn migrate_brings_an_empty_database_up_to_date_and_does_so_again_without_harm() {
    let database = shared::testing::Database::empty();
    let setup = Setup::every_second(&[("main", "http://localhost/")]);
    for _ in 0..2 {
        let output = setup.command(&["migrate"]).env("DATABASE_URL", &database.url).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
    database.connect().batch_execute("SELECT * FROM service_checks, status_totals").unwrap();
}

#[test]
fn the_database_url_may_come_as_a_systemd_credential() {
    let database = shared::testing::Database::empty();
    let credentials = tempfile::tempdir().unwrap();
    std::fs::write(credentials.path().join("database-url"), format!("{}\n", database.url)).unwrap();
    let setup = Setup::every_second(&[("main", "http://localhost/")]);
    let output =
        setup.command(&["migrate"]).env("CREDENTIALS_DIRECTORY", credentials.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn adopted_checks_in_the_future_are_reported_with_their_service() {
    let database = shared::testing::Database::empty();
    database
        .connect()
        .batch_execute(
            &format!("{} {}", shared::testing::ORIGINAL, "
             INSERT INTO service_checks (service_id, timestamp, status) VALUES
                 ('main', now() + INTERVAL '2 hours', 'online'), ('main', now() + INTERVAL '1 hour', 'online'),
                 ('main', now(), 'online'), ('git', now() + INTERVAL '30 s', 'online')"),
        )
        .unwrap();
    let setup = Setup::every_second(&[("main", "http://localhost/")]);
    let migrate = || setup.command(&["migrate"]).env("DATABASE_URL", &database.url).output().unwrap();
    let first = migrate();
    let said = text(&first.stderr);
    assert!(said.contains("2 adopted checks of main lie in the future"), "{said}");
    assert!(!said.contains("checks of git"), "half a minute is within what clocks differ: {said}");
    assert!(!text(&migrate().stderr).contains("adopted checks"), "once is enough");
}

#[test]
fn no_secret_of_a_target_reaches_the_log_however_much_is_logged() {
    let server = Server::saying(OK);
    let address = server.address;
    let setup = Setup::of(&format!(
        "[[services]]\nid = \"main\"\nname = \"main\"\nurl = \"http://anna:hunter2@{address}/?key=hunter3\"\n
         headers = {{ X-Token = \"hunter4\" }}\n"
    ));
    let output = setup.command(&["once"]).env("RUST_LOG", "trace").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let sent = server.requests().concat().to_lowercase();
    assert!(sent.contains("hunter4") && sent.contains("authorization: basic"), "{sent}");
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    // "anna:hunter2" in Base64.
    for secret in ["hunter2", "hunter4", "YW5uYTpodW50ZXIy"] {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
    assert!(!text(&output.stderr).contains("hunter3"), "{said}");
}
