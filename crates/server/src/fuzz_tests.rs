//! Files that an operator or an issuer puts there, and what callers prove themselves with, nearly right
//! and wrong: see docs/adr/0036-fuzzing.md.

use crate::access::{Certificate, Keys, TokenOptions, Tokens};
use crate::config::{Layers, load};
use crate::telemetry::parent;
use bergulir_fuzz::{Target, fuzz, outcome};
use opentelemetry::trace::TraceContextExt as _;
use rcgen::{CertificateParams, KeyPair, SanType};
use std::path::Path;
use std::time::SystemTime;
use tokio_rustls::rustls::pki_types::CertificateDer;

fn target(name: &'static str) -> Target {
    Target::new(name, env!("CARGO_MANIFEST_DIR"))
}

const JWKS: &str = r#"{"keys":[
{"kty":"OKP","crv":"Ed25519","kid":"a","alg":"EdDSA","use":"sig","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
{"kty":"EC","crv":"P-256","kid":"e","key_ops":["verify"],"x":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc","y":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"}
]}
"#;

#[test]
fn a_file_of_keys_is_taken_or_refused_whole() {
    const WORDS: &[&str] = &[
        "\"d\":\"AA\"",
        "\"kty\":\"RSA\"",
        "\"n\":",
        "\"e\":\"AQAB\"",
        "oct",
        "null",
        "[",
        "{",
        "\"kid\":\"a\"",
    ];
    fuzz!(target("jwks").sample(JWKS).words(WORDS), |input| {
        match Keys::read(Path::new("jwks"), input) {
            Ok(keys) => {
                let file: serde_json::Value = serde_json::from_slice(input).unwrap();
                let secret = |key: &serde_json::Value| !key["d"].is_null() || !key["k"].is_null();
                assert!(!file["keys"].as_array().unwrap().iter().any(secret), "no secret is taken");
                format!("taken, a: {}", keys.get("a").is_some())
            }
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("jwks"), "the file is named: {text}");
                text.split_whitespace()
                    .filter(|word| word.chars().all(char::is_alphabetic))
                    .take(6)
                    .collect::<Vec<_>>()
                    .join(" ")
            }
        }
    });
}

#[test]
fn whatever_is_no_token_of_ours_is_refused() {
    // {"alg":"EdDSA","typ":"JWT","kid":"a"} and {"sub":"officer-1","exp":4102444800,...}, signed by nobody.
    const TOKEN: &str = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCIsImtpZCI6ImEifQ.\
        eyJzdWIiOiJvZmZpY2VyLTEiLCJleHAiOjQxMDI0NDQ4MDAsImlzcyI6ImlkcCIsImF1ZCI6ImJlcmd1bGlyIn0.\
        AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    // {"alg":"none"} and {"alg":"ES256","kid":"a"}.
    const WORDS: &[&str] =
        &["eyJhbGciOiJub25lIn0", "eyJhbGciOiJFUzI1NiIsImtpZCI6ImEifQ", ".", "..", "e30", "bnVsbA"];
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("jwks");
    std::fs::write(&keys, JWKS).unwrap();
    let options = TokenOptions { keys, issuer: "idp".to_owned(), audience: "bergulir".to_owned() };
    let tokens = std::panic::AssertUnwindSafe(Tokens::new(options).unwrap());
    fuzz!(target("token").sample(TOKEN).words(WORDS), |input| {
        let tokens = &tokens;
        let Ok(text) = str::from_utf8(input) else { return "no text".to_owned() };
        // Nobody has the private key.
        let refused = tokens.verify(text).map(|_| ()).unwrap_err();
        assert!(refused.to_string().len() < 300);
        outcome(&refused)
    });
}

fn certificate(name: SanType) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![name];
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

#[test]
fn a_certificate_names_a_principal_or_says_why_not() {
    let samples = [
        certificate(SanType::URI("spiffe://example.go.id/Officer-1".try_into().unwrap())),
        certificate(SanType::DnsName("teller-7.example.go.id".try_into().unwrap())),
        certificate(SanType::Rfc822Name("officer-1@example.go.id".try_into().unwrap())),
    ];
    fuzz!(target("certificate").samples(samples).memory(256 << 10, 256), |input| {
        let read = Certificate::read(&[CertificateDer::from(input)]);
        let _ = read.has_expired(SystemTime::now());
        if let Ok(principal) = read.principal {
            assert!(
                input
                    .windows(principal.as_str().len())
                    .any(|part| part == principal.as_str().as_bytes())
            );
        }
        outcome(&read.principal.map(|_| ()))
    });
}

#[test]
fn a_file_of_certificates_is_taken_or_refused() {
    const WORDS: &[&str] = &[
        "-----BEGIN CERTIFICATE-----\n",
        "-----END CERTIFICATE-----\n",
        "-----BEGIN PRIVATE KEY-----\n",
    ];
    let made =
        CertificateParams::default().self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
    fuzz!(target("pem").sample(made).words(WORDS), |input| {
        match crate::tls::certificates(Path::new("pem"), input) {
            Ok(certificates) => {
                for certificate in &certificates {
                    let _ = Certificate::read(std::slice::from_ref(certificate));
                }
                format!("{} taken", certificates.len().min(3))
            }
            Err(error) => {
                error.to_string().chars().filter(|letter| letter.is_alphabetic()).take(40).collect()
            }
        }
    });
}

#[test]
fn any_traceparent_is_taken_or_passed_over() {
    const WORDS: &[&str] = &[
        "00-",
        "ff-",
        "-01",
        "-",
        "0af7651916cd43dd8448eb211c80319c",
        "00000000000000000000000000000000",
    ];
    let sample = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    fuzz!(target("traceparent").sample(sample).words(WORDS), |input| {
        let mut headers = tonic::codegen::http::HeaderMap::new();
        let Ok(value) = input.try_into() else { return "no header".to_owned() };
        headers.insert("traceparent", value);
        let context = parent(&headers);
        format!("{}", context.span().span_context().is_valid())
    });
}

#[test]
fn a_configuration_is_read_or_each_fault_has_its_line() {
    const FILE: &str = "listen = \"127.0.0.1:50051\"\ndata = \"data\"\n\n[tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\n\n\
        [auth]\njwks = \"jwks\"\nissuer = \"idp\"\naudience = \"bergulir\"\n\n\
        [[grant]]\nprincipal = \"officer-1\"\nroles = [\"maker\", \"checker\"]\nledger = \"kab\"\nfunds = [\"dana\"]\n";
    const WORDS: &[&str] = &[
        "[[grant]]\n",
        "[tls]\n",
        "= true",
        "= [1]",
        "= {a=1}",
        "= 1e9",
        "\"\"\"",
        "= 2026-01-01",
        ".",
        "limits.",
    ];
    fuzz!(target("config").sample(FILE).words(WORDS).memory(1 << 20, 512), |input| {
        let Ok(text) = str::from_utf8(input) else { return "no text".to_owned() };
        let layers =
            Layers { file: Some((Path::new("/etc/bergulir.toml"), text)), ..Layers::default() };
        let loaded = load(layers);
        let lines = text.split('\n').count().max(1);
        for problem in &loaded.problems {
            if let Some(crate::config::Origin::File { line, .. }) = problem.origin {
                assert!((1..=lines).contains(&line), "line {line} of {lines}");
            }
            assert!(!problem.why.is_empty());
        }
        let words = |problem: &crate::config::Problem| {
            problem
                .why
                .split_whitespace()
                .filter(|word| word.chars().all(char::is_alphabetic))
                .take(4)
                .collect::<Vec<_>>()
                .join(" ")
        };
        loaded.problems.first().map_or_else(|| "read".to_owned(), words)
    });
}
