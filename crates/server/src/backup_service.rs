//! `BackupService`: the files of logs, for who makes backups.

use crate::access::Pass;
use crate::deadline::Deadline;
use crate::log_service::still_wanted;
use crate::refusal::{no_frame_at, not_offered, read_status};
use crate::services::{Services, parse_ledger};
use bergulir_chain::Position;
use bergulir_engine::backup::{Offer, Piece, Pieces, Place};
use bergulir_engine::{OpenError, ReadError, ReadRefusal, Slot};
use bergulir_proto::pb;
use bergulir_proto::pb::backup_service_server::BackupService;
use bergulir_proto::pb::read_backup_response::Part;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use std::time::Instant;
use tokio::sync::watch;
use tonic::{Code, Request, Response, Status, async_trait};

/// Bytes of a message: clients take 4 MiB by default.
const MESSAGE_BYTES: usize = 1 << 20;

#[async_trait]
impl BackupService for Services {
    type ReadBackupStream = BoxStream<'static, Result<pb::ReadBackupResponse, Status>>;

    async fn list_backup_ledgers(
        &self,
        request: Request<pb::ListBackupLedgersRequest>,
    ) -> Result<Response<pb::ListBackupLedgersResponse>, Status> {
        let pass = self.pass(request.extensions())?;
        let seen = self.node.ledgers().into_iter().filter(|(id, _)| pass.sees(*id));
        let ledgers = seen.map(|(id, slot)| {
            let (closed, continued) = match slot {
                Slot::Open(_) => (String::new(), false),
                Slot::Broken(error) => {
                    (error.to_string(), matches!(*error, OpenError::Continued { .. }))
                }
            };
            pb::BackupLedger { name: format!("ledgers/{id}"), closed, continued }
        });
        Ok(Response::new(pb::ListBackupLedgersResponse { ledgers: ledgers.collect() }))
    }

    async fn read_backup(
        &self,
        request: Request<pb::ReadBackupRequest>,
    ) -> Result<Response<Self::ReadBackupStream>, Status> {
        let pass = self.pass(request.extensions())?;
        let deadline = pass.deadline(Deadline::of(request.extensions()));
        let request = request.into_inner();
        let (ledger, _) = self.ledger(&pass, parse_ledger("ledger", &request.ledger)?)?;
        let place = Place {
            next: Position::new(request.from_position),
            segment: Position::new(request.segment_position),
            offset: request.offset,
        };
        let offer = ledger.offer_backup(place).await.map_err(|refused| not_offered(&refused))?;
        let mut walk = Walk {
            pieces: Some(Pieces::new(&ledger.log_folder(), place, offer.size)),
            rest: None,
            deadline,
            stopping: self.stopping.clone(),
            pass,
        };
        // Told after what comes, by which a caller sees that this is another history.
        let begins = match walk.read().await? {
            Ok(first) => {
                walk.rest = first;
                None
            }
            Err(error) if place == Place::START => Some(read_status(&ReadRefusal::Log(error))),
            Err(_) => Some(no_frame_at(place)),
        };
        let first = Ok(message(Part::Offer(to_wire(&offer))));
        let first = stream::iter([Some(first), begins.map(Err)].into_iter().flatten());
        let rest = stream::try_unfold(walk, Walk::step);
        Ok(Response::new(first.chain(rest).boxed()))
    }
}

/// How far a stream has come. The next bytes are read when the caller has room for them.
struct Walk {
    /// Elsewhere while they are read.
    pieces: Option<Pieces>,
    /// What of the last piece was not sent yet.
    rest: Option<Piece>,
    deadline: Option<Instant>,
    stopping: watch::Receiver<bool>,
    pass: Pass,
}

impl Walk {
    async fn step(mut self) -> Result<Option<(pb::ReadBackupResponse, Walk)>, Status> {
        still_wanted(self.deadline, &self.stopping)?;
        self.pass.still_holds()?;
        let mut piece = match self.rest.take() {
            Some(rest) => rest,
            None => match self.read().await? {
                Ok(Some(piece)) => piece,
                Ok(None) => return Ok(None),
                Err(error) => return Err(read_status(&ReadRefusal::Log(error))),
            },
        };
        if piece.bytes.len() > MESSAGE_BYTES {
            let bytes = piece.bytes.split_off(MESSAGE_BYTES);
            let offset = piece.offset + MESSAGE_BYTES as u64;
            self.rest = Some(Piece { segment: piece.segment, offset, bytes });
        }
        let piece = pb::BackupPiece {
            segment_position: piece.segment.get(),
            offset: piece.offset,
            data: piece.bytes,
        };
        Ok(Some((message(Part::Piece(piece)), self)))
    }

    /// The next piece, off the threads that serve everybody.
    async fn read(&mut self) -> Result<Result<Option<Piece>, ReadError>, Status> {
        let Some(mut pieces) = self.pieces.take() else { return Ok(Ok(None)) };
        let reading = tokio::task::spawn_blocking(move || {
            let read = pieces.next_piece();
            (pieces, read)
        });
        let (pieces, read) =
            reading.await.map_err(|error| Status::new(Code::Internal, error.to_string()))?;
        self.pieces = Some(pieces);
        Ok(read)
    }
}

fn message(part: Part) -> pb::ReadBackupResponse {
    pb::ReadBackupResponse { part: Some(part) }
}

fn to_wire(offer: &Offer) -> pb::BackupOffer {
    let Offer { size, previous, checkpoint, witnessed, continued } = offer;
    let note = |note: &Option<bergulir_chain::note::Note>| {
        note.as_ref().map(ToString::to_string).unwrap_or_default()
    };
    pb::BackupOffer {
        log_size: size.get(),
        previous_hash: previous.map(|hash| hash.as_bytes().to_vec()).unwrap_or_default(),
        checkpoint: note(checkpoint),
        witnessed: note(witnessed),
        continued_mark: continued.clone().unwrap_or_default(),
    }
}
