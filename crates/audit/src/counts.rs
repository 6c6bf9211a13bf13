//! How many records there are of each kind of event.

use std::collections::BTreeMap;

use bergulir_domain::Event;

/// Counts by kind; one array, because it is counted up for every record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts([u64; NAMES.len()]);

impl Default for Counts {
    fn default() -> Counts {
        Counts([0; NAMES.len()])
    }
}

macro_rules! kinds {
    ($($name:ident)*) => {
        #[derive(Clone, Copy)]
        enum Kind { $($name),* }

        const NAMES: [&str; [$(Kind::$name),*].len()] = [$(stringify!($name)),*];

        fn kind(event: &Event) -> Kind {
            match event {
                $(Event::$name(_) => Kind::$name,)*
            }
        }
    };
}
kinds! {
    LedgerOpened RulesAdopted FundOpened TermsChanged FundAllocated AllocationWithdrawalProposed
    AllocationWithdrawn CooperativeRegistered OfficerAppointed ReadinessConfirmed AccountOpened
    AccountSuspended AccountResumed AccountClosed LoanProposed LoanApproved LoanRefused
    LoanWithdrawn Disbursed GrantDisbursed DisbursementReturned Repaid ReversalProposed Reversed
    ProposalRefused ProposalWithdrawn Sealed KeyRotated LedgerContinued
    DisbursementProposed DisbursementApproved BankAccountChangeProposed BankAccountChanged
    PeriodCloseProposed PeriodClosed WriteOffProposed WrittenOff Recovered
    RestructuringProposed Restructured
}

impl Counts {
    pub(crate) fn count(&mut self, event: &Event) {
        self.0[kind(event) as usize] += 1;
    }

    /// The kinds that occur, by name.
    pub(crate) fn by_name(&self) -> BTreeMap<&'static str, u64> {
        let named = NAMES.into_iter().zip(self.0);
        named.filter(|(_, count)| *count > 0).collect()
    }
}
