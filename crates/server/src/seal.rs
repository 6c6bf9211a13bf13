//! Seals on demand.

use crate::ledger_service::receipt;
use crate::records::Reader;
use crate::refusal;
use bergulir_domain::Event;
use bergulir_engine::{Answer, Ledger, Refusal};
use bergulir_proto::pb;
use tonic::Status;

/// Records a seal through the head, and says what it says.
pub(crate) async fn create(ledger: &Ledger) -> Result<pb::CreateSealResponse, Status> {
    let accepted = match ledger.seal().await {
        Answer::Items(items) => items.into_iter().next(),
        Answer::Refused { refusal, .. } => Some(Err(refusal)),
    };
    let accepted = accepted
        .unwrap_or_else(|| Err(Refusal::OutcomeUnknown { why: "there was no answer".to_owned() }));
    let accepted = accepted.map_err(|refusal| refusal::command_status(&refusal, None))?;
    let mut response = pb::CreateSealResponse::default();
    let Some(at) = accepted.receipt else {
        return Ok(response);
    };
    response.receipt = Some(receipt(&at));
    let sealed = Reader::new(ledger).event(at.position).map_err(|why| {
        refusal::recorded_unanswered("the seal IS recorded", at.position.get(), &why)
    })?;
    if let Event::Sealed(seal) = sealed {
        response.through = seal.through.get();
        response.balance_root = seal.balance_root.to_vec();
        response.state_digest = seal.state_digest.to_vec();
    }
    Ok(response)
}
