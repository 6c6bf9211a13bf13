//! Refusals as `google.rpc.Status` with `ErrorInfo`, and as the same facts in an item of a batch.

use core::fmt::Display;
use core::time::Duration;
use std::collections::{BTreeMap, HashMap};

use bergulir_domain::money::{Currency, to_decimal};
use bergulir_domain::rejection::{NeedsFund, Purse, Rejection, Resource};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::enums::WireEnum;
use crate::pb;
use crate::wire::InvalidFields;

/// The domain of every `ErrorInfo` of ours.
pub const ERROR_DOMAIN: &str = "bergulir";

/// The most field violations of one answer; it travels in the trailers of a response, which have
/// little room.
pub const MAX_VIOLATIONS: usize = 20;

/// The most bytes of a message. What a caller sent may be in it, which can be as long as a request.
const MAX_MESSAGE: usize = 1_000;

/// The most bytes of what is wrong with each of several fields.
const MAX_DESCRIPTION: usize = 200;

/// A text, cut off if it is longer than there is room for.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    format!("{}…", &text[..end])
}

/// The name of a status code, as the documents of gRPC have it.
pub const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Why something is refused: for programs the code, the reason and the facts; for people the
/// message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The status code.
    pub code: Code,
    /// The reason, in capitals.
    pub reason: &'static str,
    /// What happened and what to do.
    pub message: String,
    /// The facts. Amounts are decimals in units of the ledger's currency, dates and positions as
    /// elsewhere.
    pub metadata: BTreeMap<String, String>,
    /// The fields that are wrong, if it is known which; at most [`MAX_VIOLATIONS`].
    pub violations: Vec<pb::FieldViolation>,
}

impl Described {
    /// A refusal without facts.
    pub fn new(code: Code, reason: &'static str, message: impl Into<String>) -> Described {
        Described {
            code,
            reason,
            message: cut(&message.into(), MAX_MESSAGE),
            metadata: BTreeMap::new(),
            violations: Vec::new(),
        }
    }

    /// One more fact.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Display) -> Described {
        self.metadata.insert(key.to_owned(), value.to_string());
        self
    }

    /// The message is about this field of the command.
    fn of_field(mut self, field: &str) -> Described {
        let description = self.message.clone();
        self.violations.push(pb::FieldViolation { field: field.to_owned(), description });
        self
    }

    /// The same for a command that is the item at that place of a batch.
    #[must_use]
    pub fn of_item(mut self, item: usize) -> Described {
        for violation in &mut self.violations {
            violation.field.insert_str(0, &format!("items[{item}].command."));
        }
        self.with("item", item)
    }

    fn with_minor(self, key: &str, minor: i64) -> Described {
        // One currency so far: see `Currency`.
        self.with(key, to_decimal(minor, Currency::Idr))
    }

    fn details(&self) -> ErrorDetails {
        let metadata: HashMap<String, String> = self.metadata.clone().into_iter().collect();
        let mut details = ErrorDetails::with_error_info(self.reason, ERROR_DOMAIN, metadata);
        for violation in &self.violations {
            details.add_bad_request_violation(&violation.field, &violation.description);
        }
        details
    }

    /// The status of a call.
    pub fn status(&self) -> Status {
        Status::with_error_details(self.code, &self.message, self.details())
    }

    /// The status of a call that may be sent again after that time.
    pub fn status_with_retry(&self, after: Duration) -> Status {
        let mut details = self.details();
        details.set_retry_info(Some(after));
        Status::with_error_details(self.code, &self.message, details)
    }

    /// The error of an item of a batch.
    pub fn command_error(&self) -> pb::CommandError {
        pb::CommandError {
            code: self.code.into(),
            reason: self.reason.to_owned(),
            message: self.message.clone(),
            metadata: self.metadata.clone(),
            field_violations: self.violations.clone(),
        }
    }
}

impl InvalidFields {
    fn described(&self) -> Described {
        let most = if self.0.len() == 1 { MAX_MESSAGE } else { MAX_DESCRIPTION };
        let listed = self.0.iter().take(MAX_VIOLATIONS).map(|violation| pb::FieldViolation {
            field: violation.field.clone(),
            description: cut(&violation.description, most),
        });
        let violations = listed.collect();
        let described = Described::new(Code::InvalidArgument, "INVALID_FIELD", self.to_string());
        Described { violations, ..described }
    }

    /// The status of a call: `INVALID_ARGUMENT` with the first [`MAX_VIOLATIONS`] wrong fields.
    pub fn status(&self) -> Status {
        self.described().status()
    }

    /// The error of an item of a batch.
    pub fn command_error(&self) -> pb::CommandError {
        self.described().command_error()
    }
}

impl From<&InvalidFields> for Status {
    fn from(invalid: &InvalidFields) -> Status {
        invalid.status()
    }
}

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

#[cfg(test)]
mod tests {
    use bergulir_domain::cooperative::ReadinessItem;
    use bergulir_domain::{Amount, FundId};

    use super::*;

    #[test]
    fn a_refusal_carries_its_facts_to_a_generic_client() {
        let rejection = Rejection::InsufficientFunds {
            fund: FundId::new("dana").unwrap(),
            purse: Purse::Committable,
            has: 150,
            requested: Amount::from_minor(10_000_000_000).unwrap(),
        };
        let status = describe(&rejection).status();
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(status.message(), rejection.to_string());
        let info = status.get_details_error_info().unwrap();
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            ("INSUFFICIENT_FUNDS", "bergulir")
        );
        assert_eq!(info.metadata["has"], "1.50");
        assert_eq!(info.metadata["requested"], "100000000.00");
        assert_eq!(info.metadata["purse"], "committable");
    }

    #[test]
    fn an_item_of_a_batch_says_what_a_single_call_says() {
        let rejection = Rejection::NotFound(Resource::Fund(FundId::new("dana").unwrap()));
        let described = describe(&rejection);
        let error = described.command_error();
        let status = described.status();
        let info = status.get_details_error_info().unwrap();
        assert_eq!(error.code, i32::from(Code::NotFound));
        assert_eq!(Code::from(error.code), status.code());
        assert_eq!((error.reason, error.message), (info.reason, status.message().to_owned()));
        assert_eq!(error.metadata, info.metadata.into_iter().collect());
        assert_eq!(error.metadata["fund"], "dana");
    }

    #[test]
    fn wrong_fields_are_listed_up_to_a_limit() {
        let violation = |i| pb::FieldViolation {
            field: format!("items[{i}].request_id"),
            description: "must be a UUID".to_owned(),
        };
        let invalid = InvalidFields((0..50).map(violation).collect());
        let status = invalid.status();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "items[0].request_id must be a UUID (and 49 more)");
        let details = status.get_error_details();
        assert_eq!(details.error_info().map(|i| i.reason.as_str()), Some("INVALID_FIELD"));
        let listed = &details.bad_request().unwrap().field_violations;
        assert_eq!(listed.len(), MAX_VIOLATIONS);
        assert_eq!(listed[3].field, "items[3].request_id");
        assert_eq!(invalid.command_error().field_violations.len(), MAX_VIOLATIONS);
    }

    #[test]
    fn what_a_caller_sent_is_not_sent_back_at_any_length() {
        let violation = |i: usize| pb::FieldViolation {
            field: format!("items[{i}].request_id"),
            description: "é".repeat(60_000),
        };
        for fields in [1, 50] {
            let status = InvalidFields((0..fields).map(violation).collect()).status();
            let length = status.message().len() * 3 + status.details().len() * 4 / 3;
            assert!(length < 16 << 10, "trailers have little room, and this takes {length}");
            assert!(status.message().contains('…'), "it is seen that it is cut off");
        }
    }

    #[test]
    fn a_rule_about_the_form_names_its_field() {
        let item = ReadinessItem::BusinessNumber;
        let sum = Rejection::PartsDoNotSum { amount: Amount::from_minor(100).unwrap(), parts: 99 };
        for (rejection, field) in [
            (sum, "repay.amount"),
            (Rejection::InvalidNumber { item }, "confirm_readiness.number"),
            (Rejection::UnexpectedNumber { item }, "confirm_readiness.number"),
        ] {
            let described = describe(&rejection);
            assert_eq!(described.code, Code::InvalidArgument);
            let bad = described.status().get_details_bad_request().unwrap();
            assert_eq!(bad.field_violations.len(), 1);
            assert_eq!(bad.field_violations[0].field, field);
            assert_eq!(bad.field_violations[0].description, rejection.to_string());
            let error = described.of_item(3).command_error();
            assert_eq!(error.field_violations[0].field, format!("items[3].command.{field}"));
            assert_eq!(error.metadata["item"], "3");
        }
    }

    #[test]
    fn a_full_queue_says_when_to_come_back() {
        let pushback = Described::new(Code::ResourceExhausted, "PUSHBACK", "the queue is full");
        let status = pushback.status_with_retry(Duration::from_millis(50));
        let retry = status.get_details_retry_info().unwrap();
        assert_eq!(retry.retry_delay, Some(Duration::from_millis(50)));
    }
}
