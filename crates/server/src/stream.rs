//! `SubmitStream`: message after message of commands, decided and answered in their order.
//!
//! Nothing here runs by itself: the stream of answers reads the messages when it is asked for the
//! next answer. So a caller who does not read is not read from, and nothing is left behind when a
//! call ends. Whatever the caller does, a message is in the writer's queue whole or not at all.

use crate::access::{Pass, Scope};
use crate::batch::{Asked, NotDone, commands, status};
use crate::calls::of_the_protocol;
use crate::deadline::within;
use crate::limits::{MAX_STREAM_IN_FLIGHT, STREAM_JOINED_COMMANDS, STREAM_STOP_PAUSE};
use crate::quotas::Pace;
use crate::refusal::{self, stopping};
use crate::sending::Messages;
use crate::services::{Services, parse_ledger};
use crate::telemetry::{Measured, Refusals};
use crate::underway::{Held, Underway};
use bergulir_engine::{Answer, Caller, Ledger, Queued, Refusal, Terms};
use bergulir_proto::pb;
use bergulir_proto::wire::{
    Batch, BatchBytes, BatchError, BatchMode, Framed, InvalidFields, Request,
};
use futures::stream;
use futures::{FutureExt as _, StreamExt as _};
use hyper::body::Bytes;
use prost::Message as _;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;

/// Answers side by side, each behind its head; or the end of the stream.
type Answers = Result<Bytes, Status>;

/// Reads messages, has them decided, and answers them.
pub(crate) fn answers(
    services: &Services,
    pass: Pass,
    caller: Caller,
    incoming: Streaming<BatchBytes>,
    deadline: Option<Instant>,
    pace: Option<Pace>,
    underway: Option<Arc<Underway>>,
) -> Messages {
    let reading = Reading {
        stop: services.stopping.clone(),
        services: services.clone(),
        lost: Box::pin(pass.clone().lost()),
        pass,
        caller,
        incoming,
        deadline,
        pace,
        underway,
        ledger: None,
        next: 0,
        ahead: None,
        joined: 0,
    };
    // One piece after the other is queued; those that are in the queue wait side by side.
    let pieces = stream::unfold(Some(reading), |reading| async { reading?.piece().await });
    let measured = Arc::clone(&services.measured);
    pieces
        .map(move |piece| piece.answers(Arc::clone(&measured)))
        .buffered(MAX_STREAM_IN_FLIGHT)
        .boxed()
}

/// How far a stream is read.
struct Reading {
    services: Services,
    stop: watch::Receiver<bool>,
    pass: Pass,
    /// Ready when the caller may not go on.
    lost: Pin<Box<dyn Future<Output = Status> + Send + Sync>>,
    caller: Caller,
    incoming: Streaming<BatchBytes>,
    deadline: Option<Instant>,
    /// How fast commands may come, if there is a limit to it.
    pace: Option<Pace>,
    /// What took memory for the messages.
    underway: Option<Arc<Underway>>,
    /// The ledger of the first message, and its name there.
    ledger: Option<(String, Arc<Ledger>, Scope)>,
    /// The number of the next message.
    next: u64,
    /// What was read already, and does not join what came before.
    ahead: Option<Arrived>,
    /// How many commands came together last, if several messages did.
    joined: usize,
}

/// What comes next from a caller.
enum Arrived {
    /// A message, with its ledger, and the memory that it takes.
    Batch(Batch, Arc<Ledger>, Scope, Option<Held>),
    /// A message whose form is wrong.
    Wrong(InvalidFields),
    /// The end of the stream: of the caller, or with that status.
    End(Option<Status>),
}

impl Reading {
    /// Has the next message queued, with those after it that can join it; gives what is left to
    /// read after it.
    async fn piece(mut self) -> Option<(Piece, Option<Reading>)> {
        let number = self.next;
        let arrived = match self.ahead.take() {
            Some(arrived) => arrived,
            None => self.arrived().await,
        };
        let (batch, ledger, scope, mut held) = match arrived {
            Arrived::Batch(batch, ledger, scope, held) => (batch, ledger, scope, held),
            Arrived::Wrong(invalid) => {
                self.next = number + 1;
                return Some((Piece::Refused(invalid.command_error()), Some(self)));
            }
            Arrived::End(None) => return None,
            Arrived::End(Some(status)) => {
                return Some((Piece::End(numbered(&status, number)), None));
            }
        };
        // It may have waited for long.
        let paced = self.paced(commands(&batch)).await;
        if let Err(status) = paced.and_then(|()| self.pass.still_holds()) {
            return Some((Piece::End(numbered(&status, number)), None));
        }
        let batch = match self.services.permitted(&scope, &ledger, batch).await {
            Ok(Ok(batch)) => batch,
            Ok(Err(denied)) => {
                self.next = number + 1;
                return Some((Piece::Refused(denied.command_error()), Some(self)));
            }
            Err(status) => return Some((Piece::End(numbered(&status, number)), None)),
        };
        let (mode, mut terms) = (batch.mode, batch.terms(self.deadline, 0));
        let mut asked = Asked::with_room(self.joined);
        asked.add(batch);
        if mode == BatchMode::Independent {
            self.join(&mut asked, &mut held).await;
        }
        self.joined = if asked.batches() > 1 { asked.items() } else { 0 };
        terms.bytes = held.as_ref().map_or(0, Held::bytes);
        self.next = number + asked.batches() as u64;
        let queued = self.queue(&ledger, &mut asked, mode, terms).await;
        let queued = match queued {
            Ok(queued) => queued,
            Err(status) => return Some((Piece::End(numbered(&status, number)), None)),
        };
        let deadline = self.deadline;
        let piece = Asking { ledger, asked, queued, number, deadline, _held: held };
        Some((Piece::Asking(Box::new(piece)), Some(self)))
    }

    /// Adds the messages that are here already, as long as they are short and take each command by
    /// itself: one piece of work costs less than many.
    async fn join(&mut self, asked: &mut Asked, held: &mut Option<Held>) {
        while asked.items() < STREAM_JOINED_COMMANDS && !*self.stop.borrow() {
            // What is no message by itself is found out by who waits for it.
            let Some(message) = self.incoming.message().now_or_never() else { return };
            let arrived = match message {
                Ok(Some(message)) if self.add_frequent(&message, asked) => {
                    if let Some(held) = held {
                        held.add(message.encoded_len());
                    }
                    continue;
                }
                message => self.taken(message),
            };
            match arrived {
                Arrived::Batch(batch, ledger, scope, more)
                    if batch.mode == BatchMode::Independent && self.may_come(commands(&batch)) =>
                {
                    match self.services.permitted(&scope, &ledger, batch).await {
                        Ok(Ok(batch)) => {
                            asked.add(batch);
                            if let (Some(held), Some(more)) = (held.as_mut(), more) {
                                held.join(more);
                            }
                        }
                        // Only an atomic batch is denied as a whole.
                        Ok(Err(denied)) => {
                            self.ahead = Some(Arrived::End(Some(denied.status())));
                            return;
                        }
                        Err(status) => {
                            self.ahead = Some(Arrived::End(Some(status)));
                            return;
                        }
                    }
                }
                other => {
                    self.ahead = Some(other);
                    return;
                }
            }
        }
    }

    /// Adds a message of which nothing is to be found out, as of nearly all.
    fn add_frequent(&self, message: &BatchBytes, asked: &mut Asked) -> bool {
        let Some((name, _, scope)) = &self.ledger else { return false };
        let most = self.services.quotas.limits.batch_commands;
        let may = |requests: &[Request]| {
            requests.iter().all(|request| scope.may_anywhere(&request.command))
                && self.pass.still_holds().is_ok()
                && self.may_come(requests.len())
        };
        asked.add_frequent(message, name, most, may)
    }

    /// Waits until so many commands may come: nothing more is read until then.
    async fn paced(&mut self, commands: usize) -> Result<(), Status> {
        let Some(pace) = self.pace.clone() else { return Ok(()) };
        while let Err(exceeded) = pace.take(commands) {
            let stops = tokio::select! {
                _ = self.stop.wait_for(|stop| *stop) => true,
                status = &mut self.lost => return Err(status),
                waited = within(self.deadline, tokio::time::sleep(exceeded.retry_after)) => {
                    waited?;
                    false
                }
            };
            if stops {
                return Err(self.stopped().await);
            }
        }
        Ok(())
    }

    /// Whether so many commands may come now.
    fn may_come(&self, commands: usize) -> bool {
        self.pace.as_ref().is_none_or(|pace| pace.take(commands).is_ok())
    }

    /// The server stops: what the caller was sending comes to rest first.
    async fn stopped(&self) -> Status {
        tokio::time::sleep(STREAM_STOP_PAUSE).await;
        stopping()
    }

    async fn queue(
        &self,
        ledger: &Ledger,
        asked: &mut Asked,
        mode: BatchMode,
        terms: Terms,
    ) -> Result<Option<Result<Queued, Refusal>>, Status> {
        let Some(work) = asked.work(mode) else { return Ok(None) };
        within(self.deadline, ledger.queue(self.caller, work, terms)).await.map(Some)
    }

    /// Waits for what comes next.
    async fn arrived(&mut self) -> Arrived {
        let message = tokio::select! {
            biased;
            _ = self.stop.wait_for(|stop| *stop) => None,
            message = within(self.deadline, self.incoming.message()) => Some(message),
            status = &mut self.lost => return Arrived::End(Some(status)),
        };
        let Some(message) = message else { return Arrived::End(Some(self.stopped().await)) };
        self.taken(message.and_then(|message| message))
    }

    /// What that is which has come.
    fn taken(&mut self, message: Result<Option<BatchBytes>, Status>) -> Arrived {
        match message {
            Ok(Some(message)) => {
                let bytes = message.encoded_len();
                let held = self.underway.as_ref().map(|of| Held::message(of, bytes));
                match self.pass.still_holds() {
                    Ok(()) => self.read(&message, held),
                    Err(status) => Arrived::End(Some(status)),
                }
            }
            Ok(None) => Arrived::End(None),
            Err(status) => Arrived::End(Some(of_the_protocol(&status).unwrap_or(status))),
        }
    }

    fn read(&mut self, message: &BatchBytes, held: Option<Held>) -> Arrived {
        let mut parts = match message.parts() {
            Ok(parts) => parts,
            Err(error) => return Arrived::End(Some(status(error))),
        };
        if self.ledger.is_none()
            && let Err(status) = self.open(parts.ledger)
        {
            return Arrived::End(Some(status));
        }
        let Some((name, ledger, scope)) = &self.ledger else { return Arrived::End(None) };
        if parts.ledger.is_empty() {
            parts.ledger = name;
        } else if parts.ledger != name {
            let description = "must be that of the first message, or empty";
            return Arrived::Wrong(InvalidFields::one("ledger", description));
        }
        match self.services.read_batch(parts) {
            Ok(batch) => Arrived::Batch(batch, Arc::clone(ledger), scope.clone(), held),
            Err(BatchError::Invalid(invalid)) => Arrived::Wrong(invalid),
            Err(error @ BatchError::Malformed(_)) => Arrived::End(Some(status(error))),
        }
    }

    /// The ledger that the first message names.
    fn open(&mut self, name: &str) -> Result<(), Status> {
        let (ledger, scope) = self.services.ledger(&self.pass, parse_ledger("ledger", name)?)?;
        self.ledger = Some((name.to_owned(), ledger, scope));
        Ok(())
    }
}

/// What is answered together.
enum Piece {
    /// One message or several, which are in the queue.
    Asking(Box<Asking>),
    /// One message that is not asked of the ledger.
    Refused(pb::CommandError),
    /// The end.
    End(Status),
}

/// Messages whose commands are in the writer's queue.
struct Asking {
    ledger: Arc<Ledger>,
    asked: Asked,
    /// `None` if there was nothing to queue.
    queued: Option<Result<Queued, Refusal>>,
    /// The number of the first message.
    number: u64,
    deadline: Option<Instant>,
    /// The memory of the messages, until they are answered.
    _held: Option<Held>,
}

impl Piece {
    async fn answers(self, measured: Arc<Measured>) -> Answers {
        match self {
            Piece::Asking(asking) => asking.answers(&measured.refused).await,
            Piece::Refused(error) => {
                measured.refused.count(&error.reason);
                Ok(refused(error))
            }
            Piece::End(status) => {
                if let Some(info) = status.get_details_error_info() {
                    measured.refused.count(&info.reason);
                }
                Err(status)
            }
        }
    }
}

impl Asking {
    /// One answer for each message; or the end of the stream.
    async fn answers(self, refusals: &Refusals) -> Answers {
        let Asking { ledger, asked, queued, number, deadline, _held } = self;
        let answered = async {
            match queued {
                Some(Ok(queued)) => ledger.answer(queued).await,
                Some(Err(refusal)) => Answer::Refused { item: None, refusal },
                None => Answer::Items(Vec::new()),
            }
        };
        let answer = match within(deadline, answered).await {
            Ok(answer) => answer,
            Err(late) => return Err(numbered(&late, number)),
        };
        asked
            .answers(ledger.id(), answer, ledger.head().size.get(), refusals)
            .or_else(|not_done| message_refused(not_done, number, refusals))
    }
}

/// The answer to a message that was refused as a whole, or the end of the stream, if that is not
/// because of the message.
fn message_refused(not_done: NotDone, number: u64, refusals: &Refusals) -> Answers {
    let described = refusal::of_batch(&not_done.refusal, not_done.item);
    refusals.count(described.reason);
    if of_one_message(described.code) {
        return Ok(refused(described.command_error()));
    }
    Err(numbered(&Status::from(not_done), number))
}

/// Whether a refusal with that code is about what was asked, so that other messages may fare
/// better.
fn of_one_message(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::PermissionDenied
            | Code::Aborted
    )
}

fn refused(error: pb::CommandError) -> Bytes {
    Framed::one(&pb::SubmitStreamResponse { error: Some(error), ..Default::default() })
}

/// A status that ends a stream, with the number of the message at which it does.
fn numbered(status: &Status, number: u64) -> Status {
    let mut details = status.get_error_details();
    let Some(info) = details.error_info().cloned() else { return status.clone() };
    let mut metadata = info.metadata;
    metadata.insert("message".to_owned(), number.to_string());
    details.set_error_info(info.reason, info.domain, metadata);
    Status::with_error_details(status.code(), status.message(), details)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bergulir_domain::Rejection;
    use bergulir_proto::wire::HEAD_BYTES;
    use std::time::Duration;

    #[test]
    fn what_is_not_about_one_message_ends_the_stream_and_says_where() {
        let done =
            |refusal| message_refused(NotDone { refusal, item: None }, 7, &Refusals::default());
        for (refusal, reason) in [
            (Refusal::Rule(Rejection::LedgerAlreadyOpen), "LEDGER_ALREADY_OPEN"),
            (Refusal::TooLong, "RECORD_TOO_LONG"),
        ] {
            let answer = done(refusal).unwrap();
            let answer = pb::SubmitStreamResponse::decode(&answer[HEAD_BYTES..]).unwrap();
            assert_eq!(answer.error.unwrap().reason, reason);
        }
        for (refusal, reason) in [
            (Refusal::ReadOnly { why: "it is full".to_owned() }, "LEDGER_READ_ONLY"),
            (Refusal::OutcomeUnknown { why: "it failed".to_owned() }, "OUTCOME_UNKNOWN"),
            (Refusal::DeadlineExceeded, "DEADLINE_EXCEEDED"),
            (Refusal::QueueFull { retry_after: Duration::from_millis(50) }, "PUSHBACK"),
            (Refusal::ShuttingDown, "SHUTTING_DOWN"),
        ] {
            let status = done(refusal).unwrap_err();
            let info = status.get_details_error_info().unwrap();
            assert_eq!(info.reason, reason);
            assert_eq!(info.metadata["message"], "7");
        }
        let status = done(Refusal::ShuttingDown).unwrap_err();
        assert!(status.get_details_retry_info().is_some(), "{status:?}");
    }
}
