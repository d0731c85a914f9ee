//! status-api: see `cli` for what it can be told, `lib` for the life of one request.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = api::cli::Cli::parse();
    shared::logging::start();
    cli.answer()
}
