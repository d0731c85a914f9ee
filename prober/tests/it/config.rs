//! Services files and what is said about them. In `services/`, a line `#~ message` is what is said about the line
//! above it; a file with such lines is refused with exactly these messages, and one without is accepted.

use std::{fs, path::Path, sync::Arc, time::Duration};

use prober::{
    config::{self, Problems, Services},
    output::{Style, write_plan},
    target::{Family, Method, Target},
};
use proptest::prelude::*;
use url::Url;

const FOLDER: &str = "tests/it/services";

/// What can't be written beneath a line, because there is none or it would not be the file any more.
const REFUSED_AS_A_WHOLE: [(&str, &str); 5] = [
    ("absent.toml", "does not exist; write it, or name another file with --config"),
    (".", "is a folder; name the file inside it with --config"),
    ("not-utf8.toml", "3: is not UTF-8 (byte 0xE9); save the file as UTF-8"),
    ("empty.toml", "1: no service; write [[services]] with id, name and url"),
    ("no-service.toml", "1: no service; write [[services]] with id, name and url"),
];

const SECRET: &str = "hunter2";

fn environment(name: &str) -> Option<String> {
    match name {
        "PASSWORD" | "TOKEN" => Some(SECRET.to_owned()),
        "SLASHED" => Some(format!("{SECRET}/{SECRET}")),
        "TWO_LINES" => Some(format!("{SECRET}\n{SECRET}")),
        _ => None,
    }
}

fn parsed(name: &str, text: &str) -> Result<Services, Problems> {
    config::parse(&Path::new(FOLDER).join(name), text, &environment)
}

fn accepted(text: &str) -> Services {
    parsed("test.toml", text).unwrap_or_else(|problems| panic!("{problems}"))
}

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(FOLDER).join(name)).expect("the file lies beside this test")
}

/// One service with some lines of its own.
fn service(lines: &str) -> String {
    format!("[[services]]\nid = \"main\"\nname = \"Main\"\nurl = \"https://example.com\"\n{lines}\n")
}

fn target(lines: &str) -> Target {
    accepted(&service(lines)).targets.remove(0)
}

fn plan(services: &Services) -> String {
    let mut out = Vec::new();
    write_plan(services, Style { colour: false, width: None }, &mut out).expect("memory takes everything");
    String::from_utf8(out).expect("the plan is text")
}

/// The messages beneath the lines of a file, as they are expected.
fn annotations(name: &str, text: &str) -> Vec<String> {
    let mut subject = 0;
    let mut expected = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        match text.strip_prefix("#~ ") {
            Some(message) => expected.push(format!("{FOLDER}/{name}:{subject}: {message}")),
            None => subject = line,
        }
    }
    expected
}

#[test]
fn every_mistake_in_a_file_is_told_with_its_line_and_what_to_write_instead() {
    let mut refused = 0;
    for entry in fs::read_dir(FOLDER).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let whole = REFUSED_AS_A_WHOLE.iter().any(|(file, _)| *file == name);
        if whole || !name.ends_with(".toml") {
            continue;
        }
        let text = file(&name);
        let expected = annotations(&name, &text);
        refused += usize::from(!expected.is_empty());
        let said = parsed(&name, &text).err().map(|problems| problems.to_string()).unwrap_or_default();
        assert_eq!(said, expected.join("\n"), "\n--- said of {name}:\n{said}\n");
    }
    assert!(refused > 15, "only {refused} files with mistakes were found in {FOLDER}");
}

#[test]
fn a_file_without_a_service_or_without_text_is_told_as_a_whole() {
    for (name, message) in REFUSED_AS_A_WHOLE {
        let path = Path::new(FOLDER).join(name);
        let said = config::load(&path).unwrap_err().to_string();
        let space = if message.starts_with(|c: char| c.is_ascii_digit()) { "" } else { " " };
        assert_eq!(said, format!("{}:{space}{message}", path.display()));
    }
}

#[test]
fn a_file_that_is_no_services_file_at_all_is_told_in_a_hundred_lines() {
    let problems = parsed("log.txt", &"Nov 22 12:00:00 host started\n".repeat(1_000)).unwrap_err();
    let lines: Vec<_> = problems.lines().collect();
    assert_eq!(lines.len(), 101);
    assert!(lines[100].ends_with("more mistakes; mend those above first"), "{}", lines[100]);
}

#[test]
fn the_contract_s_file_says_the_defaults() {
    let written = parsed("spec.toml", &file("spec.toml")).unwrap();
    let bare =
        accepted("[[services]]\nid = \"main\"\nname = \"asimonson.com\"\nurl = \"https://asimonson.com\"\n");
    assert_eq!(written, Services { fingerprint: written.fingerprint.clone(), ..bare });
    assert_eq!(written.targets[0].link.as_deref(), Some("https://asimonson.com"));
    assert_eq!((written.retention, written.canary.len()), (None, 0));
}

#[test]
fn every_key_is_read() {
    let services = parsed("everything.toml", &file("everything.toml")).unwrap();
    let target = &services.targets[0];
    assert_eq!(target.id, "git.example_1-A");
    assert_eq!(target.name, "حالة الخدمة 状態");
    assert_eq!(target.group.as_deref(), Some("Development"));
    assert_eq!(target.link.as_deref(), Some("https://git.example/"));
    assert_eq!(target.url.as_str(), "https://me:hunter2@git.example:8443/health?deep=1#top");
    assert_eq!(target.interval, Duration::from_secs(90));
    assert_eq!(target.timeout, Duration::from_millis(500));
    assert_eq!(target.slow_after, Duration::from_millis(250));
    assert_eq!((target.retries, target.retry_delay), (0, Duration::from_secs(1)));
    assert_eq!(target.expect, [200..=299, 401..=401]);
    assert_eq!((target.method, target.family), (Method::Get, Family::V6));
    assert!(target.private_redirects);
    assert_eq!(target.authorities.as_ref().map(|found| found.len()), Some(1));
    let headers = [("Host", "git.internal"), ("X-Token", SECRET)];
    assert_eq!(target.headers, headers.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(services.retention, Some(Duration::from_secs(91 * 86_400)));
    let canary: Vec<_> = services.canary.iter().map(Url::as_str).collect();
    assert_eq!(canary, ["https://one.example/", "http://two.example:8080/up"]);
}

/// Ten thousand services with a bundle each would take a gigabyte.
#[test]
fn services_that_name_the_same_ca_file_share_what_it_holds() {
    let services: String = ["one", "two"]
        .map(|id| service("ca_file = \"ca.pem\"").replace("\"main\"", &format!("{id:?}")))
        .concat();
    let targets = accepted(&services).targets;
    let [one, two] = [0, 1].map(|n: usize| targets[n].authorities.as_ref().unwrap());
    assert!(Arc::ptr_eq(one, two));
}

#[test]
fn a_service_takes_what_it_does_not_say_from_the_top_of_the_file() {
    let services = parsed("everything.toml", &file("everything.toml")).unwrap();
    let second = &services.targets[1];
    assert_eq!((second.interval, second.timeout), (Duration::from_secs(30), Duration::from_secs(4)));
    assert_eq!((second.retries, second.retry_delay), (2, Duration::ZERO));
    assert_eq!((second.method, second.link.as_deref()), (Method::Head, None));
}

#[test]
fn services_stand_in_the_order_of_the_file() {
    let ids = ["z", "a", "m"];
    let text: String = ids.map(|id| service("").replace("\"main\"", &format!("{id:?}"))).concat();
    assert!(accepted(&text).targets.iter().map(|target| &*target.id).eq(ids));
}

#[test]
fn a_byte_order_mark_and_the_line_ends_of_windows_are_no_mistake() {
    assert!(config::load(&Path::new(FOLDER).join("byte-order-mark.toml")).is_ok());
    let problems =
        parsed("test.toml", &format!("\u{FEFF}\r\n{}", service("colour = 1").replace('\n', "\r\n")));
    assert!(problems.unwrap_err().to_string().starts_with("tests/it/services/test.toml:6: unknown key"));
}

#[test]
fn slow_after_ends_at_a_timeout_that_is_shorter_than_the_default() {
    assert_eq!(target("timeout = \"3s\"").slow_after, Duration::from_secs(3));
    let inherited = accepted(&format!("slow_after = \"5s\"\n{}", service("timeout = \"3s\"")));
    assert_eq!(inherited.targets[0].slow_after, Duration::from_secs(3));
    assert_eq!(target("interval = \"5s\"").slow_after, Duration::from_millis(2_200));
    assert_eq!(target("interval = \"5s\"\nslow_after = \"4s\"").slow_after, Duration::from_millis(2_200));
}

#[test]
fn the_link_is_the_url_without_its_user_and_without_what_variables_brought() {
    let link = |url: &str| {
        let text = service("").replace("https://example.com", url);
        accepted(&text).targets.remove(0).link.unwrap()
    };
    assert_eq!(link("https://me:${PASSWORD}@example.com/a?b=1"), "https://example.com/a?b=1");
    assert_eq!(link("https://example.com/a?token=${TOKEN}"), "https://example.com/a");
    assert_eq!(link("https://example.com/${TOKEN}/a"), "https://example.com/");
}

#[test]
fn the_plan_shows_what_will_be_done_and_no_secret() {
    let services = parsed("everything.toml", &file("everything.toml")).unwrap();
    let expected = "\
id               name              every  timeout  slow after  retries     expect       request
git.example_1-A  حالة الخدمة 状態\u{200E}  1m30s    500ms       250ms  none        200-299,401  \
GET https://git.example:8443/health?deep=1#top
second           Second              30s       4s          4s  2 after 0s  200-499      HEAD http://second.example

git.example_1-A: sends Host, X-Token; sends a user and password; \
trusts the certificates of its ca_file (1) and no others; IPv6 only; \
follows redirects into private networks; links to https://git.example/
second: lowered to fit: slow_after = \"4s\"; no link
raw checks are removed at the age of 91d
canaries: one.example, two.example
2 services, every 30s to 1m30s; all tries fit
";
    assert_eq!(plan(&services), expected);
}

#[test]
fn the_plan_says_which_defaults_were_lowered() {
    let plan = plan(&accepted(&service("interval = \"10s\"")));
    assert!(plan.contains(
        "main: lowered to fit: timeout = \"4s500ms\", slow_after = \"4s500ms\", retry_delay = \"1s\""
    ));
    assert!(plan.ends_with("1 service, every 10s; all tries fit\n"), "{plan}");
}

const KEYS: &str = "interval timeout slow_after retries retry_delay expect method ip retention canary \
                    private_redirects id name url group headers ca_file link services other";

const VALUES: &str = r#""${TOKEN}"
"10s${TOKEN}"
"5s"
"1h"
3
true
"https://${TOKEN}@a.b/${SLASHED}"
"https://a.b/?${TOKEN}"
"https://${TWO_LINES}"
"ftp://${TOKEN}"
{ X-A = "${TOKEN}" }
{ X-A = "${TWO_LINES}" }
["${TOKEN}"]
"200-${TOKEN}"
[
""#;

/// A line of a services file, right or wrong, most of them with a variable in it.
fn any_line() -> impl Strategy<Value = String> {
    let keys: Vec<_> = KEYS.split_whitespace().collect();
    let values: Vec<_> = VALUES.lines().collect();
    let pair = (prop::sample::select(keys), prop::sample::select(values));
    prop_oneof![
        1 => Just("[[services]]".to_owned()),
        1 => ".{0,20}",
        8 => pair.prop_map(|(key, value)| format!("{key} = {value}")),
    ]
}

/// A whole file of such lines, some of them behind a service that is right.
fn any_file() -> impl Strategy<Value = String> {
    let start = prop_oneof![Just(String::new()), Just(service(""))];
    (start, prop::collection::vec(any_line(), 0..8)).prop_map(|(start, lines)| start + &lines.join("\n"))
}

proptest! {
    #[test]
    fn no_text_is_too_strange_and_no_message_shows_a_secret(text in any_file()) {
        match parsed("test.toml", &text) {
            Ok(services) => {
                prop_assert!(services.targets.iter().all(|target| target.tries_take() <= target.interval));
                prop_assert_eq!(services.targets.len(), services.remarks.len());
            }
            Err(problems) => {
                prop_assert!(!problems.to_string().contains(SECRET), "{}", problems);
                for line in problems.to_string().split('\n') {
                    prop_assert!(line.starts_with("tests/it/services/test.toml:"), "{}", line);
                    prop_assert!(line.chars().all(shared::printable::is_printable), "{:?}", line);
                }
            }
        }
    }

    #[test]
    fn what_a_variable_holds_never_changes_the_file(value in "\\PC{0,20}|[\"\n\\[\\]=a-z]{0,30}") {
        let text = service("headers = { X-A = \"${VALUE}\" }\ngroup = \"x${VALUE}\"");
        let variable = |_: &str| Some(value.clone());
        if let Ok(services) = config::parse(Path::new("test.toml"), &text, &variable) {
            let target = &services.targets[0];
            prop_assert_eq!(services.targets.len(), 1);
            prop_assert_eq!(&target.headers, &[("X-A".to_owned(), value.clone())]);
            prop_assert_eq!(target.group.clone(), Some(format!("x{value}")));
        }
    }
}
