//! Cooperatives, as the state keeps them: nearly all have one account, and were made ready early.

use super::AccountIndex;
use super::names::SharedName;
use super::recorded::Row;
use crate::command::RegisterCooperative;
use crate::cooperative::{Office, ReadinessItem, ReadinessSet, VillageCode};
use crate::id::{CooperativeId, OfficerId};
use crate::moment::Position;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Deref;
use core::slice;

/// A cooperative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cooperative {
    /// Its id, village, kind, name and number. They never change: the event has them, and all states
    /// that it was applied to.
    pub registered: Arc<RegisterCooperative>,
    /// The chair in office.
    pub chair: Option<SharedName>,
    /// The treasurer in office.
    pub treasurer: Option<SharedName>,
    /// What makes it ready, and the records that confirmed it last.
    pub confirmed: Confirmations,
    /// Its accounts, in the order in which they were opened.
    pub accounts: AccountsOf,
}

impl Cooperative {
    /// Its id.
    pub fn id(&self) -> CooperativeId {
        self.registered.cooperative
    }
    /// Who holds an office.
    pub fn officer(&self, office: Office) -> Option<OfficerId> {
        let officer = match office {
            Office::Chair => &self.chair,
            Office::Treasurer => &self.treasurer,
        };
        officer.as_deref().copied()
    }
    /// What is confirmed.
    pub fn readiness(&self) -> ReadinessSet {
        self.confirmed.iter().map(|(item, _)| item).collect()
    }
}

impl Row for Cooperative {
    type Key = CooperativeId;
    type Trait = VillageCode;
    type Paid = ();
    fn key(&self) -> CooperativeId {
        self.id()
    }
    fn distinctive(&self) -> Option<&VillageCode> {
        Some(&self.registered.village)
    }
    fn paid(&self) {}
    fn before(&self, (): &()) -> Self {
        self.clone()
    }
}

/// How many items there are to be ready.
const ITEMS: usize = ReadinessItem::ALL.len();

/// Readiness items and the records that confirmed them last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmations(Positions);

/// For each of [`ReadinessItem::ALL`] its position, or 0 if none confirmed it: the record at
/// position 0 opened the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Positions {
    /// All of them are below 2^32, always.
    Early([u32; ITEMS]),
    /// At least one is not.
    Late(Box<[u64; ITEMS]>),
}

impl Confirmations {
    fn new(positions: [u64; ITEMS]) -> Confirmations {
        let mut early = [0; ITEMS];
        for (early, position) in early.iter_mut().zip(positions) {
            match u32::try_from(position) {
                Ok(position) => *early = position,
                Err(_) => return Confirmations(Positions::Late(Box::new(positions))),
            }
        }
        Confirmations(Positions::Early(early))
    }

    fn get(&self) -> [u64; ITEMS] {
        match &self.0 {
            Positions::Early(positions) => positions.map(u64::from),
            Positions::Late(positions) => **positions,
        }
    }

    /// What is confirmed, in the order of [`ReadinessItem::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (ReadinessItem, Position)> + use<> {
        let all = ReadinessItem::ALL.into_iter().zip(self.get());
        all.filter(|(_, at)| *at != 0).map(|(item, at)| (item, Position::new(at)))
    }

    pub(crate) fn confirm(&mut self, item: ReadinessItem, at: Position) {
        let mut positions = self.get();
        positions[item as usize] = at.get();
        *self = Confirmations::new(positions);
    }

    /// For each of [`ReadinessItem::ALL`] the record that confirmed it.
    pub(super) fn positions(&self) -> [Option<Position>; ITEMS] {
        self.get().map(|at| (at != 0).then_some(Position::new(at)))
    }

    /// `None` if a position is that of the record that opened the ledger.
    pub(super) fn of(positions: [Option<Position>; ITEMS]) -> Option<Self> {
        let none_is_first = !positions.contains(&Some(Position::new(0)));
        none_is_first.then(|| Confirmations::new(positions.map(|at| at.map_or(0, Position::get))))
    }
}

impl Default for Confirmations {
    fn default() -> Self {
        Confirmations(Positions::Early([0; ITEMS]))
    }
}

/// The accounts of a cooperative, in the order in which they were opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountsOf(OneOrMore);

#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum OneOrMore {
    #[default]
    None,
    One(AccountIndex),
    /// Two at least, always.
    More(Vec<AccountIndex>),
}

impl AccountsOf {
    pub(crate) fn push(&mut self, account: AccountIndex) {
        match &mut self.0 {
            OneOrMore::None => self.0 = OneOrMore::One(account),
            OneOrMore::One(first) => self.0 = OneOrMore::More(vec![*first, account]),
            OneOrMore::More(all) => all.push(account),
        }
    }
}

impl Deref for AccountsOf {
    type Target = [AccountIndex];
    fn deref(&self) -> &[AccountIndex] {
        match &self.0 {
            OneOrMore::None => &[],
            OneOrMore::One(account) => slice::from_ref(account),
            OneOrMore::More(all) => all,
        }
    }
}

impl FromIterator<AccountIndex> for AccountsOf {
    fn from_iter<I: IntoIterator<Item = AccountIndex>>(accounts: I) -> AccountsOf {
        let mut all = AccountsOf::default();
        accounts.into_iter().for_each(|account| all.push(account));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cooperative::CooperativeKind;
    use crate::event::{Event, Header};
    use crate::id::PrincipalId;
    use crate::moment::Timestamp;
    use crate::state::{Index, State};
    use proptest::prelude::*;

    fn any_position() -> impl Strategy<Value = u64> {
        prop_oneof![1..10_u64, u64::from(u32::MAX) - 2..=u64::from(u32::MAX) + 2, 1..=u64::MAX]
    }

    proptest! {
        /// Whatever is confirmed, and confirmed anew, wherever in the log.
        #[test]
        fn what_was_confirmed_last_is_kept(
            records in prop::collection::vec((0..ITEMS, any_position()), 0..20),
        ) {
            let (mut packed, mut plain) = (Confirmations::default(), [None; ITEMS]);
            for (item, at) in records {
                packed.confirm(ReadinessItem::ALL[item], Position::new(at));
                plain[item] = Some(Position::new(at));
                prop_assert_eq!(packed.positions(), plain);
                let all = ReadinessItem::ALL.into_iter().zip(plain);
                let all: Vec<_> = all.filter_map(|(item, at)| Some((item, at?))).collect();
                prop_assert_eq!(packed.iter().collect::<Vec<_>>(), all);
                // However they came to be, the same ones are the same.
                prop_assert_eq!(Confirmations::of(plain), Some(packed.clone()));
            }
        }

        #[test]
        fn accounts_are_listed_as_they_were_opened(
            accounts in prop::collection::vec(any::<u32>(), 0..5),
        ) {
            let plain: Vec<AccountIndex> = accounts.into_iter().map(AccountIndex::new).collect();
            let packed: AccountsOf = plain.iter().copied().collect();
            prop_assert_eq!(&*packed, &*plain);
            for n in 0..plain.len() {
                let fewer: AccountsOf = plain[..n].iter().copied().collect();
                prop_assert_ne!(&fewer, &packed);
            }
        }
    }

    #[test]
    fn no_record_confirms_before_the_ledger_is_open() {
        let mut positions = [None; ITEMS];
        positions[2] = Some(Position::new(0));
        assert_eq!(Confirmations::of(positions), None);
    }

    #[test]
    fn all_states_that_an_event_was_applied_to_share_what_never_changes() {
        let event = Event::CooperativeRegistered(Arc::new(RegisterCooperative {
            cooperative: "c1".parse().unwrap(),
            village: "36.03.01.2003".parse().unwrap(),
            kind: CooperativeKind::Kdmp,
            name: "Koperasi Desa Merah Putih Cikupa".parse().unwrap(),
            cooperative_number: None,
        }));
        let header = Header {
            position: Position::new(1),
            recorded_at: Timestamp::from_micros(0),
            principal: PrincipalId::new("maker").unwrap(),
        };
        let [decided_on, published] = [State::default(), State::default()].map(|mut state| {
            crate::evolve(&mut state, &header, &event);
            state
        });
        let first = |state: &State| state.cooperatives().get(Index::new(0)).registered.clone();
        assert!(Arc::ptr_eq(&first(&decided_on), &first(&published)));
        assert!(Arc::ptr_eq(&first(&published), &first(&published.clone())));
    }
}
