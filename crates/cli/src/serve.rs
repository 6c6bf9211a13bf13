//! `bergulir serve`: the server.

use std::future::Future;
use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use bergulir_engine::NodeOptions;
use bergulir_server::config::{Config, Loaded};
use bergulir_server::telemetry::{self, Otlp};
use bergulir_server::{ConfigFile, ServerOptions};
use clap::Args;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::config::SettingArgs;
use crate::failure::Failure;
use crate::output;
use crate::progress::Bar;
use crate::witness;

/// Serve the ledgers of a data directory
///
/// Prints `listening on ADDRESS` when it is ready. Stops on Ctrl-C or SIGTERM: what is in flight is
/// finished first; before it is ready, it stops at once. SIGHUP has it look at once at the files of
/// configuration, certificates and keys, which it follows anyway. What it logs on the standard error is chosen with `RUST_LOG`.
///
/// Each setting is a flag, an environment variable or a line of --config; the first that is set of
/// these counts. `bergulir config check` says what is wrong, `bergulir config show` what holds.
///
/// Example:
///   bergulir serve --data ./data
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    settings: SettingArgs,
}

/// What a server runs with.
fn options(config: Config, config_file: Option<ConfigFile>) -> Result<ServerOptions, Failure> {
    let auth = config.auth_options().map_err(|error| Failure::Usage(error.to_string()))?;
    let tls = config.tls.options();
    let Config { data, listen, http, keys, anchors, policy, metrics, metrics_exposed, .. } = config;
    let (ledger, traced, limits) = (config.ledger, config.otlp.is_some(), config.limits);
    let data = data.ok_or_else(|| Failure::Usage("a server needs --data".to_owned()))?;
    let policy = policy.as_deref().map(witness::policy).transpose()?;
    let longest_rest = Duration::from_secs(config.longest_rest_days * 86_400);
    let node =
        NodeOptions { ledger, keys, anchors, policy, longest_rest, ..NodeOptions::default() };
    let options = ServerOptions::new(data, listen);
    let options = ServerOptions { node, http, metrics, metrics_exposed, traced, ..options };
    Ok(ServerOptions { tls, auth, limits, config_file, ..options })
}

pub(crate) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let loaded = args.settings.load()?;
    if !loaded.problems.is_empty() {
        return Err(Failure::Usage(loaded.all_problems()));
    }
    let runtime = crate::server_runtime()?;
    let served = runtime.block_on(serve(loaded, args.settings.file()));
    // A start that was cut off goes on in a thread of its own, and has acknowledged nothing.
    runtime.shutdown_background();
    served
}

async fn serve(loaded: Loaded, file: Option<ConfigFile>) -> Result<(), Failure> {
    let Config { log_format, otlp_ratio: ratio, .. } = loaded.config;
    let otlp = loaded.config.otlp.clone().map(|endpoint| Otlp { endpoint, ratio });
    let traces = telemetry::start(log_format, "info,sled=warn", otlp.as_ref());
    let traces = traces.map_err(Failure::could_not)?;
    let served = serve_traced(loaded, file).await;
    // It waits for a collector, for a few seconds.
    let _ = tokio::task::spawn_blocking(move || traces.stop()).await;
    served
}

async fn serve_traced(loaded: Loaded, file: Option<ConfigFile>) -> Result<(), Failure> {
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let mut stop = Box::pin(stop_signal()?);
    let mut hangup = taken_over(SignalKind::hangup())?;
    let bar = Mutex::new(Bar::patient());
    let progress = move |ledger, done, total| {
        let mut bar = bar.lock().unwrap_or_else(PoisonError::into_inner);
        bar.tell(&format!("{ledger}: replaying records"), done, total);
        if done == total {
            bar.done();
        }
    };
    let running = tokio::select! {
        running = bergulir_server::start(options(loaded.config, file)?, progress) => {
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
    if let Some(metrics) = running.metrics_address() {
        output::line(format_args!("serving metrics on http://{metrics}/metrics"))?;
    }
    output::line(format_args!("listening on {}", running.address()))?;
    tell_systemd(NotifyState::Ready);
    let reloader = running.reloader();
    let reloading = tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            tracing::info!(
                "SIGHUP: the files of configuration, certificates and keys are looked at"
            );
            reloader.reload();
        }
    });
    let stop = async {
        stop.await;
        tell_systemd(NotifyState::Stopping);
    };
    let served = running.serve_until(stop).await.map_err(Failure::could_not);
    reloading.abort();
    served
}

/// Tells systemd, if it started this process and wants to know.
fn tell_systemd(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "systemd could not be told");
    }
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

/// A signal, which does from here on nothing else than to be told.
fn taken_over(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| {
        Failure::CouldNotTell(format!("the signals could not be taken over: {error}"))
    })
}

/// Ready when the operating system asks the process to stop. The signals are taken over at once,
/// so that none that comes early is lost.
pub(crate) fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let mut interrupted = taken_over(SignalKind::interrupt())?;
    let mut terminated = taken_over(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    })
}
