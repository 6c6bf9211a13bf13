//! `SubmitBatch`: many commands in one call, all or nothing or each by itself; and what
//! `SubmitStream` shares with it.

use crate::refusal;
use crate::services::{CURRENCY, Services};
use bergulir_domain::LedgerId;
use bergulir_engine::{Accepted, Answer, Caller, Refusal, Terms, Work};
use bergulir_proto::Described;
use bergulir_proto::wire::{
    Batch, BatchAnswer, BatchBytes, BatchCommand, BatchError, BatchMode, BatchReceipt,
    InvalidFields, Results,
};
use std::time::Instant;
use tonic::{Code, Status};
use uuid::Uuid;

/// The commands of a batch on their way to the writer, or of several independent ones that came
/// together, and what it takes to answer each.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    requests: Vec<bergulir_engine::Request>,
    /// The place of each request in its batch, and its id.
    places: Vec<(usize, Uuid)>,
    /// Of each item, whether its form was wrong; then it is not among the requests.
    wrong: Vec<Option<InvalidFields>>,
    /// How many items each batch has.
    sizes: Vec<usize>,
}

impl Asked {
    /// One more batch.
    pub(crate) fn add(&mut self, items: Vec<Result<BatchCommand, InvalidFields>>) {
        self.sizes.push(items.len());
        self.wrong.reserve(items.len());
        self.places.reserve(items.len());
        self.requests.reserve(items.len());
        for (place, item) in items.into_iter().enumerate() {
            match item {
                Ok(item) => {
                    self.wrong.push(None);
                    self.places.push((place, item.request_id));
                    self.requests.push(bergulir_engine::Request {
                        request_id: *item.request_id.as_bytes(),
                        command: item.command,
                    });
                }
                Err(invalid) => self.wrong.push(Some(invalid)),
            }
        }
    }

    /// How many items they have in all.
    pub(crate) fn items(&self) -> usize {
        self.wrong.len()
    }

    /// How many batches they are.
    pub(crate) fn batches(&self) -> usize {
        self.sizes.len()
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

    /// What the wire says of each item, batch by batch, given what the writer answered. `log_size`
    /// is how many records the log has now.
    pub(crate) fn answers(
        self,
        ledger: LedgerId,
        answer: Answer,
        log_size: u64,
    ) -> Result<Vec<BatchAnswer>, NotDone> {
        let decided = match answer {
            Answer::Items(items) => items,
            Answer::Refused { item, refusal } => {
                let item = item.and_then(|item| self.places.get(item).copied());
                return Err(NotDone { refusal, item });
            }
        };
        let mut decided = decided.iter().zip(self.places);
        let mut wrong = self.wrong.into_iter();
        let answer = |size: usize| {
            let mut answer = Results::with_room(size);
            for wrong in wrong.by_ref().take(size) {
                match wrong {
                    Some(invalid) => answer.error(invalid.command_error()),
                    None => {
                        if let Some((decided, asked)) = decided.next() {
                            put(&mut answer, ledger, decided, asked);
                        }
                    }
                }
            }
            answer.finish(log_size)
        };
        Ok(self.sizes.into_iter().map(answer).collect())
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

impl Services {
    /// Has a batch decided, and answers each of its items.
    pub(crate) async fn batch(
        &self,
        caller: Caller,
        request: BatchBytes,
        deadline: Option<Instant>,
    ) -> Result<BatchAnswer, Status> {
        let batch = request.parts().and_then(|parts| Batch::read(parts, CURRENCY));
        let batch = batch.map_err(status)?;
        drop(request);
        let ledger = self.ledger(batch.ledger)?;
        let terms = terms(&batch, deadline);
        let mut asked = Asked::default();
        asked.add(batch.items);
        let answer = match asked.work(batch.mode) {
            Some(work) => ledger.submit(caller, work, terms).await,
            None => Answer::Items(Vec::new()),
        };
        let answers = asked.answers(batch.ledger, answer, ledger.head().size.get())?;
        Ok(answers.into_iter().next().unwrap_or_default())
    }
}

/// How a batch wants to be done.
pub(crate) fn terms(batch: &Batch, deadline: Option<Instant>) -> Terms {
    Terms { validate_only: batch.validate_only, expected_position: batch.expected, deadline }
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
    (place, id): (usize, Uuid),
) {
    match decided {
        Err(refusal) => {
            let described = refusal::of_command(refusal, Some(id));
            answer.error(described.of_item(place).command_error());
        }
        Ok(Accepted { receipt: None, .. }) => answer.validated(),
        Ok(Accepted { receipt: Some(receipt), named, balances, .. }) => {
            let receipt = BatchReceipt {
                position: receipt.position.get(),
                record_hash: receipt.record_hash.as_bytes(),
                duplicate: receipt.duplicate,
                fund: named.fund.zip(balances.fund.as_ref()),
                account: named.account.zip(balances.account.as_ref()),
                loan: named.loan.map(|(loan, principal)| (loan, principal, balances.loan.as_ref())),
            };
            answer.receipt(ledger, &receipt, CURRENCY);
        }
    }
}
