//! Ledgers that went through something.

use bergulir_domain::cooperative::Office;
use bergulir_domain::terms::Purpose;

use crate::commands::{
    allocate, appoint, approve_loan, approve_reversal, approve_withdrawal, bring_back, confirm,
    disburse, grant, open_account, open_fund, open_fund_for, open_ledger, propose_loan,
    propose_reversal, propose_withdrawal, register, repay, rp, suspend,
};
use crate::ledger::Ledger;

pub(crate) const LOAN: i64 = 100_000_000;

/// A cooperative with officers, made ready, as one atomic batch.
pub(crate) fn cooperative(ledger: &mut Ledger, number: u32) {
    ledger.batch(
        "maker",
        &[
            register(number),
            appoint(number, Office::Chair),
            appoint(number, Office::Treasurer),
            confirm(number),
        ],
    );
}

/// A loan of Rp100,000,000, proposed and approved.
pub(crate) fn loan(ledger: &mut Ledger, loan: &str, number: u32) {
    ledger.submit("maker", &propose_loan(loan, number, rp(LOAN)));
    ledger.submit("checker", &approve_loan(loan));
}

/// The first records of a ledger with a fund of so many rupiah.
pub(crate) fn opened(rupiah: i64) -> Ledger {
    let mut ledger = Ledger::empty();
    ledger.submit("maker", &open_ledger("tangerang"));
    ledger.submit("maker", &open_fund("pilot"));
    ledger.submit("maker", &allocate("pilot", rp(rupiah), "alloc"));
    ledger
}

/// One cooperative with an approved loan.
pub(crate) fn lent() -> Ledger {
    let mut ledger = opened(1_000_000_000);
    cooperative(&mut ledger, 1);
    ledger.submit("maker", &open_account("pilot", 1));
    loan(&mut ledger, "l1", 1);
    ledger
}

/// A small ledger in which every kind of money event happened: 41 records, two of them seals.
pub(crate) fn small() -> Ledger {
    let mut ledger = opened(1_000_000_000);
    for number in [1, 2] {
        cooperative(&mut ledger, number);
        ledger.submit("maker", &open_account("pilot", number));
    }
    loan(&mut ledger, "l1", 1);
    loan(&mut ledger, "l2", 2);
    ledger.submit("maker", &disburse("l1", rp(70_000_000), "d1"));
    ledger.submit("maker", &disburse("l1", rp(30_000_000), "d2"));
    ledger.append_seal(ledger.seal());
    ledger.submit("maker", &repay("l1", [3_030_303, 454_545, 10_000], "r1"));

    let sent = ledger.submit("maker", &disburse("l2", rp(LOAN), "d3"));
    ledger.submit("maker", &bring_back(sent, "back"));
    let wrong = ledger.submit("maker", &disburse("l2", rp(50_000_000), "d4"));
    let proposal = ledger.submit("maker", &propose_reversal(wrong));
    ledger.submit("checker", &approve_reversal(proposal));
    // The reversal freed the bank reference.
    ledger.submit("maker", &disburse("l2", rp(60_000_000), "d4"));
    let wrong = ledger.submit("maker", &repay("l2", [3_030_303, 454_545, 0], "r2"));
    let proposal = ledger.submit("maker", &propose_reversal(wrong));
    ledger.submit("checker", &approve_reversal(proposal));
    ledger.submit("maker", &repay("l1", [3_030_303, 454_545, 0], "r2"));

    let allocation = ledger.submit("maker", &allocate("pilot", rp(5_000_000), "alloc-2"));
    let proposal = ledger.submit("maker", &propose_withdrawal(allocation, rp(4_000_000)));
    ledger.submit("checker", &approve_withdrawal(proposal, "out"));

    ledger.submit("maker", &open_fund_for("hibah", Purpose::Grant));
    ledger.submit("maker", &allocate("hibah", rp(50_000_000), "alloc-3"));
    ledger.submit("maker", &open_account("hibah", 2));
    ledger.submit("maker", &grant("hibah", 2, rp(20_000_000), "g1"));
    ledger.submit("maker", &suspend(2));
    ledger.append_seal(ledger.seal());
    ledger.submit("maker", &repay("l2", [1, 0, 0], "r3"));
    ledger
}

/// The demo's programme: each cooperative borrows Rp100,000,000 and pays three instalments, one of
/// them first to the wrong cooperative; then as many further loans as came back.
pub(crate) fn programme(cooperatives: u32) -> Ledger {
    let mut ledger = opened(LOAN * i64::from(cooperatives));
    let numbers = 1..=cooperatives;
    for number in numbers.clone() {
        cooperative(&mut ledger, number);
        ledger.submit("maker", &open_account("pilot", number));
    }
    for number in numbers.clone() {
        loan(&mut ledger, &format!("l{number}"), number);
    }
    for number in numbers.clone() {
        let reference = format!("d{number}");
        ledger.submit("maker", &disburse(&format!("l{number}"), rp(LOAN), &reference));
    }
    let instalment = [3_030_303, 454_545, 0];
    let mut back = 0;
    for month in 1..=3 {
        for number in numbers.clone() {
            let reference = format!("r{month}-{number}");
            if (month, number) == (2, 2) {
                let wrong = ledger.submit("maker", &repay("l1", instalment, &reference));
                let proposal = ledger.submit("maker", &propose_reversal(wrong));
                ledger.submit("checker", &approve_reversal(proposal));
            }
            ledger.submit("maker", &repay(&format!("l{number}"), instalment, &reference));
            back += instalment[0];
        }
    }
    ledger.append_seal(ledger.seal());
    for number in 1..=u32::try_from(back / LOAN).unwrap() {
        loan(&mut ledger, &format!("m{number}"), number);
        let reference = format!("e{number}");
        ledger.submit("maker", &disburse(&format!("m{number}"), rp(LOAN), &reference));
    }
    ledger
}
