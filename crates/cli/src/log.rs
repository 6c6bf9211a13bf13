//! `bergulir log`: the records as they are stored and hashed, and proofs of them.

use std::path::PathBuf;

use bergulir_chain::note::Note;
use bergulir_chain::witness::AddCheckpoint;
use bergulir_chain::{Hash, LogSize};
use bergulir_proto::pb;
use clap::{Args, Subcommand};
use tonic::{Status, Streaming};

use crate::client::{Client, ClientArgs, ask};
use crate::failure::Failure;
use crate::output::{self, hex, instant};
use crate::{parse, words};

/// Read the log and prove it: its head, records, checkpoints, and proofs of them
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    command: LogCommand,
}

#[derive(Debug, Subcommand)]
enum LogCommand {
    /// How long the log is, and the hash of its last record
    Head,
    /// Show one record
    Record {
        /// Its place
        #[arg(value_parser = parse::whole)]
        position: u64,
    },
    /// Show a range of records, to the head as it is now
    Records {
        /// The first one
        #[arg(long, default_value_t = 0, value_name = "POSITION", value_parser = parse::whole)]
        from: u64,
        /// How many at most
        #[arg(long, value_name = "N", value_parser = parse::whole)]
        limit: Option<u64>,
        /// Only position, hash and bytes
        #[arg(long)]
        verbatim: bool,
    },
    /// Show the newest signed checkpoint, and the newest that witnesses stand for
    Checkpoint {
        /// How many records it must cover; if it covers fewer, one is signed now
        #[arg(long, value_name = "RECORDS", value_parser = parse::whole)]
        min_size: Option<u64>,
        /// Write the one that witnesses stand for, not the newest
        #[arg(long, requires = "out")]
        witnessed: bool,
        /// Write the signed note to this file
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Prove that a record is in the log
    ///
    /// Example:
    ///   bergulir log inclusion 42 --out 42.tlog-proof
    ///   bergulir proof verify 42.tlog-proof --key VKEY
    #[command(verbatim_doc_comment)]
    Inclusion {
        /// Its place
        #[arg(value_parser = parse::whole)]
        position: u64,
        /// Prove it in the log as it was with so many records [default: in one with a checkpoint]
        #[arg(long, value_name = "RECORDS", value_parser = parse::whole)]
        size: Option<u64>,
        /// Write the proof to this file (C2SP tlog-proof), with the record in it
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Prove that the log was only extended
    Consistency {
        /// The older number of records
        #[arg(value_parser = parse::whole)]
        from: u64,
        /// The newer one [default: that of the newest checkpoint]
        #[arg(value_parser = parse::whole)]
        to: Option<u64>,
        /// Write the proof and the newer checkpoint to this file, as a witness is asked (C2SP
        /// tlog-witness)
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Show every record from a position on, and then each new one; stop with Ctrl-C
    Subscribe {
        /// The first one [default: the next that is recorded]
        #[arg(long, value_name = "POSITION", value_parser = parse::whole)]
        from: Option<u64>,
        /// Only position, hash and bytes
        #[arg(long)]
        verbatim: bool,
        /// Only records that concern this fund: funds/F; may be given again
        #[arg(long = "fund", value_name = "NAME", value_parser = parse::fund)]
        funds: Vec<String>,
        /// Only records that concern this account: funds/F/accounts/A; may be given again
        #[arg(long = "account", value_name = "NAME", value_parser = parse::account)]
        accounts: Vec<String>,
        /// Only records that concern this cooperative: cooperatives/C; may be given again
        #[arg(long = "coop", value_name = "NAME", value_parser = parse::cooperative)]
        cooperatives: Vec<String>,
        /// Only events of this kind, such as disbursed; may be given again
        #[arg(long = "kind")]
        kinds: Vec<String>,
    },
}

pub(crate) async fn run(args: LogArgs, json: bool) -> Result<(), Failure> {
    let client = Client::connect(&args.client, json).await?;
    let ledger = client.ledger()?;
    match args.command {
        LogCommand::Head => ask!(client, log, get_head, pb::GetHeadRequest { ledger }),
        LogCommand::Record { position } => {
            let request = pb::GetRecordRequest { ledger, position };
            ask!(client, log, get_record, request)
        }
        LogCommand::Records { from, limit, verbatim } => {
            let request = client.stream(pb::ReadRecordsRequest {
                ledger,
                from_position: from,
                limit,
                verbatim_only: verbatim,
            });
            let answer = client.log().read_records(request).await;
            let mut messages = messages(answer)?;
            while let Some(message) = next(&mut messages).await? {
                show(&message.records, json)?;
            }
            Ok(())
        }
        LogCommand::Checkpoint { min_size, witnessed, out } => {
            let request = pb::GetCheckpointRequest { ledger, min_log_size: min_size };
            let mut log = client.log();
            let answer = log.get_checkpoint(client.question(request));
            let note = |answer: &pb::GetCheckpointResponse| {
                let of = if witnessed { &answer.witnessed } else { &answer.checkpoint };
                let none = "no quorum of witnesses stands for a checkpoint yet";
                of.as_ref()
                    .map(|checkpoint| checkpoint.note.clone())
                    .ok_or_else(|| Failure::CouldNotTell(none.to_owned()))
            };
            client.answer_into(out.as_deref(), answer, note).await
        }
        LogCommand::Inclusion { position, size, out } => {
            let request = pb::GetInclusionProofRequest { ledger, position, log_size: size };
            let mut log = client.log();
            let answer = log.get_inclusion_proof(client.question(request));
            let proof = |answer: &pb::GetInclusionProofResponse| match answer.proof.as_str() {
                "" => Err(no_checkpoint(answer.log_size)),
                proof => Ok(proof.to_owned()),
            };
            client.answer_into(out.as_deref(), answer, proof).await
        }
        LogCommand::Consistency { from, to, out } => {
            let request =
                pb::GetConsistencyProofRequest { ledger, from_log_size: from, to_log_size: to };
            let mut log = client.log();
            let answer = log.get_consistency_proof(client.question(request));
            client.answer_into(out.as_deref(), answer, extension).await
        }
        LogCommand::Subscribe { from, verbatim, funds, accounts, cooperatives, kinds } => {
            let full = |names: Vec<String>| -> Result<Vec<String>, Failure> {
                names.iter().map(|name| client.name(name)).collect()
            };
            let request = client.stream(pb::SubscribeRequest {
                ledger,
                from_position: from,
                filter: Some(pb::RecordFilter {
                    funds: full(funds)?,
                    accounts: full(accounts)?,
                    cooperatives: full(cooperatives)?,
                    kinds,
                }),
                verbatim_only: verbatim,
            });
            let answer = client.log().subscribe(request).await;
            let mut messages = messages(answer)?;
            while let Some(message) = next(&mut messages).await? {
                show(&message.records, json)?;
            }
            Ok(())
        }
    }
}

/// The proof and the newer checkpoint as a witness is asked.
fn extension(answer: &pb::GetConsistencyProofResponse) -> Result<String, Failure> {
    let checkpoint = answer.checkpoint.as_ref();
    let checkpoint = checkpoint.ok_or_else(|| no_checkpoint(answer.to_log_size))?;
    let strange = |why: &dyn std::fmt::Display| {
        Failure::CouldNotTell(format!("the answer of the server cannot be read: {why}"))
    };
    let hash = |bytes: &Vec<u8>| {
        let bytes: [u8; 32] = bytes.as_slice().try_into().map_err(|error| strange(&error))?;
        Ok(Hash::from_bytes(bytes))
    };
    let request = AddCheckpoint {
        old: LogSize::new(answer.from_log_size),
        proof: answer.path.iter().map(hash).collect::<Result<_, Failure>>()?,
        checkpoint: Note::parse(checkpoint.note.as_bytes()).map_err(|error| strange(&error))?,
    };
    Ok(request.to_string())
}

fn no_checkpoint(size: u64) -> Failure {
    Failure::CouldNotTell(format!(
        "there is no checkpoint of {size} records, and nothing is written: leave the size out to \
         have the proof under a checkpoint that there is"
    ))
}

fn messages<M>(
    answer: Result<tonic::Response<Streaming<M>>, Status>,
) -> Result<Streaming<M>, Failure> {
    answer.map(tonic::Response::into_inner).map_err(|status| Failure::of_query(&status))
}

async fn next<M>(messages: &mut Streaming<M>) -> Result<Option<M>, Failure> {
    messages.message().await.map_err(|status| Failure::of_query(&status))
}

/// One line a record.
fn show(records: &[pb::Record], json: bool) -> Result<(), Failure> {
    for record in records {
        if json {
            output::line(output::json("Record", record))?;
        } else {
            output::line(line(record))?;
        }
    }
    Ok(())
}

fn line(record: &pb::Record) -> String {
    let hash = hex(&record.record_hash);
    if record.principal.is_empty() {
        return format!("{:>10} {hash} {}", record.position, hex(&record.record));
    }
    format!(
        "{:>10} {} {} {} {}",
        record.position,
        hash.get(..16).unwrap_or(&hash),
        instant(record.recorded_at.as_ref()),
        record.principal,
        words::event(record.event.as_ref()),
    )
}
