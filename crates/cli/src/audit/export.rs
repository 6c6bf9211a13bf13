//! `bergulir audit export`: what an auditor takes along, from a data directory or from a server.

use std::path::{Path, PathBuf};

use bergulir_audit::{BundleWriter, ExportError, Exported, Kind, Part, Stage, TilesWriter, export};
use bergulir_chain::note::Note;
use bergulir_domain::{CooperativeId, LedgerId};
use bergulir_proto::pb;
use clap::Args;
use serde_json::json;

use super::stop::Stop;
use super::{files, stage, verify};
use crate::client::{Client, ClientArgs};
use crate::failure::Failure;
use crate::output::{self, Page, count};
use crate::parse;
use crate::progress::Bar;

/// What to export, and from where.
#[derive(Debug, Args)]
#[expect(clippy::option_option, reason = "so clap has an option whose value may be left out")]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// The data directory, a ledger's folder, or a bundle with every record; a server may be using
    /// it [default: ask the server at --address]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to write: a path where nothing is yet
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// Only the records since a seal: the newest, or the one that is through this position
    #[arg(
        long,
        value_name = "POSITION",
        num_args = 0..=1,
        value_parser = parse::whole,
        conflicts_with_all = ["cooperative", "tiles"]
    )]
    from_seal: Option<Option<u64>>,
    /// Only one cooperative's view: its records, and its balances under the newest seal
    #[arg(long, value_name = "ID", value_parser = str::parse::<CooperativeId>, conflicts_with = "tiles")]
    cooperative: Option<CooperativeId>,
    /// Add the proof that the log goes on from this older checkpoint
    #[arg(long, value_name = "CHECKPOINT", conflicts_with = "tiles")]
    since: Option<PathBuf>,
    /// The log as static files that clients of tiled logs read (C2SP tlog-tiles), and no bundle
    #[arg(long)]
    tiles: bool,
}

impl ExportArgs {
    fn part(&self) -> Part {
        match (self.tiles, self.cooperative, self.from_seal) {
            (true, ..) => Part::Tiles,
            (false, Some(cooperative), _) => Part::Cooperative { cooperative },
            (false, None, Some(through)) => {
                Part::Range { through: through.map(bergulir_chain::Position::new) }
            }
            (false, None, None) => Part::Log,
        }
    }
}

pub(super) fn run(args: &ExportArgs, json: bool) -> Result<(), Failure> {
    let since = args.since.as_deref().map(files::checkpoint).transpose()?;
    let stop = Stop::watch()?;
    let mut bar = Bar::patient();
    let exported = match &args.data {
        Some(data) => {
            let ledger = args.client.ledger_id()?;
            from_disk(data, ledger.as_ref(), args, since.as_ref(), &mut bar, &stop)
        }
        None => from_server(args, since.as_ref(), json, &mut bar, &stop),
    };
    bar.done();
    show(&exported?, json)
}

fn from_disk(
    data: &Path,
    ledger: Option<&LedgerId>,
    args: &ExportArgs,
    since: Option<&Note>,
    bar: &mut Bar,
    stop: &Stop,
) -> Result<Exported, Failure> {
    let mut tell =
        |told: bergulir_audit::Progress<'_>| bar.tell(stage(told.stage), told.done, told.total);
    let part = args.part();
    export(data, ledger, part, since, &args.out, &mut tell, stop.flag()).map_err(failure)
}

/// Reads the log from a server. What needs it twice is made from a copy of it.
fn from_server(
    args: &ExportArgs,
    since: Option<&Note>,
    json: bool,
    bar: &mut Bar,
    stop: &Stop,
) -> Result<Exported, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::CouldNotTell(format!("no threads could be started: {error}")))?;
    let part = args.part();
    let exported = async {
        let client = Client::connect(&args.client, json).await?;
        let (note, witnessed) = checkpoints(&client).await?;
        match part {
            Part::Tiles => {
                let mut tiles = TilesWriter::create(&args.out, &note).map_err(failure)?;
                let size = tiles.size();
                copy(&client, size, bar, &mut |record| tiles.push(record)).await?;
                tiles.finish().map_err(failure)
            }
            Part::Log => whole(&client, &note, witnessed.as_ref(), since, &args.out, bar).await,
            Part::Range { .. } | Part::Cooperative { .. } => {
                let beside = args.out.parent().filter(|parent| !parent.as_os_str().is_empty());
                let copies = tempfile::Builder::new()
                    .prefix(".bergulir-copy-")
                    .tempdir_in(beside.unwrap_or(Path::new(".")))
                    .map_err(|error| {
                        Failure::CouldNotTell(format!("no room for a copy of the log: {error}"))
                    })?;
                let copy = copies.path().join("log");
                whole(&client, &note, witnessed.as_ref(), None, &copy, bar).await?;
                from_disk(&copy, None, args, since, bar, stop)
            }
        }
    };
    runtime.block_on(async {
        tokio::select! {
            exported = exported => exported,
            // What was begun goes with the future.
            () = stop.told() => Err(failure(ExportError::Stopped)),
        }
    })
}

/// The newest checkpoint of the ledger, and the newest one that witnesses stand for.
async fn checkpoints(client: &Client) -> Result<(Note, Option<Note>), Failure> {
    let ledger = client.ledger()?;
    let request = client.question(pb::GetCheckpointRequest { ledger, min_log_size: None });
    let answer = client.log().get_checkpoint(request).await;
    let answer = answer.map_err(|status| Failure::of_query(&status))?.into_inner();
    let parse = |checkpoint: pb::Checkpoint| {
        Note::parse(checkpoint.note.as_bytes())
            .map_err(|error| Failure::CouldNotTell(format!("the server's checkpoint: {error}")))
    };
    let newest = parse(answer.checkpoint.unwrap_or_default())?;
    Ok((newest, answer.witnessed.map(parse).transpose()?))
}

async fn whole(
    client: &Client,
    note: &Note,
    witnessed: Option<&Note>,
    since: Option<&Note>,
    out: &Path,
    bar: &mut Bar,
) -> Result<Exported, Failure> {
    let mut bundle = BundleWriter::create(out, note, witnessed, since).map_err(failure)?;
    let size = bundle.size();
    copy(client, size, bar, &mut |record| bundle.push(record)).await?;
    bundle.finish().map_err(failure)
}

/// Hands the first so many records over.
async fn copy(
    client: &Client,
    size: u64,
    bar: &mut Bar,
    push: &mut (dyn FnMut(&[u8]) -> Result<(), ExportError> + Send),
) -> Result<(), Failure> {
    let ledger = client.ledger()?;
    let request =
        pb::ReadRecordsRequest { ledger, from_position: 0, limit: Some(size), verbatim_only: true };
    let answer = client.log().read_records(client.stream(request)).await;
    let mut messages = answer.map_err(|status| Failure::of_query(&status))?.into_inner();
    let mut done = 0;
    while let Some(message) =
        messages.message().await.map_err(|status| Failure::of_query(&status))?
    {
        for record in &message.records {
            push(&record.record).map_err(failure)?;
        }
        done += message.records.len() as u64;
        bar.tell(stage(Stage::Export), done, size);
    }
    Ok(())
}

/// What is wrong with the request or the log is 1, what could not be read or written is 2.
fn failure(error: ExportError) -> Failure {
    match error {
        ExportError::Source(_)
        | ExportError::NoCheckpoint { .. }
        | ExportError::Stopped
        | ExportError::Frame { .. }
        | ExportError::Io { .. } => Failure::could_not(error),
        ExportError::Exists { .. }
        | ExportError::Inside { .. }
        | ExportError::Unnamed { .. }
        | ExportError::WhichLedger { .. }
        | ExportError::Checkpoint(_)
        | ExportError::OtherLog { .. }
        | ExportError::Shrank { .. }
        | ExportError::SinceNotSigned { .. }
        | ExportError::Rewritten { .. }
        | ExportError::Witnessed(_)
        | ExportError::NoSeal { .. }
        | ExportError::NoCooperative { .. }
        | ExportError::Log { .. }
        | ExportError::Chain(_)
        | ExportError::Disagree { .. } => Failure::Input(error.to_string()),
    }
}

fn show(exported: &Exported, json: bool) -> Result<(), Failure> {
    let path = exported.path.display().to_string();
    let kind = exported.kind.map_or("tiles", |kind| verify::kind(Some(kind)));
    let from = match exported.kind {
        Some(Kind::Range { from }) => from.get(),
        Some(Kind::Log | Kind::Cooperative { .. }) | None => 0,
    };
    if json {
        return output::line(json!({
            "path": path,
            "kind": kind,
            "origin": exported.origin,
            "size": exported.size.get(),
            "from": from,
        }));
    }
    let mut page = Page::default();
    let mut facts = vec![
        ("Tempat / Where", path.clone()),
        ("Jenis / Kind", kind.to_owned()),
        ("Asal / Origin", exported.origin.clone()),
        (
            "Catatan di bawah tanda tangan / Records under the checkpoint",
            count(exported.size.get()),
        ),
    ];
    if from > 0 {
        facts.push(("Dari posisi / From position", count(from)));
    }
    page.facts("Diekspor / Exported", &facts);
    if exported.kind.is_some() {
        page.line(format_args!("Periksa / Check it: bergulir audit verify {path}"));
    }
    page.print()
}
