//! The gRPC services over the ledgers of one node.
//!
//! [`start`] opens a data directory and binds an address; [`Running::serve_until`] serves it:
//! `LedgerService`, `QueryService`, `LogService` and `BackupService` of `bergulir.v1`, gRPC health and
//! reflection; and over HTTP, if asked, each log as static files.

mod access;
mod backup_service;
mod batch;
mod calls;
mod concerned;
pub mod config;
mod connections;
mod deadline;
mod door;
mod files;
#[cfg(test)]
mod fuzz_tests;
mod gathered;
mod health;
pub mod http;
mod identity;
mod ledger_service;
pub mod limits;
mod log_service;
mod permitted;
mod query;
mod quotas;
mod receiving;
mod records;
mod refusal;
mod reload;
mod resources;
mod seal;
mod sending;
mod services;
mod start;
mod static_log;
mod stream;
pub mod telemetry;
mod threads;
mod tls;
mod underway;
mod warnings;

pub use access::{AuthOptions, Denials, Grant, GrantError, Grants, Role, TokenOptions};
pub use files::FileError;
pub use identity::PRINCIPAL_KEY;
pub use limits::{Limits, PrincipalLimits};
pub use reload::{ConfigFile, Reloader};
pub use start::{Running, ServeError, ServerOptions, StartError, start};
pub use tls::{ClientCertificates, TlsOptions};
