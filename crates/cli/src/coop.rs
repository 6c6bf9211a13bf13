//! `bergulir coop`: registers cooperatives and makes them ready.

use std::str::FromStr as _;

use bergulir_domain::CooperativeId;
use bergulir_domain::cooperative::VillageCode;
use bergulir_domain::id::OfficerId;
use bergulir_domain::text::{Name, Number};
use bergulir_proto::{WireEnum as _, pb};
use clap::{Args, Subcommand};

use crate::choices::{CooperativeKind, Office, Readiness};
use crate::client::{Client, ClientArgs, FreshArgs, PageArgs, WriteArgs, ask, list, post};
use crate::failure::Failure;
use crate::papers::EvidenceArgs;
use crate::parse;

/// Register cooperatives, appoint their officers, confirm their readiness
#[derive(Debug, Args)]
pub(crate) struct CoopArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    command: CoopCommand,
}

#[derive(Debug, Subcommand)]
enum CoopCommand {
    /// Register the cooperative of a village
    ///
    /// Example:
    ///   bergulir coop register coop-1 --village 36.03.01.2003 \
    ///     --name "Koperasi Desa Merah Putih Cangkudu"
    #[command(verbatim_doc_comment)]
    Register {
        #[command(flatten)]
        write: WriteArgs,
        /// The new cooperative
        #[arg(value_parser = parse::checked::<CooperativeId>)]
        cooperative: String,
        /// Its village, such as 36.03.01.2003
        #[arg(long, value_name = "CODE", value_parser = VillageCode::from_str)]
        village: VillageCode,
        /// Its kind [default: what the village code tells]
        #[arg(long)]
        kind: Option<CooperativeKind>,
        /// Its registered name, which the holder of its bank account must have
        #[arg(long, value_parser = parse::checked::<Name>)]
        name: String,
        /// Nomor Induk Koperasi, if it is known
        #[arg(long, value_name = "NUMBER", value_parser = parse::checked::<Number>)]
        cooperative_number: Option<String>,
    },
    /// Appoint the chair or the treasurer, in place of the former one
    Appoint {
        #[command(flatten)]
        write: WriteArgs,
        /// The cooperative
        #[arg(value_parser = parse::checked::<CooperativeId>)]
        cooperative: String,
        /// The office
        #[arg(long)]
        office: Office,
        /// Who holds it from now on: an opaque id, never a person's name
        #[arg(long, value_parser = parse::checked::<OfficerId>)]
        officer: String,
        #[command(flatten)]
        evidence: EvidenceArgs,
    },
    /// Confirm one readiness item with its evidence
    Confirm {
        #[command(flatten)]
        write: WriteArgs,
        /// The cooperative
        #[arg(value_parser = parse::checked::<CooperativeId>)]
        cooperative: String,
        /// The item
        #[arg(long)]
        item: Readiness,
        /// The number that the registry gave, for the items that have one
        #[arg(long, value_parser = parse::checked::<Number>)]
        number: Option<String>,
        #[command(flatten)]
        evidence: EvidenceArgs,
    },
    /// Show one cooperative
    Show {
        #[command(flatten)]
        fresh: FreshArgs,
        /// The cooperative
        #[arg(value_parser = parse::checked::<CooperativeId>)]
        cooperative: String,
    },
    /// List the cooperatives of a ledger
    List {
        #[command(flatten)]
        page: PageArgs,
    },
}

pub(crate) async fn run(args: CoopArgs, json: bool) -> Result<(), Failure> {
    let client = Client::connect(&args.client, json).await?;
    match args.command {
        CoopCommand::Register { write, cooperative, village, kind, name, cooperative_number } => {
            let told = || village.cooperative_kind().to_wire();
            let command = pb::RegisterCooperative {
                cooperative,
                village_code: village.to_string(),
                kind: kind.map_or_else(told, CooperativeKind::wire),
                registered_name: name,
                cooperative_number,
            };
            post!(
                client,
                write,
                register_cooperative,
                RegisterCooperativeRequest { register_cooperative: command }
            )
        }
        CoopCommand::Appoint { write, cooperative, office, officer, evidence } => {
            let command = pb::AppointOfficer {
                cooperative,
                office: office.wire(),
                officer,
                evidence: evidence.evidence(),
            };
            post!(
                client,
                write,
                appoint_officer,
                AppointOfficerRequest { appoint_officer: command }
            )
        }
        CoopCommand::Confirm { write, cooperative, item, number, evidence } => {
            let command = pb::ConfirmReadiness {
                cooperative,
                item: item.wire(),
                number,
                evidence: evidence.evidence(),
            };
            post!(
                client,
                write,
                confirm_readiness,
                ConfirmReadinessRequest { confirm_readiness: command }
            )
        }
        CoopCommand::Show { fresh, cooperative } => {
            let request = pb::GetCooperativeRequest {
                name: client.name(&format!("cooperatives/{cooperative}"))?,
                min_position: fresh.min_position,
            };
            ask!(client, queries, get_cooperative, request)
        }
        CoopCommand::List { page } => {
            let parent = client.ledger()?;
            list!(client, page, list_cooperatives, ListCooperativesRequest { parent: parent })
        }
    }
}
