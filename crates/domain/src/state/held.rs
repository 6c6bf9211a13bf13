//! A state as it was after some record, told piece by piece while the state itself goes on: encoding
//! all of it takes longer than anybody should wait who wants to read it or to go on.

use super::encoding::{Canonical, put_length};
use super::{Account, Index, Row, State, Table};
use alloc::vec::Vec;

/// A piece of what is told is not much longer: some loans have many payments, and nobody should wait
/// for a thousand of those.
const PIECE_BYTES: usize = 512 << 10;

/// What is still to be told of a state that is [held](State::hold).
#[derive(Debug)]
pub struct Held {
    next: Part,
    /// The encoding behind the rows of large tables.
    after: Vec<u8>,
}

/// A part of the encoding that is told row by row, or what follows those.
#[derive(Debug, Clone, Copy)]
enum Part {
    Cooperatives,
    Accounts,
    Loans,
    After,
}

impl State {
    /// Holds the state as it is now: appends the beginning of its encoding, and keeps of each row what
    /// it is now until it is [told](State::tell). Costs little: what is long is told later. One that
    /// was held before is let go.
    pub fn hold(&mut self, out: &mut Vec<u8>) -> Held {
        self.put_before_rows(out, &mut |_| ());
        let mut after = Vec::new();
        self.put_after_rows(&mut after, &mut |_| ());
        self.cooperatives.hold();
        self.accounts.hold();
        self.loans.hold();
        Held { next: Part::Cooperatives, after }
    }

    /// Appends the next rows of a state that is held, `rows` at most and only until more than half a
    /// megabyte is there, and shows the accounts among them; says whether there are more. All that is
    /// appended from [`hold`](State::hold) on is the [encoding](State::encode) of the state that was held.
    pub fn tell(
        &mut self,
        held: &mut Held,
        rows: usize,
        out: &mut Vec<u8>,
        see: impl FnMut(Index<Account>, &Account),
    ) -> bool {
        let (is_told, next) = match held.next {
            Part::Cooperatives => {
                (tell_rows(&mut self.cooperatives, rows, out, |_, _| ()), Part::Accounts)
            }
            Part::Accounts => (tell_rows(&mut self.accounts, rows, out, see), Part::Loans),
            Part::Loans => (tell_rows(&mut self.loans, rows, out, |_, _| ()), Part::After),
            Part::After => {
                out.append(&mut held.after);
                return false;
            }
        };
        if is_told {
            held.next = next;
        }
        true
    }

    /// Keeps nothing more of a state that was held and is not wanted any more.
    pub fn let_go(&mut self) {
        self.cooperatives.let_go();
        self.accounts.let_go();
        self.loans.let_go();
    }
}

/// Appends the next rows that a table holds; says whether these were the last.
fn tell_rows<T: Row + Canonical + Clone>(
    table: &mut Table<T>,
    rows: usize,
    out: &mut Vec<u8>,
    mut see: impl FnMut(Index<T>, &T),
) -> bool {
    if let Some(length) = table.untold() {
        put_length(length, out);
    }
    for _ in 0..rows {
        let mut show = |index, row: &T| {
            row.put(out);
            see(index, row);
        };
        if !table.tell(&mut show) {
            return true;
        }
        if out.len() > PIECE_BYTES {
            break;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::encoding::{DecodeError, Reader};
    use super::*;

    const ROW_BYTES: usize = PIECE_BYTES / 3;

    /// A row with a great deal to tell.
    #[derive(Clone)]
    struct Long(u8);

    impl Row for Long {
        type Key = u8;
        type Trait = ();
        type Paid = ();
        fn key(&self) -> u8 {
            self.0
        }
        fn distinctive(&self) -> Option<&()> {
            None
        }
        fn paid(&self) {}
        fn before(&self, (): &()) -> Long {
            self.clone()
        }
    }

    impl Canonical for Long {
        fn put(&self, out: &mut Vec<u8>) {
            out.resize(out.len() + ROW_BYTES, self.0);
        }
        fn take(_: &mut Reader) -> Result<Self, DecodeError> {
            Err(DecodeError::Invalid("row that is only told"))
        }
    }

    #[test]
    fn a_step_ends_after_half_a_megabyte_however_many_rows_are_asked_for() {
        let mut table = Table::default();
        for number in 0..10 {
            table.push(Long(number));
        }
        table.hold();
        let (mut steps, mut told) = (0, 0);
        loop {
            let mut step = Vec::new();
            let is_told = tell_rows(&mut table, 1_000, &mut step, |_, _| ());
            assert!(step.len() <= PIECE_BYTES + ROW_BYTES, "{}", step.len());
            (steps, told) = (steps + 1, told + step.len());
            if is_told {
                break;
            }
        }
        assert_eq!(told, size_of::<u32>() + 10 * ROW_BYTES);
        assert!(steps > 2);
    }
}
