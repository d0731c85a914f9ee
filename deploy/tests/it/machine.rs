//! A machine to boot and to break: systemd in a container over a throw-away copy of this machine's files, with a
//! network of its own and none of this machine's services. Its mounts live in a namespace of its own and end with it.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::packages::{long, packages, root};

/// One at a time: each takes its part of this machine.
static ONE: Mutex<()> = Mutex::new(());

/// Lies over this machine's files, in memory, and boots to where services may be started; none of this machine's are.
const BOOT: &str = r#"
    set -e
    mount -t tmpfs -o mode=755 tmpfs "$1"
    mkdir "$1/upper" "$1/work" "$1/root"
    mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
    rm -f "$1/root/usr/sbin/policy-rc.d"
    for unit in postgresql nginx caddy pgbouncer; do
        ln -sf /dev/null "$1/root/etc/systemd/system/$unit.service"
    done
    exec systemd-nspawn --quiet --register=no --keep-unit --link-journal=no --private-network --directory="$1/root" \
        --bind-ro="$2:/mnt/deploy" --bind-ro="$3:/mnt/packages" --boot -- --unit=basic.target"#;

/// A machine that runs.
pub(crate) struct Machine {
    container: Child,
    /// Its first process, as this machine sees it.
    leader: u32,
    folder: tempfile::TempDir,
    _one: MutexGuard<'static, ()>,
}

impl Machine {
    /// Boots one; `None` where that was not asked for or can't be done, with a line that says so.
    pub(crate) fn boot() -> Option<Machine> {
        if let Err(reason) = possible() {
            println!("not tried, because {reason}");
            return None;
        }
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let packages = packages();
        let folder = tempfile::tempdir().unwrap();
        let log = tempfile::NamedTempFile::new().unwrap();
        let container = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "setpriv", "--pdeathsig", "KILL"])
            .args(["bash", "-c", BOOT, "boot"])
            .args([folder.path(), &root().join("deploy"), packages])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.reopen().unwrap())
            .spawn()
            .unwrap();
        let mut machine = Machine { container, leader: 0, folder, _one: one };
        eventually("the container starts", || {
            let ended = machine.container.try_wait().unwrap();
            assert!(ended.is_none(), "systemd-nspawn ended: {}", fs::read_to_string(&log).unwrap());
            machine.leader = child_of(machine.container.id()).unwrap_or(0);
            machine.leader != 0
        });
        eventually("systemd has started", || {
            let state = machine.try_run("systemctl is-system-running");
            ["running\n", "degraded\n"].contains(&&*String::from_utf8_lossy(&state.stdout))
        });
        Some(machine)
    }

    /// Runs a script of bash in it, and gives what came of it.
    pub(crate) fn try_run(&self, script: &str) -> Output {
        self.inside(script).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs a script that must succeed, and gives what it printed.
    pub(crate) fn run(&self, script: &str) -> String {
        let output = self.try_run(script);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {}\n{said}\n{}", output.status, self.journal());
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Writes a file that only root of the machine can read.
    pub(crate) fn write(&self, path: &str, content: &str) {
        let mut install = self.inside(&format!("install -D -m 600 /dev/stdin {path}"));
        let mut child = install.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(content.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{path}");
    }

    /// What a unit is, by the name of a property of systemd's.
    pub(crate) fn property(&self, unit: &str, name: &str) -> String {
        self.run(&format!("systemctl show --value --property={name} {unit}"))
    }

    /// What was logged since it booted.
    pub(crate) fn journal(&self) -> String {
        let log = self.try_run("journalctl --boot --no-pager --lines=60 -u 'status-*' -u database");
        String::from_utf8_lossy(&log.stdout).into_owned()
    }

    fn inside(&self, script: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args([
            "--target",
            &self.leader.to_string(),
            "--mount",
            "--uts",
            "--ipc",
            "--net",
            "--pid",
            "--",
        ]);
        command.args(["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root"]);
        command.args(["DEBIAN_FRONTEND=noninteractive", "bash", "-c", script]);
        command
    }
}

impl Drop for Machine {
    /// Without any order: nothing of it is kept. With its first process every other ends, and so do its mounts.
    fn drop(&mut self) {
        match self.leader {
            // Never process 0: that is whoever asks.
            0 => self.container.kill().ok(),
            leader => Command::new("kill").args(["-s", "KILL", &leader.to_string()]).status().ok().map(drop),
        };
        self.container.wait().ok();
        let folder = self.folder.path();
        assert!(fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none()), "a mount stayed");
    }
}

fn possible() -> Result<(), &'static str> {
    let have = |program: &str| {
        let look =
            Command::new("sh").args(["-c", "command -v \"$0\"", program]).stdout(Stdio::null()).status();
        look.is_ok_and(|found| found.success())
    };
    if !long() {
        return Err("it takes longer: deploy/test --long does");
    }
    if !Path::new("/etc/debian_version").exists() {
        return Err("this is no Debian or Ubuntu");
    }
    if !["dpkg", "deb-systemd-helper", "systemd-nspawn", "nsenter", "curl"].into_iter().all(have) {
        return Err("one of dpkg, deb-systemd-helper, systemd-nspawn, nsenter and curl is missing");
    }
    let overlay = r#"d=$(mktemp -d) && mount -t tmpfs tmpfs "$d" && mkdir "$d/u" "$d/w" "$d/r" &&
        mount -t overlay -o "lowerdir=/,upperdir=$d/u,workdir=$d/w" overlay "$d/r"; code=$?
        umount "$d/r" "$d" 2>/dev/null; rmdir "$d"; exit $code"#;
    let mut lies_over = Command::new("unshare");
    lies_over.args(["--mount", "--propagation", "private", "sh", "-c", overlay]).stderr(Stdio::null());
    match lies_over.status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err("a container can't lie over this machine's files: it takes root, and a kernel that lets it"),
    }
}

fn child_of(process: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).ok()?;
    let child = children.split_whitespace().next()?.parse().ok()?;
    // Not before it is systemd.
    let name = fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
    (name.trim() == "systemd").then_some(child)
}

/// Waits until `condition` holds, for at most two minutes; then the test fails with `what`.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(120);
    while !condition() {
        assert!(Instant::now() < end, "not within two minutes: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
