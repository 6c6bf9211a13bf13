//! Commands and events of every kind, and what they are made of, for the tests of this crate.

mod commands;
mod events;

pub(crate) use commands::{command, frequent_command};
pub(crate) use events::event;

use bergulir_chain::note::{KeyName, SignerKey};
use bergulir_domain::command as c;
use bergulir_domain::cooperative::{ReadinessItem, ReadinessSet};
use bergulir_domain::id::Id;
use bergulir_domain::moment::{Position, Timestamp};
use bergulir_domain::money::{MAX_AMOUNT_MINOR, Rate};
use bergulir_domain::postings::{Book, Books, JournalEntry};
use bergulir_domain::state::FundBalances;
use bergulir_domain::terms::{
    InterestMethod, LoanTerms, PaymentPart, Purpose, RepaymentOrder, Terms,
};
use bergulir_domain::text::{Text, VerifierKey};
use bergulir_domain::{Amount, Date, Money, OfficerId};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

pub(crate) fn id<K: 'static>() -> impl Strategy<Value = Id<K>> {
    "[a-z0-9.-]{1,32}".prop_map(|text| Id::new(&text).unwrap())
}

fn officer() -> impl Strategy<Value = OfficerId> {
    "[A-Za-z0-9._:@/-]{1,64}".prop_map(|text| OfficerId::new(&text).unwrap())
}

fn text<const MAX: usize>() -> impl Strategy<Value = Text<MAX>> {
    "[A-Za-z0-9é/.,-]([A-Za-z0-9 é/.,-]{0,6}[A-Za-z0-9é/.,-])?"
        .prop_map(|text| Text::new(&text).unwrap())
}

fn amount() -> impl Strategy<Value = Amount> {
    prop_oneof![1..=MAX_AMOUNT_MINOR, Just(1), Just(MAX_AMOUNT_MINOR)]
        .prop_map(|minor| Amount::from_minor(minor).unwrap())
}

fn money() -> impl Strategy<Value = Money> {
    prop_oneof![0..=MAX_AMOUNT_MINOR, Just(0)].prop_map(|minor| Money::from_minor(minor).unwrap())
}

fn date() -> impl Strategy<Value = Date> {
    // 0001-01-01 to 9999-12-31
    prop_oneof![1_721_426..=5_373_484_i32, Just(2_440_588)]
        .prop_map(|day| Date::from_julian_day(day).unwrap())
}

fn position() -> impl Strategy<Value = Position> {
    prop_oneof![1..=u64::MAX, 1..1000_u64].prop_map(Position::new)
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    (-62_135_596_800_000_000..=253_402_300_799_999_999_i64).prop_map(Timestamp::from_micros)
}

fn bank_reference() -> impl Strategy<Value = c::BankReference> {
    (text(), text(), option::of(any::<u32>()))
        .prop_map(|(bank, reference, line)| c::BankReference { bank, reference, line })
}

fn evidence() -> impl Strategy<Value = c::Evidence> {
    (text(), any::<[u8; 32]>())
        .prop_map(|(reference, salted_digest)| c::Evidence { reference, salted_digest })
}

pub(crate) fn loan_terms() -> BoxedStrategy<LoanTerms> {
    let order = Just([PaymentPart::LateFee, PaymentPart::Interest, PaymentPart::Principal])
        .prop_shuffle()
        .prop_map(|parts| RepaymentOrder::new(&parts).unwrap());
    let method = select(vec![InterestMethod::Flat, InterestMethod::Declining]);
    let rate = (0..=1_000_000_u32).prop_map(|units| Rate::from_units(units).unwrap());
    let tenor = (1..=600_u16).prop_flat_map(|tenor| (Just(tenor), 0..tenor));
    (rate, method, tenor, any::<bool>(), option::of(order), any::<bool>())
        .prop_map(
            |(
                rate,
                method,
                (tenor_months, grace_months),
                bears,
                repayment_order,
                relend_income,
            )| {
                let none = rate.to_units() == 0;
                LoanTerms {
                    rate,
                    method: if none { InterestMethod::None } else { method },
                    tenor_months,
                    grace_months,
                    grace_bears_interest: bears,
                    repayment_order,
                    relend_income,
                }
            },
        )
        .boxed()
}

fn terms() -> BoxedStrategy<Terms> {
    let purpose = prop_oneof![loan_terms().prop_map(Purpose::Loan), Just(Purpose::Grant)];
    let items = subsequence(ReadinessItem::ALL.to_vec(), 0..=7);
    (purpose, amount(), items, option::of(1..=366_u16), option::of(money()))
        .prop_map(|(purpose, ceiling, items, proposal_validity_days, above)| Terms {
            purpose,
            ceiling,
            required_readiness: items.into_iter().collect::<ReadinessSet>(),
            proposal_validity_days,
            disbursement_approval_above: above,
        })
        .boxed()
}

fn write_off_kind() -> impl Strategy<Value = c::WriteOffKind> {
    select(vec![c::WriteOffKind::Conditional, c::WriteOffKind::Absolute])
}

/// The public key of a log's key with this seed.
pub(crate) fn verifier_key(origin: &str, seed: [u8; 32]) -> VerifierKey {
    let key = SignerKey::from_seed(KeyName::new(origin).unwrap(), &seed).unwrap();
    Text::new(&key.verifier().to_string()).unwrap()
}

/// A tranche as the pilot pays it out.
pub(crate) fn a_disbursement() -> c::Disburse {
    c::Disburse {
        loan: Id::new("l-36.03.01.2003-1").unwrap(),
        amount: Amount::from_minor(10_000_000_000).unwrap(),
        bank_reference: c::BankReference {
            bank: Text::new("BJB").unwrap(),
            reference: Text::new("FT26061700012345").unwrap(),
            line: Some(274),
        },
        value_date: Date::from_julian_day(2_461_209).unwrap(),
    }
}

/// An instalment as the pilot's borrowers pay it.
pub(crate) fn a_repayment() -> c::Repay {
    let part = |minor| Some(Money::from_minor(minor).unwrap());
    c::Repay {
        loan: Id::new("l-36.03.01.2003-1").unwrap(),
        amount: Amount::from_minor(348_484_800).unwrap(),
        principal: part(303_030_300),
        interest: part(45_454_500),
        late_fee: part(0),
        bank_reference: a_disbursement().bank_reference,
        value_date: a_disbursement().value_date,
    }
}

/// A fund after a payment of each kind.
pub(crate) fn fund_balances() -> impl Strategy<Value = FundBalances> {
    let pairs = [
        (Book::Cash, Book::Capital),
        (Book::PrincipalReceivable, Book::Cash),
        (Book::Cash, Book::InterestIncome),
        (Book::Cash, Book::LateFeeIncome),
        (Book::GrantExpense, Book::Cash),
        (Book::Cash, Book::Suspense),
        (Book::WriteOffLoss, Book::PrincipalReceivable),
        (Book::Cash, Book::RecoveryIncome),
    ];
    (any::<[u32; 8]>(), any::<[i32; 3]>()).prop_map(move |(amounts, numbers)| {
        let post = |books: Books, ((debit, credit), amount): ((Book, Book), u32)| {
            books.with(&JournalEntry::of(debit, credit, amount.into())).expect("small amounts")
        };
        let [income_apart, committed, reserved] = numbers.map(i64::from);
        let books = pairs.into_iter().zip(amounts).fold(Books::default(), post);
        FundBalances { books, income_apart, committed, reserved }
    })
}
