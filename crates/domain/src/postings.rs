//! Double entry. A fund keeps *books*; every money event moves amounts between them, and a journal
//! entry can only be built from such moves, so that it always sums to zero.

use core::ops::Neg;

/// A book of a fund. (The word "account" is kept for a cooperative's rekening.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Book {
    /// Money at the bank.
    Cash,
    /// What was allocated. A credit book.
    Capital,
    /// Principal that borrowers owe.
    PrincipalReceivable,
    /// Jasa received. A credit book.
    InterestIncome,
    /// Denda received. A credit book.
    LateFeeIncome,
    /// Credits nobody is known for yet. A credit book.
    Suspense,
    /// Principal given up.
    WriteOffLoss,
    /// Principal that came back after it was given up. A credit book.
    RecoveryIncome,
    /// Grants paid.
    GrantExpense,
}

impl Book {
    /// Every book, in the order of a trial balance.
    pub const ALL: [Book; 9] = [
        Book::Cash,
        Book::Capital,
        Book::PrincipalReceivable,
        Book::InterestIncome,
        Book::LateFeeIncome,
        Book::Suspense,
        Book::WriteOffLoss,
        Book::RecoveryIncome,
        Book::GrantExpense,
    ];

    /// Whether the book grows by credits.
    pub const fn grows_by_credit(self) -> bool {
        match self {
            Book::Capital
            | Book::InterestIncome
            | Book::LateFeeIncome
            | Book::Suspense
            | Book::RecoveryIncome => true,
            Book::Cash | Book::PrincipalReceivable | Book::WriteOffLoss | Book::GrantExpense => {
                false
            }
        }
    }
}

/// Moves between the books of one fund, in minor units; debits positive, credits negative, and
/// always zero in sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JournalEntry([i64; Book::ALL.len()]);

impl JournalEntry {
    /// An entry of one move: debits one book and credits another.
    pub fn of(debit: Book, credit: Book, minor: i64) -> JournalEntry {
        JournalEntry::default().and(debit, credit, minor)
    }
    /// One more move.
    #[must_use]
    pub fn and(mut self, debit: Book, credit: Book, minor: i64) -> JournalEntry {
        self.0[debit as usize] += minor;
        self.0[credit as usize] -= minor;
        self
    }
    /// What the entry adds to a book.
    pub const fn amount(&self, book: Book) -> i64 {
        self.0[book as usize]
    }
    /// The books that the entry touches, with what it adds to each.
    pub fn postings(&self) -> impl Iterator<Item = (Book, i64)> {
        Book::ALL.into_iter().map(|book| (book, self.amount(book))).filter(|(_, minor)| *minor != 0)
    }
}

impl Neg for JournalEntry {
    type Output = JournalEntry;
    fn neg(self) -> JournalEntry {
        JournalEntry(self.0.map(Neg::neg))
    }
}

/// The balances of a fund's books, in minor units; debits positive. They sum to zero, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Books([i64; Book::ALL.len()]);

impl Books {
    /// The books with these balances, in the order of [`Book::ALL`]; `None` if they do not sum to
    /// zero, or if one is `i64::MIN` (see [`Books::with`]).
    pub fn new(balances: [i64; Book::ALL.len()]) -> Option<Books> {
        let sum: i128 = balances.iter().map(|b| i128::from(*b)).sum();
        (sum == 0 && !balances.contains(&i64::MIN)).then_some(Books(balances))
    }
    /// The balance of a book; debits positive.
    pub const fn balance(&self, book: Book) -> i64 {
        self.0[book as usize]
    }
    /// The balance of a book, positive on the side on which it grows.
    pub const fn amount(&self, book: Book) -> i64 {
        if book.grows_by_credit() { -self.balance(book) } else { self.balance(book) }
    }

    /// The balances after an entry; `None` if one would pass ±`i64::MAX`. (`i64::MIN` has no
    /// positive side, on which [`Books::amount`] must be able to show it.)
    #[must_use]
    pub fn with(mut self, entry: &JournalEntry) -> Option<Books> {
        // All of them at once, which the processor can if nothing is asked in between. The sign of
        // `passed` tells: a sum overflows if its sign is neither that of the one nor of the other, and
        // of all negative numbers only `i64::MIN` has a positive one before it.
        let mut passed = 0;
        for (balance, minor) in self.0.iter_mut().zip(entry.0) {
            let sum = balance.wrapping_add(minor);
            passed |= (sum ^ *balance) & (sum ^ minor);
            passed |= sum & !sum.wrapping_sub(1);
            *balance = sum;
        }
        (passed >= 0).then_some(self)
    }
    /// Everything, in the order of [`Book::ALL`].
    pub const fn balances(&self) -> &[i64; Book::ALL.len()] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn near_the_ends(least: i64) -> impl Strategy<Value = i64> {
        let near = 0..4_i64;
        prop_oneof![
            any::<i64>().prop_map(move |any| any.max(least)),
            near.clone().prop_map(move |more| least + more),
            near.clone().prop_map(|less| i64::MAX - less),
            near.prop_map(|number| number - 2),
        ]
    }

    proptest! {
        #[test]
        fn every_entry_sums_to_zero(moves in proptest::collection::vec((0..9_usize, 0..9_usize, 0..1i64 << 50), 0..20)) {
            let mut entry = JournalEntry::default();
            for (debit, credit, minor) in moves {
                entry = entry.and(Book::ALL[debit], Book::ALL[credit], minor);
            }
            prop_assert_eq!(entry.0.iter().sum::<i64>(), 0);
            let books = Books::default().with(&entry).unwrap();
            prop_assert!(Books::new(*books.balances()).is_some());
            prop_assert_eq!(books.with(&-entry), Some(Books::default()));
        }

        /// Each balance by itself, as checked arithmetic has it.
        #[test]
        fn books_are_added_as_checked_arithmetic_adds(
            balances in proptest::array::uniform9(near_the_ends(i64::MIN + 1)),
            entry in proptest::array::uniform9(near_the_ends(i64::MIN)),
            others_are_zero in 0..18_usize,
        ) {
            let entry = core::array::from_fn(|n| {
                if others_are_zero < 9 && n != others_are_zero { 0 } else { entry[n] }
            });
            let fits = |n: usize| i64::checked_add(balances[n], entry[n]).filter(|b| *b != i64::MIN);
            let all = (0..9).all(|n| fits(n).is_some());
            let expected = all.then(|| Books(core::array::from_fn(|n| balances[n] + entry[n])));
            prop_assert_eq!(Books(balances).with(&JournalEntry(entry)), expected);
        }
    }

    #[test]
    fn books_that_would_overflow_are_refused() {
        let most = Books::default().with(&JournalEntry::of(Book::Cash, Book::Capital, i64::MAX));
        let one_more = JournalEntry::of(Book::Cash, Book::Capital, 1);
        assert_eq!(most.unwrap().with(&one_more), None);
        assert_eq!(Books::new([i64::MIN, i64::MAX, 1, 0, 0, 0, 0, 0, 0]), None);
    }
}
