//! nginx as the fastest target there is: it answers every request at once, and counts them.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Child, Command},
};

use shared::testing::{eventually, free_port};
use tempfile::TempDir;

use crate::load::{ADDRESSES, address};

pub(crate) struct Nginx {
    process: Child,
    pub(crate) port: u16,
    _folder: TempDir,
}

impl Nginx {
    pub(crate) fn start() -> Nginx {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let at = folder.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {at}/{kind};\n"))
            .concat();
        let listen: String =
            (0..ADDRESSES).map(|n| format!("listen {}:{port} backlog=4096;\n", address(n))).collect();
        let text = format!(
            "daemon off; master_process off; worker_processes 1; pid {at}/pid; error_log {at}/log;
             events {{ worker_connections 8192; }}
             http {{
                 access_log off; keepalive_timeout 0;
                 {temporary}
                 server {{
                     {listen}
                     location / {{ return 200 \"\"; }}
                     location = /count {{ stub_status; }}
                 }}
             }}"
        );
        let configuration = folder.path().join("nginx.conf");
        std::fs::write(&configuration, text).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-e").arg(folder.path().join("log")).arg("-c").arg(configuration);
        let process = command
            .spawn()
            .unwrap_or_else(|error| panic!("nginx: {error}; deploy/packages --apt nginx installs it"));
        eventually("nginx listens", || TcpStream::connect((address(0).as_str(), port)).is_ok());
        Nginx { process, port, _folder: folder }
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> f64 {
        let mut stream = TcpStream::connect((address(0).as_str(), self.port)).unwrap();
        stream.write_all(b"GET /count HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let counts = answer.lines().find(|line| line.starts_with(' ')).unwrap();
        counts.split_whitespace().nth(2).unwrap().parse().unwrap()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
