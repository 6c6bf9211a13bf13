//! `SubmitBatch`: many commands in one call, all or nothing or each by itself; and what
//! `SubmitStream` shares with it.

use crate::concerned::Concerned;
use crate::refusal;
use crate::services::{CURRENCY, Services};
use bergulir_engine::{Accepted, Answer, Caller, Ledger, Refusal, Terms, Work};
use bergulir_proto::pb;
use bergulir_proto::pb::batch_item_result::Outcome;
use bergulir_proto::wire::{Batch, BatchCommand, BatchMode, InvalidFields};
use std::time::Instant;
use tonic::Status;
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
}

impl Asked {
    /// One more batch.
    pub(crate) fn add(&mut self, items: Vec<Result<BatchCommand, InvalidFields>>) {
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

    /// Why nothing was done: that refusal, of the request at that place of the work.
    pub(crate) fn refused(&self, refusal: Refusal, item: Option<usize>) -> NotDone {
        let item = item.and_then(|item| self.places.get(item).copied());
        NotDone::Refused { refusal, item }
    }
}

/// Why a batch as a whole was not done.
#[derive(Debug)]
pub(crate) enum NotDone {
    /// It was refused, because of the command at that place, under that request id.
    Refused { refusal: Refusal, item: Option<(usize, Uuid)> },
    /// What became of it cannot be said.
    Unanswered(Status),
}

impl From<NotDone> for Status {
    fn from(not_done: NotDone) -> Status {
        match not_done {
            NotDone::Refused { refusal, item } => refusal::batch_status(&refusal, item),
            NotDone::Unanswered(status) => status,
        }
    }
}

impl Services {
    /// Has a batch decided, and answers each of its items.
    pub(crate) async fn batch(
        &self,
        caller: Caller,
        request: pb::SubmitBatchRequest,
        deadline: Option<Instant>,
    ) -> Result<pb::SubmitBatchResponse, Status> {
        let batch = Batch::read(request, CURRENCY).map_err(|invalid| invalid.status())?;
        let ledger = self.ledger(batch.ledger)?;
        let terms = terms(&batch, deadline);
        let mut asked = Asked::default();
        asked.add(batch.items);
        let answer = match asked.work(batch.mode) {
            Some(work) => ledger.submit(caller, work, terms).await,
            None => Answer::Items(Vec::new()),
        };
        let results = self.results(&ledger, asked, answer).await?;
        Ok(pb::SubmitBatchResponse { results, log_size: ledger.head().size.get() })
    }

    /// What the wire says of each item that was asked, given what the writer answered.
    pub(crate) async fn results(
        &self,
        ledger: &Ledger,
        asked: Asked,
        answer: Answer,
    ) -> Result<Vec<pb::BatchItemResult>, NotDone> {
        let decided = match answer {
            Answer::Items(items) => items,
            Answer::Refused { item, refusal } => return Err(asked.refused(refusal, item)),
        };
        let decided = self.outcomes(ledger, decided, &asked.places).await;
        let mut decided = decided.map_err(NotDone::Unanswered)?.into_iter();
        let results = asked.wrong.into_iter().map(|wrong| {
            let outcome = match wrong {
                Some(invalid) => Some(Outcome::Error(invalid.command_error())),
                None => decided.next(),
            };
            pb::BatchItemResult { outcome }
        });
        Ok(results.collect())
    }

    /// What the wire says of each decided command, in their order.
    async fn outcomes(
        &self,
        ledger: &Ledger,
        decided: Vec<Result<Accepted, Refusal>>,
        asked: &[(usize, Uuid)],
    ) -> Result<Vec<Outcome>, Status> {
        let positions = decided.iter().flatten().filter_map(|accepted| accepted.receipt);
        let newest = positions.map(|receipt| receipt.position.get()).max();
        let concerned = match newest {
            None => Vec::new(),
            Some(newest) => {
                // Names only, so that the state is held for no longer than it takes to look.
                let look = |view: &crate::resources::View<'_>| {
                    let concerned = |accepted: &Accepted| {
                        accepted.receipt.map(|_| Concerned::new(view, accepted.touched))
                    };
                    let each = decided.iter();
                    Ok(each.map(|decided| decided.as_ref().ok().and_then(concerned)).collect())
                };
                let looked = self.look(ledger, Some(newest), look).await;
                let unanswered = |why| {
                    let what = "what was accepted of the batch IS recorded, the last of it";
                    refusal::recorded_unanswered(what, newest, &why)
                };
                looked.map_err(unanswered)?.0
            }
        };
        let concerned = concerned.into_iter().chain(std::iter::repeat(None));
        let each = decided.into_iter().zip(concerned).zip(asked);
        let outcome = each.map(|((decided, concerned), (place, id))| match decided {
            Err(refusal) => {
                let described = refusal::of_command(&refusal, Some(*id));
                Outcome::Error(described.of_item(*place).command_error())
            }
            Ok(accepted) => Outcome::Receipt(batch_receipt(&accepted, concerned.as_ref())),
        });
        Ok(outcome.collect())
    }
}

/// How a batch wants to be done.
pub(crate) fn terms(batch: &Batch, deadline: Option<Instant>) -> Terms {
    Terms { validate_only: batch.validate_only, expected_position: batch.expected, deadline }
}

fn batch_receipt(accepted: &Accepted, concerned: Option<&Concerned>) -> pb::BatchReceipt {
    let Some(receipt) = accepted.receipt else {
        return pb::BatchReceipt::default();
    };
    pb::BatchReceipt {
        position: receipt.position.get(),
        record_hash: receipt.record_hash.as_bytes().to_vec(),
        duplicate: receipt.duplicate,
        balances: concerned.map(|concerned| concerned.balances(&accepted.balances)),
    }
}
