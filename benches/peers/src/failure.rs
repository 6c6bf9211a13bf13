//! What can go wrong.

use std::io;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("stopped by a signal")]
    Stopped,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("{what} ended before it was ready: {log}")]
    NotReady { what: String, log: String },
    #[error("{what} ended with {status}: {log}")]
    Ended { what: String, status: std::process::ExitStatus, log: String },
    #[error("it acknowledged {acknowledged} events and has {stored}")]
    Lost { acknowledged: u64, stored: u64 },
    #[error("it refused what it should take: {0}")]
    Refused(String),
    #[error(
        "{0} is in memory: durability costs nothing there; name a folder on a disk with --data"
    )]
    NoDisk(String),
    #[error("SQLite: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("PostgreSQL: {}", postgres_words(.0))]
    Postgres(#[from] tokio_postgres::Error),
    #[error("gRPC: {0}")]
    Grpc(#[from] tonic::Status),
    #[error("connecting: {0}")]
    Connecting(#[from] tonic::transport::Error),
}

/// The error's own words are `db error`; the server's are behind them.
fn postgres_words(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string)
}
