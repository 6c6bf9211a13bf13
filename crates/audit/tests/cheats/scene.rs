//! A ledger's folder, with a checkpoint beside its log.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bergulir_audit::{
    Depth, ExportError, Exported, Finding, LedgerReport, Options, Part, Trust, Verdict, verify,
};
use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::{Levels, Prefixes, Tree};
use bergulir_chain::note::{CosignerKey, KeyName, Note, PosixSeconds, SignerKey};
use bergulir_chain::policy::Policy;
use bergulir_chain::proof::LogProof;
use bergulir_chain::{LogSize, Position, record};
use bergulir_domain::command::{Command, RotateKey};

use crate::commands::{key, origin, text};
use crate::files::{Log, SMALL};
use crate::ledger::{Draft, chained};
use crate::second::assert_agrees;

/// A folder as a server keeps one for each ledger.
pub(crate) struct Scene {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl Scene {
    /// With these records, and no checkpoint.
    pub(crate) fn of(drafts: &[Draft]) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        fs::create_dir(&path).unwrap();
        let scene = Scene { folder, path };
        scene.write(&Log::of(drafts, SMALL));
        scene
    }

    /// With these records and a checkpoint over them.
    pub(crate) fn signed(drafts: &[Draft]) -> Scene {
        let scene = Scene::of(drafts);
        scene.sign(&checkpoint(drafts));
        scene
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A path in the ledger's folder.
    pub(crate) fn within(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A path beside the ledger's folder.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What lies beside the ledger's folder.
    pub(crate) fn count_beside(&self) -> usize {
        fs::read_dir(self.folder.path()).unwrap().count() - 1
    }

    /// Puts another log in place.
    pub(crate) fn write(&self, log: &Log) {
        let folder = self.within("log");
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        log.write(&folder);
    }

    /// Puts records in place, chained and summed.
    pub(crate) fn replace(&self, drafts: &[Draft]) {
        self.write(&Log::of(drafts, SMALL));
    }

    /// Puts a checkpoint in place.
    pub(crate) fn sign(&self, note: &Note) {
        fs::write(self.within("checkpoint"), note.to_string()).unwrap();
    }

    pub(crate) fn report(&self, trust: Trust) -> LedgerReport {
        report(self.path(), trust)
    }

    /// The first bad position, the code of the reason and what it says.
    #[track_caller]
    pub(crate) fn found(&self, trust: Trust) -> (u64, &'static str, String) {
        found(&self.report(trust))
    }

    /// The same for a verifier who brings nothing along.
    #[track_caller]
    pub(crate) fn found_by_anyone(&self) -> (u64, &'static str) {
        let (position, code, _) = self.found(Trust::default());
        (position, code)
    }

    /// Nothing is wrong before the forgery.
    #[track_caller]
    pub(crate) fn assert_valid(&self, trust: Trust) {
        let report = self.report(trust);
        assert_eq!(report.finding, Finding::Valid);
    }
}

/// The report on what is at a path, with which the second verifier agrees.
#[track_caller]
pub(crate) fn report(path: &Path, trust: Trust) -> LedgerReport {
    assert_agrees(path, &trust);
    report_to(path, Depth::Rules, trust)
}

/// The report on its chain alone.
#[track_caller]
pub(crate) fn chain_report(path: &Path, trust: Trust) -> LedgerReport {
    report_to(path, Depth::ChainOnly, trust)
}

#[track_caller]
fn report_to(path: &Path, depth: Depth, trust: Trust) -> LedgerReport {
    let options = Options { patience: Duration::ZERO, depth, trust, ..Options::default() };
    let mut found = verify(path, &options, &mut |_| {}).unwrap();
    assert_eq!(found.ledgers.len(), 1);
    found.ledgers.remove(0)
}

/// The first bad position, the code of the reason and what it says.
#[track_caller]
pub(crate) fn found(report: &LedgerReport) -> (u64, &'static str, String) {
    assert_eq!(report.finding.verdict(), Verdict::Invalid, "{:?}", report.finding);
    let Finding::Invalid { position, reason, .. } = &report.finding else {
        panic!("not found to be invalid: {:?}", report.finding);
    };
    (position.get(), reason.code(), reason.to_string())
}

/// Exports from the one log at a path; nobody stops it.
pub(crate) fn export(
    path: &Path,
    part: Part,
    since: Option<&Note>,
    out: &Path,
) -> Result<Exported, ExportError> {
    let stop = AtomicBool::new(false);
    bergulir_audit::export(path, None, part, since, out, &mut |_| {}, &stop)
}

/// What a checkpoint of these records says.
pub(crate) fn statement(drafts: &[Draft]) -> Checkpoint {
    statement_of(&chained(drafts))
}

/// What a checkpoint of records of these bytes says.
pub(crate) fn statement_of(records: &[Vec<u8>]) -> Checkpoint {
    let mut tree = Tree::new(Prefixes::RFC_6962);
    for bytes in records {
        tree.push_hash(record::hash(bytes));
    }
    Checkpoint {
        origin: KeyName::new(&origin("tangerang")).unwrap(),
        size: LogSize::new(tree.size()),
        root: tree.root(),
    }
}

/// A checkpoint of these records, signed by the log.
pub(crate) fn checkpoint(drafts: &[Draft]) -> Note {
    statement(drafts).sign(&key("tangerang")).unwrap()
}

/// The proof that a record is among these, under a checkpoint of them.
pub(crate) fn proof(records: &[Vec<u8>], position: u64, note: &Note) -> LogProof {
    let mut levels = Levels::new(Prefixes::RFC_6962);
    for bytes in records {
        levels.push_hash(record::hash(bytes));
    }
    LogProof {
        extra: Some(records[usize::try_from(position).unwrap()].clone()),
        position: Position::new(position),
        path: levels.inclusion(position).unwrap(),
        checkpoint: note.clone(),
    }
}

/// A key of that name that nobody named.
pub(crate) fn other_key() -> SignerKey {
    SignerKey::from_seed(KeyName::new(&origin("tangerang")).unwrap(), &[9; 32]).unwrap()
}

/// Gives the log another key.
pub(crate) fn rotate(key: &SignerKey) -> Command {
    Command::RotateKey(RotateKey { verifier_key: text(&key.verifier().to_string()) })
}

/// A witness of a number.
pub(crate) fn witness(number: u8) -> CosignerKey {
    let name = KeyName::new(&format!("witness-{number}.example.id")).unwrap();
    CosignerKey::from_seed(name, &[number; 32]).unwrap()
}

/// The checkpoint with the cosignature of a witness.
pub(crate) fn cosigned(mut note: Note, number: u8) -> Note {
    let checkpoint = Checkpoint::parse_unverified(note.text()).unwrap();
    let time = PosixSeconds::new(1_772_000_000).unwrap();
    note.add(witness(number).cosign(&checkpoint, time)).unwrap();
    note
}

/// Two of three witnesses.
pub(crate) fn two_of_three() -> Trust {
    let policy = Policy::parse(two_of_three_text().as_bytes()).unwrap();
    Trust { policy: Some(policy), ..Trust::default() }
}

/// The policy that asks for them.
pub(crate) fn two_of_three_text() -> String {
    let mut text = String::new();
    for number in 1..=3 {
        writeln!(text, "witness w{number} {}", witness(number).verifier()).unwrap();
    }
    text.push_str("group g 2 w1 w2 w3\nquorum g\n");
    text
}
