//! `/metrics`, `/healthz` and `/readyz`, over HTTP, for those who watch servers: also while the ledgers
//! are still being opened.

use super::Measured;
use super::metrics::Exposition;
use crate::http::{self, limited};
use crate::services::Services;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::sync::{Arc, OnceLock};
use tokio::net::TcpListener;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// What is asked.
#[derive(Clone, Default)]
pub(crate) struct Scrape {
    pub(crate) measured: Arc<Measured>,
    /// Set once the ledgers are open.
    pub(crate) services: Arc<OnceLock<Services>>,
}

/// Serves until it is dropped.
pub(crate) async fn serve(listener: TcpListener, scrape: Scrape) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .fallback(elsewhere)
        .with_state(scrape);
    http::serve(listener, limited(router, 0), std::future::pending()).await;
}

async fn metrics(State(scrape): State<Scrape>) -> Response {
    let Scrape { measured, services } = scrape;
    let services = services.get().cloned();
    // It asks the disk how full it is, which may take a while.
    let made = tokio::task::spawn_blocking(move || {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Exposition { measured, services }));
        let mut text = String::new();
        encode(&mut text, &registry).map(|()| text)
    });
    match made.await {
        Ok(Ok(text)) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Ok(Err(_)) | Err(_) => {
            say(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be made\n")
        }
    }
}

/// Whoever answers lives. What is wrong with a ledger is no reason to end the process: what a restart
/// would mend is mended without one.
async fn healthz() -> Response {
    say(StatusCode::OK, "alive\n")
}

async fn readyz(State(scrape): State<Scrape>) -> Response {
    let Some(services) = scrape.services.get() else {
        return say(StatusCode::SERVICE_UNAVAILABLE, "the ledgers are being opened\n");
    };
    if *services.stopping.borrow() {
        return say(StatusCode::SERVICE_UNAVAILABLE, "the server stops\n");
    }
    if services.health.is_ready() {
        return say(StatusCode::OK, "ready\n");
    }
    say(StatusCode::SERVICE_UNAVAILABLE, "no ledger takes commands: `bergulir status` says why\n")
}

async fn elsewhere() -> Response {
    say(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n")
}

fn say(status: StatusCode, text: &'static str) -> Response {
    (status, [(CONTENT_TYPE, TEXT)], text).into_response()
}
