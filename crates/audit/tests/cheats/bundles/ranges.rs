//! The records since a seal, with the state that they go on from.

use std::fs;
use std::path::{Path, PathBuf};

use bergulir_audit::{Checked, ExportError, Finding, Kind, NotChecked, Part, Trust, Verdict};
use bergulir_chain::{Hash, LogSize, Position};

use super::{bundle, trusting, valid};
use crate::commands::{
    allocate, approve_withdrawal, bring_back, disburse, propose_reversal, propose_withdrawal,
    repay, rp,
};
use crate::ledger::{Draft, chained};
use crate::programme::{lent, programme, small};
use crate::scene::{Scene, chain_report, checkpoint, export, found, report};
use crate::second::assert_second_finds;

#[test]
fn the_records_since_a_seal() {
    let drafts = small().drafts;
    let scene = Scene::signed(&drafts);
    let path = bundle(&scene, "since", Part::Range { through: Some(Position::new(18)) }, None);
    let report = valid(&path, trusting(None));
    let from = Position::new(19);
    assert_eq!(report.bundle, Some(Kind::Range { from }));
    assert_eq!((report.first, report.records), (from, LogSize::new(drafts.len() as u64)));
    let all = valid(scene.path(), trusting(None));
    assert_eq!((report.totals, report.funds), (all.totals, all.funds));
    assert_eq!((report.head_hash, report.root_hash), (all.head_hash, all.root_hash));
    assert!(report.checked.contains(&Checked::State { through: Position::new(18) }));
    assert!(report.not_checked.contains(&NotChecked::EarlierDecisions { from }));

    let chain = chain_report(&path, trusting(None));
    assert_eq!(chain.finding, Finding::Valid);
    assert_eq!((chain.first, chain.records), (report.first, report.records));
    assert_eq!((chain.head_hash, chain.root_hash), (all.head_hash, all.root_hash));
    assert!(chain.checked.contains(&Checked::State { through: Position::new(18) }));
    assert!(chain.not_checked.contains(&NotChecked::Rules));

    // It looks no earlier record up, so it has no folder for them.
    fs::create_dir(path.join("records")).unwrap();
    let (_, code, message) = found(&crate::scene::report(&path, trusting(None)));
    assert_eq!(code, "BUNDLE_DAMAGED");
    assert!(message.contains("records") && message.contains("empty"), "{message}");
}

#[test]
fn a_range_begins_where_it_says() {
    let scene = Scene::signed(&small().drafts);
    let path = bundle(&scene, "since", Part::Range { through: Some(Position::new(18)) }, None);
    let text = fs::read_to_string(path.join("bundle")).unwrap();
    for from in ["18", "20"] {
        fs::write(path.join("bundle"), text.replace("from 19", &format!("from {from}"))).unwrap();
        let (_, code, message) = found(&report(&path, Trust::default()));
        assert_eq!(code, "BUNDLE_DAMAGED");
        assert!(message.contains("it is the state of 19 records"), "{message}");
    }
}

#[test]
fn the_newest_seal_is_where_a_range_begins_unless_it_is_said() {
    let drafts = small().drafts;
    let scene = Scene::signed(&drafts);
    let path = bundle(&scene, "newest", Part::Range { through: None }, None);
    let report = valid(&path, Trust::default());
    assert_eq!(report.first.get(), drafts.len() as u64 - 2);
    let missing = Part::Range { through: Some(Position::new(7)) };
    let out = scene.beside("none");
    let refused = export(scene.path(), missing, None, &out);
    assert!(matches!(refused, Err(ExportError::NoSeal { .. })), "{refused:?}");
}

/// A ledger that undoes, after its first seal, what happened before it.
fn undone() -> Vec<Draft> {
    let mut ledger = programme(2);
    let wrong = ledger.submit("maker", &repay("l1", [1_000_000, 0, 0], "r9"));
    ledger.append_seal(ledger.seal());
    let proposal = ledger.submit("maker", &crate::commands::propose_reversal(wrong));
    ledger.submit("checker", &crate::commands::approve_reversal(proposal));
    ledger.submit("maker", &repay("l1", [1_000_000, 0, 0], "r9"));
    ledger.drafts
}

#[test]
fn records_from_before_a_range_come_with_proofs() {
    let drafts = undone();
    let scene = Scene::signed(&drafts);
    let path = bundle(&scene, "since", Part::Range { through: None }, None);
    let report = valid(&path, trusting(None));
    assert!(report.checked.contains(&Checked::Inclusion { records: 1 }), "{:?}", report.checked);
    let wrong = report.first.get() - 1;
    let file = path.join(format!("records/{wrong:020}.tlog-proof"));
    let text = fs::read_to_string(&file).unwrap();

    // Another record in its place.
    let bytes = &chained(&drafts)[1];
    let other = LogProofText::of(&text).with(bytes);
    fs::write(&file, other).unwrap();
    assert_eq!(found(&crate::scene::report(&path, Trust::default())).1, "BUNDLE_DAMAGED");
    fs::remove_dir_all(path.join("records")).unwrap();
    let (_, code, message) = found(&crate::scene::report(&path, Trust::default()));
    assert_eq!(code, "BUNDLE_DAMAGED");
    assert!(message.contains(&format!("{wrong:020}")), "{message}");

    // One of the range itself, although it is proved.
    let last = drafts.len() as u64 - 1;
    let note = checkpoint(&drafts);
    for position in [wrong, last] {
        let file = path.join(format!("records/{position:020}.tlog-proof"));
        let proof = crate::scene::proof(&chained(&drafts), position, &note);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, proof.to_string()).unwrap();
    }
    let (_, code, message) = found(&crate::scene::report(&path, Trust::default()));
    assert_eq!(code, "BUNDLE_DAMAGED");
    assert!(message.contains(&format!("{last:020}")), "{message}");
}

/// The proof of a record in a bundle of kind `range`.
fn proved(path: &Path, position: Position) -> PathBuf {
    path.join(format!("records/{:020}.tlog-proof", position.get()))
}

#[test]
fn what_decisions_look_up_comes_along_and_nothing_else() {
    let mut ledger = lent();
    let [sent, kept] = ["d1", "d2"].map(|reference| {
        let disbursed = ledger.submit("maker", &disburse("l1", rp(10_000_000), reference));
        Position::new(disbursed.get())
    });
    let at = |position: Position| bergulir_domain::Position::new(position.get());
    let back = ledger.submit("maker", &bring_back(at(sent), "back-1"));
    let allocation = ledger.submit("maker", &allocate("pilot", rp(5_000_000), "alloc-2"));
    let [first, second] = [1_000_000, 2_000_000]
        .map(|rupiah| ledger.submit("maker", &propose_withdrawal(allocation, rp(rupiah))));
    let out = ledger.submit("checker", &approve_withdrawal(first, "out-1"));
    ledger.append_seal(ledger.seal());
    // A return names its disbursement. A reversal names what it undoes, and a return or a withdrawal
    // that is undone names in turn what it came from, wherever itself is.
    ledger.submit("maker", &bring_back(at(kept), "back-2"));
    let within = ledger.submit("checker", &approve_withdrawal(second, "out-2"));
    for undone in [back, out, within] {
        ledger.submit("maker", &propose_reversal(undone));
    }
    let drafts = ledger.drafts;
    let scene = Scene::signed(&drafts);
    let path = bundle(&scene, "since", Part::Range { through: None }, None);
    let mut needed = vec![sent, kept];
    needed.extend([back, first, second, out].map(|position| Position::new(position.get())));
    assert_eq!(fs::read_dir(path.join("records")).unwrap().count(), needed.len());
    let report = valid(&path, trusting(None));
    assert!(report.checked.contains(&Checked::Inclusion { records: 6 }), "{:?}", report.checked);

    for missing in &needed {
        let file = proved(&path, *missing);
        let text = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        let (_, code, message) = found(&crate::scene::report(&path, trusting(None)));
        assert_eq!(code, "BUNDLE_DAMAGED");
        assert!(message.contains(&format!("{:020}", missing.get())), "{message}");
        assert_second_finds(&path, Verdict::Invalid);
        fs::write(file, text).unwrap();
    }
    let note = checkpoint(&drafts);
    let records = chained(&drafts);
    let extra = (0..report.first.get()).map(Position::new).filter(|at| !needed.contains(at));
    for extra in extra {
        let file = proved(&path, extra);
        fs::write(&file, crate::scene::proof(&records, extra.get(), &note).to_string()).unwrap();
        let report = crate::scene::report(&path, trusting(None));
        let (position, code, message) = found(&report);
        assert_eq!((position, code), (extra.get(), "BUNDLE_DAMAGED"));
        assert!(message.contains(&format!("{:020}", extra.get())), "{message}");
        assert!(matches!(report.finding, Finding::Invalid { place: None, .. }));
        assert_eq!(report.head_hash, Hash::ZERO, "nothing was read of the records before it");
        // Which are needed, decisions tell.
        assert_eq!(chain_report(&path, trusting(None)).finding, Finding::Valid);
        assert_second_finds(&path, Verdict::Invalid);
        fs::remove_file(file).unwrap();
    }
    valid(&path, trusting(None));
}

/// A proof as text, of which the record can be changed.
struct LogProofText<'a>(&'a str);

impl<'a> LogProofText<'a> {
    fn of(text: &'a str) -> Self {
        LogProofText(text)
    }

    fn with(&self, record: &[u8]) -> String {
        let mut proof = bergulir_chain::proof::LogProof::parse(self.0.as_bytes()).unwrap();
        proof.extra = Some(record.to_vec());
        proof.to_string()
    }
}

#[test]
fn a_snapshot_forged() {
    let scene = Scene::signed(&small().drafts);
    let path = bundle(&scene, "since", Part::Range { through: Some(Position::new(18)) }, None);
    let file = path.join("state");
    let bytes = fs::read(&file).unwrap();
    let mut found_at = std::collections::BTreeMap::new();
    for place in 0..bytes.len() {
        let mut forged = bytes.clone();
        forged[place] ^= 1;
        fs::write(&file, forged).unwrap();
        let report = report(&path, Trust::default());
        if place == 0 {
            // Newer software may know that version.
            assert_eq!(report.finding.verdict(), Verdict::CannotTell);
            continue;
        }
        let (position, code, _) = found(&report);
        assert!(position <= 18, "{code} at {position}");
        *found_at.entry(code).or_insert(0) += 1;
    }
    assert!(found_at["STATE_FORGED"] > found_at["BUNDLE_DAMAGED"], "{found_at:?}");
    assert_eq!(found_at.len(), 2, "{found_at:?}");
}
