//! `bergulir serve`: the server.

use std::future::Future;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;

use bergulir_engine::NodeOptions;
use bergulir_server::ServerOptions;
use clap::Args;
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;
use crate::output;
use crate::progress::Bar;
use crate::witness;

/// Serve the ledgers of a data directory
///
/// Prints `listening on ADDRESS` when it is ready. Stops on Ctrl-C or SIGTERM: what is in flight is
/// finished first; before it is ready, it stops at once. What it logs on the standard error is chosen with `RUST_LOG`.
///
/// Example:
///   bergulir serve --data ./data
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ServeArgs {
    /// The data directory; made if it is missing
    #[arg(long, env = "BERGULIR_DATA", value_name = "DIR")]
    data: PathBuf,
    /// Where to listen: a loopback address; port 0 takes any that is free
    #[arg(long, default_value = "127.0.0.1:7447", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The folder of the private keys that the ledgers sign with [default: keys in --data]
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// A folder, best on another disk or machine, that keeps the newest checkpoint of each ledger,
    /// so that an older copy of --data is found out; may be given again
    #[arg(long = "anchor", value_name = "DIR")]
    anchors: Vec<PathBuf>,
    /// A policy (C2SP tlog-policy): the witnesses to ask for cosignatures, and how many of them it
    /// takes
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Where to serve each log as static files (C2SP tlog-tiles) over HTTP: a loopback address
    #[arg(long, value_name = "ADDRESS")]
    http: Option<SocketAddr>,
}

impl ServeArgs {
    fn options(self) -> Result<ServerOptions, Failure> {
        let ServeArgs { data, listen, keys, anchors, policy, http } = self;
        let policy = policy.as_deref().map(witness::policy).transpose()?;
        let node = NodeOptions { keys, anchors, policy, ..NodeOptions::default() };
        Ok(ServerOptions { node, http, ..ServerOptions::new(data, listen) })
    }
}

pub(crate) fn run(args: ServeArgs) -> Result<(), Failure> {
    let runtime = crate::server_runtime()?;
    let served = runtime.block_on(serve(args));
    // A start that was cut off goes on in a thread of its own, and has acknowledged nothing.
    runtime.shutdown_background();
    served
}

async fn serve(args: ServeArgs) -> Result<(), Failure> {
    log_to_stderr("info,sled=warn");
    let mut stop = Box::pin(stop_signal()?);
    let bar = Mutex::new(Bar::patient());
    let progress = move |ledger, done, total| {
        let mut bar = bar.lock().unwrap_or_else(PoisonError::into_inner);
        bar.tell(&format!("{ledger}: replaying records"), done, total);
        if done == total {
            bar.done();
        }
    };
    let running = tokio::select! {
        running = bergulir_server::start(args.options()?, progress) => {
            running.map_err(Failure::could_not)?
        }
        () = &mut stop => {
            tracing::info!("stopped before it was ready");
            return Ok(());
        }
    };
    if let Some(http) = running.http_address() {
        output::line(format_args!("serving logs on http://{http}/"))?;
    }
    output::line(format_args!("listening on {}", running.address()))?;
    running.serve_until(stop).await.map_err(Failure::could_not)
}

/// Sends what is traced to the standard error; `RUST_LOG` overrides the default filter.
pub(crate) fn log_to_stderr(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    // Fails only if it was done before.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .try_init();
}

/// Ready when the operating system asks the process to stop. The signals are taken over at once,
/// so that none that comes early is lost.
pub(crate) fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let take = |kind| {
        signal(kind).map_err(|error| {
            Failure::CouldNotTell(format!("the signals could not be taken over: {error}"))
        })
    };
    let mut interrupted = take(SignalKind::interrupt())?;
    let mut terminated = take(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    })
}
