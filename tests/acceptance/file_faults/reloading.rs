//! Files that a running server follows: what is damaged changes nothing, and is named; what is another
//! right text holds. Nobody gets in by it.

use super::damage::{self, Damage, Others};
use crate::disk::dice::Dice;
use crate::disk::{Disk, Fault, Mounted, Operation, Rule, Then};
use crate::guarded::{papers, put};
use crate::support::{Server, bergulir, ended, number, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

/// The files, and what they are called together in the log of the server.
const FILES: [&str; 5] = ["server.pem", "server.key", "ca.pem", "login.jwks.json", "bergulir.toml"];

const GRANT: &str = "[[grant]]\nledger = \"*\"\nprincipal = \"spiffe://go.id/operator\"\n\
    roles = [\"operator\"]\n";

const JWKS: &str = "{\"keys\": [{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"kid\": \"one\", \
    \"x\": \"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}\n";

/// A server with files of each kind, which people call with certificates.
struct Office {
    server: Server,
    /// What it logs.
    log: PathBuf,
    place: PathBuf,
    strangers: tempfile::TempDir,
    mounted: Option<Mounted>,
    folder: tempfile::TempDir,
}

impl Office {
    fn open() -> Office {
        let (folder, strangers) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mounted = Mounted::new(Disk::read_each_time());
        let place = mounted.as_ref().map_or(folder.path(), Mounted::path).join("files");
        let log = folder.path().join("log");
        fs::create_dir(&place).unwrap();
        papers(&place);
        papers(strangers.path());
        put(&place, "login.jwks.json", JWKS);
        let text = format!(
            "data = \"{}\"\nlisten = \"0.0.0.0:0\"\n[tls]\ncertificate = \"server.pem\"\n\
             key = \"server.key\"\nclient_authorities = \"ca.pem\"\n\
             client_certificates = \"optional\"\n[auth]\njwks = \"login.jwks.json\"\n\
             issuer = \"https://login.example.go.id\"\naudience = \"ledger\"\n{GRANT}",
            folder.path().join("data").display()
        );
        let config = put(&place, "bergulir.toml", &text);
        let mut command = bergulir(["serve", "--config", &config]);
        command.stderr(fs::File::create(&log).unwrap());
        let server = Server::command(command);
        Office { server, log, place, strangers, mounted, folder }
    }

    /// What somebody gets to see with the papers in a folder.
    fn served(&self, papers: &Path, who: &str) -> Output {
        self.call(papers, who, &["ledger", "list"])
    }

    fn call(&self, papers: &Path, who: &str, words: &[&str]) -> Output {
        let port = self.server.address.rsplit(':').next().unwrap();
        let address = format!("https://localhost:{port}");
        let file = |name: &str| papers.join(name).to_str().unwrap().to_owned();
        // Whose server it is is not the question here.
        let (own, mine) = (file("ca.pem"), self.folder.path().join("ca.pem"));
        let ca = if mine.exists() { mine.to_str().unwrap().to_owned() } else { own };
        let (certificate, key) = (file(&format!("{who}.pem")), file(&format!("{who}.key")));
        let mut command = bergulir(words.iter().copied());
        command.args(["--address", &address, "--tls-ca", &ca, "--json"]);
        command.args(["--tls-cert", &certificate, "--tls-key", &key]);
        ended(command, Duration::from_secs(60))
    }

    /// How often it has said that files changed: that they hold, and that they are wrong.
    fn said(&self) -> (usize, usize) {
        let text = fs::read_to_string(&self.log).unwrap();
        let count = |what: &str| text.lines().filter(|line| line.contains(what)).count();
        (count("the files changed, and are in force"), count("the files changed and are wrong"))
    }

    /// Has it look, and says whether what it finds is wrong.
    fn look(&self, before: (usize, usize)) -> bool {
        let began = Instant::now();
        loop {
            self.server.signal(rustix::process::Signal::HUP);
            std::thread::sleep(Duration::from_millis(100));
            let now = self.said();
            if now != before {
                return now.1 > before.1;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "it does not look");
        }
    }

    /// The last line that says that files are wrong.
    fn complaint(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap();
        let last = text.lines().rfind(|line| line.contains("the files changed and are wrong"));
        last.unwrap().to_owned()
    }

    /// Damages one of the files; `None` if it stays what it was.
    fn strike(&self, file: &str, damage: Damage, dice: &mut Dice) -> Option<String> {
        let path = self.place.join(file);
        if damage == Damage::Unreadable {
            let path: &'static str = format!("/files/{file}").leak();
            let then = Then::Fail(Fault::Broken);
            self.mounted.as_ref()?.disk().rules =
                vec![Rule { operation: Operation::Read, path, then }];
            return Some("unreadable".to_owned());
        }
        // That of other people, and one of before, which is as right.
        let another = self.strangers.path().join(file);
        let another = another.exists().then_some(another);
        damage.strike(&path, &Others { another, older: self.folder.path().join("none") }, dice)
    }
}

#[test]
fn a_file_that_is_damaged_under_a_running_server_changes_nothing_and_is_named() {
    let office = Office::open();
    // What a client checks the server with stays as it is.
    fs::copy(office.place.join("ca.pem"), office.folder.path().join("ca.pem")).unwrap();
    let people = tempfile::tempdir().unwrap();
    for file in ["operator.pem", "operator.key", "auditor.pem", "auditor.key"] {
        fs::copy(office.place.join(file), people.path().join(file)).unwrap();
    }
    let open = ["ledger", "open", "--ledger", "pilot", "--origin", "ledger.example.go.id/pilot"];
    let opened = office.call(people.path(), "operator", &open);
    assert!(opened.status.success(), "{opened:?}");
    let sees = |papers: &Path, who: &str| {
        let served = office.served(papers, who);
        let found = String::from_utf8_lossy(&served.stdout).into_owned();
        (served.status.success() && found.contains("ledgers/pilot"), served)
    };
    let (rounds, first) = (number("BERGULIR_DAMAGE_ROUNDS", 1), number("BERGULIR_SEED", 1));
    let (mut wrong, mut cases) = (0, 0);
    for seed in first..first + rounds {
        for (number, file) in (0..).zip(FILES) {
            let mut dice = Dice::new(seed << 8 | number);
            let (path, before) = (office.place.join(file), office.said());
            let whole = fs::read(&path).unwrap();
            let struck = damage::from(seed + 2 * number)
                .find_map(|damage| Some((damage, office.strike(file, damage, &mut dice)?)));
            let case = format!("BERGULIR_SEED={seed}, {file}, {struck:?}");
            let (damage, _) = struck.unwrap();
            let is_wrong = office.look(before);
            cases += 1;
            let (is_served, served) = sees(people.path(), "operator");
            if is_wrong {
                wrong += 1;
                assert!(is_served, "{case}: {served:?}");
                let complaint = office.complaint();
                assert!(complaint.contains(file), "{case}: {complaint}");
            }
            // Whoever has no right gets none, whatever the file may mean by now.
            let (is_served, stranger) = sees(office.strangers.path(), "operator");
            let is_theirs = damage == Damage::Another && file == "ca.pem";
            assert_eq!(is_served, is_theirs, "{case}: {stranger:?}");
            let (is_served, denied) = sees(people.path(), "auditor");
            assert!(!is_served, "{case}: {denied:?}");

            let before = office.said();
            if let Some(mounted) = &office.mounted {
                mounted.disk().rules.clear();
            }
            damage::restore(&path, &whole);
            assert!(!office.look(before), "{case}: {}", office.complaint());
            let (is_served, served) = sees(people.path(), "operator");
            assert!(is_served, "{case}, put back: {served:?}");
        }
    }
    eprintln!("{cases} cases of files that are followed, {wrong} of them wrong");
    assert!(office.server.stop().success());
    let told = fs::read_to_string(&office.log).unwrap();
    super::no_panic(&told).unwrap();
}

/// A server does not start with a file that is wrong, and says which.
#[test]
fn a_server_does_not_start_with_a_file_that_is_no_such_file() {
    let office = Office::open();
    for file in FILES {
        let path = office.place.join(file);
        let whole = fs::read(&path).unwrap();
        for damage in [Damage::Emptied, Damage::Removed, Damage::Folder, Damage::Unreadable] {
            let Some(what) = office.strike(file, damage, &mut Dice::new(1)) else { continue };
            let config = office.place.join("bergulir.toml");
            let output = run(["serve", "--config", config.to_str().unwrap()]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{file}, {what}: {said}");
            // Of an empty configuration what is missing is named.
            let is_empty = damage == Damage::Emptied && file == "bergulir.toml";
            assert!(said.contains(file) || is_empty, "{file}, {what}: {said}");
            if let Some(mounted) = &office.mounted {
                mounted.disk().rules.clear();
            }
            damage::restore(&path, &whole);
        }
    }
}
