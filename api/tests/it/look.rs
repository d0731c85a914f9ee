//! Page files: what is said about their mistakes, and the page that they make, in a real Chromium. In `page_files/`, a
//! line `#~ message` is what is said about the line above it; a file with such lines is refused with exactly these
//! messages, and one without is accepted.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use api::{
    look::{self, Look},
    render::Renderer,
    site::Site,
};
use proptest::prelude::*;
use shared::written::Problems;
use tempfile::TempDir;

use crate::{
    api::Api,
    browser::{Habits, Visitor},
    samples, site,
};

const FOLDER: &str = "tests/it/page_files";
/// Twice as high as wide, and it follows the theme.
const TALL: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" width="30mm" height="60mm" viewBox="0 0 30 60">
<style>path { fill: #0b6e4f } @media (prefers-color-scheme: dark) { path { fill: #7bd8b4 } }</style>
<path d="M15 0 30 20v40H0V20z"/></svg>"##;

fn parsed(name: &str, text: &str) -> Result<Look, Problems> {
    look::parse(&Path::new(FOLDER).join(name), text)
}

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(FOLDER).join(name)).expect("the file lies beside this test")
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
fn every_mistake_in_a_page_file_is_told_with_its_line_and_what_to_write_instead() {
    let mut refused = 0;
    for entry in fs::read_dir(FOLDER).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".toml") {
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
fn every_key_of_a_page_file_is_read() {
    let look = parsed("everything.toml", &file("everything.toml")).unwrap();
    assert_eq!(look.title.as_deref(), Some("Our services"));
    assert_eq!(
        (look.accent.dark.to_string(), look.accent.light.to_string()),
        ("#ff8800".into(), "#aa4400".into())
    );
    assert_eq!(look.footer, ["Operated by Example GmbH.", "حالة الخدمة & <b>plain text</b>"]);
    let links: Vec<_> = look.links.iter().map(|link| (&*link.text, &*link.href)).collect();
    assert_eq!(
        links,
        [("Support", "https://support.example.com/"), ("Mail <us>", "mailto:help@example.com")]
    );
    let origins: Vec<_> = look.frame_ancestors.iter().map(ToString::to_string).collect();
    assert_eq!(origins, ["'self'", "https://www.example.com", "http://localhost:8081"]);
    let logo = look.logo.unwrap();
    assert_eq!((logo.width, logo.height), (160, 40));
}

#[test]
fn a_file_that_says_nothing_changes_nothing() {
    for text in ["", "# nothing\n", "footer = \"\"\nlinks = []\nframe_ancestors = []\naccent = {}\n"] {
        assert_eq!(parsed("test.toml", text).unwrap(), Look::default());
    }
}

#[test]
fn the_example_names_every_key_with_its_default() {
    let text = fs::read_to_string("../deploy/page.toml").unwrap();
    assert_eq!(parsed("page.toml", &text).unwrap(), Look::default(), "as it lies there it changes nothing");
    let written = text.replace("\n#", "\n").replace("\n ", "\n# ");
    let look = parsed("page.toml", &written).unwrap_or_else(|problems| panic!("{problems}\n{written}"));
    assert_eq!(look.title.as_deref(), Some("Service status"));
    assert_eq!(Look { title: None, logo: None, ..look }, Look::default());
    for key in ["title", "accent", "footer", "links", "frame_ancestors"] {
        assert!(written.lines().any(|line| line.split(' ').next() == Some(key)), "{key}");
    }
    assert!(text.contains("\n# logo = "), "it has no default that could be written");
}

fn refused(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_status-api"));
    // Nobody can listen there: whoever tries fails with another code.
    command.args(["--listen", "unix:/nowhere/socket"]).args(arguments).env_clear();
    command.output().unwrap()
}

#[test]
fn a_bad_page_file_is_exit_code_2_before_anything_listens() {
    let absent = refused(&["--page", "/nowhere/page.toml"]);
    assert_eq!(absent.status.code(), Some(2));
    assert_eq!(
        String::from_utf8_lossy(&absent.stderr),
        "/nowhere/page.toml: does not exist; write it, or name another file with --page\n"
    );
    let path = format!("{FOLDER}/unknown-keys.toml");
    let output = refused(&["--page", &path]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    let expected = annotations("unknown-keys.toml", &file("unknown-keys.toml"));
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
    assert_eq!(refused(&["--page", &format!("{FOLDER}/everything.toml")]).status.code(), Some(1));
}

/// A page file with what lies beside it, and the folder that it goes with.
struct Written(TempDir);

impl Written {
    fn new(text: &str, beside: &[(&str, &[u8])]) -> Written {
        let folder = TempDir::with_prefix_in("page-", env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::write(folder.path().join("page.toml"), text).unwrap();
        for (name, content) in beside {
            fs::write(folder.path().join(name), content).unwrap();
        }
        Written(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("page.toml")
    }

    fn look(&self) -> Result<Look, Problems> {
        look::load(Some(&self.path()))
    }
}

#[test]
fn a_logo_that_every_visitor_would_wait_for_is_refused() {
    let svg = |length: usize| format!("{}{}", file("logo.svg"), " ".repeat(length - file("logo.svg").len()));
    let written = |length| Written::new("logo = \"a.svg\"", &[("a.svg", svg(length).as_bytes())]);
    assert!(written(64 * 1024).look().is_ok());
    let said = written(64 * 1024 + 1).look().unwrap_err().to_string();
    assert!(
        said.ends_with("page.toml:1: logo = \"a.svg\" is longer than 64 KiB, and every visitor loads it; write the path of a smaller file"),
        "{said}"
    );
}

#[test]
fn the_page_wears_what_its_file_says_and_breaks_no_rule_of_its_policy() {
    let api = Api::start(None, &["--page", &format!("{FOLDER}/everything.toml"), "--base-path", "/x"]);
    let visitor = Visitor::open(&format!("{}/x/status", api.address), &Habits::default());
    assert_eq!(visitor.eval::<String>("document.title"), "Status Unknown – Our services");
    assert_eq!(
        visitor.eval::<Vec<f64>>(
            "((r) => [r.width, r.height, document.querySelector('img.logo').naturalWidth > 0 ? 1 : 0])\
         (document.querySelector('.brand img.logo').getBoundingClientRect())"
        ),
        [160.0, 40.0, 1.0],
        "of the size that is known before it is loaded, and drawn"
    );
    assert!(!visitor.sees(".brand svg"));
    assert_eq!(
        visitor
            .eval::<Vec<String>>("[...document.querySelectorAll('footer .own p')].map((p) => p.textContent)"),
        ["Operated by Example GmbH.", "حالة الخدمة & <b>plain text</b>"]
    );
    assert_eq!(
        visitor.eval::<Vec<[String; 2]>>(
            "[...document.querySelectorAll('footer nav a')].map((a) => [a.innerText, a.href])"
        ),
        [["Support", "https://support.example.com/"], ["Mail <us>", "mailto:help@example.com"]]
    );
    let accent = "getComputedStyle(document.documentElement).getPropertyValue('--accent').trim()";
    for (dark, chosen, colour) in [
        (true, None, "#ff8800"),
        (false, None, "#aa4400"),
        (true, Some("light"), "#aa4400"),
        (false, Some("dark"), "#ff8800"),
    ] {
        visitor.prefer(dark, &[]);
        match chosen {
            Some(theme) => {
                visitor.eval::<()>(&format!("void (document.documentElement.dataset.theme = '{theme}')"))
            }
            None => visitor.eval::<()>("void delete document.documentElement.dataset.theme"),
        }
        assert_eq!(visitor.eval::<String>(accent), colour, "{dark} {chosen:?}");
    }
    assert_eq!(visitor.troubles(), [""; 0]);

    visitor.go(&format!("{}/x/status/nowhere", api.address));
    assert_eq!(visitor.eval::<usize>("document.querySelectorAll('.brand img, footer nav a').length"), 3);
    assert_eq!(visitor.eval::<usize>("document.querySelectorAll('[property^=\"og:\"]').length"), 0);
}

#[test]
fn a_page_that_is_sent_on_says_what_it_is_in_its_preview() {
    let written = Written::new("title = 'Us & \"them\" <x>'", &[]);
    let api = Api::start(None, &["--page", written.path().to_str().unwrap()]);
    let visitor = Visitor::open(&format!("{}/status", api.address), &Habits::default());
    let tags: Vec<[String; 2]> = visitor
        .eval("[...document.querySelectorAll('[property^=\"og:\"]')].map((m) => [m.getAttribute('property'), m.content])");
    let description: String = visitor.eval("document.querySelector('[name=description]').content");
    assert_eq!(description, "Status Unknown. 0 services.");
    assert_eq!(
        tags,
        [
            ["og:type", "website"],
            ["og:site_name", "Us & \"them\" <x>"],
            ["og:title", "Status Unknown – Us & \"them\" <x>"],
            ["og:description", &description],
        ]
        .map(|tag| tag.map(ToOwned::to_owned))
    );
}

#[test]
fn a_script_in_an_svg_never_runs_even_when_it_is_opened_by_itself() {
    let api = Api::start(None, &["--page", &format!("{FOLDER}/everything.toml")]);
    let page = api.get("/status").body;
    let path =
        page.split("src=\"").find(|rest| rest.contains("/assets/logo.")).unwrap().split('"').next().unwrap();
    let answer = api.get(path);
    assert_eq!(answer.header("content-type"), "image/svg+xml");
    assert_eq!(
        answer.header("content-security-policy"),
        "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    );
    assert_eq!(answer.body, file("logo.svg"));
    let visitor = Visitor::open(&format!("{}{path}", api.address), &Habits::default());
    assert_eq!(visitor.eval::<String>("document.documentElement.localName"), "svg");
    assert_eq!(visitor.eval::<Option<String>>("document.documentElement.getAttribute('data-ran')"), None);
    let green = "getComputedStyle(document.querySelector('rect')).fill";
    assert_eq!(visitor.eval::<String>(green), "rgb(42, 157, 92)", "its own style is in force");
    assert!(!visitor.troubles().iter().any(|trouble| trouble.contains("dialog")), "{:?}", visitor.troubles());
}

/// A site of somebody else that embeds what lies at an address.
fn embedding(listener: TcpListener, url: &str) -> String {
    let html = format!(
        "<!doctype html><link rel=icon href=data:,><iframe src='{url}' width=800 height=600></iframe>"
    );
    let address = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let head = format!(
                "HTTP/1.1 200 \r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                html.len()
            );
            let _ = (&stream).write_all(head.as_bytes()).and_then(|()| (&stream).write_all(html.as_bytes()));
        }
    });
    address
}

#[test]
fn the_page_is_embedded_by_those_who_may_and_by_nobody_else() {
    let listener = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (named, stranger) = (listener(), listener());
    let origin = format!("http://{}", named.local_addr().unwrap());
    let written = Written::new(&format!("frame_ancestors = [\"{origin}\"]"), &[]);
    let api = Api::start(None, &["--page", written.path().to_str().unwrap()]);
    let everybodys = Written::new("frame_ancestors = [\"*\"]", &[]);
    let open = Api::start(None, &["--page", everybodys.path().to_str().unwrap()]);
    let closed = Api::start(None, &[]);
    for (listener, api, may) in [
        (named, &api, true),
        (stranger, &api, false),
        (listener(), &open, true),
        (listener(), &closed, false),
    ] {
        let visitor =
            Visitor::open(&embedding(listener, &format!("{}/status", api.address)), &Habits::default());
        let loads_style = visitor.requests().iter().any(|url| url.contains("/status/assets/style."));
        assert_eq!(loads_style, may, "{:?}", visitor.requests());
        let refused = visitor.troubles().iter().any(|trouble| trouble.contains("frame-ancestors"));
        assert_eq!(refused, !may, "{:?}", visitor.troubles());
    }
}

/// A picture of one colour.
fn png(width: u32, height: u32) -> Vec<u8> {
    let chunk = |kind: &[u8; 4], content: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(kind);
        crc.update(content);
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&length[..], kind, content, &crc.sum().to_be_bytes()].concat()
    };
    let row = std::iter::once(0).chain(std::iter::repeat_n([0x2a, 0x9d, 0x5c], width as usize).flatten());
    let pixels = row.collect::<Vec<u8>>().repeat(height as usize);
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&pixels).unwrap();
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    let chunks = [chunk(b"IHDR", &header), chunk(b"IDAT", &encoder.finish().unwrap()), chunk(b"IEND", &[])];
    [&b"\x89PNG\r\n\x1a\n"[..], &chunks.concat()].concat()
}

#[test]
fn a_logo_of_any_shape_keeps_it_and_its_place() {
    for (name, content, width, height) in [
        ("wide.png", png(880, 80), 220, 20),
        ("small.PNG", png(16, 16), 16, 16),
        ("line.png", png(2_000, 1), 220, 1),
        ("tall.svg", TALL.into(), 20, 40),
    ] {
        let written = Written::new(&format!("logo = {name:?}"), &[(name, &content)]);
        let site = site::Site::looking(written.look().unwrap(), samples::well(), samples::now());
        let visitor = Visitor::open(&site.url(), &Habits { width: 360, ..Habits::default() });
        let shown: (u32, u32, bool) = visitor.eval(
            "((i, r = i.getBoundingClientRect()) => [r.width, r.height, i.naturalWidth > 0])\
             (document.querySelector('img.logo'))",
        );
        assert_eq!(shown, (width, height, true), "{name}");
        assert_eq!(visitor.troubles(), [""; 0]);
    }
}

#[test]
fn looks_of_every_kind_are_photographed() {
    let links: String = ["Support", "Our website", "Imprint", "Privacy"]
        .map(|text| format!("[[links]]\ntext = {text:?}\nhref = \"https://example.com\"\n"))
        .concat();
    let footer = "footer = \"\"\"\nOperated by Example GmbH in two data centres.\nPlanned work is announced a week before.\"\"\"\n";
    let wide = file("logo.svg");
    for (name, text) in [
        (
            "wide",
            format!(
                "accent = {{ dark = \"#f6b73c\", light = \"#1d7a47\" }}\n{footer}logo = \"wide.svg\"\n{links}"
            ),
        ),
        ("tall", format!("accent = \"#1e9c70\"\n{footer}logo = \"tall.svg\"\n")),
        ("plain", links.clone()),
    ] {
        let written = Written::new(&text, &[("wide.svg", wide.as_bytes()), ("tall.svg", TALL.as_bytes())]);
        let site = site::Site::looking(written.look().unwrap(), samples::unwell(), samples::now());
        for width in [360, 1440] {
            for (theme, dark) in [("dark", true), ("light", false)] {
                let visitor = Visitor::open(&site.url(), &Habits { width, dark, ..Habits::default() });
                assert_eq!(visitor.eval::<u32>("document.documentElement.scrollWidth"), width, "{name}");
                assert_eq!(visitor.troubles(), [""; 0]);
                visitor.photograph(&format!("look-{name}-{width}-{theme}"));
            }
        }
    }
}

/// The page of a look, and its policy.
fn drawn(look: Look) -> (String, String) {
    let site = Site::new(None, "", look);
    let page = Renderer::new(&site).unwrap().page(&samples::well(), samples::now()).unwrap();
    (page, site.policy.to_str().unwrap().to_owned())
}

fn any_text() -> impl Strategy<Value = String> {
    let harm =
        ["\"><script>alert(1)</script>", "'", "{{ 7 * 7 }}", "<!-- cards -->", "]]>", "</footer>", "&lt;"];
    prop_oneof![prop::sample::select(harm.to_vec()).prop_map(Into::into), "\\PC{1,20}", ".{0,20}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_accepted_text_adds_a_tag_or_ends_an_attribute(
        title in any_text(), footer in any_text(), text in any_text(), path in any_text(), host in any_text()
    ) {
        let text = format!(
            "title = {}\nfooter = {}\nlinks = [{{ text = {}, href = {} }}]\nframe_ancestors = [{}]\n",
            quoted(&title), quoted(&footer), quoted(&text), quoted(&format!("https://a.b/{path}")),
            quoted(&format!("https://a{host}"))
        );
        match parsed("test.toml", &text) {
            Ok(look) => {
                let mut harmless = look.clone();
                harmless.title = harmless.title.map(|_| "x".to_owned());
                harmless.footer.iter_mut().for_each(|line| *line = "x".to_owned());
                harmless.links.iter_mut().for_each(|link| (link.text, link.href) = ("x".to_owned(), "x".to_owned()));
                let ((page, policy), (same, _)) = (drawn(look), drawn(harmless));
                for mark in ['<', '>', '"', '\''] {
                    prop_assert_eq!(page.matches(mark).count(), same.matches(mark).count(), "{} in {}", mark, text);
                }
                prop_assert_eq!(policy.split("; ").count(), 8);
            }
            Err(problems) => for line in problems.lines() {
                prop_assert!(line.starts_with("tests/it/page_files/test.toml:"), "{}", line);
                prop_assert!(line.chars().all(shared::printable::is_printable), "{:?}", line);
            }
        }
    }
}

/// A string as TOML writes it.
fn quoted(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}
