//! The pilot programme as a starting point of stories.

use crate::commands::{
    allocate, appoint, approve_loan, confirm, disburse, grant_terms, id, open_account, open_fund,
    open_ledger, propose_loan, register, rp, terms,
};
use crate::given::Ledger;
use bergulir_domain::Amount;
use bergulir_domain::command as c;
use bergulir_domain::cooperative::Office;
use bergulir_domain::terms::Terms;

/// The pilot with three cooperatives: Rp5,800,000,000 allocated, accounts `a1` to `a3` open.
pub(crate) fn pilot() -> Ledger {
    programme(terms(), 3)
}

/// A fund `pilot` of those terms with Rp5,800,000,000, and so many cooperatives with an account.
pub(crate) fn programme(terms: Terms, cooperatives: u32) -> Ledger {
    let mut ledger = Ledger::empty()
        .when(open_ledger())
        .then_ok()
        .when(open_fund("pilot", terms))
        .then_ok()
        .when(allocate("pilot", rp(5_800_000_000)))
        .then_ok()
        .named("allocation");
    for number in 1..=cooperatives {
        ledger = ledger.with_cooperative(number).with_account(number);
    }
    ledger
}

/// The pilot with a grant fund `hibah` beside it, Rp500,000,000 allocated, and account `g1` in it.
pub(crate) fn with_grant_fund() -> Ledger {
    pilot()
        .when(open_fund("hibah", grant_terms()))
        .then_ok()
        .when(allocate("hibah", rp(500_000_000)))
        .then_ok()
        .when(c::OpenAccount { fund: id("hibah"), ..open_account("g1") })
        .then_ok()
}

impl Ledger {
    /// A cooperative with its officers and with everything confirmed that the pilot asks for.
    pub(crate) fn with_cooperative(mut self, number: u32) -> Ledger {
        let cooperative = format!("c{number}");
        let (chair, treasurer) = (format!("chair-{number}"), format!("treasurer-{number}"));
        self = self
            .when(register(&cooperative))
            .then_ok()
            .when(appoint(&cooperative, Office::Chair, &chair))
            .then_ok()
            .when(appoint(&cooperative, Office::Treasurer, &treasurer))
            .then_ok();
        for item in terms().required_readiness.iter() {
            self = self.when(confirm(&cooperative, item)).then_ok();
        }
        self
    }

    pub(crate) fn with_account(self, number: u32) -> Ledger {
        self.when(open_account(&format!("a{number}"))).then_ok()
    }

    /// A loan that was approved.
    pub(crate) fn with_loan(self, loan: &str, principal: Amount) -> Ledger {
        self.by("maker")
            .when(propose_loan(loan, principal))
            .then_ok()
            .by("checker")
            .when(approve_loan(loan))
            .then_ok()
            .by("maker")
    }

    /// A loan that was approved and disbursed in one tranche, which is named like the loan.
    pub(crate) fn with_disbursed_loan(self, loan: &str, principal: Amount) -> Ledger {
        self.with_loan(loan, principal).when(disburse(loan, principal)).then_ok().named(loan)
    }
}
