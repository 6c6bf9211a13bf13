//! After a loss a ledger goes on as a new one, and the old one takes no writes any more.

use crate::support::*;
use crate::witness_server::{WitnessServer, policy};
use bergulir_chain::note::Note;
use bergulir_chain::{LogSize, Position};
use bergulir_domain::command::{Command, OpenLedger};
use bergulir_domain::ledger::Origin;
use bergulir_domain::state::FundIndex;
use bergulir_domain::{LedgerId, PrincipalId, Rejection};
use bergulir_engine::clock::Clock;
use bergulir_engine::continuation::{
    CONTINUING_FOLDER, Continuation, ContinuationError, Continued, Fit, continue_ledger,
};
use bergulir_engine::{
    Accepted, Answer, CONTINUED, CONTINUED_FILE, NodeOptions, Owner, ReadLimit, Refusal, Request,
    Slot, Status, Terms, Work,
};
use bergulir_store::LogEnd;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

const NEW_ORIGIN: &str = "ledger.example.go.id/pilot-2";

/// Nine o'clock, and half an hour.
struct HalfPastNine;

impl Clock for HalfPastNine {
    fn now(&self) -> bergulir_domain::Timestamp {
        bergulir_domain::Timestamp::from_micros(NINE + 1_800_000_000)
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// An older copy of a data directory, and an anchor that has seen three records more.
struct Loss {
    folder: tempfile::TempDir,
    kept: u64,
}

impl Loss {
    async fn new() -> Loss {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("anchor")).unwrap();
        let anchored = || NodeOptions {
            anchors: vec![folder.path().join("anchor")],
            ..NodeOptions::from(never())
        };
        let desk = Desk::pilot(&path("whole"), anchored()).await;
        desk.lend("l1", 1_000_000).await;
        desk.post("maker", allocate(5, "SMALL")).await.unwrap();
        let kept = desk.size();
        desk.stop().await;
        copy(&path("whole"), &path("data"));
        let desk = Desk::at(&path("whole"), anchored());
        for n in 0..3 {
            let lost = desk.send("maker", id(900 + n), allocate(1, &format!("L{n}")), Terms::PLAIN);
            lost.await.unwrap();
        }
        desk.stop().await;
        Loss { folder, kept }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn old(&self) -> PathBuf {
        self.data().join("ledgers/pilot")
    }

    fn anchors(&self) -> Vec<PathBuf> {
        vec![self.folder.path().join("anchor")]
    }

    fn go_on(&self, asked: &Continuation) -> Result<Continued, ContinuationError> {
        continue_ledger(&self.data(), asked, &HalfPastNine, &|_, _, _| {})
    }

    /// Serves what there is now.
    fn desk(&self) -> Desk {
        let options = NodeOptions { anchors: self.anchors(), ..NodeOptions::from(never()) };
        let desk = Desk::at_time(&self.data(), options, NINE + 3_600_000_000);
        desk.skip_ids(5_000);
        desk
    }
}

fn asked(anchors: Vec<PathBuf>) -> Continuation {
    Continuation {
        ledger: LedgerId::new("pilot").unwrap(),
        successor: LedgerId::new("pilot-2").unwrap(),
        origin: None,
        keys: None,
        anchors,
        checkpoints: Vec::new(),
        principal: PrincipalId::new("operator-1").unwrap(),
        without_evidence: false,
    }
}

async fn send(desk: &Desk, who: &str, id: [u8; 16], command: Command) -> Result<Accepted, Refusal> {
    let work = Work::Single(Request { request_id: id, command });
    match desk.named("pilot-2").submit(caller(who), work, Terms::PLAIN).await {
        Answer::Items(mut items) => items.pop().unwrap(),
        Answer::Refused { refusal, .. } => Err(refusal),
    }
}

/// Every file below a folder with its content.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for found in std::fs::read_dir(folder).unwrap() {
        let path = found.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.insert(path.clone(), std::fs::read(path).unwrap());
        }
    }
    files
}

fn why(desk: &Desk) -> String {
    match desk.ledger().status().borrow().clone() {
        Status::ReadOnly { why } => why,
        Status::Serving | Status::ClockSuspect { .. } => panic!("it takes writes"),
    }
}

#[tokio::test]
async fn an_older_copy_goes_on_as_a_new_ledger() {
    let loss = Loss::new().await;
    let before = files(&loss.old());
    let continued = loss.go_on(&asked(loss.anchors())).unwrap();
    let made = continued.made.as_ref().unwrap();
    assert_eq!((continued.records.get(), continued.origin.as_str()), (loss.kept, NEW_ORIGIN));
    assert_eq!(made.end, LogEnd::Whole);
    let named = &made.known[made.named.unwrap()];
    assert_eq!((named.fit.clone(), named.size), (Fit::Behind, Some(LogSize::new(loss.kept + 3))));
    assert!(named.name.contains("anchor"), "{}", named.name);
    assert!(made.known.iter().any(|known| known.fit == Fit::Leads), "{:?}", made.known);
    // But for the mark the old one is as it was.
    let mut after = files(&loss.old());
    assert!(after.remove(&loss.old().join(CONTINUED_FILE)).is_some());
    assert_eq!(after, before);
    assert!(!loss.data().join(CONTINUING_FOLDER).exists());

    let desk = loss.desk();
    assert!(why(&desk).starts_with(CONTINUED) && why(&desk).contains("ledgers/pilot-2"));
    let refused = desk.post("maker", allocate(1, "X")).await.unwrap_err();
    assert!(matches!(refused, Refusal::ReadOnly { .. }), "{refused}");
    assert!(
        desk.ledger().checkpoint(Some(LogSize::new(loss.kept))).await.is_ok(),
        "what was signed"
    );
    desk.ledger().records(Position::new(0), ReadLimit::ONE).unwrap();

    let new = desk.named("pilot-2");
    assert_eq!(*new.status().borrow(), Status::Serving);
    assert_eq!(new.origin().unwrap().as_str(), NEW_ORIGIN);
    assert_eq!(new.head().size.get(), loss.kept + 1);
    // A surviving request is answered as it was, a lost one is decided afresh.
    let again = send(&desk, "maker", id(4), allocate(5_800_000_000, "ALLOC")).await.unwrap();
    let receipt = again.receipt.unwrap();
    assert!(receipt.duplicate);
    assert_eq!(receipt.position.get(), 2);
    let lost = send(&desk, "maker", id(900), allocate(1, "L0")).await.unwrap().receipt.unwrap();
    assert_eq!((lost.duplicate, lost.position.get()), (false, loss.kept + 1));
    // References of both sides of the seam are used up.
    for reference in ["ALLOC", "L0"] {
        let refused = send(&desk, "maker", desk.fresh(), allocate(1, reference)).await.unwrap_err();
        let used = matches!(refused, Refusal::Rule(Rejection::BankReferenceUsed { .. }));
        assert!(used, "{refused}");
    }
    // What was begun before goes on, and can be undone.
    let paid = send(&desk, "maker", desk.fresh(), disburse("l1", 1_000_000, "D1")).await.unwrap();
    let at = paid.receipt.unwrap().position.get();
    let asked = send(&desk, "maker", desk.fresh(), propose_reversal(at)).await.unwrap();
    let at = asked.receipt.unwrap().position.get();
    send(&desk, "checker", desk.fresh(), approve_reversal(at)).await.unwrap();
    let asked = send(&desk, "maker", desk.fresh(), propose_reversal(loss.kept - 1)).await;
    assert!(asked.is_ok(), "a record from before the seam: {:?}", asked.err());

    let signed = new.checkpoint(Some(new.head().size)).await.unwrap();
    assert_eq!(signed.checkpoint.origin.as_str(), NEW_ORIGIN);
    signed.note.verify([&made.verifier_key]).unwrap();
    assert_eq!(signed.note.signatures().len(), 1, "the old key is there, and signs no more");
    let proof = new.consistency_proof(LogSize::new(3), new.head().size).unwrap();
    assert_eq!(proof.to_root, signed.checkpoint.root);
    // As of before the seam, of the seam, and after.
    let fund = Owner::Fund(FundIndex::new(0));
    for (at, expected) in [(2, 2), (loss.kept, loss.kept - 1), (loss.kept + 1, loss.kept + 1)] {
        let (found, _) = new.balances_at(fund, Position::new(at)).await.unwrap().unwrap();
        assert_eq!(found.get(), expected, "as of {at}");
    }
    drop(new);
    desk.stop().await;
    let anchored = "ledger.example.go.id%2Fpilot-2.checkpoint";
    assert!(loss.anchors()[0].join(anchored).exists());
    let desk = loss.desk();
    assert_eq!(*desk.named("pilot-2").status().borrow(), Status::Serving);
}

#[tokio::test]
async fn what_shows_no_loss_is_not_continued_unasked() {
    let loss = Loss::new().await;
    let before = files(&loss.data());
    let refused = loss.go_on(&asked(Vec::new())).unwrap_err();
    assert!(matches!(refused, ContinuationError::NoEvidence { .. }), "{refused}");
    assert!(refused.is_refusal());
    assert_eq!(files(&loss.data()), before, "nothing was changed");
    let forced = Continuation { without_evidence: true, ..asked(Vec::new()) };
    let continued = loss.go_on(&forced).unwrap();
    let made = continued.made.unwrap();
    assert_eq!(made.known[made.named.unwrap()].fit, Fit::Leads);
    assert_eq!(*loss.desk().named("pilot-2").status().borrow(), Status::Serving);
}

#[tokio::test]
async fn a_copy_that_went_on_by_itself_says_that_there_are_two_histories() {
    let loss = Loss::new().await;
    let desk = Desk::at(&loss.data(), never());
    desk.skip_ids(2_000);
    for n in 0..5 {
        desk.post("maker", allocate(2, &format!("B{n}"))).await.unwrap();
    }
    let size = desk.size();
    desk.stop().await;
    let continued = loss.go_on(&asked(loss.anchors())).unwrap();
    assert_eq!(continued.records.get(), size);
    let made = continued.made.unwrap();
    assert_eq!(made.known[made.named.unwrap()].fit, Fit::Forks);
    let desk = loss.desk();
    let told = events(&desk.named("pilot-2")).pop().unwrap().0;
    let bergulir_domain::Event::LedgerContinued(told) = told else { panic!("{told:?}") };
    assert!(told.last_known.unwrap().forked);
}

#[tokio::test]
async fn a_log_that_is_damaged_in_the_middle_goes_on_from_before_the_damage() {
    let loss = Loss::new().await;
    let segment = loss.old().join("log/00000000000000000000.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.iter().rposition(|byte| *byte != 0).unwrap() * 2 / 3;
    bytes[middle] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    let broken = |desk: &Desk| match desk.node.ledger(LedgerId::new("pilot").unwrap()) {
        Some(Slot::Broken(error)) => error.to_string(),
        _ => panic!("it is opened"),
    };
    let desk = loss.desk();
    broken(&desk);
    desk.stop().await;
    let continued = loss.go_on(&asked(Vec::new())).unwrap();
    let kept = continued.records.get();
    assert!((1..loss.kept).contains(&kept), "{kept} of {}", loss.kept);
    let made = continued.made.unwrap();
    assert!(matches!(made.end, LogEnd::Damaged { .. }));
    assert_eq!(made.known[made.named.unwrap()].fit, Fit::Behind);
    assert_eq!(std::fs::read(&segment).unwrap(), bytes);
    let desk = loss.desk();
    assert!(broken(&desk).starts_with(CONTINUED), "{}", broken(&desk));
    assert_eq!(desk.named("pilot-2").head().size.get(), kept + 1);
    assert_eq!(*desk.named("pilot-2").status().borrow(), Status::Serving);
}

#[tokio::test]
async fn what_was_cut_short_is_finished_or_begun_anew() {
    let loss = Loss::new().await;
    let asked = asked(loss.anchors());
    let (data, new) = (loss.data(), loss.data().join("ledgers/pilot-2"));
    let staged = data.join(CONTINUING_FOLDER).join("pilot-2");
    // Before the mark: what was begun is taken away.
    std::fs::create_dir_all(staged.join("log")).unwrap();
    std::fs::write(staged.join("log/00000000000000000000.seg"), "half").unwrap();
    let desk = Desk::at(&data, never());
    assert_eq!(*desk.ledger().status().borrow(), Status::Serving);
    desk.stop().await;
    let twin = loss.folder.path().join("twin");
    copy(&data, &twin);
    let continued = loss.go_on(&asked).unwrap();
    // Between the mark and the new name: nobody writes.
    std::fs::create_dir(data.join(CONTINUING_FOLDER)).unwrap();
    std::fs::rename(&new, &staged).unwrap();
    let desk = loss.desk();
    assert!(why(&desk).starts_with(CONTINUED));
    assert!(desk.node.ledger(LedgerId::new("pilot-2").unwrap()).is_none());
    desk.stop().await;
    for _ in 0..2 {
        let finished = loss.go_on(&asked).unwrap();
        assert!(finished.made.is_none());
        assert_eq!(finished.record_hash, continued.record_hash);
        assert!(new.exists() && !staged.exists());
    }
    // Something else in that place is not taken for it.
    std::fs::rename(&new, loss.folder.path().join("aside")).unwrap();
    let gone = loss.go_on(&asked).unwrap_err();
    assert!(matches!(gone, ContinuationError::SuccessorGone { .. }), "{gone}");
    // Nor is another one that goes on from the same records.
    continue_ledger(&twin, &asked, &HalfPastNine, &|_, _, _| {}).unwrap();
    for other in [loss.old(), twin.join("ledgers/pilot-2")] {
        copy(&other, &staged);
        let gone = loss.go_on(&asked).unwrap_err();
        assert!(matches!(gone, ContinuationError::SuccessorGone { .. }), "{gone}");
        std::fs::remove_dir_all(&staged).unwrap();
    }
}

#[tokio::test]
async fn a_ledger_is_continued_once() {
    let loss = Loss::new().await;
    loss.go_on(&asked(loss.anchors())).unwrap();
    let other = Continuation { successor: "pilot-3".parse().unwrap(), ..asked(loss.anchors()) };
    let refused = loss.go_on(&other).unwrap_err();
    assert!(matches!(refused, ContinuationError::ContinuedBefore { .. }), "{refused}");
    let origin = Origin::new("ledger.example.go.id/elsewhere").unwrap();
    let renamed = Continuation { origin: Some(origin), ..asked(loss.anchors()) };
    let refused = loss.go_on(&renamed).unwrap_err();
    assert!(matches!(refused, ContinuationError::ContinuedBefore { .. }), "{refused}");

    // Without its mark it is known by the one that goes on from it.
    std::fs::remove_file(loss.old().join(CONTINUED_FILE)).unwrap();
    let refused = loss.go_on(&other).unwrap_err();
    assert!(matches!(refused, ContinuationError::SameRecords { .. }), "{refused}");
    let desk = Desk::at_time(&loss.data(), never(), NINE + 3_600_000_000);
    assert!(why(&desk).starts_with(CONTINUED) && why(&desk).contains("pilot-2"), "{}", why(&desk));
    assert_eq!(*desk.named("pilot-2").status().borrow(), Status::Serving);
    desk.stop().await;

    // Nor does another ledger get its origin, wherever it has gone.
    std::fs::rename(loss.old(), loss.folder.path().join("aside")).unwrap();
    let desk = Desk::at(&loss.data(), never());
    let Command::OpenLedger(open) = open_ledger("pilot") else { unreachable!() };
    let request = Request { request_id: id(7_000), command: Command::OpenLedger(open) };
    let id = LedgerId::new("pilot").unwrap();
    let answer = desk.node.create(id, caller("operator"), request, Terms::PLAIN).await;
    let taken = matches!(answer, Answer::Refused { refusal: Refusal::OriginTaken { .. }, .. });
    assert!(taken, "{answer:?}");
    desk.stop().await;

    // The one that goes on can itself be continued.
    let next = Continuation {
        ledger: "pilot-2".parse().unwrap(),
        successor: "pilot-3".parse().unwrap(),
        without_evidence: true,
        ..asked(loss.anchors())
    };
    loss.go_on(&next).unwrap();
    let desk = Desk::at_time(&loss.data(), never(), NINE + 3_600_000_000);
    assert_eq!(*desk.named("pilot-3").status().borrow(), Status::Serving);
    assert_ne!(*desk.named("pilot-2").status().borrow(), Status::Serving);
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_leaves_nothing() {
    let loss = Loss::new().await;
    let before = files(&loss.data());
    let asked = || asked(loss.anchors());
    let with = |origin: &str| Continuation { origin: Origin::new(origin).ok(), ..asked() };
    let note = std::fs::read(loss.old().join("checkpoint")).unwrap();
    let note = String::from_utf8(note).unwrap().replace("/pilot\n", "/other\n");
    let foreign = vec![("letter".to_owned(), Note::parse(note.as_bytes()).unwrap())];
    for (asked, is_it) in [
        (Continuation { ledger: "other".parse().unwrap(), ..asked() }, "there is no ledger other"),
        (Continuation { successor: "pilot".parse().unwrap(), ..asked() }, "a ledger pilot already"),
        (with("ledger.example.go.id/pilot"), "signed another history"),
        (Continuation { principal: PrincipalId::new("system").unwrap(), ..asked() }, "'system'"),
        (Continuation { checkpoints: foreign, ..asked() }, "letter is not a checkpoint"),
    ] {
        let refused = loss.go_on(&asked).unwrap_err();
        assert!(refused.is_refusal(), "{refused}");
        assert!(refused.to_string().contains(is_it), "{is_it}: {refused}");
        assert_eq!(files(&loss.data()), before, "{is_it}");
    }
    let desk = loss.desk();
    let refused = loss.go_on(&asked()).unwrap_err();
    assert!(matches!(refused, ContinuationError::Lock(_)), "{refused}");
    drop(desk);
}

#[tokio::test]
async fn witnesses_meet_the_new_log_at_its_beginning() {
    let loss = Loss::new().await;
    let continued = loss.go_on(&asked(loss.anchors())).unwrap();
    let witness = WitnessServer::start(1);
    let key = continued.made.unwrap().verifier_key;
    witness.change(|it| it.trusted = vec![key.clone()]);
    let policy = policy(&[&witness], 1);
    let options = NodeOptions { policy: Some(policy), ..NodeOptions::from(never()) };
    let desk = Desk::at_time(&loss.data(), options, NINE + 3_600_000_000);
    let new = desk.named("pilot-2");
    assert_eq!(*new.status().borrow(), Status::Serving);
    let size = new.head().size;
    for _ in 0..4_000 {
        if new.witnessed_checkpoint().is_some_and(|signed| signed.checkpoint.size >= size) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("no witness cosigns");
}

/// A ledger that never had a key has signed nothing, and goes on all the same.
#[tokio::test]
async fn a_ledger_without_a_key_goes_on_with_one() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::at(folder.path(), never());
    let Command::OpenLedger(open) = open_ledger("pilot") else { unreachable!() };
    desk.create_as(Command::OpenLedger(OpenLedger { verifier_key: None, ..open })).await;
    desk.stop().await;
    let forced = Continuation { without_evidence: true, ..asked(Vec::new()) };
    let continued = continue_ledger(folder.path(), &forced, &HalfPastNine, &|_, _, _| {}).unwrap();
    let made = continued.made.unwrap();
    assert_eq!((made.known.len(), made.named), (0, None));
    let desk = Desk::at_time(folder.path(), never(), NINE + 3_600_000_000);
    let keys = named_keys(&desk.named("pilot-2")).await;
    assert_eq!(keys, [made.verifier_key]);
}
