//! Where log lines and spans go.

use super::traces::{self, Otlp};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::io::IsTerminal as _;
use std::time::Duration;
use thiserror::Error;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

/// How long a stop waits for the last spans to be sent.
const FLUSH_LIMIT: Duration = Duration::from_secs(3);

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<LogFormat> {
        [LogFormat::Text, LogFormat::Json].into_iter().find(|format| format.as_str() == name)
    }
}

/// Why nothing can be told.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// Spans cannot be sent there.
    #[error("spans cannot be sent to {endpoint}: {why}")]
    Endpoint {
        /// Where.
        endpoint: String,
        /// Why not.
        why: String,
    },
}

/// The way of spans to a collector, if there is one.
#[derive(Debug)]
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Sends what is left, for a few seconds at most. Blocks.
    pub fn stop(self) {
        if let Some(provider) = self.0
            && let Err(error) = provider.shutdown_with_timeout(FLUSH_LIMIT)
        {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}

/// Sends what is traced to the standard error, as `RUST_LOG` says or else `default`; and the spans of
/// calls to a collector, if one is given. In a runtime of tokio, once a process.
///
/// # Errors
/// If the collector's address cannot be used.
pub fn start(
    format: LogFormat,
    default: &str,
    otlp: Option<&Otlp>,
) -> Result<Traces, TelemetryError> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let ansi = std::io::stderr().is_terminal();
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(ansi).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_ansi(false).boxed(),
    };
    let provider = otlp.map(traces::provider).transpose()?;
    let spans = provider.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("bergulir"))
            .with_location(false)
            .with_threads(false)
            .with_filter(traces::of_calls())
    });
    // Fails only if it was done before.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).with(spans).try_init();
    Ok(Traces(provider))
}
