//! Batches: up to [`MAX_BATCH_ITEMS`] commands for one ledger.

use std::collections::HashSet;

use bergulir_chain::LogSize;
use bergulir_domain::money::Currency;
use bergulir_domain::{Command, LedgerId};
use prost::{DecodeError, Message as _};
use thiserror::Error;

use super::batch_bytes::BatchParts;
use super::fields::{Fields, Read, Refused};
use super::{InvalidFields, frequent, read};
use crate::pb;
use crate::pb::command::Kind;
use crate::status::MAX_VIOLATIONS;

/// The most commands of one batch.
pub const MAX_BATCH_ITEMS: usize = 10_000;

/// What becomes of the other commands when one is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchMode {
    /// All or nothing.
    Atomic,
    /// Each by itself.
    Independent,
}

/// A checked batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The ledger that the commands go to.
    pub ledger: LedgerId,
    /// All or nothing, or each by itself.
    pub mode: BatchMode,
    /// How many records the log must have, if the caller cares; atomic only.
    pub expected: Option<LogSize>,
    /// Decide, and record nothing; atomic only.
    pub validate_only: bool,
    /// The commands that are right, in their order.
    pub requests: Vec<Request>,
    /// The others, each with its place in the batch, in their order; only in an independent batch.
    pub wrong: Vec<(usize, InvalidFields)>,
}

/// A caller's id of one request: the 16 bytes of a UUID.
pub type RequestId = [u8; 16];

/// One command under its request id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Makes a retry safe, for ever.
    pub request_id: RequestId,
    /// What is asked.
    pub command: Command,
}

/// Why a batch is refused.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum BatchError {
    /// It is not a message.
    #[error("the message cannot be read: {0}")]
    Malformed(String),
    /// Fields of it are wrong.
    #[error(transparent)]
    Invalid(#[from] InvalidFields),
}

impl Batch {
    /// Checks a batch. `currency` is that of the ledger that it names.
    ///
    /// # Errors
    /// With every field of the batch that is wrong; in an atomic batch with every field of its
    /// items too.
    pub fn read(parts: BatchParts<'_>, currency: Currency) -> Result<Batch, BatchError> {
        let mut fields = Fields::new(currency);
        let ledger = fields.ledger(parts.ledger);
        let mode = mode(&mut fields, &parts);
        let count = parts.items.len();
        if !(1..=MAX_BATCH_ITEMS).contains(&count) {
            fields.refuse(
                "items",
                format_args!("must be 1 to {MAX_BATCH_ITEMS} commands, and are {count}"),
            );
        }
        let (Ok(ledger), Ok(mode), 1..=MAX_BATCH_ITEMS) = (ledger, mode, count) else {
            return Ok(fields.finish(Err(Refused))?);
        };

        let mut seen = HashSet::with_capacity(if mode == BatchMode::Atomic { count } else { 0 });
        let mut requests = Vec::with_capacity(count);
        let mut wrong = Vec::new();
        let mut last_date = None;
        for (i, item) in parts.items.into_iter().enumerate() {
            let request = match frequent::read(item, currency, &mut last_date) {
                // Nearly all are like this, and long: it is moved but once.
                Some(request) if mode == BatchMode::Independent => {
                    requests.push(request);
                    continue;
                }
                Some(request) => Ok(request),
                None => {
                    let malformed = |error: DecodeError| BatchError::Malformed(error.to_string());
                    let item = pb::BatchItem::decode(item).map_err(malformed)?;
                    fields.within(format_args!("items[{i}]"), |fields| {
                        batch_command(fields, ledger, item)
                    })
                }
            };
            let request = request.and_then(|request| {
                if mode == BatchMode::Atomic && !seen.insert(request.request_id) {
                    let refused = "must not be that of another item of the batch";
                    return Err(fields.refuse(&format!("items[{i}].request_id"), refused));
                }
                Ok(request)
            });
            match (mode, request) {
                (_, Ok(request)) => requests.push(request),
                (BatchMode::Independent, Err(_)) => {
                    wrong.push((i, InvalidFields(fields.take_found())));
                }
                // Enough to see what is wrong; an answer has room for no more.
                (BatchMode::Atomic, Err(_)) if fields.found() > MAX_VIOLATIONS => break,
                (BatchMode::Atomic, Err(_)) => {}
            }
        }
        Ok(fields.finish(Ok(Batch {
            ledger,
            mode,
            expected: Fields::log_size(parts.expected_position),
            validate_only: parts.validate_only,
            requests,
            wrong,
        }))?)
    }
}

fn mode(fields: &mut Fields, request: &BatchParts<'_>) -> Read<BatchMode> {
    match pb::BatchMode::try_from(request.mode) {
        Ok(pb::BatchMode::Atomic) => Ok(BatchMode::Atomic),
        Ok(pb::BatchMode::Independent) => {
            if request.expected_position.is_some() {
                fields.refuse("expected_position", "must be absent unless the mode is ATOMIC");
            }
            if request.validate_only {
                fields.refuse("validate_only", "must be false unless the mode is ATOMIC");
            }
            Ok(BatchMode::Independent)
        }
        Ok(pb::BatchMode::Unspecified) | Err(_) => {
            Err(fields.refuse("mode", "must be ATOMIC or INDEPENDENT"))
        }
    }
}

fn batch_command(fields: &mut Fields, ledger: LedgerId, item: pb::BatchItem) -> Read<Request> {
    let request_id = fields.request_id(&item.request_id);
    let command = fields.present("command", item.command);
    let command = command.and_then(|command| {
        fields.within("command", |fields| match command.kind {
            Some(Kind::OpenLedger(_)) => {
                let refused = "must be sent by itself, with the method OpenLedger";
                Err(fields.refuse("open_ledger", refused))
            }
            kind => read::command(fields, ledger, kind),
        })
    });
    Ok(Request { request_id: *request_id?.as_bytes(), command: command? })
}
