//! From the state to the resources of the wire.

use crate::services::CURRENCY;
use bergulir_domain::event::Paid;
use bergulir_domain::rejection::Resource;
use bergulir_domain::state::{
    AccountBalances, AccountIndex, ActiveLoan, CooperativeIndex, FundBalances, FundIndex,
    LoanBalances, LoanIndex, LoanState, Proposal, Subject,
};
use bergulir_domain::{
    AccountId, Amount, CooperativeId, Date, FundId, LedgerId, LoanId, Position, State, Timestamp,
    UtcOffset,
};
use bergulir_proto::name::{AccountName, CooperativeName, FundName, LoanName, ledger_name};
use bergulir_proto::wire::{self, loan_terms_to_wire, terms_to_wire};
use bergulir_proto::{
    WireEnum, bank_account, date_to_wire, fund_kind, money_to_wire, pb, timestamp_to_wire,
};
use tonic::Status;

use crate::refusal::not_found;

/// The state of one ledger, looked at on one day.
pub(crate) struct View<'a> {
    pub(crate) ledger: LedgerId,
    pub(crate) state: &'a State,
    /// The day in the ledger's UTC offset.
    today: Option<Date>,
}

impl<'a> View<'a> {
    pub(crate) fn new(ledger: LedgerId, state: &'a State, now: Timestamp) -> View<'a> {
        let offset = state.opened().map_or(UtcOffset::UTC, |opened| opened.utc_offset);
        View { ledger, state, today: now.date(offset) }
    }

    pub(crate) fn find_fund(&self, id: FundId) -> Result<FundIndex, Status> {
        let found = self.state.funds().find(&id);
        found.ok_or_else(|| not_found(Resource::Fund(id)))
    }

    pub(crate) fn find_cooperative(&self, id: CooperativeId) -> Result<CooperativeIndex, Status> {
        let found = self.state.cooperatives().find(&id);
        found.ok_or_else(|| not_found(Resource::Cooperative(id)))
    }

    pub(crate) fn find_account(&self, fund: FundId, id: AccountId) -> Result<AccountIndex, Status> {
        let found = self.state.accounts().find(&(self.find_fund(fund)?, id));
        found.ok_or_else(|| not_found(Resource::Account(fund, id)))
    }

    /// A loan, by either of its names.
    pub(crate) fn find_loan(&self, name: &LoanName) -> Result<LoanIndex, Status> {
        let missing = || not_found(Resource::Loan(name.loan));
        let found = self.state.loans().find(&name.loan).ok_or_else(missing)?;
        match name.account {
            Some(stated) if self.loan_name(found).account != Some(stated) => Err(missing()),
            Some(_) | None => Ok(found),
        }
    }

    /// The fund that gave a loan.
    pub(crate) fn fund_of_loan(&self, index: LoanIndex) -> FundId {
        let account = self.state.loans().get(index).account;
        self.state.funds().get(self.state.accounts().get(account).fund).id
    }

    pub(crate) fn fund_name(&self, index: FundIndex) -> FundName {
        FundName { ledger: self.ledger, fund: self.state.funds().get(index).id }
    }

    pub(crate) fn cooperative_name(&self, index: CooperativeIndex) -> CooperativeName {
        CooperativeName {
            ledger: self.ledger,
            cooperative: self.state.cooperatives().get(index).id(),
        }
    }

    pub(crate) fn account_name(&self, index: AccountIndex) -> AccountName {
        let account = self.state.accounts().get(index);
        AccountName {
            ledger: self.ledger,
            fund: self.fund_name(account.fund).fund,
            account: account.id,
        }
    }

    /// The whole name of a loan.
    pub(crate) fn loan_name(&self, index: LoanIndex) -> LoanName {
        let loan = self.state.loans().get(index);
        let account = self.account_name(loan.account);
        loan_name(account, loan.id)
    }

    /// All that the state knows of the ledger: the head is added from the log.
    pub(crate) fn ledger(&self) -> pb::Ledger {
        let named = pb::Ledger {
            name: ledger_name(self.ledger),
            rules_version: self.state.rules_version(),
            log_size: self.state.size(),
            sealed_through: self.state.sealed_through().map(Position::get),
            ..pb::Ledger::default()
        };
        let Some(opened) = self.state.opened() else {
            return named;
        };
        pb::Ledger {
            origin: opened.origin.as_str().to_owned(),
            verifier_key: self.state.keys().next_back().map(|(_, key)| key.to_string()),
            region: opened.region.to_string(),
            currency_code: opened.currency.code().to_owned(),
            utc_offset_minutes: i32::from(opened.utc_offset.minutes()),
            ..named
        }
    }

    pub(crate) fn fund(&self, index: FundIndex) -> pb::Fund {
        let fund = self.state.funds().get(index);
        let today = self.today.unwrap_or(fund.opening_date);
        let terms = fund.terms_on(today);
        let later = fund.terms.iter().filter(|(from, _)| *from > today);
        let name = self.fund_name(index);
        pb::Fund {
            name: name.to_string(),
            display_name: fund.name.to_string(),
            kind: fund_kind(&terms.purpose) as i32,
            opening_date: Some(date_to_wire(fund.opening_date)),
            terms: Some(terms_to_wire(terms, CURRENCY)),
            scheduled_terms: later
                .map(|(from, terms)| pb::ScheduledTerms {
                    effective_from: Some(date_to_wire(*from)),
                    terms: Some(terms_to_wire(terms, CURRENCY)),
                })
                .collect(),
            balances: Some(fund_balances(name, &fund.balances)),
            closed_through: self.state.closed_through(index).map(date_to_wire),
        }
    }

    pub(crate) fn cooperative(&self, index: CooperativeIndex) -> pb::Cooperative {
        let cooperative = self.state.cooperatives().get(index);
        let registered = &cooperative.registered;
        pb::Cooperative {
            name: self.cooperative_name(index).to_string(),
            village_code: registered.village.to_string(),
            kind: registered.kind.to_wire(),
            registered_name: registered.name.to_string(),
            cooperative_number: registered.cooperative_number.as_ref().map(ToString::to_string),
            chair: cooperative.chair.as_ref().map(ToString::to_string),
            treasurer: cooperative.treasurer.as_ref().map(ToString::to_string),
            readiness: cooperative
                .confirmed
                .iter()
                .map(|(item, position)| pb::ConfirmedReadiness {
                    item: item.to_wire(),
                    position: position.get(),
                })
                .collect(),
        }
    }

    pub(crate) fn account(&self, index: AccountIndex) -> pb::Account {
        let account = self.state.accounts().get(index);
        let name = self.account_name(index);
        pb::Account {
            name: name.to_string(),
            cooperative: self.cooperative_name(account.cooperative).to_string(),
            state: account.status.to_wire(),
            bank_account: Some(bank_account(&self.state.bank_account(index))),
            balances: Some(account_balances(name, &account.balances())),
        }
    }

    pub(crate) fn loan(&self, index: LoanIndex) -> pb::Loan {
        let loan = self.state.loans().get(index);
        let name = self.loan_name(index);
        let active = loan.active();
        let balances = active.map(ActiveLoan::balances);
        pb::Loan {
            name: name.to_string(),
            state: loan.status().to_wire(),
            balances: Some(loan_balances(name, loan.principal.minor(), balances.as_ref())),
            terms: active.map(|active| loan_terms_to_wire(&active.approval.terms)),
            contract_reference: loan.contract_reference.to_string(),
            chair: loan.chair.to_string(),
            treasurer: loan.treasurer.to_string(),
            maker: loan.maker.to_string(),
            proposed_position: loan.proposed_at.get(),
            checker: active.map(|active| active.approval.checker.to_string()),
            restructurings: (self.state.restructurings_of(index))
                .map(|(position, new)| pb::Restructuring {
                    position: position.get(),
                    effective_from: Some(date_to_wire(new.effective_from)),
                    terms: Some(loan_terms_to_wire(&new.terms)),
                })
                .collect(),
            expires_at: match &loan.state {
                LoanState::Pending { expires_at } => Some(timestamp_to_wire(*expires_at)),
                LoanState::Refused
                | LoanState::Withdrawn
                | LoanState::Expired
                | LoanState::Approved(_) => None,
            },
        }
    }

    /// What waits for a second person; `None` for a loan, which is a resource of its own.
    pub(crate) fn proposal(&self, at: Position, proposal: &Proposal) -> Option<pb::Proposal> {
        let kind = match &proposal.subject {
            Subject::Loan(_) => return None,
            Subject::PeriodClose { through, .. } => {
                let through = Some(date_to_wire(*through));
                pb::proposal::Kind::PeriodClose(pb::PendingPeriodClose { through })
            }
            Subject::BankAccountChange { account, bank_account: number } => {
                pb::proposal::Kind::BankAccountChange(pb::PendingBankAccountChange {
                    account: self.account_name(*account).to_string(),
                    bank_account: Some(bank_account(number)),
                })
            }
            Subject::AllocationWithdrawal { allocation, amount, .. } => {
                pb::proposal::Kind::Withdrawal(pb::PendingWithdrawal {
                    allocation: allocation.get(),
                    amount: money(amount.minor()),
                })
            }
            Subject::WriteOff { loan, kind, amount } => {
                pb::proposal::Kind::WriteOff(pb::PendingWriteOff {
                    loan: self.loan_name(*loan).to_string(),
                    amount: money(amount.minor()),
                    kind: kind.to_wire(),
                })
            }
            Subject::Restructuring { loan, effective_from, terms } => {
                pb::proposal::Kind::Restructuring(pb::PendingRestructuring {
                    loan: self.loan_name(*loan).to_string(),
                    effective_from: Some(date_to_wire(*effective_from)),
                    terms: Some(loan_terms_to_wire(terms)),
                })
            }
            Subject::Disbursement { paid, amount } => {
                pb::proposal::Kind::Disbursement(self.pending_disbursement(*paid, *amount)?)
            }
            Subject::Reversal { reverses, .. } => {
                pb::proposal::Kind::Reversal(pb::PendingReversal { reverses: reverses.get() })
            }
        };
        Some(pb::Proposal {
            ledger: ledger_name(self.ledger),
            position: at.get(),
            fund: self.fund_name(proposal.reservation.fund).to_string(),
            maker: proposal.maker.to_string(),
            expires_at: Some(timestamp_to_wire(proposal.expires_at)),
            kind: Some(kind),
        })
    }

    fn pending_disbursement(&self, paid: Paid, amount: Amount) -> Option<pb::PendingDisbursement> {
        let (account, loan) = match paid {
            Paid::Loan(loan) => {
                let index = self.state.loans().find(&loan)?;
                (self.state.loans().get(index).account, Some(self.loan_name(index)))
            }
            Paid::Grant(fund, account) => {
                let fund = self.state.funds().find(&fund)?;
                (self.state.accounts().find(&(fund, account))?, None)
            }
        };
        Some(pb::PendingDisbursement {
            account: self.account_name(account).to_string(),
            loan: loan.map_or_else(String::new, |name| name.to_string()),
            amount: money(amount.minor()),
        })
    }
}

/// The whole name of a loan of an account.
pub(crate) fn loan_name(account: AccountName, loan: LoanId) -> LoanName {
    LoanName { ledger: account.ledger, account: Some((account.fund, account.account)), loan }
}

/// Minor units as the wire has them.
#[expect(clippy::unnecessary_wraps, reason = "a message field is an Option")]
pub(crate) fn money(minor: i64) -> Option<pb::Money> {
    Some(money_to_wire(minor, CURRENCY))
}

pub(crate) fn fund_balances(name: FundName, balances: &FundBalances) -> pb::FundBalances {
    wire::fund_balances(&name, balances, CURRENCY)
}

pub(crate) fn account_balances(
    name: AccountName,
    balances: &AccountBalances,
) -> pb::AccountBalances {
    wire::account_balances(&name, balances, CURRENCY)
}

/// `balances` is `None` while the loan is not approved.
pub(crate) fn loan_balances(
    name: LoanName,
    principal: i64,
    balances: Option<&LoanBalances>,
) -> pb::LoanBalances {
    wire::loan_balances(&name, principal, balances, CURRENCY)
}
