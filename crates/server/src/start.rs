//! From options to a running server, and its orderly end.

use crate::access::{Access, AuthOptions, Denials};
use crate::calls::Calls;
use crate::connections;
use crate::door::Door;
use crate::files::{FileError, Followed};
use crate::health::Health;
use crate::limits::{Limits, STOP_GRACE};
use crate::quotas::Quotas;
use crate::reload::{self, ConfigFile, Reloader};
use crate::services::Services;
use crate::static_log::{self, StaticLogs};
use crate::telemetry::{self, Measured, Scrape};
use crate::threads::Threads;
use crate::tls::{self, TlsOptions};
use bergulir_chain::policy::Policy;
use bergulir_domain::LedgerId;
use bergulir_engine::clock::{Clock, SystemClock};
use bergulir_engine::{Node, NodeError, NodeOptions};
use bergulir_proto::pb::FILE_DESCRIPTOR_SET;
use bergulir_proto::pb::backup_service_server::{BackupServiceServer, SERVICE_NAME as BACKUP};
use bergulir_proto::pb::ledger_service_server::{LedgerServiceServer, SERVICE_NAME as LEDGER};
use bergulir_proto::pb::log_service_server::{LogServiceServer, SERVICE_NAME as LOG};
use bergulir_proto::pb::query_service_server::{QueryServiceServer, SERVICE_NAME as QUERY};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;

/// How a server runs.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The data directory; made if it is missing.
    pub data: PathBuf,
    /// Where to listen: a loopback address, or any with TLS and callers that prove who they are.
    /// Port 0 takes any that is free.
    pub listen: SocketAddr,
    /// How the ledgers run: the keys that they sign with, anchors, witnesses.
    pub node: NodeOptions,
    /// Where to serve the logs as static files over HTTP: a loopback address. `None`: nowhere.
    pub http: Option<SocketAddr>,
    /// Where to serve metrics and health over HTTP. `None`: nowhere.
    pub metrics: Option<SocketAddr>,
    /// Whether that may be an address that other machines can reach.
    pub metrics_exposed: bool,
    /// Whether calls are parts of traces: [`telemetry::start`](crate::telemetry::start) was given a
    /// collector.
    pub traced: bool,
    /// The certificates and keys of TLS. `None`: callers speak in the clear.
    pub tls: Option<TlsOptions>,
    /// How callers prove who they are, and what they may do.
    pub auth: AuthOptions,
    /// How much callers may ask for.
    pub limits: Limits,
    /// The file of the configuration, which is followed: the grants that it has go before those in
    /// `auth`. `None`: there is none.
    pub config_file: Option<ConfigFile>,
}

impl ServerOptions {
    /// The defaults for everything but where.
    pub fn new(data: impl Into<PathBuf>, listen: SocketAddr) -> ServerOptions {
        ServerOptions {
            data: data.into(),
            listen,
            node: NodeOptions::default(),
            http: None,
            metrics: None,
            metrics_exposed: false,
            traced: false,
            tls: None,
            auth: AuthOptions::default(),
            limits: Limits::default(),
            config_file: None,
        }
    }
}

/// Why a server does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address of the static logs can be reached from other machines.
    #[error(
        "{address} can be reached from other machines, and logs are served over HTTP without \
         encryption: use a loopback address such as 127.0.0.1:7448"
    )]
    NotLoopback {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// Metrics would be open to other machines, and nobody said that they may be.
    #[error(
        "{address} can be reached from other machines, and whoever reaches it sees the names of the \
         ledgers and how much they do: listen on a loopback address, or say metrics_exposed = true \
         (--metrics-exposed) where only those who watch can reach it"
    )]
    MetricsExposed {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// The address can be reached from other machines, and is not protected.
    #[error(
        "{address} can be reached from other machines, and that takes {missing}: set \
         tls.certificate and tls.key, and, so that callers can prove who they are, \
         tls.client_authorities or auth.jwks with auth.issuer and auth.audience. Or listen on a \
         loopback address such as 127.0.0.1:7447"
    )]
    Unprotected {
        /// The address that was asked for.
        address: SocketAddr,
        /// What is missing.
        missing: &'static str,
    },
    /// The logs over HTTP would be for everybody, or for nobody.
    #[error(
        "logs over HTTP hold everyone's money, and callers prove who they are by certificates alone, \
         which plain HTTP cannot take: set auth.jwks, so that they can send tokens, or take http away"
    )]
    HttpWithoutTokens,
    /// A file of certificates or keys cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The address cannot be listened on.
    #[error("could not listen on {address}: {source}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The operating system gives no more threads.
    #[error("no threads could be started for batches: {0}")]
    Threads(std::io::Error),
    /// The thread that opened the data directory panicked.
    #[error("opening the data directory failed: {0}")]
    Panicked(#[from] tokio::task::JoinError),
}

/// Why a server stopped in disorder. What was acknowledged is durable all the same.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The thread that stopped the ledgers panicked.
    #[error("stopping the ledgers failed: {0}")]
    Panicked(#[from] tokio::task::JoinError),
}

/// A server that has opened everything and listens. Callers wait until
/// [`serve_until`](Running::serve_until) answers them.
pub struct Running {
    listener: TcpListener,
    address: SocketAddr,
    http: Option<(TcpListener, SocketAddr, StaticLogs)>,
    services: Services,
    threads: Threads,
    door: Arc<Door>,
    access: Arc<Access>,
    /// Keeps up with the files of certificates, keys and the configuration.
    followers: Followers,
    reload: Reloader,
    stop: watch::Sender<bool>,
    measured: Arc<Measured>,
    traced: bool,
    /// Serves metrics, until it is dropped.
    watched: JoinSet<()>,
    metrics: Option<SocketAddr>,
}

/// Binds the addresses and opens every ledger. `progress` is told the ledger, and how many of how
/// many records are replayed.
///
/// # Errors
/// If an address is not loopback or in use, or the data directory cannot be used.
pub async fn start(
    options: ServerOptions,
    progress: impl Fn(LedgerId, u64, u64) + Send + 'static,
) -> Result<Running, StartError> {
    let ServerOptions { data, listen, node, http, metrics, metrics_exposed, .. } = options;
    let ServerOptions { traced, tls, auth, limits, .. } = options;
    check_protection(listen, tls.as_ref(), auth.tokens.is_some())?;
    http.map(check_loopback).transpose()?;
    let quotas = Arc::new(Quotas::new(limits.clone()));
    let counts = Arc::clone(&quotas);
    let (tls, access, config) = protection(tls, auth, options.config_file, counts).await?;
    if http.is_some() && access.authenticates() && !access.takes_tokens() {
        return Err(StartError::HttpWithoutTokens);
    }
    let followers = Followers { tls: tls.clone(), access: Arc::clone(&access), config };
    let scrape = Scrape::default();
    // Set once, here.
    let _ = scrape.measured.files.set(followers.watch());
    let mut watched = JoinSet::new();
    let metrics = match metrics {
        Some(address) => {
            check_metrics_address(address, metrics_exposed)?;
            let (listener, address) = bind(address).await?;
            watched.spawn(telemetry::serve(listener, scrape.clone()));
            Some(address)
        }
        None => None,
    };
    let (listener, address) = bind(listen).await?;
    let http = match http {
        Some(http) => Some(bind(http).await?),
        None => None,
    };
    // Where witnesses are asked for, what is published is what they stand for.
    let witnessed_only = node.policy.as_ref().is_some_and(Policy::wants_witnesses);

    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let node_clock = Arc::clone(&clock);
    let node = NodeOptions { runtime: Some(Handle::current()), ..node };
    let opening =
        tokio::task::spawn_blocking(move || Node::open(&data, node_clock, node, &progress));
    let node = Arc::new(opening.await??);

    let (stop, stopping) = watch::channel(false);
    let health = Health::new(stopping.clone());
    for (id, _) in node.ledgers() {
        health.follow(&node, id).await;
    }
    for name in [LEDGER, QUERY, LOG, BACKUP] {
        health.add_service(name).await;
    }
    let http = http.map(|(listener, address)| {
        (listener, address, StaticLogs::new(Arc::clone(&node), witnessed_only, Arc::clone(&access)))
    });
    let threads = Threads::start().map_err(StartError::Threads)?;
    let services = Services {
        node,
        clock,
        health,
        stopping,
        measured: Arc::clone(&scrape.measured),
        access: Arc::clone(&access),
        quotas,
        pages: threads.pages(),
    };
    // Set once, here.
    let _ = scrape.services.set(services.clone());
    let door = Arc::new(Door::new(tls.clone(), limits));
    Ok(Running {
        listener,
        address,
        http,
        services,
        threads,
        door,
        access,
        followers,
        reload: Reloader(watch::Sender::new(())),
        stop,
        measured: Arc::clone(&scrape.measured),
        traced,
        watched,
        metrics,
    })
}

/// Whether calls may be taken at an address.
pub(crate) fn check_protection(
    address: SocketAddr,
    tls: Option<&TlsOptions>,
    tokens: bool,
) -> Result<(), StartError> {
    if address.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    let authenticates = tokens || tls.is_some_and(|tls| tls.clients.is_some());
    let missing = match (tls.is_some(), authenticates) {
        (true, true) => return Ok(()),
        (false, false) => "TLS and authentication",
        (false, true) => "TLS",
        (true, false) => "authentication",
    };
    Err(StartError::Unprotected { address, missing })
}

/// Whether logs may be served over HTTP at an address.
pub(crate) fn check_loopback(address: SocketAddr) -> Result<(), StartError> {
    if address.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    Err(StartError::NotLoopback { address })
}

/// Whether metrics may be served at an address.
pub(crate) fn check_metrics_address(address: SocketAddr, exposed: bool) -> Result<(), StartError> {
    if exposed || address.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    Err(StartError::MetricsExposed { address })
}

type Protection = (Option<Arc<Followed<tls::Keys>>>, Arc<Access>, Option<Arc<Followed<()>>>);

/// The files that are followed.
struct Followers {
    tls: Option<Arc<Followed<tls::Keys>>>,
    access: Arc<Access>,
    config: Option<Arc<Followed<()>>>,
}

impl Followers {
    /// Which there are, and whether each is wrong now.
    fn watch(&self) -> Vec<(&'static str, Arc<AtomicBool>)> {
        let tls = self.tls.as_ref().map(|files| files.watch());
        let tokens = self.access.token_keys().map(|files| files.watch());
        let config = self.config.as_ref().map(|files| files.watch());
        tls.into_iter().chain(tokens).chain(config).collect()
    }

    /// Follows them until the server stops.
    async fn follow(
        self,
        every: Duration,
        asked: watch::Receiver<()>,
        stopping: watch::Receiver<bool>,
    ) {
        let tokens = self.access.token_keys().map(Arc::clone);
        let [next, after] = [asked.clone(), asked.clone()];
        let [until, at_last] = [stopping.clone(), stopping.clone()];
        tokio::join!(
            followed(self.tls, every, asked, stopping),
            followed(tokens, every, next, until),
            followed(self.config, every, after, at_last),
        );
    }
}

async fn followed<T: Send + Sync + 'static>(
    files: Option<Arc<Followed<T>>>,
    every: Duration,
    asked: watch::Receiver<()>,
    stopping: watch::Receiver<bool>,
) {
    if let Some(files) = files {
        files.follow(every, asked, stopping).await;
    }
}

/// Reads certificates and keys.
async fn protection(
    options: Option<TlsOptions>,
    auth: AuthOptions,
    config: Option<ConfigFile>,
    quotas: Arc<Quotas>,
) -> Result<Protection, StartError> {
    let read = tokio::task::spawn_blocking(move || {
        let clients = options.as_ref().is_some_and(|tls| tls.clients.is_some());
        let tls = options.as_ref().map(tls::follow).transpose()?.map(Arc::new);
        let access = Access::new(auth, tls.clone().filter(|_| clients))?;
        let follow = |file| reload::follow(file, Arc::clone(&access.rights), quotas).map(Arc::new);
        let config = config.map(follow).transpose()?;
        Ok::<Protection, FileError>((tls, Arc::new(access), config))
    });
    Ok(read.await??)
}

/// Listens, and says at which address.
async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

impl Running {
    /// Where the server listens, with the port that it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the logs are served over HTTP, if they are.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(|(_, address, _)| *address)
    }

    /// Where metrics and health are served over HTTP, if they are.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// What asks the server to look at its files at once.
    pub fn reloader(&self) -> Reloader {
        self.reload.clone()
    }

    /// What was denied to callers so far, and goes on to be counted.
    pub fn denials(&self) -> Arc<Denials> {
        Arc::clone(&self.access.denials)
    }

    /// Serves until `shutdown` is ready. Then no more calls are taken, subscriptions end, calls in
    /// flight finish (for a grace period, should somebody not read its answer), and the ledgers
    /// stop.
    ///
    /// # Errors
    /// If the ledgers cannot be stopped.
    pub async fn serve_until(
        self,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError> {
        let Running { listener, http, services, door, access, followers, reload, stop, .. } = self;
        let (measured, traced, watched, threads) =
            (self.measured, self.traced, self.watched, self.threads);
        let node = Arc::clone(&services.node);
        let mut stopping = services.stopping.clone();
        let services_stopping = stopping.clone();
        let health = services.health.clone();
        let signal = async {
            shutdown.await;
            stop.send_replace(true);
            health.stop().await;
        };
        let files_every = door.limits().files_every;
        let (asked, stopped) = (reload.0.subscribe(), services_stopping.clone());
        let follow = followers.follow(files_every, asked, stopped);
        let connections = Arc::clone(&measured.connections);
        let calls = calls(services, access, measured, traced);
        let serving =
            connections::serve(listener, door, calls, threads.handles(), connections, signal);
        let http_stopping = services_stopping.clone();
        let files = async {
            if let Some((listener, _, logs)) = http {
                static_log::serve(listener, logs, http_stopping).await;
            }
        };
        let serving = async { tokio::join!(serving, files, follow) };
        let grace = async {
            // Cannot fail: the sender lives in `signal`, or is gone once it has sent.
            let _ = stopping.wait_for(|stopping| *stopping).await;
            tokio::time::sleep(STOP_GRACE).await;
        };
        tokio::select! {
            _ = serving => {}
            () = grace => tracing::warn!("some connections did not end in time and are cut off"),
        }
        tokio::task::spawn_blocking(move || node.stop()).await?;
        drop(threads);
        // Until here it can be seen that the server stops.
        drop(watched);
        Ok(())
    }
}

/// The services behind one another, with what happens around every call.
fn calls(
    services: Services,
    access: Arc<Access>,
    measured: Arc<Measured>,
    traced: bool,
) -> Calls<LedgerServiceServer<Services>> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let quotas = Arc::clone(&services.quotas);
    let longest = quotas.limits.message_bytes;
    let built = "the descriptors were made when this was built";
    let routes = Routes::new(HealthServer::new(services.health.service(Arc::clone(&access))))
        .add_service(reflection().build_v1().expect(built))
        .add_service(reflection().build_v1alpha().expect(built))
        .add_service(QueryServiceServer::new(services.clone()).max_decoding_message_size(longest))
        .add_service(BackupServiceServer::new(services.clone()).max_decoding_message_size(longest))
        .add_service(LogServiceServer::new(services.clone()).max_decoding_message_size(longest));
    let ledger = LedgerServiceServer::new(services).max_decoding_message_size(longest);
    Calls::new(ledger, routes.prepare(), access, measured, quotas, traced)
}
