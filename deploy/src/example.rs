//! The services file as a package brings it: every key explained, and no service, so that nothing is checked before
//! somebody says what.

/// The services file of the clone.
pub(crate) const SERVICES: &str = include_str!("../services.toml");

/// What follows the services there.
const REST: &str = "# All that a service may say";

const EXAMPLE: &str = r#"# Nothing is checked before a service stands here. Take away the # of these four lines and write what is yours:
#
# [[services]]
# id   = "website"  # 1-50 of A-Z a-z 0-9 . _ -; the history hangs on it, so let it be
# name = "example.com"
# url  = "https://example.com"

"#;

/// The same file with an example in place of its services.
pub(crate) fn without_services(file: &str) -> Result<String, &'static str> {
    let head = file.split_once("\n[[services]]").map(|(head, _)| head);
    let rest = file.split_once(REST).map(|(_, rest)| rest);
    match (head, rest) {
        (Some(head), Some(rest)) => Ok(format!("{head}\n{EXAMPLE}{REST}{rest}")),
        _ => Err("deploy/services.toml holds no service, or nothing on all that one may say"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn it_checks_nothing_and_says_what_to_write() {
        let file = without_services(SERVICES).unwrap();
        let problems = prober::config::parse(Path::new("services.toml"), &file, &|_| None).err().unwrap();
        assert_eq!(problems.to_string().lines().count(), 1, "{problems}");
        assert!(problems.to_string().contains("no service; write [[services]]"), "{problems}");
    }

    #[test]
    fn it_holds_once_its_example_is_uncommented() {
        let file = without_services(SERVICES).unwrap();
        let (head, rest) = file.split_once("# [[services]]").unwrap();
        let (example, rest) = rest.split_once("\n\n").unwrap();
        let file = format!("{head}[[services]]{}\n\n{rest}", example.replace("\n# ", "\n"));
        let services = prober::config::parse(Path::new("services.toml"), &file, &|_| None);
        assert_eq!(services.ok().unwrap().targets[0].id, "website");
    }

    #[test]
    fn a_file_that_was_changed_beyond_recognition_is_refused() {
        assert!(without_services("interval = \"1h\"").is_err());
    }
}
