//! status-prober: see `cli` for what it can be asked, `lib` for the life of one check.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = prober::cli::Cli::parse();
    shared::logging::start();
    cli.answer()
}
