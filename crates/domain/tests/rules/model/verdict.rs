//! Which rules a command breaks, all of them: what may not be is mostly found by doing it to a copy
//! and looking whether what must hold still holds.

use super::happens::paid;
use super::{LoanIs, Model, Pending, Posting, Status, Subject, Verdict, What, Why};
use bergulir_domain::command::{BankAccount, BankReference, Command, OpenAccount, WriteOffKind};
use bergulir_domain::cooperative::Office;
use bergulir_domain::terms::Purpose;
use bergulir_domain::{
    AccountId, CooperativeId, Date, FundId, LoanId, Money, Position, PrincipalId, Timestamp,
};

/// Adds a broken rule.
fn unless(holds: bool, why: Why) -> Verdict {
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
            ]),
            Command::ChangeTerms(c) => self.with_fund(c.fund, || {
                let is_grant = |purpose| matches!(purpose, Purpose::Grant);
                let same = is_grant(self.terms(c.fund).purpose) == is_grant(c.terms.purpose);
                unless(same && c.effective_from >= self.today(), Why::Terms)
            }),
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
                ])
            }
            Command::AppointOfficer(c) => self.with_cooperative(c.cooperative, || {
                let officers = &self.cooperatives[&c.cooperative].officers;
                let mut others = officers.iter().filter(|(office, _)| **office != c.office);
                unless(others.all(|(_, o)| *o != c.officer), Why::Officers)
            }),
            Command::ConfirmReadiness(c) => self.with_cooperative(c.cooperative, Verdict::new),
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
            Command::ProposeRestructuring(c) => self.with_approved(c.loan, |_| {
                let mut pending = self.pending.iter();
                let second = pending.any(
                    |p| matches!(p.subject, Subject::Restructuring { loan, .. } if loan == c.loan),
                );
                all([
                    unless(!second, Why::Restructuring),
                    self.may_restructure(c.loan, c.effective_from),
                    self.proposal(by, c.expires_at, command),
                ])
            }),
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

    /// The terms leave it to one person to pay so much today.
    fn one_may_pay(&self, fund: FundId, amount: i64) -> Verdict {
        let above = self.terms(fund).disbursement_approval_above;
        unless(above.is_none_or(|above| amount <= above.minor()), Why::SecondPerson)
    }

    fn nothing_written_off(&self, loan: LoanId) -> Verdict {
        let [.., written_off, _, _] = self.loan_sums(loan);
        unless(written_off == 0, Why::LoanWrittenOff)
    }

    /// An absolute write-off took the last of the claim.
    fn is_ended(&self, loan: LoanId) -> bool {
        let [.., ended, _] = self.loan_sums(loan);
        ended > 0 && self.outstanding(loan) + self.recoverable(loan) == 0
    }

    fn may_write_off(&self, loan: LoanId, amount: i64, absolute: bool) -> Verdict {
        let claim = if absolute { self.recoverable(loan) } else { 0 };
        unless(amount <= self.outstanding(loan) + claim, Why::WriteOff)
    }

    fn may_restructure(&self, loan: LoanId, from: Date) -> Verdict {
        let closed = self.closed.get(&self.loans[&loan].account.0);
        let mut before = self.restructured.iter().filter(|(_, of, ..)| *of == loan);
        let may = self.outstanding(loan) > 0
            && from <= self.today()
            && self.after_first_tranche(loan, from).is_empty()
            && closed.is_none_or(|closed| from > *closed)
            && before.all(|(_, _, earlier, _)| from >= *earlier);
        unless(may, Why::Restructuring)
    }

    fn after_first_tranche(&self, loan: LoanId, date: Date) -> Verdict {
        let standing = self.live().filter(|p| p.what == What::Tranche(loan) && self.stands(p));
        let first = standing.map(|p| p.date).min();
        unless(first.is_some_and(|first| date >= first), Why::ValueDate)
    }

    /// Whoever is to be paid is there and may be.
    fn may_be_paid(&self, what: What, verdict: impl FnOnce(FundId) -> Verdict) -> Verdict {
        match what {
            What::Tranche(loan) => self.with_approved(loan, |(fund, account)| {
                all([
                    self.has_status(fund, account, &[Status::Open]),
                    self.nothing_written_off(loan),
                    verdict(fund),
                ])
            }),
            What::Grant((fund, account)) => {
                let status = self.has_status(fund, account, &[Status::Open]);
                if status.contains(&Why::NotFound) {
                    return status;
                }
                let gives = matches!(self.terms(fund).purpose, Purpose::Grant);
                all([status, unless(gives, Why::FundKind), verdict(fund)])
            }
            _ => unreachable!("only these are proposed"),
        }
    }

    fn may_have_account(&self, c: &OpenAccount) -> bool {
        let cooperative = &self.cooperatives[&c.cooperative];
        let mut required = self.terms(c.fund).required_readiness.iter();
        let ready = required.all(|item| cooperative.confirmed.contains_key(&item));
        let mut accounts = self.accounts.iter();
        let shared = self.is_anothers(&c.bank_account, c.cooperative);
        let second = accounts.any(|((fund, _), a)| {
            *fund == c.fund && a.cooperative == c.cooperative && a.status != Status::Closed
        });
        ready && c.holder == cooperative.name && !shared && !second
    }

    /// Another cooperative has or had it, or waits for it.
    fn is_anothers(&self, bank: &BankAccount, own: CooperativeId) -> bool {
        let had = self.accounts.values().filter(|a| a.banks.contains(bank));
        let waits = self.pending.iter().filter_map(|p| match p.subject {
            Subject::Bank { account, asked } if self.asked[asked] == *bank => {
                Some(&self.accounts[&account])
            }
            _ => None,
        });
        had.chain(waits).any(|a| a.cooperative != own)
    }

    fn with_fund(&self, fund: FundId, verdict: impl FnOnce() -> Verdict) -> Verdict {
        if self.funds.contains_key(&fund) { verdict() } else { Verdict::from([Why::NotFound]) }
    }

    fn with_cooperative(&self, id: CooperativeId, verdict: impl FnOnce() -> Verdict) -> Verdict {
        if self.cooperatives.contains_key(&id) { verdict() } else { Verdict::from([Why::NotFound]) }
    }

    fn with_approved(
        &self,
        loan: LoanId,
        verdict: impl FnOnce((FundId, AccountId)) -> Verdict,
    ) -> Verdict {
        match self.loans.get(&loan) {
            None => Verdict::from([Why::NotFound]),
            Some(loan) if loan.is != LoanIs::Approved => Verdict::from([Why::LoanNotApproved]),
            Some(loan) => verdict(loan.account),
        }
    }

    fn has_status(&self, fund: FundId, account: AccountId, good: &[Status]) -> Verdict {
        match self.accounts.get(&(fund, account)) {
            None => Verdict::from([Why::NotFound]),
            Some(account) => unless(good.contains(&account.status), Why::AccountStatus),
        }
    }

    fn may_lend(&self, (fund, account): (FundId, AccountId)) -> Verdict {
        let lends = matches!(self.terms(fund).purpose, Purpose::Loan(_));
        all([unless(lends, Why::FundKind), self.has_status(fund, account, &[Status::Open])])
    }

    /// A closed account is not debited again. What it once got may still come back.
    fn may_be_corrected(&self, posting: &Posting) -> Verdict {
        let (What::Return { .. } | What::Repayment(..) | What::WriteOff(..)) = posting.what else {
            return Verdict::new();
        };
        let (fund, account) = self.account_of(posting).unwrap();
        self.has_status(fund, account, &[Status::Open, Status::Suspended])
    }

    fn moves_cash(&self, fund: FundId, bank: &BankReference, date: Date) -> Verdict {
        let key = |b: &BankReference| (b.bank.clone(), b.reference.clone(), b.line.unwrap_or(0));
        let mut used = self.live().filter_map(|p| p.bank.as_ref());
        let used = used.any(|used| key(used) == key(bank));
        all([unless(!used, Why::BankReference), self.may_be_dated(fund, date)])
    }

    fn may_be_dated(&self, fund: FundId, date: Date) -> Verdict {
        let dates = self.funds[&fund].opening..=self.today();
        let closed = self.closed.get(&fund).is_some_and(|last| date <= *last);
        all([unless(dates.contains(&date), Why::ValueDate), unless(!closed, Why::PeriodClosed)])
    }

    fn pending_at(&self, at: Position) -> Option<&Pending> {
        self.pending.iter().find(|p| p.at == at.get())
    }

    /// The model as if that proposal had never been made.
    fn without(&self, at: Position) -> Model {
        let mut model = self.clone();
        model.pending.retain(|p| p.at != at.get());
        model
    }

    fn decides(
        &self,
        by: PrincipalId,
        at: Position,
        verdict: impl FnOnce(Subject) -> Verdict,
    ) -> Verdict {
        match self.pending_at(at) {
            None => Verdict::from([Why::NotPending]),
            Some(p) => all([unless(p.maker != by, Why::SamePerson), verdict(p.subject)]),
        }
    }

    fn decides_on_loan(
        &self,
        by: PrincipalId,
        loan: LoanId,
        verdict: impl FnOnce(Position) -> Verdict,
    ) -> Verdict {
        if !self.loans.contains_key(&loan) {
            return Verdict::from([Why::NotFound]);
        }
        let mut pending = self.pending.iter();
        match pending.find(|p| p.subject == Subject::Loan(loan)) {
            None => Verdict::from([Why::NotPending]),
            Some(p) => all([unless(p.maker != by, Why::SamePerson), verdict(Position::new(p.at))]),
        }
    }

    fn takes_back_loan(&self, by: PrincipalId, loan: LoanId) -> Verdict {
        if !self.loans.contains_key(&loan) {
            return Verdict::from([Why::NotFound]);
        }
        let mut pending = self.pending.iter();
        match pending.find(|p| p.subject == Subject::Loan(loan)) {
            None => Verdict::from([Why::NotPending]),
            Some(p) => unless(p.maker == by, Why::NotMaker),
        }
    }

    /// A proposal must name a time to come, and what it would use must be there.
    fn proposal(&self, by: PrincipalId, expires: Option<Timestamp>, command: &Command) -> Verdict {
        all([
            unless(
                expires.is_none_or(|t| {
                    (self.now + 1..=self.now + 366 * 86_400_000_000).contains(&t.as_micros())
                }),
                Why::Expiry,
            ),
            self.breaks(by, command),
            self.breaks_at_once(by, command),
        ])
    }

    /// A reversal must be possible as things stand, not only when it is approved.
    fn breaks_at_once(&self, by: PrincipalId, command: &Command) -> Verdict {
        let Command::ProposeReversal(c) = command else {
            return Verdict::new();
        };
        let mut after = self.clone();
        after.apply(by, command);
        let at = c.reverses.get();
        let posting = after.postings.iter_mut().find(|p| p.at == at);
        posting.unwrap().reversed = true;
        after.pending.pop();
        after.broken(self)
    }

    fn breaks(&self, by: PrincipalId, command: &Command) -> Verdict {
        self.breaks_from(self, by, command)
    }

    /// What no longer holds once the command has happened.
    fn breaks_from(&self, before: &Model, by: PrincipalId, command: &Command) -> Verdict {
        let mut after = self.clone();
        after.apply(by, command);
        after.broken(before)
    }

    fn broken(&self, before: &Model) -> Verdict {
        let mut verdict = Verdict::new();
        for fund in self.funds.keys() {
            let sums = self.fund_sums(*fund);
            let committable = sums.available - sums.committed - sums.reserved;
            let enough = sums.cash >= 0 && sums.available >= 0 && committable >= 0;
            verdict.extend(unless(enough, Why::Funds));
            for cooperative in self.cooperatives.keys() {
                let exposure = self.exposure(*fund, *cooperative);
                let within = exposure <= self.terms(*fund).ceiling.minor();
                let more = || exposure > before.exposure(*fund, *cooperative);
                verdict.extend(unless(within || !more(), Why::Ceiling));
            }
        }
        for (id, loan) in &self.loans {
            let [disbursed, repaid, ..] = self.loan_sums(*id);
            let headroom = self.uses().filter_map(|uses| uses.headroom);
            let reserved: i64 = headroom.filter(|(l, _)| l == id).map(|(_, n)| n).sum();
            verdict.extend(unless(disbursed + reserved <= loan.principal, Why::LoanLimit));
            let [.., written_off, ended, recovered] = self.loan_sums(*id);
            verdict.extend(unless(repaid + written_off <= disbursed, Why::Outstanding));
            verdict.extend(unless(ended + recovered <= written_off, Why::WriteOff));
        }
        for posting in &self.postings {
            let What::Allocation(_) = posting.what else {
                continue;
            };
            let withdrawal = What::Withdrawal { allocation: posting.at };
            let withdrawals = self.live().filter(|p| p.what == withdrawal);
            let taken: i64 = withdrawals.map(|p| p.amount).sum();
            let uses = self.uses().filter_map(|uses| uses.allocation);
            let reserved: i64 = uses.filter(|(at, _)| *at == posting.at).map(|(_, n)| n).sum();
            let there = if posting.reversed { 0 } else { posting.amount };
            verdict.extend(unless(taken + reserved <= there, Why::Allocation));
        }
        verdict
    }

    /// What counts against the ceiling of a cooperative.
    fn exposure(&self, fund: FundId, cooperative: CooperativeId) -> i64 {
        let accounts = self.accounts.iter();
        accounts
            .filter(|((of, _), a)| *of == fund && a.cooperative == cooperative)
            .flat_map(|(account, _)| self.account_sums(*account))
            .sum()
    }
}
