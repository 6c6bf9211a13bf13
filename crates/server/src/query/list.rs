//! Lists of what there is, in pages sorted by id.

use super::get::add_head;
use super::page::{Page, Taken};
use crate::access::Pass;
use crate::resources::View;
use crate::services::{Services, parse, parse_ledger};
use bergulir_domain::rejection::{AccountStatus, LoanStatus};
use bergulir_domain::{AccountId, CooperativeId, FundId, LedgerId, LoanId, Position};
use bergulir_engine::Slot;
use bergulir_proto::name::{FundName, LenderName, ledger_name};
use bergulir_proto::wire::InvalidFields;
use bergulir_proto::{WireEnum, pb};
use tonic::Status;

pub(super) async fn list_ledgers(
    services: &Services,
    pass: &Pass,
    request: pb::ListLedgersRequest,
) -> Result<pb::ListLedgersResponse, Status> {
    let page: Page<LedgerId> =
        Page::read(request.page_size, &request.page_token, "ledgers".to_owned())?;
    let all = services.node.ledgers().into_iter().filter(|(id, _)| pass.sees(*id));
    let taken = page.take(all.map(|(id, _)| (id, id)));
    let mut ledgers = Vec::with_capacity(taken.rows.len());
    for id in taken.rows {
        ledgers.push(match services.node.ledger(id) {
            Some(Slot::Open(ledger)) => {
                let look = services.look(&ledger, None, |view| Ok(view.ledger()));
                let (mut shown, _) = look.await?;
                add_head(&ledger, &mut shown)?;
                shown
            }
            Some(Slot::Broken(error)) => pb::Ledger {
                name: ledger_name(id),
                read_only_reason: Some(error.without_paths()),
                ..pb::Ledger::default()
            },
            None => continue,
        });
    }
    Ok(pb::ListLedgersResponse { ledgers, next_page_token: taken.next })
}

pub(super) async fn list_funds(
    services: &Services,
    pass: &Pass,
    request: pb::ListFundsRequest,
) -> Result<pb::ListFundsResponse, Status> {
    let parent = parse_ledger("parent", &request.parent)?;
    let scope = format!("funds {}", request.parent);
    let page: Page<FundId> = Page::read(request.page_size, &request.page_token, scope)?;
    let (ledger, may) = services.ledger(pass, parent)?;
    let look = |view: &View<'_>| {
        let rows = view.state.funds().iter().filter(|(_, fund)| may.sees(fund.id));
        let taken = page.take(rows.map(|(index, fund)| (fund.id, index)));
        Ok(taken.map(|index| view.fund(index)))
    };
    let (taken, as_of_position) = services.look(&ledger, request.min_position, look).await?;
    Ok(pb::ListFundsResponse { funds: taken.rows, next_page_token: taken.next, as_of_position })
}

pub(super) async fn list_cooperatives(
    services: &Services,
    pass: &Pass,
    request: pb::ListCooperativesRequest,
) -> Result<pb::ListCooperativesResponse, Status> {
    let parent = parse_ledger("parent", &request.parent)?;
    let scope = format!("cooperatives {}", request.parent);
    let page: Page<CooperativeId> = Page::read(request.page_size, &request.page_token, scope)?;
    let (ledger, _) = services.ledger(pass, parent)?;
    let look = |view: &View<'_>| {
        let rows = view.state.cooperatives().iter();
        let taken = page.take(rows.map(|(index, cooperative)| (cooperative.id(), index)));
        Ok(taken.map(|index| view.cooperative(index)))
    };
    let (taken, as_of_position) = services.look(&ledger, request.min_position, look).await?;
    Ok(pb::ListCooperativesResponse {
        cooperatives: taken.rows,
        next_page_token: taken.next,
        as_of_position,
    })
}

pub(super) async fn list_accounts(
    services: &Services,
    pass: &Pass,
    request: pb::ListAccountsRequest,
) -> Result<pb::ListAccountsResponse, Status> {
    let parent: FundName = parse("parent", &request.parent)?;
    let wanted: Option<AccountStatus> = filter("state", request.state)?;
    let scope = format!("accounts {} {}", request.parent, request.state);
    let page: Page<AccountId> = Page::read(request.page_size, &request.page_token, scope)?;
    let (ledger, may) = services.ledger(pass, parent.ledger)?;
    may.fund(parent.fund)?;
    let look = |view: &View<'_>| {
        let fund = view.find_fund(parent.fund)?;
        let rows = view.state.accounts().iter().filter(|(_, account)| {
            account.fund == fund && wanted.is_none_or(|wanted| account.status == wanted)
        });
        let taken = page.take(rows.map(|(index, account)| (account.id, index)));
        Ok(taken.map(|index| view.account(index)))
    };
    let (taken, as_of_position) = services.look(&ledger, request.min_position, look).await?;
    Ok(pb::ListAccountsResponse {
        accounts: taken.rows,
        next_page_token: taken.next,
        as_of_position,
    })
}

pub(super) async fn list_loans(
    services: &Services,
    pass: &Pass,
    request: pb::ListLoansRequest,
) -> Result<pb::ListLoansResponse, Status> {
    let parent: LenderName = parse("parent", &request.parent)?;
    let wanted: Option<LoanStatus> = filter("state", request.state)?;
    let scope = format!("loans {} {}", request.parent, request.state);
    let page: Page<LoanId> = Page::read(request.page_size, &request.page_token, scope)?;
    let (of, fund) = match parent {
        LenderName::Fund(name) => (name.ledger, name.fund),
        LenderName::Account(name) => (name.ledger, name.fund),
    };
    let (ledger, may) = services.ledger(pass, of)?;
    may.fund(fund)?;
    let look = |view: &View<'_>| {
        let (fund, account) = match parent {
            LenderName::Fund(name) => (view.find_fund(name.fund)?, None),
            LenderName::Account(name) => {
                let account = view.find_account(name.fund, name.account)?;
                (view.find_fund(name.fund)?, Some(account))
            }
        };
        let rows = view.state.loans().iter().filter(|(_, loan)| {
            let of_parent = match account {
                Some(account) => loan.account == account,
                None => view.state.accounts().get(loan.account).fund == fund,
            };
            of_parent && wanted.is_none_or(|wanted| loan.status() == wanted)
        });
        let taken = page.take(rows.map(|(index, loan)| (loan.id, index)));
        Ok(taken.map(|index| view.loan(index)))
    };
    let (taken, as_of_position) = services.look(&ledger, request.min_position, look).await?;
    Ok(pb::ListLoansResponse { loans: taken.rows, next_page_token: taken.next, as_of_position })
}

pub(super) async fn list_proposals(
    services: &Services,
    pass: &Pass,
    request: pb::ListProposalsRequest,
) -> Result<pb::ListProposalsResponse, Status> {
    let parent = parse_ledger("parent", &request.parent)?;
    let scope = format!("proposals {}", request.parent);
    let page: Page<u64> = Page::read(request.page_size, &request.page_token, scope)?;
    let (ledger, may) = services.ledger(pass, parent)?;
    let look = |view: &View<'_>| {
        let proposals = view.state.proposals();
        let others = proposals
            .iter()
            .filter(|(_, proposal)| {
                !matches!(proposal.subject, bergulir_domain::state::Subject::Loan(_))
                    && may.sees(view.state.funds().get(proposal.reservation.fund).id)
            })
            .map(|(at, _)| (at.get(), at.get()));
        let Taken { rows, next } = page.take(others);
        let shown = rows.into_iter().filter_map(|at| {
            let at = Position::new(at);
            view.proposal(at, proposals.get(&at)?)
        });
        Ok((shown.collect(), next))
    };
    let ((proposals, next_page_token), as_of_position) =
        services.look(&ledger, request.min_position, look).await?;
    Ok(pb::ListProposalsResponse { proposals, next_page_token, as_of_position })
}

/// The state that a list is limited to; 0 is every one.
fn filter<S: WireEnum>(field: &str, number: i32) -> Result<Option<S>, Status> {
    match (number, S::from_wire(number)) {
        (0, _) => Ok(None),
        (_, Some(state)) => Ok(Some(state)),
        (_, None) => {
            let refused = format!("has no meaning for {number}");
            Err(InvalidFields::one(field, &refused).status())
        }
    }
}
