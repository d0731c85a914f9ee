//! Behind a real nginx and a real Caddy, with the examples of `deploy/` as they are but for addresses, names and folders.

mod cache;
mod forged;
mod restarts;
mod streams;

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use shared::testing::{Database, eventually, free_port, root};
use tempfile::TempDir;

use crate::{
    api::{Answer, Api, ask, check, heartbeat, publish_service, try_to_ask},
    browser::{Habits, Visitor},
    live::Live,
    samples,
};

struct Proxy {
    process: Child,
    address: String,
    _folder: TempDir,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Proxy {
    fn start(mut command: Command, folder: TempDir, address: String) -> Proxy {
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process =
            process.unwrap_or_else(|error| panic!("{command:?}: {error}; ./deploy/test installs it"));
        // Caddy makes its certificate while it already listens.
        eventually("the proxy answers", || try_to_ask("GET", &format!("{address}/status"), &[]).is_ok());
        Proxy { process, address, _folder: folder }
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[])
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        ask(method, &format!("{}{path}", self.address), headers)
    }

    /// The port of 127.0.0.1 that it listens on.
    fn port(&self) -> u16 {
        self.address.rsplit_once(':').unwrap().1.parse().unwrap()
    }
}

/// Starts an example in front of the api that listens here: an address and port, or the path of a unix socket.
type Example = fn(&str) -> Proxy;

/// Where an api listens.
fn at(api: &Api) -> &str {
    api.address.trim_start_matches("http://")
}

fn example(name: &str) -> String {
    std::fs::read_to_string(root().join("deploy").join(name)).unwrap()
}

/// What an example says is replaced by what the test has, which it must say.
fn replace(text: &str, said: &str, here: &str) -> String {
    assert!(text.contains(said), "{said} is not in {text}");
    text.replace(said, here)
}

/// `http` is what stands in nginx's http block beside `upstream.conf`.
fn nginx(folder: TempDir, address: String, to: &str, http: &str) -> Proxy {
    let at = folder.path().display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {at}/{kind};\n"))
        .concat();
    let to = if to.starts_with('/') { format!("unix:{to}") } else { to.to_owned() };
    let upstream = replace(&example("nginx/upstream.conf"), "server 127.0.0.1:8080", &format!("server {to}"));
    let upstream = replace(&upstream, "/var/cache/nginx-status", &shown(folder.path(), "cache"));
    let file = folder.path().join("nginx.conf");
    let text = format!(
        "daemon off; master_process off; pid {at}/pid; error_log {at}/log;\n\
         events {{ worker_connections 2048; }}\nhttp {{\naccess_log off;\n{temporary}\n\
         add_header X-Cache $upstream_cache_status always;\n{upstream}\n{http}\n}}\n"
    );
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder.path()).arg("-e").arg(folder.path().join("log")).arg("-c").arg(file);
    Proxy::start(command, folder, address)
}

fn nginx_locations(to: &str) -> Proxy {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let locations = example("nginx/locations.conf");
    let http =
        format!("server {{ listen 127.0.0.1:{port}; location / {{ return 200 site; }}\n{locations} }}");
    nginx(folder, format!("http://127.0.0.1:{port}"), to, &http)
}

fn nginx_site(to: &str) -> Proxy {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.path().join("chain.pem"), certificate.cert.pem()).unwrap();
    std::fs::write(folder.path().join("key.pem"), certificate.signing_key.serialize_pem()).unwrap();
    let http = example("nginx/site.conf")
        .replace("listen [::]:80;", "")
        .replace("listen [::]:443 ssl http2;", "")
        .replace("listen 80;", &format!("listen 127.0.0.1:{};", free_port()))
        .replace("listen 443 ssl http2;", &format!("listen 127.0.0.1:{port} ssl http2;"))
        .replace("status.example.com;", "localhost;")
        .replace("/etc/letsencrypt/live/status.example.com/fullchain.pem", &shown(folder.path(), "chain.pem"))
        .replace("/etc/letsencrypt/live/status.example.com/privkey.pem", &shown(folder.path(), "key.pem"));
    assert!(!http.contains("letsencrypt"), "{http}");
    nginx(folder, format!("https://localhost:{port}"), to, &http)
}

fn shown(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

fn caddy(folder: TempDir, address: String, to: &str, text: &str) -> Proxy {
    let file = folder.path().join("Caddyfile");
    let to = if to.starts_with('/') { format!("unix/{to}") } else { to.to_owned() };
    let text = replace(text, "reverse_proxy 127.0.0.1:8080 ", &format!("reverse_proxy {to} "));
    std::fs::write(
        &file,
        format!("{{\n\tadmin off\n\tskip_install_trust\n\tauto_https disable_redirects\n}}\n{text}\n"),
    )
    .unwrap();
    let mut command = Command::new("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
    command
        .env("HOME", folder.path())
        .env("XDG_DATA_HOME", folder.path())
        .env("XDG_CONFIG_HOME", folder.path());
    Proxy::start(command, folder, address)
}

fn caddy_locations(to: &str) -> Proxy {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let text = format!("http://127.0.0.1:{port} {{\n{}\nrespond site\n}}", example("caddy/locations.caddy"));
    caddy(folder, format!("http://127.0.0.1:{port}"), to, &text)
}

fn caddy_site(to: &str) -> Proxy {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let text = replace(
        &example("caddy/site.caddy"),
        "status.example.com {",
        &format!("https://localhost:{port} {{\n\ttls internal\n"),
    );
    caddy(folder, format!("https://localhost:{port}"), to, &text)
}

/// `listen` is what the api is told.
fn assert_serves(start: Example, listen: &str) {
    let database = Database::migrated();
    let mut client = database.connect();
    heartbeat(&mut client, "-1 hour");
    publish_service(&mut client, "main", 0);
    check(&mut client, "main", "1 minute", "online");
    let api = Api::start_on(listen, Some(&database.url), &[]);
    let to = at(&api).to_owned();
    let proxy = start(&to);

    // A query of its own each time, since a cache may still have what was before.
    let mut asked = 0;
    eventually("the check comes through", || {
        asked += 1;
        proxy.get(&format!("/api/status?{asked}")).json()["services"][0]["status"] == "online"
    });
    let page = proxy.get("/status?now");
    assert!(page.body.contains("All Systems Operational"));
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    for link in page.body.split('"').filter(|part| part.starts_with("/status/assets/")) {
        assert_eq!(proxy.get(link).status, 200, "{link}");
    }
    assert_eq!(proxy.get("/api/nothing").header("content-type"), "application/problem+json");
    assert_eq!(proxy.ask("POST", "/status", &[]).status, 405);
    for (form, coding) in [("gzip", "gzip"), ("br", "br"), ("identity", "")] {
        let answer = proxy.ask("GET", "/status?now", &[("Accept-Encoding", form)]);
        assert_eq!((answer.status, answer.header("content-encoding")), (200, coding));
        assert!(String::from_utf8(answer.content()).unwrap().ends_with("</html>\n"), "{form}");
        let known = [("Accept-Encoding", form), ("If-None-Match", answer.header("etag"))];
        let known = proxy.ask("GET", "/status?now", &known);
        assert_eq!((known.status, known.header("etag")), (304, answer.header("etag")), "{form}");
        let head = proxy.ask("HEAD", "/status?now", &[("Accept-Encoding", form)]);
        assert_eq!((head.status, head.header("etag"), head.body.as_str()), (200, answer.header("etag"), ""));
    }

    drop(api);
    assert_eq!(proxy.get("/status/nobody-asked-before").status, 502);
    let listen = if to.starts_with('/') { format!("unix:{to}") } else { to };
    let _back = Api::start_on(&listen, Some(&database.url), &[]);
    assert_eq!(proxy.get("/status/nobody-asked-before").status, 404);
}

#[test]
fn through_two_locations_of_an_nginx_site() {
    assert_serves(nginx_locations, "127.0.0.1:0");
}

#[test]
fn through_a_host_of_its_own_of_nginx() {
    assert_serves(nginx_site, "127.0.0.1:0");
}

#[test]
fn through_two_locations_of_a_caddy_site() {
    assert_serves(caddy_locations, "127.0.0.1:0");
}

#[test]
fn through_a_host_of_its_own_of_caddy() {
    assert_serves(caddy_site, "127.0.0.1:0");
}

#[test]
fn through_a_unix_socket() {
    std::thread::scope(|scope| {
        for start in [nginx_locations, nginx_site, caddy_locations, caddy_site] {
            scope.spawn(move || {
                let folder = tempfile::tempdir().unwrap();
                assert_serves(start, &format!("unix:{}", shown(folder.path(), "socket")));
            });
        }
    });
}

#[test]
fn the_site_beside_the_two_locations_stays_as_it_was() {
    let api = Api::start(None, &[]);
    for proxy in [nginx_locations(at(&api)), caddy_locations(at(&api))] {
        for path in ["/", "/statuses", "/apis", "/about/status"] {
            assert_eq!(proxy.get(path).body, "site", "{} {path}", proxy.address);
        }
    }
}

/// Opens the page in a browser, sees a change come by itself, and another by the page's own button.
fn assert_lives(start: Example) {
    let live = Live::showing(&samples::well());
    let url = live.url();
    let proxy = start(url.trim_start_matches("http://").trim_end_matches("/status"));
    let visitor =
        Visitor::open(&format!("{}/status", proxy.address), &Habits { live: true, ..Habits::default() });
    let git_is = |state| format!("document.querySelector('#s-git .state').textContent === '{state}'");
    visitor.eval::<()>("void (window.untouched = document.querySelector('#s-git'))");
    live.show(&samples::unwell());
    eventually("the change", || {
        // A cache may have handed out the old: then the page asks again.
        visitor.wait(Duration::from_secs(1));
        visitor.eval(&git_is("Offline"))
    });
    assert!(visitor.eval::<bool>("untouched === document.querySelector('#s-git')"));
    assert_eq!(visitor.troubles(), [""; 0]);
    if proxy.address.starts_with("https:") {
        let spoken: String = visitor.eval("performance.getEntriesByType('navigation')[0].nextHopProtocol");
        assert_eq!(spoken, "h2", "by HTTP/1.1 a browser shows six pages of a host, and no more");
    }

    let visitor = Visitor::open(&format!("{}/status", proxy.address), &Habits::default());
    live.show(&samples::well());
    eventually("what the visitor asks for", || {
        visitor.refresh();
        visitor.eval(&git_is("Operational"))
    });
    assert_eq!(visitor.troubles(), [""; 0]);
}

#[test]
fn a_page_lives_in_a_browser_behind_nginx() {
    assert_lives(nginx_locations);
    assert_lives(nginx_site);
}

#[test]
fn a_page_lives_in_a_browser_behind_caddy() {
    assert_lives(caddy_locations);
    assert_lives(caddy_site);
}
