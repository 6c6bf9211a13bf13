//! What holds at every position, whatever happened.

use bergulir_domain::postings::Book;
use bergulir_domain::rejection::AccountStatus;
use bergulir_domain::state::{AccountBalances, LoanState, Subject};
use bergulir_domain::{State, Timestamp};

/// Everything that can be counted in two ways is counted in two ways.
pub(crate) fn check_invariants(state: &State, now: Timestamp) {
    check_funds(state);
    check_accounts(state);
    check_loans(state, now);
    for (_, proposal) in state.proposals().iter() {
        assert!(proposal.expires_at > now, "what has lapsed is gone");
    }
}

fn check_funds(state: &State) {
    for (index, fund) in state.funds().iter() {
        let balances = &fund.balances;
        let amount = |book| i128::from(balances.books.amount(book));
        let accounts = || state.accounts().iter().map(|(_, a)| a);
        let mine = || {
            accounts().filter(|a| a.fund == index).map(bergulir_domain::state::Account::balances)
        };

        let all = balances.books.balances().iter().map(|b| i128::from(*b));
        assert_eq!(all.sum::<i128>(), 0);
        assert_eq!(
            amount(Book::Cash)
                + amount(Book::PrincipalReceivable)
                + amount(Book::WriteOffLoss)
                + amount(Book::GrantExpense),
            amount(Book::Capital)
                + amount(Book::InterestIncome)
                + amount(Book::LateFeeIncome)
                + amount(Book::RecoveryIncome)
                + amount(Book::Suspense),
            "what there is = where it came from"
        );
        for book in Book::ALL {
            assert!(amount(book) >= 0, "{book:?} is negative");
        }
        assert!(balances.available() >= 0, "available");
        assert!(balances.committable() >= 0, "committable");
        let income = amount(Book::InterestIncome) + amount(Book::LateFeeIncome);
        assert!((0..=income).contains(&i128::from(balances.income_apart)));

        let sum = |part: fn(&AccountBalances) -> i64| -> i128 {
            mine().map(|a| i128::from(part(&a))).sum()
        };
        assert_eq!(sum(AccountBalances::outstanding), amount(Book::PrincipalReceivable));
        assert_eq!(sum(|a| a.interest_paid), amount(Book::InterestIncome));
        assert_eq!(sum(|a| a.late_fees_paid), amount(Book::LateFeeIncome));
        assert_eq!(sum(|a| a.granted), amount(Book::GrantExpense));
        assert_eq!(sum(|a| a.written_off), amount(Book::WriteOffLoss));
        assert_eq!(sum(|a| a.recovered), amount(Book::RecoveryIncome));
        assert_eq!(sum(|a| a.committed), i128::from(balances.committed));

        let reservations = || state.proposals().iter().map(|(_, p)| p.reservation);
        let mine = || reservations().filter(|r| r.fund == index);
        let reserved: i64 = mine().map(|r| r.committable).sum();
        assert_eq!(reserved, balances.reserved);

        let mut capital = 0;
        for (position, allocation) in &fund.allocations {
            let reserved: i64 = mine()
                .filter_map(|r| r.allocation)
                .filter(|(p, _)| p == position)
                .map(|(_, minor)| minor)
                .sum();
            assert_eq!(allocation.reserved, reserved);
            assert!(allocation.withdrawn >= 0 && allocation.remaining() >= 0);
            capital += i128::from(allocation.amount.minor() - allocation.withdrawn);
        }
        assert_eq!(capital, amount(Book::Capital));
    }
}

fn check_accounts(state: &State) {
    for (index, account) in state.accounts().iter() {
        let balances = account.balances();
        assert!(balances.outstanding() >= 0 && balances.committed >= 0);
        assert!(balances.pending >= 0 && balances.granted >= 0);
        let reservations = state.proposals().iter().map(|(_, p)| p.reservation);
        let pending: i64 = reservations
            .filter_map(|r| r.ceiling)
            .filter(|(a, _)| *a == index)
            .map(|(_, minor)| minor)
            .sum();
        assert_eq!(pending, balances.pending);
        let granted: i64 = account.grants().map(|t| t.amount.minor()).sum();
        assert_eq!(granted, balances.granted);
        if account.status == AccountStatus::Closed {
            let owes = [balances.outstanding(), balances.committed, balances.pending];
            assert_eq!(owes, [0, 0, 0], "a closed account is at zero");
        }

        let loans = state.loans().iter().map(|(_, loan)| loan);
        let mut totals = [0; 7];
        for loan in loans.filter(|loan| loan.account == index) {
            let Some(active) = loan.active() else {
                continue;
            };
            let numbers = [
                loan.principal.minor() - active.balances().disbursed,
                active.balances().disbursed,
                active.balances().principal_repaid,
                active.balances().interest_paid,
                active.balances().late_fees_paid,
                active.balances().written_off,
                active.balances().recovered,
            ];
            for (total, number) in totals.iter_mut().zip(numbers) {
                *total += number;
            }
        }
        let of_account = [
            balances.committed,
            balances.disbursed,
            balances.principal_repaid,
            balances.interest_paid,
            balances.late_fees_paid,
            balances.written_off,
            balances.recovered,
        ];
        assert_eq!(totals, of_account, "an account is the sum of its loans");
    }
}

fn check_loans(state: &State, now: Timestamp) {
    for (index, loan) in state.loans().iter() {
        let proposal = state.proposals().get(&loan.proposed_at);
        let active = match &loan.state {
            LoanState::Pending { expires_at } => {
                let proposal = proposal.expect("a pending loan has a proposal");
                assert_eq!(proposal.subject, Subject::Loan(index));
                assert_eq!(proposal.expires_at, *expires_at);
                assert!(*expires_at > now);
                continue;
            }
            LoanState::Refused | LoanState::Withdrawn | LoanState::Expired => {
                assert!(proposal.is_none());
                continue;
            }
            LoanState::Approved(active) => active,
        };
        assert!(proposal.is_none());
        assert_ne!(active.approval.checker, *loan.maker, "two people");
        let reservations = state.proposals().iter().map(|(_, p)| p.reservation);
        let reserved: i64 = reservations
            .filter_map(|r| r.headroom)
            .filter(|(l, _)| *l == index)
            .map(|(_, minor)| minor)
            .sum();
        assert_eq!(reserved, active.reserved());
        assert!(loan.undisbursed() >= 0);
        assert!(active.balances().outstanding() >= 0);
        assert!(active.balances().written_off >= 0 && active.balances().claim_ended >= 0);
        assert!(active.balances().recovered >= 0 && active.balances().recoverable() >= 0);
        let paid_out: i64 = active.tranches.all().unwrap().iter().map(|t| t.amount.minor()).sum();
        assert_eq!(paid_out, active.balances().disbursed);
    }
}
