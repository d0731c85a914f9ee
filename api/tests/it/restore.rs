//! Backup and restore as `deploy/README.md` tells them, command for command, but for `sudo` and paths.

use std::{fs, path::Path, process::Command, thread};

use shared::testing::{Cluster, eventually, root};
use tempfile::TempDir;

use crate::{
    api::Api,
    statistics::{compare, five_services_file},
    together::{Prober, dump, migrate_by_program, program},
};

/// Where the commands are run: a server of its own, since they make roles, and a folder for the dump.
struct Place {
    cluster: Cluster,
    folder: TempDir,
}

impl Place {
    fn new() -> Place {
        Place { cluster: Cluster::start(&[]), folder: tempfile::tempdir().unwrap() }
    }

    fn url(&self, database: &str) -> String {
        self.cluster.url(database, "status_prober")
    }

    /// Runs it as the operator does, with another name for the database `status`.
    fn run(&self, command: &str, database: &str) {
        let credential = self.folder.path().join(format!("{database}.database-url"));
        fs::write(&credential, self.url(database)).unwrap();
        let command = command
            .replace("sudo -u postgres ", "")
            .replace("sudo ", "")
            .replace("-d status ", &format!("-d {database} "))
            .replace("template0 status", &format!("template0 {database}"))
            .replace("/usr/share/status-monitor", &root().join("deploy").display().to_string())
            .replace("/etc/status-monitor/prober.database-url", &credential.display().to_string());
        let url = self.cluster.url(database, "postgres");
        let host = url.split(['@', ':']).nth(2).unwrap().replace("%2F", "/");
        let programs = program().parent().map(Path::to_owned).unwrap();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        let output = Command::new("sh")
            .args(["-ec", &command])
            .current_dir(self.folder.path())
            .envs([("PGHOST", &*host), ("PGUSER", "postgres"), ("PATH", &path)])
            .output()
            .unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !complaints.contains("rror"), "{command}: {complaints}");
    }
}

/// The commands of the blocks under this heading of the manual.
fn blocks(heading: &str) -> Vec<Vec<String>> {
    let manual = fs::read_to_string(root().join("deploy/README.md")).unwrap();
    let section = manual.split(heading).nth(1).unwrap().split("\n## ").next().unwrap();
    let blocks = section.split("```sh\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().lines().map(str::to_owned).collect()).collect()
}

/// More than half a year of every service: older than what retention keeps.
const HISTORY: &str = "
    SELECT setseed(0.3);
    INSERT INTO service_checks (service_id, timestamp, status, response_time)
    SELECT (ARRAY['main', 'files', 'git', 'pass', 'ssh'])[1 + n % 5], now() - n * INTERVAL '4 hours' * random(),
           (ARRAY['online', 'online', 'degraded', 'offline'])[1 + (random() * 3)::int], n % 900
    FROM generate_series(1, 1500) n";

fn services() -> String {
    format!("retries = 0\n{}", five_services_file("http://127.0.0.1:1/"))
}

/// With a check more of each service; every figure is that of plain SQL.
fn both_programs_go_on(place: &Place, database: &str) {
    let mut client = place.cluster.connect(database);
    let mut count = || client.query_one("SELECT count(*) FROM service_checks", &[]).unwrap().get::<_, i64>(0);
    let before = count();
    let prober = Prober::start(&services(), &place.url(database));
    let api = Api::start(Some(&place.cluster.url(database, "status_api")), &[]);
    eventually("a check more of every service", || count() == before + 5);
    let log = prober.end();
    assert!(log.iter().all(|line| !line.contains("database: duplicate")), "{log:#?}");
    compare(&api, &mut client);
    assert_eq!(api.end(), [""; 0]);
}

/// Until old checks are removed.
fn retention_goes_on(place: &Place, database: &str) {
    let prober = Prober::start(&format!("retention = \"91d\"\n{}", services()), &place.url(database));
    prober.logged("are removed; their counts stay");
    prober.end();
}

#[test]
fn what_was_backed_up_is_restored_as_the_manual_says_all_of_it_or_the_checks_alone() {
    let place = Place::new();
    let blocks = blocks("## Back up and restore\n");
    let [back_up, all, checks] = &blocks[..] else { panic!("{blocks:#?}") };
    let create = |database: &str| all[..2].iter().for_each(|command| place.run(command, database));

    create("status");
    migrate_by_program(&place.url("status"));
    place.cluster.connect("status").batch_execute(HISTORY).unwrap();
    both_programs_go_on(&place, "status");
    place.run(&back_up[0], "status");

    all.iter().for_each(|command| place.run(command, "whole"));
    let content = |database| dump(&place.cluster.url(database, "postgres"));
    assert_eq!(content("whole"), content("status"));
    both_programs_go_on(&place, "whole");

    for fresh in ["counted", "uncounted"] {
        create(fresh);
        migrate_by_program(&place.url(fresh));
    }
    let ways = [("status", false), ("whole", true), ("counted", false), ("uncounted", true)];
    thread::scope(|scope| {
        for (database, triggers_off) in ways {
            let place = &place;
            scope.spawn(move || {
                let in_place = !database.ends_with("counted");
                if in_place {
                    retention_goes_on(place, database);
                }
                for command in &checks[usize::from(!in_place)..] {
                    let with = if triggers_off { "--data-only --disable-triggers" } else { "--data-only" };
                    place.run(&command.replace("--data-only", with), database);
                }
                both_programs_go_on(place, database);
            });
        }
    });
}
