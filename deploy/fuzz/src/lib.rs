//! What must hold whatever is fed to the two programs. Each function takes one input and panics where a rule is broken;
//! `./deploy/test --long` has libFuzzer look for such an input, the tests feed what lies in `seeds/` and beside the
//! tests of the programs.

mod answers;
mod requests;

use std::path::Path;

use prober::config;
use shared::{database::Database, printable::is_printable, written::Problems};

pub use answers::answers;
pub use requests::requests;

/// Stands for every variable, and in every place of a `DATABASE_URL` where there is a `$`.
const SECRET: &str = "tr0ub4dor-and-3";

/// A services file: it is read or refused, a mistake is one line that names its place, and no variable gets into a
/// message.
pub fn services_file(input: &[u8]) {
    let Some(text) = without_the_secret(input) else { return };
    let path = Path::new("services.toml");
    match config::parse(path, text, &|_| Some(SECRET.to_owned())) {
        Ok(services) => {
            assert!(!services.targets.is_empty());
            assert_eq!(services.targets.len(), services.remarks.len());
            for (target, remark) in services.targets.iter().zip(&services.remarks) {
                assert!((1..=50).contains(&target.id.len()) && target.id.is_ascii());
                assert!(target.tries_take() <= target.interval, "{}", target.id);
                assert!(
                    !remark.url.contains(SECRET) && remark.url.chars().all(is_printable),
                    "{}",
                    remark.url
                );
            }
        }
        Err(problems) => assert_told_well(&problems, text),
    }
}

/// A page file: the same.
pub fn page_file(input: &[u8]) {
    let Some(text) = without_the_secret(input) else { return };
    match api::look::parse(Path::new("page.toml"), text) {
        Ok(look) => assert!(look.links.iter().all(|link| !link.href.trim().starts_with("javascript:"))),
        Err(problems) => assert_told_well(&problems, text),
    }
}

/// A `DATABASE_URL`: it is understood or refused, and what is told of it is one line without the password, or what
/// was meant to be one: all from the first colon to the last `@`.
pub fn database_urls(input: &[u8]) {
    let Some(text) = without_the_secret(input) else { return };
    let told = match Database::parse(&text.replace('$', SECRET), "fuzz") {
        Ok(database) => database.to_string(),
        Err(malformed) => malformed.to_string(),
    };
    assert!(told.chars().all(is_printable), "{told:?}");
    let address = text.split('?').next().unwrap_or_default();
    let user = address.split_once("://").and_then(|(_, address)| address.rsplit_once('@'));
    let password = user.and_then(|(user, _)| user.split_once(':')).map_or("", |(_, password)| password);
    let is_password_alone = password.contains('$') && text.matches('$').count() == 1;
    assert!(!is_password_alone || !told.contains(SECRET), "{told}");
}

fn without_the_secret(input: &[u8]) -> Option<&str> {
    std::str::from_utf8(input).ok().filter(|text| !text.contains(SECRET))
}

fn assert_told_well(problems: &Problems, text: &str) {
    let last = text.split('\n').count();
    for line in problems.lines() {
        assert!(line.chars().all(is_printable) && !line.contains(SECRET), "{line:?}");
        let place = line.split(':').nth(1).and_then(|number| number.parse::<usize>().ok());
        assert!(place.is_none_or(|number| (1..=last).contains(&number)), "{line:?}");
    }
}

#[cfg(test)]
mod tests {
    use shared::testing::root;

    fn feed(folder: &str, ending: &str, rule: fn(&[u8])) {
        let mut fed = 0;
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|found| found == ending) {
                rule(&std::fs::read(&path).unwrap());
                fed += 1;
            }
        }
        assert!(fed > 2, "{folder}");
    }

    #[test]
    fn the_examples_of_every_kind_are_fed() {
        feed("prober/tests/it/services", "toml", super::services_file);
        feed("api/tests/it/page_files", "toml", super::page_file);
        feed("deploy/fuzz/seeds/database_urls", "txt", super::database_urls);
        feed("deploy/fuzz/seeds/answers", "txt", super::answers);
        feed("deploy/fuzz/seeds/requests", "txt", super::requests);
    }
}
