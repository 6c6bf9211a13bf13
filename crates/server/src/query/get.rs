//! One ledger, fund, cooperative, account or loan, as it is.

use crate::access::Pass;
use crate::records::{Reader, parse as parse_record};
use crate::services::{Services, parse, parse_ledger};
use bergulir_chain::{LogSize, record};
use bergulir_engine::Ledger;
use bergulir_proto::name::{AccountName, CooperativeName, FundName, LoanName};
use bergulir_proto::{pb, record::recorded_at_to_wire};
use tonic::Status;

pub(super) async fn get_ledger(
    services: &Services,
    pass: &Pass,
    request: pb::GetLedgerRequest,
) -> Result<pb::GetLedgerResponse, Status> {
    let (ledger, _) = services.ledger(pass, parse_ledger("name", &request.name)?)?;
    let look = services.look(&ledger, request.min_position, |view| Ok(view.ledger()));
    let (mut shown, as_of_position) = look.await?;
    add_head(&ledger, &mut shown)?;
    Ok(pb::GetLedgerResponse { ledger: Some(shown), as_of_position })
}

/// Adds to a ledger, as its state shows it, the last record of that state and whether it takes
/// commands.
pub(crate) fn add_head(ledger: &Ledger, shown: &mut pb::Ledger) -> Result<(), Status> {
    shown.read_only_reason = ledger.status().borrow().why().map(str::to_owned);
    let Some(last) = LogSize::new(shown.log_size).last() else {
        return Ok(());
    };
    let mut reader = Reader::new(ledger);
    let bytes = reader.bytes(last)?;
    shown.head_hash = record::hash(bytes).as_bytes().to_vec();
    shown.head_recorded_at = Some(recorded_at_to_wire(parse_record(last, bytes)?.recorded_at));
    Ok(())
}

pub(super) async fn get_fund(
    services: &Services,
    pass: &Pass,
    request: pb::GetFundRequest,
) -> Result<pb::GetFundResponse, Status> {
    let name: FundName = parse("name", &request.name)?;
    let (ledger, scope) = services.ledger(pass, name.ledger)?;
    scope.fund(name.fund)?;
    let look = services
        .look(&ledger, request.min_position, |view| Ok(view.fund(view.find_fund(name.fund)?)));
    let (fund, as_of_position) = look.await?;
    Ok(pb::GetFundResponse { fund: Some(fund), as_of_position })
}

pub(super) async fn get_cooperative(
    services: &Services,
    pass: &Pass,
    request: pb::GetCooperativeRequest,
) -> Result<pb::GetCooperativeResponse, Status> {
    let name: CooperativeName = parse("name", &request.name)?;
    let (ledger, _) = services.ledger(pass, name.ledger)?;
    let look = services.look(&ledger, request.min_position, |view| {
        Ok(view.cooperative(view.find_cooperative(name.cooperative)?))
    });
    let (cooperative, as_of_position) = look.await?;
    Ok(pb::GetCooperativeResponse { cooperative: Some(cooperative), as_of_position })
}

pub(super) async fn get_account(
    services: &Services,
    pass: &Pass,
    request: pb::GetAccountRequest,
) -> Result<pb::GetAccountResponse, Status> {
    let name: AccountName = parse("name", &request.name)?;
    let (ledger, scope) = services.ledger(pass, name.ledger)?;
    scope.fund(name.fund)?;
    let look = services.look(&ledger, request.min_position, |view| {
        Ok(view.account(view.find_account(name.fund, name.account)?))
    });
    let (account, as_of_position) = look.await?;
    Ok(pb::GetAccountResponse { account: Some(account), as_of_position })
}

pub(super) async fn get_loan(
    services: &Services,
    pass: &Pass,
    request: pb::GetLoanRequest,
) -> Result<pb::GetLoanResponse, Status> {
    let name: LoanName = parse("name", &request.name)?;
    let (ledger, scope) = services.ledger(pass, name.ledger)?;
    let look = services.look(&ledger, request.min_position, |view| {
        scope.loan(view, &name)?;
        Ok(view.loan(view.find_loan(&name)?))
    });
    let (loan, as_of_position) = look.await?;
    Ok(pb::GetLoanResponse { loan: Some(loan), as_of_position })
}
