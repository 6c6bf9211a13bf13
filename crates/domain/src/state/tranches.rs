//! The payments to a borrower that stand. They are all that grows in a state with every payment, so
//! they are packed: about six bytes each, where a list of them takes twenty-four.

use super::chunks::Chunks;
use crate::moment::{Date, Position};
use crate::money::Amount;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

/// A payment to a borrower that stands: neither returned nor reversed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tranche {
    /// The record that paid it.
    pub position: Position,
    /// The day on which the bank booked it.
    pub value_date: Date,
    /// How much.
    pub amount: Amount,
}

/// Payments to one borrower, in the order in which they came to stand.
///
/// Packed, each is two or three numbers of as many bytes as they need (LEB128): how far its position
/// lies from that of the one before, with the sign in the lowest bit; its amount in minor units, with
/// the lowest bit set if its day is another one; and then how far that lies from the day before, as the
/// position.
#[derive(Clone, PartialEq, Eq)]
pub struct Tranches {
    packed: Chunks,
    /// Where the last one lies, from which the next is counted.
    last_position: u64,
    last_day: Date,
    earliest: Option<Date>,
}

impl Default for Tranches {
    fn default() -> Tranches {
        Tranches::NONE
    }
}

/// Where a list ended.
#[derive(Debug, Clone)]
pub(super) struct TranchesMark {
    length: usize,
    last_position: u64,
    last_day: Date,
    earliest: Option<Date>,
}

impl Tranches {
    /// No payment.
    const NONE: Tranches =
        Tranches { packed: Chunks::NONE, last_position: 0, last_day: Date::MIN, earliest: None };

    /// Adds one as the last.
    pub(crate) fn push(&mut self, tranche: Tranche) {
        let (position, day) = (tranche.position.get(), tranche.value_date);
        let positions = position.wrapping_sub(self.last_position).cast_signed();
        let is_another_day = day != self.last_day;
        let amount = tranche.amount.minor().cast_unsigned() << 1 | u64::from(is_another_day);
        let mut bytes = [0; MOST];
        let mut length = put(folded(positions), &mut bytes);
        length += put(amount, &mut bytes[length..]);
        if is_another_day {
            let days = i64::from(day.to_julian_day()) - i64::from(self.last_day.to_julian_day());
            length += put(folded(days), &mut bytes[length..]);
        }
        self.packed.append(&bytes[..length]);
        (self.last_position, self.last_day) = (position, day);
        self.earliest = Some(self.earliest.map_or(day, |earliest| earliest.min(day)));
    }

    /// Takes the one of that record away, if it is there.
    pub(crate) fn remove(&mut self, position: Position) {
        *self = self.iter().filter(|tranche| tranche.position != position).collect();
    }

    /// Where the list ends now.
    pub(super) fn mark(&self) -> TranchesMark {
        let Tranches { packed, last_position, last_day, earliest } = self;
        TranchesMark {
            length: packed.len(),
            last_position: *last_position,
            last_day: *last_day,
            earliest: *earliest,
        }
    }

    /// Takes away what was added after it ended there. Nothing else may have changed since.
    pub(super) fn cut(&mut self, mark: &TranchesMark) {
        self.packed.truncate(mark.length);
        (self.last_position, self.last_day) = (mark.last_position, mark.last_day);
        self.earliest = mark.earliest;
    }

    /// All of them, in the order in which they came to stand.
    pub fn iter(&self) -> impl Iterator<Item = Tranche> {
        const PACKED: &str = "`push` packed a tranche";
        self.raw().map(|(position, day, minor)| Tranche {
            position: Position::new(position),
            value_date: Date::from_julian_day(day).expect(PACKED),
            amount: Amount::from_minor(minor).expect(PACKED),
        })
    }

    /// The same as numbers: position, Julian day, minor units.
    pub(super) fn raw(&self) -> impl Iterator<Item = (u64, i32, i64)> {
        let Tranches { last_position: position, last_day: day, .. } = Tranches::NONE;
        Unpacked { packed: self.packed.to_vec(), at: 0, position, day: day.to_julian_day() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.raw().count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// The earliest day on which the bank booked one; `None` if there is none.
    pub fn earliest(&self) -> Option<Date> {
        self.earliest
    }

    /// The last byte, for whoever wants it near before the next one is added.
    pub(super) fn end(&self) -> Option<u8> {
        self.packed.last()
    }
}

impl FromIterator<Tranche> for Tranches {
    fn from_iter<I: IntoIterator<Item = Tranche>>(tranches: I) -> Tranches {
        let mut all = Tranches::default();
        tranches.into_iter().for_each(|tranche| all.push(tranche));
        all
    }
}

impl fmt::Debug for Tranches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Payments to a borrower that most have none of: then they take a pointer.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct RareTranches(Option<Box<Tranches>>);

impl RareTranches {
    /// Adds one as the last.
    pub(crate) fn push(&mut self, tranche: Tranche) {
        self.0.get_or_insert_default().push(tranche);
    }

    /// Takes the one of that record away, if it is there.
    pub(crate) fn remove(&mut self, position: Position) {
        *self = self.iter().filter(|tranche| tranche.position != position).collect();
    }

    /// All of them, in the order in which they came to stand.
    pub fn iter(&self) -> impl Iterator<Item = Tranche> {
        self.0.iter().flat_map(|tranches| tranches.iter())
    }

    /// The same, as one that may hold any number.
    pub(super) fn as_tranches(&self) -> &Tranches {
        const NONE: &Tranches = &Tranches::NONE;
        self.0.as_deref().unwrap_or(NONE)
    }
}

impl FromIterator<Tranche> for RareTranches {
    fn from_iter<I: IntoIterator<Item = Tranche>>(tranches: I) -> RareTranches {
        let mut all = RareTranches::default();
        tranches.into_iter().for_each(|tranche| all.push(tranche));
        all
    }
}

impl fmt::Debug for RareTranches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_tranches().fmt(f)
    }
}

struct Unpacked {
    packed: Vec<u8>,
    /// So many bytes of it are unpacked.
    at: usize,
    position: u64,
    day: i32,
}

impl Iterator for Unpacked {
    type Item = (u64, i32, i64);

    fn next(&mut self) -> Option<(u64, i32, i64)> {
        let mut rest = &self.packed[self.at..];
        if rest.is_empty() {
            return None;
        }
        let positions = unfolded(take(&mut rest)).cast_unsigned();
        self.position = self.position.wrapping_add(positions);
        let amount = take(&mut rest);
        if amount & 1 == 1 {
            let days = unfolded(take(&mut rest));
            self.day = i32::try_from(i64::from(self.day) + days).expect("`push` packed a day");
        }
        self.at = self.packed.len() - rest.len();
        Some((self.position, self.day, (amount >> 1).cast_signed()))
    }
}

/// The most bytes of a number, and of a packed tranche.
const MOST_OF_ONE: usize = 10;
const MOST: usize = 3 * MOST_OF_ONE;

/// A number with its sign in the lowest bit, so that small ones stay small.
fn folded(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unfolded(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// Writes a number, seven bits a byte, the low ones first, and says how many bytes it took.
fn put(mut number: u64, out: &mut [u8]) -> usize {
    let mut length = 0;
    while number > 0x7f {
        out[length] = number.to_le_bytes()[0] | 0x80;
        number >>= 7;
        length += 1;
    }
    out[length] = number.to_le_bytes()[0];
    length + 1
}

fn take(from: &mut &[u8]) -> u64 {
    let mut number = 0;
    for (place, byte) in from.iter().enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            *from = &from[place + 1..];
            break;
        }
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::MAX_AMOUNT_MINOR;
    use alloc::vec;
    use proptest::prelude::*;

    fn tranche(position: u64, day: i32, minor: i64) -> Tranche {
        Tranche {
            position: Position::new(position),
            value_date: Date::from_julian_day(day).unwrap(),
            amount: Amount::from_minor(minor).unwrap(),
        }
    }

    fn any_tranche() -> impl Strategy<Value = Tranche> {
        let position = prop_oneof![0..20_u64, any::<u64>()];
        let days = Date::MIN.to_julian_day()..=Date::MAX.to_julian_day();
        let day = prop_oneof![2_461_000..2_461_100, days];
        let minor = prop_oneof![1..200_i64, 1..=MAX_AMOUNT_MINOR];
        (position, day, minor).prop_map(|(position, day, minor)| tranche(position, day, minor))
    }

    proptest! {
        /// As in a plain list, whatever comes and goes.
        #[test]
        fn what_was_packed_comes_out_again(
            steps in prop::collection::vec((any_tranche(), prop::option::of(0..20_u64)), 0..40),
        ) {
            let (mut packed, mut plain) = (Tranches::default(), Vec::new());
            for (tranche, gone) in steps {
                packed.push(tranche);
                plain.push(tranche);
                if let Some(gone) = gone.map(Position::new) {
                    packed.remove(gone);
                    plain.retain(|tranche: &Tranche| tranche.position != gone);
                }
                prop_assert_eq!(packed.iter().collect::<Vec<_>>(), plain.clone());
                prop_assert_eq!(packed.len(), plain.len());
                prop_assert_eq!(packed.is_empty(), plain.is_empty());
                prop_assert_eq!(packed.earliest(), plain.iter().map(|t| t.value_date).min());
            }
            // However they came to stand, the same ones are the same.
            prop_assert_eq!(packed, plain.into_iter().collect::<Tranches>());
        }
    }

    #[test]
    fn the_ends_of_every_range_are_kept() {
        let [first, last] = [Date::MIN, Date::MAX].map(Date::to_julian_day);
        let all = vec![
            tranche(u64::MAX, last, MAX_AMOUNT_MINOR),
            tranche(0, first, 1),
            tranche(u64::MAX / 2 + 1, last, MAX_AMOUNT_MINOR),
            tranche(0, first, 1),
        ];
        let packed: Tranches = all.iter().copied().collect();
        assert_eq!(packed.iter().collect::<Vec<_>>(), all);
        assert_eq!(packed.earliest(), Some(Date::MIN));
    }

    #[test]
    fn what_was_added_after_a_mark_can_be_cut_off() {
        let mut all: Tranches = [tranche(5, 20, 9), tranche(7, 10, 8)].into_iter().collect();
        for more in [vec![], vec![tranche(9, 5, 1)], vec![tranche(3, 30, 1), tranche(99, 1, 2)]] {
            let (before, mark) = (all.clone(), all.mark());
            let mut longer = all.clone();
            for tranche in &more {
                longer.push(*tranche);
            }
            longer.cut(&mark);
            assert_eq!(longer, before);
            for tranche in more {
                all.push(tranche);
            }
        }
    }

    #[test]
    fn one_more_takes_few_bytes() {
        let mut all = Tranches::default();
        for n in 0..1_000_u32 {
            let (position, day) = (u64::from(n) * 168_000, 2_461_000 + i32::from(n % 10 > 4));
            all.push(tranche(position, day, 100_000 + i64::from(n)));
        }
        assert!(all.packed.len() < 6 * 1_000 + 210, "{}", all.packed.len());
    }
}
