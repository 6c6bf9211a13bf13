//! Refusals as `google.rpc.Status` with `ErrorInfo`, and as the same facts in an item of a batch.

mod rejections;

use core::fmt::Display;
use core::time::Duration;
use std::collections::{BTreeMap, HashMap};

use bergulir_domain::money::{Currency, to_decimal};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::pb;
use crate::wire::InvalidFields;

pub use rejections::describe;

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

#[cfg(test)]
mod tests {
    use bergulir_domain::cooperative::ReadinessItem;
    use bergulir_domain::rejection::{Purse, Rejection, Resource};
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
