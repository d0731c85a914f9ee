//! Page files and what is said about them; `worn` looks at the pages that they make. In `page_files/`, a line
//! `#~ message` is what is said about the line above it; a file with such lines is refused with exactly these messages,
//! and one without is accepted.

use std::{
    fs,
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

use crate::samples;

mod worn;

const FOLDER: &str = "tests/it/page_files";

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

#[test]
fn what_is_longer_than_people_read_is_refused_and_what_just_fits_is_not() {
    let link = "{ text = \"x\", href = \"https://example.com\" }, ";
    let texts = |n: usize| {
        format!(
            "title = \"{}\"\nfooter = \"{}\"\nlinks = [{}]\n",
            "é".repeat(200 + n),
            "é".repeat(500 + n),
            link.repeat(12 + n)
        )
    };
    assert_eq!(parsed("test.toml", &texts(0)).unwrap().links.len(), 12);
    let problems = parsed("test.toml", &texts(1)).unwrap_err();
    let said: Vec<_> = problems.lines().collect();
    for (said, end) in said.iter().zip([
        "has 201 characters; write at most 200",
        "has 501 characters; write at most 500",
        "3: links holds 13; write at most 12",
    ]) {
        assert!(said.ends_with(end), "{said}");
    }
    assert_eq!(said.len(), 3);
    let lines =
        |line: &str, count: usize| parsed("test.toml", &format!("footer = \"{}\"", line.repeat(count)));
    assert_eq!(lines("x\\n\\n", 6).unwrap().footer, ["x"; 6]);
    let said = lines("x\\n", 7).unwrap_err().to_string();
    assert!(said.ends_with("has 7 lines; write at most 6"), "{said}");
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
