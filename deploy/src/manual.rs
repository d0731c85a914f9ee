//! The manual pages: what clap knows of a program, and what it does not.

use std::{fs, io, path::Path};

use chrono::{DateTime, Utc};
use clap::Command;
use clap_mangen::Man;

use crate::Program;

/// What the page of the prober says beyond its options, in roff.
pub(crate) const PROBER: &str = include_str!("prober.roff");
/// The same for the api.
pub(crate) const API: &str = include_str!("api.roff");

/// Writes the page of a program and of each of its subcommands.
pub(crate) fn write(program: &Program, date: DateTime<Utc>, folder: &Path) -> io::Result<()> {
    let mut command = program.command.clone().disable_help_subcommand(true);
    command.build();
    for subcommand in command.get_subcommands() {
        page(subcommand, date, folder, &format!(".SH SEE ALSO\n.BR {} (1)\n", command.get_name()))?;
    }
    page(&command, date, folder, program.more)
}

fn page(command: &Command, date: DateTime<Utc>, folder: &Path, more: &str) -> io::Result<()> {
    let man = Man::new(command.clone())
        .date(date.format("%Y-%m-%d").to_string())
        .source(concat!("Service Status Monitor ", env!("CARGO_PKG_VERSION")))
        .manual("Service Status Monitor");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    page.extend_from_slice(more.as_bytes());
    fs::write(folder.join(man.get_filename()), page)
}
