//! A test apart from the machine: what it mounts or cuts is nobody else's, and goes with its last process.

use std::{
    fs,
    io::Write,
    panic::resume_unwind,
    path::{Path, PathBuf},
    process::Command,
};

use nix::sched::{CloneFlags, unshare};

/// Runs a test, or a part of it, in a thread that has mounts and a network of its own (loopback alone), and so have the
/// threads and processes that it starts. Where the machine does not allow it, it says so, and `None` is what comes of it.
pub fn apart<T: Send>(test: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let apart = scope.spawn(|| match enter() {
            Ok(()) => Some(test()),
            Err(reason) => {
                println!("skipped: {reason}");
                None
            }
        });
        apart.join().unwrap_or_else(|panicked| resume_unwind(panicked))
    })
}

/// Lays a file over another, for who is [`apart`].
pub fn lay_over(file: &Path, other: &str) {
    let file = file.to_str().expect("a name in UTF-8");
    done("mount", &["--bind", file, other]).expect("a mount of the test's own");
}

fn enter() -> Result<(), String> {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET)
        .map_err(|error| format!("no namespaces of a test's own: {error}"))?;
    done("mount", &["--make-rprivate", "/"])?;
    done("ip", &["link", "set", "lo", "up"])
}

fn done(program: &str, arguments: &[&str]) -> Result<(), String> {
    match Command::new(program).args(arguments).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} {}: {status}", arguments.join(" "))),
        Err(error) => Err(format!("{program}: {error}")),
    }
}

/// A file system in memory that is soon full; goes when it is dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    pub(super) fn at(folder: &Path, mebibytes: u32) -> SmallDisk {
        let options = format!("size={mebibytes}m,mode=711");
        let folder_name = folder.to_str().expect("a folder in UTF-8");
        done("mount", &["-t", "tmpfs", "-o", &options, "none", folder_name])
            .expect("a mount of the test's own");
        SmallDisk(folder.to_owned())
    }

    /// Leaves no room for anybody.
    pub fn fill(&self) {
        let mut filler = fs::File::create(self.filler()).expect("a file");
        while filler.write_all(&[0; 4096]).is_ok() {}
    }

    /// Takes that back.
    pub fn make_room(&self) {
        fs::remove_file(self.filler()).expect("the file that fills it");
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(&self.0).status().ok();
    }
}
