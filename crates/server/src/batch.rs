//! `SubmitBatch`: many commands in one call, all or nothing or each by itself.

use crate::concerned::Concerned;
use crate::refusal;
use crate::services::{CURRENCY, Services};
use bergulir_engine::{Accepted, Answer, Caller, Ledger, Refusal, Terms, Work};
use bergulir_proto::pb;
use bergulir_proto::pb::batch_item_result::Outcome;
use bergulir_proto::wire::{Batch, BatchMode, InvalidFields};
use std::time::Instant;
use tonic::Status;
use uuid::Uuid;

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
        let terms = Terms {
            validate_only: batch.validate_only,
            expected_position: batch.expected,
            deadline,
        };
        let mut wrong: Vec<Option<InvalidFields>> = Vec::with_capacity(batch.items.len());
        let mut requests = Vec::with_capacity(batch.items.len());
        // The place and the request id of each request.
        let mut asked = Vec::with_capacity(batch.items.len());
        for (place, item) in batch.items.into_iter().enumerate() {
            match item {
                Ok(item) => {
                    wrong.push(None);
                    asked.push((place, item.request_id));
                    requests.push(bergulir_engine::Request {
                        request_id: *item.request_id.as_bytes(),
                        command: item.command,
                    });
                }
                Err(invalid) => wrong.push(Some(invalid)),
            }
        }
        let decided = if requests.is_empty() {
            Vec::new()
        } else {
            let work = match batch.mode {
                BatchMode::Atomic => Work::Atomic(requests),
                BatchMode::Independent => Work::Independent(requests),
            };
            match ledger.submit(caller, work, terms).await {
                Answer::Items(items) => items,
                Answer::Refused { item, refusal } => {
                    let item = item.and_then(|item| asked.get(item).copied());
                    return Err(refusal::batch_status(&refusal, item));
                }
            }
        };
        let mut decided = self.outcomes(&ledger, decided, &asked).await?.into_iter();
        let results = wrong.into_iter().map(|wrong| {
            let outcome = match wrong {
                Some(invalid) => Some(Outcome::Error(invalid.command_error())),
                None => decided.next(),
            };
            pb::BatchItemResult { outcome }
        });
        Ok(pb::SubmitBatchResponse {
            results: results.collect(),
            log_size: ledger.head().size.get(),
        })
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
