//! What a state keeps of the payments to a borrower that stand.

use super::days::Days;
use super::tranches::{Tranche, Tranches, TranchesMark};
use crate::moment::{Date, Position};

/// The payments to one borrower that stand, as much of them as a state keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// All of each: of a state that is encoded.
    All(Tranches),
    /// Their days alone: of a state on which is only [decided](crate::Decider).
    Days(Days),
}

impl Default for Standing {
    fn default() -> Standing {
        Standing::All(Tranches::default())
    }
}

impl Standing {
    /// Adds one.
    pub(crate) fn push(&mut self, tranche: Tranche) {
        match self {
            Standing::All(tranches) => tranches.push(tranche),
            Standing::Days(days) => days.add(tranche.value_date),
        }
    }

    /// Takes the one of that record away, which carries that day.
    ///
    /// # Panics
    /// If only days are kept, and this one is not given.
    pub(crate) fn remove(&mut self, position: Position, day: Option<Date>) {
        match self {
            Standing::All(tranches) => tranches.remove(position),
            Standing::Days(days) => days.remove(day.expect("a `Decider` looked it up")),
        }
    }

    /// The earliest day on which the bank booked one; `None` if there is none.
    pub fn earliest(&self) -> Option<Date> {
        match self {
            Standing::All(tranches) => tranches.earliest(),
            Standing::Days(days) => days.earliest(),
        }
    }

    /// All of them, if that is kept.
    pub fn all(&self) -> Option<&Tranches> {
        match self {
            Standing::All(tranches) => Some(tranches),
            Standing::Days(_) => None,
        }
    }

    /// The same, of which their days alone are kept.
    pub(super) fn as_days(&self) -> Standing {
        match self {
            Standing::All(tranches) => {
                Standing::Days(tranches.iter().map(|tranche| tranche.value_date).collect())
            }
            Standing::Days(days) => Standing::Days(days.clone()),
        }
    }

    /// Where they end now, if all are kept: no other state is [held](super::State::hold).
    pub(super) fn mark(&self) -> Option<TranchesMark> {
        self.all().map(Tranches::mark)
    }

    /// Takes away what was added after they ended there. Nothing else may have changed since.
    pub(super) fn cut(&mut self, mark: &TranchesMark) {
        if let Standing::All(tranches) = self {
            tranches.cut(mark);
        }
    }

    /// Their end, for whoever wants it near before the next one is added.
    pub(super) fn end(&self) -> Option<u32> {
        match self {
            Standing::All(tranches) => tranches.end().map(u32::from),
            Standing::Days(days) => days.end(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A nation's ledger has one for each loan.
    #[test]
    fn which_of_the_two_it_is_takes_no_room() {
        assert_eq!(size_of::<Standing>(), size_of::<Tranches>());
        assert_eq!(size_of::<Standing>(), 32);
    }
}
