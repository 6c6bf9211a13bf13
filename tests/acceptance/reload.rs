//! The configuration of a server that runs: grants come and go, a wrong file changes nothing, and what
//! needs a restart is named.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use tonic::Code;

use crate::pilot::{allocate, open_fund, open_ledger};
use crate::support::{Server, bergulir, run};
use crate::telemetry::{get, until};

fn grant(who: &str, roles: &str) -> String {
    format!("[[grant]]\nprincipal = \"{who}\"\nledger = \"*\"\nroles = [{roles}]\n")
}

/// Waits until the log has a line with all of these.
fn logged(log: &Path, parts: &[&str]) {
    let began = Instant::now();
    loop {
        let text = std::fs::read_to_string(log).unwrap();
        if text.lines().any(|line| parts.iter().all(|part| line.contains(part))) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{parts:?}: {text}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test]
async fn grants_are_reloaded_and_a_wrong_file_is_said_in_the_log_and_in_the_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let [file, log] = ["bergulir.toml", "log"].map(|name| folder.path().join(name));
    let head = "data = \"data\"\nmetrics = \"127.0.0.1:0\"\nlisten = \"127.0.0.1:0\"\n";
    let old = format!("{head}{}", grant("officer", "\"operator\""));
    std::fs::write(&file, &old).unwrap();
    let mut command = bergulir(["serve", "--config", file.to_str().unwrap()]);
    command.stderr(File::create(&log).unwrap());
    let server = Server::command(command);
    let metrics = server.printed_address("serving metrics on http://", "/metrics");
    let mut client = server.client("officer").await;
    client.post(&open_ledger()).await;
    let denied = client.send(uuid::Uuid::new_v4(), &open_fund()).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    let line = "bergulir_files_wrong{files=\"configuration\"}";
    until(&metrics, line, 0.0);

    // What is put there is looked at when SIGHUP comes, and a server does not end by it.
    let check = || run(["config", "check", "--config", file.to_str().unwrap()]).status.success();
    std::fs::write(&file, format!("{head}{}", grant("officer", "\"king\""))).unwrap();
    assert!(!check());
    server.signal(rustix::process::Signal::HUP);
    until(&metrics, line, 1.0);
    logged(&log, &["ERROR", "configuration", "bergulir.toml:4", "king", "stays in force"]);
    logged(&log, &["INFO", "SIGHUP"]);
    let denied = client.send(uuid::Uuid::new_v4(), &open_fund()).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);

    let new = old.replace("[\"operator\"]", "[\"operator\", \"maker\"]");
    let new = new.replace("listen = ", "http = \"127.0.0.1:0\"\nlisten = ");
    let new = format!("{new}[limits.principals.officer]\nrate = 100\n");
    std::fs::write(&file, new).unwrap();
    assert!(check());
    server.signal(rustix::process::Signal::HUP);
    until(&metrics, line, 0.0);
    logged(&log, &["INFO", "grants changed", "count=1", "officer"]);
    logged(&log, &["INFO", "limits changed", "settings=\"limits.principals\""]);
    logged(&log, &["WARN", "settings=\"http\"", "from the next start on"]);
    client.post(&open_fund()).await;
    client.post(&allocate(1, "A")).await;
    assert_eq!(get(&metrics, "/readyz").status, 200);
    assert!(server.stop().success());
}
