//! The image runs as nobody on a root that can't be written to, and compose.yaml takes every right away that it can.

use std::{fs, path::Path, process::Command};

use shared::testing::{Database, shared_cluster};

use crate::packages::{printed, root, unpacked};

fn text(file: &str) -> String {
    fs::read_to_string(root().join("deploy").join(file)).unwrap()
}

/// Each service of compose.yaml, by name.
fn services() -> Vec<(String, String)> {
    let compose = text("compose.yaml");
    let services = compose.split_once("\nservices:\n").unwrap().1.split_once("\nnetworks:\n").unwrap().0;
    let mut found: Vec<(String, String)> = Vec::new();
    for line in services.lines() {
        match line.strip_prefix("  ").filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase())) {
            Some(name) => found.push((name.trim_end_matches(':').to_owned(), String::new())),
            None if found.is_empty() => {}
            None => found.last_mut().unwrap().1.push_str(&format!("{line}\n")),
        }
    }
    assert_eq!(
        found.iter().map(|(name, _)| &**name).collect::<Vec<_>>(),
        ["database", "prober", "api", "proxy"]
    );
    found
}

#[test]
fn every_service_is_hardened_and_looked_after() {
    let compose = text("compose.yaml");
    let hardened = compose.split_once("x-hardened: &hardened\n").unwrap().1.split_once("\n\n").unwrap().0;
    for line in ["read_only: true", "cap_drop: [ALL]", "security_opt: [\"no-new-privileges:true\"]"] {
        assert!(hardened.lines().any(|found| found.trim() == line), "{line}");
    }
    for (name, service) in services() {
        for line in ["<<: *hardened", "healthcheck:"] {
            assert!(service.lines().any(|found| found.trim() == line), "{name}: {line}");
        }
        for word in ["privileged", "network_mode", "pid:", "docker.sock", "read_only: false"] {
            assert!(!service.contains(word), "{name}: {word}");
        }
        assert_eq!(service.contains("ports:"), name == "proxy", "{name}");
        assert_eq!(service.contains("cap_add"), name == "proxy", "{name}");
        let image = service.lines().find_map(|line| line.trim().strip_prefix("image: ")).unwrap();
        let (_, tag) = image.split_once(':').unwrap();
        assert!(tag.matches(|c: char| c.is_ascii_digit()).count() >= 3, "{image} is not pinned");
    }
}

#[test]
fn secrets_are_files_and_stand_in_no_variable() {
    let compose = text("compose.yaml");
    for word in ["DATABASE_URL:", "POSTGRES_PASSWORD:", "postgresql://"] {
        assert!(!compose.contains(word), "{word}");
    }
    for (name, service) in services() {
        assert_eq!(service.contains("secrets:"), name != "proxy", "{name}");
    }
    let ignored = fs::read_to_string(root().join(".gitignore")).unwrap();
    for folder in ["/deploy/configuration", "/deploy/secrets"] {
        assert!(ignored.lines().any(|line| line == folder), "{folder} would get into git");
        assert!(text("Dockerfile.dockerignore").contains(&folder[1..]), "{folder} would get into the image");
    }
}

#[test]
fn the_image_is_pinned_and_runs_as_a_number() {
    let dockerfile = text("Dockerfile");
    let bases: Vec<&str> = dockerfile.lines().filter_map(|line| line.strip_prefix("FROM ")).collect();
    assert_eq!(bases.len(), 2);
    assert!(bases[0].starts_with("rust:1.") && bases[0].matches('.').count() == 2, "{}", bases[0]);
    assert_eq!(bases[1], "scratch");
    assert!(dockerfile.contains("\nUSER 65532:65532\n"));
    let image = format!("image: status-monitor:{}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(text("compose.yaml").matches(&image).count(), 2, "compose.yaml names another version");
}

/// Fills an image as the Dockerfile does and runs what compose.yaml runs, as its user, on a root mounted read-only.
#[test]
fn both_programs_run_in_the_image_without_a_shell_or_anything_to_write_to() {
    if !can_chroot() {
        println!("not tried, because it takes root: a root of one's own, mounted read-only");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let programs = folder.path().join("programs");
    fs::create_dir(&programs).unwrap();
    for name in ["status-prober", "status-api"] {
        fs::copy(unpacked(name).join("usr/bin").join(name), programs.join(name)).unwrap();
    }
    let image = folder.path().join("image");
    printed(Command::new(root().join("deploy/container/fill")).args([&image, &programs]));
    assert!(!image.join("bin").exists() && !image.join("usr/bin/sh").exists());

    for (program, arguments, expected) in [
        ("status-prober", &["--version"][..], env!("CARGO_PKG_VERSION")),
        ("status-api", &["--version"], env!("CARGO_PKG_VERSION")),
        (
            "status-prober",
            &["check-config", "--config", "/usr/share/status-monitor/health.toml"],
            "http://127.0.0.1:8080/healthz",
        ),
    ] {
        let said = printed(inside(&image, program).args(arguments));
        assert!(said.contains(expected), "{program}: {said}");
    }
}

/// As the engine runs it: the root read-only, the user of the Dockerfile, no environment but its own.
fn inside(image: &Path, program: &str) -> Command {
    let script = r#"mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" "$0" && program=$1 && shift &&
        exec env -i PATH=/usr/bin "$(command -v chroot)" --userspec=65532:65532 "$0" "/usr/bin/$program" "$@""#;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--net", "bash", "-c", script]);
    command.arg(image).arg(program);
    command
}

fn can_chroot() -> bool {
    let mut trial = Command::new("unshare");
    trial.args([
        "--mount",
        "--propagation",
        "private",
        "--net",
        "chroot",
        "--userspec=65532:65532",
        "/",
        "true",
    ]);
    trial.status().is_ok_and(|status| status.success())
}

#[test]
fn the_health_check_tells_an_api_that_answers_from_one_that_does_not() {
    let prober = unpacked("status-prober").join("usr/bin/status-prober");
    let health = text("container/health.toml");
    assert!(health.contains("http://127.0.0.1:8080/healthz"));
    let folder = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let file = folder.path().join("health.toml");
    fs::write(&file, health.replace(":8080", &format!(":{port}"))).unwrap();
    let exit_code = || {
        let mut once = Command::new(&prober);
        once.arg("once").arg("--config").arg(&file).output().unwrap().status.code()
    };
    drop(listener);
    assert_eq!(exit_code(), Some(1));

    let mut api = Command::new(unpacked("status-api").join("usr/bin/status-api"))
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .env_remove("DATABASE_URL")
        .spawn()
        .unwrap();
    crate::machine::eventually("the api answers", || exit_code() == Some(0));
    api.kill().unwrap();
    api.wait().unwrap();
}

#[test]
fn caddy_takes_the_proxy_of_compose_where_it_is_installed() {
    let file = root().join("deploy/container/Caddyfile");
    for site in [":80", "status.example.com"] {
        let mut caddy = Command::new("caddy");
        caddy.args(["adapt", "--adapter", "caddyfile", "--config"]).arg(&file).env("STATUS_SITE", site);
        match caddy.output() {
            Ok(adapted) => {
                let said = String::from_utf8_lossy(&adapted.stdout);
                assert!(adapted.status.success() && said.contains("api:8080"), "{said}");
            }
            Err(_) => println!("caddy is not installed: its Caddyfile was not tried"),
        }
    }
}

#[test]
fn the_database_gives_each_role_the_password_of_its_url_or_says_why_not() {
    let (database, secrets) = (Database::empty(), tempfile::tempdir().unwrap());
    let mut client = database.connect();
    client.batch_execute("CREATE ROLE status_prober LOGIN; CREATE ROLE status_api LOGIN").unwrap();
    let folder = Command::new(root().join("deploy/postgres")).arg("find").output().unwrap().stdout;
    let path = format!("{}:{}", String::from_utf8(folder).unwrap().trim(), std::env::var("PATH").unwrap());
    // The address of the cluster is the folder of its socket.
    let socket: String = client.query_one("SHOW unix_socket_directories", &[]).unwrap().get(0);
    let socket =
        format!("/proc/{}/{}", shared_cluster().postmaster(), socket.trim_start_matches("/proc/self/"));
    let mut set = |of_the_api: &str| {
        let url =
            |role: &str, password: &str| format!("postgresql://{role}:{password}@database:5432/status\n");
        fs::write(secrets.path().join("prober-database-url"), url("status_prober", "abc123")).unwrap();
        fs::write(secrets.path().join("api-database-url"), url("status_api", of_the_api)).unwrap();
        let mut script = Command::new(root().join("deploy/container/passwords"));
        script.arg(secrets.path()).envs([
            ("PATH", &*path),
            ("PGHOST", &socket),
            ("POSTGRES_DB", &database.name),
        ]);
        let output = script.output().unwrap();
        let rows = "SELECT count(DISTINCT rolpassword) FROM pg_authid WHERE rolname IN ('status_prober', 'status_api')";
        let passwords: i64 = client.query_one(rows, &[]).unwrap().get(0);
        (output.status.success(), passwords, String::from_utf8(output.stderr).unwrap())
    };
    let (done, _, said) = set("it's");
    assert!(!done && said.contains("letters and digits"), "{said}");
    assert!(!said.contains("it's"), "{said}");
    assert_eq!(set("def456"), (true, 2, String::new()));
}
