//! The one list of everything that can be set.

use super::given::Given;
use super::{Config, limits};
use crate::telemetry::{LogFormat, check_endpoint};
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How a setting is written in the configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A string.
    Text,
    /// A whole number.
    Number,
    /// A number from 0 to 1.
    Share,
    /// `true` or `false`. Its flag needs no value.
    Switch,
    /// A list of strings. Its flag may be given again, its variable has commas between them; a higher
    /// layer replaces the whole list.
    List,
}

/// What a setting names on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// Nothing.
    Nothing,
    /// A file that must be there and readable.
    File,
    /// A folder that must be there.
    Folder,
    /// A folder that is made if it is missing.
    NewFolder,
}

/// One thing that can be set.
#[derive(Debug)]
pub struct Setting {
    /// Its dotted name: the path to it in the file.
    pub name: &'static str,
    /// Its flag, without the dashes.
    pub flag: &'static str,
    /// Its environment variable.
    pub variable: &'static str,
    /// How it is written.
    pub shape: Shape,
    /// What it names on the disk.
    pub names: Names,
    /// What stands for its value in a help text.
    pub placeholder: &'static str,
    /// What it means, in one sentence without a full stop.
    pub help: &'static str,
    /// What holds if it is not set, where it has no default of its own.
    pub absent: &'static str,
    /// Reads what was given.
    pub(super) read: fn(&mut Config, &Given<'_>) -> Result<(), String>,
    /// Its value; empty if it is not set.
    pub(super) shown: fn(&Config) -> Vec<OsString>,
}

impl Setting {
    /// Its value in this configuration; empty if it is not set.
    pub fn shown(&self, config: &Config) -> Vec<OsString> {
        (self.shown)(config)
    }

    /// What holds if nobody sets it.
    pub fn default(&self) -> String {
        let values = self.shown(&Config::default());
        if values.is_empty() {
            self.absent.to_owned()
        } else {
            values.join(OsStr::new(",")).to_string_lossy().into_owned()
        }
    }

    /// The setting of that name.
    pub fn find(name: &str) -> Option<&'static Setting> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }
}

pub(super) fn text(value: &impl ToString) -> Vec<OsString> {
    vec![value.to_string().into()]
}

fn address(address: Option<SocketAddr>) -> Vec<OsString> {
    address.iter().flat_map(text).collect()
}

fn paths<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Vec<OsString> {
    paths.into_iter().map(|path| path.clone().into_os_string()).collect()
}

/// Everything that can be set, in the order in which it is shown.
pub static SETTINGS: &[Setting] = &[
    Setting {
        name: "data",
        flag: "data",
        variable: "BERGULIR_DATA",
        shape: Shape::Text,
        names: Names::NewFolder,
        placeholder: "DIR",
        help: "The data directory; made if it is missing",
        absent: "must be set",
        read: |config, given| given.path().map(|path| config.data = Some(path)),
        shown: |config| paths(&config.data),
    },
    Setting {
        name: "listen",
        flag: "listen",
        variable: "BERGULIR_LISTEN",
        shape: Shape::Text,
        names: Names::Nothing,
        placeholder: "ADDRESS",
        help: "Where to listen for gRPC: a loopback address, or any with TLS and callers that prove who they \
               are; port 0 takes any that is free",
        absent: "",
        read: |config, given| given.address().map(|address| config.listen = address),
        shown: |config| address(Some(config.listen)),
    },
    Setting {
        name: "http",
        flag: "http",
        variable: "BERGULIR_HTTP",
        shape: Shape::Text,
        names: Names::Nothing,
        placeholder: "ADDRESS",
        help: "Where to serve each log as static files (C2SP tlog-tiles) over HTTP: a loopback address",
        absent: "not served",
        read: |config, given| given.address().map(|address| config.http = Some(address)),
        shown: |config| address(config.http),
    },
    Setting {
        name: "keys",
        flag: "keys",
        variable: "BERGULIR_KEYS",
        shape: Shape::Text,
        names: Names::NewFolder,
        placeholder: "DIR",
        help: "The folder of the private keys that the ledgers sign with",
        absent: "keys in the data directory",
        read: |config, given| given.path().map(|path| config.keys = Some(path)),
        shown: |config| paths(&config.keys),
    },
    Setting {
        name: "anchors",
        flag: "anchor",
        variable: "BERGULIR_ANCHORS",
        shape: Shape::List,
        names: Names::Folder,
        placeholder: "DIR",
        help: "Folders, best on another disk or machine, that keep the newest checkpoint of each \
               ledger, so that an older copy of the data directory is found out",
        absent: "none",
        read: |config, given| given.paths().map(|paths| config.anchors = paths),
        shown: |config| paths(&config.anchors),
    },
    Setting {
        name: "policy",
        flag: "policy",
        variable: "BERGULIR_POLICY",
        shape: Shape::Text,
        names: Names::File,
        placeholder: "FILE",
        help: "A policy (C2SP tlog-policy): the witnesses to ask for cosignatures, and how many of \
               them it takes",
        absent: "no witnesses",
        read: |config, given| given.path().map(|path| config.policy = Some(path)),
        shown: |config| paths(&config.policy),
    },
    Setting {
        name: "metrics",
        flag: "metrics",
        variable: "BERGULIR_METRICS",
        shape: Shape::Text,
        names: Names::Nothing,
        placeholder: "ADDRESS",
        help: "Where to serve /metrics (Prometheus), /healthz and /readyz over HTTP: a loopback \
               address unless metrics_exposed is set",
        absent: "not served",
        read: |config, given| given.address().map(|address| config.metrics = Some(address)),
        shown: |config| address(config.metrics),
    },
    Setting {
        name: "metrics_exposed",
        flag: "metrics-exposed",
        variable: "BERGULIR_METRICS_EXPOSED",
        shape: Shape::Switch,
        names: Names::Nothing,
        placeholder: "BOOLEAN",
        help: "Whether other machines may reach the metrics; there is neither encryption nor access \
               control on them",
        absent: "",
        read: |config, given| {
            given.parsed("`true` or `false`").map(|exposed| config.metrics_exposed = exposed)
        },
        shown: |config| text(&config.metrics_exposed),
    },
    Setting {
        name: "log_format",
        flag: "log-format",
        variable: "BERGULIR_LOG_FORMAT",
        shape: Shape::Text,
        names: Names::Nothing,
        placeholder: "FORMAT",
        help: "How lines on the standard error are written: text, or json (one object a line); RUST_LOG \
               says which",
        absent: "",
        read: |config, given| {
            let name = given.text()?;
            let format = LogFormat::named(name);
            config.log_format = format.ok_or_else(|| format!("`{name}` is not text or json"))?;
            Ok(())
        },
        shown: |config| text(&config.log_format.as_str()),
    },
    Setting {
        name: "otlp",
        flag: "otlp",
        variable: "BERGULIR_OTLP",
        shape: Shape::Text,
        names: Names::Nothing,
        placeholder: "URL",
        help: "A collector, such as http://127.0.0.1:4317 on this machine or https:// elsewhere, that gets a span \
               of each call over OTLP (gRPC), as part of the trace that its caller is in",
        absent: "no spans",
        read: |config, given| {
            let endpoint = given.text()?;
            check_endpoint(endpoint)?;
            config.otlp = Some(endpoint.to_owned());
            Ok(())
        },
        shown: |config| config.otlp.iter().flat_map(text).collect(),
    },
    Setting {
        name: "otlp_ratio",
        flag: "otlp-ratio",
        variable: "BERGULIR_OTLP_RATIO",
        shape: Shape::Share,
        names: Names::Nothing,
        placeholder: "SHARE",
        help: "The share of calls, 0 to 1, that get a span if their caller is in no trace; who is in one \
               has decided",
        absent: "",
        read: |config, given| {
            let what = "a number from 0 to 1";
            let share: f64 = given.parsed(what)?;
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("`{share}` is not {what}"));
            }
            config.otlp_ratio = share;
            Ok(())
        },
        shown: |config| text(&config.otlp_ratio),
    },
    Setting {
        name: "longest_rest_days",
        flag: "longest-rest-days",
        variable: "BERGULIR_LONGEST_REST_DAYS",
        shape: Shape::Number,
        names: Names::Nothing,
        placeholder: "DAYS",
        help: "If the newest record of all ledgers is older than this at a start, the clock may be wrong: \
               writes wait for `bergulir clock accept`",
        absent: "",
        read: |config, given| given.number(1..=36_500).map(|n| config.longest_rest_days = n),
        shown: |config| text(&config.longest_rest_days),
    },
    Setting {
        name: "ledger.queue",
        flag: "ledger-queue",
        variable: "BERGULIR_LEDGER_QUEUE",
        shape: Shape::Number,
        names: Names::Nothing,
        placeholder: "N",
        help: "How many pieces of work of a ledger may wait for their answer; more are pushed back",
        absent: "",
        read: |config, given| given.number(1..=1_000_000).map(|n| config.ledger.queue = n),
        shown: |config| text(&config.ledger.queue),
    },
    Setting {
        name: "ledger.longest_wait_ms",
        flag: "ledger-longest-wait-ms",
        variable: "BERGULIR_LEDGER_LONGEST_WAIT_MS",
        shape: Shape::Number,
        names: Names::Nothing,
        placeholder: "MS",
        help: "A call or batch whose turn comes later than this is pushed back; messages of a stream wait",
        absent: "",
        read: |config, given| {
            let wait = given.number(1..=3_600_000)?;
            config.ledger.longest_wait = Duration::from_millis(wait);
            Ok(())
        },
        shown: |config| text(&config.ledger.longest_wait.as_millis()),
    },
    Setting {
        name: "ledger.seal_every",
        flag: "ledger-seal-every",
        variable: "BERGULIR_LEDGER_SEAL_EVERY",
        shape: Shape::Number,
        names: Names::Nothing,
        placeholder: "RECORDS",
        help: "After how many records a seal, and with it a snapshot, is made",
        absent: "",
        // Each seal is a record itself, and costs a walk over the whole state.
        read: |config, given| {
            given.number(1_000..=1_000_000_000).map(|n| config.ledger.seal_every = n)
        },
        shown: |config| text(&config.ledger.seal_every),
    },
    Setting {
        name: "ledger.seal_at_stop",
        flag: "ledger-seal-at-stop",
        variable: "BERGULIR_LEDGER_SEAL_AT_STOP",
        shape: Shape::Number,
        names: Names::Nothing,
        placeholder: "RECORDS",
        help: "An orderly stop makes a seal if so many records came since the last one",
        absent: "",
        read: |config, given| {
            given.number(1..=1_000_000_000).map(|n| config.ledger.seal_at_stop = n)
        },
        shown: |config| text(&config.ledger.seal_at_stop),
    },
    Setting {
        name: "ledger.segment_bytes",
        flag: "ledger-segment-bytes",
        variable: "BERGULIR_LEDGER_SEGMENT_BYTES",
        shape: Shape::Number,
        names: Names::Nothing,
        placeholder: "BYTES",
        help: "A file of the log is closed before it grows past so many bytes, and the next one begun; \
               each stays open while the server runs",
        absent: "",
        // A header and a record fit in the least; what is longer gets a file of its own.
        read: |config, given| {
            given.number(4_096..=1 << 40).map(|n| config.ledger.segment_bytes = n)
        },
        shown: |config| text(&config.ledger.segment_bytes),
    },
    Setting {
        name: "tls.certificate",
        flag: "tls-certificate",
        variable: "BERGULIR_TLS_CERTIFICATE",
        shape: Shape::Text,
        names: Names::File,
        placeholder: "FILE",
        help: "The server's certificate and those between it and its authority (PEM)",
        absent: "no TLS",
        read: |config, given| given.path().map(|path| config.tls.certificate = Some(path)),
        shown: |config| paths(&config.tls.certificate),
    },
    Setting {
        name: "tls.key",
        flag: "tls-key",
        variable: "BERGULIR_TLS_KEY",
        shape: Shape::Text,
        names: Names::File,
        placeholder: "FILE",
        help: "The private key of tls.certificate (PEM), which others must not be able to read",
        absent: "no TLS",
        read: |config, given| given.path().map(|path| config.tls.key = Some(path)),
        shown: |config| paths(&config.tls.key),
    },
    Setting {
        name: "tls.client_authorities",
        flag: "tls-client-authorities",
        variable: "BERGULIR_TLS_CLIENT_AUTHORITIES",
        shape: Shape::Text,
        names: Names::File,
        placeholder: "FILE",
        help: "The certificates of the authorities that sign those of clients (PEM)",
        absent: "clients show no certificates",
        read: |config, given| given.path().map(|path| config.tls.client_authorities = Some(path)),
        shown: |config| paths(&config.tls.client_authorities),
    },
    Setting {
        name: "tls.client_certificates",
        flag: "tls-client-certificates",
        variable: "BERGULIR_TLS_CLIENT_CERTIFICATES",
        shape: Shape::Text,
        names: Names::Nothing,
        placeholder: "required|optional",
        help: "Whether a client without a certificate is let in, to prove by a token who it is",
        absent: "",
        read: |config, given| {
            config.tls.clients_optional = match given.text()? {
                "required" => false,
                "optional" => true,
                other => return Err(format!("`{other}` is neither required nor optional")),
            };
            Ok(())
        },
        shown: |config| text(&if config.tls.clients_optional { "optional" } else { "required" }),
    },
    Setting {
        name: "auth.jwks",
        flag: "auth-jwks",
        variable: "BERGULIR_AUTH_JWKS",
        shape: Shape::Text,
        names: Names::File,
        placeholder: "FILE",
        help: "The public keys that sign bearer tokens (JWKS)",
        absent: "no tokens are taken",
        read: |config, given| given.path().map(|path| config.auth.jwks = Some(path)),
        shown: |config| paths(&config.auth.jwks),
    },
    Setting {
        name: "auth.issuer",
        flag: "auth-issuer",
        variable: "BERGULIR_AUTH_ISSUER",
        shape: Shape::Text,
        names: Names::Nothing,
        placeholder: "TEXT",
        help: "Who issues bearer tokens: their iss, letter by letter",
        absent: "no tokens are taken",
        read: |config, given| given.text().map(|t| config.auth.issuer = Some(t.to_owned())),
        shown: |config| config.auth.issuer.iter().flat_map(text).collect(),
    },
    Setting {
        name: "auth.audience",
        flag: "auth-audience",
        variable: "BERGULIR_AUTH_AUDIENCE",
        shape: Shape::Text,
        names: Names::Nothing,
        placeholder: "TEXT",
        help: "For whom bearer tokens must be: one of their aud, letter by letter",
        absent: "no tokens are taken",
        read: |config, given| given.text().map(|t| config.auth.audience = Some(t.to_owned())),
        shown: |config| config.auth.audience.iter().flat_map(text).collect(),
    },
    limits::PRINCIPAL_RATE,
    limits::PRINCIPAL_BURST,
    limits::PRINCIPAL_CALLS,
    limits::PRINCIPAL_STREAMS,
    limits::RATE,
    limits::BURST,
    limits::CALLS,
    limits::STREAMS,
    limits::COMMAND_STREAMS,
    limits::CONNECTIONS,
    limits::MESSAGE_BYTES,
    limits::BATCH_COMMANDS,
    limits::MEMORY_BYTES,
    limits::CONNECTION_MEMORY_BYTES,
    limits::CALL_SECONDS,
    limits::MESSAGE_SECONDS,
    limits::ANSWER_SECONDS,
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn flags_and_variables_follow_from_the_name() {
        for setting in SETTINGS {
            let flag = setting.name.replace(['.', '_'], "-");
            // The flag of a list names one of its values.
            let one = flag.strip_suffix('s').filter(|_| setting.shape == Shape::List);
            assert!([Some(&*flag), one].contains(&Some(setting.flag)), "{}", setting.name);
            let variable = format!("BERGULIR_{}", setting.name.replace('.', "_").to_uppercase());
            assert_eq!(setting.variable, variable);
        }
    }

    #[test]
    fn no_name_is_taken_twice_or_stands_for_a_section_too() {
        let names: BTreeSet<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
        assert_eq!(names.len(), SETTINGS.len());
        for name in &names {
            let section = name.split_once('.').map(|(section, _)| section);
            assert!(section.is_none_or(|section| !names.contains(section)), "{name}");
        }
    }

    #[test]
    fn each_has_a_default_or_says_what_holds_without_one() {
        for setting in SETTINGS {
            let has = !setting.shown(&Config::default()).is_empty();
            assert_eq!(has, setting.absent.is_empty(), "{}", setting.name);
        }
    }
}
