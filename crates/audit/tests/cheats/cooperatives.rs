//! One cooperative's view of the ledger: right, and made to lie.

use std::fs;
use std::path::PathBuf;

use bergulir_audit::{Checked, ExportError, Finding, Kind, LedgerReport, NotChecked, Part, Trust};
use bergulir_chain::merkle::Member;
use bergulir_chain::note::Note;
use bergulir_chain::{LogSize, Position, Record};
use bergulir_domain::Event;
use bergulir_proto::balance_proof::BalanceProof;
use bergulir_proto::balances::{BalanceKey, Leaf};
use bergulir_proto::decode_event;

use crate::commands::{id, key, repay};
use crate::ledger::{Draft, Ledger, chained};
use crate::programme::small;
use crate::scene::{Scene, checkpoint, export, found, other_key, report, rotate};

/// The view of the cooperative `c2`, which has an account for loans and one for grants.
pub(crate) struct View {
    scene: Scene,
    pub(crate) path: PathBuf,
}

impl View {
    pub(crate) fn of(drafts: &[Draft], since: Option<&Note>) -> View {
        let scene = Scene::signed(drafts);
        let path = scene.beside("c2");
        let part = Part::Cooperative { cooperative: id("c2") };
        export(scene.path(), part, since, &path).unwrap();
        View { scene, path }
    }

    fn report(&self, trust: Trust) -> LedgerReport {
        report(&self.path, trust)
    }

    #[track_caller]
    pub(crate) fn found(&self) -> (u64, &'static str, String) {
        found(&self.report(Trust::default()))
    }

    fn edit(&self, file: &str, change: impl FnOnce(String) -> String) {
        let path = self.path.join(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, change(text)).unwrap();
    }

    /// The proof of its account for loans.
    fn proof(&self) -> BalanceProof {
        BalanceProof::parse(&fs::read(self.path.join(PROOF)).unwrap()).unwrap()
    }
}

/// Accounts are in the order of fund and account: `hibah`, then `pilot`.
const PROOF: &str = "balances/0001.balance-proof";
const STATEMENT: &str = "balances/0001.statement";

fn trusting() -> Trust {
    Trust { keys: vec![key("tangerang").verifier().clone()], ..Trust::default() }
}

#[test]
fn a_cooperative_takes_its_own_records_along_and_nobody_elses() {
    let drafts = small().drafts;
    let view = View::of(&drafts, None);
    let report = view.report(trusting());
    assert_eq!(report.finding, Finding::Valid);
    assert_eq!(report.bundle, Some(Kind::Cooperative { cooperative: id("c2") }));
    let accounts: Vec<(String, u64)> = report
        .accounts
        .iter()
        .map(|account| (format!("{} {}", account.fund, account.account), account.records))
        .collect();
    // Opened and granted; opened, lent and paid with everything that was undone, and suspended.
    assert_eq!(accounts, [("hibah a2".to_owned(), 2), ("pilot a2".to_owned(), 13)]);
    assert_eq!(report.totals.granted, 20_000_000 * 100);
    // Paid back 1 rupiah after the seal, which the balances do not have yet.
    assert_eq!(report.totals.outstanding, 60_000_000 * 100);
    assert_eq!(report.events["Repaid"], 2, "what it paid, undone and all");
    assert_eq!(report.tree_size, LogSize::new(drafts.len() as u64));
    let through = Position::new(drafts.len() as u64 - 3);
    assert!(report.checked.contains(&Checked::Balances { accounts: 2, through }));
    assert!(report.checked.contains(&Checked::Statements { records: 15 }));
    assert!(report.not_checked.contains(&NotChecked::AfterSeal { through }));
    assert!(report.not_checked.contains(&NotChecked::Decisions));
    // The records do not give the root: there are too few of them.
    assert!(!report.checked.iter().any(|checked| matches!(checked, Checked::Root { .. })));
    // Nothing of the other cooperative's is in it.
    for found in fs::read_dir(view.path.join("records")).unwrap() {
        let text = fs::read(found.unwrap().path()).unwrap();
        let proof = bergulir_chain::proof::LogProof::parse(&text).unwrap();
        let record = proof.extra.unwrap();
        let event = decode_event(Record::parse(&record).unwrap().event).unwrap();
        let told = format!("{event:?}");
        for other in ["\"l1\"", "\"c1\"", "\"a1\"", "chair-1"] {
            assert!(!told.contains(other), "{told}");
        }
    }
}

#[test]
fn a_statement_with_a_line_left_out() {
    let view = View::of(&small().drafts, None);
    let lines = fs::read_to_string(view.path.join(STATEMENT)).unwrap();
    let positions: Vec<&str> = lines.lines().collect();
    for left_out in 0..positions.len() {
        let kept: Vec<&str> =
            positions.iter().enumerate().filter(|(n, _)| *n != left_out).map(|(_, p)| *p).collect();
        view.edit(STATEMENT, |_| kept.join("\n") + "\n");
        let (position, code, message) = view.found();
        assert_eq!(code, "STATEMENT_FORGED");
        assert_eq!(position, view.proof().seal.position.get());
        assert!(message.contains("account pilot a2"), "{message}");
    }
    // A line changed to another record of the cooperative.
    view.edit(STATEMENT, |_| lines.replacen(positions[3], "8", 1));
    assert!(matches!(view.found().1, "STATEMENT_FORGED" | "BUNDLE_DAMAGED"));
}

#[test]
fn a_record_left_out_with_its_line() {
    let view = View::of(&small().drafts, None);
    let lines = fs::read_to_string(view.path.join(STATEMENT)).unwrap();
    let last: u64 = lines.lines().last().unwrap().parse().unwrap();
    fs::remove_file(view.path.join(format!("records/{last:020}.tlog-proof"))).unwrap();
    assert_eq!(view.found().1, "BUNDLE_DAMAGED");
    view.edit(STATEMENT, |text| text.replace(&format!("{last}\n"), ""));
    assert_eq!(view.found().1, "STATEMENT_FORGED");
}

#[test]
fn balances_forged() {
    let view = View::of(&small().drafts, None);
    let mut proof = view.proof();
    let Leaf::Account { fund, account, mut balances, statement } =
        Leaf::parse(&proof.shown[0].leaf).unwrap()
    else {
        panic!("not an account");
    };
    balances.principal_repaid += 60_000_000 * 100;
    let mut leaf = Vec::new();
    Leaf::Account { fund, account, balances, statement }.encode(&mut leaf);
    proof.shown[0].leaf = leaf;
    fs::write(view.path.join(PROOF), proof.to_string()).unwrap();
    let (position, code, message) = view.found();
    assert_eq!((position, code), (proof.seal.position.get(), "BALANCE_NOT_PROVED"));
    assert!(message.contains(PROOF), "{message}");
}

#[test]
fn an_account_denied() {
    // The proof that there is no such account, by leaves that are no neighbours.
    let view = View::of(&small().drafts, None);
    let own = view.proof();
    let other = fs::read(view.path.join("balances/0000.balance-proof")).unwrap();
    let before: Member = BalanceProof::parse(&other).unwrap().shown[0].clone();
    let denied = BalanceProof { shown: vec![before], ..own.clone() };
    fs::write(view.path.join(PROOF), denied.to_string()).unwrap();
    assert_eq!(view.found().1, "BALANCE_NOT_PROVED");
    // The true proof that there is no account `a3` does not pass for one of its balances.
    assert_eq!(own.key, BalanceKey::Account(id("pilot"), id("a2")));
    let absent = BalanceProof { key: BalanceKey::Account(id("pilot"), id("a3")), ..own };
    fs::write(view.path.join(PROOF), absent.to_string()).unwrap();
    assert_eq!(view.found().1, "BUNDLE_DAMAGED");
}

#[test]
fn the_view_of_another_cooperative() {
    let view = View::of(&small().drafts, None);
    view.edit("bundle", |text| text.replace("cooperative c2", "cooperative c1"));
    assert_eq!(view.found().1, "BUNDLE_DAMAGED");
}

#[test]
fn a_record_edited() {
    let drafts = small().drafts;
    let view = View::of(&drafts, None);
    let last = drafts.len() as u64 - 1;
    let file = view.path.join(format!("records/{last:020}.tlog-proof"));
    let mut proof = bergulir_chain::proof::LogProof::parse(&fs::read(&file).unwrap()).unwrap();
    let record = proof.extra.as_mut().unwrap();
    let end = record.len() - 1;
    record[end] ^= 1;
    fs::write(&file, proof.to_string()).unwrap();
    let (_, code, message) = view.found();
    assert_eq!(code, "BUNDLE_DAMAGED");
    assert!(message.contains(&last.to_string()), "{message}");
}

#[test]
fn a_view_signed_by_another_key() {
    let drafts = small().drafts;
    let view = View::of(&drafts, None);
    let right = fs::read_to_string(view.path.join("checkpoint")).unwrap();
    let forged = crate::scene::statement(&drafts).sign(&other_key()).unwrap().to_string();
    for folder in ["", "records", "balances"] {
        for file in fs::read_dir(view.path.join(folder)).unwrap() {
            let path = file.unwrap().path();
            if path.is_file() {
                let text = fs::read_to_string(&path).unwrap();
                fs::write(&path, text.replace(&right, &forged)).unwrap();
            }
        }
    }
    let (position, code, _) = view.found();
    assert_eq!((position, code), (drafts.len() as u64 - 1, "CHECKPOINT_NOT_SIGNED"));
}

#[test]
fn a_view_follows_keys_and_shows_that_the_log_goes_on() {
    let mut ledger: Ledger = small();
    let old = checkpoint(&ledger.drafts[..11]);
    ledger.submit("maker", &rotate(&other_key()));
    ledger.append_seal(ledger.seal());
    let scene = Scene::of(&ledger.drafts);
    scene.sign(&crate::scene::statement(&ledger.drafts).sign(&other_key()).unwrap());
    let path = scene.beside("c2");
    let part = Part::Cooperative { cooperative: id("c2") };
    export(scene.path(), part, Some(&old), &path).unwrap();
    let keys = vec![other_key().verifier().clone()];
    let found = report(&path, Trust { since: Some(old), keys, ..Trust::default() });
    assert_eq!(found.finding, Finding::Valid);
    assert!(found.checked.contains(&Checked::Extension { from: LogSize::new(11) }));
    assert_eq!(found.events["KeyRotated"], 1);
    let mut other = ledger.drafts[..11].to_vec();
    other[5].request_id = [0xee; 16];
    let trust = Trust { since: Some(checkpoint(&other)), ..trusting() };
    assert_eq!(crate::scene::found(&report(&path, trust)).1, "NOT_EXTENDED");
}

/// Takes the files of an account away, and closes the gap in the numbers.
fn leave_out(view: &View, number: usize) {
    for end in ["balance-proof", "statement"] {
        let file = |number: usize| view.path.join(format!("balances/{number:04}.{end}"));
        fs::remove_file(file(number)).unwrap();
        if number == 0 {
            fs::rename(file(1), file(0)).unwrap();
        }
    }
}

/// The position of the record that opens an account of `c2`.
fn opens(drafts: &[Draft], fund: &str) -> u64 {
    let opens = |draft: &Draft| matches!(decode_event(&draft.event), Ok(Event::AccountOpened(e)) if e.fund == id(fund) && e.cooperative == id("c2"));
    drafts.iter().position(opens).unwrap() as u64
}

#[test]
fn an_account_left_out_of_the_balances() {
    let drafts = small().drafts;
    for (number, fund) in [(0, "hibah"), (1, "pilot")] {
        let view = View::of(&drafts, None);
        leave_out(&view, number);
        let (position, code, message) = view.found();
        assert_eq!((position, code), (opens(&drafts, fund), "ACCOUNT_LEFT_OUT"));
        assert!(message.contains(&format!("account {fund} a2")), "{message}");
    }
    // Both of them, with the seal that says so.
    let view = View::of(&drafts, None);
    let seal = view.proof().seal.position.get();
    fs::remove_dir_all(view.path.join("balances")).unwrap();
    assert_eq!(view.found().1, "ACCOUNT_LEFT_OUT");
    fs::remove_file(view.path.join(format!("records/{seal:020}.tlog-proof"))).unwrap();
    assert_eq!(view.found().1, "BUNDLE_DAMAGED");
}

#[test]
fn an_account_left_out_with_some_of_its_records() {
    let drafts = small().drafts;
    let view = View::of(&drafts, None);
    leave_out(&view, 0);
    let opened = opens(&drafts, "hibah");
    fs::remove_file(view.path.join(format!("records/{opened:020}.tlog-proof"))).unwrap();
    // The grant is still there, and nothing says whose it is.
    let (_, code, message) = view.found();
    assert_eq!(code, "BUNDLE_DAMAGED");
    assert!(message.contains(&format!("{:020}", opened + 1)), "{message}");
}

#[test]
fn a_view_without_accounts_shows_no_money_and_says_so() {
    let drafts = small().drafts;
    let view = View::of(&drafts, None);
    fs::remove_dir_all(view.path.join("balances")).unwrap();
    let own = BalanceProof::parse(&fs::read(View::of(&drafts, None).path.join(PROOF)).unwrap());
    let seal = own.unwrap().seal.position.get();
    for file in fs::read_dir(view.path.join("records")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let position: u64 = name.split('.').next().unwrap().parse().unwrap();
        if position > opens(&drafts, "pilot") - 1 && position != seal {
            fs::remove_file(&path).unwrap();
        }
    }
    let report = view.report(Trust::default());
    assert_eq!(report.finding, Finding::Valid);
    assert!(!report.has_totals());
    for not_checked in [NotChecked::Money, NotChecked::OtherAccounts, NotChecked::Standing] {
        assert!(report.not_checked.contains(&not_checked), "{not_checked:?}");
    }
    let through = Position::new(drafts.len() as u64 - 3);
    assert!(report.not_checked.contains(&NotChecked::AfterSeal { through }));
}

#[test]
fn a_statement_of_no_account_and_a_gap_in_the_numbers() {
    let view = View::of(&small().drafts, None);
    let second = fs::read_to_string(view.path.join(STATEMENT)).unwrap();
    fs::write(view.path.join("balances/0002.statement"), &second).unwrap();
    let (_, code, message) = view.found();
    assert_eq!(code, "BUNDLE_DAMAGED");
    assert!(message.contains("0002.statement"), "{message}");
    fs::remove_file(view.path.join("balances/0002.statement")).unwrap();
    assert_eq!(view.report(trusting()).finding, Finding::Valid);
    for end in ["balance-proof", "statement"] {
        let file = |number: usize| view.path.join(format!("balances/{number:04}.{end}"));
        fs::rename(file(1), file(2)).unwrap();
    }
    assert_eq!(view.found().1, "BUNDLE_DAMAGED");
}

#[test]
fn a_registration_left_out() {
    let drafts = small().drafts;
    let view = View::of(&drafts, None);
    let registers = |draft: &Draft| matches!(decode_event(&draft.event), Ok(Event::CooperativeRegistered(e)) if e.cooperative == id("c2"));
    let registered = drafts.iter().position(registers).unwrap();
    fs::remove_file(view.path.join(format!("records/{registered:020}.tlog-proof"))).unwrap();
    let (_, code, message) = view.found();
    assert_eq!(code, "BUNDLE_DAMAGED");
    assert!(message.contains("registers cooperative c2"), "{message}");
}

#[test]
fn records_of_others_have_no_place_in_a_view() {
    let drafts = small().drafts;
    let view = View::of(&drafts, None);
    let other = view.scene.beside("c1");
    let part = Part::Cooperative { cooperative: id("c1") };
    export(view.scene.path(), part, None, &other).unwrap();
    let mut tried = 0;
    for file in fs::read_dir(other.join("records")).unwrap() {
        let file = file.unwrap();
        let put_in = view.path.join("records").join(file.file_name());
        if put_in.exists() {
            continue;
        }
        fs::copy(file.path(), &put_in).unwrap();
        let (_, code, message) = view.found();
        assert_eq!(code, "BUNDLE_DAMAGED");
        assert!(message.contains(file.file_name().to_str().unwrap()), "{message}");
        fs::remove_file(put_in).unwrap();
        tried += 1;
    }
    assert!(tried > 8, "{tried}");
}

#[test]
fn there_is_no_view_of_nobody_nor_without_a_seal() {
    let mut drafts = small().drafts;
    let scene = Scene::signed(&drafts);
    let out = scene.beside("none");
    let part = |cooperative| Part::Cooperative { cooperative: id(cooperative) };
    let refused = export(scene.path(), part("c9"), None, &out);
    assert!(matches!(refused, Err(ExportError::NoCooperative { .. })), "{refused:?}");
    drafts.truncate(10);
    let scene = Scene::signed(&drafts);
    let refused = export(scene.path(), part("c2"), None, &scene.beside("none"));
    assert!(matches!(refused, Err(ExportError::NoSeal { .. })), "{refused:?}");
}

#[test]
fn records_after_the_seal_are_shown_and_said_not_to_be_covered() {
    let mut ledger = small();
    ledger.submit("maker", &repay("l2", [2, 0, 0], "r4"));
    let view = View::of(&ledger.drafts, None);
    let report = view.report(Trust::default());
    assert_eq!(report.finding, Finding::Valid);
    assert_eq!(report.events["Repaid"], 3);
    assert!(matches!(
        ledger.drafts.last().map(|draft| decode_event(&draft.event)),
        Some(Ok(Event::Repaid(_)))
    ));
    drop(view.scene);
}

#[test]
fn a_view_is_held_against_what_the_auditor_brings() {
    let drafts = small().drafts;
    let view = View::of(&drafts[..drafts.len() - 1], None);
    let keys = vec![other_key().verifier().clone()];
    let (position, code, message) = found(&view.report(Trust { keys, ..Trust::default() }));
    assert_eq!((position, code), (0, "KEY_NOT_TRUSTED"));
    assert!(message.contains(&key("tangerang").verifier().to_string()), "{message}");
    // Rolled back since the last visit.
    let since = Some(checkpoint(&drafts));
    let (position, code, _) = found(&view.report(Trust { since, ..trusting() }));
    assert_eq!((position, code), (drafts.len() as u64 - 1, "RECORDS_MISSING"));
}

#[test]
fn an_account_is_counted_once() {
    let view = View::of(&small().drafts, None);
    let file = |number: usize, end: &str| view.path.join(format!("balances/{number:04}.{end}"));
    for end in ["balance-proof", "statement"] {
        fs::copy(file(1, end), file(2, end)).unwrap();
    }
    let (_, code, message) = view.found();
    assert_eq!(code, "BUNDLE_DAMAGED");
    assert!(message.contains("0002.balance-proof"), "{message}");
}

#[test]
fn a_statement_is_in_the_order_of_the_log() {
    let view = View::of(&small().drafts, None);
    let lines = fs::read_to_string(view.path.join(STATEMENT)).unwrap();
    let positions: Vec<&str> = lines.lines().collect();
    let (first, second) = (positions[0], positions[1]);
    let twice = format!("{first}\n{lines}");
    let swapped = lines.replacen(&format!("{first}\n{second}"), &format!("{second}\n{first}"), 1);
    let beyond = format!("{lines}{}\n", view.proof().seal.position);
    for lines in [twice, swapped, beyond] {
        view.edit(STATEMENT, |_| lines);
        let (_, code, message) = view.found();
        assert_eq!(code, "BUNDLE_DAMAGED");
        assert!(message.contains("do not ascend"), "{message}");
    }
}

#[test]
fn proofs_of_an_older_view_do_not_pass_for_those_of_a_newer_one() {
    let mut ledger = small();
    let older = View::of(&ledger.drafts, None);
    ledger.submit("maker", &repay("l2", [2, 0, 0], "r4"));
    let newer = View::of(&ledger.drafts, None);
    let record = format!("records/{:020}.tlog-proof", opens(&ledger.drafts, "pilot"));
    for file in [PROOF, &record] {
        let own = fs::read(newer.path.join(file)).unwrap();
        fs::copy(older.path.join(file), newer.path.join(file)).unwrap();
        let (_, code, message) = newer.found();
        assert_eq!(code, "BUNDLE_DAMAGED");
        assert!(message.contains("another checkpoint"), "{message}");
        fs::write(newer.path.join(file), own).unwrap();
    }
    // Under the same checkpoint, a seal of when less was owed.
    let mut proof = newer.proof();
    ledger.append_seal(ledger.seal());
    let newest = View::of(&ledger.drafts, None);
    let (records, note) = (chained(&ledger.drafts), newest.proof().seal.checkpoint);
    proof.seal = crate::scene::proof(&records, proof.seal.position.get(), &note);
    fs::write(newest.path.join(PROOF), proof.to_string()).unwrap();
    let (_, code, message) = newest.found();
    assert_eq!(code, "BUNDLE_DAMAGED");
    assert!(message.contains("another seal"), "{message}");
}

#[test]
fn a_record_is_named_after_its_position() {
    let drafts = small().drafts;
    let view = View::of(&drafts, None);
    let (opened, granted) = (opens(&drafts, "hibah"), opens(&drafts, "hibah") + 1);
    let file = |name: String| view.path.join("records").join(name);
    let own = |position: u64| file(format!("{position:020}.tlog-proof"));
    let whole = fs::read(own(opened)).unwrap();
    fs::copy(own(granted), own(opened)).unwrap();
    let (_, code, message) = view.found();
    assert_eq!(code, "BUNDLE_DAMAGED");
    assert!(message.contains(&format!("record at position {granted}")), "{message}");
    fs::remove_file(own(opened)).unwrap();
    fs::write(file(format!("{opened}.tlog-proof")), whole).unwrap();
    let (_, code, message) = view.found();
    assert_eq!(code, "BUNDLE_DAMAGED");
    assert!(message.contains("not named after a position"), "{message}");
}
