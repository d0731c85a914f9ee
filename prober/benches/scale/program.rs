//! The prober as a process of its own: started, watched in /proc, ended; and what it said.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use shared::testing::bench::resident_mib;
use tempfile::TempDir;

use crate::load::Load;

const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How the prober is started.
#[derive(Default)]
pub(crate) struct Setting {
    /// Where it records; nowhere without.
    pub(crate) database: Option<String>,
    /// Whom it trusts instead of this machine's authorities.
    pub(crate) trusted: Option<PathBuf>,
    /// What stands in place of /etc/resolv.conf.
    pub(crate) resolv_conf: Option<PathBuf>,
}

/// A running prober.
pub(crate) struct Program {
    child: Child,
    folder: TempDir,
}

/// What a process held at a time, or at the most.
#[derive(Clone, Copy, Default)]
pub(crate) struct Weight {
    pub(crate) resident_mib: f64,
    pub(crate) threads: usize,
    pub(crate) descriptors: usize,
}

impl Program {
    pub(crate) fn start(load: &Load, port: u16, setting: &Setting) -> Program {
        let folder = tempfile::tempdir().unwrap();
        let (services, log) = (folder.path().join("services.toml"), folder.path().join("log"));
        fs::write(&services, load.file(port)).unwrap();
        let mut command = command(setting.resolv_conf.as_deref());
        command.args(["run", "--config"]).arg(services);
        command.arg("--state-dir").arg(folder.path().join("state"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.envs(setting.database.as_ref().map(|url| ("DATABASE_URL", url)));
        command.envs(setting.trusted.as_ref().map(|file| ("SSL_CERT_FILE", file)));
        fs::create_dir(folder.path().join("state")).unwrap();
        command.stdin(Stdio::null()).stderr(fs::File::create(log).unwrap());
        Program { child: command.spawn().unwrap(), folder }
    }

    /// Lets it run for this long and looks at it now and then; `also` does, too. Gives the most of everything.
    pub(crate) fn watch(&self, time: Duration, mut also: impl FnMut()) -> Weight {
        let (end, mut most) = (Instant::now() + time, Weight::default());
        while Instant::now() < end {
            most = most.or_more(self.weight());
            also();
            std::thread::sleep(LOOK_EVERY.min(end.saturating_duration_since(Instant::now())));
        }
        most
    }

    pub(crate) fn weight(&self) -> Weight {
        let entries = |of: &str| fs::read_dir(format!("/proc/{}/{of}", self.child.id())).unwrap().count();
        Weight {
            resident_mib: resident_mib(self.child.id()),
            threads: entries("task"),
            descriptors: entries("fd"),
        }
    }

    /// Of all its threads, in user and system mode.
    pub(crate) fn processor_seconds(&self) -> f64 {
        processor_seconds(&self.child.id().to_string(), 11)
    }

    /// Ends it in order; gives what it said.
    pub(crate) fn end(mut self) -> Said {
        Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        self.child.wait().unwrap();
        Said(fs::read_to_string(self.folder.path().join("log")).unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Weight {
    fn or_more(self, other: Weight) -> Weight {
        Weight {
            resident_mib: self.resident_mib.max(other.resident_mib),
            threads: self.threads.max(other.threads),
            descriptors: self.descriptors.max(other.descriptors),
        }
    }
}

/// Of processes that this one started and that are over.
pub(crate) fn processor_seconds_of_children() -> f64 {
    processor_seconds("self", 13)
}

/// The sum of two neighbours in /proc/PID/stat, time in user and in system mode, in hundredths of a second there.
fn processor_seconds(process: &str, first: usize) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace().skip(first).take(2);
    fields.map(|field| field.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

/// The log of a prober.
pub(crate) struct Said(String);

impl Said {
    pub(crate) fn skipped(&self) -> usize {
        self.sum("turns were skipped")
    }

    /// Checks that the end cut off.
    pub(crate) fn cut_off(&self) -> usize {
        self.sum("checks were still at work")
    }

    /// The sum of the numbers that stand before these words.
    fn sum(&self, words: &str) -> usize {
        let before = self.0.lines().filter_map(|line| line.split_once(words)).map(|(before, _)| before);
        before.filter_map(|before| before.split_whitespace().last()?.parse::<usize>().ok()).sum()
    }
}

/// With another resolv.conf, in a mount namespace of its own.
fn command(resolv_conf: Option<&Path>) -> Command {
    let program = env!("CARGO_BIN_EXE_status-prober");
    let Some(resolv_conf) = resolv_conf else { return Command::new(program) };
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", r#"mount --bind "$0" /etc/resolv.conf && exec "$@""#]);
    command.arg(resolv_conf).arg(program);
    command
}
