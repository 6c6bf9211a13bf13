//! How a server is configured: flags over environment variables over one TOML file over defaults.
//!
//! [`SETTINGS`] is the one list of everything that can be set. The flags of `bergulir serve`, the
//! environment variables, the keys of the file, `bergulir config show`, the checks and the table in
//! `docs/operations.md` all come from it. Nothing here reads a file: [`load`] is given the text.
//!
//! **To add a setting**, or a section of settings such as `[tls]`:
//! 1. Give [`Config`] a field (for a section, a struct of its own in a file beside this one), and its
//!    default.
//! 2. Add a line to [`SETTINGS`]: the dotted name (`tls.certificate` is `certificate` in `[tls]`), the
//!    flag and the variable that follow from it, how it is read into `Config` and shown from it. If it
//!    names a file or a folder, say so in `names`: `bergulir config check` looks whether it is there.
//! 3. If it must fit others, say what is wrong in [`Config::problems`], which a start refuses too.
//! 4. Run the acceptance tests: one prints the table that belongs into `docs/operations.md`.
//!
//! **To add a list of tables**, such as `[[grant]]`, which only the file can have: a struct with
//! `#[derive(Deserialize)]` and `#[serde(deny_unknown_fields)]`, a field of `Config` with a `Vec` of
//! it, and a line in [`SECTIONS`], whose `read` is one call of [`tables`].

mod access;
mod file;
mod given;
mod layers;
mod limits;
mod settings;

pub use access::{Auth, Tls};
pub use file::{SECTIONS, Section, tables};
pub use given::Given;
pub use layers::{Layers, Loaded, Origin, Problem, load};
pub use limits::PRINCIPALS;
pub use settings::{Names, SETTINGS, Setting, Shape};

use crate::access::Grant;
use crate::limits::Limits;
use crate::start::{check_loopback, check_metrics_address, check_protection};
use crate::telemetry::LogFormat;
use bergulir_engine::LedgerOptions;
use bergulir_engine::clock::LONGEST_REST;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The data directory; a server cannot do without.
    pub data: Option<PathBuf>,
    /// Where gRPC is served.
    pub listen: SocketAddr,
    /// Where the logs are served as static files over HTTP; `None`: nowhere.
    pub http: Option<SocketAddr>,
    /// The folder of the private keys; `None`: `keys` in the data directory.
    pub keys: Option<PathBuf>,
    /// Folders outside the data directory that keep the newest checkpoint of each ledger.
    pub anchors: Vec<PathBuf>,
    /// The file that names the witnesses.
    pub policy: Option<PathBuf>,
    /// Where metrics and health are served over HTTP; `None`: nowhere.
    pub metrics: Option<SocketAddr>,
    /// Whether that may be an address that other machines can reach.
    pub metrics_exposed: bool,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// The collector that gets spans; `None`: nobody.
    pub otlp: Option<String>,
    /// The share of calls without a trace that get one, 0 to 1.
    pub otlp_ratio: f64,
    /// How many days a node may have recorded nothing before its start.
    pub longest_rest_days: u64,
    /// How each ledger runs.
    pub ledger: LedgerOptions,
    /// The files of TLS.
    pub tls: Tls,
    /// How callers prove who they are with tokens.
    pub auth: Auth,
    /// Who may do what; `None`: nothing is said about that.
    pub grants: Option<Vec<Grant>>,
    /// How much callers may ask for.
    pub limits: Limits,
}

/// Where a server listens if nothing is said.
pub const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7447);

impl Default for Config {
    fn default() -> Config {
        Config {
            data: None,
            listen: DEFAULT_LISTEN,
            http: None,
            keys: None,
            anchors: Vec::new(),
            policy: None,
            metrics: None,
            metrics_exposed: false,
            log_format: LogFormat::default(),
            otlp: None,
            otlp_ratio: 1.0,
            longest_rest_days: LONGEST_REST.as_secs() / 86_400,
            ledger: LedgerOptions::default(),
            tls: Tls::default(),
            auth: Auth::default(),
            grants: None,
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// What is wrong with the settings together, each under the name of one of them. That each by
    /// itself can be read was seen before.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if self.data.is_none() {
            let why = "a server needs a data directory: --data DIR, BERGULIR_DATA, or `data` in the \
                       configuration file";
            problems.push(("data", why.to_owned()));
        }
        problems.extend(self.access_problems());
        problems.extend(self.limits.problems());
        let tls = self.tls.options();
        if let Err(refused) = check_protection(self.listen, tls.as_ref(), self.auth.is_set()) {
            problems.push(("listen", refused.to_string()));
        }
        if let Some(Err(refused)) = self.http.map(check_loopback) {
            problems.push(("http", refused.to_string()));
        }
        let exposed = self.metrics_exposed;
        let metrics = self.metrics.map(|address| check_metrics_address(address, exposed));
        if let Some(Err(refused)) = metrics {
            problems.push(("metrics", refused.to_string()));
        }
        let taken = |address: Option<SocketAddr>, by: Option<SocketAddr>| {
            address.is_some_and(|address| address.port() != 0) && address == by
        };
        for (name, address, by, what) in [
            ("http", self.http, Some(self.listen), "gRPC is"),
            ("metrics", self.metrics, Some(self.listen), "gRPC is"),
            ("metrics", self.metrics, self.http, "the static logs are"),
        ] {
            if taken(address, by) {
                problems.push((name, format!("that is where {what} served already")));
            }
        }
        problems
    }
}
