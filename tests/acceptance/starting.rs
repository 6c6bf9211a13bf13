//! What a server needs to start, what keeps it waiting, and that it can be stopped meanwhile.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Server, accept, bergulir, last_json, run, run_briefly};

/// A data directory with one ledger, and a witness that takes requests and never answers.
struct Scene {
    folder: tempfile::TempDir,
    witness_key: String,
    silent: TcpListener,
}

impl Scene {
    fn new() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("w.key");
        let args = ["key", "new", "--witness", "--name", "auditor.example/w1", "--json", "--out"];
        let made = run(args.into_iter().chain([file.to_str().unwrap()]));
        let witness_key = last_json(&made)["verifier_key"].as_str().unwrap().to_owned();
        let scene =
            Scene { folder, witness_key, silent: TcpListener::bind("127.0.0.1:0").unwrap() };
        let server = Server::start(&scene.path("data"));
        let opened = bergulir(["ledger", "open", "--origin", "ledger.example.go.id/pilot"])
            .env("BERGULIR_ADDRESS", &server.address)
            .env("BERGULIR_LEDGER", "pilot")
            .env("BERGULIR_PRINCIPAL", "officer-1")
            .output()
            .unwrap();
        assert!(opened.status.success(), "{opened:?}");
        assert!(server.stop().success());
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// A policy that asks for the witness at this address.
    fn policy(&self, address: &str) -> String {
        let text = format!("witness w {} {address}\nquorum w\n", self.witness_key);
        std::fs::write(self.path("policy"), text).unwrap();
        self.text("policy")
    }

    fn policy_of_silence(&self) -> String {
        self.policy(&format!("http://{}/", self.silent.local_addr().unwrap()))
    }

    fn serve(&self, more: &[&str]) -> Output {
        let data = self.text("data");
        let args = ["serve", "--listen", "127.0.0.1:0", "--data", &data];
        run_briefly(args.into_iter().chain(more.iter().copied()))
    }
}

#[test]
fn a_start_that_waits_for_a_witness_is_stopped_at_once() {
    let scene = Scene::new();
    let (data, policy) = (scene.text("data"), scene.policy_of_silence());
    let mut child = bergulir(["serve", "--listen", "127.0.0.1:0", "--data", &data])
        .args(["--policy", &policy])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It was asked, and so is waited for.
    let asked = accept(&scene.silent, &mut child);
    let began = Instant::now();
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    drop(asked);
    // Nothing is left behind that would keep the next one.
    assert!(Server::start(&scene.path("data")).stop().success());
}

#[test]
fn a_silent_witness_delays_a_start_and_a_stop_a_little() {
    let scene = Scene::new();
    let (data, policy) = (scene.text("data"), scene.policy_of_silence());
    let began = Instant::now();
    let server = Server::run(["serve", "--data", &data, "--policy", &policy]);
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
    let began = Instant::now();
    assert!(server.stop().success());
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[test]
fn what_cannot_be_used_keeps_a_server_from_starting() {
    let scene = Scene::new();
    let refused = |more: &[&str], why: &str| {
        let ended = scene.serve(more);
        let error = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{error}");
        assert!(error.contains(why), "{error}");
    };
    for (address, why) in [
        ("ftp://w.example/", "neither http nor https"),
        ("w.example", "does not begin with http"),
        ("http://w.example:99999/", "port"),
    ] {
        refused(&["--policy", &scene.policy(address)], why);
    }
    refused(&["--policy", &scene.text("missing")], "could not read");
    std::fs::write(scene.path("wrong"), "quorum\n").unwrap();
    refused(&["--policy", &scene.text("wrong")], "wrong");
    let keys = scene.path("bad-keys");
    std::fs::create_dir(&keys).unwrap();
    std::fs::write(keys.join("a.key"), "no key\n").unwrap();

    let key = scene.text("w.key");
    for (key, policy) in
        [("missing", "wrong"), ("bad-keys/a.key", "wrong"), (&*key, "missing"), (&key, "wrong")]
    {
        let [key, policy] = [key, policy].map(|name| scene.text(name));
        let state = scene.text("seen");
        let ended =
            run(["audit", "witness", "--key", &key, "--state", &state, "--policy", &policy]);
        assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    }
}
