//! Refusals of the engine as `google.rpc.Status`. Those of the trade are described in `proto`.

use bergulir_chain::Position;
use bergulir_domain::rejection::Resource;
use bergulir_domain::{LedgerId, Rejection};
use bergulir_engine::backup::{NoOffer, Place};
use bergulir_engine::{KeyError, OpenError, ReadError, ReadRefusal, Refusal};
use bergulir_proto::{Described, describe};
use std::time::Duration;
use tonic::{Code, Status};
use uuid::Uuid;

/// When a caller should try again that came while the server stops.
const RETRY_AFTER_STOP: Duration = Duration::from_secs(1);

/// When a caller should try again that came while a ledger is opened again.
const RETRY_AFTER_REOPENING: Duration = Duration::from_millis(500);

/// The reason if a ledger is being opened again, or was while the call was under way.
const REOPENING: &str = "LEDGER_REOPENING";

/// A refused command as facts, for a status or for an item of a batch. `id` is its request id, if
/// it came with one.
pub(crate) fn of_command(refusal: &Refusal, id: Option<Uuid>) -> Described {
    let say = |code, reason| Described::new(code, reason, refusal.to_string());
    match refusal {
        Refusal::Rule(rejection) => describe(rejection),
        Refusal::RequestIdConflict { position } => id_used(id, *position),
        Refusal::RequestIdRepeated => say(Code::InvalidArgument, "REQUEST_ID_REPEATED"),
        Refusal::HeadMoved { expected, size } => say(Code::Aborted, "HEAD_MOVED")
            .with("expected_position", expected)
            .with("log_size", size),
        Refusal::QueueFull { .. } | Refusal::WaitedTooLong { .. } => {
            say(Code::ResourceExhausted, "PUSHBACK")
        }
        Refusal::DeadlineExceeded => say(Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
        Refusal::ReadOnly { .. } => say(Code::Unavailable, "LEDGER_READ_ONLY"),
        Refusal::ShuttingDown => say(Code::Unavailable, "SHUTTING_DOWN"),
        Refusal::Reopening => say(Code::Unavailable, REOPENING),
        Refusal::OutcomeUnknown { .. } => say(Code::Unavailable, "OUTCOME_UNKNOWN"),
        Refusal::TooLong => say(Code::InvalidArgument, "RECORD_TOO_LONG"),
        Refusal::OriginTaken { .. } => say(Code::AlreadyExists, "ORIGIN_TAKEN"),
        Refusal::KeyNotHeld { .. } => say(Code::FailedPrecondition, "KEY_NOT_HELD"),
    }
}

/// A request id is used. Whether for the same command, only its record tells: so nobody is told to
/// send the command again under a new id before having looked.
fn id_used(id: Option<Uuid>, position: Position) -> Described {
    let named = id.map(|id| format!(" {id}")).unwrap_or_default();
    let message = format!(
        "request id{named} is used at position {position}: by another command, by another \
         principal, or sent in another grouping (alone, or as part of an atomic batch). Look at \
         record {position}: if it holds this command, it is recorded: do not send it again; if \
         not, take a new id"
    );
    let described = Described::new(Code::AlreadyExists, "REQUEST_ID_CONFLICT", message);
    let described = described.with("position", position);
    match id {
        Some(id) => described.with("request_id", id),
        None => described,
    }
}

/// Commands were recorded, the last of them at that position, and the answer that would say so
/// cannot be made, because of `why`. It must not look like a refusal.
pub(crate) fn recorded_unanswered(what: &str, position: u64, why: &Status) -> Status {
    let message = format!(
        "{what} at position {position}, but the answer could not be made ({}): it is safe \
         to send the same again with the same request id, and wrong with a new one",
        why.message()
    );
    Described::new(Code::Unavailable, "OUTCOME_UNKNOWN", message)
        .with("recorded_at_position", position)
        .status()
}

/// The status of a refused call. `id` is the request id of the command that was the cause.
pub(crate) fn command_status(refusal: &Refusal, id: Option<Uuid>) -> Status {
    status(refusal, &of_command(refusal, id))
}

/// A batch that was refused as a whole. `item` is the place of the command that was the cause, and
/// its request id.
pub(crate) fn of_batch(refusal: &Refusal, item: Option<(usize, Uuid)>) -> Described {
    match item {
        Some((item, id)) => of_command(refusal, Some(id)).of_item(item),
        None => of_command(refusal, None),
    }
}

/// The status of such a batch.
pub(crate) fn batch_status(refusal: &Refusal, item: Option<(usize, Uuid)>) -> Status {
    status(refusal, &of_batch(refusal, item))
}

fn status(refusal: &Refusal, described: &Described) -> Status {
    match refusal {
        Refusal::QueueFull { retry_after } | Refusal::WaitedTooLong { retry_after, .. } => {
            described.status_with_retry(*retry_after)
        }
        Refusal::ShuttingDown => described.status_with_retry(RETRY_AFTER_STOP),
        Refusal::Reopening => described.status_with_retry(RETRY_AFTER_REOPENING),
        Refusal::Rule(_)
        | Refusal::RequestIdConflict { .. }
        | Refusal::RequestIdRepeated
        | Refusal::HeadMoved { .. }
        | Refusal::DeadlineExceeded
        | Refusal::ReadOnly { .. }
        | Refusal::OutcomeUnknown { .. }
        | Refusal::TooLong
        | Refusal::OriginTaken { .. }
        | Refusal::KeyNotHeld { .. } => described.status(),
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
        ReadRefusal::NotFinal | ReadRefusal::NotNoted { .. } => say(Code::Unavailable, "NOT_FINAL"),
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
        ReadRefusal::Reopening => return reopening(),
    }
    .status()
}

/// A record that is in the log and cannot be read.
pub(crate) fn unreadable_record(position: u64, why: &dyn std::fmt::Display) -> Status {
    let message = format!("the record at position {position} cannot be read: {why}");
    Described::new(Code::DataLoss, "CHAIN_BROKEN", message).with("position", position).status()
}

/// An error with what was behind it, as far as it does not say so itself.
fn with_sources(error: &dyn std::error::Error) -> String {
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

/// The ledger is there, and could not be opened.
pub(crate) fn not_open(ledger: LedgerId, error: &OpenError) -> Status {
    let message = format!("ledger {ledger} could not be opened: {}", error.without_paths());
    match error.position() {
        Some(position) => {
            Described::new(Code::DataLoss, "CHAIN_BROKEN", message).with("position", position)
        }
        None => Described::new(Code::Unavailable, "LEDGER_NOT_OPEN", message),
    }
    .with("ledger", ledger)
    .status()
}

/// A ledger has nothing to be backed up.
pub(crate) fn not_offered(refusal: &NoOffer) -> Status {
    let say = |code, reason| Described::new(code, reason, with_sources(refusal)).status();
    match refusal {
        NoOffer::RolledBack { .. } => say(Code::FailedPrecondition, "ROLLED_BACK"),
        NoOffer::Log(error @ ReadError::Corrupt { position, .. }) => {
            Described::new(Code::DataLoss, "CHAIN_BROKEN", error.to_string())
                .with("position", position)
                .status()
        }
        NoOffer::Log(_) | NoOffer::Open(_) | NoOffer::File { .. } | NoOffer::Panicked(_) => {
            tracing::error!(error = with_sources(refusal), "a backup could not be read");
            let message =
                "the files of the ledger could not be read: the log of the server says why";
            Described::new(Code::Unavailable, "LOG_NOT_READ", message).status()
        }
    }
}

/// The log has no frame at the place where a backup ends.
pub(crate) fn no_frame_at(place: Place) -> Status {
    let Place { next, segment, offset } = place;
    let message = format!(
        "no frame with the position {next} begins at byte {offset} of the segment {segment}: the log \
         lies in other files than the backup, which needs a new folder; or it is damaged, which \
         `bergulir audit verify` finds"
    );
    Described::new(Code::FailedPrecondition, "OTHER_FILES", message).with("position", next).status()
}

/// No ledger of that name is on this node.
pub(crate) fn no_ledger(ledger: LedgerId) -> Status {
    let message = format!("there is no ledger {ledger} on this server: open it first");
    Described::new(Code::NotFound, "LEDGER_NOT_FOUND", message).with("ledger", ledger).status()
}

/// A new ledger has no key to begin with.
pub(crate) fn no_key(ledger: LedgerId, error: &KeyError) -> Status {
    tracing::warn!(%ledger, error = with_sources(error), "there is no key for a new ledger");
    let message = format!("ledger {ledger} has no key to sign with: {}", error.without_paths());
    Described::new(Code::FailedPrecondition, "NO_SIGNING_KEY", message)
        .with("ledger", ledger)
        .status()
}

/// The ledger has no such fund, account, ...
pub(crate) fn not_found(resource: Resource) -> Status {
    describe(&Rejection::NotFound(resource)).status()
}

/// The ledger is being opened again, or was since the caller got hold of it.
pub(crate) fn reopening() -> Status {
    let message = "the ledger is being opened again: call again in a moment, a stream from the next \
                   position on";
    Described::new(Code::Unavailable, REOPENING, message).status_with_retry(RETRY_AFTER_REOPENING)
}

/// The server stops.
pub(crate) fn stopping() -> Status {
    let message = "the server is shutting down: call again when it is back";
    Described::new(Code::Unavailable, "SHUTTING_DOWN", message).status_with_retry(RETRY_AFTER_STOP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bergulir_chain::LogSize;
    use tonic_types::StatusExt as _;

    #[test]
    fn a_refusal_says_what_to_do_and_carries_its_facts() {
        let (retry_after, waited) = (Duration::from_millis(50), Duration::from_secs(3));
        for pushback in
            [Refusal::QueueFull { retry_after }, Refusal::WaitedTooLong { waited, retry_after }]
        {
            let status = command_status(&pushback, None);
            assert_eq!(status.code(), Code::ResourceExhausted);
            assert_eq!(status.get_details_error_info().unwrap().reason, "PUSHBACK");
            let retry = status.get_details_retry_info().unwrap();
            assert_eq!(retry.retry_delay, Some(retry_after));
        }

        let moved = Refusal::HeadMoved { expected: LogSize::new(7), size: LogSize::new(9) };
        let status = batch_status(&moved, Some((3, Uuid::from_u128(1))));
        let info = status.get_details_error_info().unwrap();
        assert_eq!((status.code(), info.reason.as_str()), (Code::Aborted, "HEAD_MOVED"));
        assert_eq!(info.metadata["log_size"], "9");
        assert_eq!(info.metadata["item"], "3");
    }

    #[test]
    fn a_used_request_id_is_looked_up_before_anything_is_sent_again() {
        let conflict = Refusal::RequestIdConflict { position: Position::new(7) };
        let id = Uuid::from_u128(0x0190_a8f0_6f2a_7c3b_8d4e_5f60_7182_93a4);
        let status = command_status(&conflict, Some(id));
        assert_eq!(status.code(), Code::AlreadyExists);
        assert!(status.message().starts_with(
            "request id 0190a8f0-6f2a-7c3b-8d4e-5f60718293a4 is used at position 7: by another"
        ));
        assert!(status.message().contains("do not send it again"));
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.reason, "REQUEST_ID_CONFLICT");
        assert_eq!(info.metadata["position"], "7");
        assert_eq!(info.metadata["request_id"], id.to_string());
        let nameless = command_status(&conflict, None);
        assert!(nameless.message().starts_with("request id is used at position 7"));
    }

    #[test]
    fn what_is_recorded_never_looks_refused() {
        let why = read_status(&ReadRefusal::Projections { why: "they stopped".to_owned() });
        assert_eq!(why.get_details_error_info().unwrap().reason, "PROJECTIONS_FAILED");
        let status = recorded_unanswered("the command IS recorded", 12, &why);
        assert_eq!(status.code(), Code::Unavailable);
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.reason, "OUTCOME_UNKNOWN");
        assert_eq!(info.metadata["recorded_at_position"], "12");
        assert!(status.message().starts_with("the command IS recorded at position 12"));
        assert!(status.message().contains("they stopped"));
        assert!(status.message().contains("safe to send the same again"));
    }

    #[test]
    fn an_instant_that_may_still_get_records_is_not_answered() {
        let status = read_status(&ReadRefusal::NotFinal);
        let info = status.get_details_error_info().unwrap();
        assert_eq!((status.code(), info.reason.as_str()), (Code::Unavailable, "NOT_FINAL"));
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
