//! The packages hold exactly what they should, with these rights, and say so.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, OnceLock, PoisonError},
};

/// The root of the checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Whether the tests that take longer were asked for.
pub(crate) fn long() -> bool {
    std::env::var_os("STATUS_TEST_LONG").is_some()
}

/// Where both packages lie, built once: in the long tests as for a release.
pub(crate) fn packages() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages");
        fs::remove_dir_all(&folder).ok();
        let mut script = Command::new(root().join("deploy/package"));
        script.args(["--output".as_ref(), folder.as_os_str()]).args((!long()).then_some("--dev"));
        // What cargo tells a test is not meant for the programs that this one has built.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name != "CARGO_HOME") {
            if name.to_str().is_some_and(|name| name.starts_with("CARGO")) {
                script.env_remove(name);
            }
        }
        let built = script.stdout(Stdio::null()).status().unwrap();
        assert!(built.success(), "deploy/package failed, see above");
        folder
    })
}

/// The file of a package.
pub(crate) fn package(name: &str) -> PathBuf {
    let is_it = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{name}_"));
    fs::read_dir(packages()).unwrap().map(|entry| entry.unwrap().path()).find(is_it).unwrap()
}

/// What a program prints; it must succeed.
pub(crate) fn printed(command: &mut Command) -> String {
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The folder of a package, unpacked once as dpkg would, its control files in `DEBIAN`.
pub(crate) fn unpacked(name: &str) -> PathBuf {
    static UNPACKED: Mutex<()> = Mutex::new(());
    let package = package(name);
    let folder = package.with_file_name(name);
    let _one = UNPACKED.lock().unwrap_or_else(PoisonError::into_inner);
    if !folder.exists() {
        printed(Command::new("dpkg-deb").arg("--raw-extract").args([&package, &folder]));
    }
    folder
}

const PROBER: &str = "
    -rw-r--r-- etc/status-monitor/services.toml
    -rwxr-xr-x usr/bin/status-prober
    -rw-r--r-- usr/share/bash-completion/completions/status-prober
    -rw-r--r-- usr/share/doc/status-prober/README.md
    -rw-r--r-- usr/share/doc/status-prober/changelog.Debian.gz
    -rw-r--r-- usr/share/doc/status-prober/changelog.gz
    -rw-r--r-- usr/share/doc/status-prober/copyright
    -rw-r--r-- usr/share/fish/vendor_completions.d/status-prober.fish
    -rw-r--r-- usr/share/man/man1/status-prober-check-config.1.gz
    -rw-r--r-- usr/share/man/man1/status-prober-migrate.1.gz
    -rw-r--r-- usr/share/man/man1/status-prober-once.1.gz
    -rw-r--r-- usr/share/man/man1/status-prober-recount.1.gz
    -rw-r--r-- usr/share/man/man1/status-prober-run.1.gz
    -rw-r--r-- usr/share/man/man1/status-prober.1.gz
    -rw-r--r-- usr/share/status-monitor/roles.sql
    -rw-r--r-- usr/share/zsh/vendor-completions/_status-prober";

const API: &str = "
    -rw-r--r-- etc/status-monitor/page.toml
    -rwxr-xr-x usr/bin/status-api
    -rw-r--r-- usr/share/bash-completion/completions/status-api
    -rw-r--r-- usr/share/doc/status-api/README.md
    -rw-r--r-- usr/share/doc/status-api/changelog.Debian.gz
    -rw-r--r-- usr/share/doc/status-api/changelog.gz
    -rw-r--r-- usr/share/doc/status-api/copyright
    -rw-r--r-- usr/share/fish/vendor_completions.d/status-api.fish
    -rw-r--r-- usr/share/man/man1/status-api.1.gz
    -rw-r--r-- usr/share/status-monitor/caddy/locations.caddy
    -rw-r--r-- usr/share/status-monitor/caddy/site.caddy
    -rw-r--r-- usr/share/status-monitor/grafana/service-status-monitor.json
    -rw-r--r-- usr/share/status-monitor/nginx/locations.conf
    -rw-r--r-- usr/share/status-monitor/nginx/site.conf
    -rw-r--r-- usr/share/status-monitor/nginx/upstream.conf
    -rw-r--r-- usr/share/status-monitor/prometheus/scrape.yml
    -rw-r--r-- usr/share/status-monitor/prometheus/status-monitor.rules.yml
    -rw-r--r-- usr/share/zsh/vendor-completions/_status-api";

#[test]
fn each_package_holds_this_and_nothing_else() {
    for (name, expected) in [("status-prober", PROBER), ("status-api", API)] {
        let mut expected: Vec<String> = expected.trim().lines().map(|line| line.trim().to_owned()).collect();
        expected.extend(units(name).iter().map(|unit| format!("-rw-r--r-- usr/lib/systemd/system/{unit}")));
        let mut found = Vec::new();
        for line in printed(Command::new("dpkg-deb").arg("--contents").arg(package(name))).lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (mode, owner, path) = (words[0], words[1], words[words.len() - 1].trim_start_matches("./"));
            assert!(["0/0", "root/root"].contains(&owner), "{line}");
            if mode.starts_with('d') {
                assert_eq!(mode, "drwxr-xr-x", "{line}");
            } else {
                found.push(format!("{mode} {path}"));
            }
        }
        expected.sort_by(|a, b| a[11..].cmp(&b[11..]));
        found.sort_by(|a, b| a[11..].cmp(&b[11..]));
        assert_eq!(found, expected, "{name}");
    }
}

/// The units of a program in `deploy/`, whatever their number.
fn units(program: &str) -> Vec<String> {
    let names = fs::read_dir(root().join("deploy")).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    let units: Vec<String> = names.filter(|name| name.starts_with(&format!("{program}."))).collect();
    assert!(units.contains(&format!("{program}.service")));
    units
}

#[test]
fn what_an_administrator_edits_survives_upgrades() {
    for (name, file) in [("status-prober", "services.toml"), ("status-api", "page.toml")] {
        let conffiles = fs::read_to_string(unpacked(name).join("DEBIAN/conffiles")).unwrap();
        assert_eq!(conffiles.trim(), format!("/etc/status-monitor/{file}"));
    }
}

#[test]
fn the_control_file_names_what_is_needed_and_who_answers_for_it() {
    for name in ["status-prober", "status-api"] {
        let field = |field: &str| {
            let value = printed(Command::new("dpkg-deb").arg("--field").arg(package(name)).arg(field));
            value.trim_end().to_owned()
        };
        assert_eq!(field("Package"), name);
        assert_eq!(field("Version"), concat!(env!("CARGO_PKG_VERSION"), "-1"));
        assert_eq!(field("Section"), "net");
        assert!(field("Maintainer").contains('@'));
        // The C library, and nothing that a machine may lack.
        assert!(field("Depends").starts_with("libc6 (>= "), "{}", field("Depends"));
        assert!(!field("Depends").contains(','), "{}", field("Depends"));
        assert_eq!(field("Recommends"), "ca-certificates");
        let description = field("Description");
        assert!(description.lines().all(|line| line.len() <= 80), "{description}");
    }
}

#[test]
fn maintainer_scripts_pass_shellcheck() {
    for name in ["status-prober", "status-api"] {
        let folder = unpacked(name);
        for script in ["preinst", "postinst", "prerm", "postrm"] {
            printed(Command::new("shellcheck").arg(folder.join("DEBIAN").join(script)));
        }
    }
}

#[test]
fn programs_come_without_what_only_a_debugger_reads_and_run() {
    for name in ["status-prober", "status-api"] {
        let folder = unpacked(name);
        let program = folder.join("usr/bin").join(name);
        let sections = printed(Command::new("readelf").args(["--sections", "--wide"]).arg(&program));
        assert!(!sections.contains(".debug_info") && !sections.contains(".symtab"), "{name}");
        let dynamic = printed(Command::new("readelf").arg("--dynamic").arg(&program));
        assert!(!dynamic.contains("RUNPATH") && !dynamic.contains("RPATH"), "{name}");
        assert_eq!(
            printed(Command::new(&program).arg("--version")),
            format!("{name} {}\n", env!("CARGO_PKG_VERSION"))
        );
    }
}
