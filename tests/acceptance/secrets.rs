//! What nobody but its owner may see stays out of log lines, spans, metrics and messages, whatever is
//! logged.

use std::cell::RefCell;
use std::fs::File;
use std::path::Path;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::guarded::{papers, put};
use crate::support::{Server, bergulir, ended};
use crate::telemetry::{collector, get};

/// Signs tokens, under the key `k`.
struct Signer(Ed25519KeyPair);

impl Signer {
    fn new() -> Signer {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Signer(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
    }

    fn jwks(&self) -> String {
        let x = Base64UrlUnpadded::encode_string(self.0.public_key().as_ref());
        format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"k","x":"{x}"}}]}}"#)
    }

    fn token(&self, who: &str) -> String {
        let b64 = |bytes: &[u8]| Base64UrlUnpadded::encode_string(bytes);
        let claims = format!(r#"{{"iss":"login","aud":"ledger","sub":"{who}","exp":4000000000}}"#);
        let head = b64(br#"{"alg":"EdDSA","kid":"k"}"#);
        let message = format!("{head}.{}", b64(claims.as_bytes()));
        let signature = b64(self.0.sign(message.as_bytes()).as_ref());
        format!("{message}.{signature}")
    }
}

/// The long lines of a key in PEM, or of a key file.
fn lines_of_key(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let long = text.lines().filter(|line| !line.starts_with("---") && line.len() > 20);
    long.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_told_at_any_level_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    papers(folder);
    let (spans, collector) = collector().await;
    let signer = Signer::new();
    put(folder, "jwks.json", &signer.jwks());
    let grants = ["ani", "budi", "spiffe://go.id/auditor"].map(|who| {
        format!(
            "[[grant]]\nprincipal = \"{who}\"\nledger = \"*\"\n\
             roles = [\"maker\", \"checker\", \"operator\", \"auditor\"]\n"
        )
    });
    let config = format!(
        "data = \"data\"\nlisten = \"0.0.0.0:0\"\nmetrics = \"127.0.0.1:0\"\notlp = \"{collector}\"\n\
         [tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\nclient_authorities = \"ca.pem\"\n\
         client_certificates = \"optional\"\n\
         [auth]\njwks = \"jwks.json\"\nissuer = \"login\"\naudience = \"ledger\"\n{}",
        grants.concat()
    );
    let config = put(folder, "bergulir.toml", &config);
    let log = folder.join("log");
    let mut command = bergulir(["serve", "--config", &config]);
    command.env("RUST_LOG", "trace").stderr(File::create(&log).unwrap());
    let server = Server::command(command);
    let metrics = server.printed_address("serving metrics on http://", "/metrics");
    let port = server.address.rsplit(':').next().unwrap();
    let address = format!("https://localhost:{port}");
    let ca = folder.join("ca.pem");
    let said = RefCell::new(String::new());
    let hears = |bytes: &[u8]| said.borrow_mut().push_str(&String::from_utf8_lossy(bytes));
    let types = |token: &str, line: &str| {
        let file = put(folder, "token", token);
        let mut command = bergulir(line.split(' ').chain(["--token-file", &file]));
        command.env("BERGULIR_ADDRESS", &address).env("BERGULIR_LEDGER", "kab");
        command.env("BERGULIR_CLIENT_CA", &ca).env("RUST_LOG", "trace");
        let output = ended(command, std::time::Duration::from_secs(120));
        hears(&output.stderr);
        output
    };
    let number = "07719283746501";
    let evidence = "surat-kuasa-19283";
    let digest = "a7b1".repeat(16);
    let (ani, budi) = (signer.token("ani"), signer.token("budi"));
    let papers_of = format!("--reason closed --evidence {evidence} --evidence-digest {digest}");
    for (token, line) in [
        (&ani, "ledger open --origin ledger.example.go.id/kab".to_owned()),
        (
            &ani,
            "fund open dana --name Dana --opening-date 2025-01-02 --ceiling 3000000000 --rate 5 \
             --method flat --tenor-months 36 --grace-months 3"
                .to_owned(),
        ),
        (&ani, "coop register c1 --village 36.03.01.2003 --kind kdmp --name Cangkudu".to_owned()),
        (
            &ani,
            format!(
                "account open a1 --fund dana --coop c1 --bank BJB --bank-account {number} \
                 --holder Cangkudu"
            ),
        ),
        (
            &ani,
            format!(
                "account propose-bank-account a1 --fund dana --bank BRI --bank-account 9{number} \
                 --holder Cangkudu {papers_of}"
            ),
        ),
    ] {
        let output = types(token, &line);
        assert!(output.status.success(), "{line}: {output:?}");
    }
    // What is refused, by a rule, by its form, and because nobody knows who calls.
    let again = format!(
        "account open a2 --fund dana --coop c1 --bank BJB --bank-account {number} --holder Cangkudu"
    );
    let wrong = format!(
        "account propose-bank-account a1 --fund dana --bank BRI --bank-account {number}! --holder \
         Other {papers_of}"
    );
    let forged = format!("{}AAAA", &budi[..budi.len() - 4]);
    for (token, line) in [(&ani, &again), (&budi, &wrong), (&forged, &again)] {
        assert!(!types(token, line).status.success(), "{line}");
    }
    assert!(!types(&Signer::new().token("ani"), "ledger show").status.success());
    // Files of the server that are wrong are named and not shown.
    let key_of_server = lines_of_key(&folder.join("server.key"));
    for (file, text) in [
        ("server.pem", std::fs::read_to_string(folder.join("server.key")).unwrap()),
        ("jwks.json", format!(r#"{{"keys":[{{"kty":"oct","kid":"s","k":"{digest}"}}]}}"#)),
        ("bergulir.toml", std::fs::read_to_string(folder.join("operator.key")).unwrap()),
    ] {
        let good = std::fs::read_to_string(folder.join(file)).unwrap();
        put(folder, file, &text);
        for args in [["config", "check"], ["config", "show"]] {
            let output = bergulir(args).args(["--config", &config]).output().unwrap();
            hears(&output.stdout);
            hears(&output.stderr);
        }
        server.signal(rustix::process::Signal::HUP);
        std::thread::sleep(std::time::Duration::from_millis(500));
        put(folder, file, &good);
    }
    // So are those of a client, and of whoever keeps keys.
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (key, token) = (file("operator.key"), file("token"));
    let client = ["ledger", "list", "--address", &address, "--tls-ca", ca.to_str().unwrap()];
    for more in [
        &["--token-file", &key][..],
        &["--tls-cert", &key, "--tls-key", &token],
        &["--tls-cert", &token, "--tls-key", &key],
        &["--tls-cert", &file("operator.pem"), "--tls-key", &file("operator.pem")],
    ] {
        let mut command = bergulir(client.into_iter().chain(more.iter().copied()));
        command.env("RUST_LOG", "trace");
        let output = ended(command, std::time::Duration::from_secs(120));
        assert!(!output.status.success(), "{more:?}");
        hears(&output.stdout);
        hears(&output.stderr);
    }
    for args in [["key", "show", &key], ["key", "show", &token], ["audit", "verify", &key]] {
        let output = bergulir(args).output().unwrap();
        assert!(!output.status.success(), "{args:?}");
        hears(&output.stdout);
        hears(&output.stderr);
    }
    for args in [["config", "show"], ["config", "check"]] {
        let output = bergulir(args).args(["--config", &config]).output().unwrap();
        hears(&output.stdout);
        hears(&output.stderr);
    }
    let status = types(&ani, "status");
    hears(&status.stdout);
    let scraped = get(&metrics, "/metrics").text().to_owned();
    let mut keys: Vec<String> = key_of_server;
    for file in std::fs::read_dir(folder.join("data/keys")).unwrap() {
        keys.extend(lines_of_key(&file.unwrap().path()));
    }
    keys.extend(lines_of_key(&folder.join("operator.key")));
    assert!(keys.len() > 4, "{keys:?}");
    assert!(tokio::task::spawn_blocking(move || server.stop()).await.unwrap().success());
    // What it says when it is ended in its midst, with all that it can say of that.
    let crash = folder.join("crash");
    let mut command = bergulir(["serve", "--config", &config]);
    command.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full");
    command.current_dir(folder).stderr(File::create(&crash).unwrap());
    let server = Server::command(command);
    let port = server.address.rsplit(':').next().unwrap();
    let mut asks = bergulir(["ledger", "show", "--address", &format!("https://localhost:{port}")]);
    asks.args(["--ledger", "kab", "--token-file", &put(folder, "token", &ani)]);
    let answered = asks.env("BERGULIR_CLIENT_CA", &ca).output().unwrap();
    assert!(answered.status.success(), "{answered:?}");
    server.signal(rustix::process::Signal::ABORT);
    assert!(!tokio::task::spawn_blocking(move || server.wait()).await.unwrap().success());
    hears(&std::fs::read(&crash).unwrap());

    let spans = format!("{:?}", spans.0.lock().unwrap());
    assert!(spans.contains("OpenAccount"), "{spans}");
    let log = String::from_utf8_lossy(&std::fs::read(&log).unwrap()).into_owned();
    assert!(log.contains("TRACE"), "{log}");
    let signatures = [&ani, &budi, &forged].map(|token| token.rsplit('.').next().unwrap());
    let tokens = [&ani, &budi].map(|token| token.split('.').nth(1).unwrap());
    // Also as bytes, one by one.
    let bytes = |text: &[u8]| format!("{text:?}").trim_matches(['[', ']']).to_owned();
    let raw =
        [bytes(number.as_bytes()), bytes(evidence.as_bytes()), bytes(&[0xa7, 0xb1].repeat(16))];
    let all = [number, evidence, &digest].into_iter().chain(signatures).chain(tokens);
    let mut leaks = Vec::new();
    for secret in all.chain(keys.iter().chain(&raw).map(String::as_str)) {
        for (place, text) in [
            ("the log", &log),
            ("spans", &spans),
            ("metrics", &scraped),
            ("messages", &said.borrow()),
        ] {
            let shown = text.lines().find(|line| line.contains(secret));
            leaks.extend(shown.map(|line| format!("{place} shows {secret}: {line}")));
        }
    }
    assert!(leaks.is_empty(), "{leaks:#?}");
}
