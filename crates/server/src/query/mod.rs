//! `QueryService`: one function for each method, by what they read.

mod balance;
mod get;
mod list;
mod moment;
mod page;
mod postings;
mod trail;
mod trial_balance;

use crate::deadline::{Deadline, within};
use crate::services::Services;
use bergulir_proto::pb;
use bergulir_proto::pb::query_service_server::QueryService;
use tonic::{Request, Response, Status, async_trait};

pub(crate) use get::add_head;

macro_rules! queries {
    ($($method:ident: $request:ident => $response:ident in $module:ident,)+) => {
        #[async_trait]
        impl QueryService for Services {
            $(
                async fn $method(
                    &self,
                    request: Request<pb::$request>,
                ) -> Result<Response<pb::$response>, Status> {
                    let deadline = Deadline::of(request.extensions());
                    let pass = self.pass(request.extensions())?;
                    let answer = $module::$method(self, &pass, request.into_inner());
                    within(deadline, answer).await?.map(Into::into)
                }
            )+
        }
    };
}

queries! {
    get_ledger: GetLedgerRequest => GetLedgerResponse in get,
    list_ledgers: ListLedgersRequest => ListLedgersResponse in list,
    get_fund: GetFundRequest => GetFundResponse in get,
    list_funds: ListFundsRequest => ListFundsResponse in list,
    get_cooperative: GetCooperativeRequest => GetCooperativeResponse in get,
    list_cooperatives: ListCooperativesRequest => ListCooperativesResponse in list,
    get_account: GetAccountRequest => GetAccountResponse in get,
    list_accounts: ListAccountsRequest => ListAccountsResponse in list,
    get_loan: GetLoanRequest => GetLoanResponse in get,
    list_loans: ListLoansRequest => ListLoansResponse in list,
    list_proposals: ListProposalsRequest => ListProposalsResponse in list,
    get_balance: GetBalanceRequest => GetBalanceResponse in balance,
    batch_get_balances: BatchGetBalancesRequest => BatchGetBalancesResponse in balance,
    list_trail: ListTrailRequest => ListTrailResponse in trail,
    get_trial_balance: GetTrialBalanceRequest => GetTrialBalanceResponse in trial_balance,
}
