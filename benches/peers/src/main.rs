//! Runs Bergulir and its peers on this machine, in turn, and prints ratios.

mod events;
mod failure;
mod folder;
mod load;
mod process;
mod report;
mod sync;
mod system;
mod systems;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;
use crate::folder::Folder;
use crate::report::{Report, Row};
use crate::system::{Load, System};
use crate::systems::{Name, Programs};

/// Runs Bergulir and stores that come from package registries, in turn, and prints ratios
///
/// Each runs by itself on a fresh folder, in its best setting in which every acknowledgement is
/// durable, and is stopped again. What is missing on this machine is said, with how to install it.
#[derive(Debug, Parser)]
#[command(name = "peers")]
struct Arguments {
    /// How long each of them is loaded, in each round and each way
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How often all of them have their turn
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// The program [default: `target/release/bergulir` of this checkout, or the one in the PATH]
    #[arg(long, value_name = "PATH")]
    bergulir: Option<PathBuf>,
    /// `UmaDB`'s program [default: the one in the PATH, or in cargo's folder]
    #[arg(long, value_name = "PATH")]
    umadb: Option<PathBuf>,
    /// Only these of them
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<Name>,
    /// Only loaded in this way
    #[arg(long, value_name = "LOAD")]
    load: Option<Load>,
    /// Where their data go, on the disk that is to be measured [default: the folder for temporary
    /// files]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Wait before each turn, for a minute at the most, until the machine is so quiet that a sync of
    /// 4 KiB takes less than this
    #[arg(long, value_name = "MICROSECONDS")]
    sync_below: Option<u64>,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match started(&Arguments::parse()) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// All clients share one thread: they take less of the cores that the servers need.
fn started(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let folder = Folder::new(arguments.data.as_deref())?;
    let code = runtime.block_on(async {
        let mut interrupted = signal(SignalKind::interrupt())?;
        let mut terminated = signal(SignalKind::terminate())?;
        let mut hung_up = signal(SignalKind::hangup())?;
        // What runs when a signal comes is dropped, and with it every process that it started.
        tokio::select! {
            code = compared(arguments, folder.path()) => code,
            _ = interrupted.recv() => Err(Failure::Stopped),
            _ = terminated.recv() => Err(Failure::Stopped),
            _ = hung_up.recv() => Err(Failure::Stopped),
        }
    });
    folder.remove()?;
    code
}

async fn compared(arguments: &Arguments, folder: &Path) -> Result<ExitCode, Failure> {
    let programs =
        Programs { bergulir: arguments.bergulir.clone(), umadb: arguments.umadb.clone() };
    let systems = systems::all(&arguments.only, &programs);
    let loads: Vec<Load> = Load::ALL
        .into_iter()
        .filter(|load| arguments.load.is_none_or(|one| one == *load))
        .collect();
    let mut rows: Vec<Row> = systems.iter().map(|system| Row::new(&**system, &loads)).collect();
    for missing in rows.iter().filter_map(|row| row.missing.as_ref()) {
        eprintln!("missing: {missing}");
    }
    let time = Duration::from_secs(arguments.seconds);
    let before = report::load_average();
    for round in 1..=arguments.rounds {
        for load in &loads {
            for (system, row) in systems.iter().zip(&mut rows).filter(|(_, row)| row.can_run()) {
                let sync_us = sync::quiet(folder, arguments.sync_below).await?;
                let turn = Turn { load: *load, round, time, sync_us };
                turn.run(&**system, folder, row).await?;
            }
        }
    }
    let report = Report::new(rows, &loads, time, arguments.rounds, before);
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    Ok(if report.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// One load of one of them.
#[derive(Debug, Clone, Copy)]
struct Turn {
    load: Load,
    round: u32,
    time: Duration,
    sync_us: u64,
}

impl Turn {
    /// One that fails has no further turn; the others go on.
    async fn run(self, system: &dyn System, folder: &Path, row: &mut Row) -> Result<(), Failure> {
        let Turn { load, round, time, sync_us } = self;
        let name = system.name();
        let own = folder.join(format!("{name}-{load}-{round}"));
        std::fs::create_dir(&own)?;
        match system.run(load, &own, time).await {
            Ok(measured) => {
                let rate = report::thousands(measured.events_per_second());
                eprintln!("round {round}, {load}: {name} {rate}/s, a sync {sync_us} µs");
                row.take(load, measured, sync_us);
            }
            Err(failure) => {
                eprintln!("round {round}, {load}: {name} failed: {failure}");
                row.failed = Some(failure.to_string());
            }
        }
        std::fs::remove_dir_all(&own)?;
        Ok(())
    }
}
