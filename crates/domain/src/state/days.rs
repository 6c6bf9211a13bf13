//! On which days the payments to a borrower stand, and on which how many: what decisions ask of them.

use crate::moment::Date;
use alloc::boxed::Box;

/// The days of the payments to one borrower, each as often as it occurs.
///
/// A number stands for a day, in ascending order: in its upper bits how far the day lies from the first
/// that there is, in its lowest bits how often it occurs, less one. A day that occurs more often than
/// that has more of them, all full but the first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Days {
    runs: Box<[u32]>,
    /// Beside them, so that nobody has to look there.
    earliest: Option<Date>,
}

const COUNT_BITS: u32 = 9;
const FULL: u32 = (1 << COUNT_BITS) - 1;
const FIRST_DAY: i32 = Date::MIN.to_julian_day();
const _: () = assert!(Date::MAX.to_julian_day() - FIRST_DAY < 1 << (u32::BITS - COUNT_BITS));

impl Days {
    /// Adds a day.
    pub(super) fn add(&mut self, day: Date) {
        let (number, at) = self.place(day);
        match self.runs.get_mut(at) {
            Some(run) if *run >> COUNT_BITS == number && *run & FULL < FULL => *run += 1,
            _ => {
                let mut runs = core::mem::take(&mut self.runs).into_vec();
                runs.reserve_exact(1);
                runs.insert(at, number << COUNT_BITS);
                self.runs = runs.into_boxed_slice();
            }
        }
        self.earliest = Some(self.earliest.map_or(day, |earliest| earliest.min(day)));
    }

    /// Takes a day away once, if it is there.
    pub(super) fn remove(&mut self, day: Date) {
        let (number, at) = self.place(day);
        match self.runs.get_mut(at) {
            Some(run) if *run >> COUNT_BITS == number && *run & FULL > 0 => *run -= 1,
            Some(run) if *run >> COUNT_BITS == number => {
                let mut runs = core::mem::take(&mut self.runs).into_vec();
                runs.remove(at);
                self.runs = runs.into_boxed_slice();
            }
            _ => {}
        }
        self.earliest = self.runs.first().map(|run| {
            let day = FIRST_DAY + (run >> COUNT_BITS).cast_signed();
            Date::from_julian_day(day).expect("`add` was given it")
        });
    }

    /// The earliest day; `None` if there is none.
    pub(super) fn earliest(&self) -> Option<Date> {
        self.earliest
    }

    /// What stands for the last day, for whoever wants it near before the next one is added.
    pub(super) fn end(&self) -> Option<u32> {
        self.runs.last().copied()
    }

    /// The number of a day, and where the first that stands for it is or would be.
    fn place(&self, day: Date) -> (u32, usize) {
        let number = (day.to_julian_day() - FIRST_DAY).cast_unsigned();
        (number, self.runs.partition_point(|run| run >> COUNT_BITS < number))
    }
}

impl FromIterator<Date> for Days {
    fn from_iter<I: IntoIterator<Item = Date>>(days: I) -> Days {
        let mut all = Days::default();
        days.into_iter().for_each(|day| all.add(day));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn julian(day: i32) -> Date {
        Date::from_julian_day(day).unwrap()
    }

    fn any_day() -> impl Strategy<Value = Date> {
        let days = Date::MIN.to_julian_day()..=Date::MAX.to_julian_day();
        prop_oneof![
            8 => 2_461_000..2_461_010,
            1 => days,
            1 => Just(Date::MIN.to_julian_day()),
            1 => Just(Date::MAX.to_julian_day()),
        ]
        .prop_map(julian)
    }

    proptest! {
        /// As in a plain list, whatever comes and goes, as often as it may.
        #[test]
        fn the_earliest_is_that_of_those_that_stand(
            steps in prop::collection::vec((any_day(), any::<bool>(), 1..600_usize), 0..40),
        ) {
            let (mut days, mut plain) = (Days::default(), Vec::new());
            for (day, comes, often) in steps {
                for _ in 0..often {
                    if comes {
                        days.add(day);
                        plain.push(day);
                    } else {
                        days.remove(day);
                        if let Some(at) = plain.iter().position(|one| *one == day) {
                            plain.swap_remove(at);
                        }
                    }
                }
                prop_assert_eq!(days.earliest(), plain.iter().min().copied());
                // However they came to stand, the same ones are the same.
                prop_assert_eq!(&days, &plain.iter().copied().collect::<Days>());
            }
            for day in plain.clone() {
                days.remove(day);
            }
            prop_assert_eq!(days, Days::default());
        }
    }

    #[test]
    fn a_day_takes_four_bytes_and_one_that_is_there_already_none() {
        let mut days = Days::default();
        for n in 0..60 {
            days.add(julian(2_461_000 + n % 10));
        }
        assert_eq!(size_of_val(&*days.runs), 40);
    }
}
