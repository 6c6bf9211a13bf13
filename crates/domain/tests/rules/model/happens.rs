//! What an accepted command does to the model: it is written into a list.

use super::{
    Account, Cooperative, Fund, Loan, LoanIs, Loss, Model, Parts, Pending, Posting, Status,
    Subject, What,
};
use bergulir_domain::command::{BankReference, Command, Payee, WriteOffKind};
use bergulir_domain::terms::Purpose;
use bergulir_domain::{
    AccountId, Amount, Date, FundId, LoanId, Money, Position, PrincipalId, Timestamp,
};
use std::collections::BTreeMap;

/// What a disbursement pays.
pub(super) fn paid(payee: &Payee) -> What {
    match payee {
        Payee::Loan(loan) => What::Tranche(*loan),
        Payee::Grant { fund, account, .. } => What::Grant((*fund, *account)),
    }
}

impl Model {
    fn post(&mut self, what: What, amount: Amount, bank: &BankReference, date: Date) {
        self.posted(what, amount, Some(bank), date);
    }

    fn posted(&mut self, what: What, amount: Amount, bank: Option<&BankReference>, date: Date) {
        self.postings.push(Posting {
            at: self.size,
            what,
            amount: amount.minor(),
            date,
            bank: bank.cloned(),
            reversed: false,
        });
    }

    fn propose(&mut self, maker: PrincipalId, expires: Option<Timestamp>, subject: Subject) {
        let fund = match subject {
            Subject::Loan(loan)
            | Subject::WriteOff { loan, .. }
            | Subject::Restructuring { loan, .. } => self.loans[&loan].account.0,
            Subject::Payment { what, .. } => match what {
                What::Tranche(loan) => self.loans[&loan].account.0,
                What::Grant((fund, _)) => fund,
                _ => unreachable!("only these are proposed"),
            },
            Subject::Bank { account: (fund, _), .. } | Subject::Close { fund, .. } => fund,
            Subject::Withdrawal { allocation: at, .. } | Subject::Reversal { of: at } => {
                self.fund_of(self.posting(at).unwrap())
            }
        };
        let days = self.terms(fund).proposal_validity_days.unwrap_or(30);
        let default = self.now + i64::from(days) * 24 * 3_600_000_000;
        self.pending.push(Pending {
            at: self.size,
            maker,
            expires: expires.map_or(default, Timestamp::as_micros),
            subject,
        });
    }

    fn decide_on(&mut self, at: Position) -> Subject {
        let place = self.pending.iter().position(|p| p.at == at.get());
        self.pending.remove(place.unwrap()).subject
    }

    fn decide_on_loan(&mut self, loan: LoanId, is: LoanIs) {
        self.pending.retain(|p| p.subject != Subject::Loan(loan));
        self.loans.get_mut(&loan).unwrap().is = is;
    }

    /// The command was accepted: it happened.
    pub(crate) fn apply(&mut self, by: PrincipalId, command: &Command) {
        match command {
            Command::OpenLedger(c) => self.rules = c.rules_version,
            Command::AdoptRules(c) => self.rules = c.version,
            Command::RotateKey(c) => self.keys.push((self.size, c.verifier_key.to_string())),
            Command::ContinueLedger(c) => {
                self.origins.push(c.origin.as_str().to_owned());
                self.keys.push((self.size, c.verifier_key.to_string()));
            }
            Command::Seal(c) => self.sealed = Some(c.through.get()),
            Command::OpenFund(c) => {
                let terms = vec![(c.opening_date, c.terms)];
                let opening = c.opening_date;
                self.funds.insert(c.fund, Fund { opening, terms });
            }
            Command::ChangeTerms(c) => {
                let terms = &mut self.funds.get_mut(&c.fund).unwrap().terms;
                terms.push((c.effective_from, c.terms));
            }
            Command::RegisterCooperative(c) => {
                let cooperative = Cooperative {
                    village: c.village,
                    name: c.name.clone(),
                    number: c.cooperative_number.clone(),
                    officers: BTreeMap::new(),
                    confirmed: BTreeMap::new(),
                };
                self.cooperatives.insert(c.cooperative, cooperative);
            }
            Command::AppointOfficer(c) => {
                let cooperative = self.cooperatives.get_mut(&c.cooperative).unwrap();
                cooperative.officers.insert(c.office, c.officer);
            }
            Command::ConfirmReadiness(c) => {
                let cooperative = self.cooperatives.get_mut(&c.cooperative).unwrap();
                cooperative.confirmed.insert(c.item, c.evidence.clone());
            }
            Command::OpenAccount(c) => {
                let account = Account {
                    cooperative: c.cooperative,
                    banks: vec![c.bank_account.clone()],
                    status: Status::Open,
                };
                self.accounts.insert((c.fund, c.account), account);
            }
            Command::SuspendAccount(c) => self.set(c.fund, c.account, Status::Suspended),
            Command::ResumeAccount(c) => self.set(c.fund, c.account, Status::Open),
            Command::CloseAccount(c) => self.set(c.fund, c.account, Status::Closed),
            Command::ProposePeriodClose(c) => {
                let (fund, through) = (c.fund, c.through);
                self.propose(by, c.expires_at, Subject::Close { fund, through });
            }
            Command::ApprovePeriodClose(c) => {
                if let Subject::Close { fund, through } = self.decide_on(c.proposal) {
                    self.closed.insert(fund, through);
                }
            }
            Command::ProposeBankAccountChange(c) => {
                let (account, asked) = ((c.fund, c.account), self.asked.len());
                self.asked.push(c.bank_account.clone());
                self.propose(by, c.expires_at, Subject::Bank { account, asked });
            }
            Command::ApproveBankAccountChange(c) => {
                if let Subject::Bank { account, asked } = self.decide_on(c.proposal) {
                    let bank = self.asked[asked].clone();
                    self.accounts.get_mut(&account).unwrap().banks.push(bank);
                }
            }
            Command::AllocateFund(c) => {
                let what = What::Allocation(c.fund);
                self.post(what, c.amount, &c.bank_reference, c.value_date);
            }
            Command::ProposeAllocationWithdrawal(c) => {
                let (allocation, amount) = (c.allocation.get(), c.amount.minor());
                let subject = Subject::Withdrawal { allocation, amount };
                self.propose(by, c.expires_at, subject);
            }
            Command::ApproveAllocationWithdrawal(c) => {
                if let Subject::Withdrawal { allocation, amount } = self.decide_on(c.proposal) {
                    let amount = Amount::from_minor(amount).unwrap();
                    let what = What::Withdrawal { allocation };
                    self.post(what, amount, &c.bank_reference, c.value_date);
                }
            }
            Command::ProposeLoan(c) => {
                let loan = Loan {
                    account: (c.fund, c.account),
                    principal: c.principal.minor(),
                    is: LoanIs::Pending,
                };
                self.loans.insert(c.loan, loan);
                self.propose(by, c.expires_at, Subject::Loan(c.loan));
            }
            Command::ApproveLoan(c) => self.decide_on_loan(c.loan, LoanIs::Approved),
            Command::RefuseLoan(c) => self.decide_on_loan(c.loan, LoanIs::Dead),
            Command::WithdrawLoan(c) => self.decide_on_loan(c.loan, LoanIs::Dead),
            Command::Disburse(c) => {
                let what = What::Tranche(c.loan);
                self.post(what, c.amount, &c.bank_reference, c.value_date);
            }
            Command::DisburseGrant(c) => {
                let what = What::Grant((c.fund, c.account));
                self.post(what, c.amount, &c.bank_reference, c.value_date);
            }
            Command::ProposeDisbursement(c) => {
                let (what, amount) = (paid(&c.payee), c.amount.minor());
                self.propose(by, c.expires_at, Subject::Payment { what, amount });
            }
            Command::ApproveDisbursement(c) => {
                if let Subject::Payment { what, amount } = self.decide_on(c.proposal) {
                    let amount = Amount::from_minor(amount).unwrap();
                    self.post(what, amount, &c.bank_reference, c.value_date);
                }
            }
            Command::ReturnDisbursement(c) => {
                let of = c.disbursement.get();
                let amount = Amount::from_minor(self.posting(of).unwrap().amount).unwrap();
                let what = What::Return { of };
                self.post(what, amount, &c.bank_reference, c.value_date);
            }
            Command::Repay(c) => {
                let [principal, interest, late_fee] =
                    [c.principal, c.interest, c.late_fee].map(|p| p.map_or(0, Money::minor));
                let fund = self.loans[&c.loan].account.0;
                let parts = Parts {
                    principal,
                    income: [interest, late_fee],
                    relent: matches!(self.terms_on(fund, c.value_date.max(self.funds[&fund].opening)).purpose,
                        Purpose::Loan(terms) if terms.relend_income),
                };
                let what = What::Repayment(c.loan, parts);
                self.post(what, c.amount, &c.bank_reference, c.value_date);
            }
            Command::ProposeWriteOff(c) => {
                let (loan, amount) = (c.loan, c.amount.minor());
                let absolute = c.kind == WriteOffKind::Absolute;
                self.propose(by, c.expires_at, Subject::WriteOff { loan, amount, absolute });
            }
            Command::ApproveWriteOff(c) => {
                if let Subject::WriteOff { loan, amount, absolute } = self.decide_on(c.proposal) {
                    let principal = amount.min(self.outstanding(loan));
                    let loss = Loss { principal, ended: if absolute { amount } else { 0 } };
                    let amount = Amount::from_minor(amount).unwrap();
                    self.posted(What::WriteOff(loan, loss), amount, None, c.value_date);
                }
            }
            Command::RecordRecovery(c) => {
                self.post(What::Recovery(c.loan), c.amount, &c.bank_reference, c.value_date);
            }
            Command::ProposeRestructuring(c) => {
                let (loan, from, terms) = (c.loan, c.effective_from, self.proposed_terms.len());
                self.proposed_terms.push(c.terms);
                self.propose(by, c.expires_at, Subject::Restructuring { loan, from, terms });
            }
            Command::ApproveRestructuring(c) => {
                if let Subject::Restructuring { loan, from, terms } = self.decide_on(c.proposal) {
                    let terms = self.proposed_terms[terms];
                    self.restructured.push((self.size, loan, from, terms));
                }
            }
            Command::ProposeReversal(c) => {
                let of = c.reverses.get();
                self.propose(by, c.expires_at, Subject::Reversal { of });
            }
            Command::ApproveReversal(c) => {
                if let Subject::Reversal { of } = self.decide_on(c.proposal) {
                    let posting = self.postings.iter_mut().find(|p| p.at == of);
                    posting.unwrap().reversed = true;
                }
            }
            Command::RefuseProposal(c) => {
                self.decide_on(c.proposal);
            }
            Command::WithdrawProposal(c) => {
                self.decide_on(c.proposal);
            }
        }
        self.size += 1;
    }

    fn set(&mut self, fund: FundId, account: AccountId, status: Status) {
        self.accounts.get_mut(&(fund, account)).unwrap().status = status;
    }
}
