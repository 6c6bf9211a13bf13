//! Why a log is invalid: a code for programs, a message for people.

use bergulir_chain::checkpoint::CheckpointError;
use bergulir_chain::merkle::ProofError;
use bergulir_chain::note::VerifyError;
use bergulir_chain::{
    ChainError, ChainFault, FrameError, FrameFault, Hash, LogSize, Position, RecordError,
    SegmentError,
};
use bergulir_domain::Rejection;
use bergulir_proto::balance_proof::BalanceProofError;
use bergulir_proto::describe;
use bergulir_proto::event::EventError;
use bergulir_proto::replay::ReplayError;
use thiserror::Error;

use crate::balances::Imbalance;
use crate::trust::{CheckpointSource, SignatureFault};

/// What is wrong at the first bad position of a log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Reason {
    /// The log has no record, but an index lies beside it.
    #[error(
        "the log holds no record, but an index lies beside it, which is made only after the first \
         record is durable: the records are missing"
    )]
    LogMissing,
    /// A file ends like a segment, but its name has no place in the row of segments.
    #[error("the file {name} has no place among the segments, which end here: was it renamed?")]
    SegmentName {
        /// Its name.
        name: String,
    },
    /// The header of a segment is damaged, or says something else than its name.
    #[error("the header of the segment is bad: {0}")]
    SegmentHeader(SegmentError),
    /// The header of a segment says another first position than its name.
    #[error("the segment is named after position {named}, but its header says {stated}")]
    SegmentRenamed {
        /// The position in its name.
        named: Position,
        /// The position in its header.
        stated: Position,
    },
    /// The next segment begins elsewhere than the one before it ends.
    #[error(
        "the records end before position {expected}, and the next segment begins at {found}: a \
         segment is missing, was cut or was renamed"
    )]
    SegmentGap {
        /// Where it should begin.
        expected: Position,
        /// Where it begins.
        found: Position,
    },
    /// A segment goes on after another record than the one that is before it.
    #[error("the segment goes on after a record of the hash {stated}, but that hash is {expected}")]
    SegmentChain {
        /// The hash of the record before it.
        expected: Hash,
        /// The hash that its header names.
        stated: Hash,
    },
    /// No undamaged frame is where the next one must begin.
    #[error("the next frame is damaged: {0}")]
    Frame(FrameError),
    /// A frame is damaged; this is the first of its records that does not fit.
    #[error("{fault}; this record is the first that does not fit: {record}")]
    FrameRecord {
        /// What is wrong with the frame.
        fault: FrameError,
        /// What is wrong with the record.
        record: Box<Reason>,
    },
    /// A frame is damaged, and its other records are vouched for by the records after them.
    #[error("{fault}; the records before this one fit the chain")]
    FrameLast {
        /// What is wrong with the frame.
        fault: FrameError,
    },
    /// A bundle goes on after its last undamaged frame. No crash tore that: it was written in one go.
    #[error(
        "{bytes} bytes follow the last frame, and are no frame: a bundle is not torn by a crash of \
         the ledger, so they were added, or a frame was changed"
    )]
    BundleTail {
        /// How many, without zeros at their end.
        bytes: u64,
    },
    /// A frame begins at another position than the next one.
    #[error("the frame says that it begins at position {stated}")]
    FramePosition {
        /// What it says.
        stated: Position,
    },
    /// The bytes are not a record.
    #[error("not a record: {0}")]
    Record(RecordError),
    /// The record states another position: records are missing, doubled or in another order.
    #[error("the record says that it is at position {stated}")]
    Position {
        /// What it says.
        stated: Position,
    },
    /// The record does not go on from the one before it.
    #[error("the record names {stated} as the hash of the one before it, but that is {expected}")]
    Chain {
        /// The hash of the record before.
        expected: Hash,
        /// The hash that it names.
        stated: Hash,
    },
    /// The record was changed: what follows it names another hash.
    #[error("the record has the hash {found}, but what follows it names {named}: it was changed")]
    Changed {
        /// The hash that it has.
        found: Hash,
        /// The hash that it had when the next record was written.
        named: Hash,
    },
    /// Time ran backwards.
    #[error("{0}")]
    Time(ChainFault),
    /// An atomic batch is not whole, or reaches past its frame.
    #[error("{0}")]
    Batch(ChainFault),
    /// A frame ends inside an atomic batch.
    #[error("the frame ends inside an atomic batch")]
    BatchCut,
    /// The event cannot be read, or is not written in the one way that is allowed.
    #[error("the event cannot be read: {0}")]
    Event(EventError),
    /// The principal is not one, or claims to be the server, or the server claims to be another.
    #[error("the principal {principal:?} cannot have made this record")]
    Principal {
        /// As it stands in the record.
        principal: String,
    },
    /// A rule of the trade refuses the command.
    #[error("a rule was broken ({}): {rejection}", describe(rejection).reason)]
    RuleBroken {
        /// What the decision is when it is made again.
        rejection: Rejection,
    },
    /// The decision, made again, gives another event.
    #[error("the event is not what the decision on its command gives")]
    OtherEvent,
    /// The request id was used before.
    #[error("the request id was used at position {first} already")]
    RequestIdUsed {
        /// Where.
        first: Position,
    },
    /// Money is not conserved.
    #[error("money is not conserved: {0}")]
    NotConserved(Imbalance),
    /// A seal covers a position inside an atomic batch.
    #[error("the seal is through {through}, which is inside an atomic batch")]
    SealInsideBatch {
        /// The position.
        through: Position,
    },
    /// A seal states another balance root than the records give.
    #[error("the seal says the balance root {stated}, but the records give {found}")]
    SealRoot {
        /// What the seal says.
        stated: Hash,
        /// What the records give.
        found: Hash,
    },
    /// A seal states another digest of the state than the records give.
    #[error("the seal says the state digest {stated}, but the records give {found}")]
    SealDigest {
        /// What the seal says.
        stated: Hash,
        /// What the records give.
        found: Hash,
    },
    /// A checkpoint cannot be read.
    #[error("{which} cannot be read: {error}")]
    CheckpointDamaged {
        /// Which.
        which: CheckpointSource,
        /// What is wrong with it.
        error: CheckpointError,
    },
    /// A checkpoint is of another log.
    #[error("{which} is of the log {found}, but the records name this one {expected}")]
    CheckpointOfOther {
        /// Which.
        which: CheckpointSource,
        /// The origin that the records name.
        expected: String,
        /// The origin in the checkpoint.
        found: String,
    },
    /// The key in force did not sign a checkpoint.
    #[error("{which}, of {size} records, is not signed by the log: {fault}")]
    CheckpointSignature {
        /// Which.
        which: CheckpointSource,
        /// How many records it covers.
        size: LogSize,
        /// Why.
        fault: Box<SignatureFault>,
    },
    /// The records are not those that a checkpoint was signed over.
    #[error(
        "the root over the first {size} records is {found}, but {which} says {stated}: one of \
         the records from position {from} on is not the one that was signed"
    )]
    CheckpointRoot {
        /// Which.
        which: CheckpointSource,
        /// How many records it covers.
        size: LogSize,
        /// The first record that no smaller checkpoint vouches for.
        from: Position,
        /// The root that it states.
        stated: Hash,
        /// The root that the records give.
        found: Hash,
    },
    /// A record continues the log under another origin and lies about the one until then.
    #[error("the record continues the log under another origin, and is not right: {why}")]
    ContinuationForged {
        /// What is not right.
        why: String,
    },
    /// The records that the auditor knows of are lost, and the log says so.
    #[error(
        "{which} is of {size} records under {origin}, and the log says here that it goes on under \
         another origin with the first {kept}: the records from position {kept} on that you were \
         shown are lost, and whether the others are those cannot be proved. Whoever accepts that \
         keeps the log's checkpoint from now on"
    )]
    RecordsLost {
        /// Which.
        which: CheckpointSource,
        /// How many records it covers.
        size: LogSize,
        /// The origin that it is of.
        origin: String,
        /// How many records there were when the log was continued.
        kept: LogSize,
    },
    /// A key of the log signed under an origin that the log got only later.
    #[error(
        "{which} is of {size} records under {origin}, signed by the key of that origin, which this \
         log has only from this position on: two histories were signed under one origin"
    )]
    TwoHistories {
        /// Which.
        which: CheckpointSource,
        /// How many records it covers.
        size: LogSize,
        /// The origin.
        origin: String,
    },
    /// Records are missing that a checkpoint covers.
    #[error(
        "records are missing that a checkpoint covers: {which} is of {size} records; the end was \
         cut off, or an older copy was put in place"
    )]
    RecordsMissing {
        /// Which.
        which: CheckpointSource,
        /// How many records it covers.
        size: LogSize,
    },
    /// A log does not go on from an older checkpoint.
    #[error("the log does not go on from the checkpoint of {size} records seen earlier: {error}")]
    NotExtended {
        /// How many records that covers.
        size: LogSize,
        /// Why.
        error: ProofError,
    },
    /// A file of a bundle is not what it must be.
    #[error("the file {file} of the bundle: {why}")]
    BundleDamaged {
        /// Its name.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// Balances do not follow from the proof that is given.
    #[error("the balances in {file} are not proved: {error}")]
    BalanceNotProved {
        /// The file with the proof.
        file: String,
        /// Why.
        error: Box<BalanceProofError>,
    },
    /// A statement does not have the records that the balances were made of.
    #[error(
        "the statement of {whose} has {given} records, and the balances under the seal were made of \
         {counted}: a line was left out, added or changed"
    )]
    StatementForged {
        /// The account.
        whose: String,
        /// How many records are given.
        given: u64,
        /// How many there are.
        counted: u64,
    },
    /// An account that the records open is not shown.
    #[error("this record opens the {whose}, and the view does not show its balances")]
    AccountLeftOut {
        /// The account.
        whose: String,
    },
    /// The state that a range begins with is not that of the seal.
    #[error("the state before the range has the digest {found}, but its seal says {stated}")]
    StateForged {
        /// The digest in the seal.
        stated: Hash,
        /// That of the state.
        found: Hash,
    },
    /// No seal in a range is of the state that it begins with.
    #[error("no seal among the records is of the state that they begin with")]
    StateNotSealed,
    /// A bundle has records that its checkpoint does not cover.
    #[error("the bundle is of {size} records, and this one is beyond them")]
    BeyondBundle {
        /// How many it should have.
        size: LogSize,
    },
    /// A known witness's cosignature on a checkpoint is forged, or was taken from another.
    #[error("{which}, of {size} records, has a cosignature that is not its own: {error}")]
    CosignatureForged {
        /// Which.
        which: CheckpointSource,
        /// How many records it covers.
        size: LogSize,
        /// Whose.
        error: VerifyError,
    },
    /// The log names none of the keys that are trusted.
    #[error("none of the keys given is one that the log names: the first that it names is {named}")]
    KeyNotTrusted {
        /// The first key that it names.
        named: String,
    },
    /// The log is another ledger's.
    #[error("this is the log of ledger {found}, not of {expected}")]
    OtherLedger {
        /// Whose it should be.
        expected: String,
        /// Whose it is.
        found: String,
    },
}

impl Reason {
    /// The reason in capitals, stable for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Reason::LogMissing => "LOG_MISSING",
            Reason::SegmentName { .. } | Reason::SegmentRenamed { .. } => "SEGMENT_RENAMED",
            Reason::SegmentHeader(_) => "SEGMENT_DAMAGED",
            Reason::SegmentGap { .. } => "SEGMENT_MISSING",
            Reason::Frame(_)
            | Reason::FrameRecord { .. }
            | Reason::FrameLast { .. }
            | Reason::BundleTail { .. } => "FRAME_DAMAGED",
            Reason::FramePosition { .. } => "FRAME_MISPLACED",
            Reason::Record(_) => "RECORD_DAMAGED",
            Reason::Position { .. } => "RECORD_MISPLACED",
            Reason::SegmentChain { .. } | Reason::Chain { .. } | Reason::Changed { .. } => {
                "CHAIN_BROKEN"
            }
            Reason::Time(_) => "TIME_BACKWARDS",
            Reason::Batch(_) | Reason::BatchCut => "BATCH_BROKEN",
            Reason::Event(_) => "EVENT_UNREADABLE",
            Reason::Principal { .. } => "PRINCIPAL_INVALID",
            Reason::RuleBroken { .. } => "RULE_BROKEN",
            Reason::OtherEvent => "EVENT_FORGED",
            Reason::RequestIdUsed { .. } => "REQUEST_ID_USED",
            Reason::NotConserved(_) => "NOT_CONSERVED",
            Reason::SealInsideBatch { .. } => "SEAL_INSIDE_BATCH",
            Reason::SealRoot { .. } => "SEAL_ROOT_FORGED",
            Reason::SealDigest { .. } => "SEAL_DIGEST_FORGED",
            Reason::CheckpointDamaged { .. } => "CHECKPOINT_DAMAGED",
            Reason::CheckpointOfOther { .. } => "CHECKPOINT_OF_OTHER_LOG",
            Reason::CheckpointSignature { .. } => "CHECKPOINT_NOT_SIGNED",
            Reason::CheckpointRoot { .. } => "CHECKPOINT_CONTRADICTED",
            Reason::ContinuationForged { .. } => "CONTINUATION_FORGED",
            Reason::RecordsLost { .. } => "RECORDS_LOST",
            Reason::TwoHistories { .. } => "TWO_HISTORIES",
            Reason::RecordsMissing { .. } => "RECORDS_MISSING",
            Reason::NotExtended { .. } => "NOT_EXTENDED",
            Reason::BundleDamaged { .. } => "BUNDLE_DAMAGED",
            Reason::BalanceNotProved { .. } => "BALANCE_NOT_PROVED",
            Reason::StatementForged { .. } => "STATEMENT_FORGED",
            Reason::AccountLeftOut { .. } => "ACCOUNT_LEFT_OUT",
            Reason::StateForged { .. } => "STATE_FORGED",
            Reason::StateNotSealed => "STATE_NOT_SEALED",
            Reason::BeyondBundle { .. } => "BUNDLE_TOO_LONG",
            Reason::CosignatureForged { .. } => "COSIGNATURE_FORGED",
            Reason::KeyNotTrusted { .. } => "KEY_NOT_TRUSTED",
            Reason::OtherLedger { .. } => "OTHER_LEDGER",
        }
    }

    /// Whether only newer software can tell what this is: the bytes are whole, and of a version
    /// that is not known here.
    pub(crate) fn is_unknown_version(&self) -> bool {
        matches!(
            self,
            Reason::SegmentHeader(SegmentError::UnknownVersion(_))
                | Reason::Frame(FrameError::Corrupt(FrameFault::UnknownVersion(_)))
                | Reason::Record(RecordError::UnknownVersion(_))
                | Reason::RuleBroken { rejection: Rejection::UnknownRulesVersion { .. } }
        )
    }
}

impl From<ReplayError> for Reason {
    fn from(error: ReplayError) -> Reason {
        match error {
            ReplayError::Chain(ChainError { fault, .. }) => fault.into(),
            ReplayError::Event { source, .. } => Reason::Event(source),
            ReplayError::Principal { principal, .. } => Reason::Principal { principal },
            ReplayError::RuleBroken { rejection, .. } => Reason::RuleBroken { rejection },
            ReplayError::Continuation { source, .. } => {
                Reason::ContinuationForged { why: source.to_string() }
            }
            ReplayError::OtherEvent { .. } => Reason::OtherEvent,
        }
    }
}

impl From<ChainFault> for Reason {
    fn from(fault: ChainFault) -> Reason {
        match fault {
            ChainFault::Record(error) => Reason::Record(error),
            ChainFault::Position { stated } => Reason::Position { stated },
            ChainFault::Previous { expected, stated } => Reason::Chain { expected, stated },
            ChainFault::Time { .. } => Reason::Time(fault),
            ChainFault::Following { .. } | ChainFault::BatchUnfinished { .. } => {
                Reason::Batch(fault)
            }
        }
    }
}
