//! Behind a real nginx and a real Caddy, with the examples of `deploy/` as they are but for addresses and names.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

use shared::testing::{Database, eventually, free_port, root};
use tempfile::TempDir;

use crate::api::{Answer, Api, ask, check, heartbeat, publish_service, try_to_ask};

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
        let port: u16 = address.rsplit_once(':').unwrap().1.parse().unwrap();
        eventually("the proxy listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Proxy { process, address, _folder: folder }
    }

    fn get(&self, path: &str) -> Answer {
        ask("GET", &format!("{}{path}", self.address), &[])
    }
}

fn example(name: &str, api: &Api) -> String {
    let text = std::fs::read_to_string(root().join("deploy").join(name)).unwrap();
    assert_eq!(text.matches("127.0.0.1:8080").count(), 1, "the api's address stands in one place");
    text.replace("127.0.0.1:8080", api.address.trim_start_matches("http://"))
}

/// `http` is what stands in nginx's http block.
fn nginx(folder: TempDir, address: String, http: &str) -> Proxy {
    let at = folder.path().display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {at}/{kind};\n"))
        .concat();
    let file = folder.path().join("nginx.conf");
    let text = format!(
        "daemon off; master_process off; pid {at}/pid; error_log {at}/log;\n\
         events {{}}\nhttp {{\naccess_log off;\n{temporary}\n{http}\n}}\n"
    );
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder.path()).arg("-e").arg(folder.path().join("log")).arg("-c").arg(file);
    Proxy::start(command, folder, address)
}

fn nginx_locations(api: &Api) -> Proxy {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let locations = example("nginx/locations.conf", api);
    let http =
        format!("server {{ listen 127.0.0.1:{port}; location / {{ return 200 site; }}\n{locations} }}");
    nginx(folder, format!("http://127.0.0.1:{port}"), &http)
}

fn nginx_site(api: &Api) -> Proxy {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.path().join("chain.pem"), certificate.cert.pem()).unwrap();
    std::fs::write(folder.path().join("key.pem"), certificate.signing_key.serialize_pem()).unwrap();
    let http = example("nginx/site.conf", api)
        .replace("listen [::]:80;", "")
        .replace("listen [::]:443 ssl;", "")
        .replace("listen 80;", &format!("listen 127.0.0.1:{};", free_port()))
        .replace("listen 443 ssl;", &format!("listen 127.0.0.1:{port} ssl;"))
        .replace("status.example.com;", "localhost;")
        .replace("/etc/letsencrypt/live/status.example.com/fullchain.pem", &shown(folder.path(), "chain.pem"))
        .replace("/etc/letsencrypt/live/status.example.com/privkey.pem", &shown(folder.path(), "key.pem"));
    assert!(!http.contains("letsencrypt"), "{http}");
    nginx(folder, format!("https://localhost:{port}"), &http)
}

fn shown(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

fn caddy(folder: TempDir, address: String, text: &str) -> Proxy {
    let file = folder.path().join("Caddyfile");
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

fn caddy_locations(api: &Api) -> Proxy {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let text =
        format!("http://127.0.0.1:{port} {{\n{}\nrespond site\n}}", example("caddy/locations.caddy", api));
    caddy(folder, format!("http://127.0.0.1:{port}"), &text)
}

fn caddy_site(api: &Api) -> Proxy {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let text = example("caddy/site.caddy", api)
        .replace("status.example.com {", &format!("https://localhost:{port} {{\n\ttls internal\n"));
    caddy(folder, format!("https://localhost:{port}"), &text)
}

fn assert_serves(start: impl FnOnce(&Api) -> Proxy) {
    let database = Database::migrated();
    let mut client = database.connect();
    heartbeat(&mut client, "1 s");
    publish_service(&mut client, "main", 0);
    check(&mut client, "main", "1 minute", "online");
    let api = Api::start(Some(&database.url), &[]);
    api.status_when("the service", |status| status["services"][0]["id"] == "main");
    let proxy = start(&api);

    let mut page = None;
    eventually("the page comes through", || {
        // Caddy makes its certificate while it already listens.
        let answer = try_to_ask("GET", &format!("{}/status", proxy.address), &[]).ok();
        page = answer.filter(|answer| answer.status == 200);
        page.is_some()
    });
    let page = page.unwrap();
    assert!(page.body.contains("All Systems Operational"));
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    for link in page.body.split('"').filter(|part| part.starts_with("/status/assets/")) {
        assert_eq!(proxy.get(link).status, 200, "{link}");
    }
    assert_eq!(proxy.get("/api/status").json()["services"][0]["status"], "online");
    assert_eq!(proxy.get("/api/nothing").header("content-type"), "application/problem+json");
    let known = [("If-None-Match", page.header("etag"))];
    assert_eq!(ask("GET", &format!("{}/status", proxy.address), &known).status, 304);
    assert_eq!(ask("POST", &format!("{}/status", proxy.address), &[]).status, 405);
    assert_eq!(ask("HEAD", &format!("{}/status", proxy.address), &[]).status, 200);

    let listen = api.address.trim_start_matches("http://").to_owned();
    drop(api);
    assert_eq!(proxy.get("/status").status, 502);
    let _back = Api::start_on(&listen, Some(&database.url), &[]);
    eventually("the page is back", || proxy.get("/status").status == 200);
}

/// An nginx that keeps what it may, by what the api says alone; `directive` is one more of its http block.
fn nginx_cache(api: &Api, directive: &str) -> Proxy {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let (locations, cache) = (example("nginx/locations.conf", api), shown(folder.path(), "cache"));
    let http = format!(
        "proxy_cache_path {cache} keys_zone=status:1m; proxy_cache status; {directive}
         add_header X-Cache $upstream_cache_status always;
         server {{ listen 127.0.0.1:{port}; {locations} }}"
    );
    nginx(folder, format!("http://127.0.0.1:{port}"), &http)
}

fn get_as(proxy: &Proxy, form: &str, tag: &str) -> Answer {
    let headers = [("Accept-Encoding", form), ("If-None-Match", tag)];
    ask("GET", &format!("{}/status", proxy.address), &headers)
}

#[test]
fn a_cache_keeps_every_form_and_knows_its_tag() {
    let api = Api::start(None, &[]);
    let proxy = nginx_cache(&api, "");
    for (form, coding) in [("gzip", "gzip"), ("br", "br"), ("identity", "")] {
        let kept = get_as(&proxy, form, "");
        assert_eq!((kept.status, kept.header("content-encoding")), (200, coding));
        assert!(String::from_utf8(kept.content()).unwrap().contains("</html>"), "{form}");
        let known = get_as(&proxy, form, kept.header("etag"));
        assert_eq!((known.status, known.header("etag")), (304, kept.header("etag")), "{form}");
        eventually("an answer that is not asked of the api", || {
            get_as(&proxy, form, "").header("x-cache") == "HIT"
        });
    }
}

#[test]
fn a_cache_hands_out_what_is_older_while_the_api_is_slow() {
    let api = Api::start(None, &[]);
    let proxy = nginx_cache(&api, "proxy_cache_background_update on;");
    assert_eq!(get_as(&proxy, "gzip", "").status, 200);
    api.signal("STOP");
    eventually("an older answer while the api is asked", || {
        let answer = get_as(&proxy, "gzip", "");
        assert_eq!((answer.status, answer.header("content-encoding")), (200, "gzip"));
        ["STALE", "UPDATING"].contains(&answer.header("x-cache"))
    });
}

#[test]
fn a_cache_hands_out_what_is_older_in_place_of_an_error() {
    let api = Api::start(None, &[]);
    let proxy = nginx_cache(&api, "");
    assert_eq!(get_as(&proxy, "br", "").status, 200);
    drop(api);
    eventually("an older answer", || {
        let answer = get_as(&proxy, "br", "");
        assert_eq!((answer.status, answer.header("content-encoding")), (200, "br"));
        answer.header("x-cache") == "STALE"
    });
}

#[test]
fn through_two_locations_of_an_nginx_site() {
    assert_serves(nginx_locations);
}

#[test]
fn through_a_host_of_its_own_of_nginx() {
    assert_serves(nginx_site);
}

#[test]
fn through_two_locations_of_a_caddy_site() {
    assert_serves(caddy_locations);
}

#[test]
fn through_a_host_of_its_own_of_caddy() {
    assert_serves(caddy_site);
}

#[test]
fn the_site_beside_the_two_locations_stays_as_it_was() {
    let api = Api::start(None, &[]);
    for proxy in [nginx_locations(&api), caddy_locations(&api)] {
        for path in ["/", "/statuses", "/apis", "/about/status"] {
            assert_eq!(proxy.get(path).body, "site", "{} {path}", proxy.address);
        }
    }
}
