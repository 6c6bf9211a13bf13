//! Bytes of a state that the rules do not allow: whoever forges a snapshot gets no state from it.

use crate::commands::{
    approve_restructuring, approve_write_off, open_ledger, propose_restructuring,
    propose_write_off, rp,
};
use crate::given::{Ledger, encoded};
use crate::programme::pilot;
use bergulir_domain::State;
use bergulir_domain::command as c;
use bergulir_domain::state::encoding::DecodeError;

fn lent() -> Ledger {
    pilot().with_disbursed_loan("l1", rp(100_000_000))
}

/// Puts other bytes in the place of the last ones that are like these.
#[track_caller]
fn forge(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).rposition(|found| found == from).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
    bytes
}

/// The bytes of a state under version 3 of the rules that say that version 2 is in force, without
/// what version 3 added.
fn as_of_version_2(mut bytes: Vec<u8>) -> Vec<u8> {
    let [two, three] = [2, 3].map(|rules_version| {
        let open = c::OpenLedger { rules_version, ..open_ledger() };
        encoded(&Ledger::empty().when(open).then_ok().state)
    });
    for (at, (two, three)) in two.iter().zip(&three).enumerate() {
        if two != three {
            bytes[at] = *two;
        }
    }
    bytes.truncate(bytes.len() - (three.len() - two.len()));
    bytes
}

#[test]
fn a_state_of_older_rules_holds_no_proposal_that_only_newer_ones_know() {
    let lent = lent();
    assert!(State::decode(&as_of_version_2(encoded(&lent.state))).is_ok());
    let proposed = lent.clone().when(propose_write_off("l1", rp(40))).then_ok();
    let restructured = lent.when(propose_restructuring("l1")).then_ok();
    for ledger in [proposed, restructured] {
        let decoded = State::decode(&as_of_version_2(encoded(&ledger.state)));
        assert_eq!(decoded.err(), Some(DecodeError::Invalid("subject under these rules")));
    }
}

#[test]
fn a_state_names_no_loan_of_which_nothing_is_written_off_and_none_that_is_not_there() {
    let ledger = lent().by_two(propose_write_off("l1", rp(40)), approve_write_off);
    let bytes = encoded(&ledger.state);
    // Loan 0: 4,000 sen written off, nothing ended, nothing recovered.
    let numbers = |loan: u32, written_off: i64| {
        let numbers = [written_off, 0, 0].map(i64::to_le_bytes).concat();
        [&loan.to_le_bytes()[..], &numbers].concat()
    };
    for forged in [numbers(0, 0), numbers(1, 4_000)] {
        let decoded = State::decode(&forge(bytes.clone(), &numbers(0, 4_000), &forged));
        let expected = DecodeError::Invalid("loan of which something is written off");
        assert_eq!(decoded.err(), Some(expected));
    }
}

#[test]
fn a_state_names_no_restructuring_of_a_loan_that_is_not_there() {
    let ledger = lent().by_two(propose_restructuring("l1"), approve_restructuring);
    let record = ledger.state.size() - 1;
    let key = |loan: u32| [&loan.to_le_bytes()[..], &record.to_le_bytes()].concat();
    let decoded = State::decode(&forge(encoded(&ledger.state), &key(0), &key(1)));
    assert_eq!(decoded.err(), Some(DecodeError::Invalid("index")));
}
