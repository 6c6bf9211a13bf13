//! `SubmitBatch`: many commands in one call, all or nothing or each by itself; and what
//! `SubmitStream` shares with it.

use crate::access::Pass;
use crate::quotas::Pace;
use crate::refusal;
use crate::services::{CURRENCY, Services};
use crate::telemetry::Refusals;
use bergulir_chain::LogSize;
use bergulir_domain::LedgerId;
use bergulir_engine::{Accepted, Answer, Balances, Caller, Named, Receipt, Refusal, Terms, Work};
use bergulir_proto::Described;
use bergulir_proto::pb::CommandError;
use bergulir_proto::wire::{
    Batch, BatchBytes, BatchError, BatchMode, BatchParts, BatchReceipt, InvalidFields, Request,
    RequestId, Results,
};
use hyper::body::Bytes;
use prost::Message as _;
use std::collections::HashSet;
use std::time::Instant;
use tonic::{Code, Status};
use uuid::Uuid;

/// The commands of a batch on their way to the writer, or of several independent ones that came
/// together, and what it takes to answer each.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    requests: Vec<Request>,
    /// The id of each request, in order.
    ids: Vec<RequestId>,
    batches: Vec<Form>,
    items: usize,
}

/// Which items of a batch are asked for.
#[derive(Debug)]
struct Form {
    requests: usize,
    /// The others, each with its place, and why it is not asked for.
    wrong: Vec<(usize, CommandError)>,
}

impl Form {
    fn items(&self) -> usize {
        self.requests + self.wrong.len()
    }
}

impl Asked {
    /// Nothing yet, with room for so many commands.
    pub(crate) fn with_room(commands: usize) -> Asked {
        Asked {
            requests: Vec::with_capacity(commands),
            ids: Vec::with_capacity(commands),
            ..Asked::default()
        }
    }

    /// One more batch.
    pub(crate) fn add(&mut self, batch: Permitted) {
        let Permitted { mut requests, wrong, .. } = batch;
        self.ids.extend(requests.iter().map(|request| request.request_id));
        let form = Form { requests: requests.len(), wrong };
        self.items += form.items();
        self.batches.push(form);
        if self.requests.is_empty() && self.requests.capacity() <= requests.capacity() {
            self.requests = requests;
        } else {
            self.requests.append(&mut requests);
        }
    }

    /// One more batch, if nothing is to be found out or said about it but by the writer: each of its
    /// commands is by itself, of a frequent kind, right, for that ledger, no more than `most`, and one
    /// that `may` be asked for. Otherwise nothing is done.
    pub(crate) fn add_frequent(
        &mut self,
        batch: &BatchBytes,
        ledger: &str,
        most: usize,
        may: impl Fn(&[Request]) -> bool,
    ) -> bool {
        let before = self.requests.len();
        let appended = batch.append_frequent(ledger, CURRENCY, most, &mut self.requests);
        let added = &self.requests[before..];
        let Some(requests) = appended.filter(|_| may(added)) else {
            self.requests.truncate(before);
            return false;
        };
        self.ids.extend(added.iter().map(|request| request.request_id));
        self.items += requests;
        self.batches.push(Form { requests, wrong: Vec::new() });
        true
    }

    /// How many items they have in all.
    pub(crate) fn items(&self) -> usize {
        self.items
    }

    /// How many batches they are.
    pub(crate) fn batches(&self) -> usize {
        self.batches.len()
    }

    /// What is for the writer to do, if anything; asked once.
    pub(crate) fn work(&mut self, mode: BatchMode) -> Option<Work> {
        let requests = std::mem::take(&mut self.requests);
        if requests.is_empty() {
            return None;
        }
        Some(match mode {
            BatchMode::Atomic => Work::Atomic(requests),
            BatchMode::Independent => Work::Independent(requests),
        })
    }

    /// What the wire says of each item, in an answer for each batch, one behind the other, given what
    /// the writer answered. `log_size` is how many records the log has now.
    pub(crate) fn answers(
        self,
        ledger: LedgerId,
        answer: Answer,
        log_size: u64,
        refused: &Refusals,
    ) -> Result<Bytes, NotDone> {
        let decided = match answer {
            Answer::Items(items) => items,
            // Only an atomic batch is refused because of one item; all of its items have the right
            // form.
            Answer::Refused { item, refusal } => {
                let item =
                    item.and_then(|item| Some((item, Uuid::from_bytes(*self.ids.get(item)?))));
                return Err(NotDone { refusal, item });
            }
        };
        let mut decided = decided.iter().zip(self.ids);
        let mut results = Results::with_room(self.batches.len(), self.items);
        for form in self.batches {
            let items = form.items();
            let mut wrong = form.wrong.into_iter().peekable();
            results.begin();
            for place in 0..items {
                if let Some((_, error)) = wrong.next_if(|(at, _)| *at == place) {
                    refused.count(&error.reason);
                    results.error(error);
                } else if let Some((decided, id)) = decided.next() {
                    put(&mut results, ledger, decided, (place, id), refused);
                }
            }
            results.end(log_size);
        }
        Ok(results.finish())
    }
}

/// A batch as a whole was refused, because of the command at that place, under that request id.
#[derive(Debug)]
pub(crate) struct NotDone {
    pub(crate) refusal: Refusal,
    pub(crate) item: Option<(usize, Uuid)>,
}

impl From<NotDone> for Status {
    fn from(not_done: NotDone) -> Status {
        refusal::batch_status(&not_done.refusal, not_done.item)
    }
}

/// How many commands a batch has, right or wrong.
pub(crate) fn commands(batch: &Batch) -> usize {
    batch.requests.len() + batch.wrong.len()
}

impl Services {
    /// Checks a batch.
    pub(crate) fn read_batch(&self, parts: BatchParts<'_>) -> Result<Batch, BatchError> {
        let (most, count) = (self.quotas.limits.batch_commands, parts.commands());
        if count > most {
            let wrong = format!("must be 1 to {most} commands, and are {count}");
            return Err(InvalidFields::one("items", &wrong).into());
        }
        Batch::read(parts, CURRENCY)
    }

    /// Has a batch decided, and answers each of its items.
    pub(crate) async fn batch(
        &self,
        pass: &Pass,
        caller: Caller,
        request: BatchBytes,
        deadline: Option<Instant>,
        pace: Option<&Pace>,
    ) -> Result<Bytes, Status> {
        let batch = request.parts().and_then(|parts| self.read_batch(parts));
        let bytes = request.encoded_len();
        drop(request);
        // What cannot be read counts as one command.
        let count = batch.as_ref().map_or(1, commands);
        let paced = pace.map_or(Ok(()), |pace| pace.take(count));
        let batch = batch.map_err(status)?;
        paced.map_err(|exceeded| exceeded.status())?;
        let (ledger, scope) = self.ledger(pass, batch.ledger)?;
        let batch = self.permitted(&scope, &ledger, batch).await?;
        let batch = batch.map_err(|denied| denied.status())?;
        let (mode, terms) = (batch.mode, batch.terms(deadline, bytes));
        let mut asked = Asked::default();
        asked.add(batch);
        let answer = match asked.work(mode) {
            Some(work) => ledger.submit(caller, work, terms).await,
            None => Answer::Items(Vec::new()),
        };
        let (size, refused) = (ledger.head().size.get(), &self.measured.refused);
        Ok(asked.answers(ledger.id(), answer, size, refused)?)
    }
}

/// What of a batch may be asked of the ledger.
pub(crate) struct Permitted {
    pub(crate) mode: BatchMode,
    expected: Option<LogSize>,
    validate_only: bool,
    requests: Vec<Request>,
    /// The others, each with its place, in their order; only in an independent batch.
    wrong: Vec<(usize, CommandError)>,
}

impl Permitted {
    /// Leaves out what is denied, each by its place among the commands that have the right form. An
    /// atomic batch is denied as a whole, because of the first of them.
    pub(crate) fn of(
        batch: Batch,
        denied: Vec<(usize, Described)>,
    ) -> Result<Permitted, Described> {
        let Batch { mode, expected, validate_only, mut requests, wrong, .. } = batch;
        let mut wrong: Vec<(usize, CommandError)> =
            wrong.into_iter().map(|(place, invalid)| (place, invalid.command_error())).collect();
        if !denied.is_empty() {
            let taken: HashSet<usize> = wrong.iter().map(|(place, _)| *place).collect();
            let items = requests.len() + wrong.len();
            let places: Vec<usize> = (0..items).filter(|place| !taken.contains(place)).collect();
            let mut out = HashSet::with_capacity(denied.len());
            for (request, described) in denied {
                let place = places[request];
                let described = described.of_item(place);
                if mode == BatchMode::Atomic {
                    return Err(described);
                }
                out.insert(request);
                wrong.push((place, described.command_error()));
            }
            wrong.sort_by_key(|(place, _)| *place);
            let mut at = 0;
            requests.retain(|_| {
                at += 1;
                !out.contains(&(at - 1))
            });
        }
        Ok(Permitted { mode, expected, validate_only, requests, wrong })
    }

    /// How it wants to be done. Its message had so many bytes.
    pub(crate) fn terms(&self, deadline: Option<Instant>, bytes: usize) -> Terms {
        let (validate_only, expected_position) = (self.validate_only, self.expected);
        Terms { validate_only, expected_position, deadline, bytes }
    }
}

/// Why a batch is not asked of the ledger at all.
pub(crate) fn status(error: BatchError) -> Status {
    match error {
        BatchError::Invalid(invalid) => invalid.status(),
        BatchError::Malformed(_) => {
            Described::new(Code::InvalidArgument, "MALFORMED_MESSAGE", error.to_string()).status()
        }
    }
}

/// What the wire says of a decided command.
fn put(
    answer: &mut Results,
    ledger: LedgerId,
    decided: &Result<Accepted, Refusal>,
    (place, id): (usize, RequestId),
    refused: &Refusals,
) {
    match decided {
        Err(refusal) => {
            let described = refusal::of_command(refusal, Some(Uuid::from_bytes(id)));
            refused.count(described.reason);
            answer.error(described.of_item(place).command_error());
        }
        Ok(Accepted { receipt: None, .. }) => answer.validated(),
        Ok(Accepted { receipt: Some(receipt), named, balances, .. }) => {
            answer.receipt(ledger, &self::receipt(receipt, named, balances), CURRENCY);
        }
    }
}

/// Where a command was recorded, and what it left behind under the names of whom it concerned.
pub(crate) fn receipt<'a>(
    receipt: &'a Receipt,
    named: &Named,
    balances: &'a Balances,
) -> BatchReceipt<'a> {
    BatchReceipt {
        position: receipt.position.get(),
        record_hash: receipt.record_hash.as_bytes(),
        duplicate: receipt.duplicate,
        fund: named.fund.zip(balances.fund.as_ref()),
        account: named.account.zip(balances.account.as_ref()),
        loan: named.loan.map(|(loan, principal)| (loan, principal, balances.loan.as_ref())),
    }
}
