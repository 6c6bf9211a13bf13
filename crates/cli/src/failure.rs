//! Why a command did not do what was asked, for people and for programs.

use std::fmt::Write as _;
use std::time::Duration;

use bergulir_proto::pb;
use bergulir_proto::status::code_name;
use serde_json::{Map, Value, json};
use thiserror::Error;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::exit;

/// Why a command did not do what was asked.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// Something is missing on the command line that the parser cannot ask for.
    #[error("{0}")]
    Usage(String),
    /// What the user gave is wrong: a file, a folder.
    #[error("{0}")]
    Input(String),
    /// The server or an item of a batch refused.
    #[error("{}", .0.message)]
    Refused(Box<Refusal>),
    /// Nobody knows whether the command took effect.
    #[error("{}", unknown(request_id, refusal))]
    OutcomeUnknown {
        /// The id to send it again with.
        request_id: String,
        /// What was said.
        refusal: Box<Refusal>,
    },
    /// No answer could be had.
    #[error("{0}")]
    CouldNotTell(String),
    /// What was looked at is not as it should be, as a ledger that is invalid; it has been said in full.
    #[error("not as it should be")]
    Invalid,
    /// The output could not be written.
    #[error("the output could not be written: {0}")]
    Output(#[from] std::io::Error),
}

/// What a server says when it refuses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    pub(crate) reason: Option<String>,
    pub(crate) message: String,
    pub(crate) facts: Vec<(String, String)>,
    pub(crate) violations: Vec<(String, String)>,
    /// After how long it can be tried again, if the server says so.
    pub(crate) retry_after: Option<Duration>,
}

impl Refusal {
    fn of_status(status: &Status) -> Refusal {
        let details = status.get_error_details();
        let mut facts: Vec<(String, String)> = details
            .error_info()
            .map(|info| info.metadata.clone().into_iter().collect())
            .unwrap_or_default();
        facts.sort();
        let violations = details
            .bad_request()
            .map(|bad| bad.field_violations.as_slice())
            .unwrap_or_default()
            .iter()
            .map(|violation| (violation.field.clone(), violation.description.clone()))
            .collect();
        Refusal {
            code: code_name(status.code()),
            reason: details.error_info().map(|info| info.reason.clone()),
            message: status.message().to_owned(),
            facts,
            violations,
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
        }
    }

    /// What an item of a batch says.
    pub(crate) fn of_item(error: &pb::CommandError) -> Refusal {
        let violations = error.field_violations.iter();
        Refusal {
            code: code_name(Code::from(error.code)),
            reason: Some(error.reason.clone()),
            message: error.message.clone(),
            facts: error.metadata.clone().into_iter().collect(),
            violations: violations
                .map(|violation| (violation.field.clone(), violation.description.clone()))
                .collect(),
            retry_after: None,
        }
    }

    /// For people: one line a fact.
    pub(crate) fn lines(&self) -> String {
        let mut lines = String::new();
        if let Some(reason) = &self.reason {
            let _ = writeln!(lines, "  reason: {reason} ({})", self.code);
        } else if !self.code.is_empty() {
            let _ = writeln!(lines, "  code: {}", self.code);
        }
        for (name, value) in &self.facts {
            let _ = writeln!(lines, "  {name}: {value}");
        }
        for (field, description) in &self.violations {
            let _ = writeln!(lines, "  field {field}: {description}");
        }
        if let Some(after) = self.retry_after {
            let _ = writeln!(lines, "  try again after: {:.3} s", after.as_secs_f64());
        }
        lines
    }

    fn json(&self) -> Value {
        let facts: Map<String, Value> = self
            .facts
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(value.clone())))
            .collect();
        let violations: Vec<Value> = self
            .violations
            .iter()
            .map(|(field, description)| json!({"field": field, "description": description}))
            .collect();
        json!({
            "code": self.code,
            "reason": self.reason,
            "message": self.message,
            "metadata": facts,
            "fieldViolations": violations,
            "retryAfterSeconds": self.retry_after.map(|after| after.as_secs_f64()),
        })
    }
}

/// What to do about an answer that did not come.
fn unknown(request_id: &str, refusal: &Refusal) -> String {
    let message = &refusal.message;
    let recorded = refusal.facts.iter().any(|(name, _)| name == "recorded_at_position");
    let (begin, end) = if recorded {
        ("the answer is missing, and not the record", "")
    } else {
        ("the outcome is unknown", ": the command may or may not have been recorded")
    };
    format!(
        "{begin} ({message}){end}. Send the same command again with --request-id {request_id}; it \
         takes effect once"
    )
}

/// An error with everything behind it that it does not say itself, such as what the operating
/// system said.
pub(crate) fn with_sources(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = error.source();
    }
    text
}

impl Failure {
    /// Something did not work that has nothing to do with a server's answer.
    pub(crate) fn could_not(error: impl std::error::Error + 'static) -> Failure {
        Failure::CouldNotTell(with_sources(&error))
    }

    /// A status that answers a command with that request id.
    pub(crate) fn of_command(status: &Status, request_id: &str) -> Failure {
        let refusal = Box::new(Refusal::of_status(status));
        if is_known(status.code(), refusal.reason.as_deref()) {
            Failure::Refused(refusal)
        } else {
            Failure::OutcomeUnknown { request_id: request_id.to_owned(), refusal }
        }
    }

    /// A status that answers a question.
    pub(crate) fn of_query(status: &Status) -> Failure {
        let refusal = Refusal::of_status(status);
        if is_known(status.code(), refusal.reason.as_deref()) {
            Failure::Refused(Box::new(refusal))
        } else {
            Failure::CouldNotTell(format!(
                "the server did not answer ({}: {}); ask again",
                refusal.code, refusal.message
            ))
        }
    }

    /// The code that the program ends with.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Failure::Input(_) | Failure::Refused(_) | Failure::Invalid => exit::REFUSED,
            Failure::Usage(_) | Failure::CouldNotTell(_) | Failure::Output(_) => {
                exit::COULD_NOT_TELL
            }
            Failure::OutcomeUnknown { .. } => exit::OUTCOME_UNKNOWN,
        }
    }

    /// Says it on the standard error: for people, or as one JSON object on a line.
    pub(crate) fn report(&self, json: bool) {
        match self {
            // Somebody closed the pipe: there is nobody to tell.
            Failure::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            // The verification has said it where its output belongs.
            Failure::Invalid => {}
            Failure::Refused(refusal) | Failure::OutcomeUnknown { refusal, .. } => {
                if json {
                    let mut error = refusal.json();
                    error["message"] = Value::from(self.to_string());
                    eprintln!("{}", json!({"error": error}));
                } else {
                    eprint!("error: {self}\n{}", refusal.lines());
                }
            }
            Failure::Usage(_)
            | Failure::Input(_)
            | Failure::CouldNotTell(_)
            | Failure::Output(_) => {
                if json {
                    eprintln!("{}", json!({"error": {"message": self.to_string()}}));
                } else {
                    eprintln!("error: {self}");
                }
            }
        }
    }
}

/// Whether such an answer means for sure that nothing was recorded.
fn is_known(code: Code, reason: Option<&str>) -> bool {
    match code {
        Code::Unavailable => reason.is_some_and(|reason| reason != "OUTCOME_UNKNOWN"),
        Code::DeadlineExceeded | Code::Unknown | Code::Internal | Code::Cancelled => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use bergulir_proto::Described;

    use super::*;

    #[test]
    fn a_refusal_shows_its_reason_and_facts() {
        let described = Described::new(Code::FailedPrecondition, "INSUFFICIENT_FUNDS", "too much")
            .with("fund", "dana")
            .with("has", "1.50");
        let failure = Failure::of_command(&described.status(), "id");
        assert_eq!(failure.exit_code(), exit::REFUSED);
        let Failure::Refused(refusal) = failure else {
            panic!("not refused: {failure:?}");
        };
        assert_eq!(
            refusal.lines(),
            "  reason: INSUFFICIENT_FUNDS (FAILED_PRECONDITION)\n  fund: dana\n  has: 1.50\n"
        );
        assert_eq!(refusal.json()["metadata"]["has"], "1.50");
    }

    #[test]
    fn who_is_to_come_again_is_told_when() {
        let described = Described::new(Code::ResourceExhausted, "RATE_LIMITED", "too fast");
        let status = described.status_with_retry(Duration::from_millis(1_250));
        let Failure::Refused(refusal) = Failure::of_command(&status, "id") else {
            panic!("not refused: {status:?}");
        };
        assert!(refusal.lines().ends_with("  try again after: 1.250 s\n"), "{}", refusal.lines());
        assert_eq!(refusal.json()["retryAfterSeconds"], 1.25);
        let refusal = Refusal::of_status(&described.status());
        assert!(
            !refusal.lines().contains("again") && refusal.json()["retryAfterSeconds"].is_null()
        );
    }

    #[test]
    fn an_error_says_what_is_behind_it() {
        #[derive(Debug, Error)]
        #[error("could not lock data/LOCK")]
        struct Lock(#[source] std::io::Error);
        #[derive(Debug, Error)]
        #[error(transparent)]
        struct Node(Lock);
        let denied = std::io::Error::new(std::io::ErrorKind::PermissionDenied, "Permission denied");
        let failure = Failure::could_not(Node(Lock(denied)));
        assert_eq!(failure.to_string(), "could not lock data/LOCK: Permission denied");
    }

    #[test]
    fn what_is_recorded_is_not_said_to_be_unknown() {
        let described = Described::new(Code::Unavailable, "OUTCOME_UNKNOWN", "it IS recorded")
            .with("recorded_at_position", 7);
        let failure = Failure::of_command(&described.status(), "id");
        assert_eq!(failure.exit_code(), exit::OUTCOME_UNKNOWN);
        let said = failure.to_string();
        assert!(said.contains("it IS recorded") && said.contains("--request-id id"), "{said}");
        assert!(!said.contains("may or may not"), "{said}");
    }

    #[test]
    fn only_an_unknown_outcome_asks_to_send_the_same_again() {
        let unknown = |code, reason| {
            let status = match reason {
                Some(reason) => Described::new(code, reason, "m").status(),
                None => Status::new(code, "m"),
            };
            Failure::of_command(&status, "id").exit_code() == exit::OUTCOME_UNKNOWN
        };
        assert!(unknown(Code::Unavailable, None));
        assert!(unknown(Code::Unavailable, Some("OUTCOME_UNKNOWN")));
        assert!(unknown(Code::DeadlineExceeded, None));
        assert!(!unknown(Code::Unavailable, Some("LEDGER_READ_ONLY")));
        assert!(!unknown(Code::ResourceExhausted, Some("PUSHBACK")));
        assert!(!unknown(Code::AlreadyExists, Some("REQUEST_ID_CONFLICT")));
    }
}
