//! Ledgers written under each version of the rules, kept as bundles: they must verify for ever, with
//! the figures that they had when they were written.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use bergulir_audit::{Finding, LedgerReport, Options, Part, Trust, export, verify};
use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::{Prefixes, Tree};
use bergulir_chain::note::{KeyName, SignerKey};
use bergulir_chain::{LogSize, record};
use bergulir_domain::command::{self as c, Command};
use bergulir_domain::cooperative::ReadinessItem;
use bergulir_domain::money::Rate;
use bergulir_domain::terms::{InterestMethod, LoanTerms, Purpose, Terms};
use bergulir_domain::{Position, Timestamp};

use crate::commands::{
    allocate, day, disburse, id, open_account, origin, propose_loan, propose_reversal,
    propose_withdrawal, rp, suspend, text,
};
use crate::files::{Log, SMALL};
use crate::ledger::{Ledger, chained};
use crate::programme::{cooperative, small};
use crate::{rules_2, rules_3};

/// Each version of the rules, a ledger in which everything happened that can under it, and where the
/// seal is that its range begins at.
fn versions() -> [(&'static str, Ledger, u64); 3] {
    let (newer, seal) = rules_2::every_kind();
    let (newest, last_seal) = rules_3::every_kind();
    [("rules-1", every_kind(), 18), ("rules-2", newer, seal), ("rules-3", newest, last_seal)]
}

/// The bundles of each: every record, those since the first seal, one cooperative's view.
const KINDS: [&str; 3] = ["log", "range", "cooperative"];

fn golden(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(version)
}

/// The figures of a report, one a line; the file `expected` has them.
fn figures(report: &LedgerReport) -> String {
    let mut lines = String::new();
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        writeln!(lines, "{name} {value}").unwrap();
    };
    line("ledger", &report.ledger.unwrap());
    line("origin", &report.origin.clone().unwrap());
    line("first", &report.first);
    line("records", &report.records);
    line("head_hash", &report.head_hash);
    line("tree_size", &report.tree_size);
    line("root_hash", &report.root_hash);
    line("checkpoint", &report.checkpoint.unwrap());
    line("seals", &report.seals);
    for (name, count) in &report.events {
        line(name, count);
    }
    let totals = &report.totals;
    for (name, value) in [
        ("allocated", totals.allocated),
        ("disbursed", totals.disbursed),
        ("granted", totals.granted),
        ("principal_repaid", totals.principal_repaid),
        ("interest_received", totals.interest_received),
        ("late_fees_received", totals.late_fees_received),
        ("available", totals.available),
        ("committed", totals.committed),
        ("outstanding", totals.outstanding),
        ("cash", totals.cash),
    ] {
        line(name, &value);
    }
    // Older versions of the rules know none of these.
    let given_up = [("written_off", totals.written_off), ("recovered", totals.recovered)];
    for (name, value) in given_up.into_iter().filter(|(_, value)| *value != 0) {
        line(name, &value);
    }
    for account in &report.accounts {
        let b = &account.balances;
        let numbers =
            [b.disbursed, b.principal_repaid, b.interest_paid, b.late_fees_paid, b.granted];
        line("account", &format!("{} {} {numbers:?}", account.fund, account.account));
    }
    lines
}

fn report(path: &Path) -> LedgerReport {
    let trust = Trust { keys: vec![second_key().verifier().clone()], ..Trust::default() };
    let options = Options { patience: std::time::Duration::ZERO, trust, ..Options::default() };
    verify(path, &options, &mut |_| {}).unwrap().ledgers.remove(0)
}

#[test]
fn what_was_written_under_each_version_verifies_for_ever() {
    for (version, ..) in versions() {
        for kind in KINDS {
            let report = report(&golden(version).join(kind));
            assert_eq!(report.finding, Finding::Valid, "{version} {kind}");
            let expected = golden(version).join(format!("{kind}.expected"));
            assert_eq!(figures(&report), fs::read_to_string(expected).unwrap(), "{version} {kind}");
        }
    }
}

/// The program still writes them to the letter: a newer version of the rules changes nothing in an
/// older one.
#[test]
fn what_is_written_under_each_version_is_what_was() {
    for (version, ledger, seal) in versions() {
        let folder = tempfile::tempdir().unwrap();
        write(&ledger, seal, folder.path());
        compare(folder.path(), &golden(version));
    }
}

fn compare(written: &Path, kept: &Path) {
    let names = |folder: &Path| -> BTreeSet<PathBuf> {
        let named = |file: PathBuf| file.strip_prefix(folder).unwrap().to_owned();
        files(folder).into_iter().map(named).collect()
    };
    assert!(!names(kept).is_empty());
    assert_eq!(names(written), names(kept));
    for name in names(kept) {
        let [written, kept] = [written, kept].map(|at| fs::read(at.join(&name)));
        assert!(written.unwrap() == kept.unwrap(), "{} is another", name.display());
    }
}

/// Every file in a folder and in the folders there.
fn files(folder: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(folder).unwrap().map(|found| found.unwrap().path());
    found.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Writes the bundles of a ledger and their figures into a folder.
fn write(ledger: &Ledger, seal: u64, into: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path();
    Log::of(&ledger.drafts, SMALL).write(&source.join("log"));
    let mut tree = Tree::new(Prefixes::RFC_6962);
    for bytes in chained(&ledger.drafts) {
        tree.push_hash(record::hash(&bytes));
    }
    let checkpoint = Checkpoint {
        origin: KeyName::new(&origin("tangerang")).unwrap(),
        size: LogSize::new(tree.size()),
        root: tree.root(),
    };
    let note = checkpoint.sign(&second_key()).unwrap();
    fs::write(source.join("checkpoint"), note.to_string()).unwrap();
    let seal = bergulir_chain::Position::new(seal);
    let parts = [
        Part::Log,
        Part::Range { through: Some(seal) },
        Part::Cooperative { cooperative: id("c2") },
    ];
    for (kind, part) in KINDS.into_iter().zip(parts) {
        let path = into.join(kind);
        let stop = AtomicBool::new(false);
        export(source, None, part, None, &path, &mut |_| {}, &stop).unwrap();
        let report = report(&path);
        assert_eq!(report.finding, Finding::Valid);
        fs::write(into.join(format!("{kind}.expected")), figures(&report)).unwrap();
    }
}

/// The key that the ledger takes on its way.
fn second_key() -> SignerKey {
    SignerKey::from_seed(KeyName::new(&origin("tangerang")).unwrap(), &[8; 32]).unwrap()
}

/// A ledger in which everything happened that can under rules version 1, but the adoption of others.
pub(crate) fn every_kind() -> Ledger {
    let mut ledger = small();
    let by = |ledger: &mut Ledger, who: &str, command: Command| ledger.submit(who, &command);
    let key = text(&second_key().verifier().to_string());
    by(&mut ledger, "maker", Command::RotateKey(c::RotateKey { verifier_key: key }));
    by(&mut ledger, "maker", Command::ChangeTerms(changed_terms()));
    let resumed = c::ResumeAccount { fund: id("pilot"), account: id("a2"), reason: text("done") };
    by(&mut ledger, "maker", Command::ResumeAccount(resumed));

    // An account that is opened, never used, and closed.
    cooperative(&mut ledger, 3);
    by(&mut ledger, "maker", open_account("pilot", 3));
    by(&mut ledger, "maker", suspend(3));
    let closed = c::CloseAccount { fund: id("pilot"), account: id("a3"), reason: text("merged") };
    by(&mut ledger, "maker", Command::CloseAccount(closed));

    // Loans that are refused, taken back, and left to lapse.
    by(&mut ledger, "maker", propose_loan("l3", 2, rp(1_000_000)));
    let refused = c::RefuseLoan { loan: id("l3"), reason: text("no plan") };
    by(&mut ledger, "checker", Command::RefuseLoan(refused));
    by(&mut ledger, "maker", propose_loan("l4", 2, rp(1_000_000)));
    let withdrawn = c::WithdrawLoan { loan: id("l4"), reason: text("not needed") };
    by(&mut ledger, "maker", Command::WithdrawLoan(withdrawn));
    by(&mut ledger, "maker", propose_loan("l5", 2, rp(1_000_000)));

    // Proposals that are refused, taken back, and left to lapse.
    let allocation = by(&mut ledger, "maker", allocate("pilot", rp(9_000_000), "alloc-4"));
    let propose = |ledger: &mut Ledger| {
        ledger.submit("maker", &propose_withdrawal(allocation, rp(1_000_000)))
    };
    let refused = c::RefuseProposal { proposal: propose(&mut ledger), reason: text("no") };
    by(&mut ledger, "checker", Command::RefuseProposal(refused));
    let withdrawn = c::WithdrawProposal { proposal: propose(&mut ledger), reason: text("late") };
    by(&mut ledger, "maker", Command::WithdrawProposal(withdrawn));
    propose(&mut ledger);
    by(&mut ledger, "maker", propose_reversal(Position::new(20)));
    let later = ledger.clock.as_micros() + 40 * 86_400_000_000;
    ledger.clock = Timestamp::from_micros(later);
    by(&mut ledger, "maker", disburse("l2", rp(1_000_000), "d9"));
    ledger.append_seal(ledger.seal());
    by(&mut ledger, "maker", disburse("l2", rp(1_000_000), "d10"));
    ledger
}

/// The terms of the fund from some later day on.
fn changed_terms() -> c::ChangeTerms {
    let terms = LoanTerms {
        rate: Rate::from_units(40_000).unwrap(),
        method: InterestMethod::Declining,
        tenor_months: 24,
        grace_months: 0,
        grace_bears_interest: true,
        repayment_order: None,
        relend_income: true,
    };
    c::ChangeTerms {
        fund: id("pilot"),
        effective_from: day(30),
        terms: Terms {
            purpose: Purpose::Loan(terms),
            ceiling: rp(2_000_000_000),
            required_readiness: [ReadinessItem::BankAccount].into_iter().collect(),
            proposal_validity_days: None,
            disbursement_approval_above: None,
        },
        reference: text("SK 12/2026"),
    }
}
