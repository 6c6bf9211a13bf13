//! `bergulir clock`: what an operator says of the clock.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bergulir_domain::PrincipalId;
use bergulir_engine::clock::SystemClock;
use bergulir_engine::{LEDGERS_FOLDER, accept_clock, clock_was_taken};
use bergulir_proto::timestamp_to_wire;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::failure::Failure;
use crate::output;

/// How long it waits for the server, which looks once a second.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it looks whether the server has taken it.
const PAUSE: Duration = Duration::from_millis(50);

/// Say that the clock of a server is right
#[derive(Debug, Args)]
pub(crate) struct ClockArgs {
    #[command(subcommand)]
    command: ClockCommand,
}

#[derive(Debug, Subcommand)]
enum ClockCommand {
    /// Say that the clock of this machine is right, so that a server that has stopped writes
    /// (`CLOCK_SUSPECT`) goes on
    ///
    /// Compare the clock with another one first: a wrong time stays in the log for ever. Run it where the
    /// server runs, as a user who may write to the data directory. The server's log keeps who said so. It
    /// holds for the server that runs, or one that starts within five minutes; a server that does not
    /// doubt its clock is not changed by it.
    ///
    /// Example:
    ///   bergulir clock accept --data ./data --principal operator-1
    #[command(verbatim_doc_comment)]
    Accept {
        /// The data directory of the server
        #[arg(long, env = "BERGULIR_DATA", value_name = "DIR")]
        data: PathBuf,
        /// Who you are: an opaque id, never a person's name
        #[arg(long, env = "BERGULIR_PRINCIPAL", value_name = "PRINCIPAL")]
        principal: PrincipalId,
    },
}

pub(crate) fn run(args: ClockArgs, json: bool) -> Result<(), Failure> {
    let ClockCommand::Accept { data, principal } = args.command;
    if !data.join(LEDGERS_FOLDER).is_dir() {
        return Err(Failure::Input(format!(
            "{} is not a data directory: it has no {LEDGERS_FOLDER}/",
            data.display()
        )));
    }
    let accepted = accept_clock(&data, principal, &SystemClock::new())
        .map_err(|error| Failure::Input(format!("{}: {error}", data.display())))?;
    let clock = output::instant(Some(&timestamp_to_wire(accepted)));
    let began = Instant::now();
    while !clock_was_taken(&data) {
        if began.elapsed() > PATIENCE {
            return Err(Failure::CouldNotTell(format!(
                "no server has taken it yet that the clock is right at {clock}: does one run on {}? One \
                 that starts within five minutes takes it",
                data.display()
            )));
        }
        std::thread::sleep(PAUSE);
    }
    if json {
        output::line(json!({"clock": clock, "principal": principal.as_str()}))
    } else {
        output::line(format_args!("the server goes on with the clock at {clock}"))
    }
}
