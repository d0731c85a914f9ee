//! Manual pages and completions say what the programs know, and the tools that read them have nothing to mend.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::packages::{printed, unpacked};

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn manual_pages_render_without_a_warning() {
    for name in ["status-prober", "status-api"] {
        let folder = unpacked(name);
        for page in files(&folder.join("usr/share/man/man1")) {
            let rendered = Command::new("bash")
                .args(["-o", "pipefail", "-c", r#"zcat "$0" | groff -ww -man -Tutf8 -rLL=100n -P-cbou"#])
                .arg(&page)
                .output()
                .unwrap();
            let text = String::from_utf8(rendered.stdout).unwrap();
            assert!(rendered.status.success(), "{}", page.display());
            assert_eq!(String::from_utf8_lossy(&rendered.stderr), "", "{}", page.display());
            for heading in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "SEE ALSO"] {
                assert!(text.contains(&format!("\n{heading}\n")), "{}: {heading}\n{text}", page.display());
            }
        }
    }
}

#[test]
fn the_manual_names_every_option_that_help_names() {
    for name in ["status-prober", "status-api"] {
        let folder = unpacked(name);
        let page = folder.join(format!("usr/share/man/man1/{name}.1.gz"));
        let page = printed(Command::new("zcat").arg(page)).replace('\\', "");
        let help = printed(Command::new(folder.join("usr/bin").join(name)).arg("--help"));
        let options: Vec<&str> = help
            .split_whitespace()
            .filter(|word| word.starts_with("--"))
            .map(|word| word.trim_end_matches(','))
            .collect();
        assert!(options.len() >= 4, "{help}");
        for option in options {
            assert!(page.contains(option), "{name}: {option}");
        }
    }
}

#[test]
fn bash_completes_subcommands_options_and_nothing_that_is_no_option() {
    for (name, typed, offered) in [
        ("status-prober", "che", "check-config"),
        ("status-prober", "--state", "--state-dir"),
        ("status-api", "--base", "--base-path"),
    ] {
        let folder = unpacked(name);
        let completions = folder.join("usr/share/bash-completion/completions").join(name);
        let script = r#"
            set -e
            source "$0"
            completes=$(complete -p "$1")
            [[ $completes =~ -F\ ([^ ]+) ]]
            COMP_WORDS=("$1" "$2") COMP_CWORD=1
            "${BASH_REMATCH[1]}" "$1" "$2" "$1"
            echo "${COMPREPLY[@]}""#;
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", script]).arg(completions).args([name, typed]);
        assert_eq!(printed(&mut bash).trim(), offered);
    }
}

#[test]
fn zsh_and_fish_read_their_completions_where_they_are_installed() {
    for name in ["status-prober", "status-api"] {
        let folder = unpacked(name);
        for (shell, check, file) in [
            ("zsh", "-n", format!("usr/share/zsh/vendor-completions/_{name}")),
            ("fish", "--no-execute", format!("usr/share/fish/vendor_completions.d/{name}.fish")),
        ] {
            let file = folder.join(file);
            assert!(fs::read_to_string(&file).unwrap().contains(name));
            match Command::new(shell).arg(check).arg(&file).output() {
                Ok(read) => {
                    assert!(read.status.success() && read.stderr.is_empty(), "{shell}: {}", file.display());
                }
                Err(_) => println!("{shell} is not installed: {} was not tried", file.display()),
            }
        }
    }
}
