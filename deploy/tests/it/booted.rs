//! Strangers' machines: both packages in a booted systemd, with a PostgreSQL beside them.

use crate::machine::{Machine, eventually};

const INSTALL: &str = "dpkg --force-unsafe-io --install /mnt/packages/status-*.deb 2>&1";

/// What is in no environment, argument or log.
const PASSWORD: &str = "p4ssw0rd-of-both";

/// The api is what the prober checks: nothing else answers on such a machine.
const SERVICES: &str = r#"
interval = "1s"
timeout = "500ms"
slow_after = "400ms"
retries = 0

[[services]]
id = "page"
name = "The page"
url = "http://127.0.0.1:8080/healthz"
"#;

/// As the manual says: a database, roles, credentials, services; everything but the start.
fn configure(machine: &Machine) {
    machine.run(
        "systemd-run --quiet --unit=database bash -c 'sleep infinity |
            exec /mnt/deploy/postgres run /var/lib/database -c listen_addresses=127.0.0.1 -c port=5432'",
    );
    eventually("PostgreSQL is ready", || sql(machine, "postgres", "SELECT 'ready'").is_some());
    sql(machine, "postgres", "CREATE DATABASE status").unwrap();
    machine.run("/mnt/deploy/postgres psql /var/lib/database status --quiet --file /usr/share/status-monitor/roles.sql");
    machine.write(
        "/root/passwords.sql",
        &format!(
            "ALTER ROLE status_prober PASSWORD '{PASSWORD}'; ALTER ROLE status_api PASSWORD '{PASSWORD}'"
        ),
    );
    machine.run("/mnt/deploy/postgres psql /var/lib/database status --quiet --file /root/passwords.sql");
    for program in ["prober", "api"] {
        machine.write(
            &format!("/etc/status-monitor/{program}.database-url"),
            &format!("postgresql://status_{program}:{PASSWORD}@127.0.0.1:5432/status\n"),
        );
    }
    serve(machine, SERVICES);
}

fn serve(machine: &Machine, services: &str) {
    machine.write("/etc/status-monitor/services.toml", services);
    machine.run("chmod 644 /etc/status-monitor/services.toml");
}

/// What a statement gives, in a database; `None` where it fails.
fn sql(machine: &Machine, database: &str, statement: &str) -> Option<String> {
    let psql = format!(
        "/mnt/deploy/postgres psql /var/lib/database {database} --no-psqlrc --tuples-only --no-align"
    );
    let output = machine.try_run(&format!("{psql} --command=\"{statement}\""));
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

fn checks(machine: &Machine) -> u64 {
    sql(machine, "status", "SELECT count(*) FROM service_checks").map_or(0, |count| count.parse().unwrap())
}

/// A machine with both packages, configured.
fn configured() -> Option<Machine> {
    let machine = Machine::boot()?;
    machine.run(INSTALL);
    configure(&machine);
    Some(machine)
}

/// The same, with both programs at work.
fn working() -> Option<Machine> {
    let machine = configured()?;
    machine.run("systemctl enable --now status-prober status-api 2>&1");
    are_at_work(&machine);
    Some(machine)
}

fn are_at_work(machine: &Machine) {
    for unit in ["status-prober", "status-api"] {
        eventually(unit, || machine.property(unit, "ActiveState") == "active");
    }
    eventually("the api read the database", || {
        machine.try_run("curl -sf 127.0.0.1:8080/readyz").status.success()
    });
    let before = checks(machine);
    eventually("checks are recorded", || checks(machine) > before);
}

/// The process of a unit, once it is another than `before`.
fn another_process(machine: &Machine, unit: &str, before: &str) -> String {
    let mut process = before.to_owned();
    eventually(&format!("{unit} is started anew"), || {
        process = machine.property(unit, "MainPID");
        process != before && process != "0" && machine.property(unit, "ActiveState") == "active"
    });
    process
}

#[test]
fn an_installation_starts_nothing_before_it_is_configured() {
    let Some(machine) = Machine::boot() else { return };
    let said = machine.run(INSTALL);
    for program in ["status-prober", "status-api"] {
        let credential =
            format!("/etc/status-monitor/{}.database-url", program.trim_start_matches("status-"));
        assert!(said.contains(&format!("{program}: installed, and not started: {credential}")), "{said}");
        assert!(said.contains(&format!("/usr/share/doc/{program}/README.md")), "{said}");
        for unit in machine.run(&format!("cd /usr/lib/systemd/system; ls {program}.*")).lines() {
            assert_eq!(machine.property(unit, "LoadState"), "loaded", "{unit}");
            assert_eq!(machine.property(unit, "ActiveState"), "inactive", "{unit}");
            assert_eq!(machine.property(unit, "UnitFileState"), "disabled", "{unit}");
        }
    }
    // Whoever starts it too early is told what to write, once.
    assert!(!machine.try_run("systemctl start status-prober").status.success());
    let log = machine.run("journalctl --boot -u status-prober");
    assert!(log.contains("no service; write [[services]]"), "{log}");
    assert_eq!(machine.property("status-prober", "NRestarts"), "0");
}

#[test]
fn a_machine_that_was_configured_first_starts_at_the_installation() {
    let Some(machine) = Machine::boot() else { return };
    machine.write("/etc/status-monitor/api.database-url", "postgresql://status_api@127.0.0.1:5432/status\n");
    let said = machine.run(INSTALL);
    assert!(said.contains("status-prober: installed, and not started"), "{said}");
    assert!(!said.contains("status-api: installed, and not started"), "{said}");
    assert_eq!(machine.property("status-api", "ActiveState"), "active");
    assert_eq!(machine.property("status-api", "UnitFileState"), "enabled");
    assert_eq!(machine.property("status-prober", "ActiveState"), "inactive");
}

#[test]
fn credentials_stand_in_no_environment_argument_or_log() {
    let Some(machine) = working() else { return };
    for unit in ["status-prober", "status-api"] {
        assert_eq!(machine.property(unit, "Result"), "success");
        assert!(!machine.property(unit, "StatusText").is_empty(), "{unit}");
    }
    // The pattern comes from a file, so that the search does not find itself.
    machine.write("/root/pattern", PASSWORD);
    let search = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | grep --count --fixed-strings \
                  --text --file=/root/pattern";
    assert_eq!(String::from_utf8_lossy(&machine.try_run(search).stdout).trim(), "0");
    let control = format!("export SECRET=$(cat /root/pattern); sleep 60 & {search}; kill %1");
    assert_ne!(machine.run(&control), "0", "the search finds nothing at all");
    assert!(!machine.run("ps -ef").contains(PASSWORD));
    assert!(!machine.run("journalctl --boot").contains(PASSWORD));
    assert!(!machine.run("systemctl show status-prober status-api").contains(PASSWORD));
    assert_eq!(machine.run("stat -c %a /etc/status-monitor/*.database-url"), "600\n600");
}

#[test]
fn a_killed_program_comes_back_and_a_frozen_one_is_started_anew() {
    let Some(machine) = working() else { return };
    for unit in ["status-prober", "status-api"] {
        let process = machine.property(unit, "MainPID");
        machine.run(&format!("kill -KILL {process}"));
        another_process(&machine, unit, &process);
    }
    are_at_work(&machine);
    let frozen = ["status-prober", "status-api"].map(|unit| (unit, machine.property(unit, "MainPID")));
    for (_, process) in &frozen {
        machine.run(&format!("kill -STOP {process}"));
    }
    for (unit, process) in &frozen {
        another_process(&machine, unit, process);
        assert!(machine.run(&format!("journalctl --boot -u {unit}")).contains("atchdog timeout"), "{unit}");
    }
    are_at_work(&machine);
}

#[test]
fn a_reload_takes_a_good_file_and_a_bad_one_changes_nothing() {
    let Some(machine) = working() else { return };
    let process = machine.property("status-prober", "MainPID");
    let shown =
        |id: &str| machine.run("curl -sf 127.0.0.1:8080/api/status").contains(&format!("\"id\":\"{id}\""));
    let second = SERVICES.split_once("[[services]]").unwrap().1.replace("\"page\"", "\"second\"");
    serve(&machine, &format!("{SERVICES}[[services]]{second}"));
    machine.run("systemctl reload status-prober");
    eventually("the second service is on the page", || shown("second"));

    serve(&machine, "[[services]]\nid = \"page\"\nname = \"The page\"\nurl = \"gopher://127.0.0.1/\"\n");
    machine.run("systemctl reload status-prober");
    let refused = || machine.run("journalctl --boot -u status-prober").contains("reload refused");
    eventually("the bad file is refused", refused);
    let before = checks(&machine);
    eventually("checks go on", || checks(&machine) > before + 1);
    assert!(shown("page") && shown("second"));
    assert_eq!(machine.property("status-prober", "MainPID"), process);
    assert_eq!(machine.property("status-prober", "ActiveState"), "active");
}

#[test]
fn an_upgrade_refuses_no_request_and_starts_nothing_that_was_stopped() {
    let Some(machine) = working() else { return };
    machine.write(
        "/root/visit",
        "while [ ! -e /run/enough ]; do
            curl -sS -o /dev/null -w '%{http_code}\\n' --max-time 60 http://127.0.0.1:8080/api/status
        done >/run/answers 2>&1",
    );
    machine.run("systemd-run --quiet --unit=visitor bash /root/visit");
    let answers = || machine.try_run("cat /run/answers").stdout.len();
    eventually("the visitor is at work", || answers() > 100);
    let before = ["status-prober", "status-api"].map(|unit| (unit, machine.property(unit, "MainPID")));
    machine.run(INSTALL);
    for (unit, process) in &before {
        another_process(&machine, unit, process);
    }
    let so_far = answers();
    eventually("the visitor is answered by the new one", || answers() > so_far + 100);
    machine.run("touch /run/enough");
    eventually("the visitor is done", || machine.property("visitor", "ActiveState") == "inactive");
    let answers = machine.run("sort /run/answers | uniq --count");
    assert!(answers.ends_with(" 200") && answers.lines().count() == 1, "{answers}");

    machine.run("systemctl stop status-prober");
    machine.run(INSTALL);
    assert_eq!(machine.property("status-prober", "ActiveState"), "inactive");
    assert_eq!(machine.property("status-prober", "UnitFileState"), "enabled");
    assert_eq!(machine.property("status-api", "ActiveState"), "active");
}

#[test]
fn a_removal_keeps_what_was_configured_and_a_purge_leaves_nothing_but_the_data() {
    let Some(machine) = working() else { return };
    let remove = "dpkg --force-unsafe-io";
    machine.run(&format!("{remove} --remove status-prober status-api 2>&1"));
    assert!(!machine.try_run("pgrep -f '/usr/bin/status-'").status.success(), "something still runs");
    assert!(!machine.try_run("curl -s 127.0.0.1:8080/healthz").status.success(), "something still listens");
    let recorded = checks(&machine);

    // It comes back as it was.
    machine.run(INSTALL);
    are_at_work(&machine);
    assert!(checks(&machine) > recorded);

    machine.write("/etc/status-monitor/logo.svg", "<svg/>");
    let said = machine.run(&format!("{remove} --purge status-prober status-api 2>&1"));
    let recorded = checks(&machine);
    assert!(recorded > 0);
    assert!(said.contains("/etc/status-monitor/logo.svg stays"), "{said}");
    let find = "find /etc /usr /var /run /tmp -xdev ( -name '*status-prober*' -o -name '*status-api*' -o -name '*status-monitor*' )";
    let find = find.replace('(', "\\(").replace(')', "\\)");
    assert_eq!(machine.run(&find), "/etc/status-monitor");
    assert_eq!(machine.run("ls /etc/status-monitor"), "logo.svg");
    let listed = machine
        .run("dpkg-query --show --showformat='${Package} ${Status}\\n' 'status-*' 2>/dev/null || true");
    assert_eq!(listed, "");
    let units = machine.run("systemctl list-units --all --no-legend 'status-*'; systemctl list-unit-files --no-legend 'status-*' || true");
    assert_eq!(units, "");
    assert_eq!(checks(&machine), recorded);
}
