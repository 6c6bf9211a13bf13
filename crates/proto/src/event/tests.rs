use bergulir_chain::{Authentication, Hash, Position, Record, Timestamp};
use bergulir_domain::event::Repaid;
use bergulir_domain::{Event, command as c};
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::samples::{a_disbursement, a_repayment, event};

fn bytes_of(event: &Event) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_event(event, &mut bytes);
    bytes
}

fn record_size(event: &Event) -> usize {
    let mut bytes = Vec::new();
    let record = Record {
        position: Position::new(4_000_000),
        previous: Hash::ZERO,
        recorded_at: Timestamp::from_micros(1_781_000_000_000_000),
        principal: "officer-01@dinkop.tangerangkab.go.id",
        authentication: Authentication::Stated,
        request_id: [7; 16],
        following: 0,
        event: &bytes_of(event),
        signature: None,
    };
    record.encode(&mut bytes).unwrap();
    bytes.len()
}

#[test]
fn a_typical_disbursement_or_repayment_is_a_record_of_at_most_200_bytes() {
    let disbursed = Event::Disbursed(a_disbursement());
    let repaid = Event::Repaid(Repaid { command: a_repayment(), relend_income: false });
    assert_eq!((bytes_of(&disbursed).len(), record_size(&disbursed)), (59, 171));
    assert_eq!((bytes_of(&repaid).len(), record_size(&repaid)), (72, 184));
}

#[test]
fn what_the_caller_left_out_is_not_what_it_set_to_zero() {
    let mut command = a_repayment();
    let zero = Event::Repaid(Repaid { command: command.clone(), relend_income: false });
    command.late_fee = None;
    command.bank_reference.line = Some(0);
    let absent = Event::Repaid(Repaid { command: command.clone(), relend_income: false });
    command.bank_reference.line = None;
    let both = Event::Repaid(Repaid { command, relend_income: false });
    for event in [&zero, &absent, &both] {
        assert_eq!(decode_event(&bytes_of(event)).as_ref(), Ok(event));
    }
    assert_ne!(bytes_of(&zero), bytes_of(&absent));
    assert_ne!(bytes_of(&absent), bytes_of(&both));
}

proptest! {
    #[test]
    fn events_that_name_the_log_are_told_by_their_first_bytes(event in event()) {
        let names = matches!(
            event,
            Event::LedgerOpened(_) | Event::KeyRotated(_) | Event::LedgerContinued(_)
        );
        prop_assert_eq!(names_the_log(&bytes_of(&event)), names);
    }
}

#[test]
fn an_event_of_no_kind_or_of_an_unknown_one_is_refused() {
    assert_eq!(decode_event(&[]), Err(EventError::UnknownKind));
    // Field 100, a message of no bytes: a kind that does not exist yet.
    assert_eq!(decode_event(&[0xa2, 0x06, 0x00]), Err(EventError::NotCanonical));
    assert!(matches!(decode_event(&[0xff]), Err(EventError::Decode(_))));
}

#[test]
fn an_event_can_be_written_in_one_way_only() {
    let event = Event::Reversed(c::ApproveReversal { proposal: bergulir_domain::Position::new(5) });
    let bytes = bytes_of(&event);
    assert_eq!(bytes, [0x62, 0x02, 0x08, 0x05]);
    let others: [&[u8]; 5] = [
        &[0x62, 0x03, 0x08, 0x85, 0x00],                   // a long varint
        &[0x62, 0x82, 0x00, 0x08, 0x05],                   // a long length
        &[0x62, 0x04, 0x08, 0x04, 0x08, 0x05],             // a field twice
        &[0x62, 0x04, 0x08, 0x05, 0x10, 0x01],             // an unknown field
        &[0x62, 0x02, 0x08, 0x05, 0x62, 0x02, 0x08, 0x05], // the event twice
    ];
    for other in others {
        assert_eq!(decode_event(other), Err(EventError::NotCanonical), "{other:02x?}");
    }
    // A default that is written although it could be left out.
    assert_eq!(decode_event(&[0x62, 0x02, 0x08, 0x00]), Err(EventError::NotCanonical));
}

#[test]
fn a_field_that_the_domain_does_not_allow_is_named() {
    let refused = |change: fn(&mut pb::Disbursed)| {
        let Some(pb::event::Kind::Disbursed(mut message)) =
            event_to_wire(&Event::Disbursed(a_disbursement())).kind
        else {
            unreachable!("a disbursement");
        };
        change(&mut message);
        let event = pb::Event { kind: Some(pb::event::Kind::Disbursed(message)) };
        decode_event(&event.encode_to_vec()).unwrap_err()
    };
    let field = |error| match error {
        EventError::Invalid { field, .. } | EventError::Missing { field } => field,
        other => panic!("{other}"),
    };
    assert_eq!(field(refused(|m| m.loan = "L1".to_owned())), "loan");
    assert_eq!(field(refused(|m| m.loan.clear())), "loan");
    assert_eq!(field(refused(|m| m.amount = 0)), "amount");
    assert_eq!(field(refused(|m| m.amount = -1)), "amount");
    assert_eq!(field(refused(|m| m.amount = i64::MAX)), "amount");
    assert_eq!(field(refused(|m| m.bank_reference = None)), "bank_reference");
    assert_eq!(field(refused(|m| m.value_date = i32::MAX)), "value_date");
}

#[test]
fn readiness_items_are_written_ascending_and_once() {
    let terms = |items: &[i32]| pb::EventTerms {
        kind: pb::FundKind::Grant as i32,
        ceiling: 1,
        required_readiness: items.to_vec(),
        proposal_validity_days: None,
        disbursement_approval_above: None,
        loan: None,
    };
    let decoded = |items: &[i32]| {
        let opened = pb::FundOpened {
            fund: "f".to_owned(),
            display_name: "F".to_owned(),
            opening_date: 0,
            terms: Some(terms(items)),
        };
        decode_event(&pb::Event { kind: Some(pb::event::Kind::FundOpened(opened)) }.encode_to_vec())
    };
    assert!(decoded(&[1, 2, 7]).is_ok());
    assert_eq!(decoded(&[2, 1]), Err(EventError::NotCanonical));
    assert_eq!(decoded(&[1, 1]), Err(EventError::NotCanonical));
    assert!(matches!(decoded(&[0]), Err(EventError::Invalid { .. })));
}

/// Without the events that nothing is done about in a hurry.
fn frequent_event() -> impl Strategy<Value = Event> {
    event().prop_filter("frequent", |event| matches!(event, Event::Disbursed(_) | Event::Repaid(_)))
}

fn slowly(event: &Event) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_any(event, &mut bytes);
    bytes
}

#[test]
fn frequent_events_of_every_length_are_written_as_all_others_are() {
    for (id, length) in (1..=32).flat_map(|id| (1..=64).map(move |length| (id, length))) {
        let mut command = a_repayment();
        command.loan = loan_id(id);
        command.bank_reference.reference = "R".repeat(length).parse().unwrap();
        command.bank_reference.bank = "B".repeat(1 + id % 16).parse().unwrap();
        let event = Event::Repaid(Repaid { command, relend_income: true });
        assert_eq!(bytes_of(&event), slowly(&event));
    }
}

fn loan_id(length: usize) -> bergulir_domain::LoanId {
    bergulir_domain::LoanId::new(&"a".repeat(length)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { max_local_rejects: 10_000_000, ..ProptestConfig::default() })]

    #[test]
    fn frequent_events_are_written_and_read_as_all_others_are(event in frequent_event()) {
        let bytes = slowly(&event);
        prop_assert_eq!(&bytes_of(&event), &bytes);
        prop_assert_eq!(frequent::decode(&bytes), Some(event.clone()));
        prop_assert_eq!(decode_any(&bytes), Ok(event));
    }

    #[test]
    fn frequent_events_are_read_from_no_other_bytes(
        event in frequent_event(),
        at in any::<prop::sample::Index>(),
        by in prop::collection::vec(any::<u8>(), 0..3),
    ) {
        let mut bytes = slowly(&event);
        let at = at.index(bytes.len());
        bytes.splice(at..=at, by);
        let expected = decode_any(&bytes).ok();
        let is_frequent = |e: &Event| matches!(e, Event::Disbursed(_) | Event::Repaid(_));
        prop_assert_eq!(frequent::decode(&bytes), expected.filter(is_frequent));
    }
}

proptest! {
    #[test]
    fn every_event_comes_back_from_its_bytes(event in event()) {
        let bytes = bytes_of(&event);
        prop_assert_eq!(decode_event(&bytes), Ok(event));
    }

    #[test]
    fn every_event_fits_a_record(event in event()) {
        prop_assert!(record_size(&event) <= bergulir_chain::MAX_RECORD_BYTES);
    }

    #[test]
    fn what_decodes_encodes_to_the_same_bytes(
        event in event(),
        at in any::<prop::sample::Index>(),
        byte: u8,
    ) {
        let mut bytes = bytes_of(&event);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(event) = decode_event(&bytes) {
            prop_assert_eq!(bytes_of(&event), bytes);
        }
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(event) = decode_event(&bytes) {
            prop_assert_eq!(bytes_of(&event), bytes);
        }
    }
}
