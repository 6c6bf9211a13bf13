//! Audit trails: every record that concerns a fund, a cooperative, an account or a loan, with what
//! it posted and the balance right after it.

use super::balance::{Found, FoundLoan};
use super::moment::Moment;
use super::page::Page;
use super::postings::{earlier, postings, reverses};
use crate::access::{Pass, Scope};
use crate::records::{Reader, event_of, parse as parse_record};
use crate::refusal::read_status;
use crate::resources::{View, account_balances, fund_balances, loan_balances, money};
use crate::services::{Services, parse};
use bergulir_chain::{Authentication, Hash, Position, Timestamp, record};
use bergulir_domain::Event;
use bergulir_domain::postings::JournalEntry;
use bergulir_engine::{Direction, Ledger, Owner, Running};
use bergulir_proto::name::{AccountName, CooperativeName, FundName, TrailName};
use bergulir_proto::pb;
use bergulir_proto::pb::balance::Of;
use bergulir_proto::record::{recorded_at_to_wire, request_id_to_wire};
use bergulir_proto::{WireEnum, event_to_wire};
use std::collections::BTreeMap;
use tonic::Status;

/// So many lines of an account's trail are read at a time to find those of a loan.
const STEP: usize = 256;

/// Whose balance a line shows.
#[derive(Debug, Clone, Copy)]
enum Shown {
    Fund(FundName),
    Account(AccountName),
    Loan(FoundLoan),
    /// A cooperative has no balance of its own.
    Nothing,
}

/// A place in a trail.
struct Place {
    position: Position,
    running: Running,
    shown: Shown,
}

pub(super) async fn list_trail(
    services: &Services,
    pass: &Pass,
    request: pb::ListTrailRequest,
) -> Result<pb::ListTrailResponse, Status> {
    let parent: TrailName = parse("parent", &request.parent)?;
    let scope = format!("trail {}", request.parent);
    let page: Page<u64> = Page::read(request.page_size, &request.page_token, scope)?;
    let (ledger, scope) = services.ledger(pass, parent.ledger())?;
    let moment = Moment::from(request.as_of);
    let at = moment.position(&ledger, request.min_position).await?;
    let look = |view: &View<'_>| owners(view, &scope, &parent);
    let (owners, as_of_position) = match at {
        Some(at) => (services.find_as_of(&ledger, at, look).await?, at.get()),
        None => services.look(&ledger, request.min_position, look).await?,
    };

    let begin = page.after.map_or(0, |after| after.saturating_add(1));
    let range = begin..as_of_position + 1;
    // One more than a page, to know whether there is a next one.
    let mut places = places(&ledger, &owners, range, page.size + 1).await?;
    let more = places.len() > page.size;
    places.truncate(page.size);
    let next_page_token = match places.last() {
        Some(last) if more => page.token(&last.position.get()),
        Some(_) | None => String::new(),
    };

    // Here no short call waits for the disk.
    let (lines, earlier) = read(&ledger, places)?;
    let look = |view: &View<'_>| {
        let undone_by = |position: u64| {
            let undone = view.state.undone(bergulir_domain::Position::new(position));
            let by = undone.map(|undone| undone.by().get());
            by.filter(|by| *by <= as_of_position)
        };
        let found = lines.iter().map(|line| {
            let posted = postings(view.state, &line.event, &earlier);
            (posted, undone_by(line.place.position.get()))
        });
        Ok(found.collect::<Vec<_>>())
    };
    // What was posted does not change any more: nobody waits here for records that came since.
    let (found, _) = services.look(&ledger, Some(as_of_position), look).await?;
    let lines = lines.into_iter().zip(found);
    Ok(pb::ListTrailResponse {
        lines: lines
            .map(|(line, (posted, undone_by))| line.to_wire(posted, undone_by, &earlier))
            .collect(),
        next_page_token,
        as_of_position,
    })
}

/// The trails that make up the one that is asked for, and what each shows.
fn owners(view: &View<'_>, may: &Scope, parent: &TrailName) -> Result<Vec<(Owner, Shown)>, Status> {
    let one = match parent {
        TrailName::Owner(name) => match Found::new(view, may, name)? {
            Found::Fund(index, name) => (Owner::Fund(index), Shown::Fund(name)),
            Found::Account(index, name) => (Owner::Account(index), Shown::Account(name)),
            Found::Loan(loan) => (Owner::Account(loan.account), Shown::Loan(loan)),
        },
        TrailName::Cooperative(CooperativeName { cooperative, .. }) => {
            // It has accounts in any fund.
            may.whole()?;
            let index = view.find_cooperative(*cooperative)?;
            let own = (Owner::Cooperative(index), Shown::Nothing);
            let accounts = view.state.cooperatives().get(index).accounts.iter();
            let accounts = accounts.map(|account| {
                let shown = Shown::Account(view.account_name(*account));
                (Owner::Account(*account), shown)
            });
            return Ok(std::iter::once(own).chain(accounts).collect());
        }
    };
    Ok(vec![one])
}

/// The first places of some trails in a range, by position.
async fn places(
    ledger: &Ledger,
    owners: &[(Owner, Shown)],
    range: std::ops::Range<u64>,
    limit: usize,
) -> Result<Vec<Place>, Status> {
    let mut places = Vec::new();
    for (owner, shown) in owners {
        let step = match shown {
            Shown::Loan(_) => limit.max(STEP),
            Shown::Fund(_) | Shown::Account(_) | Shown::Nothing => limit,
        };
        let mut begin = range.start;
        let mut of_owner = 0;
        while begin < range.end && of_owner < limit {
            let span = Position::new(begin)..Position::new(range.end);
            let lines = ledger.trail(&[*owner], span, step, Direction::OldestFirst).await;
            let lines = lines.map_err(|refused| read_status(&refused))?;
            let whole = lines.len() < step;
            for (position, running) in lines {
                begin = position.get() + 1;
                let concerns = match shown {
                    Shown::Loan(loan) => running.loan == Some(loan.index),
                    Shown::Fund(_) | Shown::Account(_) | Shown::Nothing => true,
                };
                if concerns {
                    of_owner += 1;
                    places.push(Place { position, running, shown: *shown });
                }
            }
            if whole {
                break;
            }
        }
    }
    places.sort_unstable_by_key(|place| place.position);
    places.truncate(limit);
    Ok(places)
}

/// A line of a trail before its postings are known.
struct Line {
    place: Place,
    hash: Hash,
    recorded_at: Timestamp,
    principal: String,
    authentication: Authentication,
    request_id: [u8; 16],
    event: Event,
}

/// Reads the records of some places, and the earlier ones that they refer to.
fn read(ledger: &Ledger, places: Vec<Place>) -> Result<(Vec<Line>, BTreeMap<u64, Event>), Status> {
    let (mut reader, mut far) = (Reader::new(ledger), Reader::new(ledger));
    let mut before = BTreeMap::new();
    let mut lines = Vec::with_capacity(places.len());
    for place in places {
        let bytes = reader.bytes(place.position)?;
        let parsed = parse_record(place.position, bytes)?;
        let event = event_of(place.position, &parsed)?;
        earlier(&event, &mut far, &mut before)?;
        lines.push(Line {
            hash: record::hash(bytes),
            recorded_at: parsed.recorded_at,
            principal: parsed.principal.to_owned(),
            authentication: parsed.authentication,
            request_id: parsed.request_id,
            event,
            place,
        });
    }
    Ok((lines, before))
}

impl Line {
    fn to_wire(
        &self,
        posted: Option<JournalEntry>,
        reversed_by: Option<u64>,
        earlier: &BTreeMap<u64, Event>,
    ) -> pb::TrailLine {
        let posting = |(book, minor): (bergulir_domain::postings::Book, i64)| pb::Posting {
            book: book.to_wire(),
            amount: money(minor),
        };
        pb::TrailLine {
            position: self.place.position.get(),
            record_hash: self.hash.as_bytes().to_vec(),
            recorded_at: Some(recorded_at_to_wire(self.recorded_at)),
            principal: self.principal.clone(),
            authentication: self.authentication.to_wire(),
            request_id: request_id_to_wire(self.request_id),
            event: Some(event_to_wire(&self.event)),
            postings: posted
                .map(|entry| entry.postings().map(posting).collect())
                .unwrap_or_default(),
            balance: self.place.balance(),
            reversed_by,
            reverses: reverses(&self.event, earlier),
        }
    }
}

impl Place {
    fn balance(&self) -> Option<pb::Balance> {
        let balances = &self.running.balances;
        let of = match self.shown {
            Shown::Fund(name) => Of::Fund(fund_balances(name, &balances.fund?)),
            Shown::Account(name) => Of::Account(account_balances(name, &balances.account?)),
            Shown::Loan(loan) => {
                let balances = balances.loan.as_ref();
                Of::Loan(loan_balances(loan.name, loan.principal, balances))
            }
            Shown::Nothing => return None,
        };
        Some(pb::Balance { of: Some(of) })
    }
}
