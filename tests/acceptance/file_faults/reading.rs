//! A disk that does not give what a running server reads: it says so, never gives another answer, takes
//! nothing that it cannot find for something that is not there, and goes on when the disk does.

use super::answers::{Answers, Ledger, lasting, refusals, untrue};
use super::site::Site;
use super::{PATIENCE, no_panic, truth};
use crate::disk::dice::Dice;
use crate::disk::{Disk, Fault, Mounted, Operation, Rule, Then};
use crate::pilot::{allocate, open_fund};
use crate::support::{Client, Server, last_json, number, run};
use bergulir_domain::Command;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tonic::Code;
use uuid::Uuid;

/// How many the ledger has at first.
const SEALS: u64 = 2;

/// A server whose disk is asked for everything that it reads.
struct Office {
    // Ended before its disk is taken away.
    server: Server,
    mounted: Mounted,
    folder: tempfile::TempDir,
    site: Site,
    truth: Vec<Answers>,
}

impl Office {
    async fn open() -> Option<Office> {
        let mounted = Mounted::new(Disk::read_each_time())?;
        let site = Site::new().await;
        let truth = truth(&site).await;
        let folder = tempfile::tempdir().unwrap();
        let copy = site.copied_to(&mounted.path().join("site"));
        let server = copy.serve(&folder.path().join("told")).unwrap();
        Some(Office { server, mounted, folder, site, truth })
    }

    /// The ledger whose files are not given.
    fn pilot(&self) -> &Ledger {
        &self.site.ledgers[0]
    }

    fn break_disk(&self, path: &'static str) {
        let then = Then::Fail(Fault::Broken);
        self.mounted.disk().rules = vec![Rule { operation: Operation::Read, path, then }];
    }

    fn mend_disk(&self) {
        self.mounted.disk().rules.clear();
    }

    /// Asks everything of `pilot` whose answer stays when more is recorded, and says what was refused of
    /// it; all else is the truth.
    async fn refused(&self, client: &mut Client) -> Vec<String> {
        let mut answers = self.pilot().query(client).await;
        answers.extend(self.pilot().look_back(client).await);
        let (truth, answers) = (lasting(&self.truth[0]), lasting(&answers));
        assert_eq!(untrue(&truth, &answers), None);
        refusals(&truth, &answers)
    }

    /// Waits until everything is answered again.
    async fn is_healed(&self, client: &mut Client) {
        let began = Instant::now();
        loop {
            let left = self.refused(client).await;
            if left.is_empty() {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{left:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Sends one under that id until it is recorded, which it was before if that was said.
    async fn recorded(&self, client: &mut Client, id: Uuid, was_recorded: bool) {
        let began = Instant::now();
        loop {
            match client.send_to(&self.pilot().name(), id, &one(id)).await {
                Ok(receipt) => {
                    return assert!(
                        receipt.duplicate || !was_recorded,
                        "recorded twice: {receipt:?}"
                    );
                }
                Err(status) => {
                    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                    assert!(began.elapsed() < PATIENCE, "{status:?}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Stops; each acknowledged record is there once, and no other.
    fn close(self, accepted: u64) {
        assert!(self.server.stop().success());
        let told = fs::read_to_string(self.folder.path().join("told")).unwrap();
        no_panic(&told).unwrap();
        let ledger = self.mounted.path().join("site/data/ledgers/pilot");
        let verified = run(["audit", "verify", "--json", ledger.to_str().unwrap()]);
        let report = last_json(&verified);
        assert_eq!(verified.status.code(), Some(0), "{report}");
        // An index that was made anew has the server seal what it holds.
        let number = |name: &str| report[name].as_u64().unwrap();
        let records = self.site.ledgers[0].size + accepted;
        assert_eq!(number("records") - number("seals"), records - SEALS, "{report}");
    }
}

fn one(id: Uuid) -> Command {
    allocate(3, &format!("N-{id}"))
}

/// Sends one more under that id; whether it was recorded. It may be refused, and never as a conflict.
async fn one_more(ledger: &Ledger, client: &mut Client, id: Uuid) -> bool {
    match client.send_to(&ledger.name(), id, &one(id)).await {
        Ok(receipt) => {
            assert!(receipt.position >= ledger.size, "{receipt:?}");
            true
        }
        Err(status) => {
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
            false
        }
    }
}

/// What must be refused while files with this in their path are not given, and what its reason has.
async fn not_given(path: &'static str, refused: &[(&str, &str)]) {
    let Some(office) = Office::open().await else { return };
    let mut client = office.server.client("maker").await;
    office.break_disk(path);
    let mut lost = Vec::new();
    let ids: Vec<Uuid> = (0..3).map(|_| Uuid::new_v4()).collect();
    for id in &ids {
        lost.extend(office.refused(&mut client).await);
        one_more(office.pilot(), &mut client, *id).await;
        for (ledger, true_ones) in office.site.ledgers.iter().zip(&office.truth).skip(1) {
            let answers = ledger.query(&mut client).await;
            let others = refusals(&true_ones[..answers.len()], &answers);
            assert!(others.is_empty(), "another ledger: {others:?}");
        }
    }
    for (question, why) in refused {
        let found = lost.iter().any(|it| it.starts_with(question) && it.contains(why));
        assert!(found, "{path}: {question}, {why}: {lost:#?}");
    }
    office.mend_disk();
    office.is_healed(&mut client).await;
    // Sent again, each is recorded once.
    for id in &ids {
        office.recorded(&mut client, *id, false).await;
        office.recorded(&mut client, *id, true).await;
    }
    office.close(ids.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_not_given() {
    let position = "position 0 could not be read (00000000000000000000.seg";
    let questions =
        [("a record:", position), ("the records", position), ("a retry", "nothing was recorded")];
    not_given("/pilot/log/", &questions).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_index_is_not_given() {
    not_given("/pilot/index/", &[("an early balance", "index"), ("a trail", "index")]).await;
}

/// What was recorded is sent again, before anything else finds out that the index is not given.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_id_that_cannot_be_looked_up_is_not_taken_for_a_new_one() {
    let Some(office) = Office::open().await else { return };
    let mut client = office.server.client("maker").await;
    office.break_disk("/pilot/index/");
    // It names nothing else that is looked up.
    let again = client.send_to(&office.pilot().name(), office.pilot().fund, &open_fund()).await;
    let refused = again.expect_err("the index was not asked for the request id");
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert!(refused.message().contains("nothing was recorded"), "{refused:?}");
    office.mend_disk();
    office.is_healed(&mut client).await;
    office.close(0);
}

/// Money that the bank booked once is sent under another id, before anything else finds that out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_reference_that_cannot_be_looked_up_is_not_taken_for_an_unused_one() {
    let Some(office) = Office::open().await else { return };
    let mut client = office.server.client("maker").await;
    office.break_disk("/pilot/index/");
    let (name, (_, used)) = (office.pilot().name(), &office.pilot().ids[0]);
    let twice = client.send_to(&name, Uuid::new_v4(), &allocate(3, used)).await;
    let refused = twice.expect_err("the index was not asked for the bank reference");
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert!(refused.message().contains("nothing was recorded"), "{refused:?}");
    office.mend_disk();
    office.is_healed(&mut client).await;
    let twice = client.send_to(&name, Uuid::new_v4(), &allocate(3, used)).await;
    assert_eq!(twice.unwrap_err().code(), Code::AlreadyExists);
    office.close(0);
}

/// Errors that come and go while callers write, send again and ask.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_errors_come_and_go_under_load() {
    let Some(office) = Office::open().await else { return };
    let seconds = number("BERGULIR_READ_ERROR_SECONDS", 4);
    let mut dice = Dice::new(number("BERGULIR_SEED", 1));
    let ended = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for _ in 0..3 {
        let (mut client, ended) = (office.server.client("maker").await, Arc::clone(&ended));
        let (name, size) = (office.pilot().name(), office.pilot().size);
        writers.push(tokio::spawn(async move {
            let (ledger, mut ids) = (Ledger { size, ..Ledger::new("pilot") }, Vec::new());
            assert_eq!(ledger.name(), name);
            while !ended.load(Ordering::Relaxed) {
                let id = Uuid::new_v4();
                let was_recorded = one_more(&ledger, &mut client, id).await;
                ids.push((id, was_recorded));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            ids
        }));
    }
    let mut client = office.server.client("maker").await;
    let (began, mut refused) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(seconds) {
        office.break_disk(
            ["/pilot/log/", "/pilot/index/", "/pilot/"][super::damage::index(&mut dice, 3)],
        );
        for _ in 0..=dice.below(3) {
            refused += office.refused(&mut client).await.len();
        }
        office.mend_disk();
        tokio::time::sleep(Duration::from_millis(dice.below(400))).await;
    }
    assert!(refused > 0, "no read came to the disk while it was broken");
    ended.store(true, Ordering::Relaxed);
    let mut ids = Vec::new();
    for writer in writers {
        ids.extend(writer.await.unwrap());
    }
    for (id, was_recorded) in &ids {
        office.recorded(&mut client, *id, *was_recorded).await;
    }
    office.close(ids.len() as u64);
}
