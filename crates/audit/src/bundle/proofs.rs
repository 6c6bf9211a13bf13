//! Single records with the proofs that they are in the log.

use std::collections::BTreeMap;
use std::path::Path;

use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::{Prefixes, verify_inclusion};
use bergulir_chain::note::{MAX_NOTE_BYTES, Note};
use bergulir_chain::proof::{LogProof, SUFFIX};
use bergulir_chain::{ChainFault, Hash, MAX_RECORD_BYTES, Position, Record, Timestamp, record};
use bergulir_proto::replay::header;

use super::RECORDS;
use super::open::Fault;
use crate::CannotTell;
use crate::claims::read_small;
use crate::find;
use crate::reason::Reason;

/// The most bytes of a proof: a record in Base64, a path and a note.
const MAX_PROOF_BYTES: u64 = (MAX_RECORD_BYTES * 2 + MAX_NOTE_BYTES + 8192) as u64;

/// The bytes of the records in a bundle, by position, each proved to be in the tree of its
/// checkpoint, the one of `note`, and right by itself and after those before it, as far as they are
/// there. Whether the checkpoint is the log's, is another matter.
pub(super) fn read(
    bundle: &Path,
    checkpoint: &Checkpoint,
    note: &Note,
) -> Result<BTreeMap<u64, Vec<u8>>, Fault> {
    let folder = bundle.join(RECORDS);
    let mut records = BTreeMap::new();
    let mut before: Option<Before> = None;
    if !folder.exists() {
        return Ok(records);
    }
    let mut names = find::names(&folder)?;
    names.sort();
    for name in names {
        let file = format!("{RECORDS}/{name}");
        let damaged = |why: String| Fault::damaged(&file, &why);
        let digits = name.strip_suffix(SUFFIX).filter(|digits| digits.len() == 20);
        let named: Option<u64> = digits.and_then(|digits| digits.parse().ok());
        let named = named.ok_or_else(|| damaged("it is not named after a position".to_owned()))?;
        let bytes = read_small(&folder.join(&name), MAX_PROOF_BYTES)?.unwrap_or_default();
        let proof = LogProof::parse(&bytes).map_err(|error| damaged(error.to_string()))?;
        let bytes = prove(&proof, Position::new(named), checkpoint, note).map_err(damaged)?;
        let record = Record::parse(&bytes).map_err(|error| damaged(error.to_string()))?;
        follows(&record, before).map_err(|reason| Fault::Bad(record.position, reason))?;
        before = Some(Before {
            position: record.position,
            hash: record::hash(&bytes),
            recorded_at: record.recorded_at,
        });
        records.insert(named, bytes);
    }
    Ok(records)
}

/// What the next record is held against.
#[derive(Clone, Copy)]
struct Before {
    position: Position,
    hash: Hash,
    recorded_at: Timestamp,
}

/// Whether a record can come after the one before it in the bundle: what the chain says of two
/// neighbours and of the order of time, whoever made the tree.
fn follows(record: &Record<'_>, before: Option<Before>) -> Result<(), Reason> {
    header(record)?;
    let Some(Before { position, hash, recorded_at }) = before else {
        return Ok(());
    };
    if position.next() == record.position && hash != record.previous {
        return Err(Reason::Chain { expected: hash, stated: record.previous });
    }
    if record.recorded_at < recorded_at {
        let stated = record.recorded_at;
        return Err(ChainFault::Time { last: recorded_at, stated }.into());
    }
    Ok(())
}

/// The record in a proof that it is at a position.
pub(super) fn prove(
    proof: &LogProof,
    at: Position,
    checkpoint: &Checkpoint,
    note: &Note,
) -> Result<Vec<u8>, String> {
    if proof.position != at {
        return Err(format!("it proves the record at position {}", proof.position));
    }
    if proof.checkpoint != *note {
        return Err("it is a proof to another checkpoint".to_owned());
    }
    let bytes = proof.extra.clone().ok_or("the record is not in it")?;
    let hash = record::hash(&bytes);
    let head = checkpoint.head();
    verify_inclusion(Prefixes::RFC_6962, head, at.get(), hash, &proof.path)
        .map_err(|error| error.to_string())?;
    let record = Record::parse(&bytes).map_err(|error| error.to_string())?;
    if record.position != at {
        return Err(format!("the record says that it is at position {}", record.position));
    }
    Ok(bytes)
}

impl From<CannotTell> for Fault {
    fn from(error: CannotTell) -> Fault {
        Fault::Unreadable(error)
    }
}
