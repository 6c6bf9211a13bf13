//! Each log as static files over HTTP, after C2SP `tlog-tiles`: what clients that others wrote read.
//!
//! The prefix of a log is its origin. The files are made from the index and the log when they are
//! asked for; that they never change is why they can be kept.

use crate::access::methods::{HTTP_BUNDLE, HTTP_CHECKPOINT, HTTP_LIST, HTTP_TILE, Rule};
use crate::access::{Access, Connection, Pass};
use crate::door::Peer;
use crate::http;
use crate::limits::MAX_FILES_READ;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, WWW_AUTHENTICATE};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bergulir_chain::tiles::Resource;
use bergulir_domain::LedgerId;
use bergulir_engine::{Ledger, Node, ProofRefusal, SignedCheckpoint, Slot};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tonic::{Code, Status};

const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";
/// For what never changes: a tile or a bundle of this name.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// The same if it is for who asked alone, and for nobody else who asks the same cache.
const FOR_EVER_FOR_ONE: &str = "private, max-age=31536000, immutable";
/// For what may be there soon, or be another soon.
const NOT_KEPT: &str = "no-cache";

/// The most bytes of a body: no request has one to speak of.
const MAX_BODY_BYTES: usize = 1024;

/// The logs of a node.
#[derive(Clone)]
pub(crate) struct StaticLogs {
    node: Arc<Node>,
    /// Show the newest checkpoint that a quorum of witnesses cosigned, and no newer one.
    witnessed_only: bool,
    /// Origins never change, and so are asked for once.
    origins: Arc<Mutex<BTreeMap<LedgerId, Arc<str>>>>,
    /// Room to read files in.
    room: Arc<Semaphore>,
    gate: Arc<Connection>,
}

impl StaticLogs {
    pub(crate) fn new(node: Arc<Node>, witnessed_only: bool, access: Arc<Access>) -> StaticLogs {
        let room = Arc::new(Semaphore::new(MAX_FILES_READ));
        // Only loopback comes here.
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let gate = Arc::new(Connection::new(access, Peer { address, certificate: None }));
        StaticLogs { node, witnessed_only, origins: Arc::default(), room, gate }
    }

    /// Every log that is open, by its ledger's name.
    async fn logs(&self) -> Vec<(Arc<str>, Arc<Ledger>)> {
        let mut logs = Vec::new();
        for (_, slot) in self.node.ledgers() {
            let Slot::Open(ledger) = slot else { continue };
            if let Some(origin) = self.origin(&ledger).await {
                logs.push((origin, ledger));
            }
        }
        logs
    }

    async fn origin(&self, ledger: &Ledger) -> Option<Arc<str>> {
        let known = || self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(origin) = known().get(&ledger.id()) {
            return Some(Arc::clone(origin));
        }
        let opened = ledger
            .read(None, |state, _| state.opened().map(|opened| Arc::from(opened.origin.as_str())))
            .await;
        let origin: Arc<str> = opened.ok()??;
        known().insert(ledger.id(), Arc::clone(&origin));
        Some(origin)
    }

    /// The log and the file in it that a path leads to.
    async fn find(&self, path: &str) -> Option<(Arc<Ledger>, Resource)> {
        self.logs().await.into_iter().find_map(|(origin, ledger)| {
            let file = path.strip_prefix(&*origin)?.strip_prefix('/')?;
            Some((ledger, file.parse().ok()?))
        })
    }

    /// What a request may do, as the table of methods has it.
    fn admit(&self, rule: &'static Rule, headers: &HeaderMap) -> Result<Pass, Denied> {
        // Who shows a token is no web page that somebody's browser was led to.
        if !self.gate.authenticates() && !asks_this_machine(headers) {
            let message = "ask under an address, or as localhost: nobody has to prove here who asks, so \
                           that a name could be one by which a web page reads the logs. A proxy in front \
                           of this sends Host: localhost";
            return Err(Denied(Status::permission_denied(message)));
        }
        if self.gate.is_open() {
            return Ok(Pass::OPEN);
        }
        let pass = self.gate.admit(rule.method, headers).map_err(Denied)?;
        Ok(pass.unwrap_or(Pass::OPEN))
    }

    /// The checkpoint to show.
    async fn checkpoint(
        &self,
        ledger: &Ledger,
    ) -> Result<Option<Arc<SignedCheckpoint>>, ProofRefusal> {
        if self.witnessed_only {
            return Ok(ledger.witnessed_checkpoint());
        }
        ledger.checkpoint(None).await.map(Some)
    }
}

/// Serves the logs until the server stops.
pub(crate) async fn serve(
    listener: TcpListener,
    logs: StaticLogs,
    mut stopping: watch::Receiver<bool>,
) {
    let router = Router::new().route("/", get(list)).route("/{*path}", get(file)).with_state(logs);
    let stopped = async move {
        // If the sender is gone the server is, too.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    http::serve(listener, http::limited(router, MAX_BODY_BYTES), stopped).await;
}

/// A line for each log: its origin, and the size of its checkpoint.
async fn list(State(logs): State<StaticLogs>, headers: HeaderMap) -> Result<Response, Denied> {
    let pass = logs.admit(&HTTP_LIST, &headers)?;
    let mut lines = String::new();
    for (origin, ledger) in logs.logs().await {
        if !pass.sees(ledger.id()) {
            continue;
        }
        let _ = match logs.checkpoint(&ledger).await {
            Ok(Some(signed)) => writeln!(lines, "{origin} {}", signed.checkpoint.size),
            Ok(None) | Err(_) => writeln!(lines, "{origin} -"),
        };
    }
    Ok(answer(StatusCode::OK, TEXT, NOT_KEPT, lines))
}

/// The rule of a file.
fn rule_of(resource: &Resource) -> &'static Rule {
    match resource {
        Resource::Checkpoint => &HTTP_CHECKPOINT,
        Resource::Tile(_) => &HTTP_TILE,
        Resource::Bundle(_) => &HTTP_BUNDLE,
    }
}

async fn file(
    State(logs): State<StaticLogs>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Denied> {
    // That a log is there is for those to know who may see something of it.
    let sees = logs.admit(&HTTP_LIST, &headers)?;
    let found = logs.find(&path).await.filter(|(ledger, _)| sees.sees(ledger.id()));
    let Some((ledger, resource)) = found else {
        return Ok(missing("there is no such file; / lists the logs\n"));
    };
    logs.admit(rule_of(&resource), &headers)?.enter(ledger.id()).map_err(Denied)?;
    Ok(read(&logs, ledger, resource).await)
}

async fn read(logs: &StaticLogs, ledger: Arc<Ledger>, resource: Resource) -> Response {
    if resource == Resource::Checkpoint {
        return match logs.checkpoint(&ledger).await {
            Ok(Some(signed)) => answer(StatusCode::OK, TEXT, NOT_KEPT, signed.note.to_string()),
            Ok(None) => missing("no checkpoint is cosigned by a quorum of witnesses yet\n"),
            Err(refusal) => failed(&refusal),
        };
    }
    let kept = if logs.gate.authenticates() { FOR_EVER_FOR_ONE } else { FOR_EVER };
    // The semaphore is never closed.
    let _room = logs.room.acquire().await;
    let read = tokio::task::spawn_blocking(move || match resource {
        Resource::Tile(tile) => ledger.tile(tile),
        Resource::Bundle(bundle) => ledger.bundle(bundle),
        Resource::Checkpoint => Ok(None),
    });
    match read.await {
        Ok(Ok(Some(bytes))) => answer(StatusCode::OK, BYTES, kept, bytes),
        Ok(Ok(None)) => missing("the log does not reach so far\n"),
        Ok(Err(refusal)) => failed(&refusal),
        Err(panicked) => failed(&panicked),
    }
}

/// Whether every host that a request names is an address or this machine, or it names none. The name of a
/// web page can be made to lead here, and its scripts may then read what is answered.
fn asks_this_machine(headers: &HeaderMap) -> bool {
    headers.get_all(HOST).iter().all(|host| {
        let host: Option<Authority> = host.to_str().ok().and_then(|host| host.parse().ok());
        host.is_some_and(|host| {
            let name = host.host().trim_start_matches('[').trim_end_matches(']');
            name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
        })
    })
}

/// A request that is not let in.
struct Denied(Status);

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let status = match self.0.code() {
            Code::Unauthenticated => StatusCode::UNAUTHORIZED,
            Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Code::InvalidArgument => StatusCode::BAD_REQUEST,
            _ => StatusCode::FORBIDDEN,
        };
        let mut response = answer(status, TEXT, NOT_KEPT, format!("{}\n", self.0.message()));
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

fn missing(why: &'static str) -> Response {
    answer(StatusCode::NOT_FOUND, TEXT, NOT_KEPT, why)
}

fn failed(why: &dyn std::error::Error) -> Response {
    tracing::warn!(%why, "a file of a log cannot be served");
    answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, NOT_KEPT, format!("{why}\n"))
}

fn answer(
    status: StatusCode,
    kind: &'static str,
    kept: &'static str,
    body: impl Into<axum::body::Body>,
) -> Response {
    (status, [(CONTENT_TYPE, kind), (CACHE_CONTROL, kept)], body.into()).into_response()
}
