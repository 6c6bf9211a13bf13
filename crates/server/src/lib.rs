//! The gRPC services over the ledgers of one node.
//!
//! [`start`] opens a data directory and binds an address; [`Running::serve_until`] serves it:
//! `LedgerService`, `QueryService` and `LogService` of `bergulir.v1`, gRPC health and reflection;
//! and over HTTP, if asked, each log as static files.

mod batch;
mod calls;
mod concerned;
pub mod config;
mod connections;
mod deadline;
mod gathered;
mod health;
pub mod http;
mod identity;
mod ledger_service;
pub mod limits;
mod log_service;
mod query;
mod records;
mod refusal;
mod resources;
mod seal;
mod services;
mod start;
mod static_log;
mod stream;
pub mod telemetry;

pub use identity::PRINCIPAL_KEY;
pub use start::{Running, ServeError, ServerOptions, StartError, start};
