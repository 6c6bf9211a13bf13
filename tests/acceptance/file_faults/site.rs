//! A node with files of every kind, at rest, and a copy of an earlier moment.

use super::answers::Ledger;
use crate::pilot::{allocate, open_fund, open_ledger};
use crate::second_verifier::copy;
use crate::support::{Client, Server, bergulir, files_below, last_json, run};
use bergulir_domain::Command;
use bergulir_domain::ledger::Origin;
use bergulir_proto::pb;
use bergulir_proto::pb::get_balance_request::AsOf;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The ledger with files of every kind, one beside it, and one that goes on as another.
pub const LEDGERS: [&str; 4] = ["pilot", "other", "past", "present"];

/// The node.
pub struct Site {
    folder: tempfile::TempDir,
    /// Its ledgers, with what is sent to them again.
    pub ledgers: Vec<Ledger>,
}

/// A copy of it, to be damaged.
pub struct Copy(pub PathBuf);

impl Copy {
    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// Serves it; what it logs goes to the file `told`.
    pub fn serve(&self, told: &Path) -> Result<Server, String> {
        self.serve_with(told, &[])
    }

    fn serve_with(&self, told: &Path, more: &[&str]) -> Result<Server, String> {
        let [data, anchor] = [self.data(), self.0.join("anchor")];
        let [data, anchor] = [&data, &anchor].map(|path| path.to_str().unwrap());
        // With files of the log that are soon full.
        let words = ["serve", "--data", data, "--anchor", anchor, "--listen", "127.0.0.1:0"];
        let mut command = bergulir(words.into_iter().chain(["--ledger-segment-bytes", "4096"]));
        command.env_remove("BERGULIR_DAMAGE_ROUNDS").env_remove("BERGULIR_SEED");
        command.env("RUST_LOG", "warn,bergulir_server::calls=off");
        command.args(more).stderr(Stdio::from(fs::File::create(told).unwrap()));
        Server::try_command(command)
    }
}

fn open(ledger: &str) -> Command {
    let Command::OpenLedger(open) = open_ledger() else { unreachable!() };
    let origin = Origin::new(&format!("ledger.example.go.id/{ledger}")).unwrap();
    Command::OpenLedger(bergulir_domain::command::OpenLedger {
        ledger: ledger.parse().unwrap(),
        origin,
        ..open
    })
}

impl Site {
    pub async fn new() -> Site {
        let folder = tempfile::tempdir().unwrap();
        let site = Copy(folder.path().join("now"));
        fs::create_dir_all(site.0.join("anchor")).unwrap();
        let told = folder.path().join("told");
        let mut ledgers: Vec<Ledger> = LEDGERS.map(Ledger::new).into();

        let server = site.serve(&told).unwrap();
        let mut client = server.client("maker").await;
        for ledger in ledgers.iter_mut().filter(|ledger| ledger.id != "present") {
            let of = ledger.name();
            client.send_to(&of, Uuid::new_v4(), &open(ledger.id)).await.unwrap();
            client.send_to(&of, ledger.fund, &open_fund()).await.unwrap();
            ledger.grow(&mut client, 12).await;
            // Of an instant, so that there is a horizon.
            ledger.query(&mut client).await;
        }
        let shown =
            run(["--json", "key", "show", site.data().join("keys/pilot.key").to_str().unwrap()]);
        let key = last_json(&shown)["verifier_key"].as_str().unwrap().to_owned();
        ledgers[0].key = Some(key.parse().unwrap());
        let witness = Witness::of(&key, folder.path());
        seal(&mut client, "pilot").await;
        assert!(server.stop().success());
        let witnessed = site.data().join("ledgers/pilot/checkpoint.witnessed");
        witness.stands_for(&site, &told, &witnessed, &mut ledgers[0]).await;
        copy(&site.0, &folder.path().join("older"));
        copy(&folder.path().join("seen"), &folder.path().join("seen-older"));

        let server = site.serve(&told).unwrap();
        let mut client = server.client("maker").await;
        for ledger in ledgers.iter_mut().filter(|ledger| ledger.id != "present") {
            ledger.grow(&mut client, 30).await;
        }
        seal(&mut client, "pilot").await;
        assert!(server.stop().success());
        fs::remove_file(&witnessed).unwrap();
        witness.stands_for(&site, &told, &witnessed, &mut ledgers[0]).await;
        site.tear("other");

        let data = site.data();
        let words = ["ledger", "continue", "--ledger", "past", "--as", "present", "--data"];
        let words = words.into_iter().chain([data.to_str().unwrap(), "--principal", "operator-1"]);
        let continued = run(words.chain(["--without-evidence"]));
        assert!(continued.status.success(), "{}", String::from_utf8_lossy(&continued.stderr));
        // Once more, so that there is a checkpoint of what goes on.
        let server = site.serve(&told).unwrap();
        let mut client = server.client("maker").await;
        ledgers[3].grow(&mut client, 3).await;
        for ledger in &mut ledgers {
            ledger.ids.truncate(3);
            ledger.measure(&mut client).await;
        }
        ledgers[3].query(&mut client).await;
        assert!(server.stop().success());
        // Whether an instant is final may, or may not, be told of what takes no writes any more.
        ledgers[2].instant = None;
        Site { folder, ledgers }
    }

    /// The path of a copy of the earlier moment.
    pub fn older(&self) -> PathBuf {
        self.folder.path().join("older")
    }

    /// The path as it is now.
    pub fn now(&self) -> PathBuf {
        self.folder.path().join("now")
    }

    /// Puts the key and the memory of the witness into a folder, and a policy that asks for it; as they
    /// were then.
    pub fn hand_out_witness(&self, out: &Path, node: &Path) {
        let from = |name: &str| self.folder.path().join(name);
        let seen = if node == self.older() { "seen-older" } else { "seen" };
        copy(&from(seen), &out.join("seen"));
        fs::copy(from("w.key"), out.join("w.key")).unwrap();
        fs::copy(from("policy"), out.join("pilot.policy")).unwrap();
    }

    /// A copy at that place.
    pub fn copied_to(&self, place: &Path) -> Copy {
        copy(&self.now(), place);
        Copy(place.to_owned())
    }
}

impl Copy {
    /// As a crash leaves it in the midst of a frame that was never acknowledged.
    fn tear(&self, ledger: &str) {
        let log = self.data().join("ledgers").join(ledger).join("log");
        let segments = files_below(&log);
        let last = log.join(&segments.last().unwrap()[1..]);
        let mut bytes = fs::read(&last).unwrap();
        let header = bytes.windows(4).position(|four| four == b"BGFR").unwrap();
        bytes.extend_from_within(header..header + 20);
        fs::write(last, bytes).unwrap();
    }
}

/// Who cosigns the checkpoints of `pilot`.
struct Witness {
    policy: String,
    server: Server,
}

impl Witness {
    /// Of the log with that key.
    fn of(log: &str, folder: &Path) -> Witness {
        let [key, seen, policy] = ["w.key", "seen", "policy"].map(|name| folder.join(name));
        let [key, seen] = [&key, &seen].map(|path| path.to_str().unwrap());
        let name = "auditor.example/w1";
        let made = run(["key", "new", "--witness", "--name", name, "--json", "--out", key]);
        let made = last_json(&made)["verifier_key"].as_str().unwrap().to_owned();
        let server = Server::run(["audit", "witness", "--key", key, "--state", seen, "--log", log]);
        let text = format!("witness w {made} http://{}/\nquorum w\n", server.address);
        fs::write(&policy, text).unwrap();
        Witness { policy: policy.to_str().unwrap().to_owned(), server }
    }

    /// Serves a node until this witness stands for a checkpoint, which is then in a file.
    async fn stands_for(&self, site: &Copy, told: &Path, file: &Path, ledger: &mut Ledger) {
        let server = site.serve_with(told, &["--policy", &self.policy]).unwrap();
        ledger.grow(&mut server.client("maker").await, 1).await;
        let began = Instant::now();
        while !file.exists() {
            assert!(began.elapsed() < Duration::from_secs(60), "{:?}", self.server.address);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(server.stop().success());
    }
}

async fn seal(client: &mut Client, ledger: &str) {
    let ledger = format!("ledgers/{ledger}");
    client.ledger.create_seal(pb::CreateSealRequest { ledger }).await.unwrap();
}

impl Ledger {
    /// Records so many more, each in a frame of its own.
    async fn grow(&mut self, client: &mut Client, records: usize) {
        let of = self.name();
        for _ in 0..records {
            let (id, reference) = (Uuid::new_v4(), format!("{}-{}", self.id, self.ids.len()));
            let receipt = client.send_to(&of, id, &allocate(3, &reference)).await.unwrap();
            self.ids.push((id, reference));
            self.instant = receipt.recorded_at.map(AsOf::AsOfRecorded);
            self.size = receipt.position + 1;
        }
    }

    /// Counts its records.
    async fn measure(&mut self, client: &mut Client) {
        let request = pb::GetHeadRequest { ledger: self.name() };
        let head = client.log.get_head(request).await.unwrap().into_inner();
        self.size = head.log_size;
    }
}
