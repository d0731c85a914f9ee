//! The page as its file wants it to look, in a real Chromium.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
};

use super::{FOLDER, Written, file};
use crate::{
    api::Api,
    browser::{Habits, Visitor},
    samples,
    site::Site,
};

/// Twice as high as wide, and it follows the theme.
const TALL: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" width="30mm" height="60mm" viewBox="0 0 30 60">
<style>path { fill: #0b6e4f } @media (prefers-color-scheme: dark) { path { fill: #7bd8b4 } }</style>
<path d="M15 0 30 20v40H0V20z"/></svg>"##;

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
    // As a ring around what has the focus.
    visitor.press("Tab");
    let accent = "getComputedStyle(document.activeElement).outlineColor";
    for (dark, chosen, colour) in [
        (true, None, "rgb(255, 136, 0)"),
        (false, None, "rgb(170, 68, 0)"),
        (true, Some("light"), "rgb(170, 68, 0)"),
        (false, Some("dark"), "rgb(255, 136, 0)"),
    ] {
        visitor.prefer(dark, &[]);
        let chosen = chosen.map_or("delete d.theme".to_owned(), |theme: &str| format!("d.theme = {theme:?}"));
        visitor.eval::<()>(&format!("((d) => void ({chosen}))(document.documentElement.dataset)"));
        assert_eq!(visitor.eval::<String>(accent), colour, "{dark} {chosen}");
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
        let site = Site::looking(written.look().unwrap(), samples::well(), samples::now());
        let visitor = Visitor::open(&site.url(), &Habits { width: 360, ..Habits::default() });
        let shown: (u32, u32, bool) = visitor.eval(
            "((i, r = i.getBoundingClientRect()) => [r.width, r.height, i.naturalWidth > 0])\
             (document.querySelector('img.logo'))",
        );
        assert_eq!(shown, (width, height, true), "{name}");
        visitor.eval::<()>(
            "void (document.querySelector('#site').textContent = 'The status of our services '.repeat(4))",
        );
        let beside: bool = visitor.eval(
            "document.querySelector('#site').offsetLeft > document.querySelector('img.logo').offsetLeft",
        );
        assert_eq!(beside, width < 100, "a long title stands below a wide logo, and beside others: {name}");
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
        let site = Site::looking(written.look().unwrap(), samples::unwell(), samples::now());
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
