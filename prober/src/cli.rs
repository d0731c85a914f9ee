//! The command line of status-prober: what was asked, and the exit code that answers it.

use std::{
    io::{BufWriter, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Instant,
};

use clap::{Parser, Subcommand};
use shared::{Check, Database, Status, metrics::Address};

use crate::{
    config, migrate, once,
    output::{self, Style},
    run,
    store::statistics::Recounted,
    target::Target,
    upkeep,
};

/// Checks services on its own schedule and records the checks in PostgreSQL.
///
/// DATABASE_URL (postgresql://user:password@host:5432/database?sslmode=verify-full) names the database; without it
/// services are checked and logged, and nothing is recorded. RUST_LOG sets what is logged (info).
#[derive(Debug, Parser)]
#[command(name = "status-prober", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    /// The services file
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "STATUS_CONFIG",
        default_value = "/etc/status-monitor/services.toml"
    )]
    config: PathBuf,

    /// A folder for what outlives the process: checks on their way to the database
    #[arg(long, global = true, value_name = "PATH", env = "STATE_DIRECTORY")]
    state_dir: Option<PathBuf>,

    /// Where to be scraped by Prometheus, like 127.0.0.1:9150 [default: nowhere]
    #[arg(long, global = true, value_name = "ADDRESS", env = "STATUS_METRICS_LISTEN")]
    metrics_listen: Option<Address>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check for ever and record (the default); SIGHUP reloads the services file
    Run,
    /// Validate the services file and print what would be checked
    CheckConfig,
    /// Check once now, print the results and record nothing; exit 0 when every service is online, 1 otherwise
    Once {
        /// Only these services
        #[arg(value_name = "ID")]
        ids: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Bring the database's schema up to date and exit
    Migrate,
    /// Count all checks anew and exit, after a restore that left the statistics behind
    ///
    /// Brings the schema up to date first. Rollups and totals are rebuilt from the recorded checks and from what
    /// retention kept of those it removed, all at once: probers wait meanwhile and lose nothing, readers do not wait. The
    /// triggers that count are put back where they are gone or off.
    /// Response times by hour are summarised again by a running prober, the newest first.
    Recount,
}

type Stdout = BufWriter<std::io::StdoutLock<'static>>;

impl Cli {
    /// Does what was asked: exit 0 done, 1 failed at run time, 2 bad usage or configuration.
    pub fn answer(self) -> ExitCode {
        match self.command.unwrap_or(Command::Run) {
            Command::Run => run_daemon(self.config, self.state_dir.as_deref(), self.metrics_listen.as_ref()),
            Command::CheckConfig => check_config(&self.config),
            Command::Once { ids, json } => check_once(&self.config, &ids, json),
            Command::Migrate => bring_up_to_date(),
            Command::Recount => recount(),
        }
    }
}

fn run_daemon(
    services_file: PathBuf,
    state_dir: Option<&std::path::Path>,
    metrics: Option<&Address>,
) -> ExitCode {
    match run::run(services_file, state_dir, metrics) {
        Ok(()) => ExitCode::SUCCESS,
        Err(run::Failed::Configuration(problems)) => refuse(&problems.to_string()),
        Err(run::Failed::System(reason)) => fail(&reason),
    }
}

fn check_config(services_file: &std::path::Path) -> ExitCode {
    match config::load(services_file) {
        Ok(services) => print(|out| output::write_plan(&services, style(), out)),
        Err(problems) => refuse(&problems.to_string()),
    }
}

fn check_once(services_file: &std::path::Path, ids: &[String], json: bool) -> ExitCode {
    let services = match config::load(services_file) {
        Ok(services) => services,
        Err(problems) => return refuse(&problems.to_string()),
    };
    let known: Vec<String> = services.targets.iter().map(|target| target.id.clone()).collect();
    if let Some(unknown) = ids.iter().find(|id| !known.contains(id)) {
        return refuse(&format!("no service has the id {unknown:?}; write one of: {}", known.join(", ")));
    }
    let asked = |target: &Target| ids.is_empty() || ids.contains(&target.id);
    let targets: Vec<Arc<Target>> = services.targets.into_iter().filter(asked).map(Arc::new).collect();
    let checks = match run::runtime().map_err(|error| error.to_string()).and_then(|runtime| {
        let checks = runtime.block_on(once::round(&targets));
        runtime.shutdown_background();
        checks
    }) {
        Ok(checks) => checks,
        Err(reason) => return fail(&reason),
    };
    let results: Vec<(&Target, &Check)> = targets.iter().map(AsRef::as_ref).zip(&checks).collect();
    let shown = print(|out| match json {
        true => output::write_round_json(&results, out),
        false => output::write_round(&results, style(), out),
    });
    if checks.iter().all(|check| check.status == Status::Online) { shown } else { ExitCode::FAILURE }
}

fn bring_up_to_date() -> ExitCode {
    let database = match database() {
        Ok(database) => database,
        Err(refused) => return refused,
    };
    match database.connect().and_then(|mut client| migrate::bring_up_to_date(&mut client)) {
        Ok(()) => print(|out| writeln!(out, "The schema of {database} is up to date.")),
        Err(reason) => fail(&reason),
    }
}

fn recount() -> ExitCode {
    let database = match database() {
        Ok(database) => database,
        Err(refused) => return refused,
    };
    let began = Instant::now();
    match database.connect().and_then(|mut client| upkeep::recount(&mut client)) {
        Ok(Recounted { checks, services }) => print(|out| {
            let took = began.elapsed().as_secs_f64();
            writeln!(out, "Counted {checks} checks of {services} services anew in {took:.1} s.")
        }),
        Err(reason) => fail(&reason),
    }
}

/// The database of a command that is nothing without one.
fn database() -> Result<Database, ExitCode> {
    match Database::from_environment("status-prober") {
        Ok(Some(database)) => Ok(database),
        Ok(None) => Err(refuse(
            "DATABASE_URL is not set; write DATABASE_URL=postgresql://user:password@host:5432/database",
        )),
        Err(malformed) => Err(refuse(&malformed.to_string())),
    }
}

/// Colours and the width of the screen on a terminal, neither in a pipe.
fn style() -> Style {
    let terminal = std::io::stdout().is_terminal();
    let width = terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0));
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Style { colour, width: terminal.then_some(width) }
}

/// A reader that went away (`| head`) has seen what it wanted.
fn print(write: impl FnOnce(&mut Stdout) -> std::io::Result<()>) -> ExitCode {
    let mut out = BufWriter::new(std::io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            fail(&format!("can't print: {error}"))
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Bad usage or configuration.
fn refuse(problems: &str) -> ExitCode {
    say(problems);
    ExitCode::from(2)
}

/// Failed at run time.
fn fail(reason: &str) -> ExitCode {
    say(reason);
    ExitCode::FAILURE
}

/// Plain lines for whoever started this; nobody is left to tell where standard error is gone.
fn say(lines: &str) {
    writeln!(std::io::stderr(), "{lines}").ok();
}
