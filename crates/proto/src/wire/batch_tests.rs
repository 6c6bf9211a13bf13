use bergulir_domain::money::Currency;
use bergulir_domain::state::{
    AccountBalances, AccountIndex, ActiveLoan, Approval, Loan, LoanBalances, LoanState, SharedName,
    Standing,
};
use bergulir_domain::text::Text;
use bergulir_domain::{AccountId, Amount, Command, FundId, LoanId, Position, PrincipalId};
use proptest::prelude::*;
use prost::Message as _;

use super::tests::{ID, disburse, fields, kab};
use super::*;
use crate::moment::date_to_wire;
use crate::name::{AccountName, FundName, LoanName};
use crate::pb::command::Kind;
use crate::samples::{command, frequent_command, fund_balances as balances_of_a_fund, loan_terms};

fn batch(mode: pb::BatchMode) -> pb::SubmitBatchRequest {
    let item = |last: char| pb::BatchItem {
        request_id: format!("{}{last}", &ID[..35]),
        command: Some(pb::Command { kind: Some(Kind::Disburse(disburse())) }),
    };
    pb::SubmitBatchRequest {
        ledger: "ledgers/kab".to_owned(),
        mode: mode as i32,
        expected_position: None,
        validate_only: false,
        items: vec![item('0'), item('1'), item('2')],
    }
}

fn read(request: &pb::SubmitBatchRequest) -> Result<Batch, BatchError> {
    Batch::read(BatchBytes::from(request.encode_to_vec()).parts()?, Currency::Idr)
}

fn wrong_batch(
    mode: pb::BatchMode,
    change: impl FnOnce(&mut pb::SubmitBatchRequest),
) -> Result<Vec<Vec<String>>, Vec<String>> {
    let mut request = batch(mode);
    change(&mut request);
    let items = |batch: Batch| {
        let mut items = vec![Vec::new(); batch.requests.len() + batch.wrong.len()];
        batch.wrong.into_iter().for_each(|(place, invalid)| items[place] = fields(invalid));
        items
    };
    match read(&request) {
        Ok(batch) => Ok(items(batch)),
        Err(BatchError::Invalid(invalid)) => Err(fields(invalid)),
        Err(BatchError::Malformed(why)) => panic!("{why}"),
    }
}

#[test]
fn an_atomic_batch_is_refused_whole_with_the_items_that_are_wrong() {
    let wrong = wrong_batch(pb::BatchMode::Atomic, |batch| {
        batch.items[0].command = None;
        batch.items[2].command = Some(pb::Command {
            kind: Some(Kind::Disburse(pb::Disburse { amount: None, ..disburse() })),
        });
    });
    let fields = ["items[0].command", "items[2].command.disburse.amount"];
    assert_eq!(wrong, Err(fields.map(str::to_owned).to_vec()));
}

#[test]
fn an_independent_batch_keeps_its_good_items() {
    let wrong = wrong_batch(pb::BatchMode::Independent, |batch| {
        batch.items[0].request_id = "1".to_owned();
        batch.items[2].request_id = "1".to_owned();
    });
    let [first, third] = [0, 2].map(|item| vec![format!("items[{item}].request_id")]);
    assert_eq!(wrong, Ok(vec![first, vec![], third]));
}

#[test]
fn a_batch_has_a_mode_and_1_to_10000_items() {
    let refused = |field: &str| Err(vec![field.to_owned()]);
    let unspecified = wrong_batch(pb::BatchMode::Unspecified, |_| {});
    assert_eq!(unspecified, refused("mode"));
    let empty = wrong_batch(pb::BatchMode::Atomic, |batch| batch.items.clear());
    assert_eq!(empty, refused("items"));
    let long = wrong_batch(pb::BatchMode::Independent, |batch| {
        batch.items = vec![batch.items[0].clone(); MAX_BATCH_ITEMS + 1];
    });
    assert_eq!(long, refused("items"));
}

#[test]
fn only_an_atomic_batch_expects_a_position_or_is_only_validated() {
    let change = |batch: &mut pb::SubmitBatchRequest| {
        batch.expected_position = Some(1);
        batch.validate_only = true;
    };
    assert!(wrong_batch(pb::BatchMode::Atomic, change).is_ok());
    let fields = ["expected_position", "validate_only"].map(str::to_owned).to_vec();
    assert_eq!(wrong_batch(pb::BatchMode::Independent, change), Err(fields));
}

#[test]
fn an_atomic_batch_uses_no_request_id_twice() {
    let twice = |batch: &mut pb::SubmitBatchRequest| {
        batch.items[2].request_id = batch.items[0].request_id.to_uppercase();
    };
    let refused = Err(vec!["items[2].request_id".to_owned()]);
    assert_eq!(wrong_batch(pb::BatchMode::Atomic, twice), refused);
    assert!(wrong_batch(pb::BatchMode::Independent, twice).is_ok());
}

#[test]
fn a_batch_does_not_open_a_ledger() {
    let wrong = wrong_batch(pb::BatchMode::Atomic, |batch| {
        let open = Kind::OpenLedger(pb::OpenLedger::default());
        batch.items[0].command = Some(pb::Command { kind: Some(open) });
    });
    assert_eq!(wrong, Err(vec!["items[0].command.open_ledger".to_owned()]));
}

#[test]
fn a_long_list_of_wrong_items_is_cut_short() {
    let wrong = wrong_batch(pb::BatchMode::Atomic, |batch| {
        batch.items = vec![pb::BatchItem::default(); MAX_BATCH_ITEMS];
    });
    assert!(wrong.unwrap_err().len() < 30);
}

/// An item as a client writes it.
fn item(command: &Command) -> Vec<u8> {
    let command = command_to_wire(command);
    pb::BatchItem { request_id: ID.to_owned(), command }.encode_to_vec()
}

/// What the typed messages make of an item.
fn slowly(item: &[u8]) -> Option<Request> {
    let item = pb::BatchItem::decode(item).ok()?;
    let request = pb::SubmitBatchRequest {
        ledger: "ledgers/kab".to_owned(),
        mode: pb::BatchMode::Independent as i32,
        items: vec![pb::BatchItem { request_id: item.request_id.clone(), ..Default::default() }],
        ..Default::default()
    };
    let (_, wrong) = read(&request).ok()?.wrong.remove(0);
    let id_is_right = fields(wrong) == ["items[0].command"];
    let command = command_from_wire(kab(), Currency::Idr, item.command?).ok()?;
    let request_id = id_is_right.then(|| uuid::Uuid::try_parse(&item.request_id).ok())??;
    Some(Request { request_id: request_id.into_bytes(), command })
}

/// A field of bytes, as protobuf writes it.
fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::bytes::encode(number, &bytes.to_vec(), &mut out);
    out
}

/// An item of the test's ids with this command, given by its number in `Command` and its bytes.
#[test]
fn each_command_of_a_batch_has_its_own_date() {
    let mut request = batch(pb::BatchMode::Independent);
    let days = [(2026, 1, 31), (2026, 1, 31), (2026, 2, 28), (2026, 1, 31), (2025, 1, 31)];
    let item = request.items[0].clone();
    request.items = days.iter().map(|_| item.clone()).collect();
    for (item, (year, month, day)) in request.items.iter_mut().zip(days) {
        let value_date = Some(pb::Date { year, month, day });
        let kind = Some(Kind::Disburse(pb::Disburse { value_date, ..disburse() }));
        item.command = Some(pb::Command { kind });
    }
    let read = read(&request).unwrap();
    let dates = read.requests.iter().map(|request| match &request.command {
        Command::Disburse(disburse) => date_to_wire(disburse.value_date),
        other => panic!("{other:?}"),
    });
    let expected = days.map(|(year, month, day)| pb::Date { year, month, day });
    assert_eq!(dates.collect::<Vec<_>>(), expected);
}

fn item_of(id: &str, commands: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let command: Vec<u8> = commands.iter().flat_map(|(kind, bytes)| field(*kind, bytes)).collect();
    [field(1, id.as_bytes()), field(2, &command)].concat()
}

/// What the quick way must leave to the other: it would read something else, or take what is wrong.
#[test]
fn what_is_not_quite_a_frequent_command_is_read_the_other_way() {
    const DISBURSE: u32 = 19;
    const REPAY: u32 = 22;
    let quick = |item: &[u8]| super::frequent::read(item, Currency::Idr, &mut None);
    let right = disburse().encode_to_vec();
    let repay = match command_to_wire(&Command::Repay(crate::samples::a_repayment())) {
        Some(pb::Command { kind: Some(Kind::Repay(message)) }) => message.encode_to_vec(),
        other => panic!("{other:?}"),
    };
    assert!(quick(&item_of(ID, &[(DISBURSE, right.clone())])).is_some());

    let dollars = pb::Money { currency_code: "USD".to_owned(), units: 1, nanos: 0 };
    let dollars = pb::Disburse { amount: Some(dollars), ..disburse() }.encode_to_vec();
    let other_loan = [&right[..], &field(1, b"other-loan")].concat();
    let nil = "00000000-0000-0000-0000-000000000000";
    let without_hyphens = ID.replace('-', "");
    let twice = [(DISBURSE, right.clone()), (REPAY, repay)];
    let item = item_of(ID, &[(DISBURSE, right.clone())]);
    for (why, item) in [
        ("another currency", item_of(ID, &[(DISBURSE, dollars)])),
        ("the loan twice: the last counts", item_of(ID, &[(DISBURSE, other_loan)])),
        ("two kinds: the last counts", item_of(ID, &twice)),
        ("two ids: the last counts", [&item[..], &field(1, nil.as_bytes())].concat()),
        ("the nil id", item_of(nil, &[(DISBURSE, right.clone())])),
        ("an id without hyphens", item_of(&without_hyphens, &[(DISBURSE, right.clone())])),
        ("no command", item_of(ID, &[])),
    ] {
        assert_eq!(quick(&item), None, "{why}");
    }
}

/// Of two messages, one behind the other, the later one counts where they say the same.
#[test]
fn a_batch_is_read_as_protobuf_says() {
    let first = pb::SubmitBatchRequest {
        ledger: "ledgers/other".to_owned(),
        expected_position: Some(7),
        ..batch(pb::BatchMode::Independent)
    };
    let second = batch(pb::BatchMode::Atomic);
    let unknown = [0xfa, 0x07, 1, 0]; // field 127, one byte
    let bytes = [&first.encode_to_vec()[..], &unknown, &second.encode_to_vec()].concat();
    let arrived = BatchBytes::from(bytes.clone());
    let parts = arrived.parts().unwrap();
    assert_eq!((parts.ledger, parts.mode), ("ledgers/kab", pb::BatchMode::Atomic as i32));
    assert_eq!((parts.expected_position, parts.items.len()), (Some(7), 6));

    let merged = BatchBytes::decode(&bytes[..]).unwrap();
    let mut by_field = BatchBytes::default();
    by_field.merge(&bytes[..]).unwrap();
    let typed =
        |batch: &BatchBytes| pb::SubmitBatchRequest::decode(&batch.encode_to_vec()[..]).unwrap();
    assert_eq!(typed(&merged), typed(&by_field));
}

#[test]
fn what_is_no_message_is_told_from_what_is_wrong() {
    for bytes in [&b"\x0a\xff"[..], b"\x0a\x01\xff", b"\x10", b"\x0d1234", b"\x2a\x05\x0a\x05ab"] {
        let arrived = BatchBytes::from(bytes.to_vec());
        let read = arrived.parts().and_then(|parts| Batch::read(parts, Currency::Idr));
        let is_message = pb::SubmitBatchRequest::decode(bytes).is_ok();
        assert!(!is_message, "{bytes:?}");
        assert!(matches!(read, Err(BatchError::Malformed(_))), "{bytes:?}: {read:?}");
    }
}

fn names() -> (FundName, AccountName, LoanName) {
    let (ledger, fund) = (kab(), FundId::new("dana").unwrap());
    let (account, loan) = (AccountId::new("rek-1").unwrap(), LoanId::new("pinjaman-1").unwrap());
    (
        FundName { ledger, fund },
        AccountName { ledger, fund, account },
        LoanName { ledger, account: Some((fund, account)), loan },
    )
}

proptest! {
    #[test]
    fn frequent_commands_are_read_as_all_others_are(command in frequent_command()) {
        let bytes = item(&command);
        let read = super::frequent::read(&bytes, Currency::Idr, &mut None);
        prop_assert_eq!(read.map(|read| read.command), Some(command));
        prop_assert!(slowly(&bytes).is_some());
    }

    /// Whatever else the bytes are, the quick way says nothing or the same.
    #[test]
    fn frequent_commands_are_never_read_as_others(
        command in command(),
        frequent in frequent_command(),
        is_frequent in any::<bool>(),
        at in any::<prop::sample::Index>(),
        by in prop::collection::vec(any::<u8>(), 0..3),
    ) {
        let mut bytes = item(if is_frequent { &frequent } else { &command });
        let at = at.index(bytes.len());
        bytes.splice(at..=at, by);
        if let Some(read) = super::frequent::read(&bytes, Currency::Idr, &mut None) {
            prop_assert_eq!(Some(read), slowly(&bytes));
        }
    }

    #[test]
    fn receipts_are_written_as_the_messages_are(
        position in any::<u64>(),
        duplicate in any::<bool>(),
        hash in any::<[u8; 32]>(),
        fund in prop::option::of(balances_of_a_fund()),
        account in prop::option::of(any::<[i32; 9]>()),
        loan in prop::option::of((any::<u32>(), prop::option::of(any::<[i32; 7]>()))),
    ) {
        let (fund_name, account_name, loan_name) = names();
        let account = account.map(|numbers| {
            let [pending, committed, disbursed, repaid, interest, fees, granted, lost, back] =
                numbers.map(|number| i64::from(number) << 20);
            AccountBalances {
                pending, committed, disbursed, principal_repaid: repaid, interest_paid: interest,
                late_fees_paid: fees, granted, written_off: lost, recovered: back,
            }
        });
        let loan = loan.map(|(principal, numbers)| {
            let balances = numbers.map(|numbers| {
                let [disbursed, principal_repaid, interest_paid, late_fees_paid, losses @ ..] =
                    numbers.map(i64::from);
                let [written_off, claim_ended, recovered] = losses;
                LoanBalances {
                    disbursed, principal_repaid, interest_paid, late_fees_paid, written_off,
                    claim_ended, recovered,
                }
            });
            (i64::from(principal), balances)
        });
        let idr = Currency::Idr;
        // An account and a loan lie in a fund: without it there is neither.
        let (account, loan) = (account.filter(|_| fund.is_some()), loan.filter(|_| fund.is_some()));
        let loan = loan.filter(|_| account.is_some());
        let typed = pb::BatchReceipt {
            position,
            record_hash: hash.to_vec(),
            duplicate,
            balances: Some(pb::Balances {
                fund: fund.as_ref().map(|balances| fund_balances(&fund_name, balances, idr)),
                account: account.as_ref().map(|b| account_balances(&account_name, b, idr)),
                loan: loan.as_ref().map(|(p, b)| loan_balances(&loan_name, *p, b.as_ref(), idr)),
            }),
        };
        let error = pb::CommandError { code: 9, reason: "SAME_PERSON".to_owned(), ..Default::default() };
        let outcomes = [
            pb::batch_item_result::Outcome::Receipt(typed),
            pb::batch_item_result::Outcome::Receipt(pb::BatchReceipt::default()),
            pb::batch_item_result::Outcome::Error(error.clone()),
        ];
        let typed = outcomes.map(|outcome| pb::BatchItemResult { outcome: Some(outcome) }).to_vec();
        let expected = pb::SubmitBatchResponse { results: typed, log_size: position };

        let mut results = Results::with_room(2, 4);
        let receipt = BatchReceipt {
            position,
            record_hash: &hash,
            duplicate,
            fund: fund.as_ref().map(|balances| (fund_name.fund, balances)),
            account: account.as_ref().map(|balances| (account_name.account, balances)),
            loan: loan.as_ref().map(|(p, balances)| (loan_name.loan, *p, balances.as_ref())),
        };
        results.begin();
        results.receipt(kab(), &receipt, idr);
        results.validated();
        results.error(error);
        results.end(position);
        // The next one has nothing of it.
        results.begin();
        results.validated();
        results.end(0);
        let first = expected.encode_to_vec();
        let length = u32::try_from(first.len()).unwrap().to_be_bytes();
        let second = vec![0, 0, 0, 0, 4, 10, 2, 10, 0];
        prop_assert_eq!(results.finish(), [vec![0], length.to_vec(), first, second].concat());
    }

    #[test]
    fn the_answer_to_a_payment_is_written_as_the_message_is(
        position in 0..u64::MAX,
        hash in any::<[u8; 32]>(),
        micros in any::<i64>(),
        fund in balances_of_a_fund(),
        numbers in any::<[u32; 7]>(),
        principal in 1..=i64::from(u32::MAX),
        terms in loan_terms(),
        reference in "[!-~]{1,64}",
        people in prop::array::uniform4("[a-z0-9]{1,64}"),
        proposed_at in any::<u64>(),
    ) {
        let (fund_name, account_name, loan_name) = names();
        let idr = Currency::Idr;
        let [disbursed, principal_repaid, interest_paid, late_fees_paid, losses @ ..] =
            numbers.map(i64::from);
        let [written_off, claim_ended, recovered] = losses;
        let paid = LoanBalances {
            disbursed, principal_repaid, interest_paid, late_fees_paid, written_off, claim_ended,
            recovered,
        };
        let account =
            AccountBalances { disbursed, principal_repaid, written_off, ..Default::default() };
        let [chair, treasurer, maker, checker] =
            people.each_ref().map(|id| SharedName::new(PrincipalId::new(id).unwrap()));
        // Its balances are those of the receipt.
        let approval = Approval { checker: *checker, terms };
        let active = ActiveLoan::new(approval.into(), Standing::default());
        let mut loan = Loan {
            id: loan_name.loan,
            account: AccountIndex::new(0),
            principal: Amount::from_minor(principal).unwrap(),
            state: LoanState::Approved(active),
            contract_reference: Text::new(&reference).unwrap(),
            chair,
            treasurer,
            maker,
            proposed_at: Position::new(proposed_at),
        };
        let recorded_at = bergulir_chain::Timestamp::from_micros(micros);
        let receipt = BatchReceipt {
            position,
            record_hash: &hash,
            duplicate: false,
            fund: Some((fund_name.fund, &fund)),
            account: Some((account_name.account, &account)),
            loan: Some((loan_name.loan, principal, Some(&paid))),
        };
        let answer = payment(kab(), &receipt, recorded_at, &loan, idr).unwrap();

        let balances = loan_balances(&loan_name, principal, Some(&paid), idr);
        let left = disbursed - principal_repaid - written_off;
        let state = if written_off > 0 && left == 0 {
            pb::LoanState::WrittenOff
        } else if disbursed < principal {
            pb::LoanState::Approved
        } else if left > 0 {
            pb::LoanState::Disbursed
        } else {
            pb::LoanState::Settled
        };
        let [chair, treasurer, maker, checker] = people;
        let expected = pb::DisburseResponse {
            receipt: Some(pb::Receipt {
                position,
                record_hash: hash.to_vec(),
                log_size: position + 1,
                duplicate: false,
                recorded_at: Some(crate::record::recorded_at_to_wire(recorded_at)),
            }),
            balances: Some(pb::Balances {
                fund: Some(fund_balances(&fund_name, &fund, idr)),
                account: Some(account_balances(&account_name, &account, idr)),
                loan: Some(balances.clone()),
            }),
            loan: Some(pb::Loan {
                restructurings: Vec::new(),
                name: loan_name.to_string(),
                state: state as i32,
                balances: Some(balances),
                terms: Some(loan_terms_to_wire(&terms)),
                contract_reference: reference,
                chair,
                treasurer,
                maker,
                proposed_position: proposed_at,
                checker: Some(checker),
                expires_at: None,
            }),
        };
        prop_assert_eq!(answer.encode_to_vec(), expected.encode_to_vec());

        // What is not known of a loan is asked of the state.
        let other = BatchReceipt { loan: Some((loan_name.loan, principal, None)), ..receipt };
        prop_assert!(payment(kab(), &other, recorded_at, &loan, idr).is_none());
        loan.state = LoanState::Refused;
        prop_assert!(payment(kab(), &receipt, recorded_at, &loan, idr).is_none());
    }
}
