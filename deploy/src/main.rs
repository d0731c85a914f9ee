//! Writes into a folder what the packages hold beside the programs: their manual pages and completions, from the same
//! definitions that the programs read their options by, an example services file, and the changelogs. Part of no program.
//! usage: deploy FOLDER MAINTAINER SECONDS, the last since 1970: the date that the texts bear

mod changelog;
mod example;
mod manual;

use std::{
    error::Error,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use chrono::{DateTime, Utc};
use clap::{Command, CommandFactory};
use clap_complete::Shell;

/// A program, and what its manual says beyond its options.
struct Program {
    command: Command,
    more: &'static str,
}

/// What was asked: where to write, and what the texts name.
struct Asked {
    folder: PathBuf,
    maintainer: String,
    date: DateTime<Utc>,
}

fn main() -> ExitCode {
    let Some(asked) = asked() else {
        writeln!(std::io::stderr(), "usage: deploy FOLDER MAINTAINER SECONDS").ok();
        return ExitCode::from(2);
    };
    match write(&asked) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(std::io::stderr(), "deploy: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn asked() -> Option<Asked> {
    let mut arguments = std::env::args().skip(1);
    let (folder, maintainer) = (arguments.next()?.into(), arguments.next()?);
    let date = DateTime::from_timestamp(arguments.next()?.parse().ok()?, 0)?;
    Some(Asked { folder, maintainer, date })
}

fn write(asked: &Asked) -> Result<(), Box<dyn Error>> {
    let folder = &asked.folder;
    fs::create_dir_all(folder.join("man"))?;
    for program in [
        Program { command: prober::cli::Cli::command(), more: manual::PROBER },
        Program { command: api::cli::Cli::command(), more: manual::API },
    ] {
        let name = program.command.get_name();
        manual::write(&program, asked.date, &folder.join("man"))?;
        complete(&program, &folder.join("completions"))?;
        let entry = changelog::debian(name, &asked.maintainer, asked.date);
        fs::write(folder.join(format!("{name}.changelog")), entry)?;
    }
    fs::write(folder.join("services.toml"), example::without_services(example::SERVICES)?)?;
    Ok(())
}

/// Completions for bash, zsh and fish, each in a folder and under the name that its shell looks for.
fn complete(program: &Program, folder: &Path) -> std::io::Result<()> {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let folder = folder.join(shell.to_string());
        fs::create_dir_all(&folder)?;
        clap_complete::generate_to(shell, &mut program.command.clone(), program.command.get_name(), &folder)?;
    }
    Ok(())
}
