//! Where a backup is made from: a server, or the files of a data directory.

use std::fmt;
use std::path::PathBuf;

use bergulir_chain::checkpoint::CheckpointError;
use bergulir_chain::note::Note;
use bergulir_chain::{Hash, LogSize, Position};
use bergulir_engine::backup::{NoOffer, Offer, Pieces, ledgers_of, offer_of_folder};
use bergulir_engine::{LEDGERS_FOLDER, ReadError};
use bergulir_proto::pb;
use bergulir_proto::pb::read_backup_response::Part;
use bergulir_store::backup::{BackupError, Run};
use tonic::Status;
use tonic_types::StatusExt as _;

use super::failed;
use crate::client::{Client, ClientArgs};
use crate::failure::Failure;

/// Where it is made from.
pub(super) enum Source {
    Server(Box<Client>),
    Folder(PathBuf),
}

/// A ledger there.
pub(super) struct Ledger {
    pub(super) name: String,
    /// Why a server cannot open it, and whether it goes on as another ledger.
    closed: Option<(String, bool)>,
}

impl Ledger {
    /// Why it is left out, if that is as it should be: its records are in another ledger.
    pub(super) fn left_out(&self) -> Option<&str> {
        self.closed.as_ref().filter(|(_, continued)| *continued).map(|(why, _)| why.as_str())
    }
}

/// Why a ledger was not backed up.
pub(super) enum Trouble {
    Backup(BackupError),
    Status(Status),
    Offer(NoOffer),
    Other(Failure),
}

impl From<BackupError> for Trouble {
    fn from(error: BackupError) -> Trouble {
        Trouble::Backup(error)
    }
}

impl From<NoOffer> for Trouble {
    fn from(error: NoOffer) -> Trouble {
        Trouble::Offer(error)
    }
}

impl From<Status> for Trouble {
    fn from(status: Status) -> Trouble {
        Trouble::Status(status)
    }
}

impl Trouble {
    /// Whether what there is does not go on from what the backup has.
    pub(super) fn is_of_another_history(&self) -> bool {
        match self {
            Trouble::Backup(BackupError::Source(ReadError::Corrupt { .. })) => true,
            Trouble::Backup(error) => error.is_of_another_history(),
            Trouble::Status(status) => status
                .get_error_details()
                .error_info()
                .is_some_and(|info| info.reason == "OTHER_FILES"),
            Trouble::Offer(_) | Trouble::Other(_) => false,
        }
    }

    pub(super) fn failure(self) -> Failure {
        match self {
            Trouble::Backup(error) => failed(error),
            Trouble::Status(status) => Failure::of_query(&status),
            Trouble::Offer(error) => match error {
                NoOffer::RolledBack { .. } | NoOffer::Log(ReadError::Corrupt { .. }) => {
                    Failure::Input(error.to_string())
                }
                _ => Failure::could_not(error),
            },
            Trouble::Other(failure) => failure,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Server(_) => f.write_str("on the server"),
            Source::Folder(data) => write!(f, "in {}", data.display()),
        }
    }
}

impl Source {
    pub(super) async fn server(args: &ClientArgs, json: bool) -> Result<Source, Failure> {
        Ok(Source::Server(Box::new(Client::connect(args, json).await?)))
    }

    /// Every ledger there, by name.
    pub(super) async fn ledgers(&self) -> Result<Vec<Ledger>, Failure> {
        match self {
            Source::Server(client) => {
                let request = client.question(pb::ListBackupLedgersRequest {});
                let answer = client.backups().list_backup_ledgers(request).await;
                let answer = answer.map_err(|status| Failure::of_query(&status))?.into_inner();
                Ok(answer.ledgers.into_iter().map(of_wire).collect())
            }
            Source::Folder(data) => {
                let found = ledgers_of(data).map_err(|error| {
                    Failure::CouldNotTell(format!(
                        "{} is no data directory that can be read: {error}",
                        data.display()
                    ))
                })?;
                let ledger = |name: String| Ledger { name, closed: None };
                Ok(found.into_iter().map(|(id, _)| ledger(id.to_string())).collect())
            }
        }
    }

    /// Copies what is new of a ledger. `told` hears how many records of how many are there.
    pub(super) async fn copy(
        &self,
        ledger: &Ledger,
        run: &mut Run,
        told: &mut dyn FnMut(u64, u64),
    ) -> Result<(), Trouble> {
        if let Some((why, _)) = &ledger.closed {
            return Err(Trouble::Other(Failure::Input(why.clone())));
        }
        match self {
            Source::Server(client) => from_server(client, &ledger.name, run, told).await,
            Source::Folder(data) => {
                from_folder(&data.join(LEDGERS_FOLDER).join(&ledger.name), run, told)
            }
        }
    }
}

fn of_wire(ledger: pb::BackupLedger) -> Ledger {
    let name = ledger.name.strip_prefix("ledgers/").unwrap_or(&ledger.name).to_owned();
    let closed = Some((ledger.closed, ledger.continued)).filter(|(why, _)| !why.is_empty());
    Ledger { name, closed }
}

fn from_folder(
    folder: &std::path::Path,
    run: &mut Run,
    told: &mut dyn FnMut(u64, u64),
) -> Result<(), Trouble> {
    let offer = offer_of_folder(folder)?;
    let (place, size) = (run.place(), offer.size);
    run.accept(offer)?;
    let mut pieces = Pieces::new(&folder.join("log"), place, size);
    while let Some(piece) = pieces.next_piece().map_err(BackupError::Source)? {
        run.write(piece.segment, piece.offset, &piece.bytes)?;
        told(run.records().get(), size.get());
    }
    Ok(())
}

async fn from_server(
    client: &Client,
    ledger: &str,
    run: &mut Run,
    told: &mut dyn FnMut(u64, u64),
) -> Result<(), Trouble> {
    let place = run.place();
    let request = pb::ReadBackupRequest {
        ledger: format!("ledgers/{ledger}"),
        from_position: place.next.get(),
        segment_position: place.segment.get(),
        offset: place.offset,
    };
    let answer = client.backups().read_backup(client.stream(request)).await?;
    let mut messages = answer.into_inner();
    let mut size = None;
    while let Some(message) = messages.message().await? {
        match (message.part, size) {
            (Some(Part::Offer(offer)), None) => {
                let offer = read_offer(&offer).map_err(BackupError::Checkpoint)?;
                size = Some(offer.size.get());
                run.accept(offer)?;
            }
            (Some(Part::Piece(piece)), Some(size)) => {
                run.write(Position::new(piece.segment_position), piece.offset, &piece.data)?;
                told(run.records().get(), size);
            }
            (Some(Part::Offer(_)), Some(_)) | (Some(Part::Piece(_)), None) | (None, _) => {
                return Err(Trouble::Other(strange()));
            }
        }
    }
    if size.is_none() { Err(Trouble::Other(strange())) } else { Ok(()) }
}

fn strange() -> Failure {
    Failure::CouldNotTell(
        "the server does not answer as `bergulir backup` expects: is it of another version?"
            .to_owned(),
    )
}

fn read_offer(offer: &pb::BackupOffer) -> Result<Offer, CheckpointError> {
    let note = |text: &str| {
        let note = (!text.is_empty()).then(|| Note::parse(text.as_bytes()));
        note.transpose().map_err(CheckpointError::from)
    };
    let previous: Option<[u8; 32]> = offer.previous_hash.as_slice().try_into().ok();
    Ok(Offer {
        size: LogSize::new(offer.log_size),
        previous: previous.map(Hash::from_bytes),
        checkpoint: note(&offer.checkpoint)?,
        witnessed: note(&offer.witnessed)?,
        continued: Some(offer.continued_mark.clone()).filter(|mark| !mark.is_empty()),
    })
}
