//! The real status-prober as a process, with a services file of its own.

use std::{
    fmt::Write,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
};

use shared::testing::{Log, eventually};
use tempfile::TempDir;

/// A folder with a services file.
pub(crate) struct Setup {
    folder: TempDir,
    pub(crate) services: PathBuf,
}

impl Setup {
    /// A services file of this text.
    pub(crate) fn of(text: &str) -> Setup {
        let folder = tempfile::tempdir().unwrap();
        let services = folder.path().join("services.toml");
        std::fs::write(&services, text).unwrap();
        Setup { folder, services }
    }

    /// Services at these addresses (id, URL), each checked every second without retries.
    pub(crate) fn every_second(services: &[(&str, &str)]) -> Setup {
        Setup::of(&every_second(services))
    }

    pub(crate) fn replace(&self, text: &str) {
        std::fs::write(&self.services, text).unwrap();
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts the daemon.
    pub(crate) fn start(&self, database_url: Option<&str>) -> Daemon {
        let mut command = self.command(&["run"]);
        if let Some(url) = database_url {
            command.env("DATABASE_URL", url);
        }
        Daemon::start(command)
    }

    /// Where its journal is, once it is started with it.
    pub(crate) fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Starts the daemon with a folder for what outlives it.
    pub(crate) fn start_with_state(&self, database_url: &str) -> Daemon {
        Daemon::start(self.recording(database_url))
    }

    /// What starts it so.
    pub(crate) fn recording(&self, database_url: &str) -> Command {
        let mut command = self.command(&["run"]);
        command.arg("--state-dir").arg(self.state_dir()).env("DATABASE_URL", database_url);
        command
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_status-prober"));
        command.env_clear().args(arguments).arg("--config").arg(&self.services).stdin(Stdio::null());
        command
    }
}

/// The text of such a services file.
pub(crate) fn every_second(services: &[(&str, &str)]) -> String {
    let mut text = "interval = \"1s\"\ntimeout = \"500ms\"\nretries = 0\n".to_owned();
    for (id, url) in services {
        write!(text, "[[services]]\nid = \"{id}\"\nname = \"{id}\"\nurl = \"{url}\"\n").unwrap();
    }
    text
}

/// A running daemon; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    log: Log,
}

impl Daemon {
    pub(crate) fn start(mut command: Command) -> Daemon {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = Log::of(child.stderr.take().unwrap());
        Daemon { child, log }
    }

    /// The first line of the log that contains `text`.
    pub(crate) fn logged(&self, text: &str) -> String {
        self.log.line_with(text)
    }

    /// The same after the line that this gave last.
    pub(crate) fn then_logged(&self, text: &str) -> String {
        self.log.next_line_with(text)
    }

    /// Every line up to now.
    pub(crate) fn log_so_far(&self) -> Vec<String> {
        self.log.so_far()
    }

    /// Every line up to now and to the end of the process, which must have been asked for.
    pub(crate) fn rest_of_log(&self) -> Vec<String> {
        self.log.to_the_end()
    }

    /// The number of the process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Stops it where it is.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
        eventually("it stands still", || self.stands_still());
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
        eventually("it goes on", || !self.stands_still());
    }

    fn stands_still(&self) -> bool {
        let state = format!("/proc/{}/stat", self.child.id());
        std::fs::read_to_string(state).unwrap().contains(") T ")
    }

    /// Ends it by SIGTERM.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
