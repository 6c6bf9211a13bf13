//! Seals are compared with what the records give.

use bergulir_audit::Finding;
use bergulir_domain::{Event, Position};

use crate::files::{Log, SMALL};
use crate::ledger::Ledger;
use crate::programme::{cooperative, opened, small};
use crate::{invalid, report};

#[track_caller]
fn finding(ledger: &Ledger) -> bergulir_audit::LedgerReport {
    let folder = tempfile::tempdir().unwrap();
    Log::of(&ledger.drafts, SMALL).write(folder.path());
    report(folder.path())
}

#[test]
fn a_forged_balance_root_or_state_digest_is_found() {
    for (forge_root, code) in [(true, "SEAL_ROOT_FORGED"), (false, "SEAL_DIGEST_FORGED")] {
        let mut ledger = small();
        let mut seal = ledger.seal();
        let digest = if forge_root { &mut seal.balance_root } else { &mut seal.state_digest };
        digest[31] ^= 1;
        let at = ledger.append_seal(seal);
        assert_eq!(invalid(&finding(&ledger)), (at.get(), code));
    }
}

#[test]
fn a_seal_may_come_later_than_what_it_covers() {
    let mut ledger = small();
    let seal = ledger.seal();
    cooperative(&mut ledger, 3);
    ledger.append_seal(seal);
    cooperative(&mut ledger, 4);
    let report = finding(&ledger);
    assert_eq!(report.finding, Finding::Valid);
    assert_eq!(report.seals, 3);
}

#[test]
fn a_seal_inside_a_batch_is_found() {
    let mut ledger = opened(1_000_000);
    cooperative(&mut ledger, 1);
    let through = Position::new(ledger.size() - 2);
    let mut shorter = opened(1_000_000);
    cooperative(&mut shorter, 1);
    let mut seal = ledger.seal();
    seal.through = through;
    let at = ledger.append_seal(seal);
    assert_eq!(invalid(&finding(&ledger)), (at.get(), "SEAL_INSIDE_BATCH"));
}

#[test]
fn a_seal_of_what_is_not_there_yet_or_was_sealed_is_found() {
    let ledger = small();
    for through in [0, ledger.size(), u64::MAX] {
        let mut ledger = ledger.clone();
        let mut seal = ledger.seal();
        seal.through = Position::new(through);
        let at = ledger.forge("system", &Event::Sealed(seal));
        let last = ledger.drafts.last_mut().unwrap();
        last.authentication = bergulir_chain::Authentication::System;
        assert_eq!(invalid(&finding(&ledger)), (at, "RULE_BROKEN"));
    }
}
