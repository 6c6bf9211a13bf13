//! `ReadRecords`: a range of records to the head as it is when the call arrives.

use crate::access::Pass;
use crate::limits::{STREAM_MESSAGE_BYTES, STREAM_MESSAGE_RECORDS};
use crate::records::parse;
use crate::refusal::{read_status, stopping};
use crate::services::{Services, parse_ledger};
use bergulir_chain::{Position, record};
use bergulir_engine::{Ledger, ReadLimit, Records};
use bergulir_proto::record::{RecordsAnswer, records_to_wire};
use bergulir_proto::{Described, pb};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;
use tonic::{Code, Status};

/// How far a stream has come. The next message is read from the log when the caller has room for
/// it, and not before.
struct Walk {
    ledger: Arc<Ledger>,
    next: u64,
    end: u64,
    log_size: u64,
    verbatim_only: bool,
    deadline: Option<Instant>,
    stopping: watch::Receiver<bool>,
    pass: Pass,
}

pub(super) fn records(
    services: &Services,
    pass: &Pass,
    request: &pb::ReadRecordsRequest,
    deadline: Option<Instant>,
) -> Result<BoxStream<'static, Result<RecordsAnswer, Status>>, Status> {
    let (ledger, _) = services.ledger(pass, parse_ledger("ledger", &request.ledger)?)?;
    let log_size = ledger.head().size.get();
    let limited = request.limit.and_then(|limit| request.from_position.checked_add(limit));
    let walk = Walk {
        next: request.from_position,
        end: limited.unwrap_or(log_size).min(log_size),
        log_size,
        verbatim_only: request.verbatim_only,
        deadline: pass.deadline(deadline),
        stopping: services.stopping.clone(),
        pass: pass.clone(),
        ledger,
    };
    Ok(stream::try_unfold(walk, Walk::step).boxed())
}

impl Walk {
    async fn step(mut self) -> Result<Option<(RecordsAnswer, Walk)>, Status> {
        if self.next >= self.end {
            return Ok(None);
        }
        still_wanted(self.deadline, &self.stopping)?;
        self.pass.still_holds()?;
        let left = usize::try_from(self.end - self.next).unwrap_or(usize::MAX);
        let records = chunk(&self.ledger, self.next, left).await?;
        self.next = records.next().get();
        let message = to_wire(&records, self.verbatim_only, self.log_size)?;
        Ok(Some((message, self)))
    }
}

/// Whether a stream may go on: its caller still waits, and the server does not stop.
pub(crate) fn still_wanted(
    deadline: Option<Instant>,
    stop: &watch::Receiver<bool>,
) -> Result<(), Status> {
    if *stop.borrow() {
        return Err(stopping());
    }
    match deadline {
        Some(deadline) if deadline <= Instant::now() => Err(deadline_passed()),
        Some(_) | None => Ok(()),
    }
}

/// The caller's deadline ends a stream.
pub(super) fn deadline_passed() -> Status {
    let message = "the deadline of the call passed: go on with a new call from the last position";
    Described::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", message).status()
}

/// Records for one message, off the threads that serve everybody.
pub(super) async fn chunk(
    ledger: &Arc<Ledger>,
    from: u64,
    most: usize,
) -> Result<Arc<Records>, Status> {
    let ledger = Arc::clone(ledger);
    let limit = ReadLimit {
        max_records: most.min(STREAM_MESSAGE_RECORDS),
        max_bytes: STREAM_MESSAGE_BYTES,
    };
    let reading =
        tokio::task::spawn_blocking(move || ledger.records(Position::new(from), limit)).await;
    let records = reading.map_err(|error| Status::new(Code::Internal, error.to_string()))?;
    records.map(Arc::new).map_err(|refused| read_status(&refused))
}

fn to_wire(records: &Records, verbatim_only: bool, log_size: u64) -> Result<RecordsAnswer, Status> {
    let parsed = records.iter().map(|(position, bytes)| Ok((bytes, parse(position, bytes)?)));
    let parsed: Vec<_> = parsed.collect::<Result<_, Status>>()?;
    let hashed = parsed.into_iter().map(|(bytes, parsed)| (bytes, parsed, record::hash(bytes)));
    Ok(records_to_wire(hashed, verbatim_only, log_size))
}
