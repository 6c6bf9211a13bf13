//! The canonical encoding of a state: the bytes that a seal's state digest is over and that a
//! snapshot holds. Fixed for a rules version; described in `docs/format.md`.
//!
//! Integers are little-endian, texts carry their length in two bytes, lists in four. Tables stand
//! in the order in which their rows were added, maps in the order of their keys. What can be
//! derived is left out and derived again.

use super::{
    Account, AccountBalances, ActiveLoan, Allocation, Confirmations, Cooperative, Fund,
    FundBalances, Head, Index, Loan, LoanBalances, LoanState, Proposal, Register, Reservation, Row,
    SharedName, State, Subject, Table, Tranche, Tranches, Undone,
};
use crate::command::{BankAccount, OpenLedger};
use crate::cooperative::{CooperativeKind, ReadinessItem, ReadinessSet};
use crate::event::{Paid, Undoes};
use crate::id::{Id, PrincipalId};
use crate::ledger::{Origin, RULES_VERSIONS};
use crate::moment::{Date, Position, Timestamp, UtcOffset};
use crate::money::{Amount, Currency, Money, Rate};
use crate::postings::Books;
use crate::rejection::AccountStatus;
use crate::terms::{InterestMethod, LoanTerms, PaymentPart, Purpose, RepaymentOrder, Terms};
use crate::text::Text;
use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;

/// The version of the encoding of a state, its first byte: that of the rules in force, and 1 before
/// position 0. Version 2 is version 1 and then what version 2 of the rules added. `None` if the
/// rules are not known here.
fn version_of(head: &Head) -> Option<u8> {
    let version = head.rules_version.max(1);
    RULES_VERSIONS.contains(&version).then(|| version.try_into().ok()).flatten()
}

/// Why bytes are not the encoding of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end too early.
    #[error("the bytes end inside a value")]
    Short,
    /// Bytes follow the state.
    #[error("{0} bytes follow the state")]
    Trailing(usize),
    /// The encoding is of another version.
    #[error("version {0} of the state encoding is not known here")]
    Version(u8),
    /// A value that the domain does not allow.
    #[error("a value of type {0} is not one")]
    Invalid(&'static str),
}

impl State {
    /// Appends the canonical encoding of the state.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.encode_in_pieces(out, &mut |_| ());
    }

    /// Appends the same, for whoever need not have all of it at once: `more` is shown the buffer
    /// after each row, and may take out what is in it.
    pub fn encode_in_pieces(&self, out: &mut Vec<u8>, more: &mut impl FnMut(&mut Vec<u8>)) {
        self.put_before_rows(out, more);
        put_rows(&self.cooperatives, out, more);
        put_rows(&self.accounts, out, more);
        put_rows(&self.loans, out, more);
        self.put_after_rows(out, more);
    }

    fn version(&self) -> u8 {
        version_of(&self.head).expect("decide accepts known rules only")
    }

    /// What stands before the tables that are large.
    pub(super) fn put_before_rows(&self, out: &mut Vec<u8>, more: &mut impl FnMut(&mut Vec<u8>)) {
        out.push(self.version());
        self.head.put(out);
        put_rows(&self.funds, out, more);
    }

    /// What stands behind them.
    pub(super) fn put_after_rows(&self, out: &mut Vec<u8>, more: &mut impl FnMut(&mut Vec<u8>)) {
        self.proposals.put(out);
        more(out);
        self.undone.put(out);
        more(out);
        if self.version() >= 2 {
            self.approvals_asked().put(out);
            self.bank_accounts.put(out);
            self.closed.put(out);
            more(out);
        }
    }

    /// Which terms ask for a second person where more than an amount is disbursed.
    fn approvals_asked(&self) -> BTreeMap<(Index<Fund>, Date), Money> {
        let terms = self.funds.iter().flat_map(|(index, fund)| {
            fund.terms.iter().map(move |(from, terms)| ((index, *from), terms))
        });
        let asked = |terms: &Terms| terms.disbursement_approval_above;
        terms.filter_map(|(key, terms)| Some((key, asked(terms)?))).collect()
    }

    /// The state of a canonical encoding.
    pub fn decode(bytes: &[u8]) -> Result<State, DecodeError> {
        let from = &mut Reader(bytes);
        let version = u8::take(from)?;
        if !RULES_VERSIONS.contains(&version.into()) {
            return Err(DecodeError::Version(version));
        }
        let mut state = State {
            head: Canonical::take(from)?,
            funds: Canonical::take(from)?,
            cooperatives: Canonical::take(from)?,
            accounts: Canonical::take(from)?,
            loans: Canonical::take(from)?,
            proposals: Canonical::take(from)?,
            undone: Canonical::take(from)?,
            ..State::default()
        };
        if version_of(&state.head) != Some(version) {
            return Err(DecodeError::Invalid("version of a state under these rules"));
        }
        if version >= 2 {
            state.ask_approvals(Canonical::take(from)?)?;
            state.bank_accounts = Canonical::take(from)?;
            state.closed = Canonical::take(from)?;
        } else if state.proposals.iter().any(|(_, proposal)| is_of_version_2(&proposal.subject)) {
            return Err(DecodeError::Invalid("subject under version 1"));
        }
        if !from.0.is_empty() {
            return Err(DecodeError::Trailing(from.0.len()));
        }
        state.check_indices()?;
        state.share_names();
        state.derive();
        Ok(state)
    }

    /// Undoes [`State::approvals_asked`].
    fn ask_approvals(
        &mut self,
        asked: BTreeMap<(Index<Fund>, Date), Money>,
    ) -> Result<(), DecodeError> {
        for ((fund, day), above) in asked {
            let inside = (fund.get() as usize) < self.funds.len();
            let terms = inside.then(|| &mut self.funds.get_mut(fund).terms);
            let terms = terms.and_then(|terms| terms.iter_mut().find(|(from, _)| *from == day));
            let (_, terms) = terms.ok_or(DecodeError::Invalid("terms that ask for approval"))?;
            terms.disbursement_approval_above = Some(above);
        }
        Ok(())
    }

    /// Every index of a decoded state names a row, so that nothing that follows can miss.
    fn check_indices(&self) -> Result<(), DecodeError> {
        fn within<T: Row + Clone>(table: &Table<T>, index: Index<T>) -> Result<(), DecodeError> {
            let inside = (index.get() as usize) < table.len();
            if inside { Ok(()) } else { Err(DecodeError::Invalid("index")) }
        }
        for (_, account) in self.accounts.iter() {
            within(&self.funds, account.fund)?;
            within(&self.cooperatives, account.cooperative)?;
        }
        for (_, loan) in self.loans.iter() {
            within(&self.accounts, loan.account)?;
        }
        if self.funds.iter().any(|(_, fund)| fund.terms.is_empty()) {
            return Err(DecodeError::Invalid("fund without terms"));
        }
        for (_, cooperative) in self.cooperatives.iter() {
            for account in &cooperative.accounts {
                within(&self.accounts, *account)?;
            }
        }
        for (fund, _) in self.closed.iter() {
            within(&self.funds, *fund)?;
        }
        for (_, (account, _)) in self.bank_accounts.iter() {
            within(&self.accounts, *account)?;
        }
        for (_, proposal) in self.proposals.iter() {
            let reservation = &proposal.reservation;
            within(&self.funds, reservation.fund)?;
            reservation.ceiling.map_or(Ok(()), |(account, _)| within(&self.accounts, account))?;
            reservation.headroom.map_or(Ok(()), |(loan, _)| within(&self.loans, loan))?;
            match proposal.subject {
                Subject::Loan(loan) => within(&self.loans, loan)?,
                Subject::AllocationWithdrawal { fund, .. } | Subject::PeriodClose { fund, .. } => {
                    within(&self.funds, fund)?;
                }
                Subject::Reversal { .. } | Subject::Disbursement { .. } => {}
                Subject::BankAccountChange { account, .. } => within(&self.accounts, account)?,
            }
        }
        Ok(())
    }

    fn derive(&mut self) {
        for (at, proposal) in self.proposals.iter() {
            self.expiries.insert((proposal.expires_at, *at), ());
            if let Some(claim) = proposal.subject.claim() {
                self.claimed.insert(claim, *at);
            }
            if let Subject::BankAccountChange { bank_account, .. } = &proposal.subject {
                self.reserved_bank_accounts.insert((bank_account.clone(), *at), ());
            }
        }
        for (at, (account, bank_account)) in self.bank_accounts.iter() {
            self.bank_account_changes.insert(*account, *at);
            let cooperative = self.accounts.get(*account).cooperative;
            self.bank_account_owners.insert(bank_account.clone(), cooperative);
        }
    }
}

/// Whether only version 2 of the rules knows it.
fn is_of_version_2(subject: &Subject) -> bool {
    match subject {
        Subject::Loan(_) | Subject::AllocationWithdrawal { .. } | Subject::Reversal { .. } => false,
        Subject::Disbursement { .. }
        | Subject::BankAccountChange { .. }
        | Subject::PeriodClose { .. } => true,
    }
}

/// What is left of the bytes.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(head)
    }
}

/// A value with exactly one encoding.
pub(super) trait Canonical: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn take(from: &mut Reader) -> Result<Self, DecodeError>;
}

macro_rules! canonical_integers {
    ($($type:ty),*) => {$(
        impl Canonical for $type {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn take(from: &mut Reader) -> Result<Self, DecodeError> {
                let bytes = from.bytes(size_of::<$type>())?;
                Ok(<$type>::from_le_bytes(bytes.try_into().map_err(|_| DecodeError::Short)?))
            }
        }
    )*};
}
canonical_integers!(u8, u16, u32, u64, i16, i32, i64);

/// A struct is its fields, one after the other.
macro_rules! canonical_structs {
    ($($type:ident { $($field:ident),* $(,)? })*) => {$(
        impl Canonical for $type {
            fn put(&self, out: &mut Vec<u8>) {
                let $type { $($field),* } = self;
                $($field.put(out);)*
            }
            fn take(from: &mut Reader) -> Result<Self, DecodeError> {
                Ok($type { $($field: Canonical::take(from)?),* })
            }
        }
    )*};
}
canonical_structs! {
    Head { opened, rules_version, size, sealed_through, rotated_keys }
    OpenLedger { ledger, origin, verifier_key, region, currency, utc_offset, rules_version }
    Fund { id, name, opening_date, terms, balances, allocations }
    FundBalances { books, income_apart, committed, reserved }
    Allocation { amount, withdrawn, reserved }
    LoanTerms {
        rate, method, tenor_months, grace_months, grace_bears_interest, repayment_order,
        relend_income,
    }
    Cooperative { id, village, kind, name, number, chair, treasurer, confirmed, accounts }
    BankAccount { bank, number }
    Account { id, fund, cooperative, first_bank_account, status, balances, grants }
    AccountBalances {
        pending, committed, disbursed, principal_repaid, interest_paid, late_fees_paid, granted,
    }
    Tranche { position, value_date, amount }
    Loan { id, account, principal, contract_reference, chair, treasurer, maker, proposed_at, state }
    ActiveLoan { checker, terms, balances, reserved, tranches }
    LoanBalances { disbursed, principal_repaid, interest_paid, late_fees_paid }
    Proposal { maker, expires_at, subject, reservation }
    Reservation { fund, committable, allocation, ceiling, headroom }
}

/// An enum is a byte that tells its variant, and the variant's fields.
macro_rules! canonical_enums {
    ($($type:ident {
        $($tag:literal => $variant:ident $(($($unnamed:ident),*))? $({ $($field:ident),* })?),*
        $(,)?
    })*) => {$(
        impl Canonical for $type {
            fn put(&self, out: &mut Vec<u8>) {
                match self {$(
                    $type::$variant $(($($unnamed),*))? $({ $($field),* })? => {
                        out.push($tag);
                        $($($unnamed.put(out);)*)?
                        $($($field.put(out);)*)?
                    }
                )*}
            }
            fn take(from: &mut Reader) -> Result<Self, DecodeError> {
                match u8::take(from)? {
                    $($tag => {
                        $($(let $unnamed = Canonical::take(from)?;)*)?
                        $($(let $field = Canonical::take(from)?;)*)?
                        Ok($type::$variant $(($($unnamed),*))? $({ $($field),* })?)
                    })*
                    _ => Err(DecodeError::Invalid(stringify!($type))),
                }
            }
        }
    )*};
}
canonical_enums! {
    Currency { 1 => Idr }
    CooperativeKind { 1 => Kdmp, 2 => Kkmp }
    AccountStatus { 1 => Open, 2 => Suspended, 3 => Closed }
    InterestMethod { 1 => None, 2 => Flat, 3 => Declining }
    PaymentPart { 1 => LateFee, 2 => Interest, 3 => Principal }
    Purpose { 1 => Loan(terms), 2 => Grant }
    LoanState { 1 => Pending { expires_at }, 2 => Refused, 3 => Withdrawn, 4 => Expired, 5 => Approved(active) }
    Undone { 1 => Returned(by), 2 => Reversed(by) }
    Paid { 1 => Loan(loan), 2 => Grant(fund, account) }
    Subject {
        1 => Loan(loan),
        2 => AllocationWithdrawal { fund, allocation, amount },
        3 => Reversal { reverses, undoes },
        4 => Disbursement { paid, amount },
        5 => BankAccountChange { account, bank_account },
        6 => PeriodClose { fund, through },
    }
    Undoes {
        1 => Allocation { fund, amount },
        2 => AllocationWithdrawal { fund, allocation, amount },
        3 => Disbursement { paid, amount },
        4 => Return { disbursement, paid, amount, disbursed_on },
        5 => Repayment { loan, principal, interest, late_fee, relend_income },
    }
}

/// A value that is written as another one and checked on the way back.
macro_rules! canonical_as {
    ($($type:ty as $other:ty, |$value:ident| $to:expr, |$raw:ident| $from:expr;)*) => {$(
        impl Canonical for $type {
            fn put(&self, out: &mut Vec<u8>) {
                let $value = self;
                Canonical::put(&$to, out);
            }
            fn take(from: &mut Reader) -> Result<Self, DecodeError> {
                let $raw: $other = Canonical::take(from)?;
                ($from).ok_or(DecodeError::Invalid(stringify!($type)))
            }
        }
    )*};
}
canonical_as! {
    bool as u8, |b| u8::from(*b), |n| match n { 0 => Some(false), 1 => Some(true), _ => None };
    Position as u64, |p| p.get(), |n| Some(Position::new(n));
    Timestamp as i64, |t| t.as_micros(), |n| Some(Timestamp::from_micros(n));
    Date as i32, |d| d.to_julian_day(), |n| Date::from_julian_day(n).ok();
    UtcOffset as i16, |o| o.minutes(), |n| UtcOffset::from_minutes(i32::from(n));
    Amount as i64, |a| a.minor(), |n| Amount::from_minor(n).ok();
    Money as i64, |m| m.minor(), |n| Money::from_minor(n).ok();
    Rate as u32, |r| r.to_units(), |n| Rate::from_units(n).ok();
    Books as [i64; 9], |b| *b.balances(), |n| Books::new(n);
    Confirmations as [Option<Position>; ReadinessItem::ALL.len()],
        |c| c.positions(), |positions| Confirmations::of(positions);
    ReadinessSet as u8, |s| s.bits(), |n| ReadinessSet::from_bits(n);
    RepaymentOrder as [PaymentPart; 3], |o| o.parts(), |parts| RepaymentOrder::new(&parts).ok();
}

/// A value that is written as its text.
macro_rules! canonical_texts {
    ($($(<$($generic:tt),*>)? $type:ty, |$text:ident| $from:expr;)*) => {$(
        impl Canonical for $type {
            fn put(&self, out: &mut Vec<u8>) {
                put_text(&self.to_string(), out);
            }
            fn take(from: &mut Reader) -> Result<Self, DecodeError> {
                let $text = take_text(from)?;
                ($from).map_err(|_| DecodeError::Invalid(stringify!($type)))
            }
        }
    )*};
}
canonical_texts! {
    PrincipalId, |text| PrincipalId::new(text);
    crate::ledger::Region, |text| text.parse();
    crate::cooperative::VillageCode, |text| text.parse();
}

/// Without what version 2 added to them, which stands at the end of its states.
impl Canonical for Terms {
    fn put(&self, out: &mut Vec<u8>) {
        let Terms { purpose, ceiling, required_readiness, proposal_validity_days, .. } = self;
        purpose.put(out);
        ceiling.put(out);
        required_readiness.put(out);
        proposal_validity_days.put(out);
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        Ok(Terms {
            purpose: Canonical::take(from)?,
            ceiling: Canonical::take(from)?,
            required_readiness: Canonical::take(from)?,
            proposal_validity_days: Canonical::take(from)?,
            disbursement_approval_above: None,
        })
    }
}

impl<K> Canonical for Id<K> {
    fn put(&self, out: &mut Vec<u8>) {
        put_text(self.as_str(), out);
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        Id::new(take_text(from)?).map_err(|_| DecodeError::Invalid("id"))
    }
}

impl Canonical for Origin {
    fn put(&self, out: &mut Vec<u8>) {
        put_text(self.as_str(), out);
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        Origin::new(take_text(from)?).map_err(|_| DecodeError::Invalid("origin"))
    }
}

impl<const MAX: usize> Canonical for Text<MAX> {
    fn put(&self, out: &mut Vec<u8>) {
        put_text(self.as_str(), out);
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        Text::new(take_text(from)?).map_err(|_| DecodeError::Invalid("text"))
    }
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    let length = u16::try_from(text.len()).expect("every text type has a limit below 2^16");
    length.put(out);
    out.extend_from_slice(text.as_bytes());
}

fn take_text<'a>(from: &mut Reader<'a>) -> Result<&'a str, DecodeError> {
    let length = u16::take(from)?;
    let bytes = from.bytes(usize::from(length))?;
    core::str::from_utf8(bytes).map_err(|_| DecodeError::Invalid("text"))
}

impl<T> Canonical for Index<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.get().put(out);
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        u32::take(from).map(Index::new)
    }
}

impl<T: Canonical> Canonical for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        bool::take(from)?.then(|| T::take(from)).transpose()
    }
}

impl<A: Canonical, B: Canonical> Canonical for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        Ok((A::take(from)?, B::take(from)?))
    }
}

impl<T: Canonical, const N: usize> Canonical for [T; N] {
    fn put(&self, out: &mut Vec<u8>) {
        for value in self {
            value.put(out);
        }
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        let values = (0..N).map(|_| T::take(from)).collect::<Result<Vec<T>, _>>()?;
        values.try_into().map_err(|_| DecodeError::Short)
    }
}

pub(super) fn put_length(length: usize, out: &mut Vec<u8>) {
    u32::try_from(length).expect("a state has fewer than 2^32 of anything").put(out);
}

impl<T: Canonical> Canonical for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        for value in self {
            value.put(out);
        }
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        (0..u32::take(from)?).map(|_| T::take(from)).collect()
    }
}

impl Canonical for SharedName {
    fn put(&self, out: &mut Vec<u8>) {
        (**self).put(out);
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        PrincipalId::take(from).map(SharedName::new)
    }
}

impl Canonical for Tranches {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        self.iter().for_each(|tranche| tranche.put(out));
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        (0..u32::take(from)?).map(|_| Tranche::take(from)).collect()
    }
}

/// Keys must ascend: a map has one encoding only.
fn take_map<K: Canonical + Ord + Clone, V: Canonical>(
    from: &mut Reader,
    mut add: impl FnMut(K, V),
) -> Result<(), DecodeError> {
    let mut last: Option<K> = None;
    for _ in 0..u32::take(from)? {
        let (key, value) = <(K, V)>::take(from)?;
        if last.as_ref().is_some_and(|last| *last >= key) {
            return Err(DecodeError::Invalid("order of keys"));
        }
        last = Some(key.clone());
        add(key, value);
    }
    Ok(())
}

impl<K: Canonical + Ord + Clone, V: Canonical> Canonical for BTreeMap<K, V> {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        for (key, value) in self {
            key.put(out);
            value.put(out);
        }
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        let mut map = BTreeMap::new();
        take_map(from, |key, value| {
            map.insert(key, value);
        })?;
        Ok(map)
    }
}

impl<K: Canonical + Ord + Clone, V: Canonical + Clone> Canonical for Register<K, V> {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        for (key, value) in self.iter() {
            key.put(out);
            value.put(out);
        }
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        let mut register = Register::default();
        take_map(from, |key, value| register.insert(key, value))?;
        Ok(register)
    }
}

fn put_rows<T: Row + Canonical + Clone>(
    table: &Table<T>,
    out: &mut Vec<u8>,
    more: &mut impl FnMut(&mut Vec<u8>),
) {
    put_length(table.len(), out);
    for (_, row) in table.iter() {
        row.put(out);
        more(out);
    }
}

impl<T: Row + Canonical + Clone> Canonical for Table<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_rows(self, out, &mut |_| ());
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        let mut table = Table::default();
        for _ in 0..u32::take(from)? {
            let row = T::take(from)?;
            if table.find(&row.key()).is_some() {
                return Err(DecodeError::Invalid("key that is used twice"));
            }
            table.push(row);
        }
        Ok(table)
    }
}
