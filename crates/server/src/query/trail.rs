//! Audit trails: every record that concerns a fund, a cooperative, an account or a loan, with what
//! it posted and the balance right after it.

use super::balance::{Found, FoundLoan};
use super::moment::Moment;
use super::page::Page;
use super::postings::{earlier, postings, reverses};
use crate::access::{Pass, Scope};
use crate::records::{Reader, event_of, parse as parse_record};
use crate::refusal::{read_status, unreadable_record};
use crate::resources::View;
use crate::sending::one_message;
use crate::services::{CURRENCY, Services, parse};
use bergulir_chain::{Hash, Position, Record};
use bergulir_domain::Event;
use bergulir_domain::postings::JournalEntry;
use bergulir_domain::state::LoanIndex;
use bergulir_engine::{Direction, Ledger, Owner, Running, Scattered};
use bergulir_proto::name::{CooperativeName, TrailName};
use bergulir_proto::pb;
use bergulir_proto::wire::{TrailBalance, TrailLine, TrailPage};
use hyper::body::Bytes;
use std::collections::BTreeMap;
use tonic::{Response, Status};

/// So many lines of an account's trail are read at a time to find those of a loan.
const STEP: usize = 256;

/// Whose balance a line shows, and under which resource name.
#[derive(Debug, Clone)]
enum Shown {
    Fund(String),
    Account(String),
    Loan {
        name: String,
        index: LoanIndex,
        principal: i64,
    },
    /// A cooperative has no balance of its own.
    Nothing,
}

/// A place in a trail.
struct Place<'a> {
    position: Position,
    running: Running,
    shown: &'a Shown,
}

/// A page takes half a millisecond, or as long as the disk takes, and so is read on threads of its own
/// (ADR 0044).
pub(super) async fn list_trail(
    services: &Services,
    pass: &Pass,
    request: pb::ListTrailRequest,
) -> Result<Response<pb::ListTrailResponse>, Status> {
    let parent: TrailName = parse("parent", &request.parent)?;
    let scope = format!("trail {}", request.parent);
    let page: Page<u64> = Page::read(request.page_size, &request.page_token, scope)?;
    let asked = Asked { services: services.clone(), pass: pass.clone(), request, parent, page };
    services.elsewhere(asked.answer()).await?.map(one_message)
}

/// A page that is asked for.
struct Asked {
    services: Services,
    pass: Pass,
    request: pb::ListTrailRequest,
    parent: TrailName,
    page: Page<u64>,
}

impl Asked {
    /// The answer behind its head.
    async fn answer(self) -> Result<Bytes, Status> {
        let Asked { services, pass, request, parent, page } = self;
        let (ledger, scope) = services.ledger(&pass, parent.ledger())?;
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

        let records = records(&ledger, &places)?;
        let (lines, earlier) = lines(&ledger, places, &records)?;
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
        let mut answer = TrailPage::with_room(lines.len(), CURRENCY);
        for (line, (posted, undone_by)) in lines.iter().zip(found) {
            answer.line(&line.to_wire(posted, undone_by, &earlier));
        }
        Ok(answer.finish(&next_page_token, as_of_position))
    }
}

/// The trails that make up the one that is asked for, and what each shows.
fn owners(view: &View<'_>, may: &Scope, parent: &TrailName) -> Result<Vec<(Owner, Shown)>, Status> {
    let one = match parent {
        TrailName::Owner(name) => match Found::new(view, may, name)? {
            Found::Fund(index, name) => (Owner::Fund(index), Shown::Fund(name.to_string())),
            Found::Account(index, name) => {
                (Owner::Account(index), Shown::Account(name.to_string()))
            }
            Found::Loan(FoundLoan { account, index, name, principal, .. }) => {
                let name = name.to_string();
                (Owner::Account(account), Shown::Loan { name, index, principal })
            }
        },
        TrailName::Cooperative(CooperativeName { cooperative, .. }) => {
            // It has accounts in any fund.
            may.whole()?;
            let index = view.find_cooperative(*cooperative)?;
            let own = (Owner::Cooperative(index), Shown::Nothing);
            let accounts = view.state.cooperatives().get(index).accounts.iter();
            let accounts = accounts.map(|account| {
                let shown = Shown::Account(view.account_name(*account).to_string());
                (Owner::Account(*account), shown)
            });
            return Ok(std::iter::once(own).chain(accounts).collect());
        }
    };
    Ok(vec![one])
}

/// The first places of some trails in a range, by position.
async fn places<'a>(
    ledger: &Ledger,
    owners: &'a [(Owner, Shown)],
    range: std::ops::Range<u64>,
    limit: usize,
) -> Result<Vec<Place<'a>>, Status> {
    let mut places = Vec::new();
    for (owner, shown) in owners {
        let step = match shown {
            Shown::Loan { .. } => limit.max(STEP),
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
                    Shown::Loan { index, .. } => running.loan == Some(*index),
                    Shown::Fund(_) | Shown::Account(_) | Shown::Nothing => true,
                };
                if concerns {
                    of_owner += 1;
                    places.push(Place { position, running, shown });
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

/// The records of some places.
fn records(ledger: &Ledger, places: &[Place<'_>]) -> Result<Scattered, Status> {
    let mut positions: Vec<_> = places.iter().map(|place| place.position).collect();
    // A record may concern more than one of the owners.
    positions.dedup();
    ledger.records_each(&positions).map_err(|refused| read_status(&refused))
}

/// A line of a trail before its postings are known.
struct Line<'a> {
    place: Place<'a>,
    hash: Hash,
    record: Record<'a>,
    event: Event,
}

/// What the records of some places say, and the earlier ones that they refer to.
fn lines<'a>(
    ledger: &Ledger,
    places: Vec<Place<'a>>,
    records: &'a Scattered,
) -> Result<(Vec<Line<'a>>, BTreeMap<u64, Event>), Status> {
    let mut far = Reader::new(ledger);
    let mut before = BTreeMap::new();
    let mut lines = Vec::with_capacity(places.len());
    let mut records = records.iter().peekable();
    for place in places {
        while records.next_if(|(position, ..)| *position < place.position).is_some() {}
        let (_, hash, bytes) = records.peek().copied().ok_or_else(|| {
            unreadable_record(place.position.get(), &"it is past the end of the log")
        })?;
        let record = parse_record(place.position, bytes)?;
        let event = event_of(place.position, &record)?;
        earlier(&event, &mut far, &mut before)?;
        lines.push(Line { place, hash, record, event });
    }
    Ok((lines, before))
}

impl Line<'_> {
    fn to_wire(
        &self,
        posted: Option<JournalEntry>,
        reversed_by: Option<u64>,
        earlier: &BTreeMap<u64, Event>,
    ) -> TrailLine<'_> {
        TrailLine {
            position: self.place.position.get(),
            record_hash: self.hash.as_bytes(),
            recorded_at: self.record.recorded_at,
            principal: self.record.principal,
            authentication: self.record.authentication,
            request_id: self.record.request_id,
            event: self.record.event,
            posted,
            balance: self.place.balance(),
            reversed_by,
            reverses: reverses(&self.event, earlier),
        }
    }
}

impl Place<'_> {
    fn balance(&self) -> Option<TrailBalance<'_>> {
        let balances = &self.running.balances;
        Some(match self.shown {
            Shown::Fund(name) => TrailBalance::Fund(name, balances.fund.as_ref()?),
            Shown::Account(name) => TrailBalance::Account(name, balances.account.as_ref()?),
            Shown::Loan { name, principal, .. } => {
                TrailBalance::Loan(name, *principal, balances.loan.as_ref())
            }
            Shown::Nothing => return None,
        })
    }
}
