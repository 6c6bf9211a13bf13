//! What the log says about itself, signed, and what follows from that: checkpoints and proofs.

use crate::access::Pass;
use crate::access::methods::CREATE_SEAL;
use crate::records::{event_of, parse as parse_record};
use crate::refusal::{command_status, not_found, read_status, reopening, stopping};
use crate::services::{Services, parse, parse_ledger};
use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::Member;
use bergulir_chain::proof::LogProof;
use bergulir_chain::{Hash, LogSize, Position};
use bergulir_domain::Event;
use bergulir_domain::rejection::Resource;
use bergulir_engine::{
    Consistency, Inclusion, Ledger, ProofRefusal, ReadRefusal, SignedCheckpoint,
};
use bergulir_proto::balance_proof::BalanceProof;
use bergulir_proto::balances::{BalanceKey, Leaf};
use bergulir_proto::name::LenderName;
use bergulir_proto::wire::InvalidFields;
use bergulir_proto::{Described, pb};
use std::sync::Arc;
use tonic::{Code, Request, Status};

pub(super) async fn get_checkpoint(
    services: &Services,
    pass: &Pass,
    request: pb::GetCheckpointRequest,
) -> Result<pb::GetCheckpointResponse, Status> {
    let (ledger, _) = services.ledger(pass, parse_ledger("ledger", &request.ledger)?)?;
    let newest = ledger.checkpoint(request.min_log_size.map(LogSize::new)).await;
    let newest = newest.map_err(proof_status)?;
    let witnessed = ledger.witnessed_checkpoint();
    Ok(pb::GetCheckpointResponse {
        checkpoint: Some(to_wire(&newest)),
        witnessed: witnessed.as_deref().map(to_wire),
    })
}

pub(super) async fn get_inclusion_proof(
    services: &Services,
    pass: &Pass,
    request: pb::GetInclusionProofRequest,
) -> Result<pb::GetInclusionProofResponse, Status> {
    let (ledger, _) = services.ledger(pass, parse_ledger("ledger", &request.ledger)?)?;
    let position = Position::new(request.position);
    if !ledger.head().size.holds(position) {
        let position = bergulir_domain::Position::new(request.position);
        return Err(not_found(Resource::Record(position)));
    }
    let (size, checkpoint) = if let Some(size) = request.log_size.map(LogSize::new) {
        (size, at_hand(&ledger, size).await?)
    } else {
        let covering = covering(&ledger, position.size_through()).await?;
        (covering.checkpoint.size, Some(covering))
    };
    let Inclusion { record, record_hash, path, root } = blocking(ledger, move |ledger| {
        ledger.inclusion_proof(position, size).map_err(proof_status)
    })
    .await?;
    let proof = checkpoint.as_ref().map(|signed| LogProof {
        extra: Some(record),
        position,
        path: path.clone(),
        checkpoint: signed.note.clone(),
    });
    Ok(pb::GetInclusionProofResponse {
        position: position.get(),
        record_hash: record_hash.as_bytes().to_vec(),
        log_size: size.get(),
        root_hash: root.as_bytes().to_vec(),
        path: hashes(&path),
        checkpoint: checkpoint.as_deref().map(to_wire),
        proof: proof.map(|proof| proof.to_string()).unwrap_or_default(),
    })
}

pub(super) async fn get_consistency_proof(
    services: &Services,
    pass: &Pass,
    request: pb::GetConsistencyProofRequest,
) -> Result<pb::GetConsistencyProofResponse, Status> {
    let (ledger, _) = services.ledger(pass, parse_ledger("ledger", &request.ledger)?)?;
    let from = LogSize::new(request.from_log_size);
    let (to, checkpoint) = if let Some(to) = request.to_log_size.map(LogSize::new) {
        (to, at_hand(&ledger, to).await?)
    } else {
        let newest = ledger.checkpoint(Some(from)).await.map_err(proof_status)?;
        (newest.checkpoint.size, Some(newest))
    };
    let Consistency { from_root, to_root, path } =
        blocking(ledger, move |ledger| ledger.consistency_proof(from, to).map_err(proof_status))
            .await?;
    Ok(pb::GetConsistencyProofResponse {
        from_log_size: from.get(),
        from_root_hash: from_root.as_bytes().to_vec(),
        to_log_size: to.get(),
        to_root_hash: to_root.as_bytes().to_vec(),
        path: hashes(&path),
        checkpoint: checkpoint.as_deref().map(to_wire),
    })
}

pub(super) async fn get_balance_proof(
    services: &Services,
    pass: &Pass,
    request: Request<pb::GetBalanceProofRequest>,
) -> Result<pb::GetBalanceProofResponse, Status> {
    let (metadata, _, request) = request.into_parts();
    let (ledger, key) = match parse::<LenderName>("name", &request.name)? {
        LenderName::Fund(name) => (name.ledger, BalanceKey::Fund(name.fund)),
        LenderName::Account(name) => (name.ledger, BalanceKey::Account(name.fund, name.account)),
    };
    let (ledger, may) = services.ledger(pass, ledger)?;
    if request.fresh || !ledger.is_sealed().await {
        // A seal may be recorded: not for somebody who says nothing of who that is, or may not.
        pass.caller(metadata.as_ref())?;
        may.also(&CREATE_SEAL)?;
    }
    let proof = ledger.balance_proof(key, request.fresh).await;
    balance_to_wire(&proof.map_err(proof_status)?)
}

fn balance_to_wire(proof: &BalanceProof) -> Result<pb::GetBalanceProofResponse, Status> {
    let sealed_at = proof.seal.position;
    let record = proof.seal.extra.as_deref().unwrap_or_default();
    let Event::Sealed(seal) = event_of(sealed_at, &parse_record(sealed_at, record)?)? else {
        return Err(Status::internal("the proof is not of a seal"));
    };
    let signed = Checkpoint::parse_unverified(proof.seal.checkpoint.text());
    let checkpoint = signed.map_err(|error| Status::internal(error.to_string()))?;
    let note = proof.seal.checkpoint.clone();
    Ok(pb::GetBalanceProofResponse {
        present: matches!(&*proof.shown, [only] if is_of(only, proof.key)),
        through: seal.through.get(),
        balance_root: seal.balance_root.to_vec(),
        leaves: proof.leaves,
        shown: proof.shown.iter().map(leaf_to_wire).collect(),
        sealed_at: sealed_at.get(),
        checkpoint: Some(to_wire(&SignedCheckpoint { checkpoint, note })),
        proof: proof.to_string(),
    })
}

/// True for the leaf itself, and not for the neighbours of one that is missing.
fn is_of(shown: &Member, key: BalanceKey) -> bool {
    Leaf::parse(&shown.leaf).is_ok_and(|leaf| leaf.key() == key)
}

fn leaf_to_wire(shown: &Member) -> pb::BalanceLeaf {
    pb::BalanceLeaf { number: shown.index, leaf: shown.leaf.clone(), path: hashes(&shown.path) }
}

/// A checkpoint that covers so many records: one that witnesses stand for if there is one, since it
/// proves more.
async fn covering(ledger: &Ledger, size: LogSize) -> Result<Arc<SignedCheckpoint>, Status> {
    let witnessed = ledger.witnessed_checkpoint();
    match witnessed.filter(|witnessed| witnessed.checkpoint.size >= size) {
        Some(witnessed) => Ok(witnessed),
        None => ledger.checkpoint(Some(size)).await.map_err(proof_status),
    }
}

/// A checkpoint of exactly this size, if there is one without signing another. On return the log
/// can be proved to have been of this size.
async fn at_hand(ledger: &Ledger, size: LogSize) -> Result<Option<Arc<SignedCheckpoint>>, Status> {
    let log_size = ledger.head().size;
    if size > log_size {
        let refusal = ProofRefusal::NotReached { asked: size, size: log_size };
        return Err(proof_status(refusal));
    }
    // The tree follows the log a moment behind.
    let followed = ledger.read(size.last(), |_, _| ()).await;
    followed.map_err(|refused| read_status(&refused))?;
    let of_size = |signed: &Arc<SignedCheckpoint>| signed.checkpoint.size == size;
    Ok(match ledger.witnessed_checkpoint().filter(of_size) {
        Some(witnessed) => Some(witnessed),
        // Where none can be signed there is none.
        None => ledger.checkpoint(None).await.ok().filter(of_size),
    })
}

/// Reads from the disk, off the threads that serve everybody.
async fn blocking<R: Send + 'static>(
    ledger: Arc<Ledger>,
    read: impl FnOnce(&Ledger) -> Result<R, Status> + Send + 'static,
) -> Result<R, Status> {
    let read = tokio::task::spawn_blocking(move || read(&ledger)).await;
    read.map_err(|error| Status::new(Code::Internal, error.to_string()))?
}

fn to_wire(signed: &SignedCheckpoint) -> pb::Checkpoint {
    pb::Checkpoint {
        origin: signed.checkpoint.origin.to_string(),
        log_size: signed.checkpoint.size.get(),
        root_hash: signed.checkpoint.root.as_bytes().to_vec(),
        note: signed.note.to_string(),
    }
}

fn hashes(path: &[Hash]) -> Vec<Vec<u8>> {
    path.iter().map(|hash| hash.as_bytes().to_vec()).collect()
}

/// The status of something that is not proved.
fn proof_status(refusal: ProofRefusal) -> Status {
    let message = refusal.to_string();
    let say = |code, reason| Described::new(code, reason, &message);
    match refusal {
        ProofRefusal::NotReached { asked, size } => say(Code::FailedPrecondition, "LOG_SHORTER")
            .with("asked", asked)
            .with("log_size", size)
            .status(),
        ProofRefusal::NotInTree { .. } => InvalidFields::one("log_size", &message).status(),
        ProofRefusal::Shrinks { .. } => InvalidFields::one("from_log_size", &message).status(),
        ProofRefusal::NoKey { .. } => say(Code::FailedPrecondition, "NO_SIGNING_KEY").status(),
        ProofRefusal::ReadOnly { .. } => say(Code::Unavailable, "LEDGER_READ_ONLY").status(),
        ProofRefusal::NotStored { .. } => say(Code::Unavailable, "CHECKPOINT_NOT_STORED").status(),
        ProofRefusal::NotSealed(refusal) => command_status(&refusal, None),
        ProofRefusal::Stopping => stopping(),
        ProofRefusal::Reopening => reopening(),
        ProofRefusal::Log(error) => read_status(&ReadRefusal::Log(error)),
        ProofRefusal::Projections { .. } => say(Code::Unavailable, "PROJECTIONS_FAILED").status(),
    }
}
