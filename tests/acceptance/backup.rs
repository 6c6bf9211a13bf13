//! Backups of a running server, and what is restored from them: under load, cut short, of another
//! history, damaged, older than what is known, and on a disk that is full.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::pilot::{allocate, open_fund, open_ledger};
use crate::second_verifier::copy;
use crate::support::{Client, Server, ended, last_json, run, run_briefly};

/// A folder with a data directory, a backup, an anchor and more.
struct Office(tempfile::TempDir);

impl Office {
    fn new() -> Office {
        let office = Office(tempfile::tempdir().unwrap());
        fs::create_dir(office.path("anchor")).unwrap();
        office
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Serves a data directory with the one folder of keys.
    fn serve(&self, data: &str) -> Server {
        let [data, keys] = [data, "keys"].map(|name| self.path(name));
        let [data, keys] = [&data, &keys].map(|path| path.to_str().unwrap());
        Server::run(["serve", "--data", data, "--keys", keys])
    }

    /// The same with the anchor.
    fn serve_anchored(&self, data: &str) -> Server {
        let [data, keys, anchor] = [data, "keys", "anchor"].map(|name| self.path(name));
        let [data, keys, anchor] = [&data, &keys, &anchor].map(|path| path.to_str().unwrap());
        Server::run(["serve", "--data", data, "--keys", keys, "--anchor", anchor])
    }

    /// A server with the ledger `pilot`, and so many records.
    async fn with_records(&self, records: u64) -> (Server, Client) {
        let server = self.serve_anchored("data");
        let mut client = server.client("maker").await;
        client.post(&open_ledger()).await;
        client.post(&open_fund()).await;
        for n in 2..records {
            client.post(&allocate(1, &format!("R{n}"))).await;
        }
        (server, client)
    }

    fn backup(&self, server: &Server, more: &[&str]) -> Output {
        let folder = self.path("backup");
        let words = ["--json", "backup", folder.to_str().unwrap(), "--address", &server.address];
        run(words.into_iter().chain(more.iter().copied()))
    }

    fn backed_up(&self, server: &Server) -> Value {
        done(&self.backup(server, &[]))
    }

    fn verify(&self) -> Output {
        run(["--json", "backup", self.path("backup").to_str().unwrap(), "--verify"])
    }

    fn restore(&self, data: &str, more: &[&str]) -> Output {
        let [backup, data] = [self.path("backup"), self.path(data)];
        let words = ["--json", "restore", backup.to_str().unwrap()];
        let words = words.into_iter().chain(["--data", data.to_str().unwrap()]);
        run(words.chain(more.iter().copied()))
    }

    fn anchor(&self) -> String {
        self.path("anchor").to_str().unwrap().to_owned()
    }

    fn log(&self, data: &str) -> PathBuf {
        self.path(data).join("ledgers/pilot/log")
    }
}

/// What a run that ended well said.
fn done(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    last_json(output)
}

/// What a run that ended with this code said.
fn refused(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{}", stderr(output));
    stderr(output)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn number(told: &Value, name: &str) -> u64 {
    told[name].as_u64().unwrap_or_else(|| panic!("{name}: {told}"))
}

/// The segments of a log, with their bytes.
fn segments(log: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found: Vec<_> = fs::read_dir(log)
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| (path.strip_prefix(log).unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect();
    found.sort();
    found
}

type Acknowledged = Arc<Mutex<Vec<(Uuid, String, u64, Vec<u8>)>>>;

/// Posts one request after another, until the server is gone.
async fn write(mut client: Client, name: String, known: Acknowledged) {
    for n in 0.. {
        let (id, reference) = (Uuid::new_v4(), format!("{name}-{n}"));
        let Ok(receipt) = client.send(id, &allocate(1, &reference)).await else { return };
        known.lock().unwrap().push((id, reference, receipt.position, receipt.record_hash));
    }
}

/// A folder and all that is in it, with their permissions.
fn modes(path: &Path) -> Vec<(PathBuf, u32)> {
    use std::os::unix::fs::PermissionsExt as _;
    let found = fs::symlink_metadata(path).unwrap();
    let mut all = vec![(path.to_owned(), found.permissions().mode() & 0o777)];
    if found.is_dir() {
        all.extend(fs::read_dir(path).unwrap().flat_map(|one| modes(&one.unwrap().path())));
    }
    all
}

#[tokio::test]
async fn what_is_written_is_for_its_owner_alone_whatever_the_umask() {
    let office = Office::new();
    let text = |name: &str| office.path(name).to_str().unwrap().to_owned();
    let [data, backup, anchor, restored, bundle, key] =
        ["data", "backup", "anchor", "restored", "bundle", "a.key"].map(text);
    let shell = |args: &[&str]| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "umask 0 && exec \"$@\"", "sh", env!("CARGO_BIN_EXE_bergulir")]);
        shell.args(args);
        shell
    };
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data", &data, "--anchor", &anchor];
    let mut serve = shell(&serve);
    serve.stderr(Stdio::null());
    let server = Server::command(serve);
    let mut client = server.client("maker").await;
    client.post(&open_ledger()).await;
    client.post(&open_fund()).await;
    let address = server.address.clone();
    let types = |args: &[&str]| {
        let output = ended(shell(args), Duration::from_secs(120));
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    };
    types(&["backup", &backup, "--address", &address]);
    assert!(server.stop().success());
    types(&["restore", &backup, "--data", &restored]);
    types(&["audit", "export", "--data", &data, "--out", &bundle]);
    types(&["key", "new", "--origin", "ledger.example.go.id/other", "--out", &key]);
    let mut seen = 0;
    for (path, mode) in modes(office.0.path()) {
        // Two folders are the test's own.
        if [office.0.path(), Path::new(&anchor)].contains(&path.as_path()) {
            continue;
        }
        assert_eq!(mode & 0o077, 0, "{} has the mode {mode:o}", path.display());
        seen += 1;
    }
    assert!(seen > 30, "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_under_load_is_backed_up_and_restored_with_every_receipt() {
    let office = Office::new();
    let (server, client) = office.with_records(2).await;
    let known = Acknowledged::default();
    let mut load = JoinSet::new();
    for writer in 0..8 {
        load.spawn(write(client.clone(), format!("W{writer}"), Arc::clone(&known)));
    }
    let mut last = 0;
    for _ in 0..4 {
        let acknowledged = u64::try_from(known.lock().unwrap().len()).unwrap();
        let told = office.backed_up(&server);
        let records = number(&told, "records");
        assert!(records >= acknowledged, "what was acknowledged before is in it: {told}");
        assert_eq!(number(&told, "checkpoint"), records, "under the checkpoint: {told}");
        assert_eq!(number(&told, "new_records"), records - last, "{told}");
        last = records;
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    server.kill();
    load.join_all().await;

    let sound = done(&office.verify());
    assert_eq!((number(&sound, "records"), &sound["status"]), (last, &"sound".into()), "{sound}");
    // The anchor may know of more: this asks what the backup is worth by itself.
    let told = done(&office.restore("restored", &[]));
    assert_eq!(number(&told, "records"), last);
    // The bytes of the log, as far as the backup goes.
    let (original, restored) = (segments(&office.log("data")), segments(&office.log("restored")));
    for ((name, whole), (same, bytes)) in original.iter().zip(&restored) {
        assert_eq!(name, same);
        assert!(whole.starts_with(bytes));
    }
    let server = office.serve("restored");
    let mut client = server.client("maker").await;
    let records = client.records().await;
    assert_eq!(records.len() as u64, last);
    let known = std::mem::take(&mut *known.lock().unwrap());
    assert!(known.len() > 20, "there was a load");
    for (id, reference, position, hash) in &known {
        let Some(record) = records.get(usize::try_from(*position).unwrap()) else { continue };
        assert_eq!(&record.record_hash, hash);
        assert_eq!(record.request_id, id.to_string());
        if position % 7 == 0 {
            let again = client.send(*id, &allocate(1, reference)).await.unwrap();
            assert!(again.duplicate);
            assert_eq!((again.position, &again.record_hash), (*position, hash));
        }
    }
    client.post(&allocate(1, "after")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_killed_at_any_moment_is_gone_on_with() {
    let office = Office::new();
    let (server, _client) = office.with_records(3).await;
    // Some megabytes in ledgers of their own.
    let loaded = run([
        "--json",
        "bench",
        "--address",
        &server.address,
        "--mode",
        "batch",
        "--events",
        "30000",
        "--accounts",
        "100",
        "--ledgers",
        "2",
        "--no-verify",
    ]);
    done(&loaded);
    let folder = office.path("backup");
    let words = ["backup", folder.to_str().unwrap(), "--address", &server.address];
    let (mut killed, mut delay) = (0, 5);
    loop {
        let mut child = crate::support::bergulir(words)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::inherit())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "it ended by itself with {status}");
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        killed += 1;
        delay += 1 + delay / 2;
        // What is there is never taken for whole: it says so, or it is.
        let seen = office.verify();
        if seen.status.code() == Some(0) {
            continue;
        }
        let said = stderr(&seen);
        let expected = ["cut short", "is no backup", "holds no ledger", "no such file"];
        let told = expected.iter().any(|words| said.to_lowercase().contains(words));
        assert!(told, "{said}");
    }
    assert!(killed > 3, "it was killed {killed} times");
    done(&office.backup(&server, &[]));
    done(&office.verify());
    assert!(server.stop().success());
    for ledger in fs::read_dir(office.path("data/ledgers")).unwrap() {
        let ledger = ledger.unwrap();
        let kept = office.path("backup/ledgers").join(ledger.file_name()).join("log");
        // An orderly stop may seal: the log has a record more then.
        for ((name, whole), (same, bytes)) in
            segments(&ledger.path().join("log")).iter().zip(&segments(&kept))
        {
            assert_eq!(name, same);
            assert!(whole.starts_with(bytes) && bytes.len() > 64);
        }
    }
    done(&office.restore("restored", &[]));
}

#[tokio::test]
async fn a_server_that_was_rolled_back_or_is_another_one_does_not_touch_the_backup() {
    let office = Office::new();
    let (server, _) = office.with_records(5).await;
    assert!(server.stop().success());
    copy(&office.path("data"), &office.path("older"));
    let server = office.serve("data");
    let mut client = server.client("maker").await;
    for n in 0..3 {
        client.post(&allocate(1, &format!("B{n}"))).await;
    }
    let told = office.backed_up(&server);
    assert_eq!(number(&told, "records"), 8);
    let whole = segments(&office.path("backup/ledgers/pilot/log"));
    assert!(server.stop().success());

    // An older copy is served: shorter, as long, and longer.
    let server = office.serve("older");
    let mut client = server.client("maker").await;
    let said = refused(&office.backup(&server, &[]), 1);
    assert!(said.contains("has 8 records and the log has 5"), "{said}");
    for n in 0..3 {
        client.post(&allocate(2, &format!("C{n}"))).await;
    }
    let said = refused(&office.backup(&server, &[]), 1);
    assert!(said.contains("another history"), "{said}");
    client.post(&allocate(2, "C3")).await;
    let said = refused(&office.backup(&server, &[]), 1);
    assert!(said.contains("another history"), "{said}");
    drop(server);

    // Another ledger of the same name.
    let another = Office::new();
    let server = another.serve("data");
    let mut client = server.client("maker").await;
    client.post(&open_ledger()).await;
    let said = refused(&office.backup(&server, &[]), 1);
    assert!(said.contains("has 8 records and the log has 1"), "{said}");
    for n in 1..12 {
        let command = if n == 1 { open_fund() } else { allocate(1, &format!("D{n}")) };
        client.post(&command).await;
    }
    let said = refused(&office.backup(&server, &[]), 1);
    assert!(said.contains("another history"), "{said}");
    drop(server);

    assert_eq!(segments(&office.path("backup/ledgers/pilot/log")), whole);
    done(&office.verify());
    let server = office.serve("data");
    let told = office.backed_up(&server);
    assert_eq!(number(&told, "new_records"), 0, "{told}");
}

#[tokio::test]
async fn a_backup_older_than_what_is_known_is_refused_and_goes_on_only_as_a_new_ledger() {
    let office = Office::new();
    let (server, mut client) = office.with_records(6).await;
    assert_eq!(number(&office.backed_up(&server), "records"), 6);
    for n in 0..2 {
        client.post(&allocate(1, &format!("L{n}"))).await;
    }
    let kept = office.path("kept.checkpoint");
    let address = server.address.clone();
    let asked = run([
        "log",
        "checkpoint",
        "--ledger",
        "pilot",
        "--address",
        &address,
        "--min-size",
        "8",
        "--out",
        kept.to_str().unwrap(),
    ]);
    assert_eq!(asked.status.code(), Some(0), "{}", stderr(&asked));
    assert!(server.stop().success());

    for known in [["--anchor", &office.anchor()], ["--since", kept.to_str().unwrap()]] {
        let said = refused(&office.restore("restored", &known), 1);
        for words in ["has 6 records", "knows of 8", "positions 6 to 7", "ledger continue"] {
            assert!(said.contains(words), "{words}: {said}");
        }
        assert!(!office.path("restored/ledgers").exists());
        assert!(!office.path("restored/restoring").exists());
    }
    // Nothing is missing if nobody knows: it cannot be restored to go on elsewhere.
    let said = refused(&office.restore("restored", &["--to-continue"]), 1);
    assert!(said.contains("nothing shows"), "{said}");

    let anchor = office.anchor();
    let told = done(&office.restore("restored", &["--anchor", &anchor, "--to-continue"]));
    assert_eq!(told["status"], "restored_to_continue");
    // Without the anchor, too, no server writes to it.
    let server = office.serve("restored");
    let mut client = server.client("maker").await;
    let read_only = client.send(Uuid::new_v4(), &allocate(1, "X")).await.unwrap_err();
    assert!(read_only.message().contains("ROLLED_BACK"), "{read_only}");
    let said = refused(&office.backup(&server, &[]), 1);
    assert!(said.contains("ROLLED_BACK"), "{said}");
    assert!(server.stop().success());
    let [data, keys] = [office.path("restored"), office.path("keys")];
    let went_on = run([
        "--json",
        "ledger",
        "continue",
        "--data",
        data.to_str().unwrap(),
        "--ledger",
        "pilot",
        "--as",
        "pilot-2",
        "--principal",
        "operator-1",
        "--keys",
        keys.to_str().unwrap(),
    ]);
    let told = done(&went_on);
    assert_eq!((number(&told, "position"), number(&told, "lost")), (6, 2), "{told}");

    // Both are backed up: the old one with its mark, which is restored with it.
    let server = office.serve("restored");
    let second = office.path("second");
    let words = ["--json", "backup", second.to_str().unwrap(), "--address", &server.address];
    done(&run(words));
    assert!(server.stop().success());
    let again = office.path("again");
    done(&run(["--json", "restore", second.to_str().unwrap(), "--data", again.to_str().unwrap()]));
    assert!(again.join("ledgers/pilot/continued").is_file());
    let server = office.serve("again");
    let mut client = server.client("maker").await;
    let continued = client.send(Uuid::new_v4(), &allocate(1, "X")).await.unwrap_err();
    assert!(continued.message().contains("ledgers/pilot-2"), "{continued}");
}

#[tokio::test]
async fn files_beside_a_running_server_are_backed_up_too_and_only_what_was_named() {
    let office = Office::new();
    let (server, mut client) = office.with_records(4).await;
    let [folder, data] = [office.path("backup"), office.path("data")];
    let asked = run([
        "log",
        "checkpoint",
        "--ledger",
        "pilot",
        "--address",
        &server.address,
        "--min-size",
        "4",
    ]);
    assert_eq!(asked.status.code(), Some(0), "{}", stderr(&asked));
    let words = ["--json", "backup", folder.to_str().unwrap(), "--data", data.to_str().unwrap()];
    assert_eq!(number(&done(&run(words)), "records"), 4);
    client.post(&allocate(1, "more")).await;
    // The same folder, from the server now.
    let told = office.backed_up(&server);
    assert_eq!((number(&told, "records"), number(&told, "new_records")), (5, 1), "{told}");
    let said = refused(&office.backup(&server, &["other"]), 1);
    assert!(said.contains("there is no ledger other"), "{said}");
    assert_eq!(number(&done(&office.backup(&server, &["pilot"])), "new_records"), 0);
    // Not into itself, and not over something else.
    let inside = data.join("backup");
    let said =
        refused(&run(["backup", inside.to_str().unwrap(), "--data", data.to_str().unwrap()]), 1);
    assert!(said.contains("is inside"), "{said}");
    let keys = office.path("keys");
    let said = refused(&run(["backup", keys.to_str().unwrap(), "--address", &server.address]), 1);
    assert!(said.contains("holds other things"), "{said}");
    // A backup is not served.
    drop(server);
    let served =
        run_briefly(["serve", "--data", folder.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    let said = refused(&served, 2);
    assert!(said.contains("bergulir restore"), "{said}");
    // Nor is anything restored over a ledger, or among other things.
    let said = refused(&office.restore("data", &[]), 1);
    assert!(said.contains("is in"), "{said}");
    let said = refused(&office.restore("anchor", &[]), 1);
    assert!(said.contains("is no data directory"), "{said}");
}

#[tokio::test]
async fn a_backup_that_was_damaged_cut_swapped_or_mixed_is_named_and_not_restored() {
    let office = Office::new();
    let (server, _client) = office.with_records(30).await;
    office.backed_up(&server);
    drop(server);
    let backup = office.path("backup");
    let ledger = backup.join("ledgers/pilot");
    let segment = ledger.join("log/00000000000000000000.seg");
    let sound = fs::read(&segment).unwrap();
    let check = |code: i32, words: &str| {
        let said = refused(&office.verify(), code);
        assert!(said.contains(words), "{words}: {said}");
        let output = office.restore("restored", &[]);
        assert_ne!(output.status.code(), Some(0), "{words}");
        assert!(!office.path("restored/ledgers/pilot").exists());
    };
    let mut bytes = sound.clone();
    bytes[sound.len() / 2] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    check(1, "do not match their CRC");
    fs::write(&segment, &sound[..sound.len() - 10]).unwrap();
    check(1, "and had");
    fs::remove_file(&segment).unwrap();
    check(1, "the file is missing");
    fs::write(&segment, &sound).unwrap();
    let manifest = ledger.join("backup");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("records 30", "records 29")).unwrap();
    check(1, "it is damaged");
    fs::remove_file(&manifest).unwrap();
    check(2, "cut short");
    fs::write(&manifest, &text).unwrap();

    // The log of another office under this manifest, and its folder under this name.
    let other = Office::new();
    let (server, _client) = other.with_records(30).await;
    other.backed_up(&server);
    drop(server);
    let log = other.path("backup/ledgers/pilot/log/00000000000000000000.seg");
    let mut mixed = fs::read(log).unwrap();
    mixed.resize(sound.len(), 0);
    fs::write(&segment, &mixed).unwrap();
    let output = office.verify();
    assert_ne!(output.status.code(), Some(0));
    assert_ne!(office.restore("restored", &[]).status.code(), Some(0));
    // One that is longer is not taken for the rest of a run, nor is a folder.
    mixed.extend(b"more");
    fs::write(&segment, &mixed).unwrap();
    check(1, "00000000000000000000.seg");
    fs::remove_file(&segment).unwrap();
    fs::create_dir(&segment).unwrap();
    check(1, "00000000000000000000.seg");
    fs::remove_dir(&segment).unwrap();
    fs::write(&segment, [&sound[..], b"more"].concat()).unwrap();
    let said = refused(&office.verify(), 2);
    assert!(said.contains("cut short") && said.contains("30 records are whole"), "{said}");
    fs::write(&segment, &sound).unwrap();
    fs::rename(&ledger, backup.join("ledgers/serang")).unwrap();
    check(1, "folders were swapped");
    fs::rename(backup.join("ledgers/serang"), &ledger).unwrap();

    // A key that did not sign.
    let told = done(&office.verify());
    assert_eq!(number(&told, "records"), 30);
    let key = crate::bundle::foreign_key();
    assert_ne!(office.restore("restored", &["--key", &key]).status.code(), Some(0));
    done(&office.restore("restored", &[]));
}

/// A small file system in memory, if this process may mount one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, size: &str) -> Option<SmallDisk> {
        fs::create_dir(at).unwrap();
        let size = format!("size={size}");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs", at.to_str().unwrap()])
            .output();
        mounted.is_ok_and(|output| output.status.success()).then(|| SmallDisk(at.to_owned()))
    }

    fn resize(&self, size: &str) {
        let option = format!("remount,size={size}");
        let at = self.0.to_str().unwrap();
        let done = std::process::Command::new("mount").args(["-o", &option, at]).status().unwrap();
        assert!(done.success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_ends_a_backup_with_two_and_a_larger_one_goes_on() {
    let office = Office::new();
    let Some(disk) = SmallDisk::mount(&office.path("backup"), "40k") else {
        eprintln!(
            "SKIPPED: a full disk is not tested, since no tmpfs can be mounted here (needs root)"
        );
        return;
    };
    let (server, mut client) = office.with_records(20).await;
    let told = office.backed_up(&server);
    let whole = number(&told, "records");
    let mut batch = JoinSet::new();
    for n in 0..400 {
        let mut client = client.clone();
        batch.spawn(async move { client.post(&allocate(1, &format!("F{n}"))).await });
    }
    batch.join_all().await;
    let said = refused(&office.backup(&server, &[]), 2);
    assert!(said.contains("No space left"), "{said}");
    // What was whole can be restored.
    assert_eq!(number(&done(&office.restore("restored", &[])), "records"), whole);
    disk.resize("2m");
    client.post(&allocate(1, "last")).await;
    let told = office.backed_up(&server);
    assert_eq!(number(&told, "records"), whole + 401, "{told}");
    done(&office.verify());
}
