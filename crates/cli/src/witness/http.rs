//! The witness over HTTP, after C2SP `tlog-witness`.

use std::fmt::Write as _;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bergulir_chain::witness::{
    ADD_CHECKPOINT_PATH, AddCheckpoint, MAX_REQUEST_BYTES, Refusal, SIZE_CONTENT_TYPE,
};
use bergulir_server::http;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::state::{Unsigned, Witness};
use crate::failure::Failure;
use crate::output;

/// How long requests in flight may take to end when the witness stops.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Serves until `stop` is ready.
pub(super) async fn serve(
    witness: Arc<Witness>,
    listen: SocketAddr,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Failure> {
    let failed = |error| Failure::CouldNotTell(format!("could not listen on {listen}: {error}"));
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let router = Router::new()
        .route("/", get(about))
        .route(&format!("/{ADD_CHECKPOINT_PATH}"), post(add_checkpoint))
        .with_state(witness);
    let router = http::limited(router, MAX_REQUEST_BYTES);
    let (stopping, mut stopped) = watch::channel(false);
    let signal = async move {
        stop.await;
        stopping.send_replace(true);
    };
    let serving = http::serve(listener, router, signal);
    output::line(format_args!("listening on {address}"))?;
    let grace = async {
        // Cannot fail: the sender lives in `signal`, or is gone once it has sent.
        let _ = stopped.wait_for(|stopping| *stopping).await;
        tokio::time::sleep(STOP_GRACE).await;
    };
    tokio::select! {
        () = serving => {}
        () = grace => {}
    }
    Ok(())
}

/// The key, and what was seen last.
async fn about(State(witness): State<Arc<Witness>>) -> String {
    let mut about = format!("witness {}\n", witness.verifier());
    for (origin, size) in witness.logs() {
        let _ = match size {
            Some(size) => writeln!(about, "log {origin} {size}"),
            None => writeln!(about, "log {origin} -"),
        };
    }
    about
}

async fn add_checkpoint(State(witness): State<Arc<Witness>>, body: Bytes) -> Response {
    let request = match AddCheckpoint::parse(&body) {
        Ok(request) => request,
        Err(error) => return refused(&Refusal::from(error)),
    };
    // It waits for the disk, and for those before it.
    let added = tokio::task::spawn_blocking(move || witness.add(&request)).await;
    match added {
        Ok(Ok(cosignature)) => format!("{cosignature}\n").into_response(),
        Ok(Err(Unsigned::Refused(refusal))) => refused(&refusal),
        Ok(Err(Unsigned::Full)) => answer(StatusCode::BAD_REQUEST, &Unsigned::Full),
        Ok(Err(failed @ (Unsigned::Unwritten(_) | Unsigned::Clock))) => {
            tracing::error!("{failed}");
            answer(StatusCode::INTERNAL_SERVER_ERROR, &failed)
        }
        Err(panicked) => answer(StatusCode::INTERNAL_SERVER_ERROR, &panicked),
    }
}

fn refused(refusal: &Refusal) -> Response {
    match refusal {
        Refusal::Forked { .. } | Refusal::Proof(_) => tracing::warn!("not cosigned: {refusal}"),
        _ => tracing::debug!("not cosigned: {refusal}"),
    }
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
    match refusal.known_size() {
        Some(size) => {
            (status, [(CONTENT_TYPE, SIZE_CONTENT_TYPE)], format!("{size}\n")).into_response()
        }
        None => answer(status, refusal),
    }
}

fn answer(status: StatusCode, why: &dyn std::fmt::Display) -> Response {
    (status, format!("{why}\n")).into_response()
}
