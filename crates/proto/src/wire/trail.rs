//! A page of a trail, written as bytes: of a hundred lines most of the time went into typed messages.

use core::marker::PhantomData;

use bergulir_chain::{Authentication, Timestamp};
use bergulir_domain::money::Currency;
use bergulir_domain::postings::{Book, JournalEntry};
use bergulir_domain::state::{AccountBalances, FundBalances, LoanBalances};
use bytes::Bytes;
use prost::encoding::encoded_len_varint;
use uuid::Uuid;

use super::balances::{of_account, of_fund, of_loan};
use super::framed::Framed;
use super::receipt::{MAX_MONEY_BYTES, Written};
use crate::enums::WireEnum as _;
use crate::in_order::{BYTES, put_bytes, put_number, put_varint, tag};
use crate::pb;
use crate::record::recorded_at_to_wire;

/// One line: what `TrailLine` says.
#[derive(Debug, Clone, Copy)]
pub struct TrailLine<'a> {
    /// The position of the record.
    pub position: u64,
    /// The hash of the record.
    pub record_hash: &'a [u8; 32],
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Who gave the command.
    pub principal: &'a str,
    /// How the server knew the principal.
    pub authentication: Authentication,
    /// The request id.
    pub request_id: [u8; 16],
    /// The bytes of the event, which the answer has as they are stored.
    pub event: &'a [u8],
    /// What it posted; `None` if no money moved.
    pub posted: Option<JournalEntry>,
    /// The balance right after it.
    pub balance: Option<TrailBalance<'a>>,
    /// The position of the record that reversed or returned it.
    pub reversed_by: Option<u64>,
    /// The position of the record that this one reverses or returns.
    pub reverses: Option<u64>,
}

/// The balance of a line, with the resource name of whose it is.
#[derive(Debug, Clone, Copy)]
pub enum TrailBalance<'a> {
    /// A fund's.
    Fund(&'a str, &'a FundBalances),
    /// An account's.
    Account(&'a str, &'a AccountBalances),
    /// A loan's, with its principal in minor units; no balances while it is not approved.
    Loan(&'a str, i64, Option<&'a LoanBalances>),
}

/// The answer to `ListTrail`, behind its head, as it is written line by line.
#[derive(Debug)]
pub struct TrailPage {
    answer: Framed,
    currency: Currency,
    _of: PhantomData<pb::ListTrailResponse>,
}

/// `ListTrailResponse.lines`, `.next_page_token` and `.as_of_position`.
const LINES: u8 = 1;
const NEXT_PAGE_TOKEN: u8 = 2;
const AS_OF_POSITION: u8 = 3;
/// `TrailLine.event`: the fields before it are written apart from those behind it, so that there is
/// no bound on its length.
const EVENT: u8 = 7;
/// About what a line takes.
const LINE_ROOM: usize = 448;
/// What stands before the event at most: a position, a hash, an instant, a principal of 255 bytes, and
/// a request id.
const MAX_BEFORE_BYTES: usize = 11 + 34 + 24 + 258 + 8 + 38 + 64;
/// What stands behind it at most: postings, balances under a name, and two positions.
const MAX_BEHIND_BYTES: usize =
    Book::ALL.len() * (MAX_MONEY_BYTES + 8) + 16 * MAX_MONEY_BYTES + MAX_NAME_BYTES + 64;
/// No resource name is longer: five kinds and ids of 32 bytes.
const MAX_NAME_BYTES: usize = 256;

impl TrailPage {
    /// With room for so many lines.
    pub fn with_room(lines: usize, currency: Currency) -> TrailPage {
        let mut answer = Framed::with_room((lines + 1) * LINE_ROOM);
        answer.begin();
        TrailPage { answer, currency, _of: PhantomData }
    }

    /// Adds the next line.
    pub fn line(&mut self, line: &TrailLine<'_>) {
        let (mut before, mut behind) = ([0; MAX_BEFORE_BYTES], [0; MAX_BEHIND_BYTES]);
        let before = line.before_the_event(Written::into(&mut before));
        let behind = line.behind_the_event(Written::into(&mut behind), self.currency);
        let event = line.event.len();
        let event = 1 + encoded_len_varint(event as u64) + event;
        let out = self.answer.out();
        out.push(tag(LINES, BYTES));
        put_varint((before.len() + event + behind.len()) as u64, out);
        out.extend_from_slice(before);
        put_bytes(EVENT, line.event, out);
        out.extend_from_slice(behind);
    }

    /// The whole page. An empty token: it is the last one.
    #[must_use]
    pub fn finish(mut self, next_page_token: &str, as_of_position: u64) -> Bytes {
        let out = self.answer.out();
        if !next_page_token.is_empty() {
            put_bytes(NEXT_PAGE_TOKEN, next_page_token.as_bytes(), out);
        }
        if as_of_position > 0 {
            put_number(AS_OF_POSITION, as_of_position, out);
        }
        self.answer.end();
        self.answer.finish()
    }
}

impl TrailLine<'_> {
    fn before_the_event<'w>(&self, mut out: Written<'w>) -> &'w [u8] {
        let recorded_at = recorded_at_to_wire(self.recorded_at);
        out.number(1, self.position);
        out.hash(2, self.record_hash);
        out.nested(3, |out| {
            out.number(1, recorded_at.seconds.cast_unsigned());
            out.number(2, i64::from(recorded_at.nanos).cast_unsigned());
        });
        out.text(4, self.principal.as_bytes());
        out.number(5, i64::from(self.authentication.to_wire()).cast_unsigned());
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let id = Uuid::from_bytes(self.request_id).hyphenated();
        out.text(6, id.encode_lower(&mut text).as_bytes());
        out.finish()
    }

    fn behind_the_event<'w>(&self, mut out: Written<'w>, currency: Currency) -> &'w [u8] {
        for (book, minor) in self.posted.iter().flat_map(JournalEntry::postings) {
            out.nested(8, |out| {
                out.number(1, i64::from(book.to_wire()).cast_unsigned());
                out.money(2, minor, currency);
            });
        }
        if let Some(balance) = self.balance {
            out.nested(9, |out| match balance {
                TrailBalance::Fund(name, balances) => out.nested(1, |out| {
                    out.text(1, name.as_bytes());
                    out.amounts(of_fund(balances), currency);
                }),
                TrailBalance::Account(name, balances) => out.nested(2, |out| {
                    out.text(1, name.as_bytes());
                    out.amounts(of_account(balances), currency);
                }),
                TrailBalance::Loan(name, principal, balances) => out.nested(3, |out| {
                    out.text(1, name.as_bytes());
                    out.amounts(of_loan(principal, balances), currency);
                }),
            });
        }
        for (field, position) in [(10, self.reversed_by), (11, self.reverses)] {
            if let Some(position) = position {
                out.present(field, position);
            }
        }
        out.finish()
    }
}

#[cfg(test)]
mod tests {
    use bergulir_domain::Event;
    use bergulir_domain::money::MAX_AMOUNT_MINOR;
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::event::{encode_event, event_to_wire};
    use crate::money::money_to_wire;
    use crate::record::request_id_to_wire;
    use crate::samples::{event, fund_balances};
    use crate::wire;

    const IDR: Currency = Currency::Idr;

    fn minor() -> impl Strategy<Value = i64> {
        prop_oneof![2 => Just(0), 2 => 0..=MAX_AMOUNT_MINOR, 1 => 1..300_i64]
    }

    fn account_balances() -> impl Strategy<Value = AccountBalances> {
        prop::array::uniform9(minor()).prop_map(|n| AccountBalances {
            pending: n[0],
            committed: n[1],
            disbursed: n[2],
            principal_repaid: n[3] / 4,
            interest_paid: n[4],
            late_fees_paid: n[5],
            granted: n[6],
            written_off: n[7] / 4,
            recovered: n[8],
        })
    }

    fn loan_balances() -> impl Strategy<Value = LoanBalances> {
        prop::array::uniform7(minor()).prop_map(|n| LoanBalances {
            disbursed: n[0],
            principal_repaid: n[1] / 4,
            interest_paid: n[2],
            late_fees_paid: n[3],
            written_off: n[4] / 4,
            claim_ended: n[5] / 4,
            recovered: n[6],
        })
    }

    #[derive(Debug, Clone)]
    enum Balance {
        None,
        Fund(FundBalances),
        Account(AccountBalances),
        Loan(i64, Option<LoanBalances>),
    }

    fn balance() -> impl Strategy<Value = Balance> {
        prop_oneof![
            Just(Balance::None),
            fund_balances().prop_map(Balance::Fund),
            account_balances().prop_map(Balance::Account),
            (minor(), prop::option::of(loan_balances())).prop_map(|(p, b)| Balance::Loan(p, b)),
        ]
    }

    fn posted() -> impl Strategy<Value = Option<JournalEntry>> {
        let book = || prop::sample::select(&Book::ALL[..]);
        let moves = prop::collection::vec((book(), book(), minor()), 0..9);
        prop::option::of(moves.prop_map(|moves| {
            let entry = JournalEntry::default();
            moves
                .into_iter()
                .fold(entry, |entry, (debit, credit, minor)| entry.and(debit, credit, minor))
        }))
    }

    proptest! {
        #[test]
        fn a_page_is_written_as_the_typed_message_says_it(
            events in prop::collection::vec(event(), 0..4),
            hash in any::<[u8; 32]>(),
            (position, as_of) in (prop_oneof![Just(0), any::<u64>()], prop_oneof![Just(0), any::<u64>()]),
            micros in prop_oneof![Just(0), -9_000_000_000_000_000..9_000_000_000_000_000_i64],
            principal in "[a-z]{1,40}|[a-z]{255}",
            request_id in any::<[u8; 16]>(),
            (posted, balance) in (posted(), balance()),
            (reversed_by, reverses) in (prop::option::of(0..3_u64), prop::option::of(any::<u64>())),
            token in "[0-9a-f]{0,200}",
        ) {
            let name = "ledgers/kab/funds/f/accounts/a-1";
            let mut page = TrailPage::with_room(events.len(), IDR);
            let mut lines = Vec::new();
            for event in &events {
                let mut bytes = Vec::new();
                encode_event(event, &mut bytes);
                page.line(&TrailLine {
                    position,
                    record_hash: &hash,
                    recorded_at: Timestamp::from_micros(micros),
                    principal: &principal,
                    authentication: Authentication::Stated,
                    request_id,
                    event: &bytes,
                    posted,
                    balance: match &balance {
                        Balance::None => None,
                        Balance::Fund(b) => Some(TrailBalance::Fund(name, b)),
                        Balance::Account(b) => Some(TrailBalance::Account(name, b)),
                        Balance::Loan(p, b) => Some(TrailBalance::Loan(name, *p, b.as_ref())),
                    },
                    reversed_by,
                    reverses,
                });
                lines.push(typed(event, name, &balance, posted.as_ref(), &pb::TrailLine {
                    position,
                    record_hash: hash.to_vec(),
                    recorded_at: Some(recorded_at_to_wire(Timestamp::from_micros(micros))),
                    principal: principal.clone(),
                    authentication: Authentication::Stated.to_wire(),
                    request_id: request_id_to_wire(request_id),
                    reversed_by,
                    reverses,
                    ..pb::TrailLine::default()
                }));
            }
            let expected = pb::ListTrailResponse {
                lines,
                next_page_token: token.clone(),
                as_of_position: as_of,
            };
            prop_assert_eq!(page.finish(&token, as_of), Framed::one(&expected));
        }
    }

    fn typed(
        event: &Event,
        name: &str,
        balance: &Balance,
        posted: Option<&JournalEntry>,
        line: &pb::TrailLine,
    ) -> pb::TrailLine {
        use pb::balance::Of;
        let account = crate::name::AccountName {
            ledger: "kab".parse().unwrap(),
            fund: "f".parse().unwrap(),
            account: "a-1".parse().unwrap(),
        };
        let of = match balance {
            Balance::None => None,
            Balance::Fund(b) => {
                let fund = crate::name::FundName { ledger: account.ledger, fund: account.fund };
                let balances = wire::fund_balances(&fund, b, IDR);
                Some(Of::Fund(pb::FundBalances { fund: name.to_owned(), ..balances }))
            }
            Balance::Account(b) => Some(Of::Account(wire::account_balances(&account, b, IDR))),
            Balance::Loan(principal, b) => {
                let loan = crate::name::LoanName {
                    ledger: account.ledger,
                    account: None,
                    loan: "l".parse().unwrap(),
                };
                let balances = wire::loan_balances(&loan, *principal, b.as_ref(), IDR);
                Some(Of::Loan(pb::LoanBalances { loan: name.to_owned(), ..balances }))
            }
        };
        let posting = |(book, minor): (Book, i64)| pb::Posting {
            book: book.to_wire(),
            amount: Some(money_to_wire(minor, IDR)),
        };
        pb::TrailLine {
            event: Some(event_to_wire(event)),
            postings: posted.iter().flat_map(|entry| entry.postings()).map(posting).collect(),
            balance: of.map(|of| pb::Balance { of: Some(of) }),
            ..line.clone()
        }
    }

    #[test]
    fn an_event_may_be_as_long_as_a_record() {
        // A field that no event has.
        let hash = [7; 32];
        let event = [vec![0xa2, 0x06, 0xe8, 0xfb, 0x03], vec![9; 65_000]].concat();
        let mut page = TrailPage::with_room(1, IDR);
        page.line(&TrailLine {
            position: 1,
            record_hash: &hash,
            recorded_at: Timestamp::from_micros(1),
            principal: "maker",
            authentication: Authentication::Stated,
            request_id: [1; 16],
            event: &event,
            posted: None,
            balance: None,
            reversed_by: None,
            reverses: None,
        });
        let answer = page.finish("", 1);
        let page = pb::ListTrailResponse::decode(&answer[super::super::HEAD_BYTES..]).unwrap();
        assert_eq!((page.lines.len(), page.as_of_position), (1, 1));
        assert_eq!(page.lines[0].principal, "maker");
    }
}
