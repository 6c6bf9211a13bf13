//! What goes into a ledger's queue, and what comes back.

use crate::inbox::Room;
use bergulir_chain::{Authentication, Hash, LogSize, Position, Timestamp};
use bergulir_domain::state::{AccountBalances, FundBalances, LoanBalances};
use bergulir_domain::{AccountId, FundId, LedgerId, LoanId, PrincipalId, Rejection, Touched};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

pub use bergulir_proto::wire::{Request, RequestId};

/// Who asks, and how the server knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub principal: PrincipalId,
    /// How the server knows.
    pub authentication: Authentication,
}

/// What a caller sends together.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one command is the case that must be fast")]
pub enum Work {
    /// One command.
    Single(Request),
    /// All or nothing, at consecutive positions.
    Atomic(Vec<Request>),
    /// Each by itself, in order.
    Independent(Vec<Request>),
}

impl Work {
    /// How many commands it has.
    pub fn commands(&self) -> usize {
        match self {
            Work::Single(_) => 1,
            Work::Atomic(requests) | Work::Independent(requests) => requests.len(),
        }
    }
}

/// How the work is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Decide, and record nothing. Not for independent work of more than one command.
    pub validate_only: bool,
    /// Refuse unless the log has exactly this many records. Checked after the request id; not for
    /// independent work.
    pub expected_position: Option<LogSize>,
    /// Past it the work is dropped if it still waits.
    pub deadline: Option<Instant>,
    /// Bytes that its texts take, as far as the caller knows: no more than the message that it came in.
    pub bytes: usize,
}

impl Terms {
    /// No conditions.
    pub const PLAIN: Terms =
        Terms { validate_only: false, expected_position: None, deadline: None, bytes: 0 };
}

/// Work on its way to the writer.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) caller: Caller,
    pub(crate) work: Work,
    pub(crate) terms: Terms,
    pub(crate) reply: oneshot::Sender<Answer>,
    /// When it was queued, by the clock that nobody sets.
    pub(crate) queued: Duration,
    /// By when its turn must have come; later it is refused.
    pub(crate) turn_by: Option<Duration>,
    pub(crate) room: Room,
}

/// What the writer answers to a piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// One answer for each request, in order. Of an atomic batch either all are accepted, or there
    /// is exactly one refusal, which [`Answer::Refused`] gives.
    Items(Vec<Result<Accepted, Refusal>>),
    /// The work as a whole was refused, and nothing of it recorded.
    Refused {
        /// Which request was the cause, if one was; its place in the batch.
        item: Option<usize>,
        /// Why.
        refusal: Refusal,
    },
}

/// A command that is in the log, durably, or would be accepted (`validate_only`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Where; `None` if it was only validated.
    pub receipt: Option<Receipt>,
    /// Whom it concerned.
    pub touched: Touched,
    /// Their names.
    pub named: Named,
    /// The balances right after it (or as they are, if it was only validated).
    pub balances: Balances,
}

/// Whom a command concerned, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Named {
    /// The fund.
    pub fund: Option<FundId>,
    /// The account, of that fund.
    pub account: Option<AccountId>,
    /// The loan, of that account, and its principal in minor units.
    pub loan: Option<(LoanId, i64)>,
}

/// Where a command is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Its position.
    pub position: Position,
    /// The hash of its record.
    pub record_hash: Hash,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Whether this is the first answer again, to a retry.
    pub duplicate: bool,
}

/// The balances that a command may have changed, right after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balances {
    /// Of the fund.
    pub fund: Option<FundBalances>,
    /// Of the account.
    pub account: Option<AccountBalances>,
    /// Of the loan, if it is approved.
    pub loan: Option<LoanBalances>,
}

/// Why work was not done. Nothing of it was recorded, unless it says that the outcome is unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A rule of the trade.
    #[error(transparent)]
    Rule(Rejection),
    /// The request id was used for something else.
    #[error(
        "the request id is used at position {position}: by another command, by another principal, \
         or in another grouping (alone, or as part of an atomic batch). Look at that record: if it \
         holds this command, it is recorded, and must not be sent again; if not, take a new id"
    )]
    RequestIdConflict {
        /// Where it was used.
        position: Position,
    },
    /// A request id stands twice in one atomic batch.
    #[error("the request id stands twice in the batch: each command needs one of its own")]
    RequestIdRepeated,
    /// The log does not end where the caller thought.
    #[error("the ledger has {size} records, not {expected}: read again and decide anew")]
    HeadMoved {
        /// What the caller expected.
        expected: LogSize,
        /// How many there are.
        size: LogSize,
    },
    /// Too much is waiting.
    #[error("the ledger's queue is full: try again in {} ms", retry_after.as_millis())]
    QueueFull {
        /// When to try again.
        retry_after: Duration,
    },
    /// Its turn came too late.
    #[error(
        "the command waited {} ms for its turn, and nothing was recorded: try again in {} ms",
        waited.as_millis(), retry_after.as_millis()
    )]
    WaitedTooLong {
        /// How long it waited.
        waited: Duration,
        /// When to try again.
        retry_after: Duration,
    },
    /// The deadline passed while the work waited; it was dropped.
    #[error("the deadline passed before the command was decided; nothing was recorded")]
    DeadlineExceeded,
    /// The ledger takes no writes.
    #[error("the ledger is read-only: {why}")]
    ReadOnly {
        /// Why, and what to do.
        why: String,
    },
    /// The ledger was opened again since the caller got hold of it.
    #[error("the ledger was opened again meanwhile; nothing was recorded: call again")]
    Reopening,
    /// Another ledger of the node has the origin of the one that was to be opened.
    #[error(
        "the ledger {ledger} has this origin: two of one origin would sign as one log, so choose \
         another"
    )]
    OriginTaken {
        /// Which.
        ledger: LedgerId,
    },
    /// The node does not hold the private key that the log was to go on with.
    #[error(
        "the private key of {key} is not in the server's key folder: put its file there first, or \
         nothing could be signed any more"
    )]
    KeyNotHeld {
        /// The name and id of the key.
        key: String,
    },
    /// The server is going down.
    #[error("the server is shutting down; nothing was recorded: try again later")]
    ShuttingDown,
    /// A write failed after the command was accepted.
    #[error(
        "it is unknown whether the command was recorded ({why}): \
         send it again with the same request id"
    )]
    OutcomeUnknown {
        /// What failed.
        why: String,
    },
    /// The command makes a record that is too long.
    #[error("the command makes a record of more than 65,535 bytes")]
    TooLong,
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Refusal {
        Refusal::Rule(rejection)
    }
}
