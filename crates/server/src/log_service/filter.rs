//! Which records a subscriber wants.

use crate::limits::MAX_NAMES;
use crate::records::{Reader, event_of, parse as parse_record};
use crate::services::{Services, parse};
use bergulir_domain::decide::{LookupFailed, Lookups};
use bergulir_domain::{Event, LedgerId, State, Touched, command, touched};
use bergulir_engine::{Ledger, Records};
use bergulir_proto::name::{AccountName, CooperativeName, FundName};
use bergulir_proto::pb;
use bergulir_proto::wire::InvalidFields;
use prost_types::FileDescriptorSet;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use tonic::{Code, Status};

/// A checked filter. An empty part lets everything pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter {
    funds: Vec<FundName>,
    accounts: Vec<AccountName>,
    cooperatives: Vec<CooperativeName>,
    /// The numbers of the fields of `Event.kind`.
    kinds: BTreeSet<u64>,
}

/// The number of each field of `Event.kind`, by its name, from the descriptors: so the two cannot
/// differ.
static KINDS: LazyLock<BTreeMap<String, u64>> = LazyLock::new(|| {
    let set: FileDescriptorSet = prost::Message::decode(pb::FILE_DESCRIPTOR_SET)
        .expect("the descriptors were made when this was built");
    let messages = set.file.into_iter().flat_map(|file| {
        let ours = file.package() == "bergulir.v1";
        file.message_type.into_iter().filter(move |_| ours)
    });
    messages
        .filter(|message| message.name() == "Event")
        .flat_map(|message| message.field)
        .map(|field| {
            let number = u64::try_from(field.number()).unwrap_or_default();
            (field.name().to_owned(), number)
        })
        .collect()
});

impl Filter {
    pub(super) fn read(
        ledger: LedgerId,
        filter: Option<pb::RecordFilter>,
    ) -> Result<Filter, Status> {
        let filter = filter.unwrap_or_default();
        let parts = [
            ("filter.funds", &filter.funds),
            ("filter.accounts", &filter.accounts),
            ("filter.cooperatives", &filter.cooperatives),
            ("filter.kinds", &filter.kinds),
        ];
        for (field, values) in parts {
            if values.len() > MAX_NAMES {
                let wrong = format!("must be at most {MAX_NAMES}, and are {}", values.len());
                return Err(InvalidFields::one(field, &wrong).status());
            }
        }
        let mut read = Filter::default();
        for name in &filter.funds {
            let name: FundName = parse("filter.funds", name)?;
            read.funds.push(here("filter.funds", name, name.ledger, ledger)?);
        }
        for name in &filter.accounts {
            let name: AccountName = parse("filter.accounts", name)?;
            read.accounts.push(here("filter.accounts", name, name.ledger, ledger)?);
        }
        for name in &filter.cooperatives {
            let name: CooperativeName = parse("filter.cooperatives", name)?;
            read.cooperatives.push(here("filter.cooperatives", name, name.ledger, ledger)?);
        }
        for kind in &filter.kinds {
            let number = KINDS.get(kind).ok_or_else(|| {
                let kinds: Vec<&str> = KINDS.keys().map(String::as_str).collect();
                let wrong = format!("must be of {}, and not {kind:?}", kinds.join(", "));
                InvalidFields::one("filter.kinds", &wrong).status()
            })?;
            read.kinds.insert(*number);
        }
        Ok(read)
    }

    fn asks_whom(&self) -> bool {
        !(self.funds.is_empty() && self.accounts.is_empty() && self.cooperatives.is_empty())
    }

    /// Which of the records pass, each by its place among them.
    pub(super) async fn pass(
        &self,
        services: &Services,
        ledger: &Arc<Ledger>,
        records: &Arc<Records>,
    ) -> Result<Vec<bool>, Status> {
        if *self == Filter::default() {
            return Ok(vec![true; records.len()]);
        }
        let mut pass = Vec::with_capacity(records.len());
        for (position, bytes) in records.as_ref() {
            let kind = kind(parse_record(position, bytes)?.event);
            pass.push(self.kinds.is_empty() || self.kinds.contains(&kind));
        }
        if !self.asks_whom() || !pass.contains(&true) {
            return Ok(pass);
        }
        // Decoded before the state is looked at, so that it is held for a moment only.
        let (reading, blocks) = (Arc::clone(ledger), Arc::clone(records));
        let read = tokio::task::spawn_blocking(move || Facts::read(&reading, &blocks)).await;
        let facts = read.map_err(|error| Status::new(Code::Internal, error.to_string()))??;
        let last = records.next().get().checked_sub(1);
        let look = |view: &crate::resources::View<'_>| {
            let wanted = Wanted::new(self, view.state);
            let mut pass = pass;
            for (pass, event) in pass.iter_mut().zip(&facts.events) {
                *pass = *pass && wanted.has(view.state, whom(view.state, event, &facts));
            }
            Ok(pass)
        };
        Ok(services.look(ledger, last, look).await?.0)
    }
}

fn here<N>(field: &str, name: N, of: LedgerId, ledger: LedgerId) -> Result<N, Status> {
    if of == ledger {
        return Ok(name);
    }
    let wrong = format!("must lie in ledgers/{ledger}");
    Err(InvalidFields::one(field, &wrong).status())
}

/// The field number that the bytes of an event begin with: its only field, one or two bytes.
fn kind(event: &[u8]) -> u64 {
    let mut bytes = event;
    prost::encoding::decode_varint(&mut bytes).map_or(0, |key| key >> 3)
}

/// The events of some records, and the earlier ones that they refer to.
struct Facts {
    events: Vec<Event>,
    earlier: BTreeMap<u64, Event>,
}

impl Facts {
    fn read(ledger: &Ledger, records: &Records) -> Result<Facts, Status> {
        let mut reader = Reader::new(ledger);
        let mut facts =
            Facts { events: Vec::with_capacity(records.len()), earlier: BTreeMap::new() };
        for (position, bytes) in records {
            let event = event_of(position, &parse_record(position, bytes)?)?;
            let proposal = match &event {
                Event::AllocationWithdrawn(e) => Some(e.proposal),
                Event::Reversed(e) => Some(e.proposal),
                Event::ProposalRefused(e) => Some(e.proposal),
                Event::ProposalWithdrawn(e) => Some(e.proposal),
                _ => None,
            };
            if let Some(at) = proposal.map(bergulir_domain::Position::get) {
                let proposed = reader.event(bergulir_chain::Position::new(at))?;
                facts.earlier.insert(at, proposed);
            }
            facts.events.push(event);
        }
        Ok(facts)
    }
}

impl Lookups for Facts {
    fn bank_reference(
        &self,
        _: &command::BankReference,
    ) -> Result<Vec<bergulir_domain::Position>, LookupFailed> {
        Err(LookupFailed)
    }
    fn record(&self, position: bergulir_domain::Position) -> Result<Option<Event>, LookupFailed> {
        Ok(self.earlier.get(&position.get()).cloned())
    }
}

fn whom(state: &State, event: &Event, facts: &Facts) -> Touched {
    // The look-ups that this asks for were made before, and cannot fail.
    touched(state, event, facts).unwrap_or_default()
}

/// A filter's names as places in the state; a name that is not there yet lets nothing pass.
struct Wanted<'a> {
    filter: &'a Filter,
    funds: BTreeSet<bergulir_domain::state::FundIndex>,
    accounts: BTreeSet<bergulir_domain::state::AccountIndex>,
    cooperatives: BTreeSet<bergulir_domain::state::CooperativeIndex>,
}

impl<'a> Wanted<'a> {
    fn new(filter: &'a Filter, state: &State) -> Wanted<'a> {
        let fund = |name: &FundName| state.funds().find(&name.fund);
        let account = |name: &AccountName| {
            let fund = state.funds().find(&name.fund)?;
            state.accounts().find(&(fund, name.account))
        };
        let cooperative = |name: &CooperativeName| state.cooperatives().find(&name.cooperative);
        Wanted {
            filter,
            funds: filter.funds.iter().filter_map(fund).collect(),
            accounts: filter.accounts.iter().filter_map(account).collect(),
            cooperatives: filter.cooperatives.iter().filter_map(cooperative).collect(),
        }
    }

    fn has(&self, state: &State, whom: Touched) -> bool {
        let of_account = whom.account.map(|index| state.accounts().get(index).cooperative);
        let cooperative = whom.cooperative.or(of_account);
        let fund = whom.fund.is_some_and(|index| self.funds.contains(&index));
        let account = whom.account.is_some_and(|index| self.accounts.contains(&index));
        let cooperative = cooperative.is_some_and(|index| self.cooperatives.contains(&index));
        (self.filter.funds.is_empty() || fund)
            && (self.filter.accounts.is_empty() || account)
            && (self.filter.cooperatives.is_empty() || cooperative)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bergulir_proto::encode_event;

    fn filter(kinds: &[&str], funds: &[&str]) -> Result<Filter, Status> {
        let text = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        let filter = pb::RecordFilter {
            kinds: text(kinds),
            funds: text(funds),
            ..pb::RecordFilter::default()
        };
        Filter::read(LedgerId::new("kab").unwrap(), Some(filter))
    }

    #[test]
    fn a_kind_is_a_field_of_event() {
        assert!(KINDS.len() >= 27, "{KINDS:?}");
        let read = filter(&["disbursed", "repaid"], &[]).unwrap();
        assert_eq!(read.kinds.len(), 2);
        let status = filter(&["disburse"], &[]).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
    }

    #[test]
    fn the_kind_of_an_event_is_seen_in_its_first_bytes() {
        let event = Event::RulesAdopted(command::AdoptRules { version: 2 });
        let mut bytes = Vec::new();
        encode_event(&event, &mut bytes);
        assert_eq!(kind(&bytes), KINDS["rules_adopted"]);
    }

    #[test]
    fn a_filter_names_things_of_the_ledger_subscribed_to() {
        assert!(filter(&[], &["ledgers/kab/funds/dana"]).is_ok());
        assert!(filter(&[], &["ledgers/other/funds/dana"]).is_err());
        assert!(filter(&[], &["dana"]).is_err());
    }
}
