//! A ledger on a disk that fails for a while.

use super::disk::{Faults, Flaky};
use crate::clock::{Clock, SystemClock};
use crate::fault_tests::{caller, open_ledger};
use crate::health::Status;
use crate::ledger::{Ledger, LedgerOptions};
use crate::ledgers::Basis;
use crate::node::{Node, Slot};
use crate::reads::ReadRefusal;
use crate::reopening::Pauses;
use crate::submission::{Answer, Request, Terms};
use bergulir_chain::{Position, Record};
use bergulir_domain::{Command, LedgerId};
use bergulir_store::ReadLimit;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Long enough for a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node with a ledger on a disk that fails as it is told to.
pub(super) struct Place {
    pub(super) node: Arc<Node>,
    pub(super) faults: Arc<Faults>,
    folder: PathBuf,
}

pub(super) fn id() -> LedgerId {
    "pilot".parse().unwrap()
}

impl Place {
    pub(super) async fn new(folder: &Path) -> Place {
        Place::with_clock(folder, Arc::new(SystemClock::new())).await
    }

    pub(super) async fn with_clock(folder: &Path, clock: Arc<dyn Clock>) -> Place {
        let place = Place::open(folder, clock, Arc::default());
        let command = Command::OpenLedger(open_ledger("pilot"));
        let request = Request { request_id: [9; 16], command };
        let answer = place.node.create(id(), caller(), request, Terms::PLAIN).await;
        assert!(matches!(answer, Answer::Items(_)), "{answer:?}");
        place
    }

    pub(super) fn open(folder: &Path, clock: Arc<dyn Clock>, faults: Arc<Faults>) -> Place {
        let pauses = Pauses {
            first: Duration::from_millis(20),
            longest: Duration::from_millis(100),
            steady_after: Duration::from_secs(60),
            clock: Duration::from_millis(10),
        };
        let medium = Arc::new(Flaky(Arc::clone(&faults)));
        let basis = Basis { medium, clock, pauses };
        let node = Node::open_on(basis, folder, LedgerOptions::default().into(), &|_, _, _| {});
        Place { node: Arc::new(node.unwrap()), faults, folder: folder.to_owned() }
    }

    pub(super) fn ledger(&self) -> Arc<Ledger> {
        match self.node.ledger(id()) {
            Some(Slot::Open(ledger)) => ledger,
            Some(Slot::Broken(error)) => panic!("{error}"),
            None => panic!("there is no ledger"),
        }
    }

    pub(super) fn ledger_folder(&self) -> PathBuf {
        self.folder.join("ledgers/pilot")
    }

    /// Waits until another opening is in the place of this one.
    pub(super) async fn reopened(&self, before: &Arc<Ledger>) -> Arc<Ledger> {
        until(|| !Arc::ptr_eq(&self.ledger(), before)).await;
        self.ledger()
    }

    pub(super) async fn attempts(&self, count: u64) {
        let begun = self.faults.probes.load(Ordering::SeqCst);
        until(|| self.faults.probes.load(Ordering::SeqCst) >= begun + count).await;
    }

    pub(super) async fn stop(self) {
        tokio::task::spawn_blocking(move || self.node.stop()).await.unwrap();
    }
}

pub(super) async fn until(what: impl Fn() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < PATIENCE, "it did not come to that");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(super) fn why(ledger: &Ledger) -> String {
    match &*ledger.status().borrow() {
        Status::ReadOnly { why } => why.clone(),
        status => panic!("{status:?}"),
    }
}

pub(super) fn receipt(answer: Answer) -> crate::Receipt {
    match answer {
        Answer::Items(mut items) => items.pop().unwrap().unwrap().receipt.unwrap(),
        Answer::Refused { refusal, .. } => panic!("{refusal}"),
    }
}

pub(super) async fn cooperatives(ledger: &Ledger) -> Result<usize, ReadRefusal> {
    ledger.read(None, |state, _| state.cooperatives().len()).await
}

/// The request ids of all records from position 1 on.
pub(super) fn request_ids(ledger: &Ledger) -> Vec<[u8; 16]> {
    let (mut ids, mut at) = (Vec::new(), Position::new(1));
    while ledger.head().size.holds(at) {
        let records = ledger.records(at, ReadLimit::STEP).unwrap();
        ids.extend(records.iter().map(|(_, bytes)| Record::parse(bytes).unwrap().request_id));
        at = records.next();
    }
    ids
}
