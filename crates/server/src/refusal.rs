//! Refusals of the engine as `google.rpc.Status`. Those of the trade are described in `proto`.

use bergulir_domain::rejection::Resource;
use bergulir_domain::{LedgerId, Rejection};
use bergulir_engine::{OpenError, ReadError, ReadRefusal, Refusal};
use bergulir_proto::{Described, describe};
use std::time::Duration;
use tonic::{Code, Status};

/// When a caller should try again that came while the server stops.
const RETRY_AFTER_STOP: Duration = Duration::from_secs(1);

/// A refused command as facts, for a status or for an item of a batch.
pub(crate) fn of_command(refusal: &Refusal) -> Described {
    let say = |code, reason| Described::new(code, reason, refusal.to_string());
    match refusal {
        Refusal::Rule(rejection) => describe(rejection),
        Refusal::RequestIdConflict { position } => {
            say(Code::AlreadyExists, "REQUEST_ID_CONFLICT").with("position", position)
        }
        Refusal::RequestIdRepeated => say(Code::InvalidArgument, "REQUEST_ID_REPEATED"),
        Refusal::HeadMoved { expected, size } => say(Code::Aborted, "HEAD_MOVED")
            .with("expected_position", expected)
            .with("log_size", size),
        Refusal::QueueFull { .. } => say(Code::ResourceExhausted, "PUSHBACK"),
        Refusal::DeadlineExceeded => say(Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
        Refusal::ReadOnly { .. } => say(Code::Unavailable, "LEDGER_READ_ONLY"),
        Refusal::ShuttingDown => say(Code::Unavailable, "SHUTTING_DOWN"),
        Refusal::OutcomeUnknown { .. } => say(Code::Unavailable, "OUTCOME_UNKNOWN"),
        Refusal::TooLong => say(Code::InvalidArgument, "RECORD_TOO_LONG"),
    }
}

/// The status of a refused call. `item` is the place in its batch of the command that was the
/// cause.
pub(crate) fn command_status(refusal: &Refusal, item: Option<usize>) -> Status {
    let mut described = of_command(refusal);
    if let Some(item) = item {
        described = described.with("item", item);
    }
    match refusal {
        Refusal::QueueFull { retry_after } => described.status_with_retry(*retry_after),
        Refusal::ShuttingDown => described.status_with_retry(RETRY_AFTER_STOP),
        Refusal::Rule(_)
        | Refusal::RequestIdConflict { .. }
        | Refusal::RequestIdRepeated
        | Refusal::HeadMoved { .. }
        | Refusal::DeadlineExceeded
        | Refusal::ReadOnly { .. }
        | Refusal::OutcomeUnknown { .. }
        | Refusal::TooLong => described.status(),
    }
}

/// The status of a read that is not answered.
pub(crate) fn read_status(refusal: &ReadRefusal) -> Status {
    let say = |code, reason| Described::new(code, reason, refusal.to_string());
    match refusal {
        ReadRefusal::NotReached { position, size } => {
            say(Code::FailedPrecondition, "POSITION_NOT_REACHED")
                .with("position", position)
                .with("log_size", size)
        }
        ReadRefusal::InsideBatch { position, before, after } => {
            say(Code::FailedPrecondition, "INSIDE_BATCH")
                .with("position", position)
                .with("before", before)
                .with("after", after)
        }
        ReadRefusal::InTheFuture => say(Code::InvalidArgument, "IN_THE_FUTURE"),
        ReadRefusal::Log(ReadError::BeyondHead { from, size }) => {
            say(Code::NotFound, "RECORD_NOT_FOUND").with("position", from).with("log_size", size)
        }
        ReadRefusal::Log(ReadError::Corrupt { position, .. }) => {
            say(Code::DataLoss, "CHAIN_BROKEN").with("position", position)
        }
        ReadRefusal::Log(ReadError::Io { position, source, .. }) => {
            Described::new(Code::Unavailable, "STORAGE_FAILED", format!("{refusal}: {source}"))
                .with("position", position)
        }
        ReadRefusal::Projections { .. } => say(Code::Unavailable, "PROJECTIONS_FAILED"),
    }
    .status()
}

/// A record that is in the log and cannot be read.
pub(crate) fn unreadable_record(position: u64, why: &dyn std::fmt::Display) -> Status {
    let message = format!("the record at position {position} cannot be read: {why}");
    Described::new(Code::DataLoss, "CHAIN_BROKEN", message).with("position", position).status()
}

/// The ledger is there, and could not be opened.
pub(crate) fn not_open(ledger: LedgerId, error: &OpenError) -> Status {
    let message = format!("ledger {ledger} could not be opened: {error}");
    match error.position() {
        Some(position) => {
            Described::new(Code::DataLoss, "CHAIN_BROKEN", message).with("position", position)
        }
        None => Described::new(Code::Unavailable, "LEDGER_NOT_OPEN", message),
    }
    .with("ledger", ledger)
    .status()
}

/// No ledger of that name is on this node.
pub(crate) fn no_ledger(ledger: LedgerId) -> Status {
    let message = format!("there is no ledger {ledger} on this server: open it first");
    Described::new(Code::NotFound, "LEDGER_NOT_FOUND", message).with("ledger", ledger).status()
}

/// The ledger has no such fund, account, ...
pub(crate) fn not_found(resource: Resource) -> Status {
    describe(&Rejection::NotFound(resource)).status()
}

/// The server stops.
pub(crate) fn stopping() -> Status {
    let message = "the server is shutting down: call again when it is back";
    Described::new(Code::Unavailable, "SHUTTING_DOWN", message).status_with_retry(RETRY_AFTER_STOP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bergulir_chain::{LogSize, Position};
    use tonic_types::StatusExt as _;

    #[test]
    fn a_refusal_says_what_to_do_and_carries_its_facts() {
        let pushback = Refusal::QueueFull { retry_after: Duration::from_millis(50) };
        let status = command_status(&pushback, None);
        assert_eq!(status.code(), Code::ResourceExhausted);
        let retry = status.get_details_retry_info().unwrap();
        assert_eq!(retry.retry_delay, Some(Duration::from_millis(50)));

        let moved = Refusal::HeadMoved { expected: LogSize::new(7), size: LogSize::new(9) };
        let status = command_status(&moved, Some(3));
        let info = status.get_details_error_info().unwrap();
        assert_eq!((status.code(), info.reason.as_str()), (Code::Aborted, "HEAD_MOVED"));
        assert_eq!(info.metadata["log_size"], "9");
        assert_eq!(info.metadata["item"], "3");
    }

    #[test]
    fn damage_is_data_loss_with_the_position() {
        let damage = ReadRefusal::Log(ReadError::Corrupt {
            position: Position::new(12),
            place: "a file".to_owned(),
            why: "its CRC is wrong".to_owned(),
        });
        let status = read_status(&damage);
        let info = status.get_details_error_info().unwrap();
        assert_eq!((status.code(), info.reason.as_str()), (Code::DataLoss, "CHAIN_BROKEN"));
        assert_eq!(info.metadata["position"], "12");
    }
}
