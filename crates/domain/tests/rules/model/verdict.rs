//! Which rules a command breaks, all of them: what may not be is mostly found by doing it to a copy
//! and looking whether what must hold still holds.

mod afterwards;
mod conditions;
mod two_people;

use super::forms;
use super::happens::paid;
use super::{Model, Posting, Status, Subject, Verdict, What, Why};
use bergulir_domain::command::{Command, WriteOffKind};
use bergulir_domain::cooperative::Office;
use bergulir_domain::terms::Purpose;
use bergulir_domain::{Money, PrincipalId};

/// Adds a broken rule.
pub(super) fn unless(holds: bool, why: Why) -> Verdict {
    if holds { Verdict::new() } else { Verdict::from([why]) }
}

fn all<const N: usize>(verdicts: [Verdict; N]) -> Verdict {
    verdicts.into_iter().flatten().collect()
}

/// The version of the rules that a command came with.
fn since(command: &Command) -> u32 {
    let with = |terms: &bergulir_domain::terms::Terms| {
        if terms.disbursement_approval_above.is_some() { 2 } else { 1 }
    };
    match command {
        Command::ProposeWriteOff(_)
        | Command::ApproveWriteOff(_)
        | Command::RecordRecovery(_)
        | Command::ProposeRestructuring(_)
        | Command::ApproveRestructuring(_) => 3,
        Command::OpenFund(c) => with(&c.terms),
        Command::ChangeTerms(c) => with(&c.terms),
        Command::ProposeDisbursement(_)
        | Command::ApproveDisbursement(_)
        | Command::ProposeBankAccountChange(_)
        | Command::ApproveBankAccountChange(_)
        | Command::ProposePeriodClose(_)
        | Command::ApprovePeriodClose(_) => 2,
        _ => 1,
    }
}

impl Model {
    fn origin(&self) -> &str {
        self.origins.last().map_or("ledger.example.go.id/tangerang", String::as_str)
    }

    /// The rules that a command breaks now.
    pub(crate) fn judge(&self, by: PrincipalId, command: &Command) -> Verdict {
        let is_seal = matches!(command, Command::Seal(_));
        if is_seal != (by.as_str() == "system") {
            return Verdict::from([Why::System]);
        }
        match command {
            Command::OpenLedger(_) => Verdict::from([Why::Ledger]),
            Command::AdoptRules(c) => unless(c.version > self.rules && c.version <= 3, Why::Ledger),
            _ if since(command) > self.rules => Verdict::from([Why::Rules]),
            Command::RotateKey(c) => {
                let new = self.keys.iter().all(|(_, key)| key != c.verifier_key.as_str());
                let ours = c.verifier_key.as_str().starts_with(&format!("{}+", self.origin()));
                unless(new && ours, Why::Key)
            }
            Command::ContinueLedger(c) => {
                let origin = c.origin.as_str();
                let signs = |key: &str| key.starts_with(&format!("{origin}+"));
                let never = origin != self.origin() && self.keys.iter().all(|(_, key)| !signs(key));
                all([
                    unless(c.from_origin.as_str() == self.origin() && never, Why::Origin),
                    unless(signs(c.verifier_key.as_str()), Why::Key),
                ])
            }
            Command::Seal(c) => {
                let through = c.through.get();
                let after_last = self.sealed.is_none_or(|last| through > last);
                unless(after_last && through < self.size, Why::Ledger)
            }
            Command::OpenFund(c) => all([
                unless(!self.funds.contains_key(&c.fund), Why::Exists),
                unless(c.opening_date <= self.today(), Why::Terms),
                forms::terms(&c.terms),
            ]),
            Command::ChangeTerms(c) => {
                let verdict = self.with_fund(c.fund, || {
                    let is_grant = |purpose| matches!(purpose, Purpose::Grant);
                    let same = is_grant(self.terms(c.fund).purpose) == is_grant(c.terms.purpose);
                    unless(same && c.effective_from >= self.today(), Why::Terms)
                });
                all([verdict, forms::terms(&c.terms)])
            }
            Command::AllocateFund(c) => {
                self.with_fund(c.fund, || self.moves_cash(c.fund, &c.bank_reference, c.value_date))
            }
            Command::ProposeAllocationWithdrawal(c) => self.with_fund(c.fund, || {
                let at = c.allocation.get();
                let allocation = What::Allocation(c.fund);
                if !self.live().any(|p| p.at == at && p.what == allocation) {
                    return Verdict::from([Why::NotThatRecord]);
                }
                self.proposal(by, c.expires_at, &Command::ProposeAllocationWithdrawal(c.clone()))
            }),
            Command::ApproveAllocationWithdrawal(c) => self.decides(by, c.proposal, |subject| {
                let Subject::Withdrawal { allocation, .. } = subject else {
                    return Verdict::from([Why::NotPending]);
                };
                let fund = self.fund_of(self.posting(allocation).unwrap());
                all([
                    self.moves_cash(fund, &c.bank_reference, c.value_date),
                    self.breaks_from(&self.without(c.proposal), by, command),
                ])
            }),
            Command::RegisterCooperative(c) => {
                let mut others = self.cooperatives.values();
                all([
                    unless(!self.cooperatives.contains_key(&c.cooperative), Why::Exists),
                    unless(others.all(|o| o.village != c.village), Why::Registration),
                    forms::village(c),
                ])
            }
            Command::AppointOfficer(c) => self.with_cooperative(c.cooperative, || {
                let officers = &self.cooperatives[&c.cooperative].officers;
                let mut others = officers.iter().filter(|(office, _)| **office != c.office);
                unless(others.all(|(_, o)| *o != c.officer), Why::Officers)
            }),
            Command::ConfirmReadiness(c) => self.with_cooperative(c.cooperative, || self.number(c)),
            Command::OpenAccount(c) => self.with_fund(c.fund, || {
                let known = self.accounts.contains_key(&(c.fund, c.account));
                all([
                    unless(!known, Why::Exists),
                    self.with_cooperative(c.cooperative, || {
                        unless(self.may_have_account(c), Why::AccountOpening)
                    }),
                ])
            }),
            Command::SuspendAccount(c) => self.has_status(c.fund, c.account, &[Status::Open]),
            Command::ResumeAccount(c) => self.has_status(c.fund, c.account, &[Status::Suspended]),
            Command::CloseAccount(c) => {
                let verdict =
                    self.has_status(c.fund, c.account, &[Status::Open, Status::Suspended]);
                if !verdict.is_empty() {
                    return verdict;
                }
                let [outstanding, committed, pending, _] = self.account_sums((c.fund, c.account));
                let nothing = outstanding == 0 && committed == 0 && pending == 0;
                unless(nothing, Why::AccountNotEmpty)
            }
            Command::ProposePeriodClose(c) => self.with_fund(c.fund, || {
                let mut pending = self.pending.iter();
                let second = pending
                    .any(|p| matches!(p.subject, Subject::Close { fund, .. } if fund == c.fund));
                let closed = self.closed.get(&c.fund);
                let next = closed
                    .map_or(c.through >= self.funds[&c.fund].opening, |last| c.through > *last);
                let over = c.through < self.today();
                all([
                    unless(!second && next && over, Why::Period),
                    self.proposal(by, c.expires_at, command),
                ])
            }),
            Command::ApprovePeriodClose(c) => self.decides(by, c.proposal, |subject| {
                unless(matches!(subject, Subject::Close { .. }), Why::NotPending)
            }),
            Command::ProposeBankAccountChange(c) => {
                let status = self.has_status(c.fund, c.account, &[Status::Open]);
                let Some(account) = self.accounts.get(&(c.fund, c.account)) else {
                    return status;
                };
                let of = (c.fund, c.account);
                let mut pending = self.pending.iter();
                let second = pending
                    .any(|p| matches!(p.subject, Subject::Bank { account, .. } if account == of));
                let same = account.banks.last() == Some(&c.bank_account);
                let held = c.holder == self.cooperatives[&account.cooperative].name;
                let free = !self.is_anothers(&c.bank_account, account.cooperative);
                all([
                    status,
                    unless(!second && !same, Why::BankChange),
                    unless(held && free, Why::AccountOpening),
                    self.proposal(by, c.expires_at, command),
                ])
            }
            Command::ApproveBankAccountChange(c) => self.decides(by, c.proposal, |subject| {
                let Subject::Bank { account, .. } = subject else {
                    return Verdict::from([Why::NotPending]);
                };
                let mut pending = self.pending.iter().map(|p| p.subject);
                let on_its_way = pending.any(|subject| match subject {
                    Subject::Payment { what: What::Tranche(loan), .. } => {
                        self.loans[&loan].account == account
                    }
                    Subject::Payment { what: What::Grant(of), .. } => of == account,
                    _ => false,
                });
                all([
                    self.has_status(account.0, account.1, &[Status::Open]),
                    unless(!on_its_way, Why::BankChange),
                ])
            }),
            Command::ProposeLoan(c) => {
                let account = (c.fund, c.account);
                if self.loans.contains_key(&c.loan) {
                    return Verdict::from([Why::Exists]);
                }
                if !self.accounts.contains_key(&account) {
                    return Verdict::from([Why::NotFound]);
                }
                let officers = &self.cooperatives[&self.accounts[&account].cooperative].officers;
                let signs = |office, officer| officers.get(&office) == Some(&officer);
                let signed = signs(Office::Chair, c.chair) && signs(Office::Treasurer, c.treasurer);
                all([
                    unless(signed, Why::Officers),
                    self.may_lend(account),
                    self.proposal(by, c.expires_at, command),
                ])
            }
            Command::ApproveLoan(c) => self.decides_on_loan(by, c.loan, |at| {
                all([
                    self.may_lend(self.loans[&c.loan].account),
                    self.breaks_from(&self.without(at), by, command),
                ])
            }),
            Command::RefuseLoan(c) => self.decides_on_loan(by, c.loan, |_| Verdict::new()),
            Command::WithdrawLoan(c) => self.takes_back_loan(by, c.loan),
            Command::Disburse(c) => self.with_approved(c.loan, |account| {
                all([
                    self.has_status(account.0, account.1, &[Status::Open]),
                    self.moves_cash(account.0, &c.bank_reference, c.value_date),
                    self.one_may_pay(account.0, c.amount.minor()),
                    self.nothing_written_off(c.loan),
                    self.breaks(by, command),
                ])
            }),
            Command::DisburseGrant(c) => {
                let verdict = self.has_status(c.fund, c.account, &[Status::Open]);
                if verdict.contains(&Why::NotFound) {
                    return verdict;
                }
                let gives = matches!(self.terms(c.fund).purpose, Purpose::Grant);
                all([
                    verdict,
                    unless(gives, Why::FundKind),
                    self.moves_cash(c.fund, &c.bank_reference, c.value_date),
                    self.one_may_pay(c.fund, c.amount.minor()),
                    self.breaks(by, command),
                ])
            }
            Command::ProposeDisbursement(c) => {
                self.may_be_paid(paid(&c.payee), |_| self.proposal(by, c.expires_at, command))
            }
            Command::ApproveDisbursement(c) => self.decides(by, c.proposal, |subject| {
                let Subject::Payment { what, .. } = subject else {
                    return Verdict::from([Why::NotPending]);
                };
                self.may_be_paid(what, |fund| {
                    all([
                        self.moves_cash(fund, &c.bank_reference, c.value_date),
                        self.breaks_from(&self.without(c.proposal), by, command),
                    ])
                })
            }),
            Command::ReturnDisbursement(c) => {
                let paid = |p: &&Posting| matches!(p.what, What::Tranche(_) | What::Grant(_));
                let Some(paid) = self.posting(c.disbursement.get()).filter(paid) else {
                    return Verdict::from([Why::NotThatRecord]);
                };
                all([
                    unless(self.stands(paid), Why::Undone),
                    unless(c.value_date >= paid.date, Why::ValueDate),
                    self.moves_cash(self.fund_of(paid), &c.bank_reference, c.value_date),
                    self.breaks(by, command),
                ])
            }
            Command::Repay(c) => self.with_approved(c.loan, |account| {
                let parts: i64 = [c.principal, c.interest, c.late_fee]
                    .into_iter()
                    .map(|p| p.map_or(0, Money::minor))
                    .sum();
                let tranche = What::Tranche(c.loan);
                let standing = self.live().filter(|p| p.what == tranche && self.stands(p));
                let Some(first) = standing.map(|p| p.date).min() else {
                    return Verdict::from([Why::LoanNotApproved, Why::Parts, Why::AccountStatus]);
                };
                all([
                    self.has_status(account.0, account.1, &[Status::Open, Status::Suspended]),
                    unless(parts == c.amount.minor(), Why::Parts),
                    unless(!self.is_ended(c.loan), Why::Claim),
                    unless(c.value_date >= first, Why::ValueDate),
                    self.moves_cash(account.0, &c.bank_reference, c.value_date),
                    self.breaks(by, command),
                ])
            }),
            Command::ProposeWriteOff(c) => self.with_approved(c.loan, |_| {
                let mut pending = self.pending.iter();
                let second = pending
                    .any(|p| matches!(p.subject, Subject::WriteOff { loan, .. } if loan == c.loan));
                let absolute = c.kind == WriteOffKind::Absolute;
                all([
                    unless(!second, Why::WriteOff),
                    self.may_write_off(c.loan, c.amount.minor(), absolute),
                    self.proposal(by, c.expires_at, command),
                ])
            }),
            Command::ApproveWriteOff(c) => self.decides(by, c.proposal, |subject| {
                let Subject::WriteOff { loan, amount, absolute } = subject else {
                    return Verdict::from([Why::NotPending]);
                };
                all([
                    self.may_write_off(loan, amount, absolute),
                    self.after_first_tranche(loan, c.value_date),
                    self.may_be_dated(self.loans[&loan].account.0, c.value_date),
                    self.breaks_from(&self.without(c.proposal), by, command),
                ])
            }),
            Command::RecordRecovery(c) => self.with_approved(c.loan, |account| {
                let [.., ended, _] = self.loan_sums(c.loan);
                let is_over = ended > 0 && self.recoverable(c.loan) == 0;
                all([
                    unless(!is_over, Why::Claim),
                    self.after_first_tranche(c.loan, c.value_date),
                    self.moves_cash(account.0, &c.bank_reference, c.value_date),
                    self.breaks(by, command),
                ])
            }),
            Command::ProposeRestructuring(c) => {
                let verdict = self.with_approved(c.loan, |_| {
                    let of_loan = |subject| matches!(subject, Subject::Restructuring { loan, .. } if loan == c.loan);
                    let second = self.pending.iter().any(|p| of_loan(p.subject));
                    all([
                        unless(!second, Why::Restructuring),
                        self.may_restructure(c.loan, c.effective_from),
                        self.proposal(by, c.expires_at, command),
                    ])
                });
                all([verdict, forms::loan_terms(&c.terms)])
            }
            Command::ApproveRestructuring(c) => self.decides(by, c.proposal, |subject| {
                let Subject::Restructuring { loan, from, .. } = subject else {
                    return Verdict::from([Why::NotPending]);
                };
                self.may_restructure(loan, from)
            }),
            Command::ProposeReversal(c) => {
                let of = c.reverses.get();
                let Some(posting) = self.posting(of) else {
                    return Verdict::from([Why::NotThatRecord]);
                };
                let mut subjects = self.pending.iter().map(|p| p.subject);
                if !self.stands(posting) || subjects.any(|s| s == Subject::Reversal { of }) {
                    return Verdict::from([Why::Undone]);
                }
                all([self.may_be_corrected(posting), self.proposal(by, c.expires_at, command)])
            }
            Command::ApproveReversal(c) => self.decides(by, c.proposal, |subject| {
                let Subject::Reversal { of } = subject else {
                    return Verdict::from([Why::NotPending]);
                };
                let posting = self.posting(of).unwrap();
                if !self.stands(posting) {
                    return Verdict::from([Why::Undone]);
                }
                all([
                    self.may_be_corrected(posting),
                    self.breaks_from(&self.without(c.proposal), by, command),
                ])
            }),
            Command::RefuseProposal(c) => self.decides(by, c.proposal, |subject| {
                unless(!matches!(subject, Subject::Loan(_)), Why::NotPending)
            }),
            Command::WithdrawProposal(c) => match self.pending_at(c.proposal) {
                Some(p) if !matches!(p.subject, Subject::Loan(_)) => {
                    unless(p.maker == by, Why::NotMaker)
                }
                _ => Verdict::from([Why::NotPending]),
            },
        }
    }
}
