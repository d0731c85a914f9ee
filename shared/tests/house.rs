//! Rules of the house that a machine can hold: what may stand where, read from the sources themselves.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every file of a folder and what stands in it before its tests.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.ends_with("tests.rs") {
                // All of it is tests.
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let program = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
                found.push((path.strip_prefix(root()).unwrap().display().to_string(), program));
            }
        }
    }
    assert!(found.len() > 5, "{folder}");
    found
}

#[test]
fn sql_that_writes_stands_in_its_places_only() {
    let places = [
        "prober/src/store.rs",
        "prober/src/store/sharing.rs",
        "prober/src/store/statistics.rs",
        "prober/src/migrate.rs",
        "shared/src/testing.rs",
        "shared/src/testing/history.rs",
    ];
    for (path, text) in ["prober/src", "api/src", "shared/src"].into_iter().flat_map(sources) {
        for word in
            ["INSERT INTO", "DELETE FROM", "UPDATE status_", "UPDATE service_", "TRUNCATE ", "ALTER TABLE"]
        {
            assert!(!text.contains(word) || places.contains(&path.as_str()), "{path}: {word}");
        }
    }
}

#[test]
fn pure_files_have_no_clock_socket_sql_or_log() {
    for pure in [
        "prober/src/pulse.rs",
        "prober/src/schedule.rs",
        "prober/src/share.rs",
        "prober/src/standing.rs",
        "prober/src/verdict.rs",
        "prober/src/target.rs",
        "api/src/accept.rs",
        "api/src/badge.rs",
        "api/src/cursor.rs",
        "api/src/feed.rs",
        "api/src/span.rs",
        "api/src/outages.rs",
        "api/src/packed.rs",
        "api/src/render/history.rs",
        "api/src/series.rs",
        "api/src/response_times.rs",
        "api/src/snapshot.rs",
        "api/src/uptime.rs",
        "api/src/facts.rs",
        "api/src/words.rs",
    ] {
        let text = fs::read_to_string(root().join(pure)).unwrap();
        let program = text.split("#[cfg(test)]").next().unwrap();
        for word in ["now()", "std::net", "std::fs", "tokio", "postgres", "log::", "SELECT"] {
            assert!(!program.contains(word), "{pure}: {word}");
        }
    }
}

#[test]
fn no_arrow_leads_between_the_programs_or_out_of_shared() {
    for (crate_, others) in
        [("prober", &["api", "deploy"]), ("api", &["prober", "deploy"]), ("shared", &["api", "prober"])]
    {
        let manifest = fs::read_to_string(root().join(crate_).join("Cargo.toml")).unwrap();
        for other in others {
            assert!(!manifest.contains(&format!("{other}.workspace")), "{crate_} -> {other}");
            assert!(!manifest.contains(&format!("\n{other} =")), "{crate_} -> {other}");
        }
    }
}

#[test]
fn every_warning_is_explained_in_the_manual() {
    let manual = fs::read_to_string(root().join("deploy/README.md")).unwrap();
    let mut unexplained = Vec::new();
    for (path, text) in ["prober/src", "api/src", "shared/src"].into_iter().flat_map(sources) {
        let calls = ["log::warn!(", "log::error!("].into_iter().flat_map(|call| text.split(call).skip(1));
        for call in calls {
            // A string goes on in the next line after a backslash.
            let message = call.split('"').nth(1).unwrap_or_default();
            let message: String = message.split("\\\n").map(str::trim_start).collect();
            let said = message.split(['{', '}']).step_by(2).max_by_key(|part| part.len()).unwrap_or_default();
            let said = said.trim_matches([' ', ':', ';', ',', '.']);
            if said.len() > 12 && !manual.contains(said) {
                unexplained.push(format!("{path}: {said}"));
            }
        }
    }
    assert!(unexplained.is_empty(), "deploy/README.md does not say what these mean: {unexplained:#?}");
}
