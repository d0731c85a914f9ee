//! The api of a release build, and connections that ask it no more than its answers need.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use shared::testing::{free_port, history::History};

/// A running status-api; killed when dropped.
pub(crate) struct Api {
    pub(crate) child: Child,
    address: String,
}

impl Api {
    pub(crate) fn start(url: &str) -> Api {
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new(env!("CARGO_BIN_EXE_status-api"));
        command.args(["--listen", &address]).env_clear().env("DATABASE_URL", url).env("RUST_LOG", "error");
        Api { child: command.stdin(Stdio::null()).spawn().unwrap(), address }
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(&self.address).unwrap()
    }

    /// Looks every millisecond.
    pub(crate) fn wait_for_services(&self, services: u32) {
        let last = format!("\"id\":\"{}\"", History::id(services - 1));
        let end = Instant::now() + Duration::from_secs(60);
        let mut connection = None;
        loop {
            match &mut connection {
                None => connection = Connection::open(&self.address).ok(),
                Some(connection) => {
                    let ready = connection.get("/readyz").status == 200;
                    if ready && connection.get("/api/status").body.contains(&last) {
                        return;
                    }
                }
            }
            assert!(Instant::now() < end, "the services are not listed");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// One kept-alive connection that asks for identity: no more of HTTP than the api's answers need.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    tag: String,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Connection {
    pub(crate) fn open(address: &str) -> std::io::Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Connection { stream: BufReader::with_capacity(1 << 16, stream), tag: String::new() })
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.ask(path, "")
    }

    /// Without a body where nothing changed since the last answer.
    pub(crate) fn get_if_new(&mut self, path: &str) -> Answer {
        let known = format!("If-None-Match: {}\r\n", self.tag);
        self.ask(path, &known)
    }

    fn ask(&mut self, path: &str, header: &str) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n");
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let status = self.line().split(' ').nth(1).unwrap().parse().unwrap();
        let mut length = 0;
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap(),
                "etag" => value.trim().clone_into(&mut self.tag),
                _ => {}
            }
        }
        let mut body = vec![0; if status == 304 { 0 } else { length }];
        self.stream.read_exact(&mut body).unwrap();
        Answer { status, body: String::from_utf8(body).unwrap() }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line
    }
}
