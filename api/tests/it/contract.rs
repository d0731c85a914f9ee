//! The routes: what they answer, to whom, and in what form.

use shared::testing::{Database, eventually};

use crate::api::{Answer, Api, check, heartbeat, publish_service};

fn one_service() -> (Database, Api) {
    let database = Database::migrated();
    let mut client = database.connect();
    heartbeat(&mut client, "1 s");
    publish_service(&mut client, "main", 0);
    check(&mut client, "main", "1 minute", "online");
    let api = Api::start(Some(&database.url), &["--title", "Example status"]);
    api.status_when("the first reading", |status| status["services"][0]["id"] == "main");
    (database, api)
}

#[test]
fn the_json_has_every_key_of_the_contract() {
    let (_database, api) = one_service();
    let status = api.status();
    for key in ["last_check", "next_check", "as_of"] {
        let instant = status[key].as_str().unwrap();
        assert!(
            chrono::DateTime::parse_from_rfc3339(instant).is_ok() && instant.ends_with('Z'),
            "{key}: {instant}"
        );
    }
    let service = &status["services"][0];
    assert_eq!(service["name"], "main.example.org");
    assert_eq!(service["url"], "https://main.example.org");
    assert_eq!(service["status"], "online");
    assert_eq!(service["response_time"], 143);
    assert_eq!(service["status_code"], 200);
    assert_eq!(service["last_online"], status["last_check"]);
    assert_eq!(service["total_checks"], 1);
    assert_eq!(service["stale"], false);
    let uptime = serde_json::json!({"24h": null, "7d": null, "30d": null, "all_time": 100.0});
    assert_eq!(service["uptime"], uptime, "a month's figure is not shown after a minute");
}

#[test]
fn head_answers_like_get_without_the_body() {
    let (_database, api) = one_service();
    for path in ["/status", "/api/status", "/healthz", "/readyz", "/nothing", "/api/nothing"] {
        let (get, head) = (api.get(path), api.ask("HEAD", path, &[]));
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.body, "");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
    }
}

/// The page, the JSON and an asset.
fn contents(api: &Api) -> [String; 3] {
    let page = api.get("/status").body;
    let style = page.split('"').find(|part| part.ends_with(".css")).unwrap().to_owned();
    ["/status".to_owned(), "/api/status".to_owned(), style]
}

/// The same publication as it is, by gzip and by brotli.
fn forms(api: &Api, path: &str) -> [Answer; 3] {
    let ask = || ["identity", "gzip", "br"].map(|form| api.ask("GET", path, &[("Accept-Encoding", form)]));
    let digest = |answer: &Answer| answer.header("etag")[..17].to_owned();
    let mut forms = ask();
    eventually("three answers of one publication", || {
        forms = ask();
        forms.iter().all(|form| digest(form) == digest(&forms[0]))
    });
    forms
}

#[test]
fn every_content_comes_in_the_form_that_is_asked_for() {
    let (_database, api) = one_service();
    for path in contents(&api) {
        let forms = forms(&api, &path);
        assert_eq!(
            forms.each_ref().map(|form| form.header("content-encoding")),
            ["", "gzip", "br"],
            "{path}"
        );
        for form in &forms {
            assert_eq!((form.status, form.header("vary")), (200, "accept-encoding"), "{path}");
            assert_eq!(form.header("content-length"), form.bytes.len().to_string(), "{path}");
            assert_eq!(form.header("content-type"), forms[0].header("content-type"), "{path}");
            assert_eq!(form.content(), forms[0].bytes, "{path}");
        }
        let lengths = forms.each_ref().map(|form| form.bytes.len());
        let smallest = lengths.into_iter().min().unwrap();
        assert!(lengths[1..].iter().all(|length| *length < lengths[0]), "{path}");
        let whole = api.get(&path);
        assert_eq!(whole.header("content-encoding"), "", "{path}: who does not say gets it as it is");
        let browser = api.ask("GET", &path, &[("Accept-Encoding", "gzip, deflate, br, zstd")]);
        assert!(browser.bytes.len().abs_diff(smallest) < 20, "{path}: who takes any gets the smallest");
        assert_ne!(browser.header("content-encoding"), "", "{path}");
        let head = api.ask("HEAD", &path, &[("Accept-Encoding", "gzip")]);
        assert_eq!((head.header("content-encoding"), head.bytes.len()), ("gzip", 0), "{path}");
    }
}

#[test]
fn a_known_tag_is_answered_with_304_even_when_a_proxy_made_it_weak_and_that_of_another_form_is_not() {
    let (_database, api) = one_service();
    for path in contents(&api) {
        let tags = forms(&api, &path).map(|form| form.header("etag").to_owned());
        assert!(tags.iter().all(|tag| tag.starts_with('"')), "strong tags: {tags:?}");
        assert!(tags[0] != tags[1] && tags[1] != tags[2] && tags[2] != tags[0], "{tags:?}");
        let tag = &tags[1];
        for sent in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let answer = api.ask("GET", &path, &[("If-None-Match", &sent), ("Accept-Encoding", "gzip")]);
            let said = (answer.status, answer.body.as_str(), answer.header("etag"));
            assert_eq!(said, (304, "", &**tag), "{path} {sent}: the tag of what would be sent");
            assert_eq!(answer.header("vary"), "accept-encoding");
            assert!(answer.header("cache-control").starts_with("public, max-age="));
        }
        for other in [&tags[0], &tags[2]] {
            let answer = api.ask("GET", &path, &[("If-None-Match", other), ("Accept-Encoding", "gzip")]);
            assert_eq!((answer.status, answer.header("etag")), (200, &**tag), "{path} {other}");
        }
        assert_eq!(api.ask("GET", &path, &[("If-None-Match", "\"other\"")]).status, 200);
    }
}

#[test]
fn nothing_there_is_a_page_for_people_and_a_problem_for_programs() {
    let (_database, api) = one_service();
    let page = api.get("/status/nothing");
    assert_eq!((page.status, page.header("content-type")), (404, "text/html; charset=utf-8"));
    assert!(page.body.contains("href=\"/status\""), "it leads back");
    let problem = api.get("/api/nothing");
    assert_eq!((problem.status, problem.header("content-type")), (404, "application/problem+json"));
    assert_eq!(problem.json()["status"], 404);
    assert_eq!(api.get("/apis").header("content-type"), "text/html; charset=utf-8", "that is not below /api");
}

#[test]
fn nothing_can_be_written() {
    let (_database, api) = one_service();
    for path in ["/nothing", "/api/nothing"] {
        assert_eq!(api.ask("POST", path, &[]).status, 404, "{path}");
    }
    for path in ["/status", "/api/status", "/healthz", "/", "/status/assets/x"] {
        // Scripts of other origins may ask beforehand what they may.
        let allowed = if path.starts_with("/api") { "GET, HEAD, OPTIONS" } else { "GET, HEAD" };
        for method in
            ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"].into_iter().filter(|one| !allowed.contains(one))
        {
            let answer = api.ask(method, path, &[]);
            assert_eq!((answer.status, answer.header("allow")), (405, allowed), "{method} {path}");
            let form = if path.starts_with("/api") {
                "application/problem+json"
            } else {
                "text/html; charset=utf-8"
            };
            assert_eq!(answer.header("content-type"), form, "{method} {path}");
        }
    }
}

#[test]
fn the_root_leads_to_the_page() {
    let (_database, api) = one_service();
    for path in ["/", "/status/"] {
        let answer = api.get(path);
        assert_eq!((answer.status, answer.header("location")), (307, "/status"), "{path}");
    }
}

#[test]
fn below_a_base_path_everything_answers_with_and_without_it_and_links_carry_it() {
    let database = Database::migrated();
    let api = Api::start(Some(&database.url), &["--base-path", "/monitor/"]);
    for path in ["/status", "/api/status", "/healthz"] {
        assert_eq!(api.get(path).status, 200, "{path}");
        assert_eq!(api.get(&format!("/monitor{path}")).status, 200, "{path}");
    }
    for path in ["/", "/monitor", "/monitor/", "/monitor/status/"] {
        assert_eq!(api.get(path).header("location"), "/monitor/status", "{path}");
    }
    assert_eq!(api.get("/monitor/api/nothing").header("content-type"), "application/problem+json");
    let page = api.get("/status").body;
    let links: Vec<&str> = page
        .split(' ')
        .filter_map(|word| {
            word.strip_prefix("href=\"").or(word.strip_prefix("src=\"")).or(word.strip_prefix("action=\""))
        })
        .filter_map(|rest| rest.split('"').next())
        .filter(|link| !link.starts_with('#'))
        .collect();
    assert!(!links.is_empty() && links.iter().all(|link| link.starts_with("/monitor/")), "{links:?}");
    let style = links.iter().find(|link| link.contains(".css")).unwrap();
    assert_eq!(api.get(style).header("content-type"), "text/css; charset=utf-8");
}

#[test]
fn assets_may_be_kept_for_ever_and_the_page_for_a_second() {
    let (_database, api) = one_service();
    let page = api.get("/status");
    let seconds = "public, max-age=1, stale-while-revalidate=10, stale-if-error=60";
    assert_eq!([page.header("cache-control"), api.get("/api/status").header("cache-control")], [seconds; 2]);
    assert!(page.header("content-security-policy").starts_with("default-src 'none';"));
    assert!(!page.header("content-security-policy").contains("unsafe"));
    for link in page.body.split('"').filter(|part| part.starts_with("/status/assets/")) {
        let asset = api.get(link);
        assert_eq!(asset.status, 200, "{link}");
        assert!(asset.header("cache-control").contains("immutable"), "{link}");
        assert_eq!(asset.header("x-content-type-options"), "nosniff");
    }
}

#[test]
fn a_taken_address_is_said_in_one_line() {
    let (_database, api) = one_service();
    let taken = api.address.strip_prefix("http://").unwrap();
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_status-api"))
        .args(["--listen", taken])
        .env_clear()
        .output()
        .unwrap();
    let log = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(log.contains(&format!("can't listen on {taken}: it is taken: stop the other program")), "{log}");
}

#[test]
fn a_unix_socket_is_open_to_a_proxy_of_another_user_and_a_stale_one_is_replaced() {
    use std::{
        io::{Read, Write},
        os::unix::{fs::PermissionsExt, net::UnixStream},
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listen = format!("unix:{}", path.display());
    drop(Api::start_on(&listen, None, &[]));
    assert!(path.exists(), "what a killed api leaves");
    let _api = Api::start_on(&listen, None, &[]);
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_status-api"))
        .args(["--listen", &listen])
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1), "a socket that is answered on is not taken away");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_file_in_the_place_of_a_unix_socket_is_left_alone() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "precious").unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_status-api"))
        .arg("--listen")
        .arg(format!("unix:{}", file.path().display()))
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is a file that is no socket"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn a_tag_that_nobody_can_read_is_no_tag() {
    let (_database, api) = one_service();
    let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
    let sent = ureq::http::HeaderValue::from_bytes("\"é\"".as_bytes()).unwrap();
    let answer =
        agent.get(format!("{}/api/status", api.address)).header("If-None-Match", sent).call().unwrap();
    assert_eq!(answer.status(), 200);
}

#[test]
fn bad_usage_is_exit_code_2_and_says_what_to_write() {
    for (arguments, advice) in [
        (["--listen", "8080"], "write an address and a port, like 127.0.0.1:8080"),
        (["--base-path", "monitor"], "begins with a slash, like /monitor"),
        (["--base-path", "/api"], "begins with a slash, like /monitor"),
    ] {
        let output =
            std::process::Command::new(env!("CARGO_BIN_EXE_status-api")).args(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(advice), "{said}");
    }
}

#[test]
fn sigterm_and_sigint_end_it_with_exit_code_0() {
    for signal in ["TERM", "INT"] {
        let mut api = Api::start(None, &[]);
        api.signal(signal);
        assert_eq!(api.wait().code(), Some(0), "{signal}");
    }
}
