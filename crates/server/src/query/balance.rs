//! Balances of funds, accounts and loans, now and as of any moment in the past.

use super::moment::Moment;
use crate::access::{Pass, Scope};
use crate::limits::MAX_NAMES;
use crate::refusal::{not_found, read_status};
use crate::resources::{View, account_balances, fund_balances, loan_balances};
use crate::services::{Services, parse, parse_ledger};
use bergulir_chain::Position;
use bergulir_domain::rejection::Resource;
use bergulir_domain::state::{AccountIndex, ActiveLoan, FundIndex, LoanIndex};
use bergulir_engine::{Direction, Ledger, Owner, ReadRefusal};
use bergulir_proto::name::{AccountName, FundName, LoanName, OwnerName};
use bergulir_proto::pb;
use bergulir_proto::pb::balance::Of;
use bergulir_proto::wire::InvalidFields;
use tonic::Status;

/// So many lines of an account's trail are read at a time to find one of a loan.
const STEP: usize = 256;

/// A fund, an account or a loan, found in the state.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found {
    Fund(FundIndex, FundName),
    Account(AccountIndex, AccountName),
    Loan(FoundLoan),
}

/// A loan, found in the state.
#[derive(Debug, Clone, Copy)]
pub(super) struct FoundLoan {
    pub(super) index: LoanIndex,
    pub(super) account: AccountIndex,
    pub(super) name: LoanName,
    /// In minor units.
    pub(super) principal: i64,
    pub(super) proposed_at: u64,
}

impl Found {
    /// Finds what a name says, for a call that may see it.
    pub(super) fn new(view: &View<'_>, may: &Scope, name: &OwnerName) -> Result<Found, Status> {
        Ok(match name {
            OwnerName::Fund(name) => {
                may.fund(name.fund)?;
                Found::Fund(view.find_fund(name.fund)?, *name)
            }
            OwnerName::Account(name) => {
                may.fund(name.fund)?;
                Found::Account(view.find_account(name.fund, name.account)?, *name)
            }
            OwnerName::Loan(name) => {
                may.loan(view, name)?;
                let index = view.find_loan(name)?;
                let loan = view.state.loans().get(index);
                Found::Loan(FoundLoan {
                    index,
                    account: loan.account,
                    name: view.loan_name(index),
                    principal: loan.principal.minor(),
                    proposed_at: loan.proposed_at.get(),
                })
            }
        })
    }

    fn now(&self, view: &View<'_>) -> pb::Balance {
        let state = view.state;
        balance(match self {
            Found::Fund(index, name) => {
                Of::Fund(fund_balances(*name, &state.funds().get(*index).balances))
            }
            Found::Account(index, name) => {
                let account = state.accounts().get(*index);
                Of::Account(account_balances(*name, &account.balances()))
            }
            Found::Loan(loan) => {
                let active = state.loans().get(loan.index).active();
                let balances = active.map(ActiveLoan::balances);
                Of::Loan(loan_balances(loan.name, loan.principal, balances.as_ref()))
            }
        })
    }

    async fn at(&self, ledger: &Ledger, at: Position) -> Result<pb::Balance, Status> {
        let refused = |refused: ReadRefusal| read_status(&refused);
        Ok(balance(match self {
            Found::Fund(index, name) => {
                let found = ledger.balances_at(Owner::Fund(*index), at).await;
                let balances = found.map_err(refused)?.and_then(|(_, at)| at.balances.fund);
                let balances = balances.ok_or_else(|| not_found(Resource::Fund(name.fund)))?;
                Of::Fund(fund_balances(*name, &balances))
            }
            Found::Account(index, name) => {
                let found = ledger.balances_at(Owner::Account(*index), at).await;
                let balances = found.map_err(refused)?.and_then(|(_, at)| at.balances.account);
                let missing = || not_found(Resource::Account(name.fund, name.account));
                Of::Account(account_balances(*name, &balances.ok_or_else(missing)?))
            }
            Found::Loan(loan) => {
                let balances = loan_at(ledger, loan, at).await?;
                Of::Loan(loan_balances(loan.name, loan.principal, balances.as_ref()))
            }
        }))
    }
}

fn balance(of: Of) -> pb::Balance {
    pb::Balance { of: Some(of) }
}

/// A loan's balances stand in the lines of its account's trail that concern it.
async fn loan_at(
    ledger: &Ledger,
    loan: &FoundLoan,
    at: Position,
) -> Result<Option<bergulir_domain::state::LoanBalances>, Status> {
    if loan.proposed_at > at.get() {
        return Err(not_found(Resource::Loan(loan.name.loan)));
    }
    let owner = [Owner::Account(loan.account)];
    let mut end = at.next();
    loop {
        let range = Position::new(loan.proposed_at)..end;
        let lines = ledger.trail(&owner, range, STEP, Direction::NewestFirst).await;
        let lines = lines.map_err(|refused| read_status(&refused))?;
        for (_, running) in &lines {
            if running.loan == Some(loan.index) {
                return Ok(running.balances.loan);
            }
        }
        match lines.last() {
            Some((earliest, _)) if lines.len() == STEP => end = *earliest,
            Some(_) | None => return Ok(None),
        }
    }
}

pub(super) async fn get_balance(
    services: &Services,
    pass: &Pass,
    request: pb::GetBalanceRequest,
) -> Result<pb::GetBalanceResponse, Status> {
    let name: OwnerName = parse("name", &request.name)?;
    let (ledger, may) = services.ledger(pass, name.ledger())?;
    let moment = Moment::from(request.as_of);
    let (mut balances, as_of_position) =
        balances(services, &ledger, &may, &[name], moment, request.min_position).await?;
    Ok(pb::GetBalanceResponse { balance: balances.pop(), as_of_position })
}

pub(super) async fn batch_get_balances(
    services: &Services,
    pass: &Pass,
    request: pb::BatchGetBalancesRequest,
) -> Result<pb::BatchGetBalancesResponse, Status> {
    let parent = parse_ledger("parent", &request.parent)?;
    let count = request.names.len();
    if !(1..=MAX_NAMES).contains(&count) {
        let wrong = format!("must be 1 to {MAX_NAMES} names, and are {count}");
        return Err(InvalidFields::one("names", &wrong).status());
    }
    let mut names = Vec::with_capacity(count);
    for (i, name) in request.names.iter().enumerate() {
        let field = format!("names[{i}]");
        let name: OwnerName = parse(&field, name)?;
        if name.ledger() != parent {
            let wrong = format!("must lie in {}", request.parent);
            return Err(InvalidFields::one(field, &wrong).status());
        }
        names.push(name);
    }
    let (ledger, may) = services.ledger(pass, parent)?;
    let moment = Moment::from(request.as_of);
    let (balances, as_of_position) =
        balances(services, &ledger, &may, &names, moment, request.min_position).await?;
    Ok(pb::BatchGetBalancesResponse { balances, as_of_position })
}

/// Balances in the order of the names, all at the same moment.
async fn balances(
    services: &Services,
    ledger: &Ledger,
    may: &Scope,
    names: &[OwnerName],
    moment: Moment,
    min_position: Option<u64>,
) -> Result<(Vec<pb::Balance>, u64), Status> {
    let Some(at) = moment.position(ledger, min_position).await? else {
        let look = |view: &View<'_>| {
            let now = |name| Ok(Found::new(view, may, name)?.now(view));
            names.iter().map(now).collect()
        };
        return services.look(ledger, min_position, look).await;
    };
    let look = |view: &View<'_>| {
        let found = names.iter().map(|name| Found::new(view, may, name));
        found.collect::<Result<Vec<Found>, Status>>()
    };
    let found = services.find_as_of(ledger, at, look).await?;
    let mut balances = Vec::with_capacity(found.len());
    for found in found {
        balances.push(found.at(ledger, at).await?);
    }
    Ok((balances, at.get()))
}
