//! The real server behind TLS, configured by a file, and the real client with a certificate.

use crate::support::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

pub fn put(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// An authority's certificate, and those of the server and of two people, in files.
pub fn papers(folder: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    put(folder, "ca.pem", &params.self_signed(&key).unwrap().pem());
    let issuer = Issuer::new(params, key);
    let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
    let uri = |name: &str| SanType::URI(name.try_into().unwrap());
    for (file, name) in [
        ("server", dns("localhost")),
        ("operator", uri("spiffe://go.id/operator")),
        ("auditor", uri("spiffe://go.id/auditor")),
    ] {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![name];
        let key = KeyPair::generate().unwrap();
        put(folder, &format!("{file}.key"), &key.serialize_pem());
        put(folder, &format!("{file}.pem"), &params.signed_by(&key, &issuer).unwrap().pem());
    }
}

#[test]
fn a_client_proves_by_a_certificate_who_it_is_and_may_do_what_it_was_granted() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    papers(folder);
    let config = put(
        folder,
        "bergulir.toml",
        "data = \"data\"\nlisten = \"0.0.0.0:0\"\n\
         [tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\nclient_authorities = \"ca.pem\"\n\
         [[grant]]\nprincipal = \"spiffe://go.id/operator\"\nledger = \"*\"\nroles = [\"operator\"]\n\
         [[grant]]\nprincipal = \"spiffe://go.id/auditor\"\nledger = \"pilot\"\nroles = [\"auditor\"]\n",
    );
    let checked = run(["config", "check", "--config", &config]);
    assert!(checked.status.success(), "{checked:?}");
    let server = Server::run(["serve", "--config", &config]);
    let port = server.address.rsplit(':').next().unwrap().to_owned();
    let address = format!("https://localhost:{port}");
    let as_one = |who: &str, args: &[&str]| {
        let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let (ca, certificate, key) =
            (file("ca.pem"), file(&format!("{who}.pem")), file(&format!("{who}.key")));
        let proof = ["--address", &address, "--tls-ca", &ca, "--tls-cert", &certificate];
        let all = args.iter().copied().chain(proof).chain(["--tls-key", &key, "--json"]);
        run(all.collect::<Vec<_>>())
    };
    let open = [
        "ledger",
        "open",
        "--ledger",
        "pilot",
        "--origin",
        "ledger.example.go.id/pilot",
        "--region",
        "36.03",
    ];
    let denied = as_one("auditor", &open);
    assert_eq!(denied.status.code(), Some(1), "{denied:?}");
    assert!(String::from_utf8_lossy(&denied.stderr).contains("ROLE_MISSING"), "{denied:?}");
    let opened = as_one("operator", &open);
    assert!(opened.status.success(), "{opened:?}");
    let record = as_one("auditor", &["log", "record", "0", "--ledger", "pilot"]);
    assert!(record.status.success(), "{record:?}");
    let text = String::from_utf8_lossy(&record.stdout);
    assert!(text.contains("spiffe://go.id/operator"), "{text}");
    assert!(text.contains("AUTHENTICATION_MUTUAL_TLS"), "{text}");
    // Somebody else's authority gave out this name, or it gave out the server's.
    let other = tempfile::tempdir().unwrap();
    papers(other.path());
    for (authority, papers) in [(folder, other.path()), (other.path(), folder)] {
        let file = |name: &str| papers.join(name).to_str().unwrap().to_owned();
        let ca = authority.join("ca.pem");
        let proof = ["--tls-ca", ca.to_str().unwrap(), "--tls-cert", &file("operator.pem")];
        let list = ["ledger", "list", "--address", &address, "--tls-key", &file("operator.key")];
        let wrong = run(list.into_iter().chain(proof));
        assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
        assert!(wrong.stdout.is_empty(), "{wrong:?}");
    }
    drop(server);
}

#[test]
fn what_of_a_configuration_does_not_fit_together_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let config = put(
        folder.path(),
        "bergulir.toml",
        "data = \"data\"\nlisten = \"0.0.0.0:7447\"\n[tls]\nkey = \"k\"\n[auth]\nissuer = \"x\"\n\
         [[grant]]\nprincipal = \"a\"\nledger = \"*\"\nroles = [\"king\"]\n\
         [[grant]]\nprincipal = \"a\"\nledger = \"*\"\nroles = [\"operator\"]\nfunds = [\"f\"]\n",
    );
    let checked = run(["config", "check", "--config", &config]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    for expected in [
        "there is no role \"king\"",
        "limits an operator to funds",
        "needs tls.certificate",
        "set together or not at all",
        "takes TLS and authentication",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}
