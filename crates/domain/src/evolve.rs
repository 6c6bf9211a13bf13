//! What an accepted event changes. Total: a decision made sure that it can happen.

use crate::command::{AppointOfficer, OpenAccount, RegisterCooperative};
use crate::cooperative::Office;
use crate::decide::{disbursement_reserves, loan_reserves, reversal_reserves, withdrawal_reserves};
use crate::event::{DisbursementReturned, Event, Header, Paid, Undoes};
use crate::id::{AccountId, FundId, LoanId};
use crate::journal::{disbursement, journal, payment_received};
use crate::moment::{Date, Position};
use crate::money::Amount;
use crate::rejection::AccountStatus;
use crate::state::{
    Account, AccountIndex, AccountsOf, ActiveLoan, Allocation, Approval, Confirmations,
    Cooperative, Fund, FundBalances, Loan, LoanIndex, LoanState, Proposal, Reservation,
    Restructuring, State, Subject, Tranche, Undone, advance,
};
use crate::touched::{Touched, closed_proposal};
use alloc::sync::Arc;
use alloc::vec;

const DECIDED: &str = "decide accepted the event on this very state";

/// Applies an event that [`decide`](crate::decide::decide) accepted on this state, and says whom it
/// concerned.
///
/// # Panics
/// If the event was not accepted on this state: then it is a bug of the caller's, for records from
/// a disk are decided again before they are applied.
pub fn evolve(state: &mut State, header: &Header, event: &Event) -> Touched {
    evolve_with(state, header, event, Beside::default())
}

/// What is known of an event beside what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Beside {
    /// Where the loan that it pays most likely is.
    pub(crate) near: Option<LoanIndex>,
    /// The value date of the payment to a loan that it takes back. Only a state needs it that keeps
    /// nothing else of such payments.
    pub(crate) paid_on: Option<Date>,
}

/// As [`evolve`], for whoever knows more of the event.
pub(crate) fn evolve_with(
    state: &mut State,
    header: &Header,
    event: &Event,
    beside: Beside,
) -> Touched {
    advance(state, header.recorded_at);
    let known = known(state, event, beside.near);
    apply(state, header, event, known, beside.paid_on)
}

/// As [`evolve`], on another copy of a state on which `evolve` said before whom the event concerned:
/// so that nobody has to be found again. [`advance`] brought the state to the time of the record already.
///
/// # Panics
/// As [`evolve`].
pub fn evolve_again(
    state: &mut State,
    header: &Header,
    event: &Event,
    touched: Touched,
) -> Touched {
    match event {
        Event::Disbursed(_) | Event::Repaid(_) => apply(state, header, event, Some(touched), None),
        _ => evolve(state, header, event),
    }
}

fn apply(
    state: &mut State,
    header: &Header,
    event: &Event,
    known: Option<Touched>,
    paid_on: Option<Date>,
) -> Touched {
    let entry = match (known.and_then(|known| known.fund), event) {
        (Some(fund), Event::Disbursed(e)) => Some((fund, disbursement(e))),
        (Some(fund), Event::Repaid(e)) => Some((fund, payment_received(&e.command))),
        _ => journal(state, event),
    };
    if let Some((fund, entry)) = entry {
        let books = &mut state.funds.get_mut(fund).balances.books;
        *books = books.with(&entry).expect(DECIDED);
    }
    let at = header.position;
    match event {
        Event::LedgerOpened(e) => {
            state.head.opened = Some((**e).clone());
            state.head.rules_version = e.rules_version;
        }
        Event::RulesAdopted(e) => state.head.rules_version = e.version,
        Event::KeyRotated(e) => {
            state.head.rotated_keys.insert(at, e.verifier_key.clone());
        }
        Event::LedgerContinued(e) => {
            let opened = state.head.opened.as_mut().expect(DECIDED);
            opened.ledger = e.ledger;
            opened.origin = e.origin.clone();
            state.head.rotated_keys.insert(at, e.verifier_key.clone());
        }
        Event::FundOpened(e) => {
            state.funds.push(Fund {
                id: e.fund,
                name: e.name.clone(),
                opening_date: e.opening_date,
                terms: vec![(e.opening_date, e.terms)],
                balances: FundBalances::default(),
                allocations: alloc::collections::BTreeMap::new(),
            });
        }
        Event::TermsChanged(e) => {
            let terms = &mut state.fund_mut(e.fund).terms;
            match terms.binary_search_by_key(&e.effective_from, |(from, _)| *from) {
                Ok(same_day) => terms[same_day].1 = e.terms,
                Err(place) => terms.insert(place, (e.effective_from, e.terms)),
            }
        }
        Event::FundAllocated(e) => {
            let allocation = Allocation { amount: e.amount, withdrawn: 0, reserved: 0 };
            state.fund_mut(e.fund).allocations.insert(at, allocation);
        }
        Event::AllocationWithdrawalProposed(e) => {
            let c = &e.command;
            let fund = state.funds.find(&c.fund).expect(DECIDED);
            let (allocation, amount) = (c.allocation, c.amount);
            let subject = Subject::AllocationWithdrawal { fund, allocation, amount };
            let reservation = withdrawal_reserves(fund, allocation, amount);
            state.propose(header, e.expires_at, subject, reservation);
        }
        Event::AllocationWithdrawn(e) => {
            if let Subject::AllocationWithdrawal { fund, allocation, amount } =
                state.release(e.proposal).subject
            {
                let fund = state.funds.get_mut(fund);
                fund.allocations.get_mut(&allocation).expect(DECIDED).withdrawn += amount.minor();
            }
        }
        Event::PeriodCloseProposed(e) => {
            let fund = state.funds.find(&e.command.fund).expect(DECIDED);
            let subject = Subject::PeriodClose { fund, through: e.command.through };
            state.propose(header, e.expires_at, subject, Reservation::of(fund, 0));
        }
        Event::PeriodClosed(e) => {
            state.release(e.command.proposal);
            let fund = state.funds.find(&e.fund).expect(DECIDED);
            state.closed.insert(fund, e.through);
        }
        Event::CooperativeRegistered(e) => state.register(e),
        Event::OfficerAppointed(e) => state.appoint(e),
        Event::ReadinessConfirmed(e) => {
            let index = state.cooperatives.find(&e.cooperative).expect(DECIDED);
            state.cooperatives.get_mut(index).confirmed.confirm(e.item, at);
        }
        Event::AccountOpened(e) => state.open_account(e),
        Event::AccountSuspended(e) => {
            state.account_mut(e.fund, e.account).status = AccountStatus::Suspended;
        }
        Event::AccountResumed(e) => {
            state.account_mut(e.fund, e.account).status = AccountStatus::Open;
        }
        Event::AccountClosed(e) => {
            state.account_mut(e.fund, e.account).status = AccountStatus::Closed;
        }
        Event::BankAccountChangeProposed(e) => {
            let c = &e.command;
            let account = state.account_index(c.fund, c.account);
            let reservation = Reservation::of(state.accounts.get(account).fund, 0);
            let bank_account = c.bank_account.clone();
            let subject = Subject::BankAccountChange { account, bank_account };
            state.propose(header, e.expires_at, subject, reservation);
        }
        Event::BankAccountChanged(e) => {
            state.release(e.command.proposal);
            let account = state.account_index(e.fund, e.account);
            state.change_bank_account(at, account, e.bank_account.clone());
        }
        Event::LoanProposed(e) => {
            let c = &e.command;
            let fund = state.funds.find(&c.fund).expect(DECIDED);
            let account = state.accounts.find(&(fund, c.account)).expect(DECIDED);
            let [chair, treasurer, maker] =
                [c.chair, c.treasurer, header.principal].map(|name| state.share(name));
            let loan = state.loans.push(Loan {
                id: c.loan,
                account,
                principal: c.principal,
                contract_reference: c.contract_reference.clone(),
                chair,
                treasurer,
                maker,
                proposed_at: at,
                state: LoanState::Pending { expires_at: e.expires_at },
            });
            let reservation = loan_reserves(fund, account, c.principal);
            state.propose(header, e.expires_at, Subject::Loan(loan), reservation);
        }
        Event::LoanApproved(e) => {
            let index = state.close_proposal_of(e.command.loan);
            let approval = Approval { checker: header.principal, terms: e.terms };
            let approval = state.share_approval(approval);
            let tranches = state.none_stand.clone();
            let loan = state.loans.get_mut(index);
            loan.state = LoanState::Approved(ActiveLoan::new(approval, tranches));
            let (account, principal) = (loan.account, loan.principal.minor());
            state.commit(account, principal);
        }
        Event::LoanRefused(e) => {
            let index = state.close_proposal_of(e.loan);
            state.loans.get_mut(index).state = LoanState::Refused;
        }
        Event::LoanWithdrawn(e) => {
            let index = state.close_proposal_of(e.loan);
            state.loans.get_mut(index).state = LoanState::Withdrawn;
        }
        Event::Disbursed(e) => {
            let tranche = Tranche { position: at, value_date: e.value_date, amount: e.amount };
            state.pay_out_of(known.and_then(|known| known.loan).expect(DECIDED), tranche);
        }
        Event::GrantDisbursed(e) => {
            let tranche = Tranche { position: at, value_date: e.value_date, amount: e.amount };
            state.pay_out(Paid::Grant(e.fund, e.account), tranche);
        }
        Event::DisbursementProposed(e) => {
            let (paid, amount) = (e.command.payee.paid(), e.command.amount);
            let reservation = disbursement_reserves(state, paid, amount);
            let subject = Subject::Disbursement { paid, amount };
            state.propose(header, e.expires_at, subject, reservation);
        }
        Event::DisbursementApproved(e) => {
            state.release(e.command.proposal);
            let (value_date, amount) = (e.command.value_date, e.amount);
            state.pay_out(e.paid, Tranche { position: at, value_date, amount });
        }
        Event::DisbursementReturned(e) => state.come_back(e, at, paid_on),
        Event::Repaid(e) => {
            let loan = known.and_then(|known| known.loan).expect(DECIDED);
            state.receive(loan, e.command.parts(), e.relend_income);
        }
        Event::WriteOffProposed(e) => {
            let c = &e.command;
            let loan = state.loan_index(c.loan);
            let fund = state.accounts.get(state.loans.get(loan).account).fund;
            let subject = Subject::WriteOff { loan, kind: c.kind, amount: c.amount };
            state.propose(header, e.expires_at, subject, Reservation::of(fund, 0));
        }
        Event::WrittenOff(e) => {
            state.release(e.command.proposal);
            state.write_off(e.loan, [e.principal.minor(), e.kind.ends(e.amount), 0]);
        }
        Event::Recovered(e) => state.write_off(e.loan, [0, 0, e.amount.minor()]),
        Event::RestructuringProposed(e) => {
            let c = &e.command;
            let loan = state.loan_index(c.loan);
            let fund = state.accounts.get(state.loans.get(loan).account).fund;
            let (effective_from, terms) = (c.effective_from, c.terms);
            let subject = Subject::Restructuring { loan, effective_from, terms };
            state.propose(header, e.expires_at, subject, Reservation::of(fund, 0));
        }
        Event::Restructured(e) => {
            state.release(e.command.proposal);
            let new = Restructuring { effective_from: e.effective_from, terms: e.terms };
            state.restructurings.insert((state.loan_index(e.loan), at), new);
        }
        Event::ReversalProposed(e) => {
            let (fund, _) = crate::journal::reversal(state, e.undoes).expect(DECIDED);
            let reverses = e.command.reverses;
            let reservation = reversal_reserves(state, fund, reverses, e.undoes);
            let subject = Subject::Reversal { reverses, undoes: e.undoes };
            state.propose(header, e.expires_at, subject, reservation);
        }
        Event::Reversed(e) => {
            if let Subject::Reversal { reverses, undoes } = state.release(e.proposal).subject {
                state.undo(reverses, undoes, at, paid_on);
            }
        }
        Event::ProposalRefused(e) => {
            state.release(e.proposal);
        }
        Event::ProposalWithdrawn(e) => {
            state.release(e.proposal);
        }
        Event::Sealed(e) => state.head.sealed_through = Some(e.through),
    }
    state.head.size = at.get() + 1;
    known.unwrap_or_else(|| Touched::by(state, event))
}

/// Whom an event concerns, where that has to be asked before it, or can be once for all: finding
/// a loan is what costs most in a payment.
fn known(state: &State, event: &Event, near: Option<LoanIndex>) -> Option<Touched> {
    match event {
        Event::Disbursed(e) => Some(Touched::loan_near(state, e.loan, near)),
        Event::Repaid(e) => Some(Touched::loan_near(state, e.command.loan, near)),
        _ => closed_proposal(event).map(|proposal| Touched::proposal(state, proposal)),
    }
}

impl State {
    fn fund_mut(&mut self, id: FundId) -> &mut Fund {
        let index = self.funds.find(&id).expect(DECIDED);
        self.funds.get_mut(index)
    }

    fn account_mut(&mut self, fund: FundId, id: AccountId) -> &mut Account {
        let index = self.account_index(fund, id);
        self.accounts.get_mut(index)
    }

    fn account_index(&self, fund: FundId, id: AccountId) -> AccountIndex {
        let fund = self.funds.find(&fund).expect(DECIDED);
        self.accounts.find(&(fund, id)).expect(DECIDED)
    }

    fn loan_index(&self, id: LoanId) -> LoanIndex {
        self.loans.find(&id).expect(DECIDED)
    }

    /// A loan whose numbers change, and to which tranches are added; nothing else of it changes.
    fn active_paid(&mut self, index: LoanIndex) -> (AccountIndex, &mut ActiveLoan) {
        active_of(self.loans.get_paid(index))
    }

    fn register(&mut self, e: &Arc<RegisterCooperative>) {
        self.cooperatives.push(Cooperative {
            registered: Arc::clone(e),
            chair: None,
            treasurer: None,
            confirmed: Confirmations::default(),
            accounts: AccountsOf::default(),
        });
    }

    fn appoint(&mut self, e: &AppointOfficer) {
        let index = self.cooperatives.find(&e.cooperative).expect(DECIDED);
        let officer = Some(self.share(e.officer));
        let cooperative = self.cooperatives.get_mut(index);
        match e.office {
            Office::Chair => cooperative.chair = officer,
            Office::Treasurer => cooperative.treasurer = officer,
        }
    }

    fn open_account(&mut self, e: &OpenAccount) {
        let fund = self.funds.find(&e.fund).expect(DECIDED);
        let cooperative = self.cooperatives.find(&e.cooperative).expect(DECIDED);
        let account =
            self.accounts.push(Account::new(e.account, fund, cooperative, &e.bank_account));
        self.cooperatives.get_mut(cooperative).accounts.push(account);
    }

    fn propose(
        &mut self,
        header: &Header,
        expires_at: crate::Timestamp,
        subject: Subject,
        reservation: Reservation,
    ) {
        let maker = header.principal;
        self.reserve(header.position, Proposal { maker, expires_at, subject, reservation });
    }

    fn close_proposal_of(&mut self, loan: LoanId) -> LoanIndex {
        let index = self.loans.find(&loan).expect(DECIDED);
        self.release(self.loans.get(index).proposed_at);
        index
    }

    /// Promises more of a fund to an account; a negative amount promises less.
    fn commit(&mut self, account: AccountIndex, minor: i64) {
        let account = self.accounts.get_paid(account);
        account.change_balances(|balances| balances.committed += minor);
        self.funds.get_mut(account.fund).balances.committed += minor;
    }

    fn pay_out(&mut self, paid: Paid, tranche: Tranche) {
        let minor = tranche.amount.minor();
        match paid {
            Paid::Loan(loan) => self.pay_out_of(self.loan_index(loan), tranche),
            Paid::Grant(fund, account) => {
                let account = self.account_mut(fund, account);
                account.change_balances(|balances| balances.granted += minor);
                account.add_grant(tranche);
            }
        }
    }

    fn pay_out_of(&mut self, loan: LoanIndex, tranche: Tranche) {
        let minor = tranche.amount.minor();
        let (account, active) = self.active_paid(loan);
        active.change(|balances, _| balances.disbursed += minor);
        active.tranches.push(tranche);
        let account = self.accounts.get_paid(account);
        account.change_balances(|balances| {
            balances.disbursed += minor;
            balances.committed -= minor;
        });
        self.funds.get_mut(account.fund).balances.committed -= minor;
    }

    /// Undoes [`State::pay_out`]: the tranche stands no more, and the loan may be paid anew.
    fn take_back(&mut self, paid: Paid, position: Position, amount: Amount, paid_on: Option<Date>) {
        let minor = amount.minor();
        match paid {
            Paid::Loan(loan) => {
                let loan = self.loan_index(loan);
                let (account, active) = active_of(self.loans.get_mut(loan));
                active.change(|balances, _| balances.disbursed -= minor);
                active.tranches.remove(position, paid_on);
                let paid = self.accounts.get_paid(account);
                paid.change_balances(|balances| balances.disbursed -= minor);
                self.commit(account, minor);
            }
            Paid::Grant(fund, account) => {
                let account = self.account_mut(fund, account);
                account.change_balances(|balances| balances.granted -= minor);
                account.remove_grant(position);
            }
        }
    }

    fn come_back(&mut self, e: &DisbursementReturned, at: Position, paid_on: Option<Date>) {
        let disbursement = e.command.disbursement;
        self.take_back(e.paid, disbursement, e.amount, paid_on);
        self.undone.insert(disbursement, Undone::Returned(at));
    }

    /// Books the parts of a payment on its loan, account and fund; negative parts undo it.
    fn receive(&mut self, loan: LoanIndex, parts: [i64; 3], relend_income: bool) {
        let [principal, interest, late_fee] = parts;
        let (account, active) = self.active_paid(loan);
        active.change(|balances, _| {
            balances.principal_repaid += principal;
            balances.interest_paid += interest;
            balances.late_fees_paid += late_fee;
        });
        let account = self.accounts.get_paid(account);
        account.change_balances(|balances| {
            balances.principal_repaid += principal;
            balances.interest_paid += interest;
            balances.late_fees_paid += late_fee;
        });
        if !relend_income {
            let fund = account.fund;
            self.funds.get_mut(fund).balances.income_apart += interest + late_fee;
        }
    }

    /// Books what was written off, what of the claim ended and what came back, on the loan and its
    /// account; negative numbers undo it.
    fn write_off(&mut self, loan: LoanId, [written_off, claim_ended, recovered]: [i64; 3]) {
        let loan = self.loan_index(loan);
        let (account, active) = self.active_paid(loan);
        active.change(|balances, _| {
            balances.written_off += written_off;
            balances.claim_ended += claim_ended;
            balances.recovered += recovered;
        });
        let balances = active.balances();
        let is_any = [balances.written_off, balances.claim_ended, balances.recovered] != [0; 3];
        let account = self.accounts.get_paid(account);
        account.change_balances(|balances| {
            balances.written_off += written_off;
            balances.recovered += recovered;
        });
        if is_any {
            self.written_off.insert(loan, ());
        } else {
            self.written_off.remove(&loan);
        }
    }

    fn undo(&mut self, position: Position, undoes: Undoes, by: Position, paid_on: Option<Date>) {
        match undoes {
            Undoes::Allocation { fund, .. } => {
                self.fund_mut(fund).allocations.remove(&position);
            }
            Undoes::AllocationWithdrawal { fund, allocation, amount } => {
                let fund = self.fund_mut(fund);
                fund.allocations.get_mut(&allocation).expect(DECIDED).withdrawn -= amount.minor();
            }
            Undoes::Disbursement { paid, amount } => {
                self.take_back(paid, position, amount, paid_on);
            }
            Undoes::Return { disbursement, paid, amount, disbursed_on } => {
                self.stand_again(disbursement, paid, amount, disbursed_on);
            }
            Undoes::Repayment { loan, principal, interest, late_fee, relend_income } => {
                let parts = [principal, interest, late_fee].map(|part| -part.minor());
                self.receive(self.loan_index(loan), parts, relend_income);
            }
            Undoes::WriteOff { loan, kind, amount, principal } => {
                self.write_off(loan, [-principal.minor(), -kind.ends(amount), 0]);
            }
            Undoes::Recovery { loan, amount } => self.write_off(loan, [0, 0, -amount.minor()]),
        }
        self.undone.insert(position, Undone::Reversed(by));
    }

    fn stand_again(
        &mut self,
        disbursement: Position,
        paid: Paid,
        amount: Amount,
        value_date: Date,
    ) {
        self.undone.remove(&disbursement);
        self.pay_out(paid, Tranche { position: disbursement, value_date, amount });
    }
}

fn active_of(loan: &mut Loan) -> (AccountIndex, &mut ActiveLoan) {
    match &mut loan.state {
        LoanState::Approved(active) => (loan.account, active),
        LoanState::Pending { .. }
        | LoanState::Refused
        | LoanState::Withdrawn
        | LoanState::Expired => unreachable!("{DECIDED}"),
    }
}
