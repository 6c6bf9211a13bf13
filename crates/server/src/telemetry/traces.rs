//! Spans of calls to a collector over OTLP, as part of the trace that the caller began.

use super::logs::TelemetryError;
use axum::http::{HeaderMap, HeaderName, Uri};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::Metadata;
use tracing_subscriber::filter::{FilterFn, filter_fn};

/// Where spans go, and how many.
#[derive(Debug, Clone, PartialEq)]
pub struct Otlp {
    /// A collector that takes OTLP over gRPC, such as `http://127.0.0.1:4317`.
    pub endpoint: String,
    /// The share of the calls without a trace of their caller that get a span, 0 to 1. In a trace, the
    /// caller has decided.
    pub ratio: f64,
}

/// Says why an address is none of a collector.
///
/// # Errors
/// In words, what is wrong with it. They do not repeat it: it may hold a password.
pub fn check_endpoint(endpoint: &str) -> Result<(), String> {
    let uri: Uri = endpoint.parse().map_err(|error| format!("it is no address: {error}"))?;
    match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(authority)) if authority.as_str().contains('@') => {
            Err("must hold neither a name nor a password: they would be shown, and sent nowhere"
                .to_owned())
        }
        (Some("http" | "https"), Some(_)) => Ok(()),
        _ => Err("must be an address such as http://127.0.0.1:4317".to_owned()),
    }
}

/// What makes spans and sends them, in a thread of its own: whatever becomes of them holds no call up.
pub(super) fn provider(otlp: &Otlp) -> Result<SdkTracerProvider, TelemetryError> {
    let endpoint = || otlp.endpoint.clone();
    let failed = |why| TelemetryError::Endpoint { endpoint: endpoint(), why };
    check_endpoint(&otlp.endpoint).map_err(failed)?;
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint());
    let exporter = if otlp.endpoint.to_ascii_lowercase().starts_with("https:") {
        exporter.with_tls_config(ClientTlsConfig::new().with_native_roots())
    } else {
        exporter
    };
    let exporter = exporter.build();
    let exporter = exporter.map_err(|error| failed(error.to_string()))?;
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(otlp.ratio)));
    let resource = Resource::builder()
        .with_service_name("bergulir")
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    Ok(SdkTracerProvider::builder()
        .with_sampler(sampler)
        .with_resource(resource.build())
        .with_batch_exporter(exporter)
        .build())
}

/// Only what is ours: what the exporter itself logs would make new spans without end.
pub(super) fn of_calls() -> FilterFn<fn(&Metadata<'_>) -> bool> {
    filter_fn(|metadata| metadata.is_span() && metadata.target().starts_with("bergulir_server"))
}

/// The trace that a caller says it is in (W3C `traceparent`).
pub(crate) fn parent(headers: &HeaderMap) -> Context {
    TraceContextPropagator::new().extract(&Headers(headers))
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_collector_is_http_with_tls_or_without() {
        for good in [
            "http://127.0.0.1:4317",
            "http://collector:4317/",
            "http://[::1]:4317",
            "https://collector",
        ] {
            assert_eq!(check_endpoint(good), Ok(()), "{good}");
        }
        for wrong in ["127.0.0.1:4317", "https:///", "ftp://c", "http://", "", "a b", "/x"] {
            assert!(check_endpoint(wrong).is_err(), "{wrong}");
        }
        let refused = check_endpoint("https://name:secret@collector:4317").unwrap_err();
        assert!(refused.contains("password") && !refused.contains("secret"), "{refused}");
    }
}
