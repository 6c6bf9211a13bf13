//! A naive model of the ledger, written from the rules and not from the code: plain lists, and
//! every balance added up anew from the postings that are live each time somebody asks.

pub(crate) mod compare;
mod forms;
mod happens;
mod verdict;
mod why;

pub(crate) use why::Why;

use bergulir_domain::command::{BankAccount, BankReference, Evidence};
use bergulir_domain::cooperative::{Office, ReadinessItem, VillageCode};
use bergulir_domain::terms::{LoanTerms, Terms};
use bergulir_domain::text::{Name, Number};
use bergulir_domain::{
    AccountId, CooperativeId, Date, FundId, LoanId, OfficerId, PrincipalId, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Default)]
pub(crate) struct Model {
    now: i64,
    rules: u32,
    size: u64,
    sealed: Option<u64>,
    pub(crate) keys: Vec<(u64, String)>,
    /// The origins that it got after its first.
    origins: Vec<String>,
    pub(crate) funds: BTreeMap<FundId, Fund>,
    cooperatives: BTreeMap<CooperativeId, Cooperative>,
    pub(crate) accounts: BTreeMap<(FundId, AccountId), Account>,
    pub(crate) loans: BTreeMap<LoanId, Loan>,
    pub(crate) postings: Vec<Posting>,
    pub(crate) pending: Vec<Pending>,
    /// The last day that is closed.
    pub(crate) closed: BTreeMap<FundId, Date>,
    /// The bank accounts that were proposed.
    asked: Vec<BankAccount>,
    /// Terms that were proposed for loans.
    proposed_terms: Vec<LoanTerms>,
    /// Terms that loans got, by record.
    restructured: Vec<(u64, LoanId, Date, LoanTerms)>,
}

#[derive(Clone)]
pub(crate) struct Fund {
    opening: Date,
    /// In the order in which they were said; of two for the same day the later one counts.
    terms: Vec<(Date, Terms)>,
}

#[derive(Clone)]
struct Cooperative {
    village: VillageCode,
    name: Name,
    number: Option<Number>,
    officers: BTreeMap<Office, OfficerId>,
    confirmed: BTreeMap<ReadinessItem, Evidence>,
}

#[derive(Clone)]
pub(crate) struct Account {
    cooperative: CooperativeId,
    /// All that it had, the one in force last.
    banks: Vec<BankAccount>,
    status: Status,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Open,
    Suspended,
    Closed,
}

#[derive(Clone)]
pub(crate) struct Loan {
    account: (FundId, AccountId),
    principal: i64,
    is: LoanIs,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LoanIs {
    Pending,
    Dead,
    Approved,
}

/// Money that moved.
#[derive(Clone)]
pub(crate) struct Posting {
    pub(crate) at: u64,
    what: What,
    amount: i64,
    date: Date,
    /// The bank reference, if cash moved.
    pub(crate) bank: Option<BankReference>,
    reversed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Allocation(FundId),
    Withdrawal { allocation: u64 },
    Tranche(LoanId),
    Grant((FundId, AccountId)),
    Return { of: u64 },
    Repayment(LoanId, Parts),
    WriteOff(LoanId, Loss),
    Recovery(LoanId),
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Parts {
    principal: i64,
    income: [i64; 2],
    relent: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Loss {
    /// What left the books.
    principal: i64,
    /// What is no claim any more.
    ended: i64,
}

#[derive(Clone)]
pub(crate) struct Pending {
    pub(crate) at: u64,
    maker: PrincipalId,
    expires: i64,
    subject: Subject,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject {
    Loan(LoanId),
    Withdrawal {
        allocation: u64,
        amount: i64,
    },
    Reversal {
        of: u64,
    },
    Payment {
        what: What,
        amount: i64,
    },
    /// The terms at that place among those proposed.
    Restructuring {
        loan: LoanId,
        from: Date,
        terms: usize,
    },
    WriteOff {
        loan: LoanId,
        amount: i64,
        absolute: bool,
    },
    Close {
        fund: FundId,
        through: Date,
    },
    /// The bank account at that place among those asked for.
    Bank {
        account: (FundId, AccountId),
        asked: usize,
    },
}

/// What a pending proposal would use.
#[derive(Default)]
struct Uses {
    committable: Option<(FundId, i64)>,
    ceiling: Option<((FundId, AccountId), i64)>,
    headroom: Option<(LoanId, i64)>,
    allocation: Option<(u64, i64)>,
}

/// The balances of a fund.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FundSums {
    pub(crate) cash: i64,
    pub(crate) capital: i64,
    pub(crate) receivable: i64,
    pub(crate) interest: i64,
    pub(crate) late_fees: i64,
    pub(crate) grants: i64,
    pub(crate) losses: i64,
    pub(crate) recoveries: i64,
    pub(crate) available: i64,
    pub(crate) income_apart: i64,
    pub(crate) committed: i64,
    pub(crate) reserved: i64,
}

impl Model {
    /// It is that instant now; what has lapsed is gone.
    pub(crate) fn pass_time(&mut self, now: Timestamp) {
        self.now = now.as_micros();
        let (lapsed, pending) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition::<Vec<_>, _>(|p| p.expires <= self.now);
        self.pending = pending;
        for proposal in lapsed {
            if let Subject::Loan(loan) = proposal.subject {
                self.loans.get_mut(&loan).unwrap().is = LoanIs::Dead;
            }
        }
    }

    /// The date in Jakarta.
    fn today(&self) -> Date {
        let hours = self.now.div_euclid(3_600_000_000) + 7;
        let days = i32::try_from(hours.div_euclid(24)).unwrap();
        let epoch = Date::from_ordinal_date(1970, 1).unwrap().to_julian_day();
        Date::from_julian_day(epoch + days).unwrap()
    }

    fn terms(&self, fund: FundId) -> Terms {
        self.terms_on(fund, self.today())
    }

    fn terms_on(&self, fund: FundId, day: Date) -> Terms {
        let terms = self.funds[&fund].terms.iter();
        let begun = terms.filter(|(from, _)| *from <= day);
        begun.max_by_key(|(from, _)| *from).unwrap().1
    }

    fn posting(&self, at: u64) -> Option<&Posting> {
        self.postings.iter().find(|p| p.at == at)
    }
    fn live(&self) -> impl Iterator<Item = &Posting> {
        self.postings.iter().filter(|p| !p.reversed)
    }
    /// Neither reversed nor sent back by a return that is live.
    fn stands(&self, posting: &Posting) -> bool {
        let of = What::Return { of: posting.at };
        !posting.reversed && !self.live().any(|other| other.what == of)
    }

    /// The records that were reversed or sent back.
    pub(crate) fn undone(&self) -> Vec<u64> {
        let undone = self.postings.iter().filter(|p| !self.stands(p));
        undone.map(|p| p.at).collect()
    }

    fn account_of(&self, posting: &Posting) -> Option<(FundId, AccountId)> {
        match posting.what {
            What::Allocation(_) | What::Withdrawal { .. } => None,
            What::Tranche(loan)
            | What::Repayment(loan, _)
            | What::WriteOff(loan, _)
            | What::Recovery(loan) => Some(self.loans[&loan].account),
            What::Grant(account) => Some(account),
            What::Return { of } => self.account_of(self.posting(of).unwrap()),
        }
    }
    fn fund_of(&self, posting: &Posting) -> FundId {
        match posting.what {
            What::Allocation(fund) => fund,
            What::Withdrawal { allocation } => self.fund_of(self.posting(allocation).unwrap()),
            _ => self.account_of(posting).unwrap().0,
        }
    }

    pub(crate) fn bank_account(&self, fund: FundId, account: AccountId) -> &BankAccount {
        self.accounts[&(fund, account)].banks.last().unwrap()
    }

    /// Tranches that stand; principal, interest and late fees that came in; what was written off, what
    /// of that is no claim any more, and what came back.
    pub(crate) fn loan_sums(&self, loan: LoanId) -> [i64; 7] {
        let mut sums = [0; 7];
        for posting in self.live() {
            match posting.what {
                What::Tranche(of) if of == loan && self.stands(posting) => {
                    sums[0] += posting.amount;
                }
                What::Repayment(of, parts) if of == loan => {
                    sums[1] += parts.principal;
                    sums[2] += parts.income[0];
                    sums[3] += parts.income[1];
                }
                What::WriteOff(of, loss) if of == loan => {
                    sums[4] += loss.principal;
                    sums[5] += loss.ended;
                }
                What::Recovery(of) if of == loan => sums[6] += posting.amount,
                _ => {}
            }
        }
        sums
    }
    /// What is owed on a loan.
    fn outstanding(&self, loan: LoanId) -> i64 {
        let [disbursed, repaid, _, _, written_off, ..] = self.loan_sums(loan);
        disbursed - repaid - written_off
    }
    /// What was written off of a loan and may come back.
    fn recoverable(&self, loan: LoanId) -> i64 {
        let [.., written_off, ended, recovered] = self.loan_sums(loan);
        written_off - ended - recovered
    }
    /// What was written off of the loans of an account, and what came back.
    pub(crate) fn losses(&self, account: (FundId, AccountId)) -> [i64; 2] {
        let loans = self.loans.iter().filter(|(_, loan)| loan.account == account);
        loans.fold([0; 2], |[losses, back], (id, _)| {
            let [.., written_off, _, recovered] = self.loan_sums(*id);
            [losses + written_off, back + recovered]
        })
    }

    /// What an account owes, what it may yet get, what is pending for it, what it was given.
    pub(crate) fn account_sums(&self, account: (FundId, AccountId)) -> [i64; 4] {
        let mut sums = [0; 4];
        for (id, loan) in &self.loans {
            if loan.account == account && loan.is == LoanIs::Approved {
                let [disbursed, ..] = self.loan_sums(*id);
                sums[0] += self.outstanding(*id);
                sums[1] += loan.principal - disbursed;
            }
        }
        for (of, amount) in self.uses().filter_map(|uses| uses.ceiling) {
            sums[2] += if of == account { amount } else { 0 };
        }
        for posting in self.live() {
            if posting.what == What::Grant(account) && self.stands(posting) {
                sums[3] += posting.amount;
            }
        }
        sums
    }

    pub(crate) fn fund_sums(&self, fund: FundId) -> FundSums {
        let mut sums = FundSums {
            cash: 0,
            capital: 0,
            receivable: 0,
            interest: 0,
            late_fees: 0,
            grants: 0,
            losses: 0,
            recoveries: 0,
            available: 0,
            income_apart: 0,
            committed: 0,
            reserved: 0,
        };
        for posting in self.live().filter(|p| self.fund_of(p) == fund) {
            let amount = posting.amount;
            match posting.what {
                What::Allocation(_) => {
                    sums.cash += amount;
                    sums.capital += amount;
                    sums.available += amount;
                }
                What::Withdrawal { .. } => {
                    sums.cash -= amount;
                    sums.capital -= amount;
                    sums.available -= amount;
                }
                What::Tranche(_) | What::Grant(_) => {
                    sums.cash -= amount;
                    sums.available -= amount;
                }
                What::Return { .. } => {
                    sums.cash += amount;
                    sums.available += amount;
                }
                What::WriteOff(_, loss) => sums.losses += loss.principal,
                What::Recovery(_) => {
                    sums.cash += amount;
                    sums.available += amount;
                    sums.recoveries += amount;
                }
                What::Repayment(_, parts) => {
                    let income: i64 = parts.income.iter().sum();
                    sums.cash += amount;
                    sums.available += parts.principal;
                    if parts.relent {
                        sums.available += income;
                    } else {
                        sums.income_apart += income;
                    }
                    sums.interest += parts.income[0];
                    sums.late_fees += parts.income[1];
                }
            }
        }
        for account in self.accounts.keys().filter(|(of, _)| *of == fund) {
            let [outstanding, committed, _, granted] = self.account_sums(*account);
            sums.receivable += outstanding;
            sums.committed += committed;
            sums.grants += granted;
        }
        for (of, amount) in self.uses().filter_map(|uses| uses.committable) {
            sums.reserved += if of == fund { amount } else { 0 };
        }
        sums
    }

    fn uses(&self) -> impl Iterator<Item = Uses> {
        self.pending.iter().map(|p| self.would_use(p.subject))
    }

    fn would_use(&self, subject: Subject) -> Uses {
        let of = match subject {
            Subject::Loan(loan) => {
                let Loan { account, principal, .. } = self.loans[&loan];
                return Uses {
                    committable: Some((account.0, principal)),
                    ceiling: Some((account, principal)),
                    ..Uses::default()
                };
            }
            Subject::Withdrawal { allocation, amount } => {
                let fund = self.fund_of(self.posting(allocation).unwrap());
                return Uses {
                    committable: Some((fund, amount)),
                    allocation: Some((allocation, amount)),
                    ..Uses::default()
                };
            }
            Subject::Payment { what: What::Tranche(loan), amount } => {
                return Uses { headroom: Some((loan, amount)), ..Uses::default() };
            }
            Subject::Payment { what: What::Grant(account), amount } => {
                return Uses {
                    committable: Some((account.0, amount)),
                    ceiling: Some((account, amount)),
                    ..Uses::default()
                };
            }
            Subject::Payment { .. } => unreachable!("only these are proposed"),
            Subject::Bank { .. }
            | Subject::Close { .. }
            | Subject::WriteOff { .. }
            | Subject::Restructuring { .. } => {
                return Uses::default();
            }
            Subject::Reversal { of } => self.posting(of).unwrap(),
        };
        let (fund, amount) = (self.fund_of(of), of.amount);
        match of.what {
            What::Allocation(_) => Uses {
                committable: Some((fund, amount)),
                allocation: Some((of.at, amount)),
                ..Uses::default()
            },
            What::Withdrawal { .. } | What::Tranche(_) | What::Grant(_) => Uses::default(),
            What::WriteOff(loan, loss) => {
                let account = self.loans[&loan].account;
                Uses { ceiling: Some((account, loss.principal)), ..Uses::default() }
            }
            What::Recovery(_) => Uses { committable: Some((fund, amount)), ..Uses::default() },
            What::Return { of } => match self.posting(of).unwrap().what {
                What::Tranche(loan) => Uses { headroom: Some((loan, amount)), ..Uses::default() },
                What::Grant(account) => Uses {
                    committable: Some((fund, amount)),
                    ceiling: Some((account, amount)),
                    ..Uses::default()
                },
                _ => unreachable!("only these come back"),
            },
            What::Repayment(loan, parts) => {
                let income: i64 = parts.income.iter().sum();
                let lent = parts.principal + if parts.relent { income } else { 0 };
                Uses {
                    committable: Some((fund, lent)),
                    ceiling: Some((self.loans[&loan].account, parts.principal)),
                    ..Uses::default()
                }
            }
        }
    }
}

/// The rules that a command breaks; none if it is accepted.
pub(crate) type Verdict = BTreeSet<Why>;
