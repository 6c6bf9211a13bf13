//! The keys of the log: each named once, under the name of its origin, at any time.

use crate::commands::{ORIGIN, continue_as, open_ledger, rotate_key, verifier_key};
use crate::given::{Ledger, encoded, given};
use crate::is;
use crate::programme::pilot;
use bergulir_domain::State;
use bergulir_domain::command as c;

fn keys(ledger: &Ledger) -> Vec<(u64, String)> {
    let keys = ledger.state.keys();
    keys.map(|(position, key)| (position.get(), key.to_string())).collect()
}

#[test]
fn the_first_key_may_be_named_at_position_0_or_later() {
    let named = c::OpenLedger { verifier_key: Some(verifier_key(ORIGIN, 1)), ..open_ledger() };
    let first = verifier_key(ORIGIN, 1).to_string();
    let second = verifier_key(ORIGIN, 2).to_string();
    given(Ledger::empty())
        .when(named)
        .then_ok()
        .see(|ledger| assert_eq!(keys(ledger), [(0, first.clone())]))
        .when(rotate_key(ORIGIN, 2))
        .then_ok()
        .see(|ledger| assert_eq!(keys(ledger), [(0, first.clone()), (1, second.clone())]));
    given(Ledger::empty())
        .when(open_ledger())
        .then_ok()
        .see(|ledger| assert_eq!(keys(ledger), []))
        .when(rotate_key(ORIGIN, 1))
        .then_ok()
        .see(|ledger| assert_eq!(keys(ledger), [(1, first.clone())]));
}

#[test]
fn a_key_has_the_name_of_the_origin() {
    let named = |key| c::OpenLedger { verifier_key: Some(key), ..open_ledger() };
    let of_another = || verifier_key("ledger.example.go.id/other", 1);
    given(Ledger::empty())
        .when(named(of_another()))
        .then_refused(is!(KeyNotOfOrigin { .. }))
        .when(named("without-a-plus".parse().unwrap()))
        .then_refused(is!(KeyNotOfOrigin { .. }));
    given(pilot())
        .when(c::RotateKey { verifier_key: of_another() })
        .then_refused(is!(KeyNotOfOrigin { .. }))
        .when(rotate_key("ledger.example.go.id/tangeran", 1))
        .then_refused(is!(KeyNotOfOrigin { .. }))
        .when(rotate_key(ORIGIN, 1))
        .then_ok();
}

#[test]
fn a_key_is_named_once() {
    let named = c::OpenLedger { verifier_key: Some(verifier_key(ORIGIN, 1)), ..open_ledger() };
    given(Ledger::empty())
        .when(named)
        .then_ok()
        .when(rotate_key(ORIGIN, 1))
        .then_refused(is!(KeyNamedBefore { by } if by.get() == 0))
        .when(rotate_key(ORIGIN, 2))
        .then_ok()
        .when(rotate_key(ORIGIN, 2))
        .then_refused(is!(KeyNamedBefore { by } if by.get() == 1))
        .when(rotate_key(ORIGIN, 1))
        .then_refused(is!(KeyNamedBefore { by } if by.get() == 0));
}

#[test]
fn a_rotation_concerns_no_balances_and_can_be_rolled_back() {
    let mut ledger = given(pilot());
    let before = encoded(&ledger.state);
    ledger.state.mark();
    let mut ledger = ledger.when(rotate_key(ORIGIN, 1)).then_ok();
    assert_ne!(encoded(&ledger.state), before);
    let restored = State::decode(&encoded(&ledger.state)).unwrap();
    assert_eq!(restored.keys().collect::<Vec<_>>(), ledger.state.keys().collect::<Vec<_>>());
    ledger.state.roll_back();
    assert_eq!(encoded(&ledger.state), before);
}

const SECOND: &str = "ledger.example.go.id/tangerang-2";
const THIRD: &str = "ledger.example.go.id/tangerang-3";

#[test]
fn a_ledger_goes_on_under_another_origin_and_with_its_key() {
    given(pilot())
        .when(rotate_key(ORIGIN, 1))
        .then_ok()
        .when(continue_as(ORIGIN, SECOND, 2))
        .then_ok()
        .see(|ledger| {
            let opened = ledger.state.opened().unwrap();
            assert_eq!(opened.origin.as_str(), SECOND);
            assert_eq!(opened.ledger.as_str(), "tangerang-2");
            let key = keys(ledger).pop().unwrap().1;
            assert_eq!(key, verifier_key(SECOND, 2).to_string());
            let decoded = State::decode(&encoded(&ledger.state)).unwrap();
            assert_eq!(encoded(&decoded), encoded(&ledger.state));
        })
        .when(rotate_key(ORIGIN, 3))
        .then_refused(is!(KeyNotOfOrigin { origin } if origin.as_str() == SECOND))
        .when(rotate_key(SECOND, 2))
        .then_refused(is!(KeyNamedBefore { .. }))
        .when(rotate_key(SECOND, 3))
        .then_ok();
}

#[test]
fn only_the_current_origin_is_continued_and_under_one_that_never_was() {
    given(Ledger::empty()).when(continue_as(ORIGIN, SECOND, 1)).then_refused(is!(LedgerNotOpen));
    given(pilot())
        .when(rotate_key(ORIGIN, 1))
        .then_ok()
        .when(continue_as(ORIGIN, ORIGIN, 2))
        .then_refused(is!(OriginUsedBefore { .. }))
        .when(continue_as(SECOND, THIRD, 2))
        .then_refused(is!(OriginNotCurrent { current } if current.as_str() == ORIGIN))
        .when(c::ContinueLedger {
            verifier_key: verifier_key(ORIGIN, 2),
            ..continue_as(ORIGIN, SECOND, 2)
        })
        .then_refused(is!(KeyNotOfOrigin { origin } if origin.as_str() == SECOND))
        .when(continue_as(ORIGIN, SECOND, 2))
        .then_ok()
        .when(continue_as(ORIGIN, THIRD, 2))
        .then_refused(is!(OriginNotCurrent { current } if current.as_str() == SECOND))
        .when(continue_as(SECOND, ORIGIN, 2))
        .then_refused(is!(OriginUsedBefore { .. }))
        .when(continue_as(SECOND, THIRD, 2))
        .then_ok()
        .when(continue_as(THIRD, SECOND, 3))
        .then_refused(is!(OriginUsedBefore { .. }));
}

#[test]
fn a_person_continues_a_ledger_and_not_the_server() {
    given(pilot())
        .by("system")
        .when(continue_as(ORIGIN, SECOND, 1))
        .then_refused(is!(ReservedPrincipal));
}
