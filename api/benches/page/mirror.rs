//! nginx, which serves the bytes of a page and its files as they were compressed by the api.

use std::{
    fmt::Write,
    fs,
    process::{Child, Command, Stdio},
};

use shared::testing::{eventually, free_port};
use tempfile::TempDir;

/// A file as it travels, by brotli.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) content_type: String,
    pub(crate) bytes: Vec<u8>,
}

/// A running nginx; killed when dropped.
pub(crate) struct Mirror {
    process: Child,
    pub(crate) address: String,
    _folder: TempDir,
}

impl Mirror {
    pub(crate) fn of(files: &[File]) -> Mirror {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let at = folder.path().display();
        let mut locations = String::new();
        for (n, File { path, content_type, bytes }) in files.iter().enumerate() {
            fs::write(folder.path().join(n.to_string()), bytes).unwrap();
            writeln!(
                locations,
                "location = {path} {{ alias {at}/{n}; types {{ }} default_type '{content_type}'; }}"
            )
            .unwrap();
        }
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {at}/{kind};\n"))
            .concat();
        let text = format!(
            "daemon off; master_process off; worker_processes 1; pid {at}/pid; error_log {at}/log crit;
             events {{ worker_connections 512; }}
             http {{
                 access_log off; sendfile on; open_file_cache max=10 inactive=1h; open_file_cache_valid 1h;
                 {temporary}
                 server {{
                     listen 127.0.0.1:{port};
                     add_header Cache-Control no-cache; add_header Content-Encoding br;
                     {locations}
                 }}
             }}"
        );
        let configuration = folder.path().join("nginx.conf");
        fs::write(&configuration, text).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-e").arg(folder.path().join("log")).arg("-c").arg(configuration).stdin(Stdio::null());
        let process = command.spawn().unwrap_or_else(|error| {
            panic!("nginx: {error}; deploy/packages --apt nginx installs it");
        });
        eventually("nginx listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Mirror { process, address: format!("http://127.0.0.1:{port}"), _folder: folder }
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
