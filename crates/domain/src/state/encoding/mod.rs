//! The canonical encoding of a state: the bytes that a seal's state digest is over and that a
//! snapshot holds. Fixed for a rules version; described in `docs/format.md`.
//!
//! Integers are little-endian, texts carry their length in two bytes, lists in four. Tables stand
//! in the order in which their rows were added, maps in the order of their keys. What can be
//! derived is left out and derived again.

mod canonical;
mod tables;
mod values;

use super::{Fund, Head, Index, Loan, LoanState, Row, State, Subject, Table};
use crate::event::Undoes;
use crate::ledger::RULES_VERSIONS;
use crate::moment::Date;
use crate::money::Money;
use crate::terms::Terms;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use tables::put_rows;

pub(super) use canonical::{Canonical, Reader, put_length};

/// The version of the encoding of a state, its first byte: that of the rules in force, and 1 before
/// position 0. Each is the one before it and then what its rules added. `None` if the
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
        if self.version() >= 3 {
            self.written_off().put(out);
            self.restructurings.put(out);
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

    /// What was written off of loans, what of that is a claim no more, and what came back.
    fn written_off(&self) -> BTreeMap<Index<Loan>, [i64; 3]> {
        let loans = self.written_off.iter().map(|(index, ())| (*index, self.loans.get(*index)));
        let active = loans.filter_map(|(index, loan)| Some((index, loan.active()?)));
        let numbers = active.map(|(index, active)| {
            let b = active.balances();
            (index, [b.written_off, b.claim_ended, b.recovered])
        });
        numbers.filter(|(_, numbers)| *numbers != [0; 3]).collect()
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
        }
        if version >= 3 {
            state.take_written_off(Canonical::take(from)?)?;
            state.restructurings = Canonical::take(from)?;
        }
        if state.proposals.iter().any(|(_, proposal)| version < since(&proposal.subject)) {
            return Err(DecodeError::Invalid("subject under these rules"));
        }
        if !from.0.is_empty() {
            return Err(DecodeError::Trailing(from.0.len()));
        }
        state.check_indices()?;
        state.share_common();
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

    /// Undoes [`State::written_off`]. An account has what its loans have.
    fn take_written_off(
        &mut self,
        numbers: BTreeMap<Index<Loan>, [i64; 3]>,
    ) -> Result<(), DecodeError> {
        const INVALID: DecodeError = DecodeError::Invalid("loan of which something is written off");
        for (index, numbers) in numbers {
            let inside = (index.get() as usize) < self.loans.len() && numbers != [0; 3];
            let loan = inside.then(|| self.loans.get_mut(index)).ok_or(INVALID)?;
            let LoanState::Approved(active) = &mut loan.state else {
                return Err(INVALID);
            };
            self.written_off.insert(index, ());
            let [written_off, claim_ended, recovered] = numbers;
            active.change(|balances, _| {
                (balances.written_off, balances.claim_ended, balances.recovered) =
                    (written_off, claim_ended, recovered);
            });
            within(&self.accounts, loan.account)?;
            let account = self.accounts.get_mut(loan.account);
            let mut balances = account.balances();
            for (total, number) in
                [(&mut balances.written_off, written_off), (&mut balances.recovered, recovered)]
            {
                *total = total.checked_add(number).ok_or(INVALID)?;
            }
            account.change_balances(|changed| *changed = balances);
        }
        Ok(())
    }

    /// Every index of a decoded state names a row, so that nothing that follows can miss.
    fn check_indices(&self) -> Result<(), DecodeError> {
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
            for account in cooperative.accounts.iter() {
                within(&self.accounts, *account)?;
            }
        }
        for (fund, _) in self.closed.iter() {
            within(&self.funds, *fund)?;
        }
        for ((loan, _), _) in self.restructurings.iter() {
            within(&self.loans, *loan)?;
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
                Subject::Loan(loan)
                | Subject::WriteOff { loan, .. }
                | Subject::Restructuring { loan, .. } => {
                    within(&self.loans, loan)?;
                }
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

fn within<T: Row + Clone>(table: &Table<T>, index: Index<T>) -> Result<(), DecodeError> {
    let inside = (index.get() as usize) < table.len();
    if inside { Ok(()) } else { Err(DecodeError::Invalid("index")) }
}

/// The oldest rules that know it.
fn since(subject: &Subject) -> u8 {
    match subject {
        Subject::Reversal { undoes: Undoes::WriteOff { .. } | Undoes::Recovery { .. }, .. }
        | Subject::WriteOff { .. }
        | Subject::Restructuring { .. } => 3,
        Subject::Disbursement { .. }
        | Subject::BankAccountChange { .. }
        | Subject::PeriodClose { .. } => 2,
        Subject::Loan(_) | Subject::AllocationWithdrawal { .. } | Subject::Reversal { .. } => 1,
    }
}
