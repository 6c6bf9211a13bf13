//! What steps pick from: mostly what fits, so that most commands could be accepted.

use super::Pair;
use super::commands::{OPENING, ORIGIN, day, id, text};
use super::steps::{AMOUNTS, Ask, Bank, PRINCIPALS, Step};
use bergulir_domain::command::{self as c, BankReference, Command};
use bergulir_domain::state::{Loan, LoanBalances, LoanState, Subject};
use bergulir_domain::{Amount, Date, Event, LoanId, Money, Position, Timestamp, UtcOffset};

fn pick<T: Copy>(list: &[T], n: u8) -> Option<T> {
    let place = usize::from(n).checked_rem(list.len())?;
    list.get(place).copied()
}

impl Pair {
    pub(super) fn origin(&self) -> &str {
        self.ledger.state.opened().map_or(ORIGIN, |opened| opened.origin.as_str())
    }

    pub(super) fn later(&self, micros: i64) -> Timestamp {
        Timestamp::from_micros(self.ledger.clock.as_micros() + micros)
    }

    /// Mostly today.
    pub(super) fn date(&self, dated: u8) -> Date {
        let at = match dated {
            0..50 => 0,
            50..57 => i32::from(dated) - 58,
            57 => 1,
            58 => return day(OPENING),
            _ => return day("2025-12-31"),
        };
        let today = self.later(7 * 3_600_000_000).date(UtcOffset::UTC);
        Date::from_julian_day(today.unwrap().to_julian_day() + at).unwrap()
    }

    pub(super) fn bank(&mut self, bank: Bank) -> BankReference {
        self.fresh += 1;
        let (reference, line) = match bank {
            Bank::Fresh => (format!("N-{}", self.fresh), None),
            Bank::Few(n) => ("BULK".to_owned(), [None, Some(0), Some(1)][usize::from(n % 3)]),
            Bank::Earlier(n) => {
                let postings = self.model.postings.iter();
                let used: Vec<_> = postings.filter_map(|posting| posting.bank.as_ref()).collect();
                match used.get(usize::from(n) % used.len().max(1)) {
                    Some(bank) => return (*bank).clone(),
                    // Everything that moved money was reversed.
                    None => (format!("N-{}", self.fresh), None),
                }
            }
        };
        BankReference { bank: text("BPD"), reference: text(&reference), line }
    }

    /// Mostly a loan that fits what is asked for: approved, or pending.
    pub(super) fn loan(&self, ask: Ask, n: u8) -> LoanId {
        let decides = matches!(ask, Ask::ApproveLoan | Ask::RefuseLoan | Ask::WithdrawLoan);
        let fits = |loan: &Loan| match &loan.state {
            LoanState::Pending { .. } => decides,
            LoanState::Approved(active) => match ask {
                Ask::Recover => active.balances().written_off > 0,
                Ask::ProposeWriteOff => {
                    active.balances().outstanding() + active.balances().recoverable() > 0
                }
                Ask::Restructure => active.balances().outstanding() > 0,
                _ => !decides,
            },
            LoanState::Refused | LoanState::Withdrawn | LoanState::Expired => false,
        };
        let loans = self.ledger.state.loans().iter().map(|(_, loan)| loan);
        let fitting = loans.filter(|loan| n % 16 == 15 || fits(loan));
        let fitting: Vec<LoanId> = fitting.map(|loan| loan.id).collect();
        pick(&fitting, n).filter(|_| n < 250).unwrap_or(id("none"))
    }

    /// Mostly a record that moved money in the way that is asked for, and that stands.
    pub(super) fn record(&self, ask: Ask, a: u8, b: u8) -> Position {
        let fits = |event: &Event| match ask {
            Ask::Return => matches!(
                event,
                Event::Disbursed(_) | Event::GrantDisbursed(_) | Event::DisbursementApproved(_)
            ),
            Ask::ProposeWithdrawal => matches!(event, Event::FundAllocated(_)),
            _ => match event {
                Event::WrittenOff(_) => true,
                Event::Reversed(_) => b % 16 == 14,
                _ => event.bank_reference().is_some(),
            },
        };
        let stands = |at: Position| b % 16 == 15 || self.ledger.state.undone(at).is_none();
        let records = self.ledger.records.0.iter();
        let fitting = records.filter(|(header, event)| fits(event) && stands(header.position));
        let fitting: Vec<Position> = fitting.map(|(header, _)| header.position).collect();
        pick(&fitting, a).filter(|_| b < 245).unwrap_or(Position::new(u64::from(a)))
    }

    /// Mostly a proposal that is pending and of the kind that is asked for.
    pub(super) fn proposal(&self, ask: Ask, a: u8, b: u8) -> Position {
        let fits = |subject: &Subject| match ask {
            Ask::ApproveReversal => matches!(subject, Subject::Reversal { .. }),
            Ask::ApproveRestructuring => matches!(subject, Subject::Restructuring { .. }),
            Ask::ApproveWriteOff => matches!(subject, Subject::WriteOff { .. }),
            Ask::ApproveClose => matches!(subject, Subject::PeriodClose { .. }),
            Ask::ApproveBank => matches!(subject, Subject::BankAccountChange { .. }),
            Ask::ApprovePayment => matches!(subject, Subject::Disbursement { .. }),
            Ask::ApproveWithdrawal => matches!(subject, Subject::AllocationWithdrawal { .. }),
            _ => !matches!(subject, Subject::Loan(_)),
        };
        let proposals = self.ledger.state.proposals().iter();
        let fitting = proposals.filter(|(_, p)| b % 16 == 15 || fits(&p.subject));
        let pending: Vec<Position> = fitting.map(|(at, _)| *at).collect();
        pick(&pending, a).filter(|_| b < 245).unwrap_or(Position::new(u64::from(a)))
    }

    /// Mostly another than the maker of what is decided on, or the maker of what is taken back.
    pub(super) fn actor(&self, step: &Step, command: &Command) -> &'static str {
        let by = PRINCIPALS[step.by];
        let proposal = match command {
            Command::ApproveLoan(c::ApproveLoan { loan })
            | Command::RefuseLoan(c::RefuseLoan { loan, .. })
            | Command::WithdrawLoan(c::WithdrawLoan { loan, .. }) => {
                let loans = self.ledger.state.loans();
                loans.find(loan).map(|index| loans.get(index).proposed_at)
            }
            Command::ApproveReversal(c::ApproveReversal { proposal })
            | Command::ApproveAllocationWithdrawal(c::ApproveAllocationWithdrawal {
                proposal,
                ..
            })
            | Command::ApproveDisbursement(c::ApproveDisbursement { proposal, .. })
            | Command::ApproveWriteOff(c::ApproveWriteOff { proposal, .. })
            | Command::ApproveRestructuring(c::ApproveRestructuring { proposal })
            | Command::ApproveBankAccountChange(c::ApproveBankAccountChange { proposal })
            | Command::ApprovePeriodClose(c::ApprovePeriodClose { proposal })
            | Command::RefuseProposal(c::RefuseProposal { proposal, .. })
            | Command::WithdrawProposal(c::WithdrawProposal { proposal, .. }) => Some(*proposal),
            _ => None,
        };
        let proposal = proposal.and_then(|at| self.ledger.state.proposals().get(&at));
        let Some(maker) = proposal.map(|p| p.maker.as_str()) else {
            return by;
        };
        let takes_back = matches!(step.ask, Ask::WithdrawLoan | Ask::WithdrawProposal);
        let fits = |p: &&&str| (**p == maker) == takes_back && **p != "system";
        let fitting = PRINCIPALS.iter().filter(fits).nth(step.by % 2);
        fitting.filter(|_| step.dated % 8 != 7).unwrap_or(&by)
    }

    /// Mostly all of that number of a loan, or half of it.
    pub(super) fn part_of_loan(&self, loan: LoanId, c: u8, of: fn(&LoanBalances) -> i64) -> Amount {
        let all = self.ledger.state.loans().find(&loan).map_or(0, |index| {
            self.ledger.state.loans().get(index).active().map_or(0, |a| of(&a.balances()))
        });
        let minor = match c % 4 {
            0 | 1 => all,
            2 => all / 2,
            _ => AMOUNTS[usize::from(c) % AMOUNTS.len()] * 100,
        };
        Amount::from_minor(minor.max(1)).unwrap()
    }

    pub(super) fn repay(
        &self,
        loan: LoanId,
        [b, c, d]: [u8; 3],
        bank_reference: BankReference,
        value_date: Date,
    ) -> Command {
        let owed = self.ledger.state.loans().find(&loan).map_or(0, |index| {
            let loan = self.ledger.state.loans().get(index);
            loan.active().map_or(0, |a| a.balances().outstanding())
        });
        let principal = match b % 4 {
            0 => owed,
            1 => owed / 2,
            2 => AMOUNTS[usize::from(b) % AMOUNTS.len()] * 100,
            _ => 0,
        };
        let interest = i64::from(c % 3) * 500;
        let late_fee = i64::from(d % 3) * 100;
        let wrong = i64::from(d > 245);
        let part = |n: i64| (n > 0).then(|| Money::from_minor(n).unwrap());
        let sum = principal + interest + late_fee + wrong;
        Command::Repay(c::Repay {
            loan,
            amount: Amount::from_minor(sum.max(1)).unwrap(),
            principal: part(principal),
            interest: part(interest),
            late_fee: part(late_fee),
            bank_reference,
            value_date,
        })
    }
}
