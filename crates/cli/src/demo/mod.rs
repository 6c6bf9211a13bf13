//! `bergulir demo`: a whole programme, from the allocation to the repayment and lending again,
//! through a real server.

mod findings;
mod programme;
pub(crate) mod roster;
mod run;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Instant;

use bergulir_engine::LEDGERS_FOLDER;
use bergulir_server::{ServeError, ServerOptions};
use clap::Args;
use tokio::sync::oneshot;

use crate::demo::findings::Findings;
use crate::demo::roster::Roster;
use crate::demo::run::Story;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::serve::{log_to_stderr, stop_signal};
use crate::{audit, output};

/// The only ledger of the demonstration.
const LEDGER: &str = "demo";

/// See a whole programme run, from the allocation to what came back and is lent again
///
/// Starts a real server on a loopback port and a fresh data directory, drives it through gRPC,
/// and verifies what it wrote.
///
/// Examples:
///   bergulir demo
///   bergulir demo --cooperatives villages.csv --data ./demo-data --keep-serving
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct DemoArgs {
    /// One cooperative for each row of this CSV file, whose header has `village_code` and
    /// `village_name`; further columns are ignored [default: the pilot of 58 made-up ones]
    #[arg(long, value_name = "FILE")]
    cooperatives: Option<PathBuf>,
    /// Keep the data here, in a new or empty directory [default: a temporary one, removed]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Stay up after the end, to look around; stop with Ctrl-C
    #[arg(long)]
    keep_serving: bool,
    /// Where to listen: a loopback address; port 0 takes any that is free
    #[arg(long, default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), value_name = "ADDRESS")]
    listen: SocketAddr,
}

pub(crate) async fn run(args: DemoArgs, json: bool) -> Result<(), Failure> {
    log_to_stderr("warn");
    let began = Instant::now();
    let roster = match &args.cooperatives {
        Some(file) => Roster::from_file(file)?,
        None => Roster::pilot(),
    };
    let folder = Folder::fresh(args.data.as_deref())?;
    // From here on Ctrl-C ends the demonstration in order, so that a temporary folder goes too.
    let stop = stop_signal()?;
    tokio::pin!(stop);
    let server = Serving::start(folder.path(), args.listen).await?;
    let (address, story) = (server.address, Story::new(json));
    let told = tokio::select! {
        told = Box::pin(tell(&args, &roster, &folder, server, &story, began)) => told?,
        () = &mut stop => return Err(Failure::CouldNotTell("stopped before the end".to_owned())),
    };
    told.findings.show(json, folder.kept().then(|| folder.path()))?;
    if let Some(server) = told.server {
        story.say(format_args!(
            "Server tetap jalan / still serving: http://{address} (--ledger {LEDGER}); Ctrl-C"
        ));
        stop.await;
        server.stop().await?;
    }
    if told.findings.verified() { Ok(()) } else { Err(Failure::Invalid) }
}

/// What there is at the end.
struct Told {
    findings: Findings,
    /// The server, if it is to stay up.
    server: Option<Serving>,
}

/// Runs the programme, asks what came of it, and verifies the log.
async fn tell(
    args: &DemoArgs,
    roster: &Roster,
    folder: &Folder,
    server: Serving,
    story: &Story,
    began: Instant,
) -> Result<Told, Failure> {
    let desk = Desk::at(server.address, LEDGER).await?;
    story.say(format_args!(
        "{} koperasi / cooperatives · server {} · data {}",
        output::count(roster.cooperatives.len() as u64),
        server.address,
        folder.path().display()
    ));
    let lent = Box::pin(run::programme(&desk, roster, LEDGER, story)).await?;
    let mut findings = Findings::ask(&desk, lent, story).await?;
    drop(desk);
    let server = if args.keep_serving {
        Some(server)
    } else {
        server.stop().await?;
        None
    };
    let path = folder.path().to_owned();
    let found = tokio::task::spawn_blocking(move || audit::verify(&path, None))
        .await
        .map_err(Failure::could_not)?
        .map_err(Failure::could_not)?;
    findings.compare(&found.ledgers, began.elapsed());
    Ok(Told { findings, server })
}

/// A server in this process.
struct Serving {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<Result<(), ServeError>>,
}

impl Serving {
    async fn start(data: &Path, listen: SocketAddr) -> Result<Serving, Failure> {
        let running = bergulir_server::start(ServerOptions::new(data, listen), |_, _, _| {})
            .await
            .map_err(Failure::could_not)?;
        let (stop, stopped) = oneshot::channel::<()>();
        Ok(Serving {
            address: running.address(),
            stop,
            task: tokio::spawn(running.serve_until(async {
                // Also ready when the sender is gone.
                let _ = stopped.await;
            })),
        })
    }

    async fn stop(self) -> Result<(), Failure> {
        drop(self.stop);
        self.task.await.map_err(Failure::could_not)?.map_err(Failure::could_not)
    }
}

/// The data directory of the demonstration.
enum Folder {
    Temporary(tempfile::TempDir),
    Kept(PathBuf),
}

impl Folder {
    fn fresh(data: Option<&Path>) -> Result<Folder, Failure> {
        let Some(data) = data else {
            return tempfile::Builder::new()
                .prefix("bergulir-demo-")
                .tempdir()
                .map(Folder::Temporary)
                .map_err(|error| {
                    Failure::CouldNotTell(format!("no temporary directory could be made: {error}"))
                });
        };
        let ledgers = data.join(LEDGERS_FOLDER);
        let holds_any = std::fs::read_dir(&ledgers).is_ok_and(|mut found| found.next().is_some());
        if holds_any {
            return Err(Failure::Input(format!(
                "{} holds ledgers already, and the demonstration never touches those: give a new \
                 or empty directory",
                data.display()
            )));
        }
        Ok(Folder::Kept(data.to_owned()))
    }

    fn path(&self) -> &Path {
        match self {
            Folder::Temporary(folder) => folder.path(),
            Folder::Kept(path) => path,
        }
    }

    fn kept(&self) -> bool {
        matches!(self, Folder::Kept(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_holds_ledgers_is_left_alone() {
        let data = tempfile::tempdir().unwrap();
        assert!(Folder::fresh(Some(data.path())).is_ok());
        std::fs::create_dir_all(data.path().join(LEDGERS_FOLDER).join("real")).unwrap();
        let refused = Folder::fresh(Some(data.path())).err().unwrap();
        assert_eq!(refused.exit_code(), crate::exit::REFUSED);
    }

    #[test]
    fn a_temporary_directory_goes_with_the_demonstration() {
        let folder = Folder::fresh(None).unwrap();
        let path = folder.path().to_owned();
        assert!(path.is_dir() && !folder.kept());
        drop(folder);
        assert!(!path.exists());
    }
}
