//! HTTP for others than the callers of gRPC: the static logs, and the witness. Whoever sends slowly, or
//! much, is cut off, so that nobody can hold connections for nothing.

use crate::limits::ACCEPT_PAUSE;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::time::Duration;
use tokio::net::TcpListener;

/// How long a client may take to send the head of a request, from the connection or the last answer
/// on, and how long to send its body.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

const TEXT: &str = "text/plain; charset=utf-8";

/// Takes a request with all of its body, if it comes in time and has at most so many bytes, and says
/// in words what is not taken: a longer body, a method that is not served. For a router that has its
/// routes.
pub fn limited(router: Router, max_body_bytes: usize) -> Router {
    let read = move |request, next| read_body(request, next, max_body_bytes);
    router.method_not_allowed_fallback(wrong_method).layer(from_fn(read))
}

/// Serves until `stop` is ready, and then what is in flight.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(REQUEST_TIMEOUT);
    let connections = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = connections.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            // Whatever ends a connection ends that one only.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    connections.shutdown().await;
}

async fn read_body(request: Request, next: Next, max: usize) -> Response {
    let (head, body) = request.into_parts();
    match tokio::time::timeout(REQUEST_TIMEOUT, to_bytes(body, max)).await {
        Ok(Ok(bytes)) => next.run(Request::from_parts(head, Body::from(bytes))).await,
        Ok(Err(_)) => {
            let why = format!("the body must be whole and have at most {max} bytes\n");
            say(StatusCode::PAYLOAD_TOO_LARGE, why)
        }
        Err(_) => {
            let seconds = REQUEST_TIMEOUT.as_secs();
            say(StatusCode::REQUEST_TIMEOUT, format!("the body must come within {seconds} s\n"))
        }
    }
}

async fn wrong_method() -> Response {
    say(StatusCode::METHOD_NOT_ALLOWED, "this is not served by that method\n".to_owned())
}

fn say(status: StatusCode, why: String) -> Response {
    (status, [(CONTENT_TYPE, TEXT)], why).into_response()
}
