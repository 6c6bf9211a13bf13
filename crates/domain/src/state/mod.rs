//! What the decisions of a ledger rest on: everything that its records add up to, and nothing that
//! grows with their number (request ids and bank references are looked up, not kept here).

mod accounts;
mod ahead;
mod bank_accounts;
mod chunks;
mod cooperatives;
mod days;
mod entities;
mod held;
mod names;
mod rare;
mod recorded;
mod restructurings;
mod standing;
mod tranches;

pub mod encoding;

pub use accounts::{Account, AccountBalances};
pub use ahead::LOOK_AHEAD;
pub use cooperatives::{AccountsOf, Confirmations, Cooperative};
pub use days::Days;
pub use entities::{
    ActiveLoan, Allocation, Fund, FundBalances, Loan, LoanBalances, LoanState, Proposal,
    Reservation, Subject, Undone,
};
pub use held::Held;
pub use names::{Approval, SharedName};
pub use recorded::{Index, Register, Row, Table};
pub use restructurings::Restructuring;
pub use standing::Standing;
pub use tranches::{RareTranches, Tranche, Tranches};

use crate::command::{BankAccount, OpenLedger};
pub(crate) use entities::Claim;
use names::Common;
use recorded::Recorded;

use crate::id::{AccountId, CooperativeId, FundId, LoanId, PrincipalId};
use crate::moment::{Date, Position, Timestamp, UtcOffset};
use crate::rejection::{Rejection, Resource};
use crate::text::VerifierKey;
use crate::touched::Touched;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A fund's place in the state.
pub type FundIndex = Index<Fund>;
/// A cooperative's place in the state.
pub type CooperativeIndex = Index<Cooperative>;
/// An account's place in the state.
pub type AccountIndex = Index<Account>;
/// A loan's place in the state.
pub type LoanIndex = Index<Loan>;

/// The state of a ledger after some record.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub(crate) head: Head,
    pub(crate) funds: Table<Fund>,
    pub(crate) cooperatives: Table<Cooperative>,
    pub(crate) accounts: Table<Account>,
    pub(crate) loans: Table<Loan>,
    /// What waits for a second person, by the record that proposed it.
    pub(crate) proposals: Register<Position, Proposal>,
    /// The record that was undone → what undid it.
    pub(crate) undone: Register<Position, Undone>,
    /// The bank accounts that accounts were changed to, by the record that did it.
    bank_accounts: Register<Position, (AccountIndex, BankAccount)>,
    /// The last day of each fund's last closed period.
    pub(crate) closed: Register<FundIndex, Date>,
    /// The terms that loans got, by the record that did it.
    pub(crate) restructurings: Register<(LoanIndex, Position), Restructuring>,
    // Derived from the above, and so not part of its encoding:
    pub(crate) expiries: Register<(Timestamp, Position), ()>,
    /// The loans of which something is written off.
    pub(crate) written_off: Register<LoanIndex, ()>,
    /// The one proposal that is pending about something, of those that exclude each other.
    pub(crate) claimed: Register<Claim, Position>,
    bank_account_changes: Register<AccountIndex, Position>,
    bank_account_owners: Register<BankAccount, CooperativeIndex>,
    reserved_bank_accounts: Register<(BankAccount, Position), ()>,
    /// The names in all rows.
    names: Common<PrincipalId>,
    /// The approvals in all rows of loans.
    approvals: Common<Approval>,
    /// The payments that stand of a loan that has none yet: as much of payments as this state keeps.
    pub(crate) none_stand: Standing,
    head_before: Option<Head>,
}

/// The few facts of a state that are not tables.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    /// What position 0 said, and the names that the ledger has since it was continued; `None` before
    /// position 0.
    pub(crate) opened: Option<OpenLedger>,
    /// The rules in force.
    pub(crate) rules_version: u32,
    /// How many records led here.
    pub(crate) size: u64,
    /// The last seal's `through`.
    pub(crate) sealed_through: Option<Position>,
    /// The keys of the log after the one of position 0, by the record that named each.
    pub(crate) rotated_keys: BTreeMap<Position, VerifierKey>,
}

impl State {
    /// What position 0 said, with the ledger's name and origin as they are now: a ledger that was
    /// continued has others. `None` before position 0.
    pub fn opened(&self) -> Option<&OpenLedger> {
        self.head.opened.as_ref()
    }
    /// The rules in force; 0 before position 0.
    pub fn rules_version(&self) -> u32 {
        self.head.rules_version
    }
    /// How many records led to this state: the position of the next one.
    pub fn size(&self) -> u64 {
        self.head.size
    }
    /// The last position that a seal covers.
    pub fn sealed_through(&self) -> Option<Position> {
        self.head.sealed_through
    }
    /// The keys of the log and the records that named them, in their order: the last one signs its
    /// checkpoints from its record on. None if position 0 names none and no later record does. A key
    /// begins with the origin that the log had then: those of an earlier one sign no more.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = (Position, &VerifierKey)> {
        let first = self.opened().and_then(|opened| opened.verifier_key.as_ref());
        let rotated = self.head.rotated_keys.iter().map(|(at, key)| (*at, key));
        first.map(|key| (Position::new(0), key)).into_iter().chain(rotated)
    }
    /// The funds, in the order in which they were opened.
    pub fn funds(&self) -> &Table<Fund> {
        &self.funds
    }
    /// The cooperatives, in the order in which they were registered.
    pub fn cooperatives(&self) -> &Table<Cooperative> {
        &self.cooperatives
    }
    /// The accounts, in the order in which they were opened.
    pub fn accounts(&self) -> &Table<Account> {
        &self.accounts
    }
    /// The loans, in the order in which they were proposed.
    pub fn loans(&self) -> &Table<Loan> {
        &self.loans
    }
    /// What waits for a second person, by the record that proposed it.
    pub fn proposals(&self) -> &Register<Position, Proposal> {
        &self.proposals
    }
    /// The last day of a fund's last closed period; no posting has it, or one before, as its value
    /// date any more.
    pub fn closed_through(&self, fund: FundIndex) -> Option<Date> {
        self.closed.get(&fund).copied()
    }
    /// What undid this record, if something did: a reversal, or a return by the bank.
    pub fn undone(&self, position: Position) -> Option<Undone> {
        self.undone.get(&position).copied()
    }

    /// A name as rows hold it.
    pub(crate) fn share(&mut self, name: PrincipalId) -> SharedName {
        self.names.share(name)
    }

    /// An approval as rows hold it.
    pub(crate) fn share_approval(&mut self, approval: Approval) -> Arc<Approval> {
        self.approvals.share(approval)
    }

    /// Has rows that were made one by one share their names and approvals.
    fn share_common(&mut self) {
        let State { cooperatives, loans, names, approvals, .. } = self;
        let mut share = |name: &mut SharedName| *name = names.share(**name);
        cooperatives.each_mut(|cooperative| {
            cooperative.chair.iter_mut().for_each(&mut share);
            cooperative.treasurer.iter_mut().for_each(&mut share);
        });
        loans.each_mut(|loan| {
            share(&mut loan.chair);
            share(&mut loan.treasurer);
            share(&mut loan.maker);
            if let LoanState::Approved(active) = &mut loan.state {
                active.approval = approvals.share(*active.approval);
            }
        });
    }

    /// The same state, which keeps of the payments to loans that stand their days alone.
    pub(crate) fn keeping_days(&self) -> State {
        let loans = self.loans.copied(|loan| {
            let mut loan = loan.clone();
            if let LoanState::Approved(active) = &mut loan.state {
                active.tranches = active.tranches.as_days();
            }
            loan
        });
        // One by one: a copy of all loans as they are would be most of the memory.
        State {
            head: self.head.clone(),
            funds: self.funds.clone(),
            cooperatives: self.cooperatives.clone(),
            accounts: self.accounts.clone(),
            loans,
            proposals: self.proposals.clone(),
            undone: self.undone.clone(),
            bank_accounts: self.bank_accounts.clone(),
            closed: self.closed.clone(),
            restructurings: self.restructurings.clone(),
            expiries: self.expiries.clone(),
            written_off: self.written_off.clone(),
            claimed: self.claimed.clone(),
            bank_account_changes: self.bank_account_changes.clone(),
            bank_account_owners: self.bank_account_owners.clone(),
            reserved_bank_accounts: self.reserved_bank_accounts.clone(),
            names: self.names.clone(),
            approvals: self.approvals.clone(),
            none_stand: self.none_stand.as_days(),
            head_before: None,
        }
    }

    /// Where an instant becomes a date.
    pub(crate) fn utc_offset(&self) -> UtcOffset {
        self.head.opened.as_ref().map_or(UtcOffset::UTC, |opened| opened.utc_offset)
    }
    pub(crate) fn today(&self, now: Timestamp) -> Result<Date, Rejection> {
        now.date(self.utc_offset()).ok_or(Rejection::TimeOutOfRange { time: now })
    }

    pub(crate) fn find_fund(&self, id: FundId) -> Result<(FundIndex, &Fund), Rejection> {
        let index = self.funds.find(&id).ok_or(Rejection::NotFound(Resource::Fund(id)))?;
        Ok((index, self.funds.get(index)))
    }
    pub(crate) fn find_cooperative(
        &self,
        id: CooperativeId,
    ) -> Result<(CooperativeIndex, &Cooperative), Rejection> {
        let index =
            self.cooperatives.find(&id).ok_or(Rejection::NotFound(Resource::Cooperative(id)))?;
        Ok((index, self.cooperatives.get(index)))
    }
    pub(crate) fn find_account(
        &self,
        fund: FundId,
        id: AccountId,
    ) -> Result<(AccountIndex, &Account), Rejection> {
        let (fund_index, _) = self.find_fund(fund)?;
        let index = self
            .accounts
            .find(&(fund_index, id))
            .ok_or(Rejection::NotFound(Resource::Account(fund, id)))?;
        Ok((index, self.accounts.get(index)))
    }
    pub(crate) fn find_loan(&self, id: LoanId) -> Result<(LoanIndex, &Loan), Rejection> {
        let index = self.loans.find(&id).ok_or(Rejection::NotFound(Resource::Loan(id)))?;
        Ok((index, self.loans.get(index)))
    }
    /// As [`find_loan`](Self::find_loan), for whoever knows where it most likely is.
    pub(crate) fn find_loan_near(
        &self,
        id: LoanId,
        near: Option<LoanIndex>,
    ) -> Result<(LoanIndex, &Loan), Rejection> {
        let found = self.loans.find_near(&id, near);
        let index = found.ok_or(Rejection::NotFound(Resource::Loan(id)))?;
        Ok((index, self.loans.get(index)))
    }
    pub(crate) fn find_proposal(&self, at: Position) -> Result<&Proposal, Rejection> {
        self.proposals.get(&at).ok_or(Rejection::ProposalNotPending { proposal: at })
    }

    /// Remembers the state as it is now, to come back to by [`State::roll_back`]. For an atomic
    /// batch: decide and evolve each command, then keep all or roll back all.
    pub fn mark(&mut self) {
        self.head_before = Some(self.head.clone());
        self.each(|collection| collection.mark());
    }
    /// Forgets the mark.
    pub fn keep(&mut self) {
        self.head_before = None;
        self.each(|collection| collection.keep());
    }
    /// Undoes all since the mark; nothing if there is none.
    pub fn roll_back(&mut self) {
        if let Some(head) = self.head_before.take() {
            self.head = head;
        }
        self.each(|collection| collection.roll_back());
    }

    fn each(&mut self, act: fn(&mut dyn Recorded)) {
        act(&mut self.funds);
        act(&mut self.cooperatives);
        act(&mut self.accounts);
        act(&mut self.loans);
        act(&mut self.proposals);
        act(&mut self.undone);
        act(&mut self.expiries);
        act(&mut self.written_off);
        act(&mut self.claimed);
        act(&mut self.bank_accounts);
        act(&mut self.closed);
        act(&mut self.restructurings);
        act(&mut self.bank_account_changes);
        act(&mut self.bank_account_owners);
        act(&mut self.reserved_bank_accounts);
    }
}

/// Lets time pass: what nobody decided on before `now` lapses and releases what it reserved.
/// Called before every decision and before every evolution; twice is as good as once.
///
/// Gives whom each lapsed proposal concerned: their balances changed, and no record says so.
pub fn advance(state: &mut State, now: Timestamp) -> Vec<Touched> {
    let mut concerned = Vec::new();
    while let Some((&(expires_at, proposal), ())) = state.expiries.first() {
        if expires_at > now {
            break;
        }
        concerned.push(Touched::proposal(state, proposal));
        let lapsed = state.release(proposal);
        if let Subject::Loan(loan) = lapsed.subject {
            state.loans.get_mut(loan).state = LoanState::Expired;
        }
    }
    concerned
}

impl State {
    /// Whether a proposal has lapsed by `now` that no record has released yet.
    pub fn has_lapsed(&self, now: Timestamp) -> bool {
        self.expiries.first().is_some_and(|((expires_at, _), ())| *expires_at <= now)
    }

    /// Looks at the state as it is at an instant after its last record, with what has lapsed since
    /// then released, and leaves it as it was: time is not a record.
    pub fn look_at<R>(&mut self, now: Timestamp, look: impl FnOnce(&State) -> R) -> R {
        self.mark();
        advance(self, now);
        let seen = look(self);
        self.roll_back();
        seen
    }

    /// Adds a proposal and reserves what it would use.
    pub(crate) fn reserve(&mut self, at: Position, proposal: Proposal) {
        self.apply_reservation(&proposal.reservation, 1);
        self.expiries.insert((proposal.expires_at, at), ());
        if let Some(claim) = proposal.subject.claim() {
            self.claimed.insert(claim, at);
        }
        if let Subject::BankAccountChange { bank_account, .. } = &proposal.subject {
            self.reserved_bank_accounts.insert((bank_account.clone(), at), ());
        }
        self.proposals.insert(at, proposal);
    }

    /// Takes a proposal away and releases what it reserved.
    pub(crate) fn release(&mut self, at: Position) -> Proposal {
        let proposal = self.proposals.remove(&at).expect("decide and expiry name pending ones");
        self.expiries.remove(&(proposal.expires_at, at));
        if let Some(claim) = proposal.subject.claim() {
            self.claimed.remove(&claim);
        }
        if let Subject::BankAccountChange { bank_account, .. } = &proposal.subject {
            self.reserved_bank_accounts.remove(&(bank_account.clone(), at));
        }
        self.apply_reservation(&proposal.reservation, -1);
        proposal
    }

    fn apply_reservation(&mut self, reservation: &Reservation, sign: i64) {
        let fund = self.funds.get_mut(reservation.fund);
        fund.balances.reserved += sign * reservation.committable;
        if let Some((position, amount)) = reservation.allocation
            && let Some(allocation) = fund.allocations.get_mut(&position)
        {
            allocation.reserved += sign * amount;
        }
        if let Some((account, amount)) = reservation.ceiling {
            let account = self.accounts.get_paid(account);
            account.change_balances(|balances| balances.pending += sign * amount);
        }
        if let Some((loan, amount)) = reservation.headroom
            && let LoanState::Approved(active) = &mut self.loans.get_paid(loan).state
        {
            active.change(|_, reserved| *reserved += sign * amount);
        }
    }
}
