//! One process a data directory: whatever else is run on one while a server has it is refused, or reads
//! only; by whatever path it comes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use uuid::Uuid;

use crate::bundle::foreign_key;
use crate::pilot::{allocate, open_fund, open_ledger};
use crate::support::{Client, Server, bergulir, ended, files_below, last_json, run};

/// What becomes of a command while a server has the data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    /// It is refused, since the directory is in use.
    InUse,
    /// It is refused for another reason, which is this.
    Refused(&'static str),
    /// It does what it says, and changes nothing.
    Reads,
    /// The server does it.
    Tells,
}

/// Every command that takes a data directory, with words that it needs. `DATA` stands for that directory,
/// `OUT` for a path where nothing is, `BACKUP` for a backup.
const COMMANDS: [(&str, &[&str], Beside); 13] = [
    ("serve", &["--data", "DATA", "--listen", "127.0.0.1:0"], Beside::InUse),
    ("restore", &["BACKUP", "--data", "DATA"], Beside::InUse),
    ("index rebuild", &["--data", "DATA"], Beside::InUse),
    ("index digest", &["--data", "DATA"], Beside::InUse),
    (
        "ledger continue",
        &["--data", "DATA", "--ledger", "pilot", "--as", "next", "--principal", "officer"],
        Beside::InUse,
    ),
    ("demo", &["--data", "DATA"], Beside::Refused("holds ledgers already")),
    ("backup", &["OUT", "--data", "DATA"], Beside::Reads),
    ("audit verify", &["DATA"], Beside::Reads),
    ("audit verify", &["DATA", "--chain-only"], Beside::Reads),
    ("audit export", &["--data", "DATA", "--out", "OUT"], Beside::Reads),
    ("config check", &["--data", "DATA"], Beside::Reads),
    ("config show", &["--data", "DATA"], Beside::Reads),
    ("clock accept", &["--data", "DATA", "--principal", "officer"], Beside::Tells),
];

/// A server that takes writes, and a backup of it.
struct Office {
    folder: tempfile::TempDir,
    server: Server,
    client: Client,
    records: usize,
}

impl Office {
    async fn new() -> Office {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&folder.path().join("data"));
        let mut client = server.client("maker").await;
        client.post(&open_ledger()).await;
        client.post(&open_fund()).await;
        let mut office = Office { folder, server, client, records: 2 };
        office.write(10).await;
        let backup = office.text("backup");
        assert!(run(["backup", &backup, "--address", &office.server.address]).status.success());
        office
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    async fn write(&mut self, records: usize) {
        for _ in 0..records {
            self.client.post(&allocate(1, &format!("R-{}", Uuid::new_v4()))).await;
        }
        self.records += records;
    }

    /// Runs a command with that data directory, from the folder that this is in.
    fn run(&self, (name, words): (&str, &[&str]), data: &str) -> Output {
        let (out, backup) = (self.text(&format!("out-{}", Uuid::new_v4())), self.text("backup"));
        let word = |word: &&str| match *word {
            "DATA" => data.to_owned(),
            "OUT" => out.clone(),
            "BACKUP" => backup.clone(),
            word => word.to_owned(),
        };
        let mut command = bergulir(name.split(' '));
        command.args(words.iter().map(word)).current_dir(self.folder.path());
        ended(command, Duration::from_secs(120))
    }

    /// The files that hold what was recorded and who may sign; not what says until when.
    fn kept(&self) -> Vec<(String, Vec<u8>)> {
        let data = self.path("data");
        let files = files_below(&data).into_iter().filter(|file| !file.contains("/index/"));
        files.map(|file| (file.clone(), fs::read(data.join(&file[1..])).unwrap())).collect()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Other ways to one directory: another path from here, a link to it, a link to the folder that it is in,
/// and the same folder mounted elsewhere.
fn ways(office: &Office) -> Vec<String> {
    symlink("data", office.path("link")).unwrap();
    symlink(".", office.path("above")).unwrap();
    let mut ways: Vec<String> =
        ["data", "./data/.", "data/../data", "link", "above/data"].map(str::to_owned).into();
    let mounted = office.path("mounted");
    fs::create_dir(&mounted).unwrap();
    let mut mount = Command::new("mount");
    let mount = mount.arg("--bind").arg(office.path("data")).arg(&mounted).status();
    if mount.is_ok_and(|status| status.success()) {
        ways.push(mounted.to_str().unwrap().to_owned());
    } else {
        eprintln!("SKIPPED: nothing can be mounted here, so no second path to a folder is made so");
    }
    ways
}

/// Takes the mount of [`ways`] away again.
struct Unmounted(PathBuf);

impl Drop for Unmounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).stderr(std::process::Stdio::null()).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_run_beside_a_server_is_refused_or_reads_only() {
    let mut office = Office::new().await;
    let _unmounted = Unmounted(office.path("mounted"));
    let ways = ways(&office);
    for (name, words, beside) in COMMANDS {
        // The newest checkpoint is in its file a second after the last record at the latest.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        let before = office.kept();
        for way in &ways {
            let output = office.run((name, words), way);
            let told = said(&output);
            match beside {
                Beside::InUse => {
                    assert!(!output.status.success(), "{name} on {way}: {told}");
                    assert!(told.contains("in use by another process"), "{name} on {way}: {told}");
                    assert!(told.contains("stop it, or"), "{name} on {way}: {told}");
                }
                Beside::Refused(why) => {
                    assert!(!output.status.success(), "{name} on {way}: {told}");
                    assert!(told.contains(why), "{name} on {way}: {told}");
                }
                Beside::Reads | Beside::Tells => {
                    assert!(output.status.success(), "{name} on {way}: {told}");
                }
            }
        }
        assert!(before == office.kept(), "{name} changed what is kept");
        office.write(3).await;
    }
    let records = office.client.records().await;
    assert_eq!(records.len(), office.records);
    assert!(office.server.stop().success());
    let verified =
        run(["audit", "verify", "--json", office.folder.path().join("data").to_str().unwrap()]);
    let report = last_json(&verified);
    assert_eq!(report["records"], office.records, "{report}");
}

/// What only reads is right about what it reads also while more is written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_reads_beside_a_server_that_writes_finds_nothing_wrong() {
    let mut office = Office::new().await;
    let mut writer = office.client.clone();
    let writing = tokio::spawn(async move {
        for n in 0..u32::MAX {
            if writer.send(Uuid::new_v4(), &allocate(1, &format!("W-{n}"))).await.is_err() {
                break;
            }
        }
    });
    let reading = COMMANDS.into_iter().filter(|(.., beside)| *beside == Beside::Reads);
    for (name, words, _) in reading.cycle().take(12) {
        let output = office.run((name, words), "data");
        assert!(output.status.success(), "{name}: {}", said(&output));
    }
    office.write(3).await;
    writing.abort();
    assert!(office.server.stop().success());
}

/// The names of all commands below one that take a data directory.
fn with_data(words: &[String], found: &mut Vec<String>) {
    let mut command = bergulir(words.iter().map(String::as_str));
    command.arg("--help");
    let help = said(&ended(command, Duration::from_secs(60)));
    let takes = ["--data <DIR>", "A data directory,"];
    let (_, commands) = help.split_once("\nCommands:\n").unwrap_or_default();
    let commands = commands.split("\n\n").next().unwrap_or_default();
    let mut is_leaf = true;
    for line in commands.lines() {
        // A name begins at the third column; what goes on is further in.
        let name = line.strip_prefix("  ").filter(|line| !line.starts_with(' '));
        if let Some(name) = name.and_then(|line| line.split_whitespace().next())
            && name != "help"
        {
            is_leaf = false;
            with_data(&[words, &[name.to_owned()]].concat(), found);
        }
    }
    if is_leaf && takes.iter().any(|takes| help.contains(takes)) {
        found.push(words.join(" "));
    }
}

#[test]
fn every_command_that_takes_a_data_directory_is_tried_beside_a_server() {
    let mut found = Vec::new();
    with_data(&[], &mut found);
    let mut tried: Vec<&str> = COMMANDS.into_iter().map(|(name, ..)| name).collect();
    tried.dedup();
    tried.sort_unstable();
    found.sort();
    assert_eq!(found, tried);
}

/// A backup and a witness's memory belong to one process, too.
#[test]
fn a_second_process_gets_no_folder_that_another_one_writes_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let [key, seen] = ["w.key", "seen"].map(path);
    let made = run(["key", "new", "--witness", "--name", "auditor.example/w1", "--out", &key]);
    assert!(made.status.success(), "{made:?}");
    let log = foreign_key();
    let _first = Server::run(["audit", "witness", "--key", &key, "--state", &seen, "--log", &log]);
    symlink("seen", folder.path().join("link")).unwrap();
    for way in ["seen", "link"] {
        let way = path(way);
        let words = ["audit", "witness", "--key", &key, "--state", &way, "--log", &log];
        let mut command = bergulir(words);
        command.args(["--listen", "127.0.0.1:0"]);
        let second = ended(command, Duration::from_secs(60));
        assert!(said(&second).contains("in use by another process"), "{}", said(&second));
    }
}
