//! systemd's side of a service for tests: what it is told, and threads that stand still.

use std::{
    fs, io,
    os::unix::net::UnixDatagram,
    path::PathBuf,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        ptrace,
        wait::{WaitPidFlag, waitpid},
    },
    unistd::Pid,
};
use tempfile::TempDir;

/// What a service of `Type=notify` tells.
pub struct Notified {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Notified {
    /// Listens from now on.
    pub fn listen() -> Notified {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let socket = UnixDatagram::bind(folder.path().join("notify")).expect("a socket in it");
        Notified { socket, folder }
    }

    /// What `NOTIFY_SOCKET` is to be.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("notify")
    }

    /// The next message; waits for it for at most a minute.
    pub fn next(&self) -> String {
        self.within(Duration::from_secs(60)).expect("nothing was told for a minute")
    }

    /// The next message that contains `text`.
    pub fn next_with(&self, text: &str) -> String {
        let end = Instant::now() + Duration::from_secs(60);
        let mut others = Vec::new();
        while Instant::now() < end {
            match self.within(Duration::from_secs(1)) {
                Some(message) if message.contains(text) => return message,
                message => others.extend(message),
            }
        }
        panic!("nothing with {text:?} was told, only: {others:#?}")
    }

    /// Waits until no message with `text` came for `time`; at most a minute.
    pub fn silence(&self, text: &str, time: Duration) {
        let end = Instant::now() + Duration::from_secs(60);
        let mut heard = Instant::now();
        while heard.elapsed() < time {
            assert!(Instant::now() < end, "{text:?} is told again and again");
            if self.within(Duration::from_millis(100)).is_some_and(|message| message.contains(text)) {
                heard = Instant::now();
            }
        }
    }

    fn within(&self, time: Duration) -> Option<String> {
        let mut buffer = [0; 4096];
        self.socket.set_read_timeout(Some(time)).expect("a time above zero");
        match self.socket.recv(&mut buffer) {
            Ok(length) => Some(String::from_utf8_lossy(&buffer[..length]).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => panic!("the socket of NOTIFY_SOCKET: {error}"),
        }
    }
}

/// A single thread of another process that stands still, until this is dropped: by the thread that halted it, as
/// ptrace(2) wants it.
pub struct Halted(Pid);

impl Halted {
    /// Halts every thread of a process whose name begins so; there is at least one.
    pub fn threads(process: u32, name: &str) -> Vec<Halted> {
        let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("the threads of the process");
        let named = tasks.flatten().filter(|task| {
            fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.starts_with(name))
        });
        let ids = named.filter_map(|task| task.file_name().to_str()?.parse().ok());
        let halted: Vec<_> = ids.map(|id| Halted::thread(Pid::from_raw(id))).collect();
        assert!(!halted.is_empty(), "no thread {name} in {process}");
        halted
    }

    fn thread(id: Pid) -> Halted {
        ptrace::seize(id, ptrace::Options::empty()).expect("the right to trace a process of one's own");
        ptrace::interrupt(id).expect("a thread that is traced");
        waitpid(id, Some(WaitPidFlag::__WALL)).expect("a thread that stops");
        Halted(id)
    }
}

impl Drop for Halted {
    fn drop(&mut self) {
        // The process may be gone.
        ptrace::detach(self.0, None).ok();
    }
}
