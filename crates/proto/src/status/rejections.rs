//! What each rejection of the domain is to a caller.

use bergulir_domain::rejection::{NeedsFund, Purse, Rejection, Resource};
use tonic::Code;

use super::Described;
use crate::enums::WireEnum;
use crate::pb;

fn resource(missing: bool, resource: &Resource, message: String) -> Described {
    let (code, reasons) = if missing {
        let reasons = [
            "FUND_NOT_FOUND",
            "COOPERATIVE_NOT_FOUND",
            "ACCOUNT_NOT_FOUND",
            "LOAN_NOT_FOUND",
            "RECORD_NOT_FOUND",
        ];
        (Code::NotFound, reasons)
    } else {
        let reasons = [
            "FUND_ALREADY_EXISTS",
            "COOPERATIVE_ALREADY_EXISTS",
            "ACCOUNT_ALREADY_EXISTS",
            "LOAN_ALREADY_EXISTS",
            "RECORD_ALREADY_EXISTS",
        ];
        (Code::AlreadyExists, reasons)
    };
    let described = |which: usize| Described::new(code, reasons[which], message);
    match resource {
        Resource::Fund(fund) => described(0).with("fund", fund),
        Resource::Cooperative(cooperative) => described(1).with("cooperative", cooperative),
        Resource::Account(fund, account) => {
            described(2).with("fund", fund).with("account", account)
        }
        Resource::Loan(loan) => described(3).with("loan", loan),
        Resource::Record(position) => described(4).with("position", position),
    }
}

/// A refusal of the domain, for a caller.
pub fn describe(rejection: &Rejection) -> Described {
    use Code::{AlreadyExists, FailedPrecondition, InvalidArgument, PermissionDenied, Unavailable};
    use Rejection as R;

    let say = |code, reason| Described::new(code, reason, rejection.to_string());
    match rejection {
        // The ledger
        R::LedgerNotOpen => say(FailedPrecondition, "LEDGER_NOT_OPEN"),
        R::LedgerAlreadyOpen => say(AlreadyExists, "LEDGER_ALREADY_OPEN"),
        R::UnknownRulesVersion { version } => {
            say(FailedPrecondition, "UNKNOWN_RULES_VERSION").with("version", version)
        }
        R::RulesNotNewer { version, in_force } => say(FailedPrecondition, "RULES_NOT_NEWER")
            .with("version", version)
            .with("in_force", in_force),
        R::RulesTooOld { needed, in_force } => say(FailedPrecondition, "RULES_TOO_OLD")
            .with("needed", needed)
            .with("in_force", in_force),
        R::KeyNotOfOrigin { origin } => {
            say(FailedPrecondition, "KEY_NOT_OF_ORIGIN").with("origin", origin.as_str())
        }
        R::KeyNamedBefore { by } => say(AlreadyExists, "KEY_NAMED_BEFORE").with("position", by),
        R::OriginNotCurrent { current } => {
            say(FailedPrecondition, "ORIGIN_NOT_CURRENT").with("origin", current.as_str())
        }
        R::OriginUsedBefore { origin } => {
            say(AlreadyExists, "ORIGIN_USED_BEFORE").with("origin", origin.as_str())
        }
        R::ReservedPrincipal => say(PermissionDenied, "RESERVED_PRINCIPAL"),
        R::SystemOnly => say(PermissionDenied, "SYSTEM_ONLY"),
        R::SealOutOfOrder { through } => {
            say(FailedPrecondition, "SEAL_OUT_OF_ORDER").with("through", through)
        }
        R::TimeOutOfRange { time } => {
            say(Unavailable, "TIME_OUT_OF_RANGE").with("time_micros", time.as_micros())
        }
        R::LookupFailed => say(Unavailable, "LOOKUP_FAILED"),

        // Names
        R::NotFound(what) => resource(true, what, rejection.to_string()),
        R::AlreadyExists(what) => resource(false, what, rejection.to_string()),

        // Funds
        R::InvalidTerms(_) => say(InvalidArgument, "INVALID_TERMS"),
        R::OpeningDateInFuture { opening_date, today } => {
            say(FailedPrecondition, "OPENING_DATE_IN_FUTURE")
                .with("opening_date", opening_date)
                .with("today", today)
        }
        R::TermsInPast { effective_from, today } => say(FailedPrecondition, "TERMS_IN_PAST")
            .with("effective_from", effective_from)
            .with("today", today),
        R::FundKindFixed => say(FailedPrecondition, "FUND_KIND_FIXED"),
        R::WrongFundKind { fund, needs } => {
            let needs = match needs {
                NeedsFund::Loan => pb::FundKind::Loan,
                NeedsFund::Grant => pb::FundKind::Grant,
            };
            say(FailedPrecondition, "WRONG_FUND_KIND")
                .with("fund", fund)
                .with("needs", needs.as_str_name())
        }
        R::InsufficientFunds { fund, purse, has, requested } => {
            let purse = match purse {
                Purse::Available => "available",
                Purse::Committable => "committable",
                Purse::IncomeApart => "income_apart",
            };
            say(FailedPrecondition, "INSUFFICIENT_FUNDS")
                .with("fund", fund)
                .with("purse", purse)
                .with_minor("has", *has)
                .with_minor("requested", requested.minor())
        }
        R::AllocationExceeded { allocation, remaining, requested } => {
            say(FailedPrecondition, "ALLOCATION_EXCEEDED")
                .with("allocation", allocation)
                .with_minor("remaining", *remaining)
                .with_minor("requested", requested.minor())
        }
        R::PeriodNotOver { through, today } => {
            say(FailedPrecondition, "PERIOD_NOT_OVER").with("through", through).with("today", today)
        }
        R::PeriodOutOfOrder { fund, through, earliest } => {
            say(FailedPrecondition, "PERIOD_OUT_OF_ORDER")
                .with("fund", fund)
                .with("through", through)
                .with("earliest", earliest)
        }
        R::PeriodClosePending { fund, proposal } => say(FailedPrecondition, "PERIOD_CLOSE_PENDING")
            .with("fund", fund)
            .with("proposal", proposal),
        R::PeriodClosed { fund, through, value_date } => say(FailedPrecondition, "PERIOD_CLOSED")
            .with("fund", fund)
            .with("through", through)
            .with("value_date", value_date),
        R::BalanceLimitExceeded => say(FailedPrecondition, "BALANCE_LIMIT_EXCEEDED"),

        // Cooperatives
        R::VillageOutsideRegion { village, region } => {
            say(FailedPrecondition, "VILLAGE_OUTSIDE_REGION")
                .with("village_code", village)
                .with("region", region)
        }
        R::VillageTaken { village, cooperative } => say(AlreadyExists, "VILLAGE_TAKEN")
            .with("village_code", village)
            .with("cooperative", cooperative),
        R::VillageKindMismatch { village, expected } => {
            say(FailedPrecondition, "VILLAGE_KIND_MISMATCH")
                .with("village_code", village)
                .with("expected", expected.wire_name())
        }
        R::SameOfficer { officer } => {
            say(FailedPrecondition, "SAME_OFFICER").with("officer", officer)
        }
        R::InvalidNumber { item } => {
            let described = say(InvalidArgument, "INVALID_NUMBER").with("item", item.wire_name());
            described.of_field("confirm_readiness.number")
        }
        R::UnexpectedNumber { item } => {
            let described =
                say(InvalidArgument, "UNEXPECTED_NUMBER").with("item", item.wire_name());
            described.of_field("confirm_readiness.number")
        }
        R::CooperativeNumberMismatch => say(FailedPrecondition, "COOPERATIVE_NUMBER_MISMATCH"),

        // Accounts
        R::NotReady { missing } => {
            let missing: Vec<&str> = missing.iter().map(WireEnum::wire_name).collect();
            say(FailedPrecondition, "NOT_READY").with("missing", missing.join(","))
        }
        R::HolderNameMismatch { registered } => {
            say(FailedPrecondition, "HOLDER_NAME_MISMATCH").with("registered_name", registered)
        }
        R::BankAccountTaken { cooperative } => {
            say(AlreadyExists, "BANK_ACCOUNT_TAKEN").with("cooperative", cooperative)
        }
        R::BankAccountReserved { cooperative, proposal } => {
            say(AlreadyExists, "BANK_ACCOUNT_RESERVED")
                .with("cooperative", cooperative)
                .with("proposal", proposal)
        }
        R::BankAccountUnchanged { account } => {
            say(FailedPrecondition, "BANK_ACCOUNT_UNCHANGED").with("account", account)
        }
        R::BankAccountChangePending { account, proposal } => {
            say(FailedPrecondition, "BANK_ACCOUNT_CHANGE_PENDING")
                .with("account", account)
                .with("proposal", proposal)
        }
        R::DisbursementPending { account, proposal } => {
            say(FailedPrecondition, "DISBURSEMENT_PENDING")
                .with("account", account)
                .with("proposal", proposal)
        }
        R::CooperativeHasAccount { fund, account } => say(AlreadyExists, "COOPERATIVE_HAS_ACCOUNT")
            .with("fund", fund)
            .with("account", account),
        R::AccountNotOpen { account, status } => say(FailedPrecondition, "ACCOUNT_NOT_OPEN")
            .with("account", account)
            .with("state", status.wire_name()),
        R::AccountNotSuspended { account, status } => {
            say(FailedPrecondition, "ACCOUNT_NOT_SUSPENDED")
                .with("account", account)
                .with("state", status.wire_name())
        }
        R::AccountNotEmpty { account, outstanding, committed, pending } => {
            say(FailedPrecondition, "ACCOUNT_NOT_EMPTY")
                .with("account", account)
                .with_minor("outstanding", *outstanding)
                .with_minor("committed", *committed)
                .with_minor("pending", *pending)
        }

        // Two people
        R::SamePerson { principal } => {
            say(FailedPrecondition, "SAME_PERSON").with("principal", principal)
        }
        R::NotMaker { maker } => say(FailedPrecondition, "NOT_MAKER").with("maker", maker),
        R::ProposalNotPending { proposal } => {
            say(FailedPrecondition, "PROPOSAL_NOT_PENDING").with("proposal", proposal)
        }
        R::ExpiryOutOfRange { expires_at, now, latest } => {
            say(FailedPrecondition, "EXPIRY_OUT_OF_RANGE")
                .with("expires_at_micros", expires_at.as_micros())
                .with("now_micros", now.as_micros())
                .with("latest_micros", latest.as_micros())
        }

        R::NeedsSecondPerson { above, requested } => say(FailedPrecondition, "NEEDS_SECOND_PERSON")
            .with_minor("above", above.minor())
            .with_minor("requested", requested.minor()),

        // Loans
        R::NotInOffice { office, officer } => say(FailedPrecondition, "NOT_IN_OFFICE")
            .with("office", office.wire_name())
            .with("officer", officer),
        R::CeilingExceeded { ceiling, in_use, requested } => {
            say(FailedPrecondition, "CEILING_EXCEEDED")
                .with_minor("ceiling", ceiling.minor())
                .with_minor("in_use", *in_use)
                .with_minor("requested", requested.minor())
        }
        R::LoanNotPending { loan, status } => say(FailedPrecondition, "LOAN_NOT_PENDING")
            .with("loan", loan)
            .with("state", status.wire_name()),
        R::LoanNotApproved { loan, status } => say(FailedPrecondition, "LOAN_NOT_APPROVED")
            .with("loan", loan)
            .with("state", status.wire_name()),

        // Money
        R::LoanLimitExceeded { approved, disbursed, requested } => {
            say(FailedPrecondition, "LOAN_LIMIT_EXCEEDED")
                .with_minor("approved", approved.minor())
                .with_minor("disbursed", *disbursed)
                .with_minor("requested", requested.minor())
        }
        R::ValueDateOutOfRange { value_date, earliest, latest } => {
            say(FailedPrecondition, "VALUE_DATE_OUT_OF_RANGE")
                .with("value_date", value_date)
                .with("earliest", earliest)
                .with("latest", latest)
        }
        R::BankReferenceUsed { by } => {
            say(AlreadyExists, "BANK_REFERENCE_USED").with("position", by)
        }
        R::PartsDoNotSum { amount, parts } => say(InvalidArgument, "PARTS_DO_NOT_SUM")
            .with_minor("amount", amount.minor())
            .with_minor("parts", *parts)
            .of_field("repay.amount"),
        R::NothingDisbursed { loan } => {
            say(FailedPrecondition, "NOTHING_DISBURSED").with("loan", loan)
        }
        R::OutstandingExceeded { outstanding, principal } => {
            say(FailedPrecondition, "OUTSTANDING_EXCEEDED")
                .with_minor("outstanding", *outstanding)
                .with_minor("principal", *principal)
        }

        // What is written off
        R::WriteOffPending { loan, proposal } => say(FailedPrecondition, "WRITE_OFF_PENDING")
            .with("loan", loan)
            .with("proposal", proposal),
        R::WriteOffExceeded { left, requested } => say(FailedPrecondition, "WRITE_OFF_EXCEEDED")
            .with_minor("left", *left)
            .with_minor("requested", requested.minor()),
        R::RecoveryExceeded { recoverable, requested } => {
            say(FailedPrecondition, "RECOVERY_EXCEEDED")
                .with_minor("recoverable", *recoverable)
                .with_minor("requested", requested.minor())
        }
        R::ClaimEnded { loan } => say(FailedPrecondition, "CLAIM_ENDED").with("loan", loan),
        R::LoanWrittenOff { loan, written_off } => say(FailedPrecondition, "LOAN_WRITTEN_OFF")
            .with("loan", loan)
            .with_minor("written_off", *written_off),

        // Restructuring
        R::RestructuringPending { loan, proposal } => {
            say(FailedPrecondition, "RESTRUCTURING_PENDING")
                .with("loan", loan)
                .with("proposal", proposal)
        }
        R::NothingOutstanding { loan } => {
            say(FailedPrecondition, "NOTHING_OUTSTANDING").with("loan", loan)
        }
        R::RestructuringOutOfRange { loan, effective_from, earliest, latest } => {
            say(FailedPrecondition, "RESTRUCTURING_OUT_OF_RANGE")
                .with("loan", loan)
                .with("effective_from", effective_from)
                .with("earliest", earliest)
                .with("latest", latest)
        }

        // Corrections
        R::NotADisbursement { position } => {
            say(FailedPrecondition, "NOT_A_DISBURSEMENT").with("position", position)
        }
        R::NotReversible { position } => {
            say(FailedPrecondition, "NOT_REVERSIBLE").with("position", position)
        }
        R::ReversalNotReversible { position } => {
            say(FailedPrecondition, "REVERSAL_NOT_REVERSIBLE").with("position", position)
        }
        R::AlreadyUndone { position, by } => {
            say(FailedPrecondition, "ALREADY_UNDONE").with("position", position).with("by", by)
        }
        R::ReversalPending { position, proposal } => say(FailedPrecondition, "REVERSAL_PENDING")
            .with("position", position)
            .with("proposal", proposal),
        R::DisbursementRepaid { remaining, repaid } => {
            say(FailedPrecondition, "DISBURSEMENT_REPAID")
                .with_minor("remaining", *remaining)
                .with_minor("repaid", *repaid)
        }
        R::WriteOffRecovered { remaining, gone } => say(FailedPrecondition, "WRITE_OFF_RECOVERED")
            .with_minor("remaining", *remaining)
            .with_minor("gone", *gone),
    }
}
