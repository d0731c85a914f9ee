//! The real status-api on a port of its own, and a client that asks it.

use std::{
    io::{Read, Write},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use serde_json::Value;
use shared::testing::{Log, eventually};

/// A running status-api; killed when dropped.
pub(crate) struct Api {
    child: Child,
    pub(crate) address: String,
    log: Log,
}

/// What it answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) body: String,
    /// The body as it travelled.
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The content, whatever it was encoded by.
    pub(crate) fn content(&self) -> Vec<u8> {
        let mut content = Vec::new();
        match self.header("content-encoding") {
            "gzip" => flate2::read::GzDecoder::new(&self.bytes[..]).read_to_end(&mut content).unwrap(),
            "br" => brotli::Decompressor::new(&self.bytes[..], 4096).read_to_end(&mut content).unwrap(),
            other => {
                assert_eq!(other, "");
                content.write(&self.bytes).unwrap()
            }
        };
        content
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Api {
    /// Starts it on a free port and waits until it listens.
    pub(crate) fn start(database_url: Option<&str>, arguments: &[&str]) -> Api {
        Api::start_on("127.0.0.1:0", database_url, arguments)
    }

    pub(crate) fn start_on(listen: &str, database_url: Option<&str>, arguments: &[&str]) -> Api {
        let mut command = Command::new(env!("CARGO_BIN_EXE_status-api"));
        command.args(["--listen", listen]).args(arguments).env_clear().env("RUST_BACKTRACE", "1");
        if let Some(url) = database_url {
            command.env("DATABASE_URL", url);
        }
        Api::of(command.stdin(Stdio::null()))
    }

    /// The one that this command starts.
    pub(crate) fn of(command: &mut Command) -> Api {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = Log::of(child.stderr.take().unwrap());
        let mut api = Api { child, address: String::new(), log };
        let line = api.logged("listening on ");
        api.address = line.split("listening on ").nth(1).unwrap().to_owned();
        api
    }

    /// The first line of the log that contains `text`.
    pub(crate) fn logged(&self, text: &str) -> String {
        self.log.line_with(text)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[])
    }

    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        ask(method, &format!("{}{path}", self.address), headers)
    }

    pub(crate) fn status(&self) -> Value {
        let answer = self.get("/api/status");
        assert_eq!(answer.status, 200);
        answer.json()
    }

    /// Waits until the JSON fulfils the condition, and gives it.
    pub(crate) fn status_when(&self, what: &str, mut condition: impl FnMut(&Value) -> bool) -> Value {
        let mut status = Value::Null;
        eventually(what, || {
            status = self.status();
            condition(&status)
        });
        status
    }

    /// Ends it in order, and gives the lines of its log that tell of trouble.
    pub(crate) fn end(mut self) -> Vec<String> {
        self.signal("TERM");
        self.wait();
        let mut lines = self.log.to_the_end();
        lines.retain(|line| line.contains(" WARN ") || line.contains(" ERROR "));
        lines
    }

    /// The number of the process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Asks once, follows nothing, and believes any certificate.
pub(crate) fn ask(method: &str, url: &str, headers: &[(&str, &str)]) -> Answer {
    try_to_ask(method, url, headers).unwrap_or_else(|error| panic!("{method} {url}: {error}"))
}

/// The same, of somebody who may not be there yet.
pub(crate) fn try_to_ask(method: &str, url: &str, headers: &[(&str, &str)]) -> Result<Answer, ureq::Error> {
    ask_by(&client(), method, url, headers)
}

/// A client that keeps its connections.
pub(crate) fn client() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(Duration::from_secs(10)))
        .proxy(None)
        .tls_config(ureq::tls::TlsConfig::builder().disable_verification(true).build())
        .build()
        .into()
}

/// Asks by this client.
pub(crate) fn ask_by(
    client: &ureq::Agent,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
) -> Result<Answer, ureq::Error> {
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut response = client.run(request.body(())?)?;
    let bytes = response.body_mut().read_to_vec()?;
    let body = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Answer { status: response.status().as_u16(), headers: response.headers().clone(), body, bytes })
}

/// A service that is checked every hour, so that it does not grow stale within a test.
pub(crate) fn publish_service(client: &mut postgres::Client, id: &str, position: i32) {
    client
        .execute(
            "INSERT INTO status_services (id, position, name, link, interval_ms, timeout_ms, slow_after_ms,
                                          tries_take_ms, beat)
             VALUES ($1::text, $2, $1::text || '.example.org', 'https://' || $1::text || '.example.org',
                     3600000, 10000, 5000, 22000, now())",
            &[&id, &position],
        )
        .unwrap();
    client.execute("UPDATE status_services_file SET revision = revision + 1", &[]).unwrap();
}

/// A prober's heartbeat that lies `age` in the past, like `'5 s'`.
pub(crate) fn heartbeat(client: &mut postgres::Client, age: &str) {
    client
        .batch_execute(&format!(
            "INSERT INTO status_probers (id, version, heartbeat_at)
             VALUES ('00000000-0000-0000-0000-000000000001', 'test', clock_timestamp() - INTERVAL '{age}')
             ON CONFLICT (id) DO UPDATE SET heartbeat_at = EXCLUDED.heartbeat_at"
        ))
        .unwrap();
}

/// One check, `age` ago.
pub(crate) fn check(client: &mut postgres::Client, id: &str, age: &str, status: &str) {
    client
        .execute(
            "INSERT INTO service_checks (service_id, timestamp, status, response_time, status_code)
             VALUES ($1, now() - $2::text::interval, $3, 143, 200)",
            &[&id, &age, &status],
        )
        .unwrap();
}
