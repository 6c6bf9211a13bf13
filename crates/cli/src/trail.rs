//! `bergulir trail`: who did what when.

use bergulir_proto::pb;
use clap::Args;

use crate::client::{Client, ClientArgs, MomentArgs, PageArgs, list};
use crate::failure::Failure;
use crate::parse;

/// Show the audit trail (jejak audit) of a fund, an account, a loan or a cooperative
///
/// Example:
///   bergulir trail funds/dana-2026/accounts/acct-1
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct TrailArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    moment: MomentArgs,
    /// Of what: funds/F, funds/F/accounts/A, loans/L or cooperatives/C
    #[arg(value_parser = parse::trail)]
    name: String,
}

pub(crate) async fn run(args: TrailArgs, json: bool) -> Result<(), Failure> {
    use pb::list_trail_request::AsOf;
    let client = Client::connect(&args.client, json).await?;
    let parent = client.name(&args.name)?;
    let recorded = args.moment.recorded();
    let as_of =
        (args.moment.as_of_position).map(AsOf::AsOfPosition).or(recorded.map(AsOf::AsOfRecorded));
    list!(client, args.page, list_trail, ListTrailRequest { parent: parent, as_of: as_of })
}
